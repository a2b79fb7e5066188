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
    from growlm.api import Checkpoint, Recipe, evaluate, grow, load, train

__version__ = version.VERSION
__all__ = ["Checkpoint", "Recipe", "evaluate", "grow", "load", "train"]


def __getattr__(name: str) -> Any:
    """Return one of the names, from where it is defined; torch wakes with the first."""
    if name not in __all__:
        raise AttributeError(f"module 'growlm' has no attribute '{name}'")
    return getattr(import_module("growlm.api"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
