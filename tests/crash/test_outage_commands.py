"""Commands of other processes on a disk that takes nothing for a while: each is carried out once, and answered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import apsw
import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents.agent import handles
from treewarden.agents.core.message import Request
from treewarden.agents.core.path import Path
from treewarden.supervisor.core.command import Command
from treewarden.supervisor.core.event import CommandAnswered
from treewarden.supervisor.journal.canonical import dump
from treewarden.supervisor.journal.schema import NOW
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

from ..journals import WALL
from ..topologies.commanded import Add, Counter
from .explorer.adapter import Connection, Database, Rows
from .explorer.vfs import Disk, Vfs, mounted
from .explorer.workload import Processes, journal_on


@frozen
class Slowly(Request[int]):
    """Takes a second."""


class Desk(Counter):
    @handles
    async def slowly(self, message: Slowly) -> int:
        await trio.sleep(1)
        return self.state


class Looks(Connection):
    """SQLite counts what other connections have written, and here all have the same one."""

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        if sql != "PRAGMA data_version":
            return super().execute(sql, parameters)
        sent = super().execute("SELECT count(*) FROM commands").fetchone()
        assert sent is not None
        return Rows([(sent[0],)], 0)


@pytest.fixture
def vfs() -> Iterator[Vfs]:
    with mounted() as vfs:
        vfs.disk = Disk(wall=lambda: WALL + trio.current_time())
        yield vfs


def put(database: Database, id: str, what: str, path: str = "desk", **fields: object) -> None:
    body = dump(Command(what=what, path=Path(path), fields=fields, by="ann").as_data())
    connection = database.connect("tree.db")
    connection.execute(f"INSERT INTO commands VALUES (?, ?, {NOW}, 'waiting', '', 1)", (id, body))
    connection.close()


def answers(database: Database) -> dict[str, tuple[str, str]]:
    connection = database.connect("tree.db")
    found = connection.execute("SELECT id, state, answer FROM commands").fetchall()
    connection.close()
    return {id: (state, text) for id, state, text in found}


def full(call: str) -> int:
    return apsw.SQLITE_FULL if call == "write" else 0


async def test_what_has_not_begun_is_done_when_the_disk_takes_something_again(
    vfs: Vfs, autojump_clock: MockClock
) -> None:
    database = Database(vfs=vfs.name, kind=Looks)
    journal = journal_on(database, Processes(1))
    async with open_tree(tree(Desk), journal=journal) as running:
        await trio.sleep(1)
        put(database, "told", "tell", kind="Add", data={"amount": 2})
        put(database, "held", "hold")
        put(database, "nowhere", "tell", "nobody", kind="Add", data={"amount": 2})
        vfs.disk.fault = full
        await trio.sleep(8)
        assert {state for state, _ in answers(database).values()} == {"waiting"}
        vfs.disk.fault = None
        await trio.sleep(2)
        assert answers(database) == {
            "told": ("applied", "desk was told Add"),
            "held": ("applied", "desk is held: ann holds desk. Start it?"),
            "nowhere": ("refused", "nobody: the tree has no such slot; there is desk"),
        }
        running.resume("desk")
        assert await running.ref("desk").ask(Slowly()) == 2
        facts = [record.event for record in await journal.read(limit=1000)]
        assert len([fact for fact in facts if isinstance(fact, CommandAnswered)]) == 3


async def test_what_has_begun_is_answered_when_the_disk_takes_something_again(
    vfs: Vfs, autojump_clock: MockClock
) -> None:
    database = Database(vfs=vfs.name, kind=Looks)
    async with open_tree(tree(Desk), journal=journal_on(database, Processes(1))) as running:
        await running.ref("desk").tell(Add(3))
        await trio.sleep(1)
        put(database, "asked", "ask", kind="Slowly", data={})
        await trio.sleep(20)
        assert answers(database)["asked"] == ("applied", "3")
        put(database, "again", "ask", kind="Slowly", data={})
        for _ in range(200):
            if answers(database)["again"][0] == "taken":
                break
            await trio.sleep(0.1)
        vfs.disk.fault = full
        await trio.sleep(5)
        vfs.disk.fault = None
        await trio.sleep(2)
        assert answers(database)["again"] == ("applied", "3")
