"""The tables of a journal file, their versions, and what tells a journal from any other file."""

from __future__ import annotations

import os
import sqlite3
from typing import Final

from treewarden.agents.errors import CommitFailed, JournalDamaged, JournalError, JournalOwned

from .raised import is_busy, is_of_a_damage

__all__ = [
    "ADDED",
    "APPLICATION",
    "NOW",
    "VERSION",
    "identify",
    "identity_of",
    "migrate",
    "unusable",
    "written_identity",
]

APPLICATION: Final = int.from_bytes(b"trwd", "big")
"""`PRAGMA application_id`: the mark in the file's header."""

NOW: Final = "((julianday('now') - 2440587.5) * 86400.0)"
"""Wall seconds by the database's clock, which alone judges leases. SQLite before 3.42 has no `unixepoch('subsec')`."""

_FIRST: Final = (
    # One row: the head of the chain and the epoch that may write. Every transaction of the owner changes it.
    """CREATE TABLE meta (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        tree TEXT NOT NULL,
        created REAL NOT NULL,
        seq INTEGER NOT NULL,
        hash BLOB NOT NULL,
        commits INTEGER NOT NULL,
        last_row INTEGER NOT NULL,
        epoch INTEGER NOT NULL
    ) STRICT""",
    # One row: who owns the file, and until when.
    """CREATE TABLE owner (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        epoch INTEGER NOT NULL,
        host TEXT NOT NULL,
        pid INTEGER NOT NULL,
        boot TEXT NOT NULL,
        namespace TEXT NOT NULL,
        started TEXT NOT NULL,
        since REAL NOT NULL,
        lease_until REAL NOT NULL,
        released INTEGER NOT NULL
    ) STRICT""",
    """CREATE TABLE events (
        seq INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        path TEXT NOT NULL,
        kind TEXT NOT NULL,
        version INTEGER NOT NULL,
        body TEXT NOT NULL,
        prev BLOB NOT NULL,
        hash BLOB NOT NULL,
        epoch INTEGER NOT NULL
    ) STRICT""",
    "CREATE INDEX events_of_slot ON events (path)",
    # What a policy learns from is read whenever a tree opens, however long its journal is.
    "CREATE INDEX events_that_label ON events (seq) WHERE kind = 'IncidentLabelled'",
    """CREATE TABLE states (
        path TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        version INTEGER NOT NULL,
        body TEXT NOT NULL,
        settled INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        epoch INTEGER NOT NULL
    ) STRICT""",
    # `tags` are separated by line feeds. The body is last, so that a list of checkpoints does not read it.
    """CREATE TABLE checkpoints (
        number INTEGER PRIMARY KEY,
        path TEXT NOT NULL,
        kind TEXT NOT NULL,
        version INTEGER NOT NULL,
        settled INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        at REAL NOT NULL,
        name TEXT NOT NULL,
        description TEXT NOT NULL,
        tags TEXT NOT NULL,
        pinned INTEGER NOT NULL,
        size INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        body TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX checkpoints_of_slot ON checkpoints (path)",
    "CREATE INDEX checkpoints_not_pinned ON checkpoints (path) WHERE NOT pinned",
    # Values that are longer than 64 kB, each once; a body that begins with `@` says which are its own.
    """CREATE TABLE blobs (
        id INTEGER PRIMARY KEY,
        hash BLOB NOT NULL UNIQUE,
        size INTEGER NOT NULL,
        epoch INTEGER NOT NULL
    ) STRICT""",
    """CREATE TABLE chunks (
        number INTEGER PRIMARY KEY,
        blob INTEGER NOT NULL,
        data BLOB NOT NULL,
        epoch INTEGER NOT NULL
    ) STRICT""",
    "CREATE INDEX chunks_of_blob ON chunks (blob)",
    """CREATE TABLE mailbox (
        row INTEGER PRIMARY KEY,
        path TEXT NOT NULL,
        id TEXT NOT NULL,
        kind TEXT NOT NULL,
        version INTEGER NOT NULL,
        body TEXT NOT NULL,
        sender TEXT,
        priority INTEGER NOT NULL,
        at REAL NOT NULL,
        deliveries INTEGER NOT NULL,
        deaths INTEGER NOT NULL,
        not_before REAL,
        epoch INTEGER NOT NULL
    ) STRICT""",
    "CREATE INDEX mailbox_of_slot ON mailbox (path, priority)",
    """CREATE TABLE dead_letters (
        id INTEGER PRIMARY KEY,
        path TEXT NOT NULL,
        message TEXT NOT NULL,
        kind TEXT NOT NULL,
        version INTEGER NOT NULL,
        body TEXT NOT NULL,
        reason TEXT NOT NULL,
        at REAL NOT NULL,
        row INTEGER,
        sender TEXT,
        epoch INTEGER NOT NULL
    ) STRICT""",
    "CREATE INDEX dead_letters_of_slot ON dead_letters (path)",
    """CREATE TABLE replies (
        id TEXT PRIMARY KEY,
        path TEXT NOT NULL,
        kind TEXT NOT NULL,
        version INTEGER NOT NULL,
        body TEXT NOT NULL,
        epoch INTEGER NOT NULL
    ) STRICT""",
    "CREATE INDEX replies_of_slot ON replies (path)",
    """CREATE TABLE timers (
        path TEXT NOT NULL,
        name TEXT NOT NULL,
        at REAL NOT NULL,
        epoch INTEGER NOT NULL,
        PRIMARY KEY (path, name)
    ) STRICT, WITHOUT ROWID""",
    *(
        f"CREATE INDEX {table}_with_blobs ON {table} (path) WHERE body >= '@' AND body < 'A'"
        for table in ("states", "checkpoints", "mailbox", "dead_letters", "replies")
    ),
    # Written by processes that do not own the file; the epoch is that of the owner whom they spoke to.
    """CREATE TABLE commands (
        id TEXT PRIMARY KEY,
        body TEXT NOT NULL,
        at REAL NOT NULL,
        state TEXT NOT NULL,
        answer TEXT NOT NULL,
        epoch INTEGER NOT NULL
    ) STRICT""",
)

_SECOND: Final = (
    # So that the last cut is found at once, however many events there are.
    "CREATE INDEX cuts ON events (seq) WHERE kind = 'EventsPruned'",
)

_THIRD: Final = (
    # NULL in rows that were written before: they are not checked until they are written again.
    *(
        f"ALTER TABLE {table} ADD COLUMN checksum INTEGER"
        for table in ("states", "checkpoints", "mailbox", "dead_letters", "replies", "timers")
    ),
    # A label is not copied with its state, and the counters of a message change while it waits.
    "ALTER TABLE checkpoints ADD COLUMN label_checksum INTEGER",
    "ALTER TABLE mailbox ADD COLUMN counters_checksum INTEGER",
    # The first files of version 1 were made without it.
    "CREATE INDEX IF NOT EXISTS events_that_label ON events (seq) WHERE kind = 'IncidentLabelled'",
)

_FOURTH: Final = (
    # NULL in rows that were written before: nobody knows any more which theirs was.
    "ALTER TABLE dead_letters ADD COLUMN priority INTEGER",
)

_MIGRATIONS: Final = (_FIRST, _SECOND, _THIRD, _FOURTH)
"""The statements that lead from version n to n + 1. A released one is never edited: files of that version exist."""
VERSION: Final = len(_MIGRATIONS)
ADDED: Final = {"dead_letters": {"priority": 4}}
"""What a table holds besides since which schema. Rows from before hold nothing there, and are summed without it."""


def written_identity(tree: str, created: float) -> str:
    """The journal with this id that was made at this wall time, as events say it."""
    return f"{tree}@{created!r}"


def identity_of(connection: sqlite3.Connection) -> str:
    """What the file says outside of its chain; empty for one whose table meta was emptied."""
    found = connection.execute("SELECT tree, created FROM meta").fetchone()
    return "" if found is None else written_identity(*found)


def identify(connection: sqlite3.Connection, file: str) -> int:
    """The schema version of `file`; 0 if it is empty. Changes nothing.

    Raises `JournalError` for a file that is something else, and for a schema newer than this one.
    """
    try:
        application, version, tables = connection.execute(
            "SELECT a.application_id, v.user_version, (SELECT count(*) FROM sqlite_schema)"
            " FROM pragma_application_id AS a, pragma_user_version AS v"
        ).fetchone()
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise unusable(error, file) from error
    if (application, version, tables) == (0, 0, 0):
        return 0
    if application != APPLICATION or version < 1:
        raise JournalError(f"{file} is not a treewarden journal: it is another program's database. Name another file")
    if version > VERSION:
        raise JournalError(
            f"{file} was written by a newer treewarden: its schema is {version}, this one reads up to {VERSION}. "
            "Upgrade treewarden"
        )
    return version


def unusable(error: sqlite3.Error | UnicodeDecodeError, file: str) -> JournalError:
    """What SQLite says about `file` when it cannot be used, for people. It may quote bytes that are no text."""
    if isinstance(error, UnicodeDecodeError):
        return JournalDamaged(f"{file} is damaged: {error.object.decode(errors='replace')}. Restore it from a copy")
    if is_busy(error):
        return JournalOwned(f"{file} is locked by a process: end that process, or let it go on")
    if isinstance(error, sqlite3.OperationalError) and not is_of_a_damage(error):
        if os.path.isdir(file):
            return JournalError(f"{file} is a folder: name a file in it")
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            return JournalError(
                f"{file} cannot be written ({error}): its owner writes it and makes files beside it. Give this user "
                "the right to do both, or name a file on a disk that is not mounted read-only"
            )
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            refused = CommitFailed(
                f"{file} cannot be opened ({error}): its disk is full, or broken. Make room, or mend it, and start"
                " again"
            )
            refused.refuses_all = True
            return refused
        return JournalError(f"{file} cannot be opened: {error}")
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_NOTADB:
        return JournalError(f"{file} is not a treewarden journal: it is no SQLite database. Name another file")
    return JournalDamaged(f"{file} is damaged: {error}. Restore it from a copy")


def migrate(connection: sqlite3.Connection, version: int, to: int = VERSION) -> None:
    """Bring the tables from `version` to the version `to`, within the transaction that is open."""
    for statements in _MIGRATIONS[version:to]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {to}")
    if version == 0:
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
