from growlm.report.baseline_tables import components, tasks
from growlm.report.frozen import MeanView
from growlm.report.view import BaselineView, TaskView
from growlm.report.words import NOTHING


def cells(text):
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line[:1] == "|"
    ]


def scored(run, edit, **changes):
    score = run.stages[0].evaluations[0].model_copy(update={"context": 1_024, **changes})
    return edit(run, "base", evaluations=(score,))


PIQA = TaskView(
    task="piqa",
    scores={
        "acc": MeanView(value=0.601, stderr=0.0114, count=1_838),
        "acc_norm": MeanView(value=0.62, stderr=0.0113, count=1_838),
    },
)


def test_a_run_without_tasks_or_components_has_no_table(run):
    assert tasks(run) == components(run) == ""


def test_the_table_is_the_references_with_plain_accuracy_and_its_other_form_apart(run, edit):
    head, _, own, first, *rest = cells(tasks(scored(run, edit, tasks=(PIQA,))))

    assert head[1:6] == [
        "LAMBADA, acc",
        "LAMBADA, perplexity",
        "PIQA, acc",
        "PIQA, acc\\_norm",
        "HellaSwag, acc",
    ]
    assert own[:6] == [
        "**`base`**, end of stage",
        NOTHING,
        NOTHING,
        "60.10 ± 1.14",
        "62.00 ± 1.13",
        NOTHING,
    ]
    assert first[:6] == ["GPT2-M", "43.00 ± 0.69", "18.26", "67.60 ± 1.09", NOTHING, "33.31 ± 0.47"]
    assert len(rest) == 5


def test_components_stand_under_the_pile_s_names(run, edit):
    found = cells(components(scored(run, edit, bits_per_byte={"arxiv": 1.25})))

    assert found[0][1:6] == ["Pile CC", "OpenWebText2", "Pile Wikipedia", "ArXiv", "BookCorpus2"]
    assert found[2][4] == "1.2500"
    assert found[4][:6] == ["GPT-580M", "0.9635", "0.9159", "0.9846", "1.3127", "1.0249"]


def test_a_recipes_own_baselines_stand_below_the_published_ones(run, edit):
    brought = BaselineView(
        name="Ours of last year",
        source="page 3",
        scores={"piqa": {"acc": 0.5}},
        bits_per_byte={"docs": 1.1},
    )
    view = scored(run.model_copy(update={"baselines": (brought,)}), edit, tasks=(PIQA,))

    last = cells(tasks(view))[-1]
    assert (last[0], last[3]) == ("Ours of last year", "50.00 ± 1.17")
    assert "- Ours of last year: its context is not known. Source: page 3." in tasks(view)
    head, _, own, *rows = cells(components(view))  # nothing of the Pile is there to stand beside
    assert head == ["Model", "docs", "Context", "Compares"]
    assert own[1] != NOTHING
    assert [row[0] for row in rows if "**" not in row[0]] == ["Ours of last year"]


def test_a_baseline_that_was_scored_here_says_so_and_has_its_errors(run, edit):
    here = BaselineView(
        name="Neighbour",
        source="this run",
        scores={"piqa": {"acc": 0.5}},
        errors={"piqa": {"acc": 0.02}},
        bits_per_byte={"docs": 1.1},
        bits_per_byte_stderr={"docs": 0.03},
        context=1_024,
        remark="nobody knows what it was trained on",
        here=True,
    )
    view = scored(run.model_copy(update={"baselines": (here,)}), edit, tasks=(PIQA,))

    last = cells(tasks(view))[-1]
    assert (last[0], last[3], last[-1]) == ("Neighbour", "50.00 ± 2.00", "run here")
    assert "- Neighbour: nobody knows what it was trained on. Source: this run." in tasks(view)
    last = cells(components(view))[-1]
    assert last == ["Neighbour", "1.1000 ± 0.0300", "1,024", "run here"]


def test_rows_that_share_a_source_and_a_reason_are_told_of_in_one_line(run, edit):
    lines = [
        line
        for line in tasks(scored(run, edit, context=512, tasks=(PIQA,))).splitlines()
        if line.startswith("- ")
    ]

    assert lines[0].startswith("- GPT2-M and GPT2-L: scored at context 1,024; known from")
    assert "Source: fattorib/ZeRO-transformer" in lines[0]
    assert len(lines) == 5
