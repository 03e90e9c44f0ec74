"""What the journal reaches the outside through, so that a test or a simulation can stand in between."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol, TypeAlias, TypeVar

import trio
from outcome import Outcome

from treewarden.agents.wake import call_in_loop

from .bell import Bell

__all__ = ["SIMULATED_LEASE", "Connect", "RunSync", "begin_in_thread", "in_thread", "inline_run_sync"]

T = TypeVar("T")

Connect: TypeAlias = Callable[..., sqlite3.Connection]
"""`sqlite3.connect`, or what behaves as it does."""
SIMULATED_LEASE: Final = 3600.0
"""Seconds for which a journal is taken under a mock clock: a day of simulated time is over in no time, and to renew the
usual lease all that time would be most of what a test does."""


class RunSync(Protocol):
    """`in_thread`, `trio.to_thread.run_sync`, or `inline_run_sync` under a mock clock."""

    async def __call__(self, call: Callable[..., T], /, *args: Any) -> T: ...


@trio.lowlevel.enable_ki_protection  # or the thread would go on, and nobody wait for it
async def in_thread(call: Callable[..., T], /, *args: Any) -> T:
    """Run a blocking call in a worker thread of trio's, and wait for it to the end.

    As `trio.to_thread.run_sync`, without a limit on threads, context variables and the way back into trio: for a
    caller that has one call at a time these were half of what a call costs. Cancellation waits for the call, and is
    delivered at the next checkpoint.
    """
    task = trio.lowlevel.current_task()

    def abort(_raise_cancel: object) -> trio.lowlevel.Abort:
        return trio.lowlevel.Abort.FAILED

    begin_in_thread(partial(call, *args), partial(trio.lowlevel.reschedule, task))
    return await trio.lowlevel.wait_task_rescheduled(abort)


async def inline_run_sync(call: Callable[..., T], /, *args: Any, **_options: Any) -> T:
    """In the place of `trio.to_thread.run_sync`: the call runs inside the loop, so that a mock clock sees it.

    A checkpoint before it, as before a real one. Cancellation: none once the call began. Blocks the loop meanwhile.
    """
    await trio.lowlevel.checkpoint()
    return call(*args)


def begin_in_thread(call: Callable[[], T], then: Callable[[Outcome[T]], object], bell: Bell | None = None) -> None:
    """Run a blocking call in a worker thread of trio's; `then` is called in the loop, between two tasks, with what it
    came to. It must not raise. Where there is a `bell`, the loop hears of it by that.

    The thread keeps the name that it has: to give it one for each call would cost two calls of the system.
    """
    if bell is not None:
        trio.lowlevel.start_thread_soon(call, partial(bell.ring, then))
        return
    token = trio.lowlevel.current_trio_token()
    trio.lowlevel.start_thread_soon(call, lambda result: call_in_loop(token, then, result))
