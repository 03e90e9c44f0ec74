"""A tree of many durable agents that is opened again: each is what it was, and they are read together."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.message import Request
from treewarden.supervisor.codecs import codec_of_class
from treewarden.supervisor.core.spec import Strategy
from treewarden.supervisor.journal.integrity import with_sums
from treewarden.supervisor.testing import inline_run_sync
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.tree import tree

from ..journals import on_disk

CLOCK = trio.testing.MockClock
MANY = 300


@frozen
class Put:
    n: int


@frozen
class Seen:
    numbers: tuple[int, ...] = ()


@frozen
class Look(Request[Seen]): ...


class Keeper(Agent[Seen]):
    """Has no task before its first message."""

    state = Seen()

    @handles
    async def put(self, message: Put) -> None:
        self.state = evolve(self.state, numbers=(*self.state.numbers, message.n))

    @handles
    async def look(self, _: Look) -> Seen:
        return self.state


class Greeter(Keeper):
    """Tells somebody who starts after it, and somebody who has started before."""

    async def on_start(self) -> None:
        place = int(self.path.name)
        for other in (place - 1, place + 7):
            if 0 <= other < MANY:
                await self.ref(f"../{other}").tell(Put(1000 + place))


class Counted:
    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, call: Callable[..., Any], *args: Any) -> Any:
        self.calls += 1
        return await inline_run_sync(call, *args)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "desk.db"


async def filled(file: Path, agent: type[Keeper] = Keeper) -> None:
    """Each has settled its own number, and two messages wait for every third."""
    async with open_tree(tree(pool(agent, MANY, id="pool")), journal=on_disk(file)) as running:
        async with trio.open_nursery() as nursery:
            for n in range(MANY):
                nursery.start_soon(running.ref(f"pool/{n}").tell, Put(n))
        await trio.testing.wait_all_tasks_blocked()
    leave(file, [(f"pool/{n}", after) for n in range(0, MANY, 3) for after in (MANY + n, 2 * MANY + n)])


def leave(file: Path, messages: list[tuple[str, int]]) -> None:
    """Messages that wait, as a process that died has left them."""
    with closing(sqlite3.connect(file)) as connection, connection:
        last, name = connection.execute("SELECT last_row, tree FROM meta").fetchone()
        codec = codec_of_class(Keeper)
        for path, n in messages:
            last += 1
            kind, version, body, _ = codec.encode_row(Put(n))
            row = with_sums(
                "mailbox",
                {"row": last, "path": path, "id": f"{name}-{last}", "kind": kind, "version": version, "sender": None,
                 "body": body, "priority": 2, "at": 1.0, "deliveries": 0, "deaths": 0, "not_before": None,
                 "epoch": 1},
            )  # fmt: skip
            marks = ",".join("?" * len(row))
            connection.execute(f"INSERT INTO mailbox ({','.join(row)}) VALUES ({marks})", tuple(row.values()))
        connection.execute("UPDATE meta SET last_row = ?", (last,))


def expected(n: int) -> tuple[int, ...]:
    return (n,) if n % 3 else (n, MANY + n, 2 * MANY + n)


async def test_each_of_many_is_what_it_was(file: Path, autojump_clock: CLOCK) -> None:
    await filled(file)
    counted = Counted()
    async with open_tree(tree(pool(Keeper, MANY, id="pool")), journal=on_disk(file, run_sync=counted)) as running:
        assert counted.calls < 20, "one for 128 of them, and those of the tree's own"
        for n in range(MANY):
            assert (await running.ref(f"pool/{n}").ask(Look())).numbers == expected(n)


async def test_those_that_are_started_by_calls_are_read_together_too(file: Path, autojump_clock: CLOCK) -> None:
    """Each call knows only its own child, and waits for the one before it."""
    await filled(file)
    jobs, statements = tree(tree(Keeper, id="pool", strategy=Strategy.DYNAMIC)), list[str]()

    def connect(*args: Any, **options: Any) -> sqlite3.Connection:
        connection = sqlite3.connect(*args, **options)
        connection.set_trace_callback(statements.append)
        return connection

    async with open_tree(jobs, journal=on_disk(file, connect=connect)) as running:
        starting = running.supervisor("pool")
        for n in range(100):
            await starting.start_dynamic(id=str(n))
        async with trio.open_nursery() as nursery:
            for n in range(100, MANY):
                nursery.start_soon(partial(starting.start_dynamic, id=str(n)))
        assert 5 < sum("FROM timers WHERE path = 'pool/" in each for each in statements) < 40
        await running.ref("pool/0").tell(Put(-1))
        for n in range(MANY):
            assert (await running.ref(f"pool/{n}").ask(Look())).numbers == (*expected(n), *(() if n else (-1,)))


async def test_what_siblings_tell_each_other_while_they_start_comes_behind(file: Path, autojump_clock: CLOCK) -> None:
    await filled(file)
    counted = Counted()
    async with open_tree(tree(pool(Greeter, MANY, id="pool")), journal=on_disk(file, run_sync=counted)) as running:
        await trio.testing.wait_all_tasks_blocked()
        for n in range(MANY):
            found = (await running.ref(f"pool/{n}").ask(Look())).numbers
            told = [1000 + other for other in (n - 7, n + 1) if 0 <= other < MANY]
            assert found[: len(expected(n))] == expected(n)
            assert sorted(found[len(expected(n)) :]) == told


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("UPDATE states SET body = '{\"numbers\":[1]}' WHERE path = 'pool/77'", "is damaged: "),
        ("UPDATE states SET body = '{\"numbers\"', checksum = NULL WHERE path = 'pool/77'", "is damaged: "),
        ("UPDATE states SET version = 9, checksum = NULL WHERE path = 'pool/77'", "what this code cannot read: "),
    ],
)
@pytest.mark.parametrize("agent", [Keeper, Greeter])
async def test_a_bad_row_holds_its_own_agent(
    sql: str, why: str, agent: type[Keeper], file: Path, autojump_clock: CLOCK
) -> None:
    await filled(file)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        assert connection.execute(sql).rowcount == 1
    async with open_tree(tree(pool(agent, MANY, id="pool")), journal=on_disk(file)) as running:
        await trio.testing.wait_all_tasks_blocked()
        held = [slot for slot in running.snapshot() if slot.state is SlotState.HELD]
        assert [slot.path for slot in held] == ["pool/77"]
        assert why in held[0].note
        for n in (75, 76, 78, MANY - 1):
            assert (await running.ref(f"pool/{n}").ask(Look())).numbers[: len(expected(n))] == expected(n)


async def test_a_restart_does_not_read_what_was_read(file: Path, autojump_clock: CLOCK) -> None:
    """What still waits of an earlier process is in the mailbox by then, and what was settled is not undone."""
    failures = iter([True])

    class Failing(Keeper):
        @handles
        async def put(self, message: Put) -> None:
            if message.n == 2 and next(failures, False):
                raise ValueError("once")
            await super().put(message)

    async with open_tree(tree(pool(Keeper, 2, id="pool")), journal=on_disk(file)):
        pass
    leave(file, [("pool/0", n) for n in (1, 2, 3, 4)])
    async with open_tree(tree(pool(Failing, 2, id="pool")), journal=on_disk(file)) as running:
        await trio.sleep(1000)
        assert (await running.ref("pool/0").ask(Look())).numbers == (1, 2, 3, 4)
