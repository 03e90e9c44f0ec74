"""Work of the loop that takes long, with a turn for everybody else after each slice of it."""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

import trio

from treewarden.agents.demand import collector_at_rest

if TYPE_CHECKING:
    from .journal.slices import Slices

__all__ = ["again_and_again", "imported", "unhurried"]

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


async def imported(module: str) -> None:
    """Import a module that is needed for the first time: with all that it needs itself that may take 30 ms.

    In a thread, beside the loop; under a mock clock, which goes on while a thread works, in the loop. Cancelled: it is
    imported all the same. Raises what the module raises.
    """
    if module in sys.modules:
        return
    from .loop_watch import runs_in_real_time

    if runs_in_real_time():
        from .journal.seams import in_thread

        with collector_at_rest():
            await in_thread(import_module, module)
    else:
        import_module(module)


async def again_and_again(slices: Slices[T]) -> T:
    """As `unhurried`, for what is done so often that what others leave to the cyclic collector would pile up.

    It rests in a slice, and may look at what that has made before the next one.
    """
    while True:
        resting = gc.isenabled()
        try:
            gc.disable()
            next(slices)
        except StopIteration as end:
            return end.value
        finally:
            if resting:
                gc.enable()
        await trio.lowlevel.checkpoint()
