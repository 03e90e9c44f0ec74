"""Which attempts at a message are not counted: those that failed because what it needs is down for all who need it.

An outage and a message about which nothing can be done (its host is gone) look alike to who fails. What tells them
apart is whether others work meanwhile; where there are none, only time does.
"""

from __future__ import annotations

from typing import Final

from treewarden.agents.core.values import frozen

from .window import Work

__all__ = ["LONGEST", "Spared", "has_worked", "spares"]

LONGEST: Final = 300.0
"""Seconds after which attempts at a message count again, though nobody has worked."""


@frozen
class Spared:
    """A message of which an attempt was not counted."""

    proofs: int
    """How often what was down had been seen to work until then."""
    since: float
    """When that was, in the clock of the loop."""


def spares(first: Spared | None, proofs: int, now: float) -> bool:
    """Whether one more attempt is not counted. `first` is the first one that was not, None if there is none."""
    return first is None or (first.proofs == proofs and now - first.since < LONGEST)


def has_worked(now: Work, before: Work) -> bool:
    """Whether what is down must work, for a child that needs it has done more. One message says so of who handles
    nothing else; of the others some may need it and some not, so it takes as many as in `Window`."""
    return now.messages - before.messages >= (1 if now.kinds == 1 else now.enough)
