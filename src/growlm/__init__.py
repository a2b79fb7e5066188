"""Grow bigger GPTs from the ones you already trained.

From Python, what the commands do, by the same names::

    import growlm

    growlm.Recipe("recipes/demo.toml").run(tell=print)
    parent = growlm.load("runs/demo/stages/base/training/final")
    child = growlm.grow(parent.path, "child", layers=6)

Nothing is imported before it is asked for.
"""

# Types alone go round: modules below say "from growlm import", which names this one.
# pyright: reportImportCycles=false

from importlib import import_module
from typing import TYPE_CHECKING, Any

from growlm.base import version

if TYPE_CHECKING:
    from growlm.api.checkpoints import (
        Checkpoint,
        Probe,
        advise,
        average,
        certify,
        export,
        grow,
        import_folder,
        inspect,
        load,
        shrink,
    )
    from growlm.api.recipes import (
        Recipe,
        check,
        demo,
        doctor,
        log,
        new,
        plan,
        prepare,
        run,
        schema,
        study,
        train,
        watch,
    )
    from growlm.api.scores import (
        evaluate,
        examine,
        exposure,
        generate,
        overlap,
        play,
    )

__version__ = version.VERSION
__all__ = [
    "Checkpoint",
    "Probe",
    "Recipe",
    "advise",
    "average",
    "certify",
    "check",
    "demo",
    "doctor",
    "evaluate",
    "examine",
    "export",
    "exposure",
    "generate",
    "grow",
    "import_folder",
    "inspect",
    "load",
    "log",
    "new",
    "overlap",
    "plan",
    "play",
    "prepare",
    "run",
    "schema",
    "shrink",
    "study",
    "train",
    "watch",
]


def __getattr__(name: str) -> Any:
    """Return one of the names, from where it is defined; torch wakes with the first."""
    if name not in __all__:
        raise AttributeError(f"module 'growlm' has no attribute '{name}'")
    rooms = (import_module(f"growlm.api.{each}") for each in ("checkpoints", "recipes", "scores"))
    return next(getattr(room, name) for room in rooms if hasattr(room, name))


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
