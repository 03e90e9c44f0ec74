"""What is held for several slots, read at once with a few statements: each as a read by itself would find it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, TypeAlias

from attrs import field

from treewarden.agents.core.path import Path
from treewarden.agents.core.values import define

from .blobs import SIZE
from .integrity import OF_SLOT, checked
from .large import LIMIT
from .port import MessageRow, Recovered, ReplyRow, StateRow

__all__ = ["Found", "near", "recovered_together"]

_ROOM: Final = 1_000_000
"""Characters that are read at once, at most."""
_ROW: Final = 200
"""Characters as which a row counts beside its body."""
_WITH_BODIES: Final = ("states", "mailbox", "replies")

_MESSAGE: Final = ("row", "id", "kind", "body", "priority", "at", "deliveries", "deaths", "not_before", "version")

_Rows: TypeAlias = Mapping[str, Sequence[dict[str, Any]]]
"""Those of one slot, by table."""


@define
class Found:
    """What came of reading several slots at once."""

    held: dict[Path, Recovered] = field(factory=dict[Path, Recovered])
    alone: list[Path] = field(factory=list[Path])
    """Those that have to be read by themselves: they hold much, or something that is not what was written."""
    size: float = 0.0
    """Characters of what is held, about."""


def near(connection: sqlite3.Connection, path: Path, many: int, is_new: Callable[[Path], bool]) -> Sequence[Path]:
    """Who comes next to a slot in the order of paths: those that are new of so many behind it, or of those before it.

    Only slots with a state. Raises nothing over what SQLite cannot read, likewise.
    """
    for behind in (" > ? ORDER BY path", " < ? ORDER BY path DESC"):
        try:
            found = connection.execute(f"SELECT path FROM states WHERE path{behind} LIMIT ?", (path, many)).fetchall()
        except sqlite3.Error:
            return ()
        new = tuple([each for (name,) in found if is_new(each := Path(name))])
        if new:
            return new
    return ()


def recovered_together(connection: sqlite3.Connection, paths: Sequence[Path]) -> Found:
    """What is held for each of these slots, read with a few statements; no more of them than there is room for.

    Raises nothing over a row that is not what was written, nor over what SQLite cannot read: a read of each slot by
    itself says which one it is.
    """
    found = Found()
    try:
        _read(connection, paths, found)
    except (sqlite3.Error, AttributeError, TypeError, ValueError):  # of what is no value
        return Found(alone=list(paths))
    return found


def _read(connection: sqlite3.Connection, paths: Sequence[Path], found: Found) -> None:
    chosen = {str(path): path for path in _chosen(connection, paths, found)}
    rows: dict[str, dict[str, list[dict[str, Any]]]] = {path: {table: [] for table in OF_SLOT} for path in chosen}
    unsound = set[str]()
    for table in OF_SLOT:
        for path, row, sound in checked(connection, table, tuple(chosen)):
            if sound and not str(row.get("body", "")).startswith("@"):
                rows[path][table].append(row)
            else:
                unsound.add(path)
    for name, path in chosen.items():
        if name in unsound:
            found.alone.append(path)
        else:
            found.held[path] = _recovered(path, rows[name])


def _chosen(connection: sqlite3.Connection, paths: Sequence[Path], found: Found) -> Iterator[Path]:
    """Those of `paths` that there is room for. Who takes too much of it is for a read by itself."""
    marks = ",".join("?" * len(paths))
    sizes = " UNION ALL ".join(
        f"SELECT path, {SIZE} + {_ROW} AS size FROM {table} WHERE path IN ({marks})" for table in _WITH_BODIES
    )
    names = tuple(map(str, paths)) * len(_WITH_BODIES)
    taken = dict(connection.execute(f"SELECT path, total(size) FROM ({sizes}) GROUP BY path", names).fetchall())
    room = float(_ROOM)
    for path in paths:
        size = taken.get(path, 0.0)
        if size > LIMIT:
            found.alone.append(path)
        elif size > room:
            break
        else:
            room -= size
            found.size += size
            yield path


def _recovered(path: Path, rows: _Rows) -> Recovered:
    state = next(iter(rows["states"]), None)
    return Recovered(
        state=None if state is None else StateRow(path, *itemgetter("kind", "body", "version", "settled")(state)),
        state_seq=None if state is None else state["seq"],
        messages=tuple([_message(path, row) for row in sorted(rows["mailbox"], key=itemgetter("priority", "row"))]),
        timers={row["name"]: row["at"] for row in sorted(rows["timers"], key=itemgetter("name"))},
        replies=tuple([
            ReplyRow(row["id"], path, *itemgetter("kind", "body", "version")(row))
            for row in sorted(rows["replies"], key=itemgetter("id"))
        ]),
    )  # fmt: skip


def _message(path: Path, row: Mapping[str, Any]) -> MessageRow:
    sender = row["sender"]
    return MessageRow(
        path=path,
        sender=None if sender is None else Path(sender),
        **{name: row[name] for name in _MESSAGE},
    )
