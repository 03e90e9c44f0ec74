"""A journal that shares its past with another: the same events up to one of them, and a tree of its own after it."""

from __future__ import annotations

import pathlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Final

from attrs import frozen

from treewarden.agents.core.path import Path
from treewarden.agents.errors import JournalError

from ..core.event import Event, EventsPruned, RolledBack, TreeForked
from ..core.lineage import past_of
from ..core.moves import Move, place_now, place_then
from ..views.pruned import pruned_of
from . import blobs
from .batch import Mark, fold
from .event_codec import decode_event
from .kept_for import kept_for
from .moving import carry_rows, clear, moves_in
from .new_file import refuse_remains, whole_or_not
from .port import Commit, Seq
from .reading import JournalFile
from .schema import NOW, VERSION, identify, migrate, unusable, written_identity
from .taking import meta

__all__ = ["PARTIAL", "Fork", "ForkedState", "copy_in_parts", "fork"]

PARTIAL: Final = ".forking"
"""How the name of a fork ends that is not whole yet."""
_PART: Final = 5000
"""Rows to a statement: of a hundred bytes or of 64 kB, so that none takes longer than the disk takes for 300 MB."""
_FIRST: Final = -(2**63)
_LAST: Final = 2**63 - 1
_WENT_BACK: Final = "SELECT seq, version, body FROM events WHERE kind = 'RolledBack' ORDER BY seq"
_CUT: Final = "SELECT seq, version, body FROM source.events WHERE kind = 'EventsPruned' ORDER BY seq DESC LIMIT 1"


@frozen
class ForkedState:
    """The state with which a slot begins in a fork."""

    path: Path
    seq: Seq
    """The last event when it was settled."""
    exact: bool
    """It was the slot's state at the fork; otherwise it is the newest from before it that the journal has kept."""


@frozen(kw_only=True)
class Fork:
    """What became of a fork."""

    file: pathlib.Path
    tree: str
    parent: str
    seq: Seq
    hash: str
    states: tuple[ForkedState, ...]
    messages: int
    """That wait in the fork."""
    left: int
    """That wait in the journal it came from and not in the fork."""


def fork(source: pathlib.Path, target: pathlib.Path, *, at: Seq | None = None, new_tree: Callable[[], str]) -> Fork:
    """Write to `target` what `source` was at event `at`, or is now. `source` may be in use and is not changed. Blocks.

    The fork has the events up to there under the same hashes, and behind them one that says where it comes from. At the
    end of the journal it has everything else as well. Further back each slot has the newest state from up to there that
    was kept and that it had not gone back from, and its due times; what waited then has been handled since and what
    waits now may have come later, so mailboxes are empty. What agents did to the world outside after the fork stays
    done.

    Not promised: that a state was settled with `at` where that event has others of the same transaction behind it.

    Raises `JournalError` if `source` is no journal of this version, has no such event, or `target` exists, or the
    log of one that did.
    """
    with JournalFile.open(source) as reading:
        return _forked(reading, target, at, new_tree)


def _forked(reading: JournalFile, target: pathlib.Path, at: Seq | None, new_tree: Callable[[], str]) -> Fork:
    source, head, cut = reading.file, reading.head.seq, reading.cut()
    seq = head if at is None else at
    first = 1 if cut is None else cut.through + 1
    if not head:
        raise JournalError(f"{source} has no event yet, so there is no past to share; start its tree once")
    if not 0 < seq <= head:
        raise JournalError(f"{source} has no event {seq}: its last one is {head}. Give one of {first} to {head}")
    if seq < first:
        raise JournalError(
            f"{source} has no event {seq} any more: those up to {first - 1} were pruned. Give one of {first} to {head}"
        )
    refuse_remains(target)
    try:
        with whole_or_not(target, PARTIAL) as partial:
            with closing(sqlite3.connect(partial.absolute(), isolation_level=None, uri=True)) as connection:
                made = _copy(connection, reading, target, at, new_tree())
            reading.check_still()
    except sqlite3.OperationalError as error:
        raise JournalError(f"{target} cannot be made from {source}: {error}; nothing is left of it") from error
    except sqlite3.Error as error:
        raise unusable(error, str(source)) from error
    return made


def _newest_kept(
    connection: sqlite3.Connection, at: Seq, cut: EventsPruned | None, moves: Sequence[Move]
) -> Iterator[int]:
    """The checkpoints with which slots begin whose state at event `at` stands nowhere any more."""
    by_then = [move for move in moves if move.seq <= at]
    went_back: dict[Path, list[tuple[Seq, RolledBack]]] = {}
    pasts = {place_now(Path(path), past.through, by_then): past for path, past in pruned_of(cut).pasts.items()}
    for seq, version, body in connection.execute(_WENT_BACK):
        event = decode_event("RolledBack", version, body)
        path = place_now(event.path, seq, by_then) if isinstance(event, RolledBack) else None
        if isinstance(event, RolledBack) and path is not None:
            went_back.setdefault(path, []).append((seq, event))
    there = {path for (path,) in connection.execute("SELECT path FROM states")}
    for (now,) in connection.execute("SELECT path FROM source.states").fetchall():
        path = place_then(Path(now), at, moves)
        if path is not None and path not in there:
            kept = connection.execute("SELECT number, seq FROM checkpoints WHERE path = ?", (str(path),))
            yield from past_of(kept, went_back.get(path, ()), at, pasts.get(path))[:1]


def copy_in_parts(
    connection: sqlite3.Connection, table: str, key: str, where: str = "TRUE", given: tuple[object, ...] = ()
) -> None:
    """Rows of `source` that fit, in the order of a column that is a key: some thousands to a statement, for a signal is
    heeded between two of them and not before."""
    beyond = f"SELECT {key} FROM source.{table} WHERE {key} > ? AND {where} ORDER BY {key} LIMIT 1 OFFSET ?"
    copy = f"INSERT INTO {table} SELECT * FROM source.{table} WHERE {key} > ? AND {key} <= ? AND {where}"
    after: int | None = _FIRST
    while after is not None:
        last = connection.execute(beyond, (after, *given, _PART - 1)).fetchone()
        connection.execute(copy, (after, _LAST if last is None else last[0], *given))
        after = None if last is None else last[0]


def _copy(
    connection: sqlite3.Connection, reading: JournalFile, target: pathlib.Path, at: Seq | None, tree: str
) -> Fork:
    connection.execute("PRAGMA synchronous = EXTRA")
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("ATTACH ? AS source", (reading.uri,))
    connection.execute("BEGIN")
    (version,) = connection.execute("PRAGMA source.user_version").fetchone()
    if version != VERSION:
        raise JournalError(
            f"{reading.file} is of schema {version}; start its tree once with this treewarden, then fork it"
        )
    migrate(connection, identify(connection, str(target)))
    parent, last_row, epoch, head = connection.execute("SELECT tree, last_row, epoch, seq FROM source.meta").fetchone()
    seq = head if at is None else at  # its owner may have gone on since it was last looked at
    found = connection.execute("SELECT hash FROM source.events WHERE seq = ?", (seq,)).fetchone()
    if found is None:
        raise JournalError(f"{reading.file} has no event {seq} any more: those before it were pruned. Give a later one")
    (hash,) = found
    copy_in_parts(connection, "events", "seq", "seq <= ?", (seq,))
    copy_in_parts(connection, "chunks", "number")
    for table in ("timers", "blobs"):
        connection.execute(f"INSERT INTO {table} SELECT * FROM source.{table}")
    copy_in_parts(connection, "checkpoints", "number", "seq <= ?", (seq,))
    connection.execute("INSERT INTO states SELECT * FROM source.states WHERE seq <= ?", (seq,))
    moves = moves_in(connection, "source.events")
    for move in reversed(moves):
        if move.seq > seq:
            clear(connection, "timers", move.old)  # of whoever has lived there since
            carry_rows(connection, reading.file, ("states", "checkpoints", "timers"), move.new, move.old, epoch)
    exact = {path for (path,) in connection.execute("SELECT path FROM states")}
    begin = (
        "INSERT INTO states (path, kind, version, body, settled, seq, epoch, checksum)"
        " SELECT path, kind, version, body, settled, seq, epoch, checksum FROM checkpoints WHERE number = ?"
    )
    last = [(place, decode_event("EventsPruned", version, body)) for place, version, body in connection.execute(_CUT)]
    cut = next((event for _, event in last if isinstance(event, EventsPruned)), None)
    connection.executemany(begin, [(number,) for number in _newest_kept(connection, seq, cut, moves)])
    (waiting,) = connection.execute("SELECT count(*) FROM source.mailbox").fetchone()
    if seq == head:
        for table in ("mailbox", "dead_letters", "replies"):
            connection.execute(f"INSERT INTO {table} SELECT * FROM source.{table}")
        _, in_vain = kept_for(connection, parent)  # which the fork would take for that of another journal
        connection.executemany(
            "DELETE FROM replies WHERE id >= ? AND id < ? || char(1114111)", [(each, each) for each in in_vain]
        )
    blobs.sweep(connection, -1)
    (now,) = connection.execute(f"SELECT {NOW}").fetchone()
    event = TreeForked(tree=parent, seq=seq, hash=hash.hex(), journal=written_identity(tree, now))
    told: list[tuple[float, Event]] = [(now, event)]
    told += [(now, event) for place, event in last if place > seq]  # what proves the beginning stands behind `seq`
    batch = fold([Commit(events=tuple(told))], Mark(seq, hash, 0, last_row), epoch)
    batch.apply(connection)
    mark = batch.after
    connection.execute(
        "INSERT INTO meta VALUES (1, ?, ?, ?, ?, ?, ?, ?)",
        (tree, now, mark.seq, mark.hash, mark.commits, mark.last_row, epoch),
    )
    states = connection.execute("SELECT path, seq FROM states ORDER BY path").fetchall()
    connection.execute("COMMIT")
    assert meta(connection) is not None
    return Fork(
        file=target,
        tree=tree,
        parent=parent,
        seq=seq,
        hash=hash.hex(),
        states=tuple(ForkedState(Path(path), of, path in exact) for path, of in states),
        messages=waiting if seq == head else 0,
        left=0 if seq == head else waiting,
    )
