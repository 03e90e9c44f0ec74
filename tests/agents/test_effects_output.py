"""What a handler does after an effect rests on its result: nothing leaves before that is on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents import MESSAGE, Agent, MailboxSpec, Request, handles
from treewarden.agents.errors import CommitFailed
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.supervisor.journal.port import Commit
from treewarden.topologies import child, pool

from .effects_desk import opened
from .trees import Disk, slot_of, volatile


@frozen
class Go:
    pass


@frozen
class Send(Request[int]):
    number: int


class Post(Agent[None]):
    """Whoever is asked has the letter, and nobody takes it back."""

    state = None

    def __init__(self, sent: list[int]) -> None:
        self.sent = sent

    @handles
    def send(self, message: Send) -> int:
        self.sent.append(message.number)
        return message.number


class Clerk(Agent[int]):
    state = 0

    def __init__(self, drawn: list[int], meant: str, hurt: list[BaseException]) -> None:
        self.drawn = drawn
        self.meant = meant
        self.hurt = hurt

    async def draw(self, key: str) -> int:
        self.drawn.append(len(self.drawn) + 1)
        return len(self.drawn)

    async def send(self, number: int, key: str) -> int:
        return await self.ref("/post").ask(Send(number), within=3600)

    @handles
    async def go(self, message: Go) -> None:
        number = await self.effect("draw", self.draw)
        if self.hurt:
            raise self.hurt.pop()
        if self.meant == "ask":
            await self.ref("/post").ask(Send(number), within=3600)
        else:
            await self.effect("send", lambda key: self.send(number, key), returns=int, idempotent=True)
        self.state = number


class Late(Disk):
    """A disk that becomes slow, or full, with the first result of an effect."""

    def __init__(self, *, full: bool = False) -> None:
        super().__init__()
        self.full = False
        self._fills = full
        self._first = True

    def submit(self, commit: Commit, then: Callable[[BaseException | None], None]) -> None:
        if self._first and not commit.quiet and any(row.id.endswith(">done") for row in commit.replies):
            self._first = False
            self.full, self.slow = self._fills, not self._fills
        super().submit(commit, then)

    def _apply(self, commit: Commit) -> None:
        if self.full:
            error = CommitFailed("the disk is full")
            error.refuses_all = True
            raise error
        super()._apply(commit)

    def work(self) -> None:
        self.full = self.slow = False
        self.go()


def post(sent: list[int]) -> Any:
    return volatile(Post, args={"sent": sent})


def clerk(drawn: list[int], meant: str, *hurt: BaseException) -> Any:
    args = {"drawn": drawn, "meant": meant, "hurt": list(hurt)}
    return child(Clerk, args=args, backoff=NO_BACKOFF, mailbox=MailboxSpec(durability=MESSAGE))


@pytest.mark.parametrize("meant", ["ask", "effect"])
@pytest.mark.parametrize("full", [False, True], ids=["slow", "full"])
async def test_it_leaves_when_the_result_is_on_disk(full: bool, meant: str, autojump_clock: MockClock) -> None:
    disk, drawn, sent = Late(full=full), list[int](), list[int]()
    async with opened(clerk(drawn, meant), post(sent), journal=disk) as running:
        await running.ref("clerk").tell(Go())
        await trio.sleep(2)
        assert (drawn, sent) == ([1], [])
        disk.work()
        await trio.sleep(2)
        assert (drawn, sent) == ([1], [1])
        assert (slot_of(running, "clerk").state, len(running.snapshot())) == (1, 2)


@pytest.mark.parametrize("meant", ["ask", "effect"])
@pytest.mark.parametrize("full", [False, True], ids=["slow", "full"])
async def test_it_leaves_so_from_another_worker(full: bool, meant: str, autojump_clock: MockClock) -> None:
    """The one that has the result fails, and the next one takes its message."""
    disk, drawn, sent = Late(full=full), list[int](), list[int]()
    desks = pool(clerk(drawn, meant, ValueError("after it had drawn")), size=2, route="shared", id="desks")
    async with opened(desks, post(sent), journal=disk) as running:
        await running.ref("desks").tell(Go())
        await trio.sleep(2)
        assert (drawn, sent) == ([1], [])
        disk.work()
        await trio.sleep(2)
        assert (drawn, sent) == ([1], [1])


async def test_who_begins_anew_does_not_wait_for_a_full_disk(autojump_clock: MockClock) -> None:
    disk, drawn, sent = Late(full=True), list[int](), list[int]()
    async with opened(clerk(drawn, "ask"), post(sent), journal=disk) as running:
        await running.ref("clerk").tell(Go())
        await trio.sleep(2)
        running.kill("clerk")
        await trio.sleep(2)
        (found,) = [each for each in running.snapshot() if each.path == "clerk"]
        assert (found.state, found.incarnation, sent) == ("up", 2, [])
        disk.work()
        await trio.sleep(5)
        assert (drawn, sent) == ([1], [1])
