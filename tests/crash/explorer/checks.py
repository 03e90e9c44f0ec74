"""What has to hold in the files that a power cut leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import apsw
from attrs import frozen

from treewarden.agents.errors import JournalDamaged
from treewarden.supervisor.core.chain import Head, StoredRow, verify

from .vfs import Disk, Vfs
from .workload import FILE
from .world import QUERIES, Expected, Tables, World, ask

__all__ = ["Found", "Kind", "Violation", "judge", "look"]


class Kind(StrEnum):
    """Which promise is broken."""

    UNREADABLE = "unreadable"
    """The file does not open, or SQLite finds it corrupt."""
    CHAIN = "chain"
    """The events do not verify up to the head that the file names."""
    TORN = "torn"
    """State, acknowledgements, outgoing messages and the rest are not those of one moment."""
    LOST = "lost"
    """Something is missing that was acknowledged."""
    EXTRA = "extra"
    """Something is there that was never submitted, or was said not to be kept."""
    OWNER = "owner"
    """The file does not belong to whom it was given to."""
    ANSWER = "answer"
    """The journal said what it should not have said."""
    EFFECT = "effect"
    """What was done outside, and what the file says of it, do not agree; or it was done twice."""
    WAIT = "wait"
    """What was acknowledged to who waits does not count once, or an order is gone, there twice or left over."""
    REOPENED = "reopened"
    """The next owner does not find what the tables hold, or cannot work."""


@frozen
class Violation:
    kind: Kind
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


@frozen
class Found:
    """What the files hold. Of a file that never became a journal: nothing, in epoch 0."""

    tables: Tables
    head: Head
    chain: Sequence[StoredRow]
    epoch: int
    owner: tuple[int, bool]
    """Epoch of the owner's row, and whether it was given back."""


_NOTHING: Final = Found(World().tables(), Head(), (), 0, (0, True))
_EVENTS: Final = "SELECT seq, at, epoch, path, kind, version, body, prev, hash FROM events ORDER BY seq"
_REST: Final = tuple(name for name in QUERIES if name not in ("meta", "events"))


def look(vfs: Vfs, files: Mapping[str, bytes]) -> Found | Violation:
    """Open `files` as a process would after the power cut, and read everything. They stay as they are."""
    vfs.disk = Disk(files)
    if FILE not in files:
        return _NOTHING
    try:
        connection = apsw.Connection(FILE, flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs.name, statementcachesize=0)
        try:
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            return _read(connection)
        finally:
            connection.close()
    except JournalDamaged as error:
        return Violation(Kind.LOST, str(error))
    except (apsw.Error, UnicodeDecodeError) as error:
        return Violation(Kind.UNREADABLE, f"{type(error).__name__}: {error}")


def _read(connection: Any) -> Found:
    execute = connection.execute
    execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
    ((tables,),) = execute("SELECT count(*) FROM sqlite_schema").fetchall()
    if not tables:
        return _NOTHING
    ((seq, hash, last_row, epoch, owner, released),) = execute(
        "SELECT seq, hash, last_row, meta.epoch, owner.epoch, released FROM meta, owner"
    ).fetchall()
    chain: list[StoredRow] = execute(_EVENTS).fetchall()
    found: Tables = {"meta": [(seq, last_row)]}
    found["events"] = [(seq, at, path, kind, version, body, by) for seq, at, by, path, kind, version, body, *_ in chain]
    for name in _REST:
        found[name] = ask(connection, name)
    return Found(found, Head(seq, hash), chain, epoch, (owner, bool(released)))


def judge(found: Found, expected: Expected, worlds: Sequence[World]) -> int | Violation:
    """The number of the world that was found, or what is wrong with it."""
    low, high = expected.epochs
    if found.epoch < low:
        return Violation(Kind.LOST, f"the file is in epoch {found.epoch}; epoch {low} was acknowledged")
    if found.epoch > high:
        return Violation(Kind.OWNER, f"the file is in epoch {found.epoch}; its owners were given {high} at most")
    if found.owner[0] != found.epoch:
        return Violation(Kind.OWNER, f"the file is in epoch {found.epoch}, its owner in {found.owner[0]}")
    if expected.closed and not found.owner[1]:
        return Violation(Kind.OWNER, f"epoch {found.epoch} was given back, which the file does not know")
    number = next((number for number in expected.worlds if found.tables == worlds[number].tables()), None)
    if number is None:
        return _explain(found.tables, expected, worlds)
    verdict = verify(found.chain, found.head)
    if not verdict.sound:
        return Violation(Kind.CHAIN, "; ".join(map(str, verdict.faults)))
    return number


def _explain(tables: Tables, expected: Expected, worlds: Sequence[World]) -> Violation:
    """No world that may be there is. Which ones would each table fit?"""
    fitting = {
        name: [number for number, world in enumerate(worlds) if world.tables()[name] == rows]
        for name, rows in tables.items()
    }
    foreign = [name for name, numbers in fitting.items() if not numbers]
    if foreign:
        return Violation(Kind.EXTRA, f"rows in {', '.join(foreign)} that no commit accounts for")
    common = set[int].intersection(*map(set, fitting.values()))
    first = expected.worlds[0]
    if not common:
        parts = ", ".join(f"{name}: {_numbers(numbers)}" for name, numbers in fitting.items())
        return Violation(Kind.TORN, f"the tables are of different moments ({parts})")
    if max(common) < first:
        return Violation(Kind.LOST, f"the file ends after commit {max(common)}; {first} was acknowledged")
    return Violation(
        Kind.EXTRA, f"the file holds commit {min(common)}, which may not be there: {_numbers(expected.worlds)}"
    )


def _numbers(numbers: Sequence[int]) -> str:
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
