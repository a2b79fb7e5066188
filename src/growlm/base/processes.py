"""Processes that are started from a script, and do not run it again."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import ModuleType

MAIN = "__main__"


@contextmanager
def without_script() -> Generator[None, None, None]:
    """Keep the script that runs from the processes that are started meanwhile.

    A process that is spawned imports its parent's script first, which trains all over again where
    nobody wrote ``if __name__ == "__main__":``. What they are to call must lie in a module. For
    one thread at a time.
    """
    script = sys.modules[MAIN]
    sys.modules[MAIN] = ModuleType(MAIN)
    try:
        yield
    finally:
        sys.modules[MAIN] = script
