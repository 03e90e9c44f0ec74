"""Messages at the end of a tree: what was on its way to the disk, and what the tree ended over."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path as File
from typing import Any

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.exit import leaves
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AgentStopped
from treewarden.agents.ref import Ref
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.journal.port import DeadRow
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.topic import topic
from treewarden.topologies.tree import tree

from ..journals import on_disk


@frozen
class Note:
    number: int


@frozen
class Noted(Request[tuple[int, ...]]):
    pass


class Desk(Agent[tuple[int, ...]]):
    """Keeps what it is told; what it does about 13 is what the tree ends over."""

    state = ()

    def __init__(self, unlucky: Callable[[], Any] | None = None) -> None:
        self.unlucky = unlucky

    @handles
    async def note(self, message: Note) -> None:
        if message.number == 13 and self.unlucky is not None:
            await self.unlucky()
        self.state = (*self.state, message.number)

    @handles
    def noted(self, message: Noted) -> tuple[int, ...]:
        return self.state


async def tell(ref: Ref, first: int, accepted: list[int]) -> None:
    with suppress(AgentStopped):
        for number in range(first, first + 1000):
            await ref.tell(Note(number))
            accepted.append(number)


async def noted(journal: Any) -> tuple[tuple[int, ...], tuple[DeadRow, ...]]:
    """What the next process knows in the end."""
    async with open_tree(tree(Desk, policy=otp()), journal=journal) as running:
        await trio.sleep(60)
        return await running.ref("desk").ask(Noted()), await running.dead_letters()


@pytest.mark.parametrize("way", ["desk", "news"])
@pytest.mark.parametrize("end", ["in order", "forced", "by an exception", "cancelled"])
async def test_a_tell_that_returned_as_the_tree_ended_is_for_the_next_process(
    end: str, way: str, tmp_path: File, autojump_clock: MockClock
) -> None:
    accepted: list[int] = []
    desk = tree(Desk, topic("../desk", id="news"), policy=otp())
    async with trio.open_nursery() as senders:

        async def live() -> None:
            with suppress(KeyError), trio.CancelScope() as scope:
                async with open_tree(desk, journal=on_disk(tmp_path / "a.db")) as running:
                    for sender in range(4):
                        senders.start_soon(tell, running.ref(way), 1000 * sender, accepted)
                    for _ in range(40):
                        await trio.lowlevel.checkpoint()
                    match end:
                        case "by an exception":
                            raise KeyError
                        case "forced":
                            running.force()
                        case "cancelled":
                            scope.cancel()
                        case _:
                            pass

        await live()
    known, dead = await noted(on_disk(tmp_path / "a.db"))
    assert len(accepted) > 8
    assert sorted(known) == sorted(accepted), "each once, and no other"
    assert dead == ()


async def leave_the_process() -> None:
    sys.exit(3)


class Unreadable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


async def break_a_nursery() -> None:
    """trio puts the exception into words while the nursery closes, and leaves it open when that raises."""
    async with trio.open_nursery():
        raise Unreadable


@pytest.mark.parametrize("unlucky", [leave_the_process, break_a_nursery])
async def test_a_message_that_ends_the_tree_each_time_is_set_aside(
    unlucky: Callable[[], Any], tmp_path: File, autojump_clock: MockClock
) -> None:
    """The journal is closed each time, so nobody would count it as a process death."""
    desk = tree(child(Desk, args={"unlucky": unlucky}), policy=otp())

    async def live(*notes: int) -> tuple[int, ...]:
        async with open_tree(desk, journal=on_disk(tmp_path / "a.db")) as running:
            for number in notes:
                await running.ref("desk").tell(Note(number))
            await trio.sleep(60)
            return await running.ref("desk").ask(Noted())

    ended: list[type[BaseException]] = []
    known: tuple[int, ...] = ()
    for notes in [(12, 13, 14), *[()] * 6]:
        try:
            known = await live(*notes)
        except BaseException as error:
            ended += [type(leaf) for leaf in leaves(error)]
    assert 3 <= len(ended) <= 4
    assert set(ended) <= {SystemExit, RuntimeError}
    assert known == (12, 14)
    _, (letter,) = await noted(on_disk(tmp_path / "a.db"))
    assert letter.reason == "the process died 3 times while it was first in its mailbox"
