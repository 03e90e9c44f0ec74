"""The journal in memory: the same contract without a disk, for volatile trees and tests. It dies with its process."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, Final, TypeAlias

import trio
from attrs import define, evolve, field

from treewarden.agents.core.message import MessageId
from treewarden.agents.core.path import Path
from treewarden.agents.core.said import is_count, shown
from treewarden.agents.errors import CommitFailed, ConfigurationError, JournalError, JournalOwned

from ..core.checkpoint import EVERYTHING, Checkpoint, Search
from ..core.event import EventsPruned
from .asking import QUESTIONS, unanswered
from .commit import (
    CheckpointRow,
    Commit,
    DeadRow,
    KeepRow,
    MessageRow,
    PruneRow,
    ReplyRow,
    StateRow,
    follows,
    works_of,
)
from .port import CODE, START, CommandRow, Kept, Lessons, Opened, Record, Recovered, Seq, Survey
from .quiet import Quiet
from .told import Told

__all__ = ["MemoryJournal"]

Then: TypeAlias = Callable[[BaseException | None], None]

_DEAD_LETTERS: Final = 1000


@define
class _Slot:
    """What is held for one path."""

    state: StateRow | None = None
    state_seq: Seq | None = None
    messages: dict[int, MessageRow] = field(factory=dict[int, MessageRow])
    timers: dict[str, float] = field(factory=dict[str, float])


class MemoryJournal:
    """A `Journal` that encodes nothing, hashes nothing and starts no task.

    It can be entered again after it was left, in the same process: that is its next owner, with the next epoch. The
    last `events` events and 1,000 dead letters are kept; `read` begins at the oldest that is.
    """

    def __init__(self, *, events: int = 10_000, new_tree: Callable[[], str] = lambda: secrets.token_hex(4)) -> None:
        if not is_count(events):
            raise ConfigurationError(f"events is {shown(events)}; it must be a whole number, 1 or more")
        self._tree = new_tree()
        self._slots: dict[Path, _Slot] = {}
        self._boxes: dict[int, Path] = {}
        """The slot of each message that waits."""
        self._checkpoints: dict[int, Kept] = {}
        self._numbers: dict[Path, set[int]] = {}
        """Of the checkpoints of each slot."""
        self._replies: dict[str, dict[str, ReplyRow]] = {}
        """By the message that the chain of asks began with, and their ids."""
        self._told = Told(events)
        self._dead: deque[DeadRow] = deque(maxlen=_DEAD_LETTERS)
        self._last_row = 0
        self._epoch = 0
        self._opened: Opened | None = None
        self._entered = False
        self._token: trio.lowlevel.TrioToken | None = None
        self._answers: list[tuple[Then, BaseException | None]] = []
        self._fallen: set[Path] = set()
        """Slots of which a commit failed and whose callers have not been told yet."""

    @property
    def opened(self) -> Opened:
        if self._opened is None:
            raise JournalError("the journal in memory is not open: use it inside its `async with`")
        return self._opened

    @property
    def head(self) -> Seq:
        return self._told.head

    async def __aenter__(self) -> MemoryJournal:
        if self._entered:
            raise JournalOwned(f"the journal in memory is owned by this process (epoch {self._epoch}): leave it first")
        await trio.lowlevel.checkpoint()
        self._token = trio.lowlevel.current_trio_token()
        self._epoch += 1
        self._told.begin_epoch()
        asking, in_vain = self._kept_for()
        self._opened = Opened(
            epoch=self._epoch,
            holder="memory",
            head=self._told.head,
            last_row=self._last_row,
            after_crash=False,
            slots=frozenset(
                path for path, slot in self._slots.items() if slot.state is not None or slot.messages or slot.timers
            )
            | {reply.path for chain in self._replies.values() for reply in chain.values()},
            tree=self._tree,
            kept_for=asking,
            kept_in_vain=in_vain,
        )
        self._entered = True
        return self

    def _kept_for(self) -> tuple[frozenset[MessageId], tuple[str, ...]]:
        if not self._replies:
            return frozenset(), ()
        from .kept_for import in_doubt, sorted_out

        kept = [(row.id, row.kind) for chain in self._replies.values() for row in chain.values()]
        waiting = {row.id for slot in self._slots.values() for row in slot.messages.values()}
        return sorted_out(in_doubt(kept), waiting.intersection, self._tree)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._answer()
        self._entered = False

    def submit(self, commit: Commit, then: Then) -> None:
        if type(commit) is Quiet and self._entered:  # nothing keeps facts alone from being appended
            account = commit.account
            self._told.append(commit.events if account is None else (commit,) * account.count)
            return
        try:
            self._apply(commit)
        except CommitFailed as error:
            self._fallen |= works_of(commit)
            self._tell(then, error)
        else:
            if not commit.quiet:
                self._tell(then, None)

    async def commit(self, commit: Commit) -> Seq:
        self._apply(commit)
        head = self._told.head
        await trio.lowlevel.checkpoint()
        return head

    async def recover(self, path: Path) -> Recovered:
        await trio.lowlevel.checkpoint()
        return self.at_hand(path)

    def expecting(self, paths: Sequence[Path]) -> AbstractContextManager[None]:
        return nullcontext()

    def at_hand(self, path: Path) -> Recovered:
        slot = self._slots.get(path) or _Slot()
        return Recovered(
            state=slot.state,
            state_seq=slot.state_seq,
            messages=tuple(sorted(slot.messages.values(), key=lambda row: (row.priority, row.row))),
            timers=dict(slot.timers),
            replies=tuple(sorted(self._replies_of(path), key=lambda reply: reply.id)),
        )

    def _replies_of(self, path: Path) -> list[ReplyRow]:
        return [reply for chain in self._replies.values() for reply in chain.values() if reply.path == path]

    async def checkpoints(self, path: Path, limit: int = 20, search: Search = EVERYTHING) -> Sequence[Checkpoint]:
        await trio.lowlevel.checkpoint()
        found = [kept.about for _, kept in sorted(self._checkpoints.items(), reverse=True)]
        return [each for each in found if each.path.is_within(path) and search.finds(each)][:limit]

    async def checkpoint(self, number: int) -> Kept | None:
        await trio.lowlevel.checkpoint()
        return self._checkpoints.get(number)

    async def read(
        self, after: Seq = START, limit: int = 500, kinds: Collection[str] | None = None
    ) -> Sequence[Record]:
        await trio.lowlevel.checkpoint()
        return self._told.read(after, limit, kinds)

    async def read_all(self, after: Seq, through: Seq, path: Path, kind: str) -> Sequence[Record]:
        found = await self.read(after, through, {kind})
        return [record for record in found if record.seq <= through and getattr(record.event, "path", None) == path]

    async def labels(self) -> Sequence[Record]:
        await trio.lowlevel.checkpoint()
        return self._told.labels()

    async def questions(self) -> Sequence[Record]:
        return unanswered(await self.read(limit=self._told.head, kinds=QUESTIONS))

    async def cut(self) -> Record | None:
        await trio.lowlevel.checkpoint()
        return self._told.cut()

    async def lessons(self, last: int, kinds: Collection[str]) -> Lessons:
        cut, after, through = await self.cut(), max(START, self._told.head - last), START
        if cut is not None and isinstance(cut.event, EventsPruned):
            through = cut.event.through
        code = [each for each in await self.read(limit=self._told.head, kinds=CODE) if through < each.seq <= after]
        lately = await self.read(max(after, through), last, kinds)
        return Lessons(cut, lately, await self.labels(), await self.questions(), tuple(code[-1:]))

    async def trim(self) -> None:
        await trio.lowlevel.checkpoint()
        self._told.trim()

    async def wait_beyond(self, seq: Seq) -> Seq:
        return await self._told.level.wait_beyond(seq)

    async def dead_letters(self, path: Path | None = None, limit: int = 100) -> Sequence[DeadRow]:
        await trio.lowlevel.checkpoint()
        return [row for row in reversed(self._dead) if path is None or row.path.is_within(path)][:limit]

    async def blobs(self) -> Survey:
        await trio.lowlevel.checkpoint()
        return Survey()

    async def compact(self) -> Survey:
        await trio.lowlevel.checkpoint()
        return Survey()

    async def dead_letter(self, message: MessageId) -> DeadRow | None:
        await trio.lowlevel.checkpoint()
        return next((row for row in self._dead if row.id == message), None)

    async def commands(self) -> Sequence[CommandRow]:
        await trio.sleep_forever()  # no other process sees this journal
        raise AssertionError("nothing wakes it but cancellation")

    def _tell(self, then: Then, error: BaseException | None) -> None:
        """As a disk does: after `submit` has returned, in order."""
        self._answers.append((then, error))
        if len(self._answers) == 1:
            assert self._token is not None
            self._token.run_sync_soon(self._answer)

    def _answer(self) -> None:
        answers, self._answers = self._answers, []
        self._fallen.clear()
        for then, error in answers:
            then(error)

    def _apply(self, commit: Commit) -> None:
        """All of it, or `CommitFailed` and nothing. What may fail is looked at before anything changes."""
        if not self._entered:
            raise CommitFailed("the journal in memory is closed: nothing of it was kept")
        if commit.quiet:
            self._told.append(commit.events)
            return
        if self._fallen and not self._fallen.isdisjoint(works_of(commit)):
            raise follows("the journal in memory")
        ended = [*commit.acked, *(dead.row for dead in commit.dead if dead.row is not None)]
        coming = [row.row for row in commit.accepted]
        if ended and (len(set(ended)) < len(ended) or not set(ended) <= self._boxes.keys() | coming):
            raise CommitFailed("a message that it ends does not wait any more: it was handled or given up before")
        if coming and (len(set(coming)) < len(coming) or not self._boxes.keys().isdisjoint(coming)):
            raise CommitFailed("the number of a message that it accepts is taken")
        if commit.revived:
            given_up = {row.id for row in (*self._dead, *commit.dead)}
            if len(set(commit.revived)) < len(commit.revived) or not given_up.issuperset(commit.revived):
                raise CommitFailed("a dead letter that it puts back is none: it was put back before, or never was one")
        self._check_checkpoints(commit)
        commit = _in_full(commit)
        self._told.append(commit.events)
        for path in commit.forget:
            slot = self._slots.pop(path, None)
            if slot is not None and slot.messages:
                self._slots[path] = _Slot(messages=slot.messages)
            for number in self._numbers.pop(path, ()):
                del self._checkpoints[number]
        for keep in commit.keeps:
            held = self._slots[keep.path]
            assert held.state is not None
            self._keep(keep, held.state, held.state_seq or START)
        for kept in commit.checkpoints:
            self._keep(kept, StateRow(kept.path, kept.kind, kept.body, kept.version, kept.settled), self._told.head)
        for state in commit.states:
            slot = self._slot(state.path)
            slot.state, slot.state_seq = state, self._told.head
        for back in commit.restores:
            slot = self._slot(back.path)
            slot.state = evolve(self._checkpoints[back.number].state, settled=back.settled)
            slot.state_seq = self._told.head
        for prune in commit.prunes:
            self._prune(prune)
        for row in commit.accepted:
            self._slot(row.path).messages[row.row] = row
            self._boxes[row.row] = row.path
            self._last_row = max(self._last_row, row.row)
        for back in commit.returned:
            self._change(back.row, deliveries=back.deliveries, deaths=back.deaths, not_before=back.not_before)
        self._dead.extend([self._as_stored(row) for row in commit.dead])
        for number in ended:
            del self._slots[self._boxes.pop(number)].messages[number]
        self._last_row = max(self._last_row, commit.last_row)
        for row in [row for row in self._dead if row.id in commit.revived] if commit.revived else ():
            self._dead.remove(row)
        for reply in commit.replies:
            self._replies.setdefault(_root(reply.id), {}).setdefault(reply.id, reply)
        for prefix in commit.forget_replies:
            chain = self._replies.get(_root(prefix), {})
            for id in [id for id in chain if id.startswith(prefix)]:
                del chain[id]
            if not chain:
                self._replies.pop(_root(prefix), None)
        for timer in commit.timers:
            self._slot(timer.path).timers[timer.name] = timer.at

    def _as_stored(self, dead: DeadRow) -> DeadRow:
        if not dead.as_stored or dead.row is None:
            return dead
        row = self._slots[self._boxes[dead.row]].messages[dead.row]
        return evolve(dead, kind=row.kind, version=row.version, body=row.body, as_stored=False)

    def _slot(self, path: Path) -> _Slot:
        slot = self._slots.get(path)
        if slot is None:
            slot = self._slots[path] = _Slot()
        return slot

    def _change(self, row: int, *, deliveries: int, deaths: int, not_before: float | None) -> None:
        path = self._boxes.get(row)
        if path is not None:
            messages = self._slots[path].messages
            messages[row] = evolve(messages[row], deliveries=deliveries, deaths=deaths, not_before=not_before)

    def _check_checkpoints(self, commit: Commit) -> None:
        """Raise `CommitFailed` for what it keeps or restores and cannot."""
        new = [row.number for row in (*commit.checkpoints, *commit.keeps)]
        gone = {number for path in commit.forget for number in self._numbers.get(path, ())}
        if len(set(new)) < len(new) or any(number in self._checkpoints and number not in gone for number in new):
            raise CommitFailed("the number of a checkpoint that it keeps is taken")
        for keep in commit.keeps:
            slot = self._slots.get(keep.path)
            if slot is None or slot.state is None or keep.path in commit.forget:
                raise CommitFailed("a slot whose state it keeps has none: nothing of it was ever settled")
        coming = {row.number: row.path for row in (*commit.checkpoints, *commit.keeps)}
        for back in commit.restores:
            kept = self._checkpoints.get(back.number)
            path = coming.get(back.number, kept.about.path if kept and back.number not in gone else None)
            if path != back.path:
                raise CommitFailed("a checkpoint that it goes back to is not there: it was pruned, or never was one")

    def _keep(self, kept: CheckpointRow | KeepRow, state: StateRow, seq: Seq) -> None:
        about = Checkpoint(
            number=kept.number,
            path=kept.path,
            kind=state.kind,
            version=state.version,
            settled=state.settled,
            seq=seq,
            at=kept.at,
            label=kept.label,
            pinned=kept.pinned,
            size=len(state.body),
        )
        self._checkpoints[kept.number] = Kept(about, state)
        self._numbers.setdefault(kept.path, set()).add(kept.number)
        self._last_row = max(self._last_row, kept.number)

    def _prune(self, prune: PruneRow) -> None:
        numbers = self._numbers.get(prune.path, set[int]())
        found = [self._checkpoints[number].about for number in sorted(numbers, reverse=True)]
        for old in [each for each in found if not each.pinned][prune.last :]:
            if old.at < prune.before:
                del self._checkpoints[old.number]
                numbers.remove(old.number)


def _root(id: str) -> str:
    """What a chain of asks began with."""
    return id.partition(">")[0]


def _in_full(commit: Commit) -> Commit:
    """With the text of each value that has none yet. Raises `CommitFailed` for one that is not JSON."""
    changed: dict[str, Any] = {}
    for name in ("states", "checkpoints", "accepted", "dead", "replies"):
        rows: tuple[StateRow | CheckpointRow | MessageRow | DeadRow | ReplyRow, ...] = getattr(commit, name)
        if any(row.large is not None for row in rows):
            changed[name] = tuple(map(_as_text, rows))
    return evolve(commit, **changed) if changed else commit


def _as_text(row: StateRow | CheckpointRow | MessageRow | DeadRow | ReplyRow) -> object:
    try:
        return row if row.large is None else evolve(row, body=row.large.text(), large=None)
    except ValueError as error:
        raise CommitFailed(f"nothing of it was kept: {error}") from error
