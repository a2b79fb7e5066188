"""What a stage needs to be trained: its part of the plan, its data, its place, its tokenizer."""

from dataclasses import dataclass
from pathlib import Path

from growlm.base.files import storage
from growlm.corpus.ledger import Segment
from growlm.pipeline.data import Sources, StageData, stage_data
from growlm.pipeline.events import Stop
from growlm.pipeline.folder import RunFolder
from growlm.pipeline.plan import Plan
from growlm.pipeline.stageplan import StagePlan
from growlm.training.parallel import ALONE, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """A stage about to be trained, with everything it needs."""

    plan: Plan
    stage: StagePlan
    folder: RunFolder
    sources: Sources
    data: StageData
    tokenizer: str
    """The tokenizer's JSON."""
    stop: Stop
    world: World
    """The ranks that train it together."""
    allow_fallback: bool = False
    """Whether to go on from an earlier checkpoint than a damaged one."""
    segments: tuple[Segment, ...] = ()
    """The stages of the exposure ledger, this one last and up to its end."""

    @property
    def place(self) -> Path:
        """Where the run log and the checkpoints go."""
        return self.folder.training(self.stage.name)


def training_of(
    plan: Plan,
    stage: StagePlan,
    folder: RunFolder,
    sources: Sources,
    *,
    stop: Stop,
    world: World = ALONE,
) -> Training:
    """Return a stage ready to be trained."""
    with storage(folder.tokenizer):
        # Bytes: its SHA-256 is its identity, so no newline may be translated.
        tokenizer = folder.tokenizer.read_bytes().decode()
    return Training(
        plan=plan,
        stage=stage,
        folder=folder,
        sources=sources,
        data=stage_data(plan, stage, sources),
        tokenizer=tokenizer,
        stop=stop,
        world=world,
    )
