"""Questions to the tables: what a row is in the terms of the port. Used by the owner and by readers alike."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

from treewarden.agents.core.message import OF_EFFECTS, Happened, MessageId, Priority
from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.core.values import frozen
from treewarden.agents.errors import JournalError

from ..core.event import EventsPruned
from .asking import QUESTIONS, unanswered
from .blobs import whole
from .canonical import dump
from .event_codec import decode_event
from .holder import Holder, Process
from .port import CODE, START, CommandRow, DeadRow, Lessons, MessageRow, Record, Recovered, ReplyRow, Seq, StateRow
from .schema import NOW

__all__ = [
    "Held",
    "Waiting",
    "answer",
    "commands",
    "cut",
    "data_version",
    "dead_letter",
    "dead_letters",
    "first",
    "held",
    "holder",
    "labels",
    "lessons",
    "messages",
    "of_kind",
    "paths",
    "questions",
    "records",
    "recovered",
    "settled",
    "slots",
    "state",
    "states",
    "timers",
    "waiting",
]

_EVENT: Final = f"{Happened.__module__}:{Happened.__qualname__}"
"""The kind of an event that is for whoever waits for it."""
_MESSAGE: Final = "row, id, kind, body, sender, priority, at, deliveries, deaths, not_before, version"


@frozen
class Held:
    """One value of the user's that a journal holds, as it is stored."""

    what: str
    """state, message, checkpoint, dead letter, reply or effect"""
    path: Path
    name: str
    """Its id, or the name of a checkpoint; empty where there is none."""
    kind: str
    version: int
    body: str


@frozen
class Waiting:
    """How full a durable mailbox is."""

    path: Path
    messages: int
    """Also those that are parked, and `events`."""
    oldest: float
    """Wall seconds at which the one that waits longest was accepted."""
    events: int = 0
    """Those among them that are for a handler which waits for such a one, now or later."""


def holder(connection: sqlite3.Connection) -> tuple[Holder | None, float]:
    """Who has the file, or had it last, and the database's time."""
    row: tuple[Any, ...] | None = connection.execute(
        "SELECT host, pid, boot, namespace, started, epoch, since, lease_until, released FROM owner"
    ).fetchone()
    now: float = connection.execute(f"SELECT {NOW}").fetchone()[0]
    if row is None:
        return None, now
    epoch, since, until, released = row[5:]
    return Holder(process=Process(*row[:5]), epoch=epoch, since=since, lease_until=until, released=bool(released)), now


def recovered(connection: sqlite3.Connection, path: Path) -> Recovered:
    """Everything that is held for one slot; the work is that of its own rows."""
    state = connection.execute(
        "SELECT kind, body, version, settled, seq FROM states WHERE path = ?", (str(path),)
    ).fetchone()
    replies = connection.execute(
        "SELECT id, kind, body, version FROM replies WHERE path = ? ORDER BY id", (str(path),)
    ).fetchall()
    return Recovered(
        state=None if state is None else StateRow(path, state[0], whole(connection, state[1]), *state[2:4]),
        state_seq=None if state is None else state[4],
        messages=tuple(messages(connection, path)),
        timers=timers(connection, path),
        replies=tuple(
            ReplyRow(id, path, kind, whole(connection, body), version) for id, kind, body, version in replies
        ),
    )


def state(connection: sqlite3.Connection, path: Path) -> StateRow | None:
    """The current state of one slot."""
    found = connection.execute(
        "SELECT kind, body, version, settled FROM states WHERE path = ?", (str(path),)
    ).fetchone()
    return None if found is None else StateRow(path, found[0], whole(connection, found[1]), *found[2:])


def settled(connection: sqlite3.Connection) -> dict[Path, int]:
    """How many messages every slot with a state had settled when that was written, by path. Reads no states."""
    return {Path(path): count for path, count in connection.execute("SELECT path, settled FROM states ORDER BY path")}


def states(connection: sqlite3.Connection) -> list[StateRow]:
    """The current state of every slot, by path."""
    rows = connection.execute("SELECT path, kind, body, version, settled FROM states ORDER BY path").fetchall()
    return [StateRow(Path(path), kind, whole(connection, body), *rest) for path, kind, body, *rest in rows]


def held(connection: sqlite3.Connection) -> Iterator[Held]:
    """Every value of the user's, while it is looked at."""
    for what, table, name in (
        ("state", "states", "''"),
        ("message", "mailbox", "id"),
        ("checkpoint", "checkpoints", "name"),
        ("dead letter", "dead_letters", "message"),
        ("reply", "replies", "id"),
    ):
        question = f"SELECT path, {name}, kind, version, body FROM {table} ORDER BY rowid"
        for path, named, kind, version, body in connection.execute(question):
            of_effect = table == "replies" and str(named).endswith(OF_EFFECTS)
            yield Held("effect" if of_effect else what, Path(path), named, kind, version, whole(connection, body))


def effects(connection: sqlite3.Connection) -> list[ReplyRow]:
    """What is stored of effects of handlers: that they have begun, and their results."""
    question = (
        "SELECT id, path, kind, body, version FROM replies WHERE id LIKE '%>begun' OR id LIKE '%>done' ORDER BY id"
    )
    return [
        ReplyRow(id, Path(path), kind, whole(connection, body), version)
        for id, path, kind, body, version in connection.execute(question).fetchall()
    ]


def messages(connection: sqlite3.Connection, path: Path, limit: int = -1) -> list[MessageRow]:
    """What waits in one mailbox, in the order in which it is to be handled."""
    rows = connection.execute(
        f"SELECT {_MESSAGE} FROM mailbox WHERE path = ? ORDER BY priority, row LIMIT ?", (str(path), limit)
    ).fetchall()
    return [
        MessageRow(path, row, id, kind, whole(connection, body), _path(sender), *rest)
        for row, id, kind, body, sender, *rest in rows
    ]


def waiting(connection: sqlite3.Connection) -> list[Waiting]:
    """Every mailbox with messages, by path."""
    rows = connection.execute(
        "SELECT path, count(*), min(at), sum(kind = ?) FROM mailbox GROUP BY path ORDER BY path", (_EVENT,)
    ).fetchall()
    return [Waiting(Path(path), *rest) for path, *rest in rows]


def commands(connection: sqlite3.Connection) -> list[CommandRow]:
    """What other processes ask for and nobody has answered nor will, oldest first."""
    waiting = (
        "SELECT CAST(id AS BLOB), CAST(body AS BLOB), at, epoch, state = 'taken' FROM commands WHERE state = 'waiting'"
        " OR (state = 'taken' AND epoch < (SELECT epoch FROM meta)) ORDER BY rowid"
    )
    found: list[CommandRow] = []
    for id, body, at, epoch, begun in connection.execute(waiting).fetchall():
        with suppress(UnicodeDecodeError):  # of an id that is no text: nobody could be answered by it
            found.append(CommandRow(id.decode(), body.decode(errors="replace"), at, epoch, bool(begun)))
    return found


def answer(connection: sqlite3.Connection, command: str) -> tuple[str, str] | None:
    """What became of a command: its state, and the text of the answer."""
    found: tuple[str, str] | None = connection.execute(
        "SELECT state, answer FROM commands WHERE id = ?", (command,)
    ).fetchone()
    return found


def data_version(connection: sqlite3.Connection) -> int:
    """A number that differs from its last value if another connection has committed since."""
    version: int = connection.execute("PRAGMA data_version").fetchone()[0]
    return version


def timers(connection: sqlite3.Connection, path: Path) -> dict[str, float]:
    """When the timers of one slot are due, by name."""
    return dict(connection.execute("SELECT name, at FROM timers WHERE path = ? ORDER BY name", (str(path),)).fetchall())


def slots(connection: sqlite3.Connection) -> frozenset[Path]:
    """Slots with state, messages, timers or replies. Steps from path to path, however many messages wait in each."""
    rows = connection.execute(
        "WITH RECURSIVE mail(path) AS (SELECT min(path) FROM mailbox UNION ALL"
        " SELECT (SELECT min(path) FROM mailbox WHERE path > mail.path) FROM mail WHERE mail.path IS NOT NULL)"
        " SELECT path FROM mail WHERE path IS NOT NULL UNION SELECT path FROM states UNION SELECT path FROM timers"
        " UNION SELECT path FROM replies"
    ).fetchall()
    return frozenset(Path(path) for (path,) in rows)


def paths(connection: sqlite3.Connection, *, answers: bool = True) -> frozenset[Path]:
    """Slots that events are about, but for those of which they tell nothing but answers to commands, unless `answers`.
    Steps from path to path, however many events there are."""
    told = "" if answers else " AND EXISTS (SELECT 1 FROM events WHERE path = told.path AND kind <> 'CommandAnswered')"
    rows = connection.execute(
        "WITH RECURSIVE told(path) AS (SELECT min(path) FROM events WHERE path > '' UNION ALL"
        " SELECT (SELECT min(path) FROM events WHERE path > told.path) FROM told WHERE told.path IS NOT NULL)"
        f" SELECT path FROM told WHERE path IS NOT NULL{told}"
    ).fetchall()
    return frozenset(Path(path) for (path,) in rows)


def dead_letters(connection: sqlite3.Connection, path: Path | None, limit: int) -> list[DeadRow]:
    """Messages given up, newest first; of one slot and all below it, or of all."""
    where, of = "", ()
    if path is not None and path != ROOT:
        where, of = " WHERE (path = ? OR (path > ? AND path < ?))", (str(path), f"{path}/", f"{path}0")
    return _dead(connection, f"{where} ORDER BY id DESC LIMIT ?", (*of, limit))


def dead_letter(connection: sqlite3.Connection, message: MessageId) -> DeadRow | None:
    """The message given up that had this id. Looks through all of them."""
    found = _dead(connection, " WHERE message = ?", (message,))
    return found[0] if found else None


def _dead(connection: sqlite3.Connection, which: str, values: tuple[Any, ...]) -> list[DeadRow]:
    found = connection.execute(f"SELECT * FROM dead_letters{which}", values)  # a file of an older schema has fewer
    names = [column[0] for column in found.description]
    try:
        return [
            DeadRow(
                path=Path(row["path"]),
                id=row["message"],
                kind=row["kind"],
                body=whole(connection, row["body"]),
                reason=row["reason"],
                at=row["at"],
                row=row["row"],
                sender=_path(row["sender"]),
                version=row["version"],
                priority=Priority.NORMAL if row.get("priority") is None else row["priority"],
            )
            for row in [dict(zip(names, values, strict=True)) for values in found.fetchall()]
        ]
    except KeyError as error:  # as SQLite says it who is asked for a column by its name: the schema is damaged
        raise sqlite3.OperationalError(f"no such column: {error.args[0]}") from error


def records(
    connection: sqlite3.Connection,
    after: Seq,
    limit: int,
    path: Path | None = None,
    kinds: Collection[str] | None = None,
    within: Path | None = None,
    newest: bool = False,
) -> Sequence[Record]:
    """Events after `after`, oldest first; of one slot, of one with all below it, of some kinds only, if asked for. With
    `newest` those are left out that come first if there are more than `limit`.

    Raises `UnknownKind` or `JournalDamaged` naming the event that cannot be read.
    """
    wanted = None if kinds is None else tuple(kinds)
    marks = ",".join("?" * len(wanted or ()))
    where, values = "", ()
    if path is not None:
        where, values = " AND path = ?", (str(path),)
    elif within is not None and within != ROOT:
        # In the order of their numbers, which an index by path does not have for more than one of them.
        where, values = " AND (+path = ? OR (+path > ? AND +path < ?))", (str(within), f"{within}/", f"{within}0")
    rows = connection.execute(
        "SELECT seq, at, kind, version, body, epoch, hash FROM events WHERE seq > ?"
        f"{where}{'' if wanted is None else f' AND kind IN ({marks})'}"
        f" ORDER BY seq {'DESC ' if newest else ''}LIMIT ?",
        (after, *values, *(wanted or ()), limit),
    ).fetchall()
    if newest:
        rows.reverse()
    return [
        Record(seq, at, _event(seq, kind, version, body), epoch, hash.hex())
        for seq, at, kind, version, body, epoch, hash in rows
    ]


def of_kind(connection: sqlite3.Connection, *, after: Seq, through: Seq, path: Path, kind: str) -> Sequence[Record]:
    """Events of one kind about one slot after `after`, up to `through`, oldest first. Raises as `records`."""
    rows = connection.execute(
        "SELECT seq, at, kind, version, body, epoch, hash FROM events"
        " WHERE path = ? AND seq > ? AND seq <= ? AND kind = ? ORDER BY seq",
        (str(path), after, through, kind),
    )
    return [
        Record(seq, at, _event(seq, kind, version, body), epoch, hash.hex())
        for seq, at, kind, version, body, epoch, hash in rows
    ]


def labels(connection: sqlite3.Connection) -> Sequence[Record]:
    """All labels of incidents that count, oldest first. Raises as `records`."""
    last = cut(connection)
    through, gone = START, ()
    if last is not None and isinstance(last.event, EventsPruned):
        through, gone = last.event.through, last.event.summary.get("labels", ())
    rows = connection.execute(
        "SELECT seq, at, kind, version, body, epoch, hash FROM events WHERE kind = 'IncidentLabelled' AND seq > ?"
        " ORDER BY seq",
        (through,),
    ).fetchall()
    before = [
        Record(each["seq"], each["at"], _event(each["seq"], "IncidentLabelled", each["version"], dump(each["event"])),
               each["epoch"])
        for each in gone
    ]  # fmt: skip
    later = (
        Record(seq, at, _event(seq, kind, version, body), epoch, hash.hex())
        for seq, at, kind, version, body, epoch, hash in rows
    )
    return [*before, *later]


def questions(connection: sqlite3.Connection) -> Sequence[Record]:
    """What people are asked and have not answered, oldest first. Raises as `records`."""
    rows = connection.execute(
        "SELECT seq, at, kind, version, body, epoch, hash FROM events WHERE path = '' AND kind IN (?, ?) ORDER BY seq",
        tuple(QUESTIONS),
    ).fetchall()  # of the whole tree, of which little is told: the index of slots leads to all of that
    return unanswered(
        Record(seq, at, _event(seq, kind, version, body), epoch, hash.hex())
        for seq, at, kind, version, body, epoch, hash in rows
    )


def cut(connection: sqlite3.Connection) -> Record | None:
    """The last `EventsPruned`. Raises as `records`."""
    found = connection.execute("SELECT max(seq) FROM events WHERE kind = 'EventsPruned'").fetchone()
    return None if found[0] is None else records(connection, found[0] - 1, 1)[0]


def lessons(connection: sqlite3.Connection, after: Seq, limit: int, kinds: Collection[str]) -> Lessons:
    """See `Journal.lessons`. Raises as `records`."""
    last, through = cut(connection), START
    if last is not None and isinstance(last.event, EventsPruned):
        through = last.event.through
    lately = records(connection, max(START, after, through), limit, kinds=kinds)
    found = connection.execute(
        f"SELECT seq FROM events WHERE path = '' AND kind IN ({','.join('?' * len(CODE))}) AND seq > ? "
        "AND seq <= ? ORDER BY seq DESC LIMIT 1",
        (*CODE, through, after),
    ).fetchone()  # by the index that `questions` uses
    code = () if found is None else tuple(records(connection, found[0] - 1, 1))
    return Lessons(last, lately, labels(connection), questions(connection), code)


def first(connection: sqlite3.Connection) -> tuple[Seq, bytes] | None:
    """The number of the first event that is there, and what it is chained to."""
    found: tuple[Seq, bytes] | None = connection.execute(
        "SELECT seq, prev FROM events WHERE seq > 0 ORDER BY seq LIMIT 1"
    ).fetchone()
    return found


def _event(seq: Seq, kind: str, version: int, body: str) -> Any:
    try:
        return decode_event(kind, version, body)
    except JournalError as error:
        raise type(error)(f"event {seq}: {error}") from error


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
