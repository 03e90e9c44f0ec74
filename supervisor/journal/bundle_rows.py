"""What a row of a bundle may say: in each field what a journal writes there, for whoever makes a bundle by hand."""

from __future__ import annotations

import sqlite3
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias, cast

from attrs import field

from treewarden.agents.core.label import Label
from treewarden.agents.core.message import Priority
from treewarden.agents.core.path import Path
from treewarden.agents.core.said import shown
from treewarden.agents.core.values import define, frozen
from treewarden.agents.errors import JournalError

from .blobs import SIZE
from .canonical import load
from .event_codec import decode_event
from .integrity import CHECKSUMS, counts_on
from .schema import ADDED

__all__ = ["BYTES", "Misfit", "RowReader", "check_event", "insert", "is_time"]

BYTES: Final = "$bytes"
"""The key under which bytes stand, as base64."""
_NEVER: Final = 2**63
"""Seconds: a whole number of so many is stored nowhere."""
_HASH: Final = 32
_TYPES: Final = {"INTEGER": (int,), "REAL": (float, int), "TEXT": (str,), "BLOB": (bytes,)}

_Rule: TypeAlias = tuple[Callable[[Any], bool], str]
"""Whether a value fits, and what it must be."""


@frozen
class _Column:
    kind: str
    optional: bool
    """It may hold nothing."""


class Misfit(Exception):
    """A row that no journal has written. The text names the field, its value, and what it must be."""


def is_time(value: object) -> bool:
    """Whether these are seconds that can be stored, be it of a year that no calendar has."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _NEVER


def _at_least(least: int) -> _Rule:
    return lambda value: counts_on(value) and value >= least, f"a whole number from {least} to 2^62"


def _is_name(value: str) -> bool:
    return bool(Label(name=value))


def _are_tags(value: str) -> bool:
    return not value or bool(Label(tags=tuple(value.split("\n"))))


_ANY: Final[_Rule] = (lambda value: True, "")
_COUNT, _NUMBER = _at_least(0), _at_least(1)
_NAMED: Final[_Rule] = bool, "a text, and not an empty one"
_TIME: Final[_Rule] = is_time, "seconds since 1970, fewer than 2^63"
_SHA: Final[_Rule] = (lambda value: len(value) == _HASH), f"{_HASH} bytes"
_PRIORITY: Final[_Rule] = (
    (lambda value: value in (Priority.HIGH, Priority.NORMAL, Priority.LOW)),
    f"{Priority.HIGH}, {Priority.NORMAL} or {Priority.LOW}",
)
_RULES: Final[Mapping[str, _Rule]] = {
    "version": _NUMBER,
    "kind": _NAMED,
    "id": _NAMED,
    "message": _NAMED,
    "settled": _COUNT,
    "deliveries": _COUNT,
    "deaths": _COUNT,
    "size": _COUNT,
    "row": _NUMBER,
    "number": _NUMBER,
    "at": _TIME,
    "not_before": _TIME,
    "priority": _PRIORITY,
    "pinned": ((lambda value: value in (0, 1)), "0 or 1"),
    "name": (_is_name, "one line of text, at most 200 characters"),
    "tags": (_are_tags, "lines of text, each at most 200 characters and not empty"),
    "prev": _SHA,
    "hash": _SHA,
}
_KEYS: Final = ("path", "name", "number", "row", "id", "seq")
_IDS: Final = {"mailbox": "id", "dead_letters": "message"}
"""Where a message has its id: no two are the same, or one would get the replies to what the other one asked."""
_OF_TABLE: Final[Mapping[str, Mapping[str, _Rule]]] = {
    "dead_letters": {"id": _NUMBER},
    "timers": {"name": _ANY},
}


@define
class RowReader:
    """Reads the rows of one bundle, whose header says how many events and owners there were."""

    _connection: sqlite3.Connection
    _tables: Mapping[str, Mapping[str, _Column]]
    _events: int
    _epochs: int
    _last: int = field(init=False, default=0)
    """The number of the event that came last."""
    _paths: set[str] = field(init=False, factory=set[str])
    """Those that were found to be paths: most rows are of a few."""

    @classmethod
    def of(cls, connection: sqlite3.Connection, tables: Iterable[str], *, events: int, epochs: int) -> RowReader:
        """For rows of `tables` as the file declares them, where ids are kept beside it until the connection closes."""
        declared = {
            table: {
                name: _Column(kind, not (needed or key))
                for _, name, kind, needed, _, key in connection.execute(f"PRAGMA table_info({table})")
                if name not in CHECKSUMS
            }
            for table in tables
        }
        connection.execute("CREATE TEMP TABLE messages (id TEXT PRIMARY KEY, line INTEGER) WITHOUT ROWID")
        return cls(connection, declared, events, epochs)

    def read(self, record: Mapping[str, Any], line: int, *, redacted: bool) -> tuple[str, dict[str, Any]]:
        """The table, and the row with all of its columns. One that is `redacted` may have anything in place of a path.

        Raises `Misfit`.
        """
        table, given = record.get("table"), record.get("row")
        columns = self._tables.get(table) if isinstance(table, str) else None
        if not isinstance(table, str) or columns is None:
            raise Misfit(f"its table is {shown(table)}; it must be one of {', '.join(self._tables)}")
        if not isinstance(given, dict):
            raise Misfit(f"its row is {shown(given)}; it must be an object with the columns {', '.join(columns)}")
        row = cast("dict[str, Any]", {**dict.fromkeys(ADDED.get(table, ())), **given})
        if row.keys() != columns.keys():
            raise Misfit(f"{table} has the columns {', '.join(columns)}, and it has {shown(sorted(row))}")
        own = _OF_TABLE.get(table, {})
        for name, value in row.items():
            column = columns[name]
            if column.optional and value is None:
                continue
            if column.kind == "BLOB":
                value = row[name] = _bytes(f"{table}.{name}", value)
            if type(value) not in _TYPES[column.kind]:
                raise _misfit(f"{table}.{name}", value, f"of type {column.kind}")
            fits, must = own.get(name) or self._rule(table, name, redacted)
            if not _holds(fits, value):
                raise _misfit(f"{table}.{name}", value, must)
        if "body" in row and (table == "events" or not row["body"].startswith("@")):
            _check_json(table, row["body"])
        self._check_new(table, row, line)
        return table, row

    def _check_new(self, table: str, row: Mapping[str, Any], line: int) -> None:
        if table == "events":
            if row["seq"] <= self._last:
                raise _misfit("events.seq", row["seq"], f"more than {self._last}, behind which it stands")
            self._last = row["seq"]
        name = _IDS.get(table)
        if name is not None:
            keep = "INSERT INTO temp.messages VALUES (?, ?) ON CONFLICT DO NOTHING"
            if self._connection.execute(keep, (row[name], line)).rowcount != 1:
                asked = self._connection.execute("SELECT line FROM temp.messages WHERE id = ?", (row[name],))
                raise _misfit(f"{table}.{name}", row[name], f"another than that of line {asked.fetchone()[0]}")

    def _rule(self, table: str, name: str, redacted: bool) -> _Rule:
        if name in ("path", "sender"):
            if redacted:
                return _ANY
            if table == "events":
                return (lambda value: value == "" or self._is_path(value)), "the path of a slot, or nothing"
            return self._is_path, "the path of a slot"
        if name == "seq":
            least = 1 if table == "events" else 0
            return (lambda value: least <= value <= self._events), f"{least} to {self._events}, as the header counts"
        if name == "epoch":
            return (lambda value: 0 <= value <= self._epochs), f"0 to {self._epochs}, as the header counts"
        return _RULES.get(name, _ANY)

    def _is_path(self, value: str) -> bool:
        if value not in self._paths:
            if Path.parse(value) != value:
                return False
            self._paths.add(value)
        return True


def _bytes(name: str, value: object) -> bytes:
    try:
        found = cast("dict[str, Any]", value)
        if found.keys() == {BYTES}:
            return b64decode(found[BYTES], validate=True)
    except (TypeError, ValueError, AttributeError):
        pass
    raise _misfit(name, value, f'an object {{"{BYTES}": ...}} with base64')


def insert(connection: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> None:
    """Put the row, with its checksums, into the new file. Raises `Misfit` if another has its key, or no size fits."""
    marks = ",".join("?" * len(row))
    try:
        connection.execute(f"INSERT INTO {table} ({','.join(row)}) VALUES ({marks})", tuple(row.values()))
    except sqlite3.IntegrityError as error:
        keys = [name for name in _KEYS if f"{table}.{name}" in str(error)]
        said = " and ".join(f"{table}.{name} {shown(row[name])}" for name in keys)
        raise Misfit(f"a line before it has {said} as well; each must have its own ({error})") from error
    if "size" in row:
        (size,) = connection.execute(f"SELECT {SIZE} FROM {table} WHERE number = ?", (row["number"],)).fetchone()
        if size != row["size"]:
            raise _misfit(f"{table}.size", row["size"], f"{size}, the characters of its body")


def check_event(row: Mapping[str, Any]) -> None:
    """Raise `Misfit` for an event that nobody could read."""
    try:
        decode_event(row["kind"], row["version"], row["body"])
    except JournalError as error:
        raise Misfit(f"events.kind is {shown(row['kind'])}, and it cannot be read: {error!s:.200}") from error


def _check_json(table: str, body: str) -> None:
    try:
        load(body)
    except ValueError as error:
        raise Misfit(f"{table}.body is {shown(body)}; it must be JSON: {error}") from None


def _holds(fits: Callable[[Any], bool], value: object) -> bool:
    try:
        return fits(value)
    except ValueError:
        return False


def _misfit(name: str, value: object, must: str) -> Misfit:
    return Misfit(f"{name} is {shown(value)}; it must be {must}")
