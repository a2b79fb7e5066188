from itertools import pairwise

from hypothesis import given, settings, strategies as st

from growlm.corpus.spans import merged, union

SPANS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(1, 9)).map(lambda pair: (pair[0], sum(pair)))
)


@settings(deadline=None)
@given(SPANS)
def test_merged_spans_cover_the_same_and_stand_apart(spans):
    found = merged(spans)
    covered = {at for first, last in spans for at in range(first, last)}
    assert {at for first, last in found for at in range(first, last)} == covered
    assert all(one[1] < other[0] for one, other in pairwise(found))
    assert union(spans) == len(covered)
