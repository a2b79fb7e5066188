"""``growlm train``: one stage, with what it depends on."""

import argparse
from collections.abc import Iterator

from growlm.base.version import VERSION
from growlm.cli import options as shared
from growlm.cli.show import show
from growlm.pipeline.events import Event
from growlm.pipeline.open import plan_of, run_of
from growlm.pipeline.ranks import joined, together
from growlm.pipeline.run import Run, cautioned, prepare, train


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    shared.recipe(parser)
    parser.add_argument("--stage", required=True, metavar="NAME", help="the stage to train")
    shared.stopping(parser)
    shared.output(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    with (
        shared.stopped(options) as stop,
        joined(patience_seconds=stop.patience_seconds) as world,
    ):
        _check_stage(options)  # before anything is opened
        with run_of(
            options.recipe,
            options.overrides,
            out=options.out,
            stop=stop,
            version=VERSION,
            allow_fallback=options.allow_fallback,
            world=world,
        ) as job:
            show(together(job, _events(job, options.stage)), options)
    return 0


def _check_stage(options: argparse.Namespace) -> None:
    plan_of(options.recipe, options.overrides).stage(options.stage)


def _events(job: Run, stage: str) -> Iterator[Event]:
    planned = job.plan.stage(stage)
    yield from cautioned(job, job.plan.ancestry(planned))
    yield from prepare(job)
    yield from train(job, planned)
