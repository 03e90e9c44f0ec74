"""What becomes of a command of another process: it is begun, done and answered once, whatever the disk takes."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Final

import trio
from attrs import evolve

from treewarden.agents.core.path import ROOT
from treewarden.agents.core.said import shown
from treewarden.agents.errors import CommitFailed, ConfigurationError, TreewardenError
from treewarden.supervisor.common import Common
from treewarden.supervisor.core.command import Command, parse_command
from treewarden.supervisor.core.event import CommandAnswered, Event
from treewarden.supervisor.journal.canonical import load
from treewarden.supervisor.journal.port import AnswerRow, CommandRow, Commit

from .running import Tree

__all__ = ["Answering"]

_LOG: Final = logging.getLogger("treewarden")

_ONCE: Final = frozenset({"tell", "ask", "signal", "perform", "roll_back", "run_now", "checkpoint"})
"""What is not the same when it is done twice. `tell` is one of these where the mailbox is in memory."""


class Answering:
    """One command, until its sender can read what became of it. What it comes to is for a subclass: `_do`."""

    def __init__(self, tree: Tree, common: Common, row: CommandRow) -> None:
        self._tree = tree
        self._common = common
        self._row = row
        self._begun = False
        """The file says so, and its sender cannot take it back any more."""
        self._command, self._fault = Command(what="unknown", path=ROOT), ""
        try:
            self._command = parse_command(load(row.body))
        except ValueError as error:
            self._fault = str(error)

    @property
    def is_message(self) -> bool:
        """It may have to wait for an agent, as long as its sender allows."""
        return self._command.what in ("tell", "ask")

    @property
    def kind(self) -> str:
        """What it is, for how many there may be at once: all messages are one, and the end of the tree is its own."""
        if self.is_message:
            return "message"
        return "end" if self._command.what == "stop" and self._command.path == ROOT else self._command.what

    async def carry_out(self) -> None:
        """Do it and answer; if the disk takes nothing now, when it does. One that its sender took back meanwhile is
        left alone."""
        while True:
            try:
                await self._try()
                return
            except CommitFailed as error:
                if not error.refuses_all:
                    return  # taken back: then nothing of it was done, and its sender sees no answer
            with suppress(CommitFailed):  # nothing is written any more
                if await self._common.outage.written(trio.current_time() + self._command.within):
                    continue
            return

    async def _try(self) -> None:
        """Do it and answer. Raises `CommitFailed` if it has not begun, and nobody was answered."""
        epoch = self._common.journal.opened.epoch
        try:
            if self._row.epoch != epoch and not self._row.begun:
                raise ConfigurationError(f"it was meant for the owner of epoch {self._row.epoch}, which has gone")
            if self._fault:
                raise ConfigurationError(self._fault)
            if self._row.begun:
                await self._answer(
                    "unknown", f"the owner of epoch {self._row.epoch} began it and did not end it. {self._look()}"
                )
                return
            with trio.move_on_after(self._command.within + self._command.beyond):
                await self._do()
                return
            await self._answer(False, f"it took longer than {self._command.within:g} s; what it began may go on")
        except CommitFailed as error:
            if self._begun:
                await self._answer(False, str(error))
            else:
                raise
        except TreewardenError as error:
            await self._answer(False, str(error))
        except trio.Cancelled:
            with suppress(CommitFailed):
                await self._answer(False, "the tree ended before it was done")
            raise
        except Exception as error:  # which nobody foresaw; the tree has work besides what it is asked for
            _LOG.exception("the command %s for %s failed", self._command.what, self._command.path)
            await self._answer("unknown", f"it failed where nobody foresaw it: {shown(error)}. {self._look()}")

    async def _begin(self) -> None:
        """From here on its sender cannot take it back, and nobody carries it out a second time."""
        await self._common.journal.commit(Commit(answers=(AnswerRow(self._row.id, "taken"),)))
        self._begun = True

    async def _do(self) -> None:
        """Carry it out and answer."""
        raise NotImplementedError

    def _look(self) -> str:
        """What to do about a command of which nobody knows whether it was carried out. It never is a second time."""
        again = "Ask for it again if you still want it: that does no harm"
        look = (
            f"Look whether it was done (`treewarden journal show FILE.db --path {self._command.path}`) before you ask"
        )
        return f"{look} for it again" if self._command.what in _ONCE else again

    async def _answer(self, applied: bool | str, text: str, reply: str | None = None) -> None:
        """Make the answer a fact: of what has begun, as soon as the disk takes it. A reply is for its asker, and no
        event. Raises `CommitFailed` if it is refused otherwise."""
        answer, event = self._answered(applied, text)
        if reply is not None:
            answer = evolve(answer, text=reply)
        commit = Commit(answers=(answer,), events=((self._common.clock.wall(), event),))
        with trio.CancelScope(shield=True):
            try:
                await self._common.journal.commit(commit)
            except CommitFailed as error:
                if not (self._begun and error.refuses_all):
                    raise
                self._common.outage.submit(commit)

    def _answered(self, applied: bool | str, text: str) -> tuple[AnswerRow, Event]:
        """`applied` is whether it was, or the state if that is neither."""
        command = self._command
        state = applied if isinstance(applied, str) else "applied" if applied else "refused"
        event = CommandAnswered(
            path=command.path,
            command=self._row.id,
            what=command.what,
            by=command.by,
            applied=applied is True,
            text=text,
        )
        return AnswerRow(self._row.id, state, text), event
