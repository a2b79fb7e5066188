"""Rolling back: from steps that go wrong to the weights before them, and on from there."""

from collections.abc import Callable, Iterator

from growlm import checkpoint
from growlm.base.errors import TrainingError
from growlm.pipeline.events import Event, Notice
from growlm.pipeline.keeping import step_checkpoints, step_path
from growlm.pipeline.stagejob import Training
from growlm.runlog import Notice as LoggedNotice, Rollback, Writer
from growlm.training.spikes import UNDONE
from growlm.training.state import TrainState

FIX = "a lower peak_lr, a longer warm-up, or a larger roll_back_after"


def rolled_back(
    job: Training, state: TrainState, log: Writer, *, settle: Callable[[], None]
) -> Iterator[Event]:
    """Take the weights back where too many of the latest steps were not taken, and say so.

    Step and cursor stay: the data in between are read and not learned, and the stage ends where
    the plan says. The random streams go on, too. Whatever follows is the same after a resume: only
    checkpoints of the plan are gone back to, and none twice. Of many ranks the first one finds it.

    Args:
        job: The stage.
        state: Taken back in place.
        log: Where it is noted.
        settle: Waits for a checkpoint that is being written.

    Raises:
        TrainingError: There is no such checkpoint, or it was gone back to before.
        CheckpointError: It is damaged.
    """
    first = state.watch.roll_back_before(state.step)
    if first is None:
        return
    settle()
    if job.world.leads:
        to = _target(job, state, first)
        path = step_path(job.place, to)
        checkpoint.verify(path, checkpoint.read_meta(path))
        job.world.say(str(to))
    else:
        to = int(job.world.hear())
        path = step_path(job.place, to)
    meta = checkpoint.read_meta(path)
    state.load(checkpoint.unread_weights(path), checkpoint.unread_optimizer(path))
    if state.ema is not None:
        state.ema.load(checkpoint.unread_ema(path))
    state.watch.roll_back(meta.training, first=to + 1, last=state.step)
    tokens = state.step * job.stage.batch_tokens
    text = (
        f"stage '{job.stage.name}' went back from step {state.step:,} to the weights of step "
        f"{to:,}, since too many steps were not taken, and reads on from where it was"
    )
    log.write(Rollback(step=state.step, tokens=tokens, to=to))
    log.write(LoggedNotice(step=state.step, tokens=tokens, text=text))
    yield Notice(text=text)


def _target(job: Training, state: TrainState, first: int) -> int:
    """Return the step of the plan's last checkpoint before a step."""
    found = step_checkpoints(job.place)
    undone = {*state.watch.skipped.get(UNDONE, [])}
    planned = [step for step in job.stage.pace.checkpoint_steps if step < first]
    before = [step for step in planned if step in found and step not in undone]
    if not before:
        raise TrainingError(
            f"a checkpoint from before step {first} to go back to",
            got=f"none, and too many steps that were not taken at step {state.step}",
            fix=f"a smaller checkpoint_every, or {FIX}",
        )
    if before[-1] + 1 in undone:
        raise TrainingError(
            f"steps that can be taken after going back to step {before[-1]}",
            got=f"again too many that cannot, at step {state.step}",
            fix=FIX,
        )
    return before[-1]
