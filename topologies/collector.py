"""How often the cyclic collector looks for garbage in a process that is there for a tree."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

__all__ = ["collecting_rarely"]

_COLLECT_AT: Final = (10_000, 50, 50)
"""The thresholds of `gc.set_threshold`. A message makes some thirty objects that live until it has settled: with the
interpreter's own (700 objects, 2,000 from 3.13) what is in hand is looked at again and again, and never garbage."""


@contextmanager
def collecting_rarely() -> Generator[None]:
    """Let the collector look for cycles seldom, until the block ends. Whoever sets other thresholds meanwhile has them.

    For the one who owns the process, not for a library in it. Around many runs it costs less than in each: what is put
    back after one makes it look at once.
    """
    before = gc.get_threshold()
    gc.set_threshold(*_COLLECT_AT)
    try:
        yield
    finally:
        gc.set_threshold(*before)
