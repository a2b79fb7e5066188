from growlm.report.assets import SCRIPT, STYLE


def test_the_stylesheet_knows_dark_screens_and_narrow_ones():
    assert "prefers-color-scheme: dark" in STYLE
    assert "max-width: 999px" in STYLE
    assert STYLE.count("{") == STYLE.count("}")


def test_nothing_is_fetched():
    for asset in (SCRIPT, STYLE):
        assert "http" not in asset
        assert "fetch(" not in asset
        assert "url(" not in asset


def test_the_script_cannot_end_its_own_element():
    assert "</" not in SCRIPT
