"""Notes on growth: what the ledger rests on, what the parent was, how the child recovered."""

import math
from pathlib import PurePosixPath

from growlm.report.accounts import Account, accounts, controls_of
from growlm.report.curves import final_loss, last_loss, tokens_to_regain
from growlm.report.view import RunView, StageView
from growlm.report.words import COPIED, code, count, listing, number, plain, plural, quantity, share

SMALL_NATS = 0.02
"""Differences of final loss below this are called small."""

TUNED_RATES = 3
"""Peak learning rates tried from which a control counts as tuned."""

ANNEALED = 0.5
"""Share of its peak below which a parent's last learning rate counts as annealed."""

JUMP_NATS = 1e-3
"""Change of loss at growth, or rise after it, that is worth saying."""


def uncontrolled(view: RunView) -> tuple[str, ...]:
    """Say which grown stages no control answers."""
    names = [
        code(stage.name)
        for stage in view.stages
        if stage.kind == "grown" and not controls_of(view, stage)
    ]
    if not names:
        return ()
    return (
        f"No scratch control answers {listing(names)}, so no saving can be claimed: the curves "
        "show that the grown model learns, not that it learns more cheaply.",
    )


def controls(view: RunView) -> tuple[str, ...]:
    """Say what the finished controls leave open."""
    told = [_tuning(account) for account in accounts(view) if account.controls]
    if not told:
        return ()
    return (
        *told,
        "No run here continues the parent at its own size, or gives the child random new layers: "
        "whether a larger model was needed, and whether it was the copying that helped, are "
        "questions this page does not answer.",
    )


def _tuning(account: Account) -> str:
    rates = {
        max((point.lr for point in control.train), default=0.0) for control in account.controls
    }
    names = listing([code(control.name) for control in account.controls])
    tried = plural(len(rates), "peak learning rate")
    if len(rates) >= TUNED_RATES:
        return f"Between them, {names} tried {tried}."
    return (
        f"{names} tried {tried}; a fair baseline tries {TUNED_RATES} or more, and the best of "
        "them would make the saving smaller, not larger."
    )


def one_seed(view: RunView) -> tuple[str, ...]:
    """Say what one seed can tell, and which differences are too small for it."""
    if sum(final_loss(stage) is not None for stage in view.stages) < 2:
        return ()
    small = [text for account in accounts(view) for text in _small(account)]
    return (
        f"All stages ran once, with seed {view.seed}. One seed can show large effects; it cannot "
        "tell a small one from chance, and gives no error bar to any figure of the ledger. Three "
        "seeds or more would.",
        *small,
    )


def _small(account: Account) -> list[str]:
    told: list[str] = []
    for cost in account.costs:
        scratch = cost.scratch.loss
        if scratch is not None and abs(scratch - account.loss) < SMALL_NATS:
            told.append(
                f"At equal compute ({cost.convention}), {code(account.stage.name)} and training "
                f"from scratch are {number(abs(scratch - account.loss), 4)} nats apart: too close "
                "to call."
            )
    return told


def extrapolated(view: RunView) -> tuple[str, ...]:
    """Say which savings were read beyond the control runs."""
    return tuple(
        f"The compute that scratch training needs for the loss of {code(account.stage.name)} lies "
        f"beyond its control runs, {share(_beyond(account))} past the nearest one. It is an "
        "extrapolation of their law, not a measurement."
        for account in accounts(view)
        if account.scratch.extrapolated
    )


def _beyond(account: Account) -> float:
    estimate = account.scratch.estimate or math.nan
    computes = [point.compute for point in account.points]
    return max(estimate / max(computes), min(computes) / estimate) - 1


def not_comparable(view: RunView) -> tuple[str, ...]:
    """Say which stages differ in a way that spoils the comparison of their losses."""
    known = {stage.name: stage for stage in view.stages}
    pairs = [
        (stage, known[other])
        for stage in view.stages
        for other in (stage.parent, stage.control_of)
        if other in known
    ]
    return tuple(text for pair in pairs for text in _differences(*pair))


def _differences(stage: StageView, other: StageView) -> list[str]:
    names = f"{code(stage.name)} and {code(other.name)}"
    told: list[str] = []
    if stage.context != other.context:
        told.append(
            f"{names} trained at contexts of {stage.context:,} and {other.context:,} tokens: a "
            "longer context lowers the loss of each token by itself, so their losses are not "
            "comparable. Bits per byte at one context are."
        )
    if stage.document_masking != other.document_masking:
        told.append(
            f"Of {names}, only one masked documents from each other, in training and in "
            "validation: a token that sees less is harder to predict, so their losses are not "
            "comparable. Bits per byte, of documents one at a time, are."
        )
    if stage.batch_tokens != other.batch_tokens:
        told.append(
            f"{names} trained on batches of {stage.batch_tokens:,} and {other.batch_tokens:,} "
            "tokens: part of what sets them apart may be the batch."
        )
    sizes = (stage.shape.get("vocab_size"), other.shape.get("vocab_size"))
    if None not in sizes and sizes[0] != sizes[1]:
        shown = " and ".join(quantity(size) for size in sizes if size is not None)
        told.append(
            f"{names} have vocabularies of {shown} ids: a loss per token means something else "
            "under each. Bits per byte do not depend on the tokens."
        )
    return told


def annealed_parent(view: RunView) -> tuple[str, ...]:
    """Say which stages grew from a parent whose learning rate had run down, or from an average."""
    known = {stage.name: stage for stage in view.stages}
    told = [
        text
        for stage in view.stages
        if stage.kind == "grown" and stage.parent is not None
        if (text := _annealed(stage, stage.parent, known.get(stage.parent)))
    ]
    hedge = (
        "Annealed checkpoints are reported to make worse parents than checkpoints from before the "
        "decay (arXiv:2510.08008, which we know at second hand only). The evidence is thin; "
        "keeping the last checkpoint before the decay is cheap."
    )
    return (*told, hedge) if told else ()


def _annealed(stage: StageView, origin: str, parent: StageView | None) -> str:
    if parent is not None and (left := _rate_left(parent)) < ANNEALED:
        return (
            f"{code(stage.name)} grew from the end of {code(parent.name)}, whose learning rate had "
            f"fallen to {share(left)} of its peak."
        )
    name = PurePosixPath(origin).name
    if name.startswith("average") or name == "ema":
        what = "a moving average of weights" if name == "ema" else "an average of checkpoints"
        return f"{code(stage.name)} grew from {what}, which is a form of annealing."
    return ""


def _rate_left(stage: StageView) -> float:
    rates = [point.lr for point in stage.train]
    peak = max(rates, default=0.0)
    return rates[-1] / peak if peak > 0 and stage.complete else 1.0


def imported_parent(view: RunView) -> tuple[str, ...]:
    """Say which stages grew from a model whose own training is not known, and so is not charged."""
    found: list[str] = []
    for stage in view.stages:
        if stage.kind == "grown" and (stage.parent in found or not stage.flops_before):
            found.append(stage.name)
    if not found:
        return ()
    return (
        f"{listing([code(name) for name in found])} grew from an imported model. What that took to "
        "train is not known and counts as nothing, also where an account says parent charged.",
    )


def unparted(view: RunView) -> tuple[str, ...]:
    """Say which copies have not parted from each other in all the training since growth."""
    told = tuple(text for stage in view.stages for text in _unparted(stage))
    reason = (
        "Copies that read, write and remember alike learn alike for ever: they add parameters and "
        "no capacity. Units that are uneven or noised part them, and so does "
        "optimizer\\_state = asymmetric where the parent had moments."
    )
    return (*told, reason) if told else ()


def _unparted(stage: StageView) -> list[str]:
    last = stage.copies[-1] if stage.copies else None
    if last is None or last.step == 0:
        return []
    return [
        f"{found.equal:,} of {found.copies:,} copied {COPIED[space]} of {code(stage.name)} still "
        f"equal another copy after {last.step:,} steps, up to rounding (the largest difference of "
        f"two copies is {found.largest:.3g})."
        for space, found in last.spaces.items()
        if found.equal
    ]


def jump(view: RunView) -> tuple[str, ...]:
    """Say what growth did to the loss, and when the child was back at its parent's."""
    return tuple(text for stage in view.stages if (text := _jump(view, stage)))


def _jump(view: RunView, stage: StageView) -> str:
    certificate = stage.certificate
    reference = _parent_loss(view, stage)
    if certificate is None or stage.kind != "grown":
        return ""
    change = certificate.loss_after - certificate.loss_before
    worst = max((point.loss for point in stage.validation), default=-math.inf)
    rose = reference is not None and worst > reference + JUMP_NATS
    if not abs(change) > JUMP_NATS and not rose:
        return ""
    direction = "rose" if change > 0 else "fell"
    start = (
        f"At growth, the loss of {code(stage.name)} {direction} from "
        f"{number(certificate.loss_before, 4)} to {number(certificate.loss_after, 4)} nats "
        f"({plain(certificate.batches)}, before any step)."
        if abs(change) > JUMP_NATS
        else f"Growth left the loss of {code(stage.name)} where it was "
        f"({number(certificate.loss_after, 4)} nats), and training then disturbed it."
    )
    return f"{start} {_recovery(stage, reference, worst)}".strip()


def _recovery(stage: StageView, reference: float | None, worst: float) -> str:
    """Return a sentence on when the child regained its parent's loss."""
    if reference is None or not stage.validation:
        return ""
    back = tokens_to_regain(stage, reference)
    if back is None:
        return (
            f"It has not regained its parent's validation loss of {number(reference)}; its "
            f"best is {number(min(point.loss for point in stage.validation))}."
        )
    return (
        f"Its highest validation loss was {number(worst)}; it was back at its parent's "
        f"{number(reference)} by the validation at {count(back)} tokens of its own."
    )


def _parent_loss(view: RunView, stage: StageView) -> float | None:
    """Return the validation loss that the child has to regain, where it is known."""
    parent = next((other for other in view.stages if other.name == stage.parent), None)
    return last_loss(parent) if parent else None
