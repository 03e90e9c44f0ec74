"""A desk whose one message takes every kind of step, and those outside who answer it: a process can be ended before any
statement of its journal, and the next one goes on."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import trio
import trio.testing
from attrs import frozen

from treewarden.agents import Agent, Answered, Approved, Happened, handles
from treewarden.agents.core.approval import APPROVAL
from treewarden.agents.core.message import Request
from treewarden.agents.core.question import QUESTION
from treewarden.agents.core.step import Done
from treewarden.agents.core.wait import EVENT
from treewarden.agents.errors import NotDone
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.topologies.chaos.determinism import ordered_by
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

from ..journals import WALL, on_disk

__all__ = ["Outside", "go_on"]

T = TypeVar("T")

_TICK: Final = 0.5
_LIMIT: Final = 300.0
"""Seconds of the simulated clock that a process may take."""


@frozen
class Order:
    number: int = 1


@frozen
class Ended(Request[tuple[str, ...]]):
    """What its steps have told the order, if it has settled."""


class Outside:
    """Lines in a file, which outlive whoever wrote them: `did` by effects, `said` when it was acknowledged."""

    def __init__(self, file: Path) -> None:
        self._file = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND)

    def note(self, *words: object) -> None:
        os.write(self._file, (" ".join(map(str, words)) + "\n").encode())

    def lines(self, kind: str) -> list[str]:
        found = os.pread(self._file, 1_000_000, 0).decode().splitlines()
        return [line.partition(" ")[2] for line in found if line.partition(" ")[0] == kind]

    def close(self) -> None:
        os.close(self._file)


class Desk(Agent[tuple[str, ...]]):
    state = ()

    def __init__(self, outside: Outside) -> None:
        self.outside = outside

    @handles
    async def order(self, message: Order) -> None:
        doubtful = await self.effect("doubtful", self._breaks, returns=str)
        await self.sleep_until(self.now() + 3.0)
        shipped = await self.wait_event("shipped", returns=int)
        ruling = await self.approval("pay", about=message)
        assert isinstance(ruling, Approved)
        answer = await self.ask_person("boxes", "How many?", returns=int)
        assert isinstance(answer, Answered)
        paid = await self.effect("pay", self._pays, verify=self._look)
        self.state = (doubtful, str(shipped), ruling.by, str(answer.value), paid)

    @handles
    async def ended(self, message: Ended) -> tuple[str, ...]:
        return self.state

    async def _breaks(self, key: str) -> str:
        """Only a person can say what came of it."""
        self.outside.note("did", "doubtful", key)
        raise ConnectionError("the line went dead")

    async def _pays(self, key: str) -> str:
        self.outside.note("did", "pay", key)
        return key

    async def _look(self, key: str) -> Done[str] | NotDone:
        return Done(key) if f"pay {key}" in self.outside.lines("did") else NotDone()


@trio.lowlevel.enable_ki_protection
async def _at_once(call: Callable[..., T], /, *args: Any, **_options: Any) -> T:
    """As the thread in which a journal makes its calls: Ctrl-C is heard when one has been made."""
    await trio.lowlevel.cancel_shielded_checkpoint()
    return call(*args)


async def _is_known(running: Tree) -> bool:
    """Whether the order is there, although nobody was told so."""
    return running.snapshot()[0].held or bool(await running.waits()) or bool(await running.ref("desk").ask(Ended()))


async def _answer(running: Tree, outside: Outside, by: int) -> None:
    """Say what is known of effects in doubt, and what is waited for, `by` who has not said anything before."""
    for doubt in await running.effects():
        if not doubt.under_way:
            done = f"doubtful {doubt.key}" in outside.lines("did")
            await running.answer("desk", Done("done") if done else NotDone(), key=doubt.key, by="ada")
    for wait in await running.waits():
        if wait.what == EVENT:
            await running.ref("desk").tell(Happened("shipped", by))
            outside.note("said", "event", by)
        elif wait.what == APPROVAL:
            await running.rule("desk", Approved(f"ada{by}"), key=wait.key)
            outside.note("said", "ruling", f"ada{by}")
        elif wait.what == QUESTION:
            await running.rule("desk", Answered("ada", by), key=wait.key)
            outside.note("said", "answer", by)


async def _work(file: Path, outside: Outside, process: int, trace: Callable[[str], None]) -> tuple[str, ...]:
    def connect(*args: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = sqlite3.connect(*args, **options)
        connection.set_trace_callback(trace)
        return connection

    blueprint = tree(child(Desk, args={"outside": outside}, backoff=NO_BACKOFF))
    journal = on_disk(file, connect=connect, run_sync=_at_once)
    begins = WALL + 100.0 * process
    with trio.fail_after(_LIMIT):
        async with open_tree(blueprint, journal=journal, wall=lambda: begins + trio.current_time()) as running:
            ref = running.ref("desk")
            await trio.sleep(_TICK)
            if not outside.lines("told") and not await _is_known(running):
                await ref.tell(Order())
                outside.note("told", "order")
            by = 10 * process
            while True:
                await trio.sleep(_TICK)
                if not running.snapshot()[0].held and (told := await ref.ask(Ended())):
                    return told
                by += 1
                await _answer(running, outside, by)


def go_on(
    file: Path, outside: Outside, process: int, trace: Callable[[str], None] = lambda sql: None
) -> tuple[str, ...]:
    """Run a process until the order has settled, and stop it in order. Each statement of its journal is `trace`d before
    it runs. Returns what the steps have told the order."""
    with ordered_by(0):
        return trio.run(_work, file, outside, process, trace, clock=trio.testing.MockClock(autojump_threshold=0))
