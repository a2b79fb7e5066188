import pytest

from growlm.report import ledger_tables, result_tables, tables
from growlm.report.view import ApartView, CopiesPoint, MemoryView

TABLES = {
    "stages": tables.stages,
    "sources": tables.sources,
    "draws": tables.draws,
    "models": tables.models,
    "training": tables.training,
    "certificates": tables.certificates,
    "losses": result_tables.losses,
    "bits per byte": result_tables.bits_per_byte,
    "last words": result_tables.last_words,
    "compute": ledger_tables.compute,
    "equal loss": ledger_tables.equal_loss,
    "equal compute": ledger_tables.equal_compute,
    "break-even": ledger_tables.break_even,
}


def cells(table):
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()]


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
class TestEveryTable:
    def test_every_row_has_as_many_cells_as_the_head(self, run, table):
        found = cells(table(run))

        assert len(found) > 2
        assert {len(row) for row in found} == {len(found[0])}

    def test_a_run_without_stages_has_no_table_of_them(self, empty_run, table):
        assert bool(table(empty_run)) == (table is tables.sources)

    def test_a_name_with_a_bar_keeps_its_cell(self, run, table):
        grown = run.stages[1].model_copy(update={"name": "a | b", "parent": "x | y"})
        source = run.sources[0].model_copy(update={"name": "c | d", "origin": "e | f"})
        odd = run.model_copy(
            update={"stages": (run.stages[0], grown), "sources": (source, run.sources[1])}
        )

        found = cells(table(odd).replace(r"\|", "!"))

        assert len({len(row) for row in found}) <= 1


def test_a_table_of_stages_names_the_parent_the_loss_and_the_perplexity(run):
    assert cells(tables.stages(run))[3] == [
        "`grown`",
        "base",
        "6",
        "1.705M",
        "8.192M",
        "1.884e14",
        "3.880",
        "48.43",
    ]


def test_a_loss_in_mid_schedule_is_marked(run, edit):
    assert "3.880 (unfinished)" in tables.stages(edit(run, "grown", complete=False))


def test_stages_of_one_shape_share_a_column(run):
    assert cells(tables.models(run))[0][1:] == ["`base`", "`grown`, `scratch`, `scratch-half`"]


def test_masking_is_a_setting_of_every_stage(run, edit):
    rows = {
        row[0]: row[1:] for row in cells(tables.training(edit(run, "base", document_masking=True)))
    }

    assert rows["Document masking"][0] == "yes"
    assert set(rows["Document masking"][1:]) == {"no"}


def test_memory_is_shown_of_the_stages_that_were_watched(run, edit):
    assert tables.memory(run) == ""
    cpu = edit(run, "base", memory=MemoryView(peak_resident_bytes=3 * 2**30))
    assert cells(tables.memory(cpu))[2:] == [["`base`", "3.0 GiB"]]
    held = MemoryView(
        peak_resident_bytes=2**30,
        peak_allocated_bytes=90 * 2**30,
        peak_reserved_bytes=100 * 2**30,
        retries=2,
    )
    both = cells(tables.memory(edit(cpu, "grown", memory=held)))
    assert both[2] == ["`base`", "3.0 GiB", *["\u2013"] * 5]
    assert both[3] == ["`grown`", "1.0 GiB", "90.0 GiB", "100.0 GiB", "10.0%", "2", "0"]


def test_a_setting_that_one_stage_lacks_is_a_dash(run, edit):
    odd = edit(run, "base", hyperparameters={"rho": "1.3"})

    rows = {row[0]: row[1:] for row in cells(tables.training(odd))}

    assert rows["rho"][0] == "1.3"
    assert set(rows["rho"][1:]) == {"\u2013"}
    assert rows["betas"][0] == "\u2013"


def test_a_certificate_with_the_wrong_parameter_count_shows_the_right_one(run, edit):
    assert "as the formula says" in tables.certificates(run)
    certificate = run.stages[1].certificate.model_copy(update={"expected_parameters": 99})

    shown = tables.certificates(edit(run, "grown", certificate=certificate))

    assert "1,705,216, expected 99" in shown


def test_a_layer_map_names_fresh_layers(run, edit):
    certificate = run.stages[1].certificate.model_copy(
        update={"layer_map": (0, None, 1), "new_layers": (1,)}
    )

    shown = tables.certificates(edit(run, "grown", certificate=certificate))

    assert "| 0 new 1 |" in shown
    assert "| Layers with zero output | 1 |" in shown


def test_the_distance_of_copies_stands_with_the_certificate(run, edit):
    def at(step, far):
        apart = ApartView(copies=8, equal=0, largest=far, relative=far)
        return CopiesPoint(step=step, tokens=step, distance=2 * far, spaces={"kv_heads": apart})

    shown = tables.certificates(edit(run, "grown", copies=(at(0, 0.0), at(250, 0.25))))

    assert "| Copied layers apart, after 250 steps | 0.000 \u2192 0.500 of their norm |" in shown
    assert "| Copied key/value heads apart, after 250 steps | 0.000 \u2192 0.250 of" in shown
