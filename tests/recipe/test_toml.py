import tomllib

from hypothesis import given, strategies as st

from growlm.recipe.toml import toml

NASTY = "ab \"'\\\n\t\x00\x1f\x7f.=[]{}#\u00e9\u2028\U0001f600"
KEYS = st.text(NASTY, min_size=1, max_size=6)
SINGLE = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(NASTY, max_size=6),
)
VALUES = st.recursive(
    SINGLE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_what_is_written_reads_back_as_it_was(values):
    assert tomllib.loads(toml(values)) == values


def test_tables_stand_under_headers_and_their_values_in_one_line():
    values = {"seed": 1, "log": {"title": 'a "b"'}, "stage": [{"name": "a", "share": 1e-05}]}
    assert toml(values) == (
        'seed = 1\n\n[log]\ntitle = "a \\"b\\""\n\n[[stage]]\nname = "a"\nshare = 1e-05\n'
    )
