"""Errors: one line that says what was expected, what was got, what to try."""

import pickle

import pytest

from growlm.base import errors
from growlm.base.errors import GrowlmError, RecipeError, SafetyError, Stopped, nearest


def test_an_error_says_expected_got_and_fix_in_one_line() -> None:
    error = RecipeError("width to be a multiple of heads", got="width=33, heads=2", fix="width=32")
    assert str(error) == (
        "expected width to be a multiple of heads; got width=33, heads=2. Try width=32."
    )
    assert (error.expected, error.got, error.fix) == (
        "width to be a multiple of heads",
        "width=33, heads=2",
        "width=32",
    )


def test_an_error_begins_with_its_place_when_it_has_one() -> None:
    error = GrowlmError("TOML", got="a poem", fix="prose", where="recipes/tiny.toml")
    assert str(error) == "recipes/tiny.toml: expected TOML; got a poem. Try prose."


def test_a_recipe_mistake_exits_with_2_a_failed_safety_with_5_and_every_other_with_1() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    kinds = [kind for kind in kinds if issubclass(kind, GrowlmError) and kind is not Stopped]
    assert len(kinds) >= 9
    other: dict[type[GrowlmError], int] = {RecipeError: 2, SafetyError: 5}
    assert {kind: kind.exit_code for kind in kinds} == {kind: other.get(kind, 1) for kind in kinds}


@pytest.mark.parametrize(("number", "code"), [(2, 130), (15, 75), (10, 75)])
def test_a_run_that_stopped_in_order_exits_with_75_or_at_ctrl_c_as_shells_expect(
    number: int, code: int
) -> None:
    stopped = Stopped(number, saved="step 40 was saved", fix="the same command again")
    assert stopped.exit_code == code
    assert str(stopped) == (
        f"expected the run to end; got signal {number}; step 40 was saved. "
        "Try the same command again."
    )


def test_a_run_whose_time_is_up_exits_with_75() -> None:
    stopped = Stopped(None, saved="step 40 was saved", fix="the same command again")
    assert stopped.exit_code == errors.PREEMPTED == 75
    assert str(stopped) == (
        "expected the run to end; got the end of its time; step 40 was saved. "
        "Try the same command again."
    )


@pytest.mark.parametrize(("number", "code"), [(2, 130), (15, 143)])
def test_a_run_that_left_at_once_exits_as_shells_expect_of_a_signal(number: int, code: int) -> None:
    assert Stopped(number, saved="", fix="", at_once=True).exit_code == code


@pytest.mark.parametrize(
    "error",
    [
        SafetyError("a light", got="none", fix="another bulb", where="cellar"),
        Stopped(15, saved="step 40 was saved", fix="the same command again"),
    ],
)
def test_an_error_crosses_from_one_process_to_another_whole(error: GrowlmError) -> None:
    crossed = pickle.loads(pickle.dumps(error))  # noqa: S301 - written in this line
    assert type(crossed) is type(error)
    assert (str(crossed), vars(crossed), crossed.exit_code) == (
        str(error),
        vars(error),
        error.exit_code,
    )


def test_every_kind_of_error_is_drawn_in_the_tree() -> None:
    kinds = [name for name, kind in vars(errors).items() if isinstance(kind, type)]
    drawn = [line for line in (errors.__doc__ or "").splitlines() if line.strip()[:1] in "*+"]
    assert [line.split()[1] for line in drawn if line] == [
        name for name in kinds if name != "Iterable"
    ]


def test_the_nearest_name_answers_a_misspelt_one() -> None:
    assert nearest("layer", ["heads", "layers", "width"]) == "layers"


def test_a_name_like_none_of_them_is_answered_with_all_of_them_sorted() -> None:
    assert nearest("zebra", ["width", "heads"]) == "one of heads, width"


def test_a_single_known_name_is_the_answer_to_everything() -> None:
    assert nearest("zebra", ["heads"]) == "heads"
