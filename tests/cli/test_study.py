"""``growlm study``: a grid of tiny runs, carried out, stopped, gone on with, and refused.

Stages that nobody grows from are not trained: they end at a loss that is known.
"""

import json
import tomllib

import pytest

from growlm.base.errors import Stopped
from growlm.optim.schedule import WarmupStableDecay
from growlm.pipeline import studying, viewing
from growlm.pipeline.events import Stop
from growlm.pipeline.run import train_alone
from growlm.runlog import Step, ValidationLoss, Writer

STUDY = """[study]
seeds = [1, 2]
peak_lr = [5e-3, 1e-2, 2e-2]

[[study.grid]]
stage = "grown"
values = { "grow.depth" = ["stack"], "schedule.warmup_steps" = [1, 2] }

[[study.grid]]
stage = "grown"
parent_share = [0.6]

[log]"""
SHORT = (
    "stage.base.tokens=512",
    "stage.grown.tokens=768",
    "stage.grown.optimizer.peak_lr=3e-2",
)
NAMES = [
    "base",
    "grown",
    "grown.depth-stack.warmup_steps-1",
    "grown.depth-stack",
    "base.share-0.6",
    "grown.share-0.6",
    "base.continued-grown",
]


def pretended(run, stage):
    """Leave what training would: a run log, and a last checkpoint that nobody looks into."""
    folder = run.folder
    if folder.final(stage.name).exists():
        return
    steps, controlled = stage.pace.steps, stage.origin.control_of is not None
    loss = 2 + 3e4 * stage.flops**-0.5 + abs(stage.optimizer.peak_lr - 1e-2) * controlled
    if controlled and isinstance(stage.schedule, WarmupStableDecay):
        loss -= 0.5
    log = Writer(folder.log(stage.name))
    for step in range(1, steps + 1):
        log.write(
            Step(
                step=step,
                tokens=step * stage.batch_tokens,
                loss=loss,
                lr=1e-2,
                gradient_norm=1.0,
                seconds=0.5,
            )
        )
    tokens = steps * stage.batch_tokens
    log.write(ValidationLoss(step=steps, tokens=tokens, loss=loss, losses={"tales": loss}))
    log.close()
    folder.final(stage.name).mkdir()
    yield from ()


def pretending(patch):
    """Let training be pretended, and return the seeds and stages that it was asked for."""
    asked = []

    def train(run, stage):
        asked.append((run.plan.experiment.seed, stage.name))
        return pretended(run, stage)

    patch.setattr(studying, "train_alone", train)
    patch.setattr(studying, "_timed", lambda _: 1e9)
    patch.setattr(studying.study_chart, "png", lambda *_: b"png")
    patch.setattr(viewing, "_exposure", lambda _: None)
    return asked


@pytest.fixture
def trained(monkeypatch):
    return pretending(monkeypatch)


@pytest.fixture(scope="module")
def write_study(write_tiny, edit, setting):
    """Return a function: a folder -> the words that carry out a study in it."""

    def write(folder):
        recipe = write_tiny(folder)
        edit(recipe, "[log]", STUDY)
        return ("study", recipe, "--out", folder / "out", *setting(*SHORT))

    return write


@pytest.fixture
def words(write_study, tmp_path):
    return write_study(tmp_path)


@pytest.fixture(scope="module")
def finished_study(growlm, write_study, tmp_path_factory):
    """Return a finished study's folder, what it printed, and what was trained."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        asked = pretending(patch)
        done = growlm(*write_study(folder), "--json")
    assert done.returncode == 0, done.stderr
    return folder / "out", [json.loads(line) for line in done.stdout.splitlines()], asked


@pytest.fixture(scope="module")
def found(finished_study):
    return json.loads((finished_study[0] / "study.json").read_text(encoding="utf-8"))


def controls(*rates):
    return [f"scratch-x{compute:g}-lr{rate:g}" for compute, rate in rates]


def test_every_cell_is_trained_once_and_the_best_controls_go_on(finished_study):
    _, _, asked = finished_study
    tried = [(compute, rate) for compute in (0.5, 1.0, 2.0) for rate in (5e-3, 1e-2, 2e-2)]
    assert asked == [
        *((1, name) for name in [*controls(*tried), *NAMES]),
        *((2, name) for name in [*NAMES, *controls((0.5, 1e-2), (1.0, 1e-2), (2.0, 1e-2))]),
    ]


def test_all_other_stages_train_at_the_best_rate_of_the_control(finished_study):
    out, _, _ = finished_study
    for seed in (1, 2):
        recipe = tomllib.loads((out / f"seed-{seed}" / "recipe.toml").read_text(encoding="utf-8"))
        rates = {each["name"]: each["optimizer"]["peak_lr"] for each in recipe["stage"]}
        assert {rates[name] for name in NAMES} == {1e-2}


def test_what_it_costs_is_told_before_anything_runs(finished_study):
    _, events, _ = finished_study
    first = events[0]["text"]
    assert first.startswith("2 runs, 26 stages, 26.88K tokens, 2.04e+09 FLOPs; about 2.0 s of ")
    later = [each["text"] for each in events[1:] if each["event"] == "notice"]
    assert later[-1].endswith("at the speed of what ran already")


def test_where_nothing_ran_yet_a_few_passes_tell_the_time(words):
    study = studying.study_of(words[1], SHORT, out=words[3], stop=Stop(), version="0")
    found = studying.outlook(study)
    assert found.known == "the fastest of 5 passes of the largest model"
    assert found.flops_left == found.flops
    assert 0 < found.seconds_left < 1e4


def test_what_the_first_seed_prepared_is_not_prepared_again(finished_study):
    _, events, _ = finished_study
    assert [each["step"] for each in events if each["event"] == "skipped"] == [
        f"seed 2, prepare:{name}" for name in ("tokenizer", "tales", "notes")
    ]


def test_the_table_is_that_of_the_logs(finished_study, found):
    out, _, _ = finished_study
    assert found["seeds"] == [1, 2]
    assert [each["arm"]["name"] for each in found["results"]] == [
        name for name in NAMES if name.startswith("grown")
    ]
    best = [(each["compute"], each["peak_lr"]) for each in found["tried"] if each["best"]]
    assert best == [(0.5, 1e-2), (1.0, 1e-2), (2.0, 1e-2)]
    for result in found["results"]:
        # By the law of the pretended losses a child saves nothing, its parent left out.
        charged, *_, free = result["accounts"]
        assert free["saved"]["mean"] == pytest.approx(0.0, abs=1e-4)
        wanted = 1 - charged["flops"]["mean"] / free["flops"]["mean"]
        assert charged["saved"]["mean"] == pytest.approx(wanted, abs=1e-4)
    text = (out / "study.md").read_text(encoding="utf-8")
    assert "| `grown.share-0.6` | parent.share = 0.6 | 2 |" in text
    assert (out / "study.png").read_bytes() == b"png"


def test_a_parent_trained_on_gets_the_compute_of_its_child(found):
    charged = found["results"][0]["accounts"][0]
    assert found["continued"]["name"] == "base.continued-grown"
    # Its tokens are whole batches, so it takes at most one more.
    assert 1.0 <= found["continued"]["flops"] / charged["flops"]["mean"] < 1.1


def test_a_stopped_study_goes_on_where_it_stopped(growlm, words, trained, monkeypatch):
    out, train = words[3], studying.train_alone
    words = (*words, "--set", "study.grid=[]")

    def stopping(run, stage):
        if (run.plan.experiment.seed, stage.name) == (2, "grown"):
            raise Stopped(15, saved="step 3 is saved", fix="the same command again")
        return train(run, stage)

    monkeypatch.setattr(studying, "train_alone", stopping)
    stopped = growlm(*words)
    assert (stopped.returncode, len(trained)) == (75, 13)
    assert "The study is not finished: 1 of 2 seeds." in (out / "study.md").read_text()
    kept = {path: path.stat().st_mtime_ns for path in out.rglob("log.jsonl")}
    monkeypatch.setattr(studying, "train_alone", train)
    assert growlm(*words).returncode == 0
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    assert "not finished" not in (out / "study.md").read_text()


def test_where_every_seed_is_tuned_each_tries_all_rates(growlm, words, trained):
    every = ("--set", "study.grid=[]", "--set", "study.tuned=every")
    assert growlm(*words, *every).returncode == 0
    tried = [name for seed, name in trained if seed == 2 and name.startswith("scratch")]
    assert len(tried) == 9


PLATEAU = """schedule = [
  { kind = "linear", warmup_steps = 2 },
  { kind = "warmup-stable-decay", warmup_steps = 2, decay_share = 0.5 },
]
[[study.grid]]
stage = "grown"
values = { "grow.depth" """


def test_a_schedule_that_is_better_from_scratch_goes_on(growlm, words, edit, trained):
    edit(words[1], '[[study.grid]]\nstage = "grown"\nvalues = { "grow.depth" ', PLATEAU)
    assert growlm(*words, "--set", "study.grid=[]").returncode == 0
    tried = [name for seed, name in trained if seed == 1 and name.startswith("scratch")]
    assert len(tried) == 18
    assert [name for seed, name in trained if seed == 2 and name.startswith("scratch")] == [
        f"scratch-x{compute}-lr0.01.kind-warmup-stable-decay.decay_share-0.5"
        for compute in ("0.5", "1", "2")
    ]
    page = (words[3] / "study.md").read_text(encoding="utf-8")
    assert "| warmup-stable-decay, warmup\\_steps = 2, decay\\_share = 0.5, final" in page


@pytest.mark.usefixtures("trained")
def test_a_run_of_a_study_is_an_ordinary_run(growlm, words, monkeypatch):
    real = {"base", "grown"}
    monkeypatch.setattr(
        studying,
        "train_alone",
        lambda run, stage: (train_alone if stage.name in real else pretended)(run, stage),
    )
    only = ("--set", "study.grid=[]", "--set", "study.seeds=[1]")
    assert growlm(*words, *only).returncode == 0
    run = words[3] / "seed-1"
    assert "study" not in tomllib.loads((run / "recipe.toml").read_text(encoding="utf-8"))
    again = growlm("train", run / "recipe.toml", "--out", run, "--stage", "grown", "--json")
    assert again.returncode == 0, again.stderr
    events = [json.loads(line) for line in again.stdout.splitlines()]
    assert {each["event"] for each in events} <= {"skipped", "notice"}
    assert {"train:base", "grow:grown", "train:grown"} <= {each.get("step") for each in events}


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("[study]", "[studies]", "expected a key of a recipe; got 'studies' (the"),
        (
            '["stack"]',
            '["stuck"]',
            "expected stage.grown.depth-stuck.warmup_steps-1.grow.depth to be",
        ),
        (
            'values = { "grow.depth" = ["stack"], "schedule.warmup_steps" = [1, 2] }',
            'values = { "grow.layers" = [3] }',
            "expected every child of a study to have the shape of the control, layers=2; "
            "got stage 'grown.layers-3' with layers=3. Try layers = 2, or another study.",
        ),
        (
            'values = { "grow.depth" = ["stack"], "schedule.warmup_steps" = [1, 2] }',
            'values = { "grow.optimizer_state" = ["asymmetric"] }',
            "got 'grown.optimizer_state-asymmetric', which is 'grown'. Try removing one of its",
        ),
        ("[0.6]", "[0.01]", "stage.base.share-0.01: expected"),
        (
            "peak_lr = [5e-3, 1e-2, 2e-2]",
            'peak_lr = [5e-3, 1e-2, 2e-2]\nschedule = [{ kind = "resume" }]',
            "expected study.schedule.#1.kind to be one that begins anew, cosine, linear, "
            "warmup-stable-decay or constant, in a stage that does not grow; got 'resume', which "
            "goes on with a parent's. Try cosine.",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_runs(
    refusal, words, edit, trained, *, old, new, line
):
    edit(words[1], old, new)
    assert line in refusal(*words, code=2)
    assert trained == []
    assert not words[3].exists()


def test_a_recipe_without_a_study_is_refused(refusal, recipe):
    line = refusal("study", recipe, code=2)
    assert line.startswith(
        f"{recipe}: expected a recipe with a study; got none. Try adding [study]"
    )


@pytest.mark.usefixtures("trained")
def test_a_study_has_no_place_in_a_run(refusal, words):
    place = words[3]
    place.mkdir()
    (place / "run.json").write_text("{}")
    assert "expected a folder for the study that is no run's" in refusal(*words)
