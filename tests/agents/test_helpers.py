"""What an agent starts to run beside its handlers: helpers (`start_soon`)."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability
from treewarden.agents.errors import Stop
from treewarden.supervisor.core.event import ChildEnded
from treewarden.supervisor.core.spec import NO_BACKOFF, RestartPolicy

from .bodies import LEVELS, Body
from .trees import Add, Bad, Counter, Gate, Tally, Total, happened, kept, opened, slot_of


@frozen
class Start:
    """Start a helper."""


class Helped(Body):
    async def run(self) -> None:
        await trio.sleep_forever()

    @handles
    async def start(self, message: Start) -> None:
        self.start_soon(self.work, self)


@pytest.mark.parametrize("with_body", [True, False])
async def test_a_helper_runs_beside_and_ends_with_the_life(with_body: bool, autojump_clock: MockClock) -> None:
    log: list[Any] = []

    async def work(body: Body) -> None:
        try:
            await body.ref("counter").tell(Add(1))
            body.state = Tally(5)
            body.keep()
            await trio.sleep_forever()
        finally:
            log.append("helper ended")

    agent = Helped if with_body else without_body()
    spec = kept(agent, MESSAGE, id="helped", args={"work": work, "log": log, "gate": Gate()}, backoff=NO_BACKOFF)
    async with opened(kept(Counter, MESSAGE), spec) as running:
        await running.ref("helped").tell(Start())
        await wait_all_tasks_blocked()
        assert slot_of(running, "helped").state == Tally(5)
        assert await running.ref("counter").ask(Total()) == 1
        await running.ref("helped").tell(Bad())
        await happened(running, ChildEnded)
        await wait_all_tasks_blocked()
        assert log.count("helper ended") == 1


def without_body() -> type[Agent[Tally]]:
    class Plain(Helped):
        run = Agent[Tally].run

    return Plain


async def test_a_helper_that_raises_ends_the_life(autojump_clock: MockClock) -> None:
    async def work(_: Body) -> None:
        raise ValueError("helper")

    spec = kept(without_body(), VOLATILE, id="helped", args={"work": work, "log": list[Any]()})
    async with opened(spec) as running:
        await running.ref("helped").tell(Start())
        (ended,) = await happened(running, ChildEnded)
        assert ended.failure is not None
        assert (ended.failure.type, ended.failure.text) == ("ValueError", "helper")


@pytest.mark.parametrize("durability", LEVELS.values(), ids=list(LEVELS))
async def test_a_helper_may_end_the_life_in_order(durability: Durability, autojump_clock: MockClock) -> None:
    async def work(body: Body) -> None:
        body.state = Tally(9)
        raise Stop("seen enough")

    args = {"work": work, "log": list[Any]()}
    spec = kept(without_body(), durability, id="helped", args=args, restart=RestartPolicy.TRANSIENT)
    async with opened(spec) as running:
        slot = slot_of(running, "helped")
        await running.ref("helped").tell(Start())
        (ended,) = await happened(running, ChildEnded)
        assert (ended.exit, ended.reason) == ("stopped", "seen enough")
        assert slot.state == Tally(9)
