"""While the journal cannot commit: who waits, what is remembered meanwhile, and how its end is noticed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

import trio
from attrs import evolve

from treewarden.agents.core.path import Path
from treewarden.agents.errors import AgentStopped, CommitFailed, DeliveryError, DurabilityError
from treewarden.agents.ports import Clock
from treewarden.agents.slot import Slot

from .core.event import Event, JournalFailed, JournalRecovered
from .journal.port import Commit, Journal

if TYPE_CHECKING:
    from .registry import Registry
    from .replies import Replies
    from .timers import Timers

__all__ = ["Outage"]

_ROOM: Final = 10_000
"""Events that are remembered; what comes after them is only counted."""
_LOOK_EVERY: Final = 0.25
"""Seconds after which it is tried whether the journal works again."""
_WHY: Final = "the journal fails"
_WORKS: Final = "the journal works again, after %.3g s"
_LOG: Final = logging.getLogger("treewarden")


class Outage:
    """A disk that is full, or broken, or locked: no fault of any agent's, and perhaps over in a moment.

    Meanwhile agents of durability `message` get no new message, a `tell` to one waits, and decisions are executed from
    memory. What the tree itself wanted to write is appended when the journal works again, behind `JournalFailed` and
    before `JournalRecovered`, which says how much of it came late and how much was too much to remember.
    """

    def __init__(self, journal: Journal, clock: Clock, timers: Timers, registry: Registry, replies: Replies) -> None:
        self.since: float | None = None
        """Since when commits fail, in the clock of the loop; None while they do not."""
        self._why = ""
        self._journal = journal
        self._clock = clock
        self._timers = timers
        self._registry = registry
        self._replies = replies
        self._late: list[Commit] = []
        self._events = 0
        self._lost = 0
        self._over = trio.Event()
        self._ended = False
        self._waiting: set[trio.CancelScope] = set()

    def heard(self, error: BaseException | None) -> None:
        """A commit has ended, of whomever."""
        if self._ended:  # what was late is on its way, before the end of the tree
            return
        if error is None:
            if self.since is not None:
                self._end(self.since)
        elif self.since is None and isinstance(error, CommitFailed) and error.refuses_all:
            self._begin(error)

    def submit(self, commit: Commit, then: Callable[[], None] | None = None) -> None:
        """Append a commit of the tree's own: now, or when it can be. If it is refused for what it says, its events are
        appended without the rest. `then` is called when it has ended, or waits for the disk like everybody else."""
        if self.since is not None:
            self._remember(commit)
            if then is not None:
                then()
        else:
            self._journal.submit(commit, partial(self._submitted, commit, then))

    async def finish(self, commit: Commit) -> None:
        """The last commit, with what is late before it, and what lives have left that no other life came to keep. A
        disk that takes nothing even now is told of in the log, and to whoever waits for it."""
        self._ended = True
        for scope in self._waiting:
            scope.cancel()
        if self.since is not None:
            wall = self._clock.wall()
            self._remember(Commit(events=((wall, JournalRecovered(after=self._clock.now() - self.since)),)))
            for late in self._late:
                self._journal.submit(late, self._ignore)
        for slot in self._registry:
            if slot.store is not None and slot.store.owes is not None:
                owed, slot.store.owes = slot.store.owes, None
                try:
                    slot.store.settle(owed, partial(self._kept, slot))
                except Exception as error:  # of one that cannot be stored any more; the others can, and the end itself
                    self._kept(slot, error)
        try:
            await self._journal.commit(commit)
            if self.since is not None:
                _LOG.warning(_WORKS, self._clock.now() - self.since)
        except CommitFailed as error:
            if not error.refuses_all:
                raise
            _LOG.error("the end of the tree is not in the journal, and %d events before it: %s", self._events, error)

    def _kept(self, slot: Slot, error: BaseException | None) -> None:
        if error is not None:
            _LOG.error("%s: what it had settled since it was last kept is lost: %s", slot.path, error)

    def hold(self, slot: Slot) -> None:
        """Let this slot wait, too, if it has to."""
        if self.since is not None and slot.durable:
            slot.pause(_WHY)

    async def over(self) -> None:
        """Wait until the journal works. A checkpoint only if it does not."""
        while self.since is not None:
            await self._over.wait()

    async def over_by(self, deadline: float) -> bool:
        """As `over`, until `deadline` or the end of the tree at most; whether it works."""
        if self.since is not None and not self._ended:
            with trio.move_on_at(deadline) as scope:
                self._waiting.add(scope)
                try:
                    await self.over()
                finally:
                    self._waiting.remove(scope)
        return self.since is None

    async def written(self, deadline: float) -> bool:
        """Wait until what `submit` got before is on disk; False if that takes nothing, and has not until `deadline`.

        Raises `CommitFailed` if nothing is written any more. Cancelled while the disk takes nothing: that it is
        written later is not called off; cancelled on its way there: this waits for it.
        """
        while await self.over_by(deadline):
            before = self._over
            error = await self.behind()
            if error is None and self._over is before:
                return True  # or what was submitted has failed meanwhile, and was submitted again behind this
            if error is not None and not (isinstance(error, CommitFailed) and error.refuses_all):
                raise error
        return False

    async def behind(self) -> BaseException | None:
        """How a commit has ended that comes behind all that was submitted. Cancelled: this waits for it."""
        done = trio.Event()
        said: list[BaseException | None] = []

        def then(error: BaseException | None) -> None:
            self.heard(error)
            said.append(error)
            done.set()

        self._journal.submit(Commit(), then)
        with trio.CancelScope(shield=True):
            await done.wait()
        return said[0]

    def refusal(self, path: Path) -> DeliveryError:
        """What is said to whoever has waited for as long as it would, of a message to `path`."""
        if self._ended:
            text = f"{path}: the tree has ended while its journal could not commit, so the message was not sent"
            return AgentStopped(text, path=path)
        return DurabilityError(
            f"{path}: the journal cannot commit since {self._clock.now() - (self.since or 0):.3g} s, so the message was"
            f" not sent: {self._why}; see to that, or tell it again later",
            path=path,
            retry_safe=True,
        )

    def _submitted(self, commit: Commit, then: Callable[[], None] | None, error: BaseException | None) -> None:
        self.heard(error)
        if then is not None:
            then()
        if error is None:
            if not commit.quiet and commit.forget_replies:
                self._replies.forgotten(commit.forget_replies)
        elif self.since is not None:
            self._remember(commit)
        elif not commit.quiet and evolve(commit, events=()) != Commit():
            self.submit(Commit(events=commit.events))

    def _begin(self, error: CommitFailed) -> None:
        _LOG.warning("the journal cannot commit, so what must be kept waits: %s", error)
        self.since, self._why = self._clock.now(), str(error)
        self._over = trio.Event()
        wall = self._clock.wall()
        self._remember(Commit(events=((wall, JournalFailed(error=str(error), since=wall)),)))
        for slot in self._registry:
            self.hold(slot)
        self._look_later()

    def _end(self, since: float) -> None:
        after, wall = self._clock.now() - since, self._clock.wall()
        _LOG.warning(_WORKS, after)
        late, lost, count = self._late, self._lost, self._events
        self.since, self._late, self._lost, self._events = None, [], 0, 0
        for commit in late:
            self.submit(commit)
        told: Event = JournalRecovered(after=after, lost_events=lost, late_events=count)
        self.submit(Commit(events=((wall, told),)))
        for slot in self._registry:
            slot.resume(_WHY)
        self._over.set()

    def _remember(self, commit: Commit) -> None:
        """Rows are as many as there are messages, and are never dropped; events can be any number."""
        if self._events + len(commit.events) > _ROOM:
            self._lost += len(commit.events)
            if commit.quiet:
                return
            commit = evolve(commit, events=())
        self._events += len(commit.events)
        if commit.quiet or commit != Commit():
            self._late.append(commit)

    def _ignore(self, error: BaseException | None) -> None:
        """The commit behind it will say."""

    def _look_later(self) -> None:
        self._timers.at(self._clock.now() + _LOOK_EVERY, self._look)

    def _look(self) -> None:
        if self.since is not None:
            self._journal.submit(Commit(), self._looked)

    def _looked(self, error: BaseException | None) -> None:
        self.heard(error)
        if error is not None:
            self._look_later()
