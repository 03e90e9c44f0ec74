"""What is said to whoever watches a slot."""

from __future__ import annotations

from .exit import Exit
from .path import Path
from .values import frozen

__all__ = ["Ended"]


@frozen(kw_only=True)
class Ended:
    """One incarnation of a slot has ended: a committed fact."""

    path: Path
    incarnation: int
    exit: Exit
    """How. The result of a `Finished` is not kept."""
    expected: bool
    """Its supervisor had asked for it."""
    uptime: float
    """Seconds."""
