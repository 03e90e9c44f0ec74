"""The checkpoints of one transaction: what is kept, restored and pruned, in the order that its commits mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Mapping
from functools import cache
from itertools import chain
from typing import Any, Final, TypeAlias

from attrs import field

from treewarden.agents.core.values import define
from treewarden.agents.errors import CommitFailed

from .blobs import SIZE
from .integrity import about_sum, checksum, refuse_damaged_checkpoint
from .large import Large
from .port import CheckpointRow, Commit, KeepRow, PruneRow, Seq, StateRow
from .together import insert, parts

__all__ = ["Keeping", "StoredState", "stored_state", "tags_of", "text_of_tags"]

StoredState: TypeAlias = tuple[str, str, int, str, int, int, int, int]
"""path, kind, version, body, settled, seq, epoch, checksum: as in the table of states."""

_INTO: Final = (
    "checkpoints (number, path, kind, version, settled, seq, at, name, description, tags, pinned, size, epoch, body,"
    " label_checksum, checksum)"
)


@define
class Keeping:
    """Folded like the rest of a batch: without touching the database."""

    rows: list[tuple[Any, ...]] = field(init=False, factory=list[tuple[Any, ...]])
    copies: list[tuple[Any, ...]] = field(init=False, factory=list[tuple[Any, ...]])
    """Of states that stand in the table."""
    restores: list[tuple[Any, ...]] = field(init=False, factory=list[tuple[Any, ...]])
    prunes: dict[str, list[PruneRow]] = field(init=False, factory=dict[str, list[PruneRow]])

    def fold(
        self,
        commit: Commit,
        states: Mapping[str, StoredState],
        seq: Seq,
        epoch: int,
        shorten: Callable[[str, Large | None], str],
    ) -> None:
        """Add what `commit` says; `states` are those of the commits before it in this transaction, and `shorten` gives
        a body as it is to be stored.

        Raises `CommitFailed` where the order of the commits matters and would be lost.
        """
        prunes: dict[str, list[PruneRow]] = {}
        for prune in commit.prunes:
            prunes.setdefault(str(prune.path), []).append(prune)
        for keep in commit.keeps:
            path = str(keep.path)
            self._must_not_be_pruned(path, prunes)
            held = _held(keep, epoch)
            state = states.get(path)
            if state is None:
                self.copies.append(held)
            else:
                self._add(held, state)
        for kept in commit.checkpoints:
            path = str(kept.path)
            self._must_not_be_pruned(path, prunes)
            self._add(_held(kept, epoch), stored_state(path, kept, shorten(kept.body, kept.large), seq, epoch))
        self.restores.extend((back.settled, seq, epoch, back.number, str(back.path)) for back in commit.restores)
        for path, wanted in prunes.items():
            for earlier in self.prunes.get(path, ()):  # it needs no turn of its own if what comes takes as much
                if not any(each.last <= earlier.last and each.before >= earlier.before for each in wanted):
                    raise _order_matters(path)
        self.prunes |= prunes

    def forget(self, paths: Collection[str]) -> None:
        """Drop what was kept of these slots."""
        for held in (*self.copies, *self.restores):
            if held[-1] in paths:
                raise _order_matters(held[-1])
        self.rows = [row for row in self.rows if row[1] not in paths]
        for path in paths:
            self.prunes.pop(path, None)

    def keep(self, connection: sqlite3.Connection) -> None:
        """To be executed before states are overwritten."""
        copy = (
            f"INSERT INTO {_INTO} SELECT ?, path, kind, version, settled, seq, ?, ?, ?, ?, ?, {SIZE}, ?, body,"
            " ?, checksum"
            " FROM states WHERE path = ?"
        )
        if self.copies and connection.executemany(copy, self.copies).rowcount != len(self.copies):
            raise CommitFailed("a slot whose state it keeps has none: nothing of it was ever settled")
        if self.rows:
            insert(connection, _INTO, self.rows)

    def restore_and_prune(self, connection: sqlite3.Connection) -> None:
        """To be executed after states were overwritten."""
        for back in self.restores:
            _restore(connection, *back)
        # Of one slot one after the other, as they came; those of different slots have nothing to do with each other.
        for turn in range(max(map(len, self.prunes.values())) if self.prunes else 0):
            alike: dict[int, list[tuple[str, float]]] = {}
            for path, wanted in self.prunes.items():
                if turn < len(wanted):
                    alike.setdefault(wanted[turn].last, []).append((path, wanted[turn].before))
            for last, rules in alike.items():
                for some in parts(rules):
                    connection.execute(_prune(len(some)), (*chain.from_iterable(some), last))

    def _add(self, held: tuple[Any, ...], state: StoredState) -> None:
        number, at, name, description, tags, pinned, epoch, label_sum, path = held
        _, kind, version, body, settled, seq, _, sum = state
        self.rows.append((
            number, path, kind, version, settled, seq, at, name, description, tags, pinned, _size(body), epoch, body,
            label_sum, sum,
        ))  # fmt: skip

    def _must_not_be_pruned(self, path: str, again: Collection[str]) -> None:
        if path in self.prunes and path not in again:
            raise _order_matters(path)


@cache
def _prune(count: int) -> str:
    """The rules of so many slots, which keep as many each, in one statement (see `together`)."""
    return (
        f"WITH rule(slot, before) AS (VALUES {','.join(['(?,?)'] * count)})"
        " DELETE FROM checkpoints WHERE number IN (SELECT old.number FROM rule CROSS JOIN checkpoints AS old"
        " ON old.path = rule.slot AND NOT old.pinned AND old.at < rule.before AND old.number <= (SELECT number"
        " FROM checkpoints WHERE path = rule.slot AND NOT pinned ORDER BY number DESC LIMIT 1 OFFSET ?))"
    )


def text_of_tags(tags: Collection[str]) -> str:
    """As the table has them."""
    return "\n".join(tags)


def tags_of(text: str) -> tuple[str, ...]:
    """What `text_of_tags` was given."""
    return tuple(text.split("\n")) if text else ()


def _size(body: str) -> int:
    return int(body[1:].partition(" ")[0]) if body.startswith("@") else len(body)


def stored_state(path: str, state: StateRow | CheckpointRow, body: str, seq: Seq, epoch: int) -> StoredState:
    """A state as its table has it, with `body` as it is to be stored."""
    kind, version, settled = state.kind, state.version, state.settled
    return path, kind, version, body, settled, seq, epoch, checksum(path, kind, version, settled, seq, body)


def _held(row: KeepRow | CheckpointRow, epoch: int) -> tuple[Any, ...]:
    """What a checkpoint has besides its state, and the slot."""
    label, tags = row.label, text_of_tags(row.label.tags)
    sum = about_sum(row.number, row.at, label.name, label.description, tags, row.pinned)
    return row.number, row.at, label.name, label.description, tags, row.pinned, epoch, sum, str(row.path)


def _restore(connection: sqlite3.Connection, settled: int, seq: Seq, epoch: int, number: int, path: str) -> None:
    found = connection.execute(
        "SELECT kind, version, body FROM checkpoints WHERE number = ? AND path = ?", (number, path)
    ).fetchone()
    if found is None:
        raise CommitFailed("a checkpoint that it goes back to is not there: it was pruned, or never was one")
    refuse_damaged_checkpoint(connection, number, "the journal")
    kind, version, body = found
    connection.execute(
        "INSERT OR REPLACE INTO states (path, kind, version, body, settled, seq, epoch, checksum)"
        " VALUES (?,?,?,?,?,?,?,?)",
        (path, kind, version, body, settled, seq, epoch, checksum(path, kind, version, settled, seq, body)),
    )


def _order_matters(path: str) -> CommitFailed:
    return CommitFailed(f"{path}: what becomes of its checkpoints depends on the order of two commits")
