"""What the tables have to hold after each commit: a second, plain reading of what `Commit` promises."""

from __future__ import annotations

import copy
from typing import Any, Final, TypeAlias

from attrs import define, field, frozen

from treewarden.supervisor.journal.blobs import whole
from treewarden.supervisor.journal.event_codec import encode_event
from treewarden.supervisor.journal.port import CheckpointRow, Commit, KeepRow, PruneRow

__all__ = ["QUERIES", "Call", "Expected", "Outside", "Tables", "World", "ask"]

Row: TypeAlias = tuple[Any, ...]
Tables: TypeAlias = dict[str, list[Row]]

QUERIES: Final = {
    "meta": "SELECT seq, last_row FROM meta",
    "events": "SELECT seq, at, path, kind, version, body, epoch FROM events ORDER BY seq",
    "states": "SELECT path, kind, version, body, settled, seq, epoch FROM states ORDER BY path",
    "checkpoints": "SELECT number, path, kind, version, body, settled, seq, at, name, pinned, description, tags, epoch"
    " FROM checkpoints ORDER BY number",
    "mailbox": "SELECT row, path, id, kind, version, body, sender, priority, at, deliveries, deaths, not_before, epoch"
    " FROM mailbox ORDER BY row",
    "dead letters": "SELECT path, message, kind, version, body, reason, at, row, sender, priority, epoch"
    " FROM dead_letters ORDER BY id",
    "replies": "SELECT id, path, kind, version, body, epoch FROM replies ORDER BY id",
    "timers": "SELECT path, name, at, epoch FROM timers ORDER BY path, name",
    "commands": "SELECT id, body, state, answer, epoch FROM commands ORDER BY rowid",
}
"""How to ask a file for its `Tables`."""


def ask(connection: Any, name: str) -> list[Row]:
    """One of the tables, large values in their places. Raises `JournalDamaged` where one of those is not there."""
    rows: list[Row] = connection.execute(QUERIES[name]).fetchall()
    if not any(isinstance(value, str) and value.startswith("@") for row in rows for value in row):
        return rows
    return [tuple(whole(connection, value) if isinstance(value, str) else value for value in row) for row in rows]


@frozen
class Call:
    """Something that was done to the world outside, by whom and for which payment."""

    key: str
    path: str
    number: int


@frozen
class Outside:
    """The world outside of a tree whose handlers act on it, and what was heard of that tree."""

    calls: tuple[Call, ...] = ()
    refused: tuple[int, ...] = ()
    """Payments that it would not make at first."""
    settled: tuple[int, ...] = ()
    """Payments of which somebody was told that they have settled."""
    told: tuple[int, ...] = ()
    """Orders that were acknowledged."""
    tokens: int = 0
    """Events and rulings that were on their way, acknowledged or not: each says its number."""
    said: tuple[str, ...] = ()
    """Those that were acknowledged, as who waits for them is told of them."""
    parked: tuple[tuple[int, int], ...] = ()
    """Orders that were unwound, and the place of the wait that they were unwound for."""
    heard: tuple[tuple[int, int, str], ...] = ()
    """What an order was told by its nth step."""

    @property
    def done(self) -> dict[str, int]:
        """The place of each key among what was done."""
        return {key: nth for nth, key in enumerate(dict.fromkeys(call.key for call in self.calls), 1)}


@frozen
class Expected:
    """What a power cut at this moment may leave."""

    worlds: tuple[int, ...] = (0,)
    """Numbers of the worlds that may be found. In the first nothing is missing that was acknowledged."""
    epochs: tuple[int, int] = (0, 0)
    """Of the last owner that was told that the file is its own, and of the last one that asked."""
    closed: bool = False
    """The last owner was told that it has given the file back."""
    outside: Outside | None = None
    """What a workload has done that acts on the world outside."""


@define
class World:
    """The tables of a journal, as far as they follow from its commits."""

    seq: int = 0
    last_row: int = 0
    events: list[Row] = field(factory=list[Row])
    states: dict[str, Row] = field(factory=dict[str, Row])
    checkpoints: dict[int, Row] = field(factory=dict[int, Row])
    mailbox: dict[int, Row] = field(factory=dict[int, Row])
    dead: list[Row] = field(factory=list[Row])
    replies: dict[str, Row] = field(factory=dict[str, Row])
    timers: dict[tuple[str, str], Row] = field(factory=dict[tuple[str, str], Row])
    commands: dict[str, Row] = field(factory=dict[str, Row])

    def copy(self) -> World:
        made = copy.copy(self)
        for name in ("events", "states", "checkpoints", "mailbox", "dead", "replies", "timers", "commands"):
            setattr(made, name, copy.copy(getattr(self, name)))
        return made

    def tables(self) -> Tables:
        return {
            "meta": [(self.seq, self.last_row)],
            "events": self.events,
            "states": _in_order(self.states),
            "checkpoints": _in_order(self.checkpoints),
            "mailbox": _in_order(self.mailbox),
            "dead letters": self.dead,
            "replies": _in_order(self.replies),
            "timers": _in_order(self.timers),
            "commands": list(self.commands.values()),
        }

    def asked(self, id: str, body: str, epoch: int) -> World:
        """The world in which another process has left a command for the owner of `epoch`."""
        made = self.copy()
        made.commands[id] = (id, body, "waiting", "", epoch)
        return made

    def after(self, commit: Commit, epoch: int) -> World | None:
        """The world with `commit`; None if it has to be refused."""
        made = self.copy()
        return made if made._apply(commit, epoch) else None

    def _apply(self, commit: Commit, epoch: int) -> bool:
        for at, event in commit.events:
            kind, version, body = encode_event(event)
            self.seq += 1
            self.events.append((self.seq, at, str(getattr(event, "path", "")), kind, version, body, epoch))
        gone = {str(path) for path in commit.forget}
        if gone:
            self.states = {path: row for path, row in self.states.items() if path not in gone}
            self.checkpoints = {number: row for number, row in self.checkpoints.items() if row[1] not in gone}
            self.timers = {key: row for key, row in self.timers.items() if row[0] not in gone}
        if not self._keep(commit, epoch):
            return False
        for one in commit.states:
            self.states[str(one.path)] = (
                str(one.path), one.kind, one.version, one.body, one.settled, self.seq, epoch
            )  # fmt: skip
        for row in commit.accepted:
            if row.row in self.mailbox:
                return False
            sender = None if row.sender is None else str(row.sender)
            self.mailbox[row.row] = (
                row.row, str(row.path), row.id, row.kind, row.version, row.body, sender, row.priority, row.at,
                row.deliveries, row.deaths, row.not_before, epoch,
            )  # fmt: skip
            self.last_row = max(self.last_row, row.row)
        if not self._go_back(commit, epoch):
            return False
        for prune in commit.prunes:
            self._prune(prune)
        for back in commit.returned:
            held = self.mailbox.get(back.row)
            if held is not None:
                self.mailbox[back.row] = (*held[:9], back.deliveries, back.deaths, back.not_before, epoch)
        for one in commit.dead:
            sender = None if one.sender is None else str(one.sender)
            self.dead.append(
                (str(one.path), one.id, one.kind, one.version, one.body, one.reason, one.at, one.row, sender,
                 int(one.priority), epoch)
            )  # fmt: skip
        left = [row for row in self.dead if row[1] not in commit.revived]
        if len(self.dead) - len(left) != len(commit.revived):
            return False
        self.dead = left
        for number in (*commit.acked, *(one.row for one in commit.dead if one.row is not None)):
            if self.mailbox.pop(number, None) is None:
                return False
        for one in commit.replies:
            self.replies.setdefault(one.id, (one.id, str(one.path), one.kind, one.version, one.body, epoch))
        for prefix in commit.forget_replies:
            self.replies = {id: row for id, row in self.replies.items() if not id.startswith(prefix)}
        for one in commit.timers:
            self.timers[str(one.path), one.name] = (str(one.path), one.name, one.at, epoch)
        for one in commit.answers:
            asked = self.commands.get(one.id)
            if asked is None or asked[2] not in ("waiting", "taken"):
                return False
            self.commands[one.id] = (*asked[:2], one.state, one.text, epoch)
        return True

    def _keep(self, commit: Commit, epoch: int) -> bool:
        """What is current, and what comes to be kept."""
        found: list[tuple[CheckpointRow | KeepRow, Row]] = []
        for keep in commit.keeps:
            state = self.states.get(str(keep.path))
            if state is None:
                return False
            found.append((keep, state[:6]))
        found += (
            (kept, (str(kept.path), kept.kind, kept.version, kept.body, kept.settled, self.seq))
            for kept in commit.checkpoints
        )
        for kept, state in found:
            if kept.number in self.checkpoints:
                return False
            self.checkpoints[kept.number] = (
                kept.number, *state, kept.at, kept.label.name, int(kept.pinned), kept.label.description,
                "\n".join(kept.label.tags), epoch,
            )  # fmt: skip
            self.last_row = max(self.last_row, kept.number)
        return True

    def _go_back(self, commit: Commit, epoch: int) -> bool:
        for back in commit.restores:
            kept = self.checkpoints.get(back.number)
            if kept is None or kept[1] != back.path:
                return False
            self.states[str(back.path)] = (*kept[1:5], back.settled, self.seq, epoch)
        return True

    def _prune(self, prune: PruneRow) -> None:
        loose = [row for row in _in_order(self.checkpoints) if row[1] == prune.path and not row[9]]
        for row in loose[: max(len(loose) - prune.last, 0)]:
            if row[7] < prune.before:
                del self.checkpoints[row[0]]


def _in_order(rows: dict[Any, Row]) -> list[Row]:
    return [rows[key] for key in sorted(rows)]
