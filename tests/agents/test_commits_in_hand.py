"""What an agent has in hand when an earlier commit of it fails, and is no message that waits: it is not run again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from treewarden.agents import AgentFailed, every
from treewarden.agents.core.durability import MESSAGE
from treewarden.supervisor.core.spec import NO_BACKOFF

from .trees import Add, Counter, Disk, Gate, Held, Total, kept, opened


class Looking(Counter):
    @every(10)
    async def look(self) -> None:
        assert self.gate is not None
        self.gate.entered.append(f"tick at {trio.current_time():g}")
        await trio.sleep(3)


async def refused(child: type[Counter], ask: bool) -> tuple[list[str], int]:
    """What began, until a while after the disk had refused an `Add` behind which that was in hand; and the total."""
    journal, gate = Disk(), Gate(shut=True)
    async with opened(
        kept(child, MESSAGE, id="a", args={"gate": gate}, backoff=NO_BACKOFF), journal=journal
    ) as running:
        await trio.sleep(9.5)
        journal.slow = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.ref("a").tell, Add(5))
            await trio.sleep(0.1)
            journal.go()
            await trio.sleep(0.1)
            if ask:
                nursery.start_soon(failing, partial(running.ref("a").ask, Held("ask"), within=100))
            await trio.sleep(2)
            journal.slow = False
            journal.fail("a")
            await trio.sleep(2)
            gate.open()
        await trio.sleep(3)
        return gate.entered, await running.ref("a").ask(Total())


async def failing(ask: Callable[[], Awaitable[object]]) -> None:
    with pytest.raises(AgentFailed):
        await ask()


async def test_a_tick_comes_at_its_next_time(autojump_clock: MockClock) -> None:
    assert await refused(Looking, ask=False) == (["tick at 0", "tick at 10"], 5)


async def test_an_ask_was_given_up(autojump_clock: MockClock) -> None:
    """Whoever asked knows that it failed, and may have asked again."""
    assert await refused(Counter, ask=True) == (["ask"], 5)
