"""How far whoever reads all of a journal has come, for somebody who waits for it."""

from __future__ import annotations

from treewarden.agents.core.values import define

__all__ = ["LookedAt"]


@define(eq=False)
class LookedAt:
    """May be read by another thread, at any time."""

    what: str = ""
    """Rows of a table, or another part of the file."""
    count: int = 0
    """How many of them."""
    of: int = 0
    """How many there are, if that is known."""

    def begin(self, what: str, of: int = 0) -> None:
        self.count, self.of, self.what = 0, of, what

    def __str__(self) -> str:
        """`120,000 of 480,000 events (25 %)`, or as much of it as is known."""
        if not self.of:
            return f"{self.count:,} {self.what}" if self.count else self.what
        return f"{self.count:,} of {self.of:,} {self.what} ({min(100, 100 * self.count // self.of)} %)"
