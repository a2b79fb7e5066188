"""Memory that is freed and asked for again, over and over."""

import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""What glibc calls the sizes from which it gives freed memory back (``malloc.h``)."""

KEPT_BYTES = 2**30
"""So much is kept: more than any piece of a model that is held at once."""


def keep_freed() -> bool:
    """Let the C library keep freed memory for what is asked for next; return whether it does.

    It would give every large piece back, and the kernel would clear fresh pages for the next: for
    passes over weights, that takes longer than the work. Only glibc can be told (mallopt(3)).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return all(mallopt(size, KEPT_BYTES) for size in (TRIM_THRESHOLD, MMAP_THRESHOLD))
