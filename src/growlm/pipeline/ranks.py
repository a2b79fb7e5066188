"""Many ranks in one run: the first one carries it out, the others take their part in training."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress

from growlm.base.errors import GrowlmError, Stopped, TrainingError
from growlm.pipeline.data import packed_sources
from growlm.pipeline.events import Event
from growlm.pipeline.run import Run
from growlm.pipeline.stagejob import training_of
from growlm.pipeline.training import train_stage
from growlm.training.parallel import END, EndedError, World, is_lost, started


@contextmanager
def joined(*, patience_seconds: float | None = None) -> Generator[World, None, None]:
    """Yield the world of this process, and let what ends one rank end all, told in one line.

    Args:
        patience_seconds: How long a rank may stand still, where somebody watches.

    Raises:
        TrainingError: Another rank ended; what it said is repeated.
        SystemExit: This is not the first rank, which is the one that speaks.
    """
    with started(patience_seconds=patience_seconds) as world:
        try:
            yield world
        except (GrowlmError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and (world.size == 1 or not is_lost(error)):
                raise
            if not world.leads:
                raise _left(world, error) from error
            raise _told(world, error) from error
        finally:
            if world.leads:
                world.say(END)


def _left(world: World, error: Exception) -> SystemExit:
    """Return what ends a rank that leaves word instead of speaking."""
    if not isinstance(error, GrowlmError):
        return SystemExit(1)
    timed = isinstance(error, Stopped) and error.signal_number is None and not error.at_once
    if not timed:  # else all stop together, and the first rank knows why
        world.confess(str(error))
    return SystemExit(error.exit_code)


def _told(world: World, error: Exception) -> GrowlmError:
    """Return what the first rank says of an error: another rank's own words, where that caused it.

    When a rank ends, torchrun asks the others to stop, so that is no reason either.
    """
    word = world.confession()
    if isinstance(error, GrowlmError) and (word is None or not isinstance(error, Stopped)):
        return error
    return TrainingError(
        "every rank to go on",
        got=f"'{word}'" if word else "one that no longer answers",
        fix="the same command again: it goes on from the last checkpoint",
    )


def together(run: Run, events: Iterator[Event]) -> Iterator[Event]:
    """Yield the events of a run on its first rank; on the others train when told to, in silence.

    Args:
        run: On every rank of the same recipe, and of a folder that all can read.
        events: What the first rank does.
    """
    if run.world.leads:
        yield from events
        return
    with suppress(EndedError):
        while True:
            name = run.world.hear()
            sources = packed_sources(run.plan, run.folder)
            stage = run.plan.stage(name)
            job = training_of(run.plan, stage, run.folder, sources, stop=run.stop, world=run.world)
            for _event in train_stage(job):
                continue
