"""Width operators: published placements, factors, and the refusals of what cannot be exact."""

from collections.abc import Callable

import pytest

from growlm.base.errors import GrowthError
from growlm.growth.width import UNITS, head_maps, head_width_maps, lemon, mlp_map, sparkling
from growlm.model.attention import alibi_slopes
from growlm.model.config import GPTConfig

Configs = Callable[..., GPTConfig]


def test_the_references_width_of_1536_grows_to_2048_by_padding_a_quarter(
    tiny_config: Configs,
) -> None:
    grown = lemon(tiny_config(width=1536, norm="layernorm"), 2048)
    assert grown.resid.sources.count(None) == 512
    assert grown.resid.fill == "mean"
    assert grown.norm_gain == pytest.approx(0.8660, abs=1e-4)
    assert grown.eps_gain == pytest.approx(0.75)
    assert grown.logit_gain == 1.0


def test_a_multiple_of_the_width_is_a_plain_clone(tiny_config: Configs) -> None:
    grown = lemon(tiny_config(width=16, norm="rmsnorm", tied=True), 48)
    assert grown.resid.sources == (*range(16), *range(16), *range(16))
    assert set(grown.resid.reads) == {1 / 3}
    assert (grown.norm_gain, grown.eps_gain, grown.logit_gain) == (1.0, 1.0, 1 / 3)


def test_an_untied_head_needs_no_help_from_the_final_norm(tiny_config: Configs) -> None:
    assert lemon(tiny_config(tied=False), 32).logit_gain == 1.0


def test_sparkling_scales_readers_by_the_root_of_the_widths(tiny_config: Configs) -> None:
    grown = sparkling(tiny_config(width=16), 64)
    assert set(grown.resid.reads) == {0.5}
    assert grown.resid.fill == "random"


@pytest.mark.parametrize("units", UNITS)
def test_every_way_to_add_units_reads_the_old_ones_as_before(units: str) -> None:
    assert mlp_map(units, 48, to=64).whole
    assert mlp_map(units, 48, to=48).is_identity


def test_twelve_alibi_heads_find_their_slopes_among_sixteen(tiny_config: Configs) -> None:
    parent = tiny_config(heads=12, kv_heads=12, head_width=2)
    slots = head_maps(parent, heads=16, kv_heads=16, units="new").heads.sources
    assert [slots.index(head) for head in range(12)] == [1, 3, 5, 7, 9, 11, 13, 15, 0, 2, 4, 6]
    assert [slot for slot, source in enumerate(slots) if source is None] == [8, 10, 12, 14]


def test_every_alibi_slope_is_among_those_of_more_heads() -> None:
    for heads in range(1, 65):
        few = set(alibi_slopes(heads).tolist())
        assert len(few) == heads
        assert few <= set(alibi_slopes(heads + 7).tolist())


def test_alibi_heads_in_groups_are_refused_with_the_reason(tiny_config: Configs) -> None:
    parent = tiny_config(heads=4, kv_heads=2, head_width=4)
    words = r"keep their ALiBi slope and their key/value head; got 4 heads on 2 .*another group"
    with pytest.raises(GrowthError, match=words):
        head_maps(parent, heads=8, kv_heads=4, units="new")


def test_more_query_heads_join_inside_each_group(tiny_config: Configs) -> None:
    parent = tiny_config(heads=4, kv_heads=2, head_width=4, positions="rotary")
    sources = head_maps(parent, heads=6, kv_heads=2, units="new").heads.sources
    assert sources == (0, 1, None, 2, 3, None)


def test_key_value_heads_are_repeated_in_place_and_not_tiled(tiny_config: Configs) -> None:
    parent = tiny_config(heads=4, kv_heads=2, head_width=4, positions="rotary")
    assert head_maps(parent, heads=4, kv_heads=4, units="new").kv_heads.sources == (0, 0, 1, 1)


@pytest.mark.parametrize(
    ("heads", "kv_heads", "words"),
    [
        (7, 2, r"heads to be a multiple of kv_heads; got heads=7, kv_heads=2"),
        (12, 4, r"as many query heads for each key/value head as before \(2\), or the old"),
    ],
)
def test_head_counts_that_do_not_fit_are_refused(
    tiny_config: Configs, heads: int, kv_heads: int, words: str
) -> None:
    parent = tiny_config(heads=4, kv_heads=2, head_width=4, positions="rotary")
    with pytest.raises(GrowthError, match=words):
        head_maps(parent, heads=heads, kv_heads=kv_heads, units="new")


def test_key_value_heads_that_cannot_be_repeated_evenly_are_refused(tiny_config: Configs) -> None:
    parent = tiny_config(heads=12, kv_heads=2, head_width=4, positions="rotary")
    with pytest.raises(
        GrowthError, match=r"a multiple of the parent's while heads stay; got 2 -> 3"
    ):
        head_maps(parent, heads=12, kv_heads=3, units="new")


def test_wider_rotary_heads_are_refused_with_the_reason(tiny_config: Configs) -> None:
    with pytest.raises(GrowthError, match=r"whose rotary angles depend on it; got head_width 8"):
        head_width_maps(tiny_config(positions="rotary"), 16, units="uneven")


def test_new_coordinates_of_heads_are_no_copies(tiny_config: Configs) -> None:
    maps = head_width_maps(tiny_config(), 16, units="new")
    for map_ in (maps.query, maps.key, maps.value):
        assert map_.sources == (*range(8), *[None] * 8)
    assert maps.key.fill == "zero"


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("head_width", [16, 24, 12, 9])
def test_wider_heads_keep_every_score(tiny_config: Configs, head_width: int, units: str) -> None:
    maps = head_width_maps(tiny_config(), head_width, units=units)
    sums = [0.0] * 8
    for source, query, key in zip(
        maps.query.sources, maps.query.writes, maps.key.writes, strict=True
    ):
        if source is not None:
            sums[source] += query * key
    assert sums == pytest.approx([(head_width / 8) ** 0.5] * 8)
    assert maps.value.whole


def test_an_unknown_way_to_add_units_is_answered_with_the_nearest() -> None:
    with pytest.raises(GrowthError, match=r"new, even, uneven, noised; got 'unevn'\. Try uneven\."):
        mlp_map("unevn", 4, to=8)
