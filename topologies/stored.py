"""What a running tree has on disk beside what its agents are at: effects, waits, dead letters, states, old events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from attrs import evolve

from treewarden.agents.core.message import MessageId
from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.common import Common
from treewarden.supervisor.core.checkpoint import Checkpoint
from treewarden.supervisor.journal.port import DeadRow, Survey

from .errors import checked_path, checked_text

if TYPE_CHECKING:
    from treewarden.agents.core.approval import Asked, Verdict
    from treewarden.supervisor.answering import OpenEffect, Said
    from treewarden.supervisor.core.diff import Change
    from treewarden.supervisor.open_waits import OpenWait
    from treewarden.supervisor.pruning import CutPlan, Pruning

__all__ = ["Stored"]

T = TypeVar("T")


class Stored:
    """The part of `Tree` that is about its journal."""

    def __init__(self, common: Common, cut: Callable[[], Awaitable[Pruning]]) -> None:
        self._common = common
        self._cut = cut

    async def effects(self, path: str = "/") -> tuple[OpenEffect, ...]:
        """The effects of agents at or below `path` that have begun and of which no result is known: those under way,
        and those in doubt. The oldest first. Raises `NoSuchSlot` for a path at which there is nothing."""
        from treewarden.supervisor.answering import open_effects

        subject = checked_path(path)
        return self._found(subject, await open_effects(self._common, subject))

    async def waits(self, path: str = "/") -> tuple[OpenWait, ...]:
        """What the handlers of agents at or below `path` wait for, with the messages that are parked for it, also of
        agents that have not lived in this process. In the order in which they began, all of one moment; others
        have turns while many are listed. What this code cannot read is among them, with the reason (`unread`).

        Raises `NoSuchSlot`.
        """
        from treewarden.supervisor.open_waits import open_waits_of

        subject = checked_path(path)
        return self._found(subject, await open_waits_of(self._common, subject))

    async def answer(self, path: str, said: Said, *, key: str = "", by: str = "operator") -> OpenEffect:
        """Say what came of an effect in doubt, that of this `key` if there are more: `Done(value)`; `NotDone()`: it
        runs again; or `GiveUp()`: its message becomes a dead letter. Whoever is held over it goes on.

        `value` is what its call returns, or the same as JSON. Raises `ConfigurationError` where no such effect is in
        doubt, its call still runs, or the value does not fit; `CommitFailed`. Then nothing has changed; but a message
        that waited here and is given up is given up all the same, and written when the disk takes it. Cancelled: it is
        answered all the same, but perhaps nobody goes on.
        """
        from treewarden.supervisor.answering import answer

        checked_text("by", by)
        return await answer(self._common, checked_path(path), said, key, by)

    async def rule(self, path: str, verdict: Verdict, *, key: str = "") -> Asked:
        """Say of an approval that is waited for `Approved(by=...)` or `Refused(by=...)`, of a question
        `Answered(by=..., value=...)` or `Refused(by=...)`; its handler goes on. Returns what was ruled about. `key` is
        that of what was shown (`waits`): to refuse it has to be given where there are more, else always.

        Raises `AlreadyRuled` where it has ended, by somebody else, its time or a later message; `ConfigurationError`
        where none such waits, or what was said cannot be, as an answer that is none of the choices; `CommitFailed`.
        Then nothing has changed. Cancelled: either nothing has changed, or it counts.
        """
        from treewarden.supervisor.ruling import rule

        return await rule(self._common, checked_path(path), verdict, key)

    async def dead_letters(self, path: str | None = None, limit: int = 100) -> tuple[DeadRow, ...]:
        """Messages that were given up, the newest first: those of a slot and of all below it, or of all.

        Stored are those of durable slots, with their body as JSON and the reason; of slots in memory only the event
        `DeadLettered` tells. What was put back (`replay`) is not among them. A slot may be gone by then, so one that
        there is not has none. Raises `ConfigurationError` for a limit below 1.
        """
        from treewarden.supervisor.calls import checked_limit

        of = None if path is None else checked_path(path)
        if self._common.leftovers is not None:
            await self._common.leftovers.gone()
        return tuple(await self._common.journal.dead_letters(of, checked_limit(limit)))

    async def replay(self, message: MessageId, *, within: float = 30.0) -> MessageId:
        """Put a dead letter back into its mailbox, behind what waits there as urgently, and return its new id.

        It is a new message, with its priority (normal, where a journal of before schema 4 has not kept it) and from the
        same sender, with all its deliveries before it. One transaction makes it durable and takes it out of the dead
        letters: it is never in both, and never in neither. Waits at most `within` seconds for room; nothing else has to
        make room for it.

        Of a pool or partitions that have become fewer, whoever its route or its key says of those that are left gets
        what waited for one that is no more.

        Raises `ReplayRefused` for an id that no dead letter has (any more) and for a slot that is gone, down for good,
        being drained, or keeps its mailbox in memory; `NotHandled` and `UnknownKind` where the agent as it is now
        cannot take it; `MailboxFull`; `CommitFailed`. Then it still is a dead letter. Cancelled while it waits for
        room: likewise; later: it was put back.
        """
        from treewarden.supervisor.replaying import replay

        checked_text("message", message)
        return await replay(self._common, message, within)

    async def checkpoint(
        self, path: str, *, name: str = "", description: str = "", tags: Iterable[str] = ()
    ) -> Checkpoint:
        """Keep the state of an agent as it last settled, and return what it is kept as. The agent goes on meanwhile.

        One with a name or a tag stays for good, unless the child's `retention` says otherwise; one without makes room
        for newer ones. Several may have one name: it means the newest. Cancelled: it is kept all the same.

        Raises `NoSuchSlot`, `CheckpointRefused` for an agent of which nothing has settled or that keeps its state in
        memory, `ConfigurationError` for a name or a tag that is not one line of text, `CommitFailed`.
        """
        from treewarden.supervisor.keeping import keep

        return await keep(self._common, checked_path(path), name, description, tags)

    async def checkpoints(
        self,
        path: str = "/",
        *,
        name: str | None = None,
        text: str = "",
        tags: Iterable[str] = (),
        since: float | None = None,
        until: float | None = None,
        limit: int = 20,
    ) -> tuple[Checkpoint, ...]:
        """What is kept of an agent, or of all agents below a supervisor, newest first.

        With a `name`, only those of exactly that one; `text` is somewhere in the name or the description; of several
        `tags` they have all; `since` and `until` are wall seconds. An agent may be gone by then, so one that there is
        not has none. Raises `ConfigurationError` for what cannot be looked for, and a limit below 1.
        """
        from treewarden.supervisor.keeping import search

        subject = checked_path(path)
        return await search(
            self._common, subject, name=name, text=text, tags=tags, since=since, until=until, limit=limit
        )

    def _found(self, path: Path, found: tuple[T, ...]) -> tuple[T, ...]:
        """Raises `NoSuchSlot` where nothing was found because there is no such slot, and none below that path."""
        common = self._common
        known = found or path == ROOT or common.registry.knows(path) or path in common.supervisors
        if not known and not any(each.is_within(path) for each in (*common.supervisors, *common.journal.opened.slots)):
            raise common.nowhere(path)
        return found

    async def diff(self, before: int, after: int | None = None) -> tuple[Change, ...]:
        """What differs between the states of two checkpoints, by number; `after` None is the agent's state as it last
        settled. Raises `CheckpointRefused` for a number that no checkpoint has (any more).

        Two states of 10 MB take some seconds of CPU time, in slices of milliseconds. Cancelled: heeded after a slice.
        """
        from treewarden.supervisor.keeping import difference

        return await difference(self._common, before, after)

    async def compact(self) -> Survey:
        """Give up large values that nothing holds any more, and give room back to the disk, while the tree runs.

        In steps of a few milliseconds between which commits go on. Returns what large values are left. Raises
        `JournalError` if the file does not answer. Cancelled: what was done stays done.
        """
        return await self._common.journal.compact()

    async def prune(
        self,
        *,
        last: int | None = None,
        within: float | None = None,
        past_checkpoints: bool = False,
        dry_run: bool = False,
        by: str = "operator",
    ) -> CutPlan:
        """Give up old events, but not the newest `last` and not those younger than `within` seconds (see
        `EventRetention`, which says what else stays), and return what went.

        The rest is proven as before. In short steps between which commits go on. With `dry_run` nothing is done.
        Cancelled: what was cut off stays so. Raises `ConfigurationError` for numbers that cannot be, and `JournalError`
        for events that cannot be read: then nothing was given up.
        """
        from treewarden.supervisor.core.retention import EventRetention

        try:
            retention = EventRetention(last=last, within=within, past_checkpoints=past_checkpoints)
        except ValueError as error:
            raise ConfigurationError(str(error)) from None
        checked_text("by", by)
        pruning = await self._cut()
        if dry_run:
            return evolve(await pruning.plan(retention), dry=True)
        return await pruning.prune(retention, by)
