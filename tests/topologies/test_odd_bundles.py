"""Bundles that somebody has changed and sealed anew: what no journal writes is refused by its line, field and value."""

from __future__ import annotations

import copy
import itertools
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
import trio
from attrs import evolve

from treewarden.agents.core.label import Label
from treewarden.agents.core.path import Path as Slot
from treewarden.agents.errors import JournalDamaged
from treewarden.supervisor.core.bundle import sealed
from treewarden.supervisor.journal.bundle_rows import Misfit, RowReader, check_event, insert
from treewarden.supervisor.journal.exporting import bundle_of, read_bundle
from treewarden.supervisor.journal.port import Commit, ReplyRow
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.journal.schema import migrate

from ..journals import DESK, WALL, checkpoint, dead, fact, message, on_disk, state, timer

ODD: Final[tuple[Any, ...]] = (
    None, True, -1, 2**62, 2**63, -(2**63), 10**400, 1.5, 1e308, "", "x" * 300_000, "\0", "a\nb", "../x",
    "2026-01-01T00:00:00", [], {}, {"$bytes": "AA=="}, {"$bytes": "%%"}, "[" * 3000, "@5 []\n12345", "null",
)  # fmt: skip
TEXT: Final = ("2026-01-01T00:00:00", "@5 []\n12345", "[" * 3000, "null", "../x", "\0", "a\nb", "x" * 300_000)
LINE: Final = ("2026-01-01T00:00:00", "../x", "null", "")
PATH: Final = ("2026-01-01T00:00:00", "null")
BODY: Final = ("null", "@5 []\n12345")
TIME: Final = (1.5, -1, 2**62)
FREE: Final[dict[str, dict[str, tuple[Any, ...]]]] = {
    "events": {"at": TIME, "path": (*PATH, "")},
    "states": {"path": PATH, "kind": TEXT, "body": BODY},
    "checkpoints": {
        "path": PATH, "kind": TEXT, "at": TIME, "name": LINE, "description": (*TEXT, ""),
        "tags": (*LINE, "a\nb", "@5 []\n12345"),
    },
    "mailbox": {
        "id": TEXT, "kind": TEXT, "sender": (*PATH, None), "path": PATH, "body": BODY, "at": TIME,
        "not_before": (*TIME, None),
    },
    "dead_letters": {
        "path": PATH, "message": TEXT, "kind": TEXT, "body": BODY, "reason": (*TEXT, ""), "at": TIME, "row": (None,),
        "sender": (*PATH, None), "priority": (None,),
    },
    "replies": {"id": TEXT, "path": PATH, "kind": TEXT, "body": BODY},
    "timers": {"path": PATH, "name": (*TEXT, ""), "at": TIME},
}  # fmt: skip
"""What does no harm: a kind that no class has here holds its agent, and says so."""


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """A good one with a row in each table, that says its events are to be chained anew."""
    file = tmp_path_factory.mktemp("good") / "desk.db"

    async def write() -> None:
        async with on_disk(file) as journal:
            for commit in (
                Commit(accepted=(message(1), message(2), message(3))),
                Commit(events=((WALL, fact(1)),), states=(state(1),)),
                Commit(checkpoints=(evolve(checkpoint(2), label=Label("good", "by hand", ("a", "b"))),)),
                Commit(dead=(dead(1),), timers=(timer("tick", 5.5),), replies=(ReplyRow("t-1>x", DESK, "int", "5"),)),
            ):
                await journal.commit(commit)

    trio.run(write)
    with JournalFile.open(file) as journal:
        return [
            record | {"same_chain": False} if record["type"] == "bundle" else record for record in bundle_of(journal)
        ]


def changed(records: list[dict[str, Any]], table: str, **fields: Any) -> tuple[int, list[dict[str, Any]]]:
    """The line of the first row of `table`, and all with that row changed."""
    made = copy.deepcopy(records)
    place = next(place for place, record in enumerate(made) if record.get("table") == table)
    made[place]["row"] |= fields
    return place + 1, made


def refusal(records: list[dict[str, Any]], file: Path) -> str:
    """Why it is not imported; empty if it is, and then all that was imported can be read."""
    try:
        read_bundle(sealed(records), file)
    except JournalDamaged as error:
        assert not list(file.parent.glob(f"{file.name}*"))
        return str(error)
    try:
        with JournalFile.open(file) as journal:
            assert journal.verify().sound
            assert not journal.check_rows().faults
            assert len(journal.records()) == 1
            assert len(journal.dead_letters()) == 1
            assert len(list(journal.held())) == 6
            assert [len(journal.checkpoints(Slot(path))) for (path,) in of(file, "SELECT path FROM checkpoints")] == [1]
    finally:
        file.unlink()
    return ""


def of(file: Path, question: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(question).fetchall()


def is_free(table: str, name: str, value: Any) -> bool:
    return type(value) is not bool and value.__hash__ is not None and value in FREE[table].get(name, ())


@pytest.mark.parametrize("table", FREE)
def test_what_no_journal_writes_is_refused(table: str, records: list[dict[str, Any]]) -> None:
    row = next(record["row"] for record in records if record.get("table") == table)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, 0)
        reader = RowReader.of(connection, FREE, events=1, epochs=1)
        for name, value in itertools.product(row, ODD):
            if is_free(table, name, value):
                continue
            why = misfit(connection, evolve(reader), table, {**row, name: value})
            assert why.startswith((f"{table}.{name} is ", "events.kind is ", "checkpoints.size is ")), (
                name,
                value,
                why,
            )
            assert ("; it must be " in why) or table == "events", (name, value, why)
            assert len(why) < 400


def misfit(connection: sqlite3.Connection, reader: RowReader, table: str, row: dict[str, Any]) -> str:
    connection.execute("BEGIN")
    try:
        found, made = reader.read({"type": "row", "table": table, "row": row}, 2, redacted=False)
        if table == "events":
            check_event(made)
        insert(connection, found, made)
    except Misfit as error:
        return str(error)
    finally:
        connection.execute("ROLLBACK")
    return ""


def test_what_does_no_harm_is_imported(records: list[dict[str, Any]], tmp_path: Path) -> None:
    for number in range(len(TEXT) + 1):
        made = records
        for table, fields in FREE.items():
            odd = {name: values[number] for name, values in fields.items() if number < len(values)}
            if "message" in odd:
                odd["message"] += " of a dead letter"
            _, made = changed(made, table, **odd)
        assert not refusal(made, tmp_path / "new.db"), number


def test_a_good_one_is_imported(records: list[dict[str, Any]], tmp_path: Path) -> None:
    assert not refusal(records, tmp_path / "new.db")


@pytest.mark.parametrize(
    ("table", "fields", "why"),
    [
        ("mailbox", {"priority": 0}, "mailbox.priority is 0; it must be 1, 2 or 3"),
        ("dead_letters", {"priority": 4}, "dead_letters.priority is 4; it must be 1, 2 or 3"),
        ("states", {"seq": 2}, "states.seq is 2; it must be 0 to 1, as the header counts"),
        ("states", {"epoch": 2}, "states.epoch is 2; it must be 0 to 1, as the header counts"),
        ("states", {"path": "a//b"}, "states.path is 'a//b'; it must be the path of a slot"),
        ("states", {"version": 0}, "states.version is 0; it must be a whole number from 1 to 2^62"),
        ("checkpoints", {"pinned": 2}, "checkpoints.pinned is 2; it must be 0 or 1"),
        ("checkpoints", {"size": 9}, "checkpoints.size is 9; it must be 11, the characters of its body"),
        ("checkpoints", {"tags": "a\n\nb"}, "checkpoints.tags is 'a\\n\\nb'; it must be lines of text"),
        ("mailbox", {"id": "t-3"}, "mailbox.id is 't-3'; it must be another than that of line "),
        ("dead_letters", {"message": "t-2"}, "dead_letters.message is 't-2'; it must be another than that of line "),
        ("mailbox", {"row": 3}, "a line before it has mailbox.row 3 as well; each must have its own"),
        ("mailbox", {"else": 3}, "mailbox has the columns row, path, id,"),
        ("events", {"kind": "NoSuch"}, "events.kind is 'NoSuch', and it cannot be read: "),
        ("events", {"body": "{}"}, "events.kind is 'Recorded', and it cannot be read: "),
        ("events", {"hash": {"$bytes": "AA==", "a": 1}}, 'it must be an object {"$bytes": ...} with base64'),
    ],
)
def test_what_is_wrong_is_said(
    table: str, fields: dict[str, Any], why: str, records: list[dict[str, Any]], tmp_path: Path
) -> None:
    _, made = changed(records, table, **fields)
    assert why in refusal(made, tmp_path / "new.db")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"type": None}, "its type is None; it must be row, blob or end"),
        ({"table": "owner"}, "its table is 'owner'; it must be one of events, states"),
        ({"table": ["events"]}, "its table is ['events']; it must be one of events, states"),
        ({"row": 5}, "its row is 5; it must be an object with the columns path, kind"),
        ({"type": "blob", "hash": "x"}, "blob.hash is 'x'; it must be SHA-256 as 64 hexadecimal digits"),
        ({"type": "blob", "hash": "a" * 64, "text": 5}, "blob.text is 5; it must be a text"),
        ({"type": "blob", "hash": "a" * 64, "text": "", "end": 1}, "blob.end is 1; it must be true"),
    ],
)
def test_a_line_that_is_no_row(fields: dict[str, Any], why: str, records: list[dict[str, Any]], tmp_path: Path) -> None:
    line, made = changed(records, "states")
    made[line - 1] |= fields
    assert f"line {line}: {why}" in refusal(made, tmp_path / "new.db")


@pytest.mark.parametrize("name", ["v", "schema", "tree", "created", "path", "epoch", "last_row", "head", "same_chain"])
def test_a_header_says_what_is_wrong_with_it(name: str, records: list[dict[str, Any]], tmp_path: Path) -> None:
    odd: tuple[Any, ...] = (True, -1, 1.5, "\0", [], {}, "x" * 300_000)
    for value in odd:
        if (name, value) in (("created", -1), ("created", 1.5), ("same_chain", True), ("tree", "x" * 300_000)):
            continue
        why = refusal([{**records[0], name: value}, *records[1:]], tmp_path / "new.db")
        assert why.startswith("the bundle is damaged: line 1: its header has "), (name, value)
        assert f" under {name}; it must be " in why
        assert len(why) < 500


def test_what_was_left_out_of_a_row_may_stand_in_its_path(tmp_path: Path) -> None:
    """The secret of one agent is the name of another."""
    file = tmp_path / "desk.db"
    secret = Slot("desk/lampshade")

    async def write() -> None:
        async with on_disk(file) as journal:
            body = json.dumps({"token": "lampshade"}, separators=(",", ":"))
            await journal.commit(
                Commit(states=(evolve(state(1), body=body), state(1, secret)), events=((WALL, fact(1, secret)),))
            )

    trio.run(write)
    with JournalFile.open(file) as journal:
        lines = list(sealed(bundle_of(journal, secrets=["token"])))
    assert read_bundle(lines, tmp_path / "new.db").rows == 3
    assert of(tmp_path / "new.db", "SELECT path FROM states ORDER BY path") == [("desk",), ("desk/[redacted]",)]
