"""``growlm plan``: whether a recipe fits its devices, and what would make it fit."""

import json
from pathlib import Path

import pytest

RECIPES = Path(__file__).parents[2] / "recipes"
CHILD = RECIPES / "gpt-1.1b.toml"
POD = ("plan", CHILD, "--device-memory", "16GiB", "--devices", 32)


@pytest.fixture
def planned(growlm):
    """A function: the words of a command -> its stages, by name, as JSON has them."""

    def run(*words):
        done = growlm(*words, "--json")
        assert done.returncode == 0, done.stderr
        return {stage["name"]: stage for stage in json.loads(done.stdout)["stages"]}

    return run


def test_the_published_child_does_not_fit_16_gib_whole(planned):
    stage = planned(*POD[:-2])["gpt-1.1b"]
    state = ("parameters", "gradients", "moments")
    held = sum(stage["needs"][name] for name in state)
    assert held == pytest.approx(16 * stage["parameters"], rel=1e-5)
    assert (stage["sharding"], stage["fits"], stage["largest_micro_batch"]) == ("none", False, None)
    assert all(way["bytes"] <= 2**34 for way in stage["ways"])
    assert {way["sharding"] for way in stage["ways"]} == {"none"}
    assert {way["moments"] for way in stage["ways"]} <= {"bfloat16", "8bit"}


def test_many_devices_hold_what_they_would_under_torchrun(planned):
    whole = planned(*POD[:-2])["gpt-1.1b"]["needs"]
    found = {
        sharding: planned(*POD, "--devices-per-node", 8, "--set", f"sharding={sharding}")[
            "gpt-1.1b"
        ]
        for sharding in ("zero1", "hybrid", "zero3")
    }
    assert planned(*POD)["gpt-1.1b"]["needs"] == found["zero1"]["needs"]
    for sharding, shards in (("zero1", 32), ("hybrid", 8), ("zero3", 32)):
        assert found[sharding]["sharding"] == sharding
        for part in ("parameters", "moments"):
            assert found[sharding]["needs"][part] == -(-whole[part] // shards)
    assert found["zero1"]["needs"]["gradients"] == whole["gradients"]
    assert found["hybrid"]["needs"]["gradients"] == -(-whole["gradients"] // 8)
    for sharding, ways in (("zero1", {"zero1", "zero3"}), ("zero3", {"zero3"})):
        assert {way["sharding"] for way in found[sharding]["ways"]} <= ways


def test_a_larger_context_needs_more(planned):
    words = ("--set", "stage.gpt-1.1b.micro_batch=4096", "--set", "stage.gpt-1.1b.batch=524288")
    found = [
        planned(*POD, *words, "--set", f"stage.gpt-1.1b.context={each}")["gpt-1.1b"]["needs"]
        for each in (512, 1024)
    ]
    assert found[1]["places"] == 4 * found[0]["places"]
    assert found[1]["activations"] == found[0]["activations"]
    assert found[1]["peak"] > found[0]["peak"]


def test_every_way_that_is_told_fits_when_it_is_asked_for(planned, recipe, setting):
    deep = setting(
        "stage.base.model={layers = 6, heads = 2, width = 64}",
        'stage.grown.grow={from = "base", layers = 12}',
        *("stage.base.context=128", "stage.base.batch=512", "stage.base.tokens=4096"),
    )
    words = ("plan", recipe, *deep, "--on", "cpu", "--device-memory")
    roomy = planned(*words, "1GiB")["base"]
    assert (roomy["fits"], roomy["ways"], roomy["assumed"]) == (True, [], {})
    kinds = set()
    for memory in (roomy["bytes"] - 1, int(0.7 * roomy["bytes"]), roomy["bytes"] // 2):
        stage = planned(*words, f"{memory}B")["base"]
        assert not stage["fits"]
        for way in stage["ways"]:
            asked = planned(*words, f"{memory}B", *setting(*way["settings"]))["base"]
            assert (asked["fits"], asked["bytes"]) == (True, way["bytes"])
            kinds |= {way["checkpointing"], way["moments"]}
    assert kinds >= {"none", "budget", "bfloat16", "8bit"}


def test_of_two_ways_none_is_the_other_and_more(planned):
    order = ("zero1", "zero3", "none", "selective", "budget", "full")
    order += ("float32", "bfloat16", "8bit")
    levers = ("sharding", "checkpointing", "moments")
    ways = [
        (-way["micro_batch"], *(order.index(way[lever]) for lever in levers))
        for way in planned(*POD)["gpt-1.1b"]["ways"]
    ]
    for one in ways:
        for other in ways:
            assert one is other or not all(a <= b for a, b in zip(one, other, strict=True))


def test_time_and_money_follow_from_a_stated_speed(planned):
    words = ("--tokens-per-second", "10K", "--price", "2.5/h")
    stage = planned(*POD, *words)["gpt-1.1b"]
    assert stage["seconds"] == pytest.approx(stage["tokens"] / (32 * 10_000))
    assert stage["cost"] == pytest.approx(stage["seconds"] / 3600 * 32 * 2.5)
    assert stage["speed"]["known"] == "stated"


def test_an_assumed_utilisation_counts_all_of_attention(planned):
    stage = planned(*POD, "--mfu", 0.4, "--peak-flops", "989e12")["gpt-1.1b"]
    whole = stage["flops_per_token_whole"]
    assert stage["speed"]["known"] == "assumed"
    assert stage["speed"]["tokens_per_second"] == pytest.approx(0.4 * 989e12 / whole)
    assert whole - stage["flops_per_token"] == 6 * 36 * 1536 * 512


def test_a_run_log_knows_the_speed(planned, finished):
    words = ("plan", finished / "tiny.toml", "--out", finished / "run", "--device-memory", "1GiB")
    speed = planned(*words)["base"]["speed"]
    assert speed["known"] == "measured"
    assert "steps of its run log, on" in speed["words"]


def test_the_table_says_what_is_assumed_and_what_is_unknown(growlm, recipe):
    done = growlm("plan", recipe, "--device-memory", "16GiB", "--devices", 3, "--price", "1/h")
    assert done.returncode == 0, done.stderr
    for text in (
        "3 devices of 16.0 GiB, computing in bfloat16",
        "CUDA context (assumed, not measured)",
        "no: --tokens-per-second, or --mfu and --peak-flops",
        "is not a whole number of micro-batches",
    ):
        assert text in done.stdout
    assert growlm("plan", recipe, "--device-memory", "16GiB", "--quiet").stdout == ""


def test_a_run_that_would_be_refused_is_told_so(growlm, recipe, monkeypatch):
    monkeypatch.setattr("growlm.pipeline.planning.free_bytes", lambda _: 2**10)
    done = growlm("plan", recipe, "--device-memory", "1GiB")
    assert "note: here the run would be refused: its checkpoints need" in done.stdout
    assert "on a disk with 1.0 KiB free" in done.stdout


def test_a_stage_that_nothing_makes_fit_is_told_so(growlm, recipe):
    done = growlm("plan", recipe, "--device-memory", "1KiB")
    assert "base: nothing that growlm knows makes it fit" in done.stdout


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ("--device-memory", "16G"),
            "--device-memory to be a size such as 16GiB, 512MiB or 80GB; got '16G'. "
            "Try --device-memory 16GiB.",
        ),
        (
            ("--device-memory", "1GB", "--devices", "12", "--devices-per-node", "8"),
            "--devices to be a multiple of --devices-per-node 8; got 12. Try --devices 16.",
        ),
        (
            ("--device-memory", "1GB", "--price", "cheap"),
            "--price to be a price an hour; got 'cheap'. Try --price 2.5/h.",
        ),
        (
            ("--device-memory", "1GB", "--mfu", "1.5"),
            "--mfu to be above 0 and at most 1; got '1.5'. Try --mfu 0.4.",
        ),
        (
            ("--device-memory", "1GB", "--mfu", "0.5"),
            "--peak-flops beside --mfu; got none. Try --peak-flops 989e12.",
        ),
        (
            ("--device-memory", "1GB", "--peak-flops", "989e12"),
            "--mfu beside --peak-flops; got none. Try --mfu 0.4.",
        ),
    ],
)
def test_what_it_cannot_read_is_one_line(refusal, recipe, words, line):
    assert refusal("plan", recipe, *words, code=2) == f"expected {line}"
