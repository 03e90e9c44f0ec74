"""How a process becomes the owner of a journal's file, or learns who is."""

from __future__ import annotations

import math
import pathlib
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from treewarden.agents.core.message import MessageId
from treewarden.agents.core.values import frozen
from treewarden.agents.errors import JournalDamaged, JournalError, JournalOwned

from ..core.link import GENESIS
from . import rows
from .batch import Mark
from .holder import Fate, Holder, ProcessTable, refusal
from .integrity import NUMBERED, counts_on
from .place import warn_of_log
from .port import Opened
from .raised import is_busy
from .schema import NOW, VERSION, identify, identity_of, migrate
from .seams import Connect

__all__ = ["Claim", "meta", "take"]

_TRIES: Final = 100
"""How often somebody else may come first while we wait until we may make the file a journal: each time has a lock."""
_LOOK: Final = 0.02
"""Seconds to wait for a lock before it is looked again who owns the file. Whoever comes first keeps it, and the others
would only wait for each other."""


@frozen(kw_only=True)
class Claim:
    """What an owner brings to a file."""

    file: pathlib.Path
    """As it was named, for people."""
    at: pathlib.Path
    """From the root: what SQLite is given, whichever folder is the current one by then. A name that it takes for
    something else (`file:...`, `:memory:`) is none then."""
    processes: ProcessTable
    connect: Connect
    new_tree: Callable[[], str]
    """Gives a journal its id when the file is made."""
    lease: float
    patience: float
    """Seconds to wait for another process's short transaction."""
    visits: bool = False
    """Leaves an owner before that died one that died: whoever owns the file next must still hear of it. Takes it from
    nobody who is seen to live: where the clock has gone ahead, as while the machine slept, a lease is over at once."""


def take(connection: sqlite3.Connection, claim: Claim, now: float, alone: bool = False) -> tuple[Opened, Mark]:
    """Own the file under a new epoch, or raise and leave it as it is. An empty file becomes a journal, made `now`: wall
    seconds by the clock that events have, for the chain says it. The lease is judged by the database's. `alone`: there
    was no log before the connection made one.

    Raises `JournalOwned` if another process, or this one, has it; `JournalError` for a file that is no journal of
    this version; `JournalDamaged`.
    """
    name = str(claim.file)
    connection.execute(f"PRAGMA busy_timeout = {round(1000 * min(_LOOK, claim.patience))}")
    mode, tries = _log_mode(connection, claim), 0
    while mode is None:
        if tries == _TRIES:
            raise JournalOwned(_locked(connection, name))
        _wait_for_lock(connection, claim, "EXCLUSIVE")
        connection.execute("ROLLBACK")
        mode, tries = _log_mode(connection, claim), tries + 1
    if mode != "wal":
        raise JournalError(f"{name} is on a file system without shared memory: keep it on a local disk")
    # What a process before us could not sync may be in the log as we see it and not on the disk: what is written behind
    # it would be lost with it. So nothing is written behind it; it goes into the file, which is synced. A reader who
    # stays longer than our patience keeps it where it is.
    for _ in range(_looks(claim)):
        if _empty_log(connection):
            break
        _refuse_if_known(connection, claim)
    _wait_for_lock(connection, claim)
    connection.execute(f"PRAGMA busy_timeout = {round(1000 * claim.patience)}")
    version = identify(connection, name)
    migrate(connection, version)
    before = _refuse_if_held(connection, claim)
    found = meta(connection)
    if found is None and version and (before is not None or _holds_events(connection)):
        raise JournalDamaged(_unsound(name, "nothing in table meta says where it stands"))
    tree, mark, epoch = found or (claim.new_tree(), Mark(), 0)
    epoch += 1
    if found is None:
        connection.execute(
            "INSERT INTO meta VALUES (1, ?, ?, ?, ?, ?, ?, ?)",
            (tree, now, mark.seq, mark.hash, mark.commits, mark.last_row, epoch),
        )
    else:
        _check_head(connection, name, mark, found[2])
        if before is not None and before.epoch != found[2]:
            why = f"table meta counts epoch {found[2]}, and its last owner had {before.epoch}"
            raise JournalDamaged(_unsound(name, f"{why}, as where the log beside a file is that of another time"))
        connection.execute("UPDATE meta SET epoch = ?", (epoch,))
    me = claim.processes.me()
    connection.execute(
        f"INSERT OR REPLACE INTO owner VALUES (1, ?, ?, ?, ?, ?, ?, {NOW}, {NOW} + ?, 0)",
        (epoch, me.host, me.pid, me.boot, me.namespace, me.started, claim.lease),
    )
    identity = identity_of(connection)
    taken = rows.holder(connection)[0]
    try:
        connection.execute("COMMIT")
    except sqlite3.Error:
        # It may stand all the same, as that of any commit: whoever is told that they do not own it would find it owned
        # by themselves. Not by the epoch alone: somebody else may have taken the next one since.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if _holder(connection) != taken:
            raise
    # In the file itself, for a copy that is made without the log: it is none of a journal that was closed in order, nor
    # of none at all. A disk that refuses this has the commit.
    with suppress(sqlite3.Error):
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    if alone and before is not None and not before.released and before.lease_until:  # 0: of a visitor, which had closed
        warn_of_log(claim.file)
    asking, in_vain = _kept_for(connection, tree)
    opened = Opened(
        epoch=epoch,
        holder=str(me),
        head=mark.seq,
        last_row=mark.last_row,
        after_crash=before is not None and not before.released,
        slots=rows.slots(connection),
        tree=tree,
        kept_for=asking,
        kept_in_vain=in_vain,
        identity=identity,
    )
    return opened, mark


def _kept_for(connection: sqlite3.Connection, tree: str) -> tuple[frozenset[MessageId], tuple[str, ...]]:
    """`Opened.kept_for` and `kept_in_vain`."""
    if not connection.execute("SELECT EXISTS (SELECT 1 FROM replies)").fetchone()[0]:
        return frozenset(), ()
    from .kept_for import kept_for  # after a process that died, or where something waits

    return kept_for(connection, tree)


def _log_mode(connection: sqlite3.Connection, claim: Claim) -> str | None:
    """How the file keeps its log from now on; None where somebody else is making it a journal, or was a moment ago:
    for the change of mode SQLite does not wait, however much patience it has."""
    try:
        if identify(connection, str(claim.file)) == VERSION:
            _refuse_if_held(connection, claim)  # without a lock, so that the answer does not wait for the owner
        else:  # a new file: so that it can shrink while it is in use
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    except (sqlite3.OperationalError, JournalOwned) as error:
        if is_busy(error.__cause__ or error):
            return None
        raise
    return mode


def _empty_log(connection: sqlite3.Connection) -> bool:
    """Copy the log into the file and cut it off, if nobody stands in the way."""
    try:
        return not connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.OperationalError as error:
        if is_busy(error):  # it is being read anew, after a process that died
            return False
        raise


def _looks(claim: Claim) -> int:
    """How often our patience is enough for."""
    return max(1, math.ceil(claim.patience / _LOOK))


def _wait_for_lock(connection: sqlite3.Connection, claim: Claim, lock: str = "IMMEDIATE") -> None:
    """Begin a transaction that may write. Raises `JournalOwned` where another one lasts longer than our patience, and
    as soon as somebody owns the file."""
    for left in reversed(range(_looks(claim))):
        try:
            connection.execute(f"BEGIN {lock}")
            return
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
            if not left:
                raise JournalOwned(_locked(connection, str(claim.file))) from error
        _refuse_if_known(connection, claim)


def _refuse_if_known(connection: sqlite3.Connection, claim: Claim) -> None:
    """As `_refuse_if_held`, where the file may be no journal yet, or be locked for those who read it too."""
    with suppress(sqlite3.OperationalError):
        _refuse_if_held(connection, claim)


def _holds_events(connection: sqlite3.Connection) -> bool:
    """Whether anybody has written there; tables in which nothing stands are as good as none."""
    return bool(connection.execute("SELECT EXISTS (SELECT 1 FROM events)").fetchone()[0])


def meta(connection: sqlite3.Connection) -> tuple[str, Mark, int] | None:
    """The id of the journal, where it stands, and the epoch that may write."""
    row = connection.execute("SELECT tree, seq, hash, commits, last_row, epoch FROM meta").fetchone()
    return None if row is None else (row[0], Mark(*row[1:5]), row[5])


def _holder(connection: sqlite3.Connection) -> Holder | None:
    """Who holds the file, as far as it says: one that was to be made now may not even have tables."""
    try:
        return rows.holder(connection)[0]
    except sqlite3.Error:
        return None


def _locked(connection: sqlite3.Connection, name: str) -> str:
    """Who keeps `name` although nothing else stands against taking it: a lock is not a lease, and does not end."""
    holder = _holder(connection)
    by = (
        f"perhaps by {holder}, stopped while it wrote" if holder is not None and not holder.released else "by a process"
    )
    return f"{name} is locked {by}: end that process, or let it go on"


def _refuse_if_held(connection: sqlite3.Connection, claim: Claim) -> Holder | None:
    holder, now = rows.holder(connection)
    if holder is None or holder.released:
        return holder
    fate = claim.processes.fate(holder.process)
    if fate is Fate.GONE or (holder.lease_until <= now and not (claim.visits and fate is Fate.ALIVE)):
        return holder
    # It could not write that it has closed the file (a full disk). If it opens it again, its epoch is not current.
    if fate is Fate.ALIVE and claim.processes.has_left(holder.process, claim.at):
        return holder
    raise JournalOwned(refusal(str(claim.file), holder, fate, claim.processes.me(), now))


def _check_head(connection: sqlite3.Connection, name: str, mark: Mark, epoch: int) -> None:
    """Nothing is appended to a journal whose end is not where it was, nor under a number that is taken."""
    for number in (mark.seq, mark.commits, mark.last_row, epoch):
        if not counts_on(number):
            raise JournalDamaged(_unsound(name, f"table meta counts {number!r}"))
    for table, column in NUMBERED:
        (taken,) = connection.execute(f"SELECT max({column}) FROM {table}").fetchone()
        if taken is not None and taken > mark.last_row:
            raise JournalDamaged(
                _unsound(name, f"table {table} has {column} {taken}, and {mark.last_row} was the last")
            )
    last = connection.execute("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1").fetchone()
    if (last or (0, GENESIS)) != (mark.seq, mark.hash):
        found = last[0] if last else "missing"
        raise JournalDamaged(_unsound(name, f"its head is event {mark.seq}, its last event is {found}"))


def _unsound(name: str, what: str) -> str:
    return f"{name} does not hold what was written: {what}. Restore it from a copy; nothing was changed"
