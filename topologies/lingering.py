"""The end of a tree whose incarnations do not end: it waits for them, for it has to, and says for whom."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from treewarden.supervisor.common import Common
    from treewarden.supervisor.fence import AgentLife

__all__ = ["outlast"]

_LOG: Final = logging.getLogger("treewarden")
_TELL_AFTER: Final = 10.0
"""`treewarden run` has ended the process by then."""
_TELL_EVERY: Final = 300.0


async def outlast(common: Common) -> None:
    """Wait until no zombie is left, and log a warning about those that are: after ten seconds, every five minutes, and
    at each Ctrl-C, which is raised when they have ended.

    Not cancelled from outside: the block could not be left all the same.
    """
    began = trio.current_time()
    tell_at, interrupted = began + _TELL_AFTER, None
    with trio.CancelScope(shield=True):
        while left := common.living_zombies:
            try:
                with trio.move_on_at(tell_at) as limit:
                    await left[0].wait_gone()
            except KeyboardInterrupt as error:
                interrupted = error
                _tell(left, trio.current_time() - began)
            else:
                if limit.cancelled_caught:
                    _tell(left, trio.current_time() - began)
                    tell_at += _TELL_EVERY
    if interrupted is not None:
        raise interrupted


def _tell(left: list[AgentLife], seconds: float) -> None:
    _LOG.warning(
        "%s did not end although cancelled: for %.0f s nothing else has kept the block of open_tree, and trio leaves "
        "no task behind. What was acknowledged is in the journal, so `kill -9 %d` loses none of it",
        ", ".join(life.slot.path for life in left),
        seconds,
        os.getpid(),
    )
