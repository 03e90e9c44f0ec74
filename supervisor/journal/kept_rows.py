"""Questions to the table of checkpoints, of the owner and of readers alike."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import Any, Final

from treewarden.agents.core.label import Label
from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.core.said import is_storable
from treewarden.agents.errors import JournalDamaged

from ..core.checkpoint import Checkpoint, Search
from .blobs import whole
from .integrity import refuse_damaged_checkpoint
from .keeping import tags_of
from .port import Kept, StateRow

__all__ = ["checkpoint", "checkpoints", "sound_checkpoints"]

_ABOUT: Final = "number, path, kind, version, settled, seq, at, name, description, tags, pinned, size"


def checkpoints(connection: sqlite3.Connection, path: Path, limit: int, search: Search) -> list[Checkpoint]:
    """Kept states of a slot, or of all slots below a path, newest first: those that `search` finds. Reads no states."""
    where, values = _found_by(connection, path, search)
    question = f"SELECT {_ABOUT} FROM checkpoints WHERE {where} ORDER BY number DESC LIMIT ?"
    return [_checkpoint(row) for row in connection.execute(question, (*values, limit))]


def sound_checkpoints(connection: sqlite3.Connection, path: Path, limit: int, search: Search) -> list[Checkpoint]:
    """As `checkpoints`, and where that cannot read one of them, all that are what was written: a label that a disk has
    changed keeps nobody from the others."""
    try:
        return checkpoints(connection, path, limit, search)
    except (sqlite3.OperationalError, ValueError, TypeError):  # which one it is, or that it is none, is found here
        found: list[Checkpoint] = []
        where, values = _found_by(connection, path, search)
        question = f"SELECT number FROM checkpoints WHERE {where} ORDER BY number DESC"
        for (number,) in connection.execute(question, values).fetchall():
            with suppress(JournalDamaged):
                refuse_damaged_checkpoint(connection, number, "")
                row = connection.execute(f"SELECT {_ABOUT} FROM checkpoints WHERE number = ?", (number,)).fetchone()
                found.append(_checkpoint(row))
            if len(found) == limit:
                break
        return found


def _found_by(connection: sqlite3.Connection, path: Path, search: Search) -> tuple[str, list[Any]]:
    """What SQL asks of a row that is meant, and the values of that."""
    slot, where, values = str(path), ["TRUE"], list[Any]()
    if not all(map(is_storable, (search.name or "", search.text, *search.tags))):
        return "FALSE", values  # nothing is called so, and SQLite refuses to look for it
    if path != ROOT:
        where.append("(path = ? OR (path > ? AND path < ?))")
        values += slot, f"{slot}/", f"{slot}0"
    asked = (
        ("number = ?", search.number),
        ("name = ?", search.name),
        ("at >= ?", search.since),
        ("at < ?", search.until),
    )
    for wanted, given in asked:
        if given is not None:
            where.append(wanted)
            values.append(given)
    if search.text:
        connection.create_function("casefold", 1, str.casefold, deterministic=True)  # SQL's lower() knows ASCII only
        where.append("(instr(casefold(name), ?) OR (description > '' AND instr(casefold(description), ?)))")
        values += [search.text.casefold()] * 2
    for tag in search.tags:
        where.append("instr(char(10) || tags || char(10), char(10) || ? || char(10))")
        values.append(tag)
    return " AND ".join(where), values


def checkpoint(connection: sqlite3.Connection, number: int) -> Kept | None:
    """One checkpoint with its state."""
    row = connection.execute(f"SELECT {_ABOUT}, body FROM checkpoints WHERE number = ?", (number,)).fetchone()
    if row is None:
        return None
    about = _checkpoint(row)
    return Kept(about, StateRow(about.path, about.kind, whole(connection, row[-1]), about.version, about.settled))


def _checkpoint(row: tuple[Any, ...]) -> Checkpoint:
    number, path, kind, version, settled, seq, at, name, description, tags, pinned, size = row[:12]
    return Checkpoint(
        number=number,
        path=Path(path),
        kind=kind,
        version=version,
        settled=settled,
        seq=seq,
        at=at,
        label=Label(name, description, tags_of(tags)),
        pinned=bool(pinned),
        size=size,
    )
