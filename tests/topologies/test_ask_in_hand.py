"""An ask that its agent has taken, and waits for the disk with before it begins: its asker is told how that ends."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import trio
import trio.testing
from attrs import frozen

from treewarden.agents import Agent, AgentFailed, Request, handles
from treewarden.supervisor import NO_BACKOFF, otp
from treewarden.supervisor.common import LoopClock
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
    def work(self, message: Work) -> int:
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


async def test_an_asker_is_told_when_what_it_asked_fails_before_it_has_begun(tmp_path: Path) -> None:
    disk, lost, answers = threading.Event(), trio.Event(), dict[int, str]()
    disk.set()
    first, second, done = trio.Event(), trio.Event(), (trio.Event(), trio.Event())

    class Held(sqlite3.Connection):
        def execute(self, sql: str, /, *parameters: Any) -> sqlite3.Cursor:
            assert sql != "COMMIT" or disk.wait(30)
            return super().execute(sql, *parameters)

    def connect(*args: Any, **options: Any) -> sqlite3.Connection:
        return sqlite3.connect(*args, factory=Held, **options)

    blueprint = tree(
        child(Place, args={"lost": lost}, backoff=NO_BACKOFF),
        child(Job, id="a", args={"may": first, "answered": done[0], "answers": answers}),
        child(Job, id="b", args={"may": second, "answered": done[1], "answers": answers}),
        policy=otp(),
    )
    journal = SqliteJournal(tmp_path / "tree.db", clock=LoopClock(time.time), connect=connect)
    async with open_tree(blueprint, journal=journal) as running:
        await running.ref("a").tell(Order(1))
        await running.ref("b").tell(Order(2))
        disk.clear()
        for may in (first, second, lost):  # the place has handled the first and waits for the disk with the second
            await trio.testing.wait_all_tasks_blocked(0.01)
            may.set()
        await trio.testing.wait_all_tasks_blocked(0.01)
        disk.set()
        with trio.fail_after(10):
            for answered in done:
                await answered.wait()
    assert answers == {1: "1", 2: "Lost"}
