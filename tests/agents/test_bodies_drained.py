"""What comes while a body ends by itself is for the next life."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability
from treewarden.supervisor.core.spec import NO_BACKOFF, Grace, Strategy

from .bodies import Body, Draining
from .trees import Counter, Gate, Held, kept, opened, slot_of


@pytest.mark.parametrize("grace", [10.0, 1.0], ids=["in time", "cut short"])
@pytest.mark.parametrize("durability", [VOLATILE, MESSAGE], ids=["volatile", "message"])
async def test_it_is_not_lost_and_the_next_life_handles_it(
    durability: Durability, grace: float, autojump_clock: MockClock
) -> None:
    gate = Gate()

    async def work(body: Body) -> None:
        await body.stop_requested.wait()
        await trio.sleep(3)

    args = {"work": work, "log": list[Any](), "gate": gate}
    draining = kept(Draining, durability, args=args, shutdown=Grace(grace), backoff=NO_BACKOFF)
    counter = kept(Counter, VOLATILE, backoff=NO_BACKOFF)
    async with opened(counter, draining, strategy=Strategy.ONE_FOR_ALL) as running:
        await trio.sleep(1)
        running.kill("counter")
        await trio.sleep(0.5)
        await running.ref("draining").tell(Held("a"))
        assert gate.entered == []
        await trio.sleep(5)
        assert gate.left == ["a"]
        assert not slot_of(running, "draining").paused
