from growlm.corpus.optional import missing


def test_a_missing_package_is_named_with_its_extra():
    assert str(missing("ftfy", extra="clean", purpose="mend texts")) == (
        "expected the package ftfy, to mend texts; got a Python without it. "
        "Try pip install 'growlm[clean]', or pip install ftfy."
    )
