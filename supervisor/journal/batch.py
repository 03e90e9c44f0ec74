"""Several commits as the rows of one transaction: folded without touching the database, then applied in a few calls."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from attrs import field

from treewarden.agents.core.path import Path
from treewarden.agents.core.values import define, frozen
from treewarden.agents.errors import CommitFailed, JournalError

from ..core.event import Event
from ..core.link import GENESIS, link
from .blobs import Blobs
from .commit import Commit, MessageRow, works_of
from .event_codec import encode_event
from .integrity import checksum, counters_sum
from .keeping import Keeping, StoredState, stored_state
from .quiet import MessageAlone, StateAlone
from .together import delete, insert

__all__ = ["Batch", "EventRow", "Mark", "Written", "fold"]

EventRow: TypeAlias = tuple[int, float, str, str, int, str, bytes, bytes, int]
"""seq, at, path, kind, version, body, prev, hash, epoch: as in the table."""


_BODY: Final = 4
"""Where a row of the table of dead letters has it, of what `Batch.dead` holds."""
_ENDED: Final = "a message that it ends does not wait any more: it was handled or given up before"
_COMMANDS_KEPT: Final = 10_000
"""Answers by which a command that comes twice is known."""
_FORGET_COMMANDS: Final = (
    "DELETE FROM commands WHERE rowid <= (SELECT max(rowid) FROM commands) - ? AND state NOT IN ('waiting', 'taken')"
)


@frozen
class Mark:
    """Where the journal stands, as its `meta` row says."""

    seq: int = 0
    hash: bytes = GENESIS
    commits: int = 0
    """Grows with each transaction: by this the owner knows whether one of its own was kept."""
    last_row: int = 0


@define
class Batch:
    """The rows of one transaction. Within a table their order is that of the commits."""

    epoch: int
    before: Mark
    after: Mark
    heads: list[int] = field(init=False, factory=list[int])
    """For each commit, the head after it."""
    events: list[EventRow] = field(init=False, factory=list[EventRow])
    facts: list[Event] = field(init=False, factory=list[Event])
    """What `events` were made of."""
    states: dict[str, StoredState] = field(init=False, factory=dict[str, StoredState])
    """The last one of each slot: those before it in the same transaction would be overwritten."""
    keeping: Keeping = field(init=False, factory=Keeping)
    blobs: Blobs = field(init=False, factory=Blobs)
    grown: int = field(init=False, default=0)
    """Characters of large values that `apply` has stored."""
    accepted: list[tuple[Any, ...]] = field(init=False, factory=list[tuple[Any, ...]])
    returned: list[tuple[Any, ...]] = field(init=False, factory=list[tuple[Any, ...]])
    ended: list[int] = field(init=False, factory=list[int])
    """Rows that leave their mailbox, handled or given up."""
    dead: list[tuple[Any, ...]] = field(init=False, factory=list[tuple[Any, ...]])
    """Without a body: it is that of the message's row, which `apply` knows."""
    revived: list[tuple[str]] = field(init=False, factory=list[tuple[str]])
    replies: list[tuple[Any, ...] | str] = field(init=False, factory=list[tuple[Any, ...] | str])
    """Replies to keep, and prefixes to forget, in order."""
    timers: dict[tuple[str, str], tuple[Any, ...]] = field(init=False, factory=dict[tuple[str, str], tuple[Any, ...]])
    answers: list[tuple[str, str, int, str]] = field(init=False, factory=list[tuple[str, str, int, str]])
    forgotten: list[tuple[str]] = field(init=False, factory=list[tuple[str]])

    def apply(self, connection: sqlite3.Connection) -> None:
        """Execute within the open transaction, whose epoch was checked."""
        many = connection.executemany
        self.grown = self.blobs.write(connection, self.epoch)
        for table in ("states", "checkpoints", "timers") if self.forgotten else ():
            many(f"DELETE FROM {table} WHERE path = ?", self.forgotten)
        if self.accepted:
            insert(connection, "mailbox", self.accepted)
        self.keeping.keep(connection)
        if self.states:
            insert(
                connection,
                "states",
                list(self.states.values()),
                " ON CONFLICT (path) DO UPDATE SET kind = excluded.kind, version = excluded.version,"
                " body = excluded.body, settled = excluded.settled, seq = excluded.seq, epoch = excluded.epoch,"
                " checksum = excluded.checksum",
            )
        self.keeping.restore_and_prune(connection)
        if self.returned:
            many(
                "UPDATE mailbox SET deliveries = ?, deaths = ?, not_before = ?, epoch = ?, counters_checksum = ?"
                " WHERE row = ?",
                self.returned,
            )
        if self.dead:
            dead = [row if row[_BODY] is not None else _as_stored(connection, row) for row in self.dead]
            many("INSERT INTO dead_letters VALUES (NULL,?,?,?,?,?,?,?,?,?,?,?,?)", dead)
        revive = "DELETE FROM dead_letters WHERE message = ?"
        if self.revived and many(revive, self.revived).rowcount != len(self.revived):
            raise CommitFailed("a dead letter that it puts back is none: it was put back before, or never was one")
        if self.ended and delete(connection, "mailbox WHERE row", self.ended) != len(self.ended):
            raise CommitFailed(_ENDED)
        for reply in self.replies:
            if isinstance(reply, str):
                # The largest character ends the range of what begins with `reply`.
                connection.execute("DELETE FROM replies WHERE id >= ? AND id < ?", (reply, reply + "\U0010ffff"))
            else:
                connection.execute("INSERT INTO replies VALUES (?,?,?,?,?,?,?) ON CONFLICT (id) DO NOTHING", reply)
        if self.timers:
            many(
                "INSERT INTO timers VALUES (?,?,?,?,?)"
                " ON CONFLICT (path, name) DO UPDATE SET at = excluded.at, epoch = excluded.epoch,"
                " checksum = excluded.checksum",
                self.timers.values(),
            )
        if self.answers:
            answer = (
                "UPDATE commands SET state = ?, answer = ?, epoch = ? WHERE id = ? AND state IN ('waiting', 'taken')"
            )
            if many(answer, self.answers).rowcount != len(self.answers):
                raise CommitFailed("a command that it answers was taken back, or answered before")
            many(_FORGET_COMMANDS, [(_COMMANDS_KEPT,)])
        if self.events:
            insert(connection, "events", self.events)


@define
class Written:
    """What became of some commits."""

    outcomes: list[int | JournalError] = field(factory=list[int | JournalError])
    """For each commit, in order: the head after it, or why nothing of it was kept."""
    events: list[tuple[EventRow, Event]] = field(factory=list[tuple[EventRow, Event]])
    """Committed rows with the events that they were made of."""
    fallen: set[Path] = field(factory=set[Path])
    """Slots of which a commit was not kept: what they queued behind it is not kept either."""
    for_all: bool = False
    """The disk or the database refused, and not one row: what was queued meanwhile knew nothing of it."""
    renewed: bool = False
    """The lease was prolonged."""

    def fail(self, commit: Commit, error: JournalError) -> None:
        self.outcomes.append(error)
        self.fallen |= works_of(commit)


def fold(commits: Sequence[Commit], mark: Mark, epoch: int) -> Batch:
    """The rows of `commits`, continuing from `mark`.

    Raises what an event that cannot be stored raises, and `CommitFailed` where the order of the commits matters and the
    tables could not tell: then they have to be written one by one.
    """
    batch = Batch(epoch, mark, mark)
    seq, prev, last_row = mark.seq, mark.hash, mark.last_row
    events, facts, heads, ended = batch.events, batch.facts, batch.heads, batch.ended
    touched: set[int] = set()
    short = batch.blobs.shorten
    for commit in commits:
        alone = commit.__class__
        if alone is MessageAlone:
            (row,) = commit.accepted
            if row.row not in touched:
                last_row = max(last_row, row.row)
                batch.accepted.append(_waiting(row, short(row.body, row.large), epoch))
                heads.append(seq)
                continue
        elif alone is StateAlone:
            (state,) = commit.states
            path = str(state.path)
            batch.states[path] = stored_state(path, state, short(state.body, state.large), seq, epoch)
            for number in commit.acked:
                ended.append(number)
                touched.add(number)
            heads.append(seq)
            continue
        for when, event in commit.events:
            kind, version, body = encode_event(event)
            seq += 1
            at = float(when) + 0.0  # SQLite keeps no negative zero
            path = str(getattr(event, "path", ""))
            hash = link(prev, seq, at, epoch, path, kind, version, body)
            events.append((seq, at, path, kind, version, body, prev, hash, epoch))
            facts.append(event)
            prev = hash
        if commit.quiet:
            heads.append(seq)
            continue
        if commit.forget:
            _forget(batch, {str(path) for path in commit.forget})
        if commit.checkpoints or commit.keeps or commit.restores or commit.prunes:
            if commit.restores and len(commits) > 1:
                raise CommitFailed("what it goes back to depends on the commits before it")
            batch.keeping.fold(commit, batch.states, seq, epoch, short)
            for number in (*commit.checkpoints, *commit.keeps):
                last_row = max(last_row, number.number)
        # Exact strings: SQLite's module asks an adapter about each value of a subclass.
        for state in commit.states:
            path = str(state.path)
            batch.states[path] = stored_state(path, state, short(state.body, state.large), seq, epoch)
        if not (
            commit.accepted or commit.acked or commit.returned or commit.dead or commit.revived or commit.replies
            or commit.forget_replies or commit.timers or commit.answers
        ):  # fmt: skip
            heads.append(seq)  # as with most answers to asks: to find nine times that there is nothing takes longer
            continue
        for row in commit.accepted:
            last_row = max(last_row, row.row)
            if row.row in touched:
                raise CommitFailed(f"message {row.row} was handled, returned or given up before it was accepted")
            batch.accepted.append(_waiting(row, short(row.body, row.large), epoch))
        for number in commit.acked:
            ended.append(number)
            touched.add(number)
        for back in commit.returned:
            counters = counters_sum(back.row, back.deliveries, back.deaths, back.not_before)
            batch.returned.append((back.deliveries, back.deaths, back.not_before, epoch, counters, back.row))
            touched.add(back.row)
        for dead in commit.dead:
            last_row = max(last_row, commit.last_row)
            path, sender, at, priority = str(dead.path), _text(dead.sender), float(dead.at) + 0.0, int(dead.priority)
            body = None if dead.as_stored else short(dead.body, dead.large)
            sum = checksum(path, dead.id, dead.kind, dead.version, dead.reason, at, dead.row, sender, body, priority)
            batch.dead.append((
                path, dead.id, dead.kind, dead.version, body, dead.reason, at, dead.row, sender, epoch, sum, priority,
            ))  # fmt: skip
            if dead.row is not None:
                ended.append(dead.row)
                touched.add(dead.row)
        batch.revived.extend((message,) for message in commit.revived)
        for reply in commit.replies:
            path, body = str(reply.path), short(reply.body, reply.large)
            sum = checksum(reply.id, path, reply.kind, reply.version, body)
            batch.replies.append((reply.id, path, reply.kind, reply.version, body, epoch, sum))
        batch.replies.extend(commit.forget_replies)
        for timer in commit.timers:
            path, at = str(timer.path), float(timer.at) + 0.0
            batch.timers[path, timer.name] = (path, timer.name, at, epoch, checksum(path, timer.name, at))
        batch.answers.extend((answer.state, answer.text, epoch, answer.id) for answer in commit.answers)
        heads.append(seq)
    batch.after = Mark(seq, prev, mark.commits + 1, last_row)
    return batch


def _waiting(row: MessageRow, body: str, epoch: int) -> tuple[Any, ...]:
    """A message as its table has it, with `body` as it is to be stored."""
    number, path, sender, at = row.row, str(row.path), _text(row.sender), float(row.at) + 0.0
    sum = checksum(number, path, row.id, row.kind, row.version, sender, int(row.priority), at, body)
    counters = counters_sum(number, row.deliveries, row.deaths, row.not_before)
    return (
        number, path, row.id, row.kind, row.version, body, sender, row.priority, at, row.deliveries,
        row.deaths, row.not_before, epoch, sum, counters,
    )  # fmt: skip


def _as_stored(connection: sqlite3.Connection, dead: tuple[Any, ...]) -> tuple[Any, ...]:
    """A message given up, with what its row in the mailbox holds. What a disk has changed there is not made sound."""
    path, id, *_, reason, at, row, sender, epoch, _, priority = dead
    texts = ", ".join(f"CAST({name} AS BLOB)" for name in ("path", "id", "kind", "sender", "body"))
    question = f"SELECT version, priority, at, checksum, {texts} FROM mailbox WHERE row = ?"
    found = connection.execute(question, (row,)).fetchone()
    if found is None:
        raise CommitFailed(_ENDED)
    version, was, since, stored, *texts = found
    try:
        slot, named, kind, told_by, body = (None if each is None else each.decode() for each in texts)
    except UnicodeDecodeError as error:
        raise CommitFailed(f"what message {row} holds is no text any more: {error}") from error
    sum = checksum(path, id, kind, version, reason, at, row, sender, body, priority)
    if stored is not None and stored != checksum(row, slot, named, kind, version, told_by, was, since, body):
        sum ^= 1
    return path, id, kind, version, body, reason, at, row, sender, epoch, sum, priority


def _forget(batch: Batch, paths: set[str]) -> None:
    """Drop what stands in the batch for these slots; what stands in the tables goes before the batch's rows come."""
    batch.forgotten.extend((path,) for path in paths)
    for path in paths:
        batch.states.pop(path, None)
    batch.keeping.forget(paths)
    batch.timers = {key: row for key, row in batch.timers.items() if row[0] not in paths}


def _text(path: str | None) -> str | None:
    return None if path is None else str(path)
