"""Journals that are wrong, each in one way: an explorer that does not notice them proves nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from attrs import frozen

from treewarden.supervisor.core.chain import GENESIS

from .adapter import Connection, Rows
from .checks import Kind
from .images import Assumed, Names
from .lives import Foreseen
from .orders import orders
from .payments import payments
from .scribe import Workload, workloads
from .wrong import (
    EarlyEffect,
    EarlyRuling,
    EarlyWait,
    LateEnd,
    LateResult,
    LeftBehind,
    NoBeginning,
    NoExpiry,
    NoReply,
    NoResult,
)

__all__ = ["MUTANTS", "Mutant"]


@frozen(kw_only=True)
class Mutant:
    """One way of being wrong, and how it has to show."""

    name: str
    breaks: Kind
    connection: type[Connection] = Connection
    """What the real journal is connected through."""
    lies: Callable[[str], bool] | None = None
    """Which files the disk only says it has synced."""
    assumed: Assumed | None = None
    """Where it shows; None: on every disk."""
    journal: type[Foreseen] = Foreseen
    """What trees have for their journal."""
    cases: Callable[[int], Sequence[Workload]] = workloads
    """The workloads of a seed that show it."""


class _Normal(Connection):
    """Commits are not synced: the next copy of the log will."""

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        return super().execute(sql.replace("synchronous = EXTRA", "synchronous = NORMAL"), parameters)


class _ExtraLast(Connection):
    """The removal of the first journal is not synced."""

    _late = False

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        if "synchronous = EXTRA" in sql:
            self._late = True
            return super().execute("PRAGMA synchronous = FULL")
        rows = super().execute(sql, parameters)
        if self._late and "journal_mode = WAL" in sql:
            self._late = False
            super().execute("PRAGMA synchronous = EXTRA")
        return rows


class _EarlyAnswer(Connection):
    """A transaction is committed when the next statement comes, and its commits are answered before that."""

    @property
    def in_transaction(self) -> bool:
        return not self._shared.owed and super().in_transaction

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        if sql == "COMMIT":
            self._shared.owed = True
            return Rows([], 0)
        self._pay()
        return super().execute(sql, parameters)

    def close(self) -> None:
        self._pay()
        super().close()

    def _pay(self) -> None:
        if self._shared.owed:
            self._shared.owed = False
            super().execute("COMMIT")


class _Split(Connection):
    """Before the statement that begins like this, the transaction is committed, and another one begins."""

    begin: str = ""

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        if sql.startswith(self.begin):
            super().execute("COMMIT")
            super().execute("BEGIN IMMEDIATE")
        return super().execute(sql, parameters)


class _LateAcknowledgement(_Split):
    """State in one transaction, acknowledgement in the next: the message may be handled twice."""

    begin = "DELETE FROM mailbox"


class _LateState(_Split):
    """Outgoing messages in one transaction, state in the next."""

    begin = "INSERT INTO states"


class _LateEvents(_Split):
    """The head of the chain in one transaction, its events in the next."""

    begin = "INSERT INTO events"


class _LateAnswer(Connection):
    """What a command has asked for in one transaction, its answer in the next: it may be carried out twice."""

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> Rows:
        if sql.startswith("UPDATE commands"):
            self.execute("COMMIT")
            self.execute("BEGIN IMMEDIATE")
        return super().executemany(sql, rows)


class _NoLarge(Connection):
    """Rows name their large values, which nobody has written."""

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> Rows:
        return Rows([], 0) if sql.startswith("INSERT INTO chunks") else super().executemany(sql, rows)


class _PrunesNamed(Connection):
    """What has a name goes when its time comes, as what has none."""

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        return super().execute(sql.replace(" AND NOT old.pinned", ""), parameters)


class _LateHead(Connection):
    """With each transaction goes the hash of the one before it."""

    _hash: bytes = GENESIS

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        if sql.startswith("UPDATE meta SET seq"):
            seq, self._hash, *rest = (parameters[0], parameters[1], self._hash, *parameters[2:])
            parameters = (seq, *rest)
        return super().execute(sql, parameters)


class _NoFence(Connection):
    """Whoever had the file once may write."""

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        return super().execute(sql.replace("WHERE epoch = ? AND commits = ?", "WHERE ? > 0 AND ? >= 0"), parameters)


class _NoSeal(Connection):
    """What a transaction whose sync failed has left in the log stays there until the next one writes over it."""

    _late: tuple[str, Sequence[Any]] | None = None

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        if sql.startswith("UPDATE meta SET commits"):
            self._late = sql, parameters
            return Rows([], 1)
        rows = super().execute(sql, parameters)
        if sql.startswith("BEGIN") and self._late is not None:
            late, self._late = self._late, None
            super().execute(*late)
        return rows


class _NoRollback(Connection):
    """What was written of a refused transaction stays, and goes with the next."""

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        if sql == "ROLLBACK":
            sql = "COMMIT"
        return super().execute(sql, parameters)


def _about_everything(name: str) -> bool:
    return True


def _about_the_file(name: str) -> bool:
    return name.endswith(".db")


MUTANTS: Final = (
    Mutant(name="synchronous NORMAL", breaks=Kind.LOST, connection=_Normal),
    Mutant(name="acknowledged before the commit", breaks=Kind.LOST, connection=_EarlyAnswer),
    Mutant(name="a disk whose syncs lie", breaks=Kind.LOST, lies=_about_everything),
    Mutant(name="a copied log whose file was not synced", breaks=Kind.LOST, lies=_about_the_file),
    Mutant(name="state and acknowledgement in two transactions", breaks=Kind.TORN, connection=_LateAcknowledgement),
    Mutant(name="outgoing messages and state in two transactions", breaks=Kind.TORN, connection=_LateState),
    Mutant(name="head and events in two transactions", breaks=Kind.TORN, connection=_LateEvents),
    Mutant(
        name="a command and its answer in two transactions",
        breaks=Kind.TORN,
        connection=_LateAnswer,
        cases=lambda seed: [each for each in workloads(seed) if each.name == "asked"],
    ),
    Mutant(name="large values that are not kept", breaks=Kind.LOST, connection=_NoLarge),
    Mutant(name="checkpoints with a name that are pruned", breaks=Kind.EXTRA, connection=_PrunesNamed),
    Mutant(name="a head that is one transaction late", breaks=Kind.CHAIN, connection=_LateHead),
    Mutant(name="no check of the epoch", breaks=Kind.EXTRA, connection=_NoFence),
    Mutant(name="a refused transaction that is not rolled back", breaks=Kind.EXTRA, connection=_NoRollback),
    Mutant(name="a failed sync that may still be found", breaks=Kind.EXTRA, connection=_NoSeal),
    Mutant(name="EXTRA after WAL", breaks=Kind.LOST, connection=_ExtraLast, assumed=Assumed(Names.OWN)),
    Mutant(
        name="an effect that runs before its beginning is kept",
        breaks=Kind.EFFECT,
        journal=EarlyEffect,
        cases=payments,
    ),
    Mutant(name="an effect whose beginning is not kept", breaks=Kind.EFFECT, journal=NoBeginning, cases=payments),
    Mutant(name="a result that is kept behind its settle", breaks=Kind.EFFECT, journal=LateResult, cases=payments),
    Mutant(name="a result that is not kept", breaks=Kind.EFFECT, journal=NoResult, cases=payments),
    Mutant(name="a reply of somebody who acted that is not kept", breaks=Kind.EFFECT, journal=NoReply, cases=payments),
    Mutant(name="a handler unwound before its wait is kept", breaks=Kind.WAIT, journal=EarlyWait, cases=orders),
    Mutant(name="an event and the wait it ends in two transactions", breaks=Kind.WAIT, journal=LateEnd, cases=orders),
    Mutant(name="a ruling acknowledged before it is kept", breaks=Kind.WAIT, journal=EarlyRuling, cases=orders),
    Mutant(name="a time that has passed and is not kept", breaks=Kind.WAIT, journal=NoExpiry, cases=orders),
    Mutant(name="waits that are not forgotten with their settle", breaks=Kind.EFFECT, journal=LeftBehind, cases=orders),
)
