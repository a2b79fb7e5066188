"""The log's opening: what the run is, how each model differs from its parent, what came of it."""

from growlm.report.accounts import Account, Cost, accounts, controls_of
from growlm.report.curves import perplexity
from growlm.report.ledger import ScratchCompute, saving
from growlm.report.ledger_tables import bounded
from growlm.report.view import CertificateView, RunView, StageView
from growlm.report.words import (
    ARROW,
    TIMES,
    code,
    count,
    flops,
    label,
    listing,
    number,
    plain,
    plural,
    quantity,
    share,
    short,
)

EVEN = 0.005
"""Savings below this share, either way, are called even."""

OPERATORS = {
    "interleave": "each layer of the parent becomes neighbouring layers of the child",
    "stack": "the parent's layers are repeated as a whole, one pass above the other",
    "insert": "new layers whose output is zero are put between the parent's",
    "solar": "two copies of the parent, less their inner ends, stand one above the other",
    "middle": "the parent's middle block is repeated",
    "middle-layerwise": "the layers around the parent's middle are repeated",
    "append": "new layers whose output is zero are put on top",
    "explicit": "by a written map",
}
"""What each operator does, in words."""

MOMENTS = {
    "drop": "the optimizer's moments were dropped, so that the optimizer began anew",
    "copy": "every layer took the optimizer's moments of the layer it was copied from",
    "asymmetric": (
        "one copy of each parent layer kept the optimizer's moments, and every further layer "
        "began with none"
    ),
    "exact": (
        "moments, learning rates and decay were scaled so that the child trains exactly as its "
        "parent would have"
    ),
}
"""What became of the parent's optimizer state, in words."""

BASIS = {
    "fit": "a power law with a floor fitted to",
    "power": "a power law fitted to",
    "line": "a straight line in log-log through",
}
"""What an estimate of the scratch compute rests on."""


def opening(view: RunView) -> str:
    """Return the first paragraphs of the log, Markdown."""
    if not view.stages:
        return (
            f"{code(view.name)} has not trained a stage yet. This page shows its data; curves, "
            "results and the ledger follow as stages finish."
        )
    begun = [_sentence(stage) for stage in view.stages if stage.kind == "scratch"]
    grown = [
        _joined(_sentence(stage), _controls(view, stage), _differences(view, stage))
        for stage in view.stages
        if stage.kind == "grown"
    ]
    paragraphs = [_joined(*begun), *grown, *headlines(view)]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def _joined(*sentences: str) -> str:
    return " ".join(sentence for sentence in sentences if sentence)


def _sentence(stage: StageView) -> str:
    layers = stage.shape.get("layers")
    size = f"{count(stage.parameters)} parameters"
    shape = f"{layers} layers, {size}" if layers is not None else size
    state = _state(stage)
    if stage.kind != "grown":
        return f"{code(stage.name)} ({shape}) was trained from scratch on {_own(stage)}{state}."
    change = _change(stage.certificate) if stage.certificate else f"Now it has {shape}."
    return (
        f"{code(stage.name)} was grown from {code(stage.parent or '')} and trained on "
        f"{_own(stage)} of its own{state}. {change}"
    )


def _own(stage: StageView) -> str:
    return f"{count(stage.tokens)} tokens"


def _state(stage: StageView) -> str:
    if stage.complete:
        return ""
    return " (unfinished)" if stage.train else " (not begun)"


def _change(certificate: CertificateView) -> str:
    """Say what an operator did, and what became of the optimizer's moments."""
    how = OPERATORS.get(certificate.operator)
    operator = code(certificate.operator) + (f" ({how})" if how else "")
    mode = certificate.optimizer_state
    moments = MOMENTS.get(mode, f"optimizer state: {plain(mode)}")
    factor = certificate.child_parameters / max(certificate.parent_parameters, 1)
    sizes = {"layers": (certificate.layers_from, certificate.layers_to), **certificate.sizes}
    changes = [
        f"from {before:,} to {after:,} {label(name)}" + (f" by {operator}" * (name == "layers"))
        for name, (before, after) in sizes.items()
        if before != after
    ]
    changes.append(
        f"from {count(certificate.parent_parameters)} to {count(certificate.child_parameters)} "
        f"parameters ({factor:.2f}{TIMES})"
    )
    return f"Growth took it {', and '.join(changes)}; {moments}."


def _controls(view: RunView, stage: StageView) -> str:
    controls = controls_of(view, stage)
    if not controls:
        return ""
    names = listing([code(control.name) for control in controls])
    shares = listing(
        [
            f"{short(control.control_compute)}{TIMES}"
            for control in controls
            if control.control_compute is not None
        ]
    )
    verb = "is a scratch control" if len(controls) == 1 else "are scratch controls"
    own = code(stage.name)
    compute = f", with {shares} the compute that {own} and its parents took" if shares else ""
    return f"{names} {verb} of {own}: its shape, trained from random weights{compute}."


def _differences(view: RunView, stage: StageView) -> str:
    """Say what else changed from a grown stage's parent, where the parent is of this run."""
    parent = next((other for other in view.stages if other.name == stage.parent), None)
    if parent is None:
        return ""
    changed = [
        f"{key} {was} {ARROW} {now}"
        for key, was, now in _settings(parent, stage)
        if was != now and key != "layers"
    ]
    names = f"{code(stage.name)} differs from {code(parent.name)}"
    if not changed:
        return f"Apart from its layers, {code(stage.name)} has the settings of {code(parent.name)}."
    return f"Apart from its layers, {names} in {listing(changed)}."


def _settings(parent: StageView, child: StageView) -> list[tuple[str, str, str]]:
    """Return (setting, parent's, child's) of everything that both tell."""
    shapes = [
        (label(key), quantity(parent.shape[key]), quantity(value))
        for key, value in child.shape.items()
        if key in parent.shape
    ]
    settings = [
        (label(key), plain(parent.hyperparameters[key]), plain(value))
        for key, value in child.hyperparameters.items()
        if key in parent.hyperparameters
    ]
    context = ("context", f"{parent.context:,}", f"{child.context:,}")
    was, now = quantity(parent.document_masking), quantity(child.document_masking)
    masking = ("document masking", was, now)
    batch = ("tokens per batch", f"{parent.batch_tokens:,}", f"{child.batch_tokens:,}")
    return [*shapes, context, masking, batch, *settings]


def headlines(view: RunView) -> list[str]:
    """Return what the ledger says of each grown stage, one paragraph each."""
    found = {account.stage.name: account for account in accounts(view)}
    grown = [stage for stage in view.stages if stage.kind == "grown"]
    return [
        _headline(found[stage.name])
        if stage.name in found and found[stage.name].points
        else _silence(view, stage, finished=stage.name in found)
        for stage in grown
    ]


def _silence(view: RunView, stage: StageView, *, finished: bool) -> str:
    name = code(stage.name)
    if not finished:
        return f"**No result yet.** {name} has no final loss, so the ledger has no figure for it."
    if controls_of(view, stage):
        return (
            f"**No saving can be claimed yet.** No scratch control of {name} has reached its "
            "end, and a control in mid-schedule is no result."
        )
    return (
        f"**No saving can be claimed.** No scratch control answers {name}: what training its "
        "shape from random weights would have cost is unknown."
    )


def _headline(account: Account) -> str:
    name = code(account.stage.name)
    end = f"{number(account.loss)} nats per token (perplexity {short(perplexity(account.loss))})"
    told = [_cost(cost, account.scratch) for cost in account.costs]
    return f"**{verdict(account)}** {name} ended at {end}. {_scratch(account)} " + " ".join(told)


def _scratch(account: Account) -> str:
    scratch, runs = account.scratch, plural(len(account.best), "finished scratch run")
    if len(account.best) < len(account.points):
        runs += f", the best of {len(account.points)} by compute"
    if scratch.basis == "none":
        return "Its scratch runs do not fall with compute, so they bound nothing."
    if scratch.estimate is None:
        return f"From {runs}, the compute that scratch training needs for it is only bounded."
    beyond = ", beyond their range" if scratch.extrapolated else ""
    return (
        f"Training from scratch is estimated to need {flops(scratch.estimate)} FLOPs for that "
        f"({BASIS[scratch.basis]} {runs}{beyond})."
    )


def _cost(cost: Cost, scratch: ScratchCompute) -> str:
    start = f"With its {cost.convention}, it took {flops(cost.flops)} FLOPs"
    if scratch.estimate is not None:
        gain = saving(cost.flops, scratch=scratch.estimate)
        return f"{start}: {share(gain.saved)} saved, a speed-up of {share(gain.speedup)}."
    _, saved, speedup = bounded(cost.flops, scratch)
    if not saved:
        return f"{start}."
    return f"{start}: {saved} saved, a speed-up of {speedup}."


def verdict(account: Account) -> str:
    """Return what the ledger says, in one sentence: with the parent charged, and with it free."""
    charged = _sign(account.charged.flops, account.scratch)
    free = _sign(account.free.flops, account.scratch)
    if charged == free:
        return {
            "paid": "Growing paid, the parent charged or not.",
            "even": "Growing came out even, the parent charged or not.",
            "lost": "Growing did not pay, even with the parent free.",
            "open": "Whether growing paid is open.",
        }[charged]
    words = {
        "paid": "paid",
        "even": "came out even",
        "lost": "did not pay",
        "open": "may or may not have paid",
    }
    paid, unpaid = words[charged], words[free]
    return f"With the parent charged, growing {paid}; with the parent free, it {unpaid}."


def _sign(grown: float, scratch: ScratchCompute) -> str:
    """Return paid, even, lost, or open, by what was saved or by its bounds."""
    if scratch.estimate is not None:
        saved = saving(grown, scratch=scratch.estimate).saved
        return "paid" if saved > EVEN else "lost" if saved < -EVEN else "even"
    if scratch.lower is not None and saving(grown, scratch=scratch.lower).saved >= -EVEN:
        return "paid"
    if scratch.upper is not None and saving(grown, scratch=scratch.upper).saved <= EVEN:
        return "lost"
    return "open"
