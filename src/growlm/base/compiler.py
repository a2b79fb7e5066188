"""The C++ compiler that torch needs on a CPU: what stands in the way of using it."""

import os
import shutil
import sysconfig
from pathlib import Path


def why_no_compiler() -> str | None:
    """Return why nothing can be compiled for a CPU here, or None where it can."""
    compilers = [os.environ.get("CXX", "g++"), "g++", "clang++"]
    if not any(shutil.which(each) for each in compilers):
        return "no C++ compiler was found"
    if not Path(sysconfig.get_paths()["include"], "Python.h").exists():
        return "Python's headers are not installed"
    return None
