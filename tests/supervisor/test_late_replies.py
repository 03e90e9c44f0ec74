"""Replies that come when the handler that asked has given up waiting, and settled: nobody asks for them again."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.message import Request
from treewarden.agents.core.path import Path
from treewarden.agents.errors import AskTimeout
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.replies import Replies
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree


@frozen
class Work(Request[int]):
    seconds: float


@frozen
class Order:
    """Have work done that takes so long, and wait for a second; then fail as often."""

    seconds: float
    failures: int = 0


@frozen
class Total(Request[int]):
    """Ask how much was done."""


class Slow(Agent[int]):
    state = 0

    @handles
    async def work(self, message: Work) -> int:
        await trio.sleep(message.seconds)
        self.state += 1
        return self.state

    @handles
    def total(self, message: Total) -> int:
        return self.state


class Hasty(Agent[int]):
    state = 0

    def __init__(self, failures: list[int]) -> None:
        self.failures = failures

    @handles
    async def order(self, message: Order) -> None:
        with suppress(AskTimeout):
            await self.ref("slow").ask(Work(message.seconds), within=1)
        if len(self.failures) < message.failures:
            self.failures.append(1)
            await trio.sleep(10)
            raise ValueError("once more")
        self.state += 1


async def kept(journal: MemoryJournal) -> int:
    return len((await journal.recover(Path("slow"))).replies)


async def test_it_is_not_kept(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    async with open_tree(tree(child(Hasty, args={"failures": []}), Slow), journal=journal) as running:
        for seconds in (5, 0.5, 7):
            await running.ref("hasty").tell(Order(seconds))
            await trio.sleep(20)
            assert await kept(journal) == 0
        assert await running.ref("slow").ask(Total()) == 3


async def test_it_is_kept_for_a_handler_that_has_not_settled(autojump_clock: MockClock) -> None:
    """It runs again, and gets what came in the meantime."""
    journal = MemoryJournal()
    hasty = child(Hasty, args={"failures": []}, backoff=NO_BACKOFF)
    async with open_tree(tree(hasty, Slow), journal=journal) as running:
        await running.ref("hasty").tell(Order(5, failures=1))
        await trio.sleep(8)
        assert await kept(journal) == 1
        await trio.sleep(20)
        assert await running.ref("slow").ask(Total()) == 1
        assert await kept(journal) == 0


def test_a_chain_is_over_with_each_of_its_links_and_not_for_ever() -> None:
    replies = Replies()
    replies.forget("m-1>a:Work:1:00.1")
    assert replies.keep("m-1>a:Work:1:00.1>b:<locals>.Work:1:00.2", 3) == "m-1>a:Work:1:00.1"
    assert replies.keep("m-1>a:Work:1:00.1", 3) is None
    assert len(replies) == 1
    replies.forget("m-1")
    assert replies.keep("m-1>a:Work:1:00.1", 3) == "m-1"
    assert len(replies) == 0
    for number in range(10_000):
        replies.forget(f"m-{number + 2}")
    assert replies.keep("m-1>a:Work:1:00.1", 3) is None
    assert replies.keep("m-2>a:Work:1:00.1", 3) == "m-2"


def test_of_what_is_over_the_newest_answers_are_known() -> None:
    replies, asks = Replies(), [f"m-1>a:Work:1:00.{number}" for number in range(10_001)]
    for ask in asks:
        replies.keep(ask, 3)
        assert not replies.was_answered(ask)
    replies.forget("m-1")
    assert [replies.was_answered(ask) for ask in (asks[0], asks[1], asks[-1])] == [False, True, True]
    replies.keep("m-1>a:Work:1:01.1", 3)
    assert replies.was_answered("m-1>a:Work:1:01.1")
    assert not replies.was_answered(asks[1])


def test_another_tree_is_told_once_and_at_once_where_the_asker_has_settled() -> None:
    """Nobody would say so again, and what is kept there would stay for good."""
    replies, told = Replies(), list[str]()
    replies.forget("m-1>a:Work:1:00.1")
    for asking in ("m-1>a:Work:1:00.1", "m-1>a:Work:1:00.1>b:Work:1:00.2"):
        replies.kept_elsewhere(asking, told.append)
        assert told == [asking]
        told.clear()
    for asking in ("m-1", "m-1>b:Work:1:00.2", "m-2"):
        replies.kept_elsewhere(asking, told.append)
        assert told == []
    for asking in ("m-1>b:Work:1:00.2", "m-1", "m-2"):
        replies.forget(asking)
        replies.forget(asking)
        assert told == [asking]
        told.clear()


def test_what_a_message_that_settles_costs_is_not_what_others_have_asked() -> None:
    looked: list[str] = []

    class Looked(str):
        """An id that notes when it is looked at."""

        __slots__ = ()

        def startswith(self, *prefix: Any) -> bool:
            looked.append(self)
            return super().startswith(*prefix)

    replies, forgotten = Replies(), list[str]()
    for number in range(1000):
        replies.kept_elsewhere(Looked(f"m-{number}"), forgotten.append)
        replies.kept_elsewhere(Looked(f"m-{number}>a:Work:1:00.1"), forgotten.append)
    for number in range(1000):
        replies.forget(f"m-{number}")
    assert forgotten == [f"m-{number}{end}" for number in range(1000) for end in ("", ">a:Work:1:00.1")]
    assert len(looked) <= 2000
