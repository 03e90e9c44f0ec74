"""A clock for work that takes its time, under a loop whose clock stands still."""

from __future__ import annotations

import trio


class Steps:
    """A clock that goes on by itself, a little with every look at it."""

    def __init__(self, step: float) -> None:
        self.step = step
        self.looks = 0

    def now(self) -> float:
        self.looks += 1
        return trio.current_time() + self.looks * self.step

    def wall(self) -> float:
        return self.now()
