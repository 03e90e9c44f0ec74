"""Leaving a command for the process that owns a journal, and waiting for what becomes of it."""

from __future__ import annotations

import math
import os
import pathlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Final, TypeVar, cast

import trio
from attrs import frozen

from treewarden.agents.errors import ConfigurationError, JournalError
from treewarden.agents.stopwatch import is_mocked

from ..core.command import Command
from .canonical import dump
from .holder import Fate, ProcessTable, ProcfsTable
from .reading import JournalFile
from .schema import NOW
from .seams import Connect, RunSync
from .taking import meta

__all__ = ["NobodyThere", "Outcome", "send"]

T = TypeVar("T")

_LOOK_EVERY: Final = 0.02
"""Seconds between two looks at whether there is an answer: nearly all come soon."""
_SOON: Final = 1.0
_LOOK_LATER: Final = 0.1
"""When it takes longer. In simulated time at once: there the owner looks every few seconds for what it is sent."""
_PATIENCE: Final = 2.0
"""Seconds to wait while another process writes."""
_RENEWS_WITHIN: Final = 5.0
"""Seconds in which an owner whose lease is over prolongs it if it runs, as after the machine has slept: a third of a
lease, and some more where it has much to do."""


@frozen
class Outcome:
    """What became of a command."""

    id: str
    state: str
    """`applied` or `refused`; `taken` if the owner has begun and not answered; `unknown` if it died over it, which the
    next owner says; `withdrawn` if it has not begun, and never will."""
    text: str
    duplicate: bool = False
    """It was there before: this is its answer, and nothing was done a second time."""


class _Silent(JournalError):
    """Its owner lives, and has let its lease run out."""


class NobodyThere(JournalError):
    """No process that would see a command owns the file, or another one than a moment ago: none was left there."""


async def send(
    file: str | os.PathLike[str],
    command: Command,
    id: str,
    *,
    within: float = 10.0,
    processes: ProcessTable | None = None,
    run_sync: RunSync = trio.to_thread.run_sync,
    connect: Connect = sqlite3.connect,
) -> Outcome:
    """Have the owner of `file` carry out `command`, under an id of the sender's: the same one counts once.

    Waits `within` seconds for the answer, or until the owner has closed the file; then the command is taken back,
    unless the owner has begun with it. Cancelled while it waits: likewise. An owner whose lease is over has as
    long, and five seconds at most, to prolong it before.

    Raises `ConfigurationError` for an id that is not one line of text and for fields that are no JSON, `NobodyThere`
    if nobody owns the file, `JournalError` if the owner is stopped, or the id belongs to another command.
    """
    if not id or not id.isprintable():
        raise ConfigurationError(f"the id of a command is {id!r}; give one line of text")
    try:
        body = dump(command.as_data())
    except (ValueError, TypeError, RecursionError) as error:
        raise ConfigurationError(f"the command {id} cannot be written as JSON: {error}") from error
    inbox = _Inbox(pathlib.Path(file), body, id, processes or ProcfsTable(), connect)
    silent_until = trio.current_time() + min(within, _RENEWS_WITHIN)
    while True:
        try:
            new = await run_sync(inbox.put)
            break
        except _Silent:
            if trio.current_time() >= silent_until:
                raise
        await trio.sleep(_LOOK_EVERY)
    found = None
    left = "", ""
    try:
        with trio.move_on_after(within):
            found = await _answer(inbox, run_sync)
    finally:
        if found is None:
            with trio.CancelScope(shield=True):
                left = await run_sync(inbox.take_back)
    state, text = found or left
    return Outcome(id, state, text, duplicate=not new)


async def _answer(inbox: _Inbox, run_sync: RunSync) -> tuple[str, str] | None:
    """None where nobody will give one."""
    soon = -math.inf if is_mocked(trio.lowlevel.current_clock()) else trio.current_time() + _SOON
    while True:
        found = await run_sync(inbox.look)
        if found is not None or inbox.closed:
            return found
        await trio.sleep(_LOOK_EVERY if trio.current_time() < soon else _LOOK_LATER)


class _InDoubt(JournalError):
    """A commit raised; whether it stands is in the file, and what it comes to then is here."""

    answer: object = None


class _Inbox:
    """The table of commands, for one of them. Every call blocks."""

    def __init__(self, file: pathlib.Path, body: str, id: str, processes: ProcessTable, connect: Connect) -> None:
        self._file = file
        self._body = body
        self._id = id
        self._processes = processes
        self._connect = connect
        self.closed = False
        """Its owner has closed the file, and nobody came after it: known after `look`."""

    def put(self) -> bool:
        """Leave it; False if it was there before."""
        epoch = self._owner()

        def put(connection: sqlite3.Connection) -> bool:
            found = connection.execute("SELECT body FROM commands WHERE id = ?", (self._id,)).fetchone()
            if found is not None:
                if found[0] != self._body:
                    raise JournalError(f"{self._file}: the id {self._id} belongs to another command; take a new one")
                return False
            current = meta(connection)
            if current is None or current[2] != epoch:
                raise NobodyThere(f"{self._file} has another owner since a moment ago: send it again")
            connection.execute(
                f"INSERT INTO commands VALUES (?, ?, {NOW}, 'waiting', '', ?)", (self._id, self._body, epoch)
            )
            return True

        try:
            return self._write(put)
        except _InDoubt as doubt:
            if self._stored() is None:
                raise
            return bool(doubt.answer)

    def look(self) -> tuple[str, str] | None:
        """Its answer, if there is one."""
        with JournalFile.open(self._file) as journal:
            holder = journal.holder()  # before the answer: it may give that and close
            found = journal.answer(self._id)
        self.closed = holder is not None and (holder.released or not holder.lease_until)  # 0: of a visitor, likewise
        return found if found is not None and found[0] in ("applied", "refused", "unknown") else None

    def take_back(self) -> tuple[str, str]:
        """Its answer; if there is none, nobody will begin with it any more."""

        def take_back(connection: sqlite3.Connection) -> tuple[str, str]:
            gone = connection.execute("DELETE FROM commands WHERE id = ? AND state = 'waiting'", (self._id,)).rowcount
            found = connection.execute("SELECT state, answer FROM commands WHERE id = ?", (self._id,)).fetchone()
            if gone or found is None:
                how = "closed the file before it began" if self.closed else "did not answer in time"
                return "withdrawn", f"its owner {how}, and nothing was done"
            state, text = found
            return state, text or f"its owner has begun with it, and did not say in time what came of it{self._fate()}"

        try:
            return self._write(take_back)
        except _InDoubt as doubt:
            stored = self._stored()
            if stored is not None and stored[0] == "waiting":
                raise
            return cast("tuple[str, str]", doubt.answer)

    def _stored(self) -> tuple[str, str] | None:
        """What the file says of it, whatever a commit of ours has raised."""
        with JournalFile.open(self._file) as journal:
            return journal.answer(self._id)

    def _fate(self) -> str:
        with JournalFile.open(self._file, processes=self._processes) as journal:
            holder = journal.holder()
        if holder is None or self._processes.fate(holder.process) is not Fate.GONE:
            return ""
        return "; it has died, and the next one will say so under the same id"

    def _owner(self) -> int:
        """The epoch of the process that will see the command. Raises `NobodyThere` if there is none, and `JournalError`
        if it is stopped."""
        with JournalFile.open(self._file, processes=self._processes) as journal:
            holder, now = journal.ownership()
            lives = (
                holder is not None
                and self._processes.fate(holder.process) is not Fate.GONE
                and not self._processes.has_left(holder.process, self._file)
            )
            if holder is not None and lives and not holder.released and holder.lease_until > now:
                return holder.epoch
            why = journal.describe_holder()
            if holder is not None and lives and not holder.released and holder.lease_until:
                raise _Silent(
                    f"nobody answers on {self._file} ({why}): if that process is stopped, let it go on, or end it; a "
                    "tree that is started on the file takes its place"
                )
        raise NobodyThere(f"nobody runs a tree on {self._file} ({why}): start it first")

    def _write(self, question: Callable[[sqlite3.Connection], T]) -> T:
        uri = f"{self._file.absolute().as_uri()}?mode=rw"
        answer, committing = None, False
        try:
            with (
                JournalFile.open(self._file),  # closed last: who may write takes the log of a dead owner along
                closing(self._connect(uri, uri=True, timeout=_PATIENCE, isolation_level=None)) as connection,
            ):
                connection.execute("PRAGMA synchronous = EXTRA")
                connection.execute("BEGIN IMMEDIATE")
                try:
                    answer = question(connection)
                    committing = True
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
                return answer
        except sqlite3.Error as error:
            failed = (_InDoubt if committing else JournalError)(
                f"{self._file}: the command {self._id} cannot be left there, or taken back: {error}"
            )
            if isinstance(failed, _InDoubt):
                failed.answer = answer
            raise failed from error
