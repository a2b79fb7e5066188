from growlm.report.assets import SCRIPT, STYLE, WITHOUT_SCRIPT


def test_the_stylesheet_knows_dark_screens_and_narrow_ones():
    assert "prefers-color-scheme: dark" in STYLE
    assert "max-width: 999px" in STYLE
    assert STYLE.count("{") == STYLE.count("}")


def test_paper_and_a_page_without_scripts_have_pictures_in_place_of_charts():
    for style in (STYLE[STYLE.index("@media print") :], WITHOUT_SCRIPT):
        assert ".live { display: none" in style.replace(".contents, .skip, ", "")
        assert ".still { display: block" in style


def test_nothing_is_fetched():
    for asset in (SCRIPT, STYLE, WITHOUT_SCRIPT):
        assert "http" not in asset
        assert "fetch(" not in asset
        assert "url(" not in asset


def test_the_script_cannot_end_its_own_element():
    assert "</" not in SCRIPT
