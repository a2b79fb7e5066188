"""What the numbers mean: each answer in words, with how sure it is and where it comes from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from growlm.base.units import format_count
from growlm.growth.advise import (
    FALLBACK_SHARE,
    LARGEST_FITTED,
    BreakEven,
    LayerNorms,
    base_tokens,
    is_annealed,
)
from growlm.growth.plan import GrowthPlan

Surety = Literal["computed", "reported", "second hand", "contested", "guess", "unknown"]
"""How sure an answer is: it follows from the numbers; a paper's own text reports it; an abstract or
notes about a paper do; sources disagree; it is a judgement; nobody knows."""

CROSSOVER_TOKENS = 20.0
"""Tokens per parameter from which interleaving is reported to be the better order."""
CLIFF = 2.0
"""Times the parent's own largest step from which a stack's seam is called a cliff; a judgement."""

G_STACK = "Du et al., arXiv:2405.15319"
RECYCLING = "arXiv:2510.08008"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One line of advice."""

    question: str
    text: str
    surety: Surety
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a parent was trained on, as far as anybody knows."""

    tokens: float | None
    parameters: int
    """Its own, outside embedding, positions and head."""

    @property
    def per_parameter(self) -> float | None:
        """Tokens per non-embedding parameter."""
        return None if self.tokens is None else self.tokens / self.parameters


def worth(seen: Seen) -> Answer:
    """Return whether a parent has seen enough, or too much, to be worth growing."""
    if seen.tokens is None or seen.per_parameter is None:
        return Answer(
            question="tokens seen",
            text="nobody says what the parent has seen; published models mostly are trained well "
            "past 20 tokens per parameter. --parent-tokens 300B tells",
            surety="unknown",
            source="its lineage is not recorded",
        )
    if not seen.tokens:
        return Answer(
            question="tokens seen",
            text="none, so there is nothing to grow: a child of it is a model from scratch",
            surety="reported",
            source=G_STACK,
        )
    count = (
        f"{format_count(seen.tokens)}, {seen.per_parameter:.3g} for each of its "
        f"{format_count(seen.parameters)} non-embedding parameters"
    )
    if seen.per_parameter < CROSSOVER_TOKENS:
        return Answer(
            question="tokens seen",
            text=f"{count}: young, as parents that are made to be grown are; few tokens already "
            "help a child",
            surety="reported",
            source=G_STACK,
        )
    return Answer(
        question="tokens seen",
        text=f"{count}: well trained. Worth growing where it exists anyway, and the more it has "
        "seen the better; what that saves shrinks from here on",
        surety="second hand",
        source=f"{RECYCLING} and 2411.07340",
    )


def annealing(
    *, lr_share_of_peak: float | None, average: str | None, plateau: str | None
) -> Answer:
    """Return whether a parent was annealed, or is an average, which counts as much.

    Args:
        lr_share_of_peak: Its last learning rate over its peak; None where unknown.
        average: What average it is, in words, if it is one.
        plateau: An earlier checkpoint whose rate had not run down, if there is one.
    """
    warning = "Such parents are reported to make worse children than the plateau before"
    warning += f", where {plateau} still is" if plateau else ""
    if average is not None:
        return Answer(
            question="annealed",
            text=f"as good as: it is {average}. {warning}",
            surety="guess",
            source=f"after annealed parents in {RECYCLING}, known at second hand",
        )
    if lr_share_of_peak is None:
        return Answer(
            question="annealed",
            text="unknown: the parent does not say; published models mostly are",
            surety="unknown",
            source="it records no schedule",
        )
    share = f"its learning rate ended at {lr_share_of_peak:.0%} of the peak"
    if is_annealed(lr_share_of_peak):
        return Answer(
            question="annealed",
            text=f"yes: {share}. {warning}, and the loss will jump when the rate goes up again",
            surety="second hand",
            source=RECYCLING,
        )
    return Answer(
        question="annealed", text=f"no: {share}", surety="computed", source="its schedule"
    )


def profile(norms: LayerNorms) -> Answer:
    """Return how a parent's layer norms change with depth."""
    change = norms.rise - 1.0
    trend = f"{'rise' if change > 0 else 'fall'} by {abs(change):.0%} from the lower third to the "
    flat = "are as large in the upper third as in the lower" if not round(change, 2) else ""
    return Answer(
        question="layer norms",
        text=f"{flat or f'{trend}upper'} ({norms.whole[0]:.4g} to {norms.whole[-1]:.4g}); "
        f"neighbours differ by {norms.mean_step:.2g} on average",
        surety="computed",
        source="its weights",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Which depth operator to take, and how sure that is."""

    operator: str
    answer: Answer


def order(
    *, tokens_per_parameter: float | None, factor: float, seam: float | None, steepest: float
) -> Order:
    """Return the depth operator that the evidence favours for a parent.

    Stacking wins for young parents (arXiv:2405.15319, from 8 to 24 layers); for parents at or past
    about 20 tokens per parameter interleaving is reported to win, because weight norms then rise
    with depth and a stack makes a cliff of them (arXiv:2510.08008, known at second hand). The two
    disagree where they overlap, so the answer is never sure.

    Args:
        tokens_per_parameter: Of the parent; None where its tokens are unknown.
        factor: The child's layers over the parent's.
        seam: The norm cliff of a stack of the parent, if one can be made.
        steepest: That of the parent as it is.
    """
    if tokens_per_parameter is None:
        operator, why = "interleave", "the safer order for parents that were trained to the end"
        source = f"{RECYCLING}, at second hand"
    elif tokens_per_parameter >= CROSSOVER_TOKENS:
        operator, why = "interleave", f"reported to win from about {CROSSOVER_TOKENS:g} tokens on"
        source = f"{RECYCLING}, at second hand; {G_STACK} found stacking better near there"
    elif factor != int(factor):
        operator = "interleave"
        why = "stack won for young parents, but here it would put a middle layer on top"
        source = f"{G_STACK}; {RECYCLING}, at second hand, contests it"
    else:
        operator, why = "stack", "it won for young parents"
        source = f"{G_STACK}, 8 to 24 layers; {RECYCLING}, at second hand, contests it near 20"
    text = f"{operator}: {why}{_cliff(seam, steepest)}. Only a probe can tell: --probe"
    answer = Answer(question="order", text=text, surety="contested", source=source)
    return Order(operator=operator, answer=answer)


def _cliff(seam: float | None, steepest: float) -> str:
    """Return what a stack's seam says about the order, where there is one."""
    if seam is None:
        return ""
    kind = "a norm cliff" if seam > CLIFF * steepest else "no norm cliff"
    return f"; a stack's seam would be {kind} here ({seam:.3g}, the parent's own {steepest:.3g})"


def exactness(plans: Mapping[str, GrowthPlan]) -> Answer:
    """Return which of some growths leave the function as it was.

    Args:
        plans: Each candidate's, by its name.
    """
    exact = [name for name, plan in plans.items() if plan.claim == "exact"]
    if exact:
        text = (
            f"{' and '.join(exact)}: the child begins at its parent's loss. That is no promise of "
            "a better end: at 1.1B silent layers saved a little less than stacking"
        )
        return Answer(question="exact", text=text, surety="reported", source=G_STACK)
    nearest = min(plans.values(), key=lambda plan: len(plan.departures))
    return Answer(
        question="exact",
        text=f"none of these: {'; '.join(nearest.departures)}",
        surety="computed",
        source="the plans' space maps",
    )


def payment(found: BreakEven, *, parent_flops: float | None, flops_per_token: float) -> Answer:
    """Return how soon a child must match a scratch run to pay, in three ledgers.

    Args:
        found: The ledgers.
        parent_flops: FLOPs of the parent, if they are known.
        flops_per_token: Of the child.
    """
    rows = {
        "parent charged": found.charged,
        "shared by two": found.shared,
        "parent free": found.free,
    }
    lines = [f"{name:<16}{_within(tokens, found.free)}" for name, tokens in rows.items()]
    cost = "an unknown C" if parent_flops is None else f"C = {parent_flops:.4g} FLOPs"
    return Answer(
        question="to pay",
        text=f"the child must match a scratch run of {format_count(found.free)} tokens within\n"
        + "\n".join(lines),
        surety="unknown" if parent_flops is None else "computed",
        source=f"D - C / F with {cost} of the parent, F = {flops_per_token:.4g} per child's token",
    )


def _within(tokens: float | None, scratch_tokens: float) -> str:
    if tokens is None:
        return "unknown, as the parent's tokens are"
    if tokens <= 0:
        cost = format_count(scratch_tokens - tokens)
        return f"never: what is charged cost as much as {cost} tokens of its own"
    return f"{format_count(tokens)} tokens of its own, {tokens / scratch_tokens:.0%}"


def stopping(*, parameters: int, tokens: float, seen: float | None) -> Answer:
    """Return when a parent that is made only to be grown should stop.

    Args:
        parameters: All of the target's.
        tokens: That the target would train on.
        seen: What the parent has seen, if that is known.
    """
    found = base_tokens(parameters=float(parameters), tokens=tokens)
    size = f"a target of {format_count(parameters)} parameters"
    if found is None:
        low, high = (format_count(share * tokens) for share in FALLBACK_SHARE)
        first, last = FALLBACK_SHARE
        return Answer(
            question="made to grow",
            text=f"a parent made only for this should stop at {low} to {high} tokens, {first:.0%} "
            f"to {last:.0%} of the child's{_beside(seen)}",
            surety="guess",
            source=f"ours; the law of {G_STACK}, fitted from 0.4B up, does not reach {size}",
        )
    beyond = ", beyond its fit" if parameters > LARGEST_FITTED else ""
    return Answer(
        question="made to grow",
        text=f"a parent made only for this should stop at {format_count(found)} tokens, "
        f"{found / tokens:.0%} of the child's{_beside(seen)}",
        surety="guess" if beyond else "reported",
        source=f"{G_STACK}, equation 4, for stacking, fitted from 0.4B to 7B; {size}{beyond}",
    )


def _beside(seen: float | None) -> str:
    return "" if seen is None else f"; this one has seen {format_count(seen)}"
