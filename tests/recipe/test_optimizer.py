"""The optimizer and schedule sections: which kind a table is, and which numbers it takes."""

import pydantic
import pytest

from growlm.recipe.optimizer import (
    Constant,
    Cosine,
    Linear,
    Optimizer,
    Resume,
    Schedule,
    WarmupStableDecay,
)


@pytest.mark.parametrize(
    ("kind", "section"),
    [
        ("cosine", Cosine),
        ("linear", Linear),
        ("warmup-stable-decay", WarmupStableDecay),
        ("constant", Constant),
        ("resume", Resume),
    ],
)
def test_the_kind_of_a_schedule_says_which_section_it_is(
    kind: str, section: type[Cosine | Linear | WarmupStableDecay | Constant | Resume]
) -> None:
    values = {"kind": kind, "warmup_steps": 0}
    assert isinstance(pydantic.TypeAdapter(Schedule).validate_python(values), section)


def test_a_running_mean_that_never_moves_is_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="betas"):
        Optimizer(peak_lr=1e-3, betas=(0.9, 1.0))


def test_an_optimizer_is_adamw_unless_it_is_muon() -> None:
    assert Optimizer(peak_lr=1e-3).kind == "adamw"
    assert Optimizer(peak_lr=1e-3, kind="muon").momentum == 0.95


def test_a_momentum_without_muon_is_refused() -> None:
    words = 'to leave momentum out where its kind is not "muon": AdamW has betas instead'
    with pytest.raises(pydantic.ValidationError, match=words):
        Optimizer(peak_lr=1e-3, momentum=0.9)
