"""Grow bigger GPTs from the ones you already trained."""

from growlm.base.version import VERSION as __version__

__all__ = ["__version__"]
