"""Checksums of rows: what tells that a row is another than the one that was written, and which one it is.

CRC-32 finds every error of one bit, and every burst of up to 32; it does not stop somebody who writes a row with its
checksum. Rows of files that were made before schema 3 have none until they are written again: they are not checked.
"""

from __future__ import annotations

import codecs
import json
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from zlib import crc32

from treewarden.agents.core.path import Path
from treewarden.agents.core.values import frozen
from treewarden.agents.errors import JournalDamaged

from .blobs import SIZE, chunks_of, used
from .schema import ADDED, VERSION, migrate

if TYPE_CHECKING:
    from .looked_at import LookedAt

__all__ = [
    "CHECKSUMS",
    "NUMBERED",
    "OF_SLOT",
    "SINCE",
    "RowFault",
    "Rows",
    "about_sum",
    "check_all",
    "check_counts",
    "checked",
    "checksum",
    "counters_sum",
    "counts_on",
    "damaged_replies",
    "refuse_damaged",
    "refuse_damaged_checkpoint",
    "with_sums",
]

SINCE: Final = 3
"""The schema from which rows have checksums."""
_WITH_LABELS: Final = 3
"""The schema from which every file has the index of labels: the first ones were made without it."""
NUMBERED: Final = (("mailbox", "row"), ("checkpoints", "number"))
"""What is numbered from one count, `last_row`, and is a primary key."""
CHECKSUMS: Final = ("checksum", "label_checksum", "counters_checksum")
"""Columns that are computed from the others of their row."""

Row: TypeAlias = dict[str, Any]
_MOST: Final = 100
"""Faults that a check lists."""


def checksum(*values: str | float | None) -> int:
    """Of the values of a row, in an order that its table has once and for all; what was added to it comes last."""
    return crc32("\0".join(map(str, values)).encode())


def about_sum(number: int, at: float, name: str, description: str, tags: str, pinned: bool) -> int:
    """Of what a checkpoint has besides its state."""
    return checksum(number, float(at) + 0.0, name, description, tags, int(pinned))


def counters_sum(row: int, deliveries: int, deaths: int, not_before: float | None) -> int:
    """Of what changes in a message that waits."""
    return checksum(row, deliveries, deaths, None if not_before is None else float(not_before) + 0.0)


@frozen
class _Table:
    name: str
    key: str
    columns: tuple[str, ...]
    """In the order of the checksum."""
    texts: frozenset[str]
    other: str = ""
    """A second checksum, of columns that change by themselves or are not copied with the others."""
    others: tuple[str, ...] = ()
    reals: frozenset[str] = frozenset({"at", "not_before"})

    @property
    def added(self) -> Mapping[str, int]:
        return ADDED.get(self.name, {})

    def question(self, version: int = VERSION) -> str:
        """Text as bytes: what a damaged row has may be no text. NULL where a file of this version has no column."""
        columns = ", ".join(
            f"NULL AS {column}" if self.added.get(column, 0) > version
            else f"CAST({column} AS BLOB) AS {column}" if column in self.texts
            else column
            for column in self._all
        )  # fmt: skip
        return f"SELECT {columns}, checksum{f', {self.other}' if self.other else ''} FROM {self.name}"

    @property
    def _all(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.key, *self.columns, *self.others)))

    def names(self) -> list[str]:
        return [*self._all, "checksum", *([self.other] if self.other else [])]


_STATE: Final = ("path", "kind", "version", "settled", "seq", "body")
_TABLES: Final = {
    table.name: table
    for table in (
        _Table("states", "path", _STATE, frozenset({"path", "kind", "body"})),
        _Table(
            "checkpoints", "number", _STATE, frozenset({"path", "kind", "body", "name", "description", "tags"}),
            "label_checksum", ("number", "at", "name", "description", "tags", "pinned"),
        ),
        _Table(
            "mailbox", "row", ("row", "path", "id", "kind", "version", "sender", "priority", "at", "body"),
            frozenset({"path", "id", "kind", "sender", "body"}),
            "counters_checksum", ("row", "deliveries", "deaths", "not_before"),
        ),
        _Table(
            "dead_letters", "id",
            ("path", "message", "kind", "version", "reason", "at", "row", "sender", "body", "priority"),
            frozenset({"path", "message", "kind", "reason", "sender", "body"}),
        ),
        _Table("replies", "id", ("id", "path", "kind", "version", "body"), frozenset({"id", "path", "kind", "body"})),
        _Table("timers", "name", ("path", "name", "at"), frozenset({"path", "name"})),
    )
}  # fmt: skip
OF_SLOT: Final = ("states", "mailbox", "replies", "timers")
"""What a life begins with."""


@frozen
class RowFault:
    """A row that does not hold what was written."""

    table: str
    key: str
    kind: str
    """`changed`, `unreadable`, `missing` (a large value that it holds), `structure` (of the file; SQLite says it)."""
    text: str

    def __str__(self) -> str:
        return f"{self.table} {self.key}: {self.kind}: {self.text}" if self.key else f"{self.kind}: {self.text}"


@frozen(kw_only=True)
class Rows:
    """What a check of all rows has found."""

    checked: int
    unchecked: int
    """Without a checksum: written before there were any."""
    faults: tuple[RowFault, ...]
    unlisted: int = 0


def counts_on(value: object) -> bool:
    """Whether it is a number that can be counted on from."""
    return type(value) is int and 0 <= value < 2**62


def with_sums(table: str, row: Row) -> Row:
    """`row`, whose columns are all there, with its checksums."""
    of = _TABLES.get(table)
    if of is None:
        return row
    summed = {**row, "checksum": _sum(of, of.columns, row)}
    if of.other:
        summed[of.other] = _sum(of, of.others, row)
    return summed


def refuse_damaged(connection: sqlite3.Connection, path: Path, file: str) -> None:
    """Raises `JournalDamaged` if something that the next life of a slot begins with is not what was written."""
    found = [fault for name in OF_SLOT for fault in _faults(connection, _TABLES[name], " WHERE path = ?", str(path))]
    _refuse(found, file, "go back to a checkpoint if it is the state")


def damaged_replies(connection: sqlite3.Connection, prefixes: Collection[str]) -> frozenset[str]:
    """Those of these prefixes, each of a message and `>`, of which some reply is not what was written. One statement
    looks for all of them: there may be as many as the journal has rows."""
    of_them = (
        " WHERE rowid IN (SELECT kept.rowid FROM json_each(?) AS prefix CROSS JOIN replies AS kept"
        " WHERE kept.id >= prefix.value AND kept.id < prefix.value || char(1114111))"
    )
    faults = _faults(connection, _TABLES["replies"], of_them, json.dumps(list(prefixes)))
    return frozenset(f"{fault.key.partition('>')[0]}>" for fault in faults)


def checked(connection: sqlite3.Connection, table: str, paths: Sequence[str]) -> Iterator[tuple[str, Row, bool]]:
    """The rows of these slots in one of the tables `OF_SLOT`, each with its slot, and whether it is what was written:
    one that is not has texts that may be bytes."""
    of = _TABLES[table]
    names = of.names()
    for values in connection.execute(f"{of.question()} WHERE path IN ({','.join('?' * len(paths))})", paths):
        row = dict(zip(names, values, strict=True))
        path = row["path"].decode()
        yield path, row, _fault(of, row) is None


def refuse_damaged_checkpoint(connection: sqlite3.Connection, number: int, file: str) -> None:
    """Raises `JournalDamaged` if this checkpoint is not what was written."""
    found = list(_faults(connection, _TABLES["checkpoints"], " WHERE number = ?", number))
    _refuse(found, file, "take another checkpoint")


def _refuse(found: list[RowFault], file: str, remedy: str) -> None:
    if found:
        fault, more = found[0], f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise JournalDamaged(
            f"{file}: in table {fault.table}, row {fault.key}: {fault.text}{more}. Nothing was changed: {remedy}, or "
            "restore the file from a copy or a bundle; `treewarden journal verify` lists all that is damaged"
        )


def _faults(connection: sqlite3.Connection, table: _Table, where: str, *values: object) -> Iterator[RowFault]:
    names = table.names()
    for row in connection.execute(table.question() + where, values):
        fault = _fault(table, dict(zip(names, row, strict=True)))
        if fault is not None:
            yield fault


def _fault(table: _Table, row: Row) -> RowFault | None:
    key = row[table.key]
    shown = key.decode(errors="replace") if isinstance(key, bytes) else str(key)
    for name in sorted(table.texts):
        try:
            if row[name] is not None or name != "sender":  # which alone may be missing
                row[name] = row[name].decode()
        except (UnicodeDecodeError, AttributeError):
            return RowFault(table.name, shown, "unreadable", f"its {name} is no text")
    for column, columns in (("checksum", table.columns), (table.other, table.others)):
        if column and row[column] is not None:
            try:
                same = _sum(table, columns, row) == row[column]
            except (TypeError, ValueError):
                same = False
            if not same:
                return RowFault(table.name, shown, "changed", f"its {column} is not that of what it holds")
    return None


def _sum(table: _Table, columns: tuple[str, ...], row: Row) -> int:
    there = [name for name in columns if name not in table.added or row[name] is not None]
    return checksum(*(_as_stored(row[name]) if name in table.reals else row[name] for name in there))


def _as_stored(value: Any) -> Any:
    """A number as a column of reals gives it back."""
    return float(value) + 0.0 if isinstance(value, int | float) else value


def check_all(connection: sqlite3.Connection, version: int, looked_at: LookedAt) -> Rows:
    """Check every row that has a checksum, every large value, and the structure of the file, whatever is found.

    In a file of an older schema not the rows; in each, that its tables are declared as its schema declares them, and
    that what the journal counts is not behind what it holds.
    """
    faults: list[RowFault] = []
    counts = [0, 0]
    for table in _TABLES.values() if version >= SINCE else ():
        looked_at.begin(f"rows of {table.name}")
        faults.extend(
            _guarded(table.name, lambda table=table: _check_table(connection, version, table, counts, looked_at))
        )
    looked_at.begin("what is counted")
    faults.extend(_guarded("sqlite_schema", lambda: _check_schema(connection, version)))
    faults.extend(_guarded("meta", lambda: check_counts(connection)))
    faults.extend(_guarded("checkpoints", lambda: _check_sizes(connection)))
    looked_at.begin("large values")
    faults.extend(_guarded("blobs", lambda: _check_blobs(connection, looked_at)))
    looked_at.begin("the structure of the file")
    faults.extend(_guarded("", lambda: _check_structure(connection)))
    listed, unlisted = tuple(faults[:_MOST]), len(faults[_MOST:])
    return Rows(checked=counts[0], unchecked=counts[1], faults=listed, unlisted=unlisted)


def _guarded(table: str, check: Callable[[], Iterator[RowFault]]) -> list[RowFault]:
    """What a check finds, and that it could not go on."""
    found: list[RowFault] = []
    try:
        found.extend(check())
    except (sqlite3.DatabaseError, AttributeError, LookupError, TypeError, ValueError) as error:  # of what is no value
        found.append(RowFault(table, "", "unreadable", f"{table or 'the file'} cannot be read: {error}"))
    return found


def _check_table(
    connection: sqlite3.Connection, version: int, table: _Table, counts: list[int], looked_at: LookedAt
) -> Iterator[RowFault]:
    names = table.names()
    for values in connection.execute(f"{table.question(version)} NOT INDEXED"):
        row = dict(zip(names, values, strict=True))
        counts[row["checksum"] is None] += 1
        looked_at.count += 1
        fault = _fault(table, row)
        if fault is not None:
            yield fault


def _check_sizes(connection: sqlite3.Connection) -> Iterator[RowFault]:
    for (number,) in connection.execute(f"SELECT number FROM checkpoints WHERE size IS NOT {SIZE}"):
        yield RowFault("checkpoints", str(number), "changed", "its size is not that of its state")


def _check_blobs(connection: sqlite3.Connection, looked_at: LookedAt) -> Iterator[RowFault]:
    there: set[bytes] = set()
    for hash, size in connection.execute("SELECT hash, size FROM blobs").fetchall():
        looked_at.count += 1
        found, decoder, length = sha256(), codecs.getincrementaldecoder("utf-8")("replace"), 0
        for chunk in chunks_of(connection, hash):
            found.update(chunk)
            length += len(decoder.decode(chunk))
        if found.digest() != hash:
            yield RowFault("blobs", hash.hex(), "changed", "its hash is not that of what it holds")
        elif length != size:
            yield RowFault("blobs", hash.hex(), "changed", f"its size is {length}, not {size}")
        there.add(hash)
    for hash in sorted(used(connection) - there):
        yield RowFault("blobs", hash.hex(), "missing", "a row holds it, and it is not there")


def check_counts(connection: sqlite3.Connection) -> Iterator[RowFault]:
    """What is wrong with the numbers that the journal counts on from."""
    found = connection.execute("SELECT seq, commits, last_row, epoch FROM meta").fetchone()
    if found is None:
        yield RowFault("meta", "", "missing", "nothing says where the journal stands")
        return
    for name, value in zip(("seq", "commits", "last_row", "epoch"), found, strict=True):
        if not counts_on(value):
            yield RowFault("meta", name, "changed", f"it is {value!r}, which nothing can be counted on from")
            return
    _, _, last_row, epoch = found
    for table, column in (*NUMBERED, ("dead_letters", "row")):
        (last,) = connection.execute(f"SELECT max({column}) FROM {table}").fetchone()
        if isinstance(last, int) and last > last_row:
            yield RowFault("meta", "last_row", "changed", f"it is {last_row}, and {table} has {column} {last}")
    owner = connection.execute("SELECT epoch FROM owner").fetchone()
    if owner is not None and owner[0] != epoch:
        yield RowFault("meta", "epoch", "changed", f"it is {epoch}, and that of the owner is {owner[0]}")


def _check_schema(connection: sqlite3.Connection, version: int) -> Iterator[RowFault]:
    # What ANALYZE has counted, in a shell or `PRAGMA optimize`, is no declaration: SQLite reads it for its plans only.
    question = (
        "SELECT name, sql FROM sqlite_schema WHERE sql NOT NULL AND name NOT GLOB 'sqlite_stat[0-9]' ORDER BY name"
    )
    with closing(sqlite3.connect(":memory:")) as fresh:
        migrate(fresh, 0, version)
        wanted = dict(fresh.execute(question).fetchall())
    there = dict(connection.execute(question).fetchall())
    if version < _WITH_LABELS and "events_that_label" not in there:
        del wanted["events_that_label"]
    for name in sorted(wanted.keys() | there.keys(), key=str):
        if wanted.get(name) != there.get(name):
            yield RowFault("sqlite_schema", str(name), "changed", "it is not declared as this version declares it")


def _check_structure(connection: sqlite3.Connection) -> Iterator[RowFault]:
    for (text,) in connection.execute("PRAGMA integrity_check"):
        if text != "ok":
            yield RowFault("", "", "structure", text)
