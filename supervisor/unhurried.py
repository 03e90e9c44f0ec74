"""Work of the loop that takes long, with a turn for everybody else after each slice of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import trio

from treewarden.agents.demand import collector_at_rest

if TYPE_CHECKING:
    from .journal.slices import Slices

__all__ = ["unhurried"]

T = TypeVar("T")


async def unhurried(slices: Slices[T]) -> T:
    """What `slices` come to. A checkpoint between two of them; work of a single one has none.

    Cancelled: the rest is not done. Raises what they raise.
    """
    try:
        next(slices)
    except StopIteration as end:
        return end.value
    with collector_at_rest():  # it would look at all that was made again and again: half a second for ten megabytes
        while True:
            await trio.lowlevel.checkpoint()
            try:
                next(slices)
            except StopIteration as end:
                return end.value
