"""A wait that this code cannot read is listed as such, and holds its own agent: others are listed and ruled about."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents import Agent, Answered, handles
from treewarden.supervisor.journal.integrity import checksum
from treewarden.topologies.child import child
from treewarden.topologies.cli import main
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

from ..journals import on_disk


@frozen
class Order: ...


class Desk(Agent[int]):
    state = 0

    @handles
    async def order(self, message: Order) -> None:
        said = await self.ask_person("size", "How large?", returns=int, within=1e6)
        self.state = said.value if isinstance(said, Answered) else -1


TREE = tree(child(Desk, id="newer"), child(Desk, id="older"))


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Of two who ask, of which a newer treewarden has written what one waits for."""

    async def ask() -> None:
        async with open_tree(TREE, journal=on_disk(tmp_path / "desk.db")) as running:
            for name in ("newer", "older"):
                await running.ref(name).tell(Order())
            await trio.sleep(10)

    trio.run(ask, clock=MockClock(autojump_threshold=0))
    file = tmp_path / "desk.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        id, path, kind, body = connection.execute(
            "SELECT id, path, kind, body FROM replies WHERE path = 'newer'"
        ).fetchone()
        sum = checksum(id, path, kind, 2, body)
        connection.execute("UPDATE replies SET version = 2, checksum = ? WHERE path = 'newer'", (sum,))
    return str(file)


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    capsys.readouterr()
    return main([*words]), capsys.readouterr().out


def test_it_is_listed_as_such(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "journal", "verify", file)[0] == 0
    code, text = said(capsys, "waits", file)
    first, second = text.splitlines()
    assert (code, first.split()[2], first.endswith("How large?  a whole number of at most 64 bits")) == (
        0,
        "older",
        True,
    )
    assert second.startswith("newer  size of ")
    assert second.endswith(" cannot be read by this code: it is of version 2")
    older, newer = json.loads(said(capsys, "waits", file, "--json")[1])["waits"]
    assert (newer["path"], newer["wait"], newer["what"], newer["since"]) == ("newer", "size", "", 0.0)
    assert (newer["message"], older["unread"]) == (second.split()[3], "")
    assert newer["unread"] in second
    assert said(capsys, "waits", file, "older")[1] == f"{first}\n"
    code, text = said(capsys, "journal", "check-code", file)
    assert code == 1
    assert f"  newer: effect {newer['message']}>newer~size.1>begun: {newer['unread']}\n" in text


async def test_the_others_are_ruled_about(file: str, autojump_clock: MockClock) -> None:
    async with open_tree(TREE, journal=on_disk(Path(file))) as running:
        await trio.sleep(10)
        held, lives = running.snapshot()
        older, newer = await running.waits()
        assert held.note.startswith("held: newer has stored what this code cannot read: ")
        assert newer.unread in held.note
        assert (older.path, older.unread, lives.note) == ("older", "", "")
        await running.rule("/", Answered("ann", 6), key=older.key)
        await trio.sleep(10)
        assert await running.waits() == (newer,)


def test_the_others_are_answered_where_no_tree_runs(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    key = json.loads(said(capsys, "waits", file, "--json")[1])["waits"][0]["key"]
    assert main(["answer", file, "/", "--key", key, "--by", "ann", "--say", "6"]) == 0
    assert "is answered by ann" in capsys.readouterr().out
