"""Which journal a file is, and since when, cannot be changed in it without `verify` noticing."""

from __future__ import annotations

import gzip
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from treewarden.agents.agent import Agent
from treewarden.agents.errors import JournalDamaged
from treewarden.supervisor.core.bundle import sealed
from treewarden.supervisor.core.event import Event, TreeForked, TreeOpened
from treewarden.supervisor.core.retention import EventRetention
from treewarden.supervisor.journal.event_codec import encode_event
from treewarden.supervisor.journal.exporting import bundle_of, read_bundle
from treewarden.supervisor.journal.forking import fork
from treewarden.supervisor.journal.identity import read, said
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.journal.schema import identity_of, written_identity
from treewarden.supervisor.pruning import Pruning
from treewarden.topologies.cli import main
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

from ..journals import WallClock, on_disk

STORED: Final = sorted((Path(__file__).parent.parent / "supervisor/journal/stored").glob("*.gz"))


class Idle(Agent[None]):
    pass


def run_once(file: Path) -> None:
    async def run() -> None:
        async with open_tree(tree(Idle), journal=file):
            pass

    trio.run(run)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    run_once(tmp_path / "tree.db")
    return tmp_path / "tree.db"


def execute(file: Path, sql: str, *given: object) -> Any:
    with closing(sqlite3.connect(file)) as connection, connection:
        return connection.execute(sql, given).fetchone()


def faults(file: Path) -> list[str]:
    with JournalFile.open(file) as journal:
        return [str(fault) for fault in journal.verify().faults]


def copied(file: Path) -> Path:
    return read_into(file, lambda record: record)


def read_into(file: Path, changed: Callable[[dict[str, Any]], dict[str, Any]], **options: Any) -> Path:
    """What comes of a bundle of `file`, of which each record was changed."""
    with JournalFile.open(file) as journal:
        records = [changed(record) for record in bundle_of(journal, **options)]
    copy = file.with_name("copy.db")
    read_bundle(sealed(records), copy)
    return copy


@pytest.mark.parametrize("sql", ["UPDATE meta SET tree = 'beef'", "UPDATE meta SET created = 5.0"])
def test_one_that_was_changed(sql: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(file)) as connection:
        before = identity_of(connection)
    assert faults(file) == []
    execute(file, sql)
    with closing(sqlite3.connect(file)) as connection:
        after = identity_of(connection)
    assert main(["journal", "verify", str(file)]) == 1
    what = f"changed: the journal's id or date: it says that this is {before}, and the file that it is {after}"
    assert f"  1: {what}\n" in capsys.readouterr().out
    run_once(file)  # which says what the file says now
    (fault,) = faults(file)
    assert fault.endswith(f"it says that this is {after}, and event 1 said {before}")


def test_a_file_that_does_not_say_what_it_is(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`verify` goes on, and does not send anybody to itself."""
    with JournalFile.open(file) as journal:
        head = journal.head
    execute(file, "DELETE FROM meta")
    with JournalFile.open(file) as journal:
        (fault,) = journal.verify(head).faults
    assert str(fault).endswith(", and the file nothing")
    execute(file, "DELETE FROM events")
    assert main(["journal", "verify", str(file)]) == 1
    said = capsys.readouterr().out
    assert "missing: nothing says where the journal stands" in said
    assert "does not hold what was written" not in said


def test_what_was_copied_is_the_same_and_a_fork_is_another(file: Path) -> None:
    run_once(file)
    other = fork(file, file.with_name("fork.db"), new_tree=lambda: "f0").file
    run_once(other)
    identity = "SELECT tree, created FROM meta"
    assert execute(copied(file), identity) == execute(file, identity)
    assert execute(other, identity) != execute(file, identity)
    assert [faults(each) for each in (file, other, file.with_name("copy.db"))] == [[], [], []]
    execute(other, "UPDATE meta SET tree = (SELECT 'beef')")
    assert faults(other)


def test_a_journal_whose_starts_were_pruned_keeps_its_date_in_a_bundle(file: Path) -> None:
    async def prune() -> None:
        async with on_disk(file) as journal:
            await Pruning(journal, WallClock()).prune(EventRetention(last=0), "ada")

    trio.run(prune)
    execute(file, "UPDATE meta SET created = 1700000000.25")
    assert execute(copied(file), "SELECT created FROM meta") == (1700000000.25,)
    file.with_name("copy.db").unlink()

    def claiming(created: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
        return lambda record: record | ({"created": created} if record["type"] == "bundle" else {})

    def of_before(record: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in record.items() if name != "created"}

    (created,) = execute(read_into(file, of_before), "SELECT created FROM meta")
    assert created > 1.7e9 + 1, "of one that does not say it, when it was read"
    file.with_name("copy.db").unlink()
    for wrong in ("yesterday", True, [1.0], 2**63, 10**400):
        with pytest.raises(JournalDamaged, match=r"line 1: its header has .* under created"):
            read_into(file, claiming(wrong))


def test_a_bundle_that_says_it_is_another_journal(file: Path) -> None:
    def changed(record: dict[str, Any]) -> dict[str, Any]:
        return record | {"tree": "beef"} if record["type"] == "bundle" else record

    with pytest.raises(JournalDamaged, match=r"line 2: event 1: it says that the journal is \w+, and the header beef"):
        read_into(file, changed)
    assert not file.with_name("copy.db").exists()


def test_what_was_left_out_of_a_bundle_is_not_missed(file: Path) -> None:
    copy = read_into(file, lambda record: record, secrets=["journal"])
    assert faults(copy) == []
    run_once(copy)
    assert faults(copy) == []


@pytest.mark.parametrize("stored", STORED, ids=lambda stored: stored.name)
def test_a_file_of_before_is_bound_from_its_next_start_on(stored: Path, tmp_path: Path) -> None:
    file = tmp_path / "tree.db"
    file.write_bytes(gzip.decompress(stored.read_bytes()))
    assert faults(file) == []
    run_once(file)
    assert faults(file) == []
    execute(file, "UPDATE meta SET created = created + 1")
    assert len(faults(file)) == 1


def opened(journal: str) -> TreeOpened:
    return TreeOpened(epoch=1, holder="h", version="1", journal=journal)


def forked(journal: str) -> TreeForked:
    return TreeForked(tree="a", seq=1, hash="", journal=journal)


A, B, LATER = "a@1.5", "b@1.5", "a@2.5"


@pytest.mark.parametrize(
    ("events", "known", "wrong"),
    [
        ([], "", []),
        ([opened(A), opened(A)], A, []),
        ([opened(A), opened(B), opened(B), opened(A)], A, [2, 4]),
        ([opened(A), opened(LATER)], LATER, [2]),
        ([opened(A), opened(""), opened(A)], A, []),
        ([opened(A), opened("[redacted]"), opened("a@[redacted]"), opened("[redacted]@1.5"), opened(B)], B, [5]),
        ([opened(A), forked(B), opened(B)], B, []),
        ([opened(A), forked(B), opened(A)], A, [3]),
        ([opened(A), forked(""), opened(B)], B, []),
        ([opened(A), forked("")], "", []),
    ],
)
def test_what_a_chain_says_of_itself(events: list[Event], known: str, wrong: list[int]) -> None:
    rows = [(seq, *encode_event(event)) for seq, event in enumerate(events, 1)]
    told, seq, found = said(rows)
    assert ([fault.seq for fault in found], told, seq) == (wrong, known, len(events) if known else 0)


def test_what_is_no_event_of_ours_says_nothing() -> None:
    assert said([(1, "TreeOpened", 99, "{}"), (2, "Newer", 1, "{}"), (3, "TreeOpened", 1, "{")]) == ("", 0, ())
    assert read(written_identity("a", 0.1)) == ("a", 0.1)
