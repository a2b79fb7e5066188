from hypothesis import given, settings, strategies as st

from growlm.corpus.documents import Document
from growlm.corpus.split import held_out


def document(group, source="a", row=0, text="text"):
    return Document(source=source, path="p.txt", row=row, group=group, text=text)


def test_the_choice_is_the_same_for_ever():
    chosen = [n for n in range(200) if held_out(document(f"text {n}"), share=0.05)]
    assert chosen == [4, 35, 41, 67, 103, 141, 186, 187]


def test_about_the_share_is_held_out():
    count = sum(held_out(document(f"text {n}"), share=0.05) for n in range(4000))
    assert abs(count - 200) < 4 * (4000 * 0.05 * 0.95) ** 0.5


def test_only_the_group_decides():
    for n in range(50):
        one = document(f"text {n}")
        other = document(f"text {n}", source="b", row=7, text="another")
        assert held_out(one, share=0.5) == held_out(other, share=0.5)


@given(st.text(), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
@settings(deadline=None, max_examples=50)
def test_a_larger_share_keeps_what_a_smaller_one_held_out(group, one, other):
    small, large = sorted((one, other))
    assert not held_out(document(group), share=small) or held_out(document(group), share=large)


def test_nothing_and_everything_are_shares_too():
    assert not any(held_out(document(str(n)), share=0.0) for n in range(100))
    assert all(held_out(document(str(n)), share=1.0) for n in range(100))
