"""Packages that only some sources need: looked for on use, and named when they are missing."""

from growlm.base.errors import CorpusError


def missing(package: str, *, extra: str, purpose: str) -> CorpusError:
    """Return the one line for a package that is not installed.

    Args:
        package: What it is called.
        extra: The extra of growlm that brings it.
        purpose: What needs it, as what follows "to".
    """
    return CorpusError(
        f"the package {package}, to {purpose}",
        got="a Python without it",
        fix=f"pip install 'growlm[{extra}]', or pip install {package}",
    )
