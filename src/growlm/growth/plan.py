"""The plan of one growth: where every layer, head and unit comes from, and what that claims."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from growlm.growth.depth import Claim, DepthPlan
from growlm.growth.maps import SpaceMap, identity, product
from growlm.model.attention import alibi_slopes
from growlm.model.config import GPTConfig

_CLOSE = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthPlan:
    """One growth as data: a depth plan, a map for each space, and the few numbers between them.

    Weights, moments, claim and certificate are all read off it; no operator has code elsewhere.
    """

    parent: GPTConfig
    child: GPTConfig
    depth: DepthPlan
    resid: SpaceMap
    heads: SpaceMap
    """Query heads; what reads them is the attention's output."""
    kv_heads: SpaceMap
    query: SpaceMap
    """Coordinates inside a head, as queries write them."""
    key: SpaceMap
    """The same, as keys write them."""
    value: SpaceMap
    """The same, as values write them and the attention's output reads them."""
    mlp: SpaceMap
    new_tokens: tuple[tuple[int, ...], ...]
    """For each new token, the old ones whose mean it begins as; none stands for all of them."""
    norm_gain: float
    """Factor of every norm's gain: it undoes what padding does to the variance."""
    logit_gain: float
    """Further factor of the final norm, gain and offset: a tied head cannot be divided."""
    shrink: float
    """Factor of every matrix, before noise."""
    noise: float
    """Standard deviation of the noise on every matrix."""
    output_noise: float
    """The same, of the matrices that write the residual stream."""
    scaled: bool
    """Whether a layer's copies share its output evenly instead of each giving all of it."""
    drawn: tuple[int, ...]
    """Layers of the child whose weights are drawn as in a new model, and copy nothing."""
    seed: int
    """Of what is drawn: fresh layers and units, free columns, noise."""

    def axis(self, space: str) -> SpaceMap:
        """Return the map of one of ``model.spaces``' spaces.

        Raises:
            KeyError: It is one that no growth changes.
        """
        return {
            "resid": lambda: self.resid,
            "query": lambda: product(self.heads, self.query),
            "key": lambda: product(self.kv_heads, self.key),
            "value": lambda: product(self.kv_heads, self.value),
            "attended": lambda: product(self.heads, self.value),
            "mlp": lambda: self.mlp,
            "vocab": lambda: self._vocab,
            "place": lambda: identity(self.parent.context),
            "head_width": lambda: self.value,
        }[space]()

    @property
    def _vocab(self) -> SpaceMap:
        if not self.new_tokens:
            return identity(self.parent.padded_vocab_size)
        rows = self.child.padded_vocab_size
        known = range(self.parent.vocab_size)
        return SpaceMap(
            parent_size=self.parent.padded_vocab_size,
            sources=(*known, *([None] * (rows - len(known)))),
            writes=(1.0,) * rows,
            reads=(1.0,) * rows,
            fill="silent",
        )

    @property
    def output_scale(self) -> tuple[float, ...]:
        """Return the factor of each layer's outputs: one over its copies that are heard, or 1."""
        if not self.scaled:
            return (1.0,) * self.depth.layers
        heard = Counter(
            source
            for layer, source in enumerate(self.depth.sources)
            if layer not in self.depth.silent
        )
        return tuple(1.0 / max(heard[source], 1) for source in self.depth.sources)

    @property
    def claim(self) -> Claim:
        """Exact if the child computes what its parent does, up to rounding."""
        return "approximate" if self.departures else "exact"

    @property
    def departures(self) -> tuple[str, ...]:
        """Return every way in which the child departs from its parent; none if it is exact."""
        return tuple(_departures(self))

    @property
    def is_depth_only(self) -> bool:
        """Return whether no tensor inside a layer changes its shape or values."""
        maps = (self.resid, self.heads, self.kv_heads, self.query, self.key, self.value, self.mlp)
        same = all(each.is_identity for each in maps) and not self.new_tokens
        changed = self.noise or self.scaled or self.drawn
        return same and self.shrink == 1.0 and not changed

    def as_dict(self) -> dict[str, Any]:
        """Return the plan for JSON; its digest identifies it."""
        plain: dict[str, Any] = _plain(self)
        if not self.drawn:
            del plain["drawn"]  # so that plans keep the digest they had before layers were drawn
        return plain


def _plain(value: Any) -> Any:
    """Return data classes as mappings; a map's coordinates, which are many, stay as they are."""
    if not is_dataclass(value):
        return value
    return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}


def _departures(plan: GrowthPlan) -> Iterator[str]:
    if plan.depth.claim != "exact":
        repeated = "layers are repeated and all of them are heard"
        yield "layers that are drawn at random are heard" if plan.drawn else repeated
    if plan.shrink != 1.0 or plan.noise:
        yield "weights are shrunk or perturbed"
    if plan.new_tokens:
        yield "new tokens take part in every softmax"
    if not (plan.mlp.whole and plan.mlp.fill == "new"):
        yield "MLP units are not read as they were"
    yield from _residual(plan)
    yield from _attention(plan)


def _residual(plan: GrowthPlan) -> Iterator[str]:
    copies = set(plan.resid.copies.values())
    padding = plan.resid.sources.count(None)
    if len(copies) != 1 or len(plan.resid.copies) != plan.resid.parent_size:
        yield "coordinates of the residual stream are copied unequally often"
        return
    (times,) = copies
    kept = times * plan.resid.parent_size / plan.resid.size
    wanted = "mean" if plan.parent.norm == "layernorm" else "zero"
    gains = (plan.norm_gain, plan.child.norm_eps)
    if padding and plan.resid.fill != wanted:
        yield f"the residual stream is padded so that {plan.parent.norm} notices"
    if not all(map(_close, gains, (math.sqrt(kept), kept * plan.parent.norm_eps))):
        yield "the norms are not told of the padding"
    if not (plan.resid.whole and set(plan.resid.writes) <= {1.0, 0.0}):
        yield "the residual stream is not read as it was"
    if not _close(plan.logit_gain, 1.0 / times if plan.parent.tied else 1.0):
        yield "logits are scaled"


def _attention(plan: GrowthPlan) -> Iterator[str]:
    if not plan.heads.whole or plan.heads.fill != "new":
        yield "heads are not read as they were"
    if not plan.value.whole or plan.value.fill != "new":
        yield "values are not read as they were"
    if not _scores_kept(plan):
        yield "attention scores are scaled"
    if misplaced(plan.parent, plan.child, plan.heads):
        yield "heads have another ALiBi slope than their source"
    if regrouped(plan):
        yield "query heads read another key/value head than their source"


def _scores_kept(plan: GrowthPlan) -> bool:
    """Return whether every query and key still meet with the score they had."""
    scale = math.sqrt(plan.child.head_width / plan.parent.head_width)
    sums = [0.0] * plan.parent.head_width
    pairs = zip(plan.query.sources, plan.key.sources, strict=True)
    for place, (source, other) in enumerate(pairs):
        if source != other:
            return False
        if source is not None:
            sums[source] += plan.query.writes[place] * plan.key.writes[place]
    padded = None in plan.key.sources
    return all(_close(total, scale) for total in sums) and not (padded and plan.key.fill != "zero")


def misplaced(parent: GPTConfig, child: GPTConfig, heads: SpaceMap) -> list[int]:
    """Return the child's heads whose ALiBi slope is not their source's."""
    if parent.positions != "alibi":
        return []
    old = [float(slope) for slope in alibi_slopes(parent.heads)]
    new = [float(slope) for slope in alibi_slopes(child.heads)]
    return [
        head
        for head, source in enumerate(heads.sources)
        if source is not None and new[head] != old[source]
    ]


def regrouped(plan: GrowthPlan) -> list[int]:
    """Return the child's query heads that read a key/value head which is not their source's."""
    before = plan.parent.heads // plan.parent.kv_heads
    after = plan.child.heads // plan.child.kv_heads
    return [
        head
        for head, source in enumerate(plan.heads.sources)
        if source is not None
        if plan.kv_heads.sources[head // after] != source // before
    ]


def _close(value: float, wanted: float) -> bool:
    return math.isclose(value, wanted, rel_tol=_CLOSE)
