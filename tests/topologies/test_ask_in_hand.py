"""An ask that its agent has taken, and waits for the disk with before it begins: its asker is told how that ends."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio
import trio.testing
from attrs import define, field, frozen

from treewarden.agents import Agent, AgentFailed, Request, handles
from treewarden.supervisor import NO_BACKOFF, otp
from treewarden.supervisor.common import LoopClock
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.journal.sqlite import SqliteJournal
from treewarden.topologies import child, open_tree, tree


@frozen
class Nothing:
    pass


@frozen
class Work(Request[int]):
    number: int


@frozen
class Order:
    number: int


class Lost(Exception):
    """What a helper sees that watches over something."""


class Place(Agent[Nothing]):
    """Fails when it is told that what it works with is lost, whatever it does."""

    state = Nothing()

    def __init__(self, lost: trio.Event) -> None:
        self.lost = lost

    async def on_start(self) -> None:
        self.start_soon(self._watch)

    async def _watch(self) -> None:
        if not self.lost.is_set():
            await self.lost.wait()
            raise Lost

    @handles
    async def work(self, message: Work) -> int:
        return message.number


class Job(Agent[Nothing]):
    """Asks in the name of a message that is kept, so the ask is a step of that."""

    state = Nothing()

    def __init__(self, may: trio.Event, answered: trio.Event, answers: dict[int, str]) -> None:
        self.may = may
        self.answered = answered
        self.answers = answers

    @handles
    async def order(self, message: Order) -> None:
        await self.may.wait()
        try:
            self.answers[message.number] = str(await self.ref("place").ask(Work(message.number), within=20))
        except AgentFailed as error:
            self.answers[message.number] = error.failure.type.rpartition(".")[2]
        self.answered.set()


@define
class Desk:
    """Two jobs that ask one place, on a disk that can be made to stand still. The place has handled the first and waits
    for the disk with the second when something else is done."""

    file: Path
    lost: trio.Event = field(factory=trio.Event)
    may: tuple[trio.Event, trio.Event] = field(factory=lambda: (trio.Event(), trio.Event()))
    done: tuple[trio.Event, trio.Event] = field(factory=lambda: (trio.Event(), trio.Event()))
    answers: dict[int, str] = field(factory=dict[int, str])

    async def answered(self, then: Callable[[], Awaitable[object]]) -> dict[int, str]:
        disk = threading.Event()
        disk.set()

        class Held(sqlite3.Connection):
            def execute(self, sql: str, /, *parameters: Any) -> sqlite3.Cursor:
                assert sql != "COMMIT" or disk.wait(30)
                return super().execute(sql, *parameters)

        def connect(*args: Any, **options: Any) -> sqlite3.Connection:
            return sqlite3.connect(*args, factory=Held, **options)

        jobs = [
            child(Job, id=name, args={"may": may, "answered": done, "answers": self.answers})
            for name, may, done in zip("ab", self.may, self.done, strict=True)
        ]
        place = child(Place, args={"lost": self.lost}, backoff=NO_BACKOFF, progress_within=5)
        journal = SqliteJournal(self.file, clock=LoopClock(time.time), connect=connect)
        async with open_tree(tree(place, *jobs, policy=otp()), journal=journal) as running:
            for number, name in enumerate("ab", 1):
                await running.ref(name).tell(Order(number))
            disk.clear()
            for may in self.may:
                await trio.testing.wait_all_tasks_blocked(0.01)
                may.set()
            await trio.testing.wait_all_tasks_blocked(0.01)
            await then()
            await trio.testing.wait_all_tasks_blocked(0.01)
            disk.set()
            for done in self.done:
                await done.wait()
        return self.answers


async def test_an_asker_is_told_when_what_it_asked_fails_before_it_has_begun(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "tree.db")

    async def fail() -> None:
        desk.lost.set()

    with trio.fail_after(10):
        assert await desk.answered(fail) == {1: "1", 2: "Lost"}


async def test_an_agent_that_waits_for_the_disk_with_an_ask_does_not_hang(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    desk = Desk(tmp_path / "tree.db")

    async def wait() -> None:
        for _ in range(40):  # what comes later than it should have is taken for a lag of the loop
            mock_clock.jump(0.25)
            await trio.testing.wait_all_tasks_blocked()

    assert await desk.answered(wait) == {1: "1", 2: "2"}
    with JournalFile.open(desk.file) as journal:
        assert "IncidentOpened" not in {type(record.event).__name__ for record in journal.records()}


class Counting(Agent[Nothing]):
    state = Nothing()

    def __init__(self, numbers: list[int]) -> None:
        self.numbers = numbers

    @handles
    def work(self, message: Work) -> int:
        self.numbers.append(message.number)
        return message.number


class Twice(Agent[Nothing]):
    """Fails behind its step once, so that it asks again and gets the reply that is kept."""

    state = Nothing()

    def __init__(self, got: list[int]) -> None:
        self.got = got

    @handles
    async def order(self, message: Order) -> None:
        self.got.append(await self.ref("place").ask(Work(message.number), within=20))
        if len(self.got) == 1:
            raise Lost


async def test_an_ask_that_is_answered_with_what_is_kept_is_in_hand_no_longer(
    autojump_clock: trio.testing.MockClock,
) -> None:
    handled, got = list[int](), list[int]()
    blueprint = tree(
        child(Counting, id="place", args={"numbers": handled}),
        child(Twice, id="job", args={"got": got}, backoff=NO_BACKOFF),
        policy=otp(),
    )
    async with open_tree(blueprint) as running:
        await running.ref("job").tell(Order(7))
        await trio.testing.wait_all_tasks_blocked()
        assert (handled, got) == ([7], [7, 7])
        begin = trio.current_time()
        await running.drain("place", within=1000)
        assert trio.current_time() - begin < 100
