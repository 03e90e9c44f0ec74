"""What is stored of a slot, and of all below it, on its way to another path, in a file on which no tree runs."""

from __future__ import annotations

import difflib
import json
import pathlib
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from operator import itemgetter
from typing import Final

from attrs import evolve

from treewarden.agents.core.message import MessageId
from treewarden.agents.core.path import LONGEST_PATH, ROOT, Path
from treewarden.agents.core.said import shown
from treewarden.agents.errors import JournalDamaged, JournalError

from ..core.event import Decided, QuestionAsked, SlotMoved
from ..core.moves import Move, is_nested, moves_of, too_long
from . import rows
from .batch import Batch, fold
from .commit import Commit
from .event_codec import decode_event
from .holder import ProcessTable, ProcfsTable
from .integrity import checked, with_sums
from .owned import OwnedFile
from .place import named
from .reading import JournalFile
from .schema import unusable
from .seams import Connect
from .taking import Claim, meta

__all__ = ["WITHIN", "carry_rows", "clear", "move", "moves_in", "range_of"]

_TABLES: Final = ("states", "checkpoints", "mailbox", "dead_letters", "timers")
"""What goes along. Large values stay where they are: their rows say which are theirs, and not by path."""
_KEYS: Final = {"checkpoints": "number", "mailbox": "row", "dead_letters": "id"}
"""The column that names a row; of the others it is the path, or the path and the name."""
WITHIN: Final = "(path = ? OR (path > ? AND path < ?))"
"""What SQL asks of a row at a path or below it; `range_of` gives the values."""
_UNTIL: Final = ("Decided", "ChildStarted", "RolledBack", "IncidentClosed")
"""Kinds of events: a rollback that is the last of them was decided and is not done."""
_LEASE: Final = 10.0
_PATIENCE: Final = 2.0


class _WouldMove(Exception):
    """What would have been moved."""

    def __init__(self, told: SlotMoved) -> None:
        self.told = told


def move(
    file: pathlib.Path,
    old: Path,
    new: Path,
    *,
    by: str,
    at: float,
    processes: ProcessTable | None = None,
    connect: Connect = sqlite3.connect,
    dry_run: bool = False,
) -> SlotMoved:
    """Move what is stored at `old` and below it to `new`: states, checkpoints, waiting messages, dead letters and due
    times. Blocks. Events stay where they happened; one more, of the wall time `at`, says what was moved.

    One transaction, by an owner of the file: whatever ends this process leaves all of it where it was, or all of it
    moved. Raises `JournalOwned` where a tree runs; `JournalError` for paths that cannot be, where nothing is stored at
    `old` or something at `new`, and for what the journal knows by its path and cannot go along: a handler that has not
    finished, a question to a person, a rollback that was decided and not done; `JournalDamaged` where a row is not what
    was written. Nothing has changed then, nor where it is a `dry_run`, which does all but commit it.
    """
    if ROOT in (old, new) or old == new:
        said = "/ is the whole tree" if ROOT in (old, new) else "that is where it is"
        raise JournalError(f"{old} cannot be moved to {new}: {said}. Name two slots, or places for one")
    if is_nested(old, new):
        raise JournalError(
            f"{old} cannot be moved to {new}: one lies within the other. Move it to a third place, and from there"
        )
    with JournalFile.open(file, processes=processes):  # what is no journal is said, and no file is made
        pass
    claim = Claim(
        file=named(file),
        at=named(file).absolute(),
        processes=ProcfsTable() if processes is None else processes,
        connect=connect,
        new_tree=str,
        lease=_LEASE,
        patience=_PATIENCE,
        visits=True,
    )
    with closing(OwnedFile(claim, at)) as owned:
        in_vain, asking = owned.opened.kept_in_vain, owned.opened.kept_for
        try:
            told, _ = owned.by_itself(
                lambda connection: _moved(connection, file, Move(0, old, new), by, at, in_vain, asking, dry_run),
                told=itemgetter(1),
            )
            return told
        except _WouldMove as found:
            return found.told
        except sqlite3.DatabaseError as error:
            raise unusable(error, str(file)) from error


def _moved(
    connection: sqlite3.Connection,
    file: pathlib.Path,
    move: Move,
    by: str,
    at: float,
    in_vain: Sequence[str],
    asking: Collection[MessageId],
    dry_run: bool,
) -> tuple[SlotMoved, Batch]:
    reason = _in_the_way(connection, file, move, in_vain, asking)
    if reason is not None:
        raise JournalError(f"{file}: {move.old} was not moved to {move.new}: {reason}")
    stands = meta(connection)
    assert stands is not None, "its owner has just written there"
    _, mark, epoch = stands
    counts = carry_rows(connection, file, _TABLES, move.old, move.new, epoch)
    told = SlotMoved(
        path=move.new,
        old=move.old,
        new=move.new,
        by=by,
        states=counts["states"],
        checkpoints=counts["checkpoints"],
        messages=counts["mailbox"],
        dead_letters=counts["dead_letters"],
        timers=counts["timers"],
    )
    if dry_run:
        raise _WouldMove(told)
    left = evolve(told, path=move.old)
    batch = fold([Commit(events=((at, told), (at, left)))], mark, epoch)
    batch.apply(connection)
    after = batch.after
    connection.execute("UPDATE meta SET seq = ?, hash = ?, commits = ?", (after.seq, after.hash, after.commits))
    return told, batch


def carry_rows(
    connection: sqlite3.Connection, file: pathlib.Path, tables: Iterable[str], old: Path, new: Path, epoch: int
) -> Mapping[str, int]:
    """Give the rows of these tables at `old` and below it the path at `new`, and their checksums anew. Returns how many
    there were of each. Raises `JournalDamaged` for a row that is not what was written: it is not to become one."""
    counts: dict[str, int] = {}
    for table in tables:
        counts[table] = 0
        paths = connection.execute(f"SELECT DISTINCT path FROM {table} WHERE {WITHIN}", range_of(old)).fetchall()
        for (path,) in paths:
            there = f"{new}{path[len(old) :]}"
            key = _KEYS.get(table, "name" if table == "timers" else "path")
            changes: list[tuple[object, ...]] = []
            for _, row, sound in checked(connection, table, [path]):
                if not sound:
                    raise JournalDamaged(
                        f"{file}: in table {table}, row {shown(row[key])} of {path} is not what was written: restore "
                        "the file from a copy or a bundle; `treewarden journal verify` lists all that is damaged"
                    )
                changes.append((there, with_sums(table, {**row, "path": there})["checksum"], epoch, path, row[key]))
            connection.executemany(
                f"UPDATE {table} SET path = ?, checksum = ?, epoch = ? WHERE path = ? AND {key} = ?", changes
            )
            counts[table] += len(changes)
    return counts


def clear(connection: sqlite3.Connection, table: str, path: Path) -> None:
    """Delete what stands there at `path` and below it."""
    connection.execute(f"DELETE FROM {table} WHERE {WITHIN}", range_of(path))


def moves_in(connection: sqlite3.Connection, events: str = "events") -> list[Move]:
    """All moves that this table of events tells of, oldest first. Looks through the kinds of all of them."""
    found = connection.execute(f"SELECT seq, version, body FROM {events} WHERE kind = 'SlotMoved' ORDER BY seq")
    return moves_of((seq, decode_event("SlotMoved", version, body)) for seq, version, body in found)


def _in_the_way(
    connection: sqlite3.Connection,
    file: pathlib.Path,
    move: Move,
    in_vain: Sequence[str],
    asking: Collection[MessageId],
) -> str | None:
    """Why nothing may be moved, with the remedy; the first reason of several."""
    stored, kept = _stored(connection, move.old), _kept(connection, move.old, in_vain)
    if not stored and not kept:
        return _nothing(connection, file, move.old)
    taken = _stored(connection, move.new) or {slot: "a reply" for _, slot in _kept(connection, move.new, in_vain)}
    for slot, what in taken.items():
        return (
            f"{slot} has {what} already. Name a place where nothing is stored, or move that away first: "
            f"treewarden journal move {file} {move.new} PATH"
        )
    long = too_long(map(Path, stored), move.old, move.new)
    if long is not None:
        return f"there {shown(long)} would have more than {LONGEST_PATH:,} characters. Name a shorter path"
    return _unfinished(connection, file, move, kept, asking)


def _unfinished(
    connection: sqlite3.Connection,
    file: pathlib.Path,
    move: Move,
    kept: Sequence[tuple[str, str]],
    asking: Collection[MessageId],
) -> str | None:
    """What the journal knows by the path of a slot, and nobody could find at another one."""
    for id, slot in kept:
        return (
            f"{slot} keeps {id} for a handler that has not finished. Start the tree as it was and let that finish; "
            f"`treewarden waits {file}` and `treewarden effects {file}` list what waits for a person"
        )
    begun = f"SELECT id, path FROM mailbox WHERE {WITHIN} AND id IN (SELECT value FROM json_each(?)) ORDER BY row"
    for id, slot in connection.execute(begun, (*range_of(move.old), json.dumps(sorted(asking)))):
        return (
            f"{slot} has begun with message {id}, and others keep what they replied to that. Start the tree as it was "
            "and let it finish"
        )
    for record in rows.questions(connection):
        asked = record.event.slot if isinstance(record.event, QuestionAsked) else None
        if asked is not None and (asked.is_within(move.old) or asked.is_within(move.new)):
            return (
                f"a person is asked what is to become of {asked}. Start the tree as it was, and answer first: "
                f"treewarden resume {file} {asked}"
            )
    left: dict[str, bool] = {}
    decided = (
        f"SELECT path, kind, version, body FROM events WHERE {WITHIN} AND kind IN ({','.join('?' * len(_UNTIL))})"
        " ORDER BY seq"
    )
    for slot, kind, version, body in connection.execute(decided, (*range_of(move.old), *_UNTIL)):
        event = decode_event(kind, version, body) if kind == Decided.__name__ else None
        left[slot] = isinstance(event, Decided) and event.action == "roll_back"
    for slot in (slot for slot, is_left in left.items() if is_left):
        return f"a rollback of {slot} was decided and is not done. Start the tree as it was, and let it be done"
    return None


def _nothing(connection: sqlite3.Connection, file: pathlib.Path, old: Path) -> str:
    text = f"nothing is stored at {old} or below it"
    went = [each for each in moves_in(connection) if each.old.is_within(old) or old.is_within(each.old)]
    if went:
        last = went[-1]
        return f"{text}: event {last.seq} moved {last.old} to {last.new}; `treewarden tree {file}` shows all slots"
    known = [str(path) for path in sorted(rows.slots(connection))]
    near = difflib.get_close_matches(old, known, n=3, cutoff=0.6)
    near += [path for path in known if Path(path).name == old.name and path not in near][:3]
    hint = f"did you mean {' or '.join(near)}?" if near else f"`treewarden tree {file}` shows all slots"
    return f"{text}; {hint}"


def _stored(connection: sqlite3.Connection, path: Path) -> dict[str, str]:
    """What stands in the tables at `path` and below it: each slot, and of what it has something."""
    found: dict[str, str] = {}
    for table, what in zip(_TABLES, ("a state", "a checkpoint", "a message", "a dead letter", "a timer"), strict=True):
        for (slot,) in connection.execute(f"SELECT DISTINCT path FROM {table} WHERE {WITHIN}", range_of(path)):
            found.setdefault(slot, what)
    return found


def _kept(connection: sqlite3.Connection, path: Path, in_vain: Sequence[str]) -> list[tuple[str, str]]:
    """Ids and slots of what is kept of asks, effects and waits there, without what the next owner gives up."""
    vain = set(in_vain)
    found = connection.execute(f"SELECT id, path FROM replies WHERE {WITHIN} ORDER BY id", range_of(path))
    return [(id, slot) for id, slot in found if f"{id.partition('>')[0]}>" not in vain]


def range_of(path: Path) -> tuple[str, str, str]:
    """Of `WITHIN`."""
    return str(path), f"{path}/", f"{path}0"
