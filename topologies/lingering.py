"""The end of a tree in which somebody does not end: it waits for that, for it has to, and says who it is."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import trio

from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.path import ROOT, Path

from .slot_status import statuses

if TYPE_CHECKING:
    from .root import Root

__all__ = ["outlast", "wait_for_grace"]

_LOG: Final = logging.getLogger("treewarden")
_TELL_AFTER: Final = 10.0
"""`treewarden run` has ended the process by then."""
_TELL_EVERY: Final = 300.0


async def wait_for_grace(root: Root) -> None:
    """Wait until the tree has stopped in order, and log a warning, now and every five minutes, about those who take the
    time that their grace allows: it may be endless. Not cancelled from outside; Ctrl-C ends the wait."""
    with trio.CancelScope(shield=True):
        while root.exit is None:
            slots = [each for each in statuses(root.supervisor, 0) if not each.supervisor]
            _LOG.warning(
                "the block of open_tree was left, and waits for %s, as its grace allows; Ctrl-C ends it by force",
                ", ".join(str(each.path) for each in slots if each.state is SlotState.STOPPING) or "the tree",
            )
            with trio.move_on_after(_TELL_EVERY):
                await root.supervisor.wait_ended()


async def outlast(root: Root) -> None:
    """Wait until everybody in the tree has ended, all of whom were cancelled or fenced off, and log a warning about
    those that have not: after ten seconds, every five minutes, and at each Ctrl-C, which is raised when they have.

    Not cancelled from outside: the block could not be left all the same.
    """
    began = trio.current_time()
    tell_at, interrupted, over = began + _TELL_AFTER, None, False
    with trio.CancelScope(shield=True):
        while not over:
            try:
                with trio.move_on_at(tell_at):
                    await _wait_gone(root)
                    over = True
            except KeyboardInterrupt as error:
                interrupted = error
                _tell(root, trio.current_time() - began)
            else:
                if not over:
                    _tell(root, trio.current_time() - began)
                    tell_at += _TELL_EVERY
    if interrupted is not None:
        raise interrupted


async def _wait_gone(root: Root) -> None:
    await root.supervisor.wait_ended()
    while left := root.common.living_zombies:
        await left[0].wait_gone()


def _tell(root: Root, seconds: float) -> None:
    _LOG.warning(
        "%s did not end although cancelled: for %.0f s nothing else has kept the block of open_tree, and trio leaves "
        "no task behind. What was acknowledged is in the journal, so `kill -9 %d` loses none of it",
        ", ".join(sorted(set(_left(root.nursery, ROOT)))),
        seconds,
        os.getpid(),
    )


def _left(nursery: trio.Nursery, slot: Path) -> Iterator[str]:
    """Whose tasks are left in a nursery of `slot`, and what they do there. One that waits for others is not meant."""
    for task in nursery.child_tasks:
        whose = task.name if isinstance(task.name, Path) else slot
        if task.child_nurseries:
            for below in task.child_nurseries:
                yield from _left(below, whose)
        elif Path(task.name.partition(" ")[0]).is_within(whose):
            yield task.name  # also of a body, a helper or an action, which say so behind the path
        else:
            yield whose
