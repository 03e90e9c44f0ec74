"""A purse that means something else by its arguments."""

from __future__ import annotations

from treewarden.agents.purse import Purse


class Household(Purse):
    """What is beside ten dollars."""

    def __init__(self, most: int) -> None:
        super().__init__(most + 10.0)
