from growlm.report.sections import sections


def titles(run):
    return [section.title for section in sections(run)]


def test_the_sections_are_those_of_a_published_log(run):
    assert titles(run) == [
        "The run",
        "Data",
        "Model",
        "Training",
        "Curves",
        "Results",
        "Ledger",
        "Growth",
        "Notes",
        "What this does not show",
        "Sources",
    ]


def test_sections_without_content_are_left_out(empty_run):
    assert titles(empty_run) == ["The run", "Data", "Notes", "Sources"]
    silent = empty_run.model_copy(update={"author_notes": ()})
    assert titles(silent) == ["The run", "Data", "Sources"]


def test_the_authors_notes_follow_those_the_program_raised(run):
    (notes,) = [section.body for section in sections(run) if section.title == "Notes"]

    assert notes.index("### Raised by the program") < notes.index("### By the author")
    assert "- The batch was chosen" in notes


def test_a_note_of_several_lines_stays_one_item(run):
    noted = run.model_copy(update={"author_notes": ("one\n\ntwo", "three")})

    (notes,) = [section.body for section in sections(noted) if section.title == "Notes"]

    assert notes.endswith("- one\n  \n  two\n- three")


def test_the_ledger_without_savings_repeats_why(run):
    alone = run.model_copy(update={"stages": run.stages[:2]})

    (ledger,) = [section.body for section in sections(alone) if section.title == "Ledger"]

    assert "No saving can be claimed" in ledger
    assert "### Equal loss" not in ledger
