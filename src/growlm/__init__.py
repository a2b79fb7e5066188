"""Grow bigger GPTs from the ones you already trained."""

from growlm.base import version

__version__ = version.VERSION
