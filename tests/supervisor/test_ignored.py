"""A child that says that there is nothing for it to do: whoever sends to it is told, until it is started again."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents import (
    MESSAGE,
    VOLATILE,
    Agent,
    AgentStopped,
    Durability,
    Ignore,
    MailboxSpec,
    Request,
    handles,
)
from treewarden.supervisor import Strategy
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies import child, open_tree, pool, tree

WORDS = "a: it had nothing to do and was not started"


@frozen
class Job:
    number: int


@frozen
class Done(Request[int]):
    pass


class Switch:
    off = True


class Lazy(Agent[int]):
    state = 0

    def __init__(self, switch: Switch) -> None:
        self.switch = switch

    async def on_start(self) -> None:
        if self.switch.off:
            raise Ignore

    @handles
    def job(self, message: Job) -> None:
        self.state += message.number

    @handles
    def done(self, message: Done) -> int:
        return self.state


class Crash(Lazy):
    async def on_start(self) -> None:
        """Always there."""

    @handles
    def job(self, message: Job) -> None:
        raise RuntimeError("told to")


LEVELS = pytest.mark.parametrize("durability", [VOLATILE, MESSAGE], ids=["volatile", "message"])


def lazy(switch: Switch, durability: Durability = VOLATILE, id: str = "a", agent: Any = Lazy) -> Any:
    return child(agent, id=id, args={"switch": switch}, mailbox=MailboxSpec(durability=durability, deliveries=1))


@LEVELS
async def test_whoever_sends_to_it_is_told_until_it_is_started(durability: Any, autojump_clock: MockClock) -> None:
    switch = Switch()
    async with open_tree(tree(lazy(switch, durability))) as running:
        a = running.ref("a")
        for send in (a.tell(Job(1)), a.ask(Done())):
            with pytest.raises(AgentStopped, match=WORDS) as refused:
                await send
            assert refused.value.retry_safe
        with pytest.raises(AgentStopped, match=WORDS):
            a.tell_nowait(Job(1))
        switch.off = False
        await running.supervisor().restart_child("a")
        await a.tell(Job(2))
        assert await a.ask(Done()) == 2


async def test_what_waited_for_it_is_a_dead_letter_that_can_be_put_back(autojump_clock: MockClock) -> None:
    switch, journal = Switch(), MemoryJournal()
    switch.off = False
    async with open_tree(tree(lazy(switch, MESSAGE)), journal=journal) as running:
        switch.off = True
        a = running.ref("a")
        running.kill("a")
        await a.tell(Job(3))
        await trio.sleep(60)
        (letter,) = await running.dead_letters("a")
        assert letter.reason == WORDS.removeprefix("a: ") + " (Ignore)"
        switch.off = False
        await running.supervisor().restart_child("a")
        await running.replay(letter.id)
        assert await a.ask(Done()) == 3


async def test_its_group_starts_it_again(autojump_clock: MockClock) -> None:
    switch = Switch()
    both = [lazy(switch), lazy(switch, id="b", agent=Crash)]
    async with open_tree(tree(*both, strategy=Strategy.ONE_FOR_ALL)) as running:
        switch.off = False
        await running.ref("b").tell(Job(1))
        await trio.sleep(60)
        await running.ref("a").tell(Job(4))
        assert await running.ref("a").ask(Done()) == 4


class Second(Lazy):
    async def on_start(self) -> None:
        if self.path.name == "1":
            raise Ignore


async def test_a_pool_leaves_it_out(autojump_clock: MockClock) -> None:
    workers = pool(lazy(Switch(), agent=Second), size=2, route="round_robin", id="p")
    async with open_tree(tree(workers)) as running:
        assert [(slot.path, slot.state) for slot in running.snapshot()][1:] == [("p/0", "up"), ("p/1", "down")]
        for _ in range(4):
            await running.ref("p").tell(Job(1))
        assert await running.ref("p").ask(Done()) == 4
