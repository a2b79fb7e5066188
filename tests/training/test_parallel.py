"""Many ranks: worlds of one, two and three train the same, on CPUs, by gloo."""

import json
from pathlib import Path

import pytest

from growlm.base.errors import TrainingError
from growlm.training.parallel import World, is_lost, started

CASES = [
    "tied",
    "untied, masked, accumulated, uneven",
    "zero3",
    "hybrid",
    "bfloat16",
    "8bit",
    "Muon and an average",
    "Muon in hybrid",
    "followed exactly",
]
EXACT = 1e-6
"""How far losses and norms of another world may be: sums are taken in another order."""


@pytest.fixture(scope="module")
def found(tmp_path_factory, forked):
    """What every world of ``ranks.py`` found, all of them run once."""
    script, folder = Path(__file__).with_name("ranks.py"), tmp_path_factory.mktemp("ranks")
    done = forked(run_script=[str(script), str(folder)])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def same(one, other):
    return one == pytest.approx(other, rel=0, abs=EXACT)


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_log_what_one_process_does(found, case):
    one, two = found["1"][case], found["2"][case]
    for kind in ("loss", "norm", "validation", "average"):
        assert same(two[kind], one[kind]), kind


def test_a_rank_that_has_no_sequence_of_its_own_changes_nothing(found):
    # Five sequences for three ranks: the last one fills up with one that does not count.
    case = "untied, masked, accumulated, uneven"
    assert same(found["3"][case]["loss"], found["1"][case]["loss"])
    assert same(found["3"][case]["norm"], found["1"][case]["norm"])


def test_a_mean_over_the_ranks_in_place_of_their_sum_would_be_noticed(found):
    one, two = found["1"]["tied"], found["2"]["averaged"]
    assert two["norm"][0] == pytest.approx(one["norm"][0] / 2, abs=EXACT)
    assert not same(two["norm"], one["norm"])


@pytest.mark.parametrize("world", ["1 after 2", "3"])
def test_what_two_ranks_saved_goes_on_in_another_world(found, world):
    unbroken, other = found["1"]["unbroken"], found[world]["goes on"]
    assert same(other["loss"], unbroken["loss"])
    assert same(other["norm"], unbroken["norm"])


@pytest.mark.parametrize("world", ["1 after 2", "3", "4"])
def test_what_two_ranks_wrote_in_parts_beside_training_goes_on_in_another_world(found, world):
    unbroken, other = found["2"]["in parts"], found[world]["from parts"]
    for kind in ("loss", "norm", "average"):
        assert same(other[kind], unbroken[kind]), kind


def test_every_rank_writes_a_part_and_the_first_one_knows_all_hashes(found):
    assert list(found["2"]["in parts"]["digests"]) == [
        "part-00000.safetensors",
        "part-00001.safetensors",
    ]


def test_a_rank_that_cannot_write_its_part_is_named(found):
    assert found["2"]["in parts"]["refused"].startswith(
        "expected a file that is there; got 'No such file or directory' at "
    )
    assert found["2"]["in parts"]["refused"].endswith(", on rank 0. Try the right path.")


def test_muon_on_four_ranks_of_two_nodes_moves_as_on_one(found):
    one, four = found["1"]["Muon in hybrid"], found["4"]["Muon in hybrid"]
    assert same(four["loss"], one["loss"])
    assert same(four["average"], one["average"])


def test_every_rank_drops_by_a_stream_of_its_own_and_goes_on_with_it(found):
    dropped = found["2"]["dropped"]
    assert dropped["streams"] == 2
    assert dropped["gone on"] == dropped["unbroken"]


def test_ranks_hear_what_the_first_one_says_and_it_learns_what_ended_them(found):
    assert found["2"]["talk"]["confession"] == "rank 1: heard ['base', 'grown']"
    assert found["2"]["talk"]["largest"] == 15


def test_hybrid_sharding_needs_nodes_of_one_size(found):
    assert found["2"]["talk"]["refused"] == ""
    assert found["3"]["talk"]["refused"] == (
        "expected as many ranks on every node, for sharding = hybrid; got 3 ranks, 2 on this node. "
        "Try zero1 or zero3, or the same --nproc-per-node everywhere."
    )


def test_a_process_that_torchrun_did_not_start_is_alone(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with started() as world:
        assert (world.rank, world.size, world.leads) == (0, 1, True)
        assert world.confession() is None
        world.say("nothing is sent")


def test_ranks_that_do_not_find_each_other_end_with_a_line(monkeypatch):
    told = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "70000"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TrainingError) as caught, started():
        pass
    assert str(caught.value) == (
        "expected all ranks to find each other; got 'port must have value from 0 to 65535 but was "
        "70000.'. Try an address and a port of the first node that all nodes reach."
    )


def test_a_share_holds_as_many_sequences_on_every_rank(batches):
    whole = batches(0)
    shares = [whole.share(World(rank=rank, size=3)) for rank in range(3)]
    assert [share.ids.shape[0] for share in shares] == [3, 3, 3]
    assert sum(share.counted_targets for share in shares) == whole.counted_targets


@pytest.mark.parametrize(
    ("words", "lost"),
    [("[gloo/transport/tcp/pair.cc:534] Connection closed by peer", True), ("shape", False)],
)
def test_a_lost_rank_is_told_from_a_mistake(words, lost):
    assert is_lost(RuntimeError(words)) is lost
