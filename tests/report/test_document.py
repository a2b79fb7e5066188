from growlm.report.document import PICTURE, as_markdown, document


def test_a_document_holds_the_title_as_it_is_and_escapes_it_in_markdown(run):
    odd = document(run.model_copy(update={"title": "a_b <c>"}))

    assert odd.title == "a_b <c>"
    assert as_markdown(odd).startswith("# a\\_b \\<c\\>\n")


def test_the_picture_stands_under_the_curves(run):
    text = as_markdown(document(run))

    assert text.index("## Curves") < text.index(PICTURE) < text.index("## Results")
