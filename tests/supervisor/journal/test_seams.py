"""The journal's worker thread: a call that was begun always reports."""

from __future__ import annotations

import threading

import pytest
import trio

from treewarden.supervisor.journal.seams import in_thread


async def test_a_call_returns_or_raises_what_it_did() -> None:
    def place(number: int, word: str) -> tuple[int, str, int]:
        return number, word, threading.get_ident()

    number, word, thread = await in_thread(place, 3, "x")
    assert (number, word) == (3, "x")
    assert thread != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await in_thread(divmod, 1, 0)


async def test_a_cancelled_call_is_waited_for() -> None:
    begun, may_end = trio.Event(), threading.Event()
    token = trio.lowlevel.current_trio_token()
    found: list[bool] = []

    def call() -> bool:
        token.run_sync_soon(begun.set)
        return may_end.wait(30)

    async def wait() -> None:
        with trio.CancelScope() as scope:
            nursery.start_soon(cancel, scope)
            found.append(await in_thread(call))
            await trio.lowlevel.checkpoint()
            raise AssertionError("the cancellation got lost")

    async def cancel(scope: trio.CancelScope) -> None:
        await begun.wait()
        scope.cancel()
        await trio.lowlevel.checkpoint()
        assert found == []
        may_end.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
    assert found == [True]
