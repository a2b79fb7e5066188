import pytest

from growlm.evaluation.packing import LENGTH_MULTIPLE, PADDING, Row, batches_of, rows_of
from growlm.evaluation.request import Request


def choices(beginning: tuple[int, ...], *ends: tuple[int, ...]) -> list[Request]:
    return [Request(inputs=(*beginning, *end)[:-1], targets=end) for end in ends]


def rows(requests: list[Request], *, limit: int = 1_000, share: bool = True) -> list[Row]:
    return rows_of(requests, share=share, limit=limit)


def test_choices_of_one_context_follow_it_in_one_row():
    (row,) = rows(choices((1, 2, 3), (7, 8, 9), (7,), (5, 6)))
    assert row.members == (0, 2, 1)  # longest first
    assert row.ids == (1, 2, 3, 7, 8, 5)
    assert row.places == (0, 1, 2, 3, 4, 3)
    assert row.branches == (0, 0, 0, 1, 1, 2)
    assert row.columns == (2, 3, 4, 2, 5, 2)
    assert row.targets == (7, 8, 9, 5, 6, 7)


def test_what_all_choices_begin_with_is_part_of_the_beginning():
    (row,) = rows(choices((1, 2), (4, 5, 6), (4, 5, 7, 8)))
    assert row.ids == (1, 2, 4, 5, 7)
    assert row.branches == (0, 0, 0, 0, 1)
    assert row.columns == (1, 2, 3, 4, 1, 2, 3)


def test_requests_of_other_contexts_have_rows_of_their_own():
    found = rows([*choices((1, 2), (4,)), *choices((1, 3), (4,))])
    assert [row.members for row in found] == [(0,), (1,)]


def test_sharing_that_saves_next_to_nothing_is_left():
    ends = [tuple(range(start, start + 30)) for start in (0, 100)]
    assert [row.shared for row in rows(choices((1,), *ends))] == [False, False]
    assert [row.shared for row in rows(choices(tuple(range(20)), *ends))] == [True]


def test_a_row_stays_within_its_limit():
    found = rows(choices(tuple(range(20)), *[(n,) * 5 for n in range(30)]), limit=60)
    assert max(len(row.ids) for row in found) <= 60
    assert sorted(member for row in found for member in row.members) == list(range(30))


def test_nothing_is_shared_unless_it_may_be():
    assert len(rows(choices((1, 2, 3), (7,), (8,)), share=False)) == 2


def test_the_order_of_requests_changes_no_row():
    asked = choices((1, 2, 3), (7, 8, 9), (7,), (5, 6)) + choices((4, 4), (1,))
    contents = [[(row.ids, row.targets) for row in rows(each)] for each in (asked, asked[::-1])]
    assert contents[0] == contents[1]


def test_batches_have_lengths_of_a_multiple_and_one_kind_of_rows():
    asked = choices((1, 2, 3), (7, 8), (7,)) + choices((4,) * 20, (1,)) + choices((5,) * 3, (1,))
    found = list(batches_of(rows(asked), batch_tokens=1_000, longest=None))
    assert [batch.branches is not None for _, batch in found] == [True, False]
    assert all(batch.ids.shape[1] % LENGTH_MULTIPLE == 0 for _, batch in found)
    branches_BT = found[0][1].branches
    assert branches_BT is not None
    assert branches_BT[0].tolist() == [0, 0, 0, 1, *[PADDING] * 12]


@pytest.mark.parametrize(("longest", "length"), [(None, 32), (20, 20), (18, 18)])
def test_padding_stays_within_learned_positions(longest, length):
    ((_, batch),) = batches_of(rows(choices((4,) * 18, (1,))), batch_tokens=64, longest=longest)
    assert batch.ids.shape[1] == length
