"""The one writer of a file: a thread takes what is queued to the disk, a batch at a time; the loop is told at once."""

from __future__ import annotations

import math
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import Any, Final, TypeAlias, cast

import trio
from attrs import field
from outcome import Outcome

from treewarden.agents.core.values import define
from treewarden.agents.errors import CommitFailed, JournalError
from treewarden.agents.ports import Clock
from treewarden.agents.waiting import Level
from treewarden.agents.wake import WAKE

from .batch import Written
from .bell import Bell
from .commit import Commit, follows, works_of
from .give_way import GiveWay, breaks_of_this_loop
from .owned import OwnedFile, nothing
from .port import START, Seq
from .recent import Recent
from .seams import RunSync, begin_in_thread, in_thread

__all__ = ["Pending", "Question", "Then", "Writer"]

Then: TypeAlias = Callable[[BaseException | None], None]

_BATCH: Final = 128
"""Commits to one transaction: so many are answered at once, and everybody whom they wake runs before anybody else does.

More would cost the loop more than it would save the disk."""


_NEVER: Final = 1e8
"""Seconds, three years, for which nobody sets an alarm, as the lease of a simulated tree: it would cost a turn."""
_LOOK_EVERY: Final = 0.25
"""Seconds between two looks at whether the file is where it was: each costs the thread the interpreter a few times."""


@define(eq=False)
class Pending:
    """A commit that is queued, and who is to be told."""

    commit: Commit
    then: Then
    head: Seq = START


@define(eq=False)
class Question:
    """A read that is queued: it sees the commits before it, and none behind it."""

    ask: Callable[[sqlite3.Connection], Any]
    answered: trio.Event = field(factory=trio.Event)
    answer: Any = None
    error: BaseException | None = None


def _locked() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@define(eq=False)
class _Batch:
    """What goes to the disk together."""

    pending: list[Pending]
    questions: list[Question]
    renew: bool
    look: bool
    _free: list[None] = field(factory=lambda: [None])
    """What is in it is popped by whoever claims it: only one of two threads can."""
    busy: threading.Lock = field(factory=_locked)
    """Locked until it has only the disk to wait for, or is over."""

    def claim(self) -> bool:
        """Take it, to begin with it or so that nobody does; False if somebody has it."""
        try:
            self._free.pop()
        except IndexError:
            return False
        return True

    def work(self, file: OwnedFile) -> Written:
        """Blocks; in the writer's thread. Does nothing where it was claimed before."""
        if not self.claim():
            return Written()
        file.ready = self._ready
        try:
            commits = [item.commit for item in self.pending]
            written = file.write(commits, self.renew, self.look) if commits or self.renew else Written()
            for question in self.questions:
                try:
                    question.answer = file.read(question.ask)
                except Exception as error:
                    question.error = error
        finally:
            file.ready = nothing
            self._ready()
        return written

    def _ready(self) -> None:
        with suppress(RuntimeError):  # it was before
            self.busy.release()


class Writer:
    """One batch is on its way at a time; what is queued meanwhile is the next one. Nothing waits for company, except
    that what comes in the same round of the loop goes together, where more than one came the last time.

    With `in_thread` it is answered as soon as the thread reports, and not when it is some task's turn: in a busy loop
    a turn comes after everybody else's.
    """

    def __init__(
        self,
        file: OwnedFile,
        name: str,
        *,
        clock: Clock,
        run_sync: RunSync,
        lease: float,
        recent: Recent,
        level: Level,
        lost: Callable[[], object],
        rest: Callable[[float], object],
    ) -> None:
        """`lost` is called when this process may not write any more; `rest` is what a loop that gives way does."""
        self._file = file
        self._name = name
        self._clock = clock
        self._run_sync = run_sync
        self._lease = lease
        self._recent = recent
        self._level = level
        self._queue: deque[Pending | Question] = deque()
        self._renew_at = clock.now() + lease / 3
        self._look_at = -math.inf
        self._closing = False
        self.ended = False
        self._lost = lost
        self._token = trio.lowlevel.current_trio_token()
        self._task: trio.lowlevel.Task | None = None
        self._parked: trio.lowlevel.Task | None = None
        """Its task, while that has nothing to do."""
        self._away: _Batch | None = None
        """What is on its way to the disk."""
        self._give_way = GiveWay(clock.now, rest, breaks_of_this_loop(), self._raised)
        self._failed: BaseException | None = None
        """What somebody raised who was told an answer."""
        self._lone = False
        """The last transaction was of one commit: whoever sent it waits for the answer before it sends another."""
        self.bell = Bell.made() if run_sync is in_thread else None
        """By which the thread is heard, where there are such; somebody has to `listen`."""

    @trio.lowlevel.enable_ki_protection
    def commit(self, pending: Pending) -> None:
        """Queue a commit. After the end it is told so, as soon as the loop comes to that."""
        if self.ended:
            self._token.run_sync_soon(pending.then, self._closed())
        else:
            self._queue.append(pending)
            self._wake()

    @trio.lowlevel.enable_ki_protection
    def ask(self, question: Question) -> None:
        """Queue a question; not after the end."""
        self._queue.append(question)
        self._wake()

    def close(self) -> None:
        """End when the queue is empty."""
        self._closing = True
        self._rouse()

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        """Write what is queued, answer, and keep the lease, until it is closed. Cancellation has to wait for that."""
        self._task = trio.lowlevel.current_task()
        if self._run_sync is in_thread:
            trio.lowlevel.add_instrument(self._give_way)
        try:
            with trio.CancelScope(shield=True):
                try:
                    while self._away is not None or self._queue or not self._closing:
                        await self._turn()
                except BaseException:
                    self._closing = True
                    while self._away is not None:  # its thread has the connection, which is closed behind this
                        await self._park()
                    raise
        finally:
            self.ended = True
            if self.bell is not None:
                self.bell.close()
            try:
                self._give_up()
            finally:
                if self._run_sync is in_thread:
                    with suppress(KeyError):  # trio drops one before whose first line a signal's handler raised
                        trio.lowlevel.remove_instrument(self._give_way)

    def _raised(self, error: BaseException) -> None:
        """A signal's handler has raised while the loop was paused: it ends as when that happens between two tasks."""

        def again() -> None:
            raise error

        self._token.run_sync_soon(again)

    async def _turn(self) -> None:
        """Send what there is to send; then wait for more, for the end, or for the lease."""
        if self._failed is not None:
            raise self._failed
        if self._away is None:
            batch = self._next()
            if batch is not None and self._run_sync is not in_thread:
                self._answer(batch, await self._run_sync(batch.work, self._file))
                return
            if batch is not None:
                self._send(batch)
            elif self._closing:
                return
        # While a batch is away, the one after it renews if it is time; here that is looked at now and then.
        due = self._renew_at if self._away is None else max(self._renew_at, self._clock.now() + self._lease / 30)
        if due > self._clock.now() + _NEVER:
            await self._park()
            return
        with trio.move_on_at(due):
            await self._park()

    async def _park(self) -> None:
        self._parked = self._task
        await trio.lowlevel.wait_task_rescheduled(self._unpark)

    def _unpark(self, _: object) -> trio.lowlevel.Abort:
        self._parked = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _wake(self) -> None:
        """Something was queued."""
        if self._away is None and self._parked is not None:
            if self._lone and self._run_sync is in_thread:
                self._send_next()
            else:
                self._rouse()

    def _rouse(self) -> None:
        parked, self._parked = self._parked, None
        if parked is not None:
            trio.lowlevel.reschedule(parked, WAKE)

    def _send_next(self) -> None:
        batch = self._next()
        if batch is not None:
            self._send(batch)

    def _send(self, batch: _Batch) -> None:
        self._away = batch
        file = self._file
        try:
            self._give_way.begin(partial(batch.busy.acquire, True), len(batch.pending))
            begin_in_thread(lambda: batch.work(file), partial(self._back, batch), self.bell)
        except BaseException:  # of a signal's handler: nobody knows whether the thread has been told
            if batch.claim():
                self._give_way.end()
                self._away = None
                self._queue.extendleft(reversed([*batch.pending, *batch.questions]))
                self._rouse()
            raise

    def _back(self, batch: _Batch, result: Outcome[Written]) -> None:
        """The thread has reported: in the loop, between two tasks, in the name of the writer's."""
        assert self._task is not None
        if batch is not self._away:  # that is known already
            return
        try:
            self._task.context.run(self._answer_and_go_on, batch, result)
        except BaseException as error:
            self._failed = error
            self._rouse()

    def _answer_and_go_on(self, batch: _Batch, result: Outcome[Written]) -> None:
        self._give_way.end()
        self._lone = len(batch.pending) <= 1
        try:
            self._answer(batch, result.unwrap())
        finally:
            self._away = (
                None  # not before: what is submitted by who is told now would be sent, and then the next one too
            )
        self._send_next()
        if self._away is None and self._closing:
            self._rouse()

    def _next(self) -> _Batch | None:
        """What goes to the disk next: commits, then the questions right behind them."""
        now, queue = self._clock.now(), self._queue
        renew = now >= self._renew_at
        if not queue and not renew:
            return None
        pending: list[Pending] = []
        questions: list[Question] = []
        if len(queue) <= _BATCH and Question not in map(type, queue):
            pending = cast("list[Pending]", list(queue))
            queue.clear()
        while queue and len(pending) < _BATCH:
            item = queue[0]
            if isinstance(item, Question):
                questions.append(item)
            elif questions:
                break
            else:
                pending.append(item)
            queue.popleft()
        look = now >= self._look_at and bool(pending or renew)
        if look:
            self._look_at = now + _LOOK_EVERY
        return _Batch(pending, questions, renew, look)

    def _answer(self, batch: _Batch, written: Written) -> None:
        if batch.renew:
            self._renew_at = self._clock.now() + self._lease / (3 if written.renewed else 30)
        if self._file.lost is not None:
            self._renew_at = math.inf
            self._lost()
        if written.events:
            self._recent.extend(written.events)
            self._level.rise(self._recent.head)
        fallen = self._fallen(written) if written.fallen or written.for_all else ()
        fell: list[tuple[Pending, JournalError]] = []
        refused = [each for each in written.outcomes if isinstance(each, JournalError)] if written.for_all else []
        for item in fallen:
            error = CommitFailed(str(refused[-1])) if refused else follows(self._name)
            error.refuses_all = written.for_all
            fell.append((item, error))
        _tell(chain(zip(batch.pending, written.outcomes, strict=True), fell), iter(batch.questions))

    def _fallen(self, written: Written) -> list[Pending]:
        """Take out of the queue what rests on a commit that was not kept. Nobody was told of that yet."""
        fallen: list[Pending] = []
        left: deque[Pending | Question] = deque()
        for item in self._queue:
            if isinstance(item, Pending) and (written.for_all or not written.fallen.isdisjoint(works_of(item.commit))):
                written.fallen |= works_of(item.commit)
                fallen.append(item)
            else:
                left.append(item)
        self._queue = left
        return fallen

    def _give_up(self) -> None:
        """Nobody is left waiting for a writer that has ended; in order, it has left nothing."""
        while self._queue:
            item = self._queue.popleft()
            if isinstance(item, Pending):
                item.then(self._closed())
            else:
                item.error = self._closed()
                item.answered.set()

    def _closed(self) -> CommitFailed:
        return CommitFailed(f"{self._name} is closed: nothing of it was kept")


def _tell(answers: Iterator[tuple[Pending, int | JournalError]], questions: Iterator[Question]) -> None:
    """Answer all of these, also if one raises who is told, or a signal's handler does meanwhile: what was raised first
    comes out when the others know. Not promised: that whoever was just being told does."""
    raised: BaseException | None = None
    while True:
        try:
            for item, outcome in answers:
                if isinstance(outcome, int):
                    item.head = outcome
                    item.then(None)
                else:
                    item.then(outcome)
            for question in questions:
                question.answered.set()
            break
        except BaseException as error:
            if raised is None:
                raised = error
    if raised is not None:
        raise raised
