"""A slot's door to the journal: a settled message becomes one commit, an accepted one a row of its mailbox."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import trio
from attrs import evolve

from treewarden.agents.core.label import Label
from treewarden.agents.core.message import Envelope, MessageId, told_id, trace_of
from treewarden.agents.core.path import Path
from treewarden.agents.errors import CommitFailed
from treewarden.agents.ports import KEEP, Settled, StateSettled, Steps, Store
from treewarden.agents.sending import arrive, told_elsewhere
from treewarden.agents.slot import Slot, Turn
from treewarden.agents.wake import WAKE, not_now

from .common import Common
from .core.checkpoint import Retention
from .journal.commit import kept_as
from .journal.large import LIMIT
from .journal.port import CheckpointRow, Commit, MessageRow, PruneRow, ReplyRow, StateRow, TimerRow
from .journal.quiet import message_alone, state_alone
from .unhurried import again_and_again

if TYPE_CHECKING:
    from .journal.codec import Codec, Encoded
    from .taken import Given, Taken

__all__ = ["SlotStore"]


class SlotStore:
    """The `Store` of one slot, for all its incarnations."""

    late = False
    """What came of an effect is written when the journal works again."""

    def __init__(
        self, path: Path, codec: Codec, common: Common, retention: Retention, *, runs_ahead: bool = True
    ) -> None:
        """`runs_ahead`: what is settled rests on what was settled before it, and falls with it."""
        self.path = path
        self.codec = codec
        self.codecs_before: tuple[Codec, ...] = ()
        """By which the state in memory was settled, and what waits there was told, until that was brought up."""
        self.retention = retention
        self.settles = 0
        """Messages settled in all lives of the slot."""
        self.state_settled = 0
        """What `settles` was when the current state was written."""
        self.went_back_at: int | None = None
        """What `state_settled` was when the slot last got an earlier state."""
        self.restored = False
        """What the journal held for the slot when this process began was read."""
        self.owes: Settled | None = None
        """See `Store.owes`."""
        self._common = common
        self._runs_ahead = runs_ahead
        self._written: tuple[str, int, str] | None = None
        """The current state as it was last written, unless it is long, which the journal stores once anyway."""
        self._taken: Taken | None = None
        """Of what the next settle writes, if it is still that: of none but whoever has just waited for it."""
        self._broken: BaseException | None = None
        self._in_flight = 0
        self._waiters: list[trio.Event] = []

    async def accept(self, slot: Slot, envelope: Envelope, deadline: float = math.inf) -> None:
        """Make a told message durable, then put it into its mailbox (see `Store.accept`)."""
        encoded = await self._encoded_wide(slot, envelope) if self.codec.is_wide(envelope.body) else None
        while True:
            await self._journal_works(slot, deadline)
            try:
                await self._bring_in(slot, envelope, message_alone, encoded)
                return
            except CommitFailed as error:
                if not error.refuses_all:
                    slot.release()
                    raise
                envelope.id = trace_of(envelope.id) if "/" in envelope.id else ""  # as it came

    async def _journal_works(self, slot: Slot, deadline: float) -> None:
        """Wait while the disk takes nothing; the room stays reserved meanwhile, and is free if this raises."""
        outage, works = self._common.outage, False
        if outage.since is None:
            return
        try:
            works = await outage.over_by(deadline)
        finally:
            if not works:
                slot.release()
        if not works:
            raise outage.refusal(self.path)

    async def given_up(self, deadline: float = math.inf) -> None:
        """See `Store.given_up`."""
        if not await self._common.outage.written(deadline):
            raise self._common.outage.refusal(self.path)

    async def bring_in(self, slot: Slot, envelope: Envelope, commit: Callable[[MessageRow], Commit]) -> None:
        """As `accept`, in a commit of the caller's that has the row. It is tried once; the room is free if this raises,
        as `CommitFailed`."""
        encoded = await self._encoded_wide(slot, envelope) if self.codec.is_wide(envelope.body) else None
        try:
            await self._bring_in(slot, envelope, commit, encoded)
        except CommitFailed:
            slot.release()
            raise

    async def _encoded_wide(self, slot: Slot, envelope: Envelope) -> Encoded:
        """A message of many values, with turns for everybody else. Cancelled, or if it raises: the room is free. It is
        refused where another class lives by then that does not know it."""
        codec = self.codec
        try:
            encoded = await again_and_again(codec.encoding(envelope.body))
            return encoded if self.codec is codec else self.codec.encode_row(envelope.body)
        except BaseException:
            slot.release()
            raise

    @trio.lowlevel.enable_ki_protection  # or its commit would wake a task that does not wait
    async def _bring_in(
        self, slot: Slot, envelope: Envelope, commit: Callable[[MessageRow], Commit], encoded: Encoded | None
    ) -> None:
        """Raises `CommitFailed` and keeps the room; for anything else that it raises, the room is free."""
        said: list[BaseException | None] = []
        waiting: list[trio.lowlevel.Task] = []

        def then(error: BaseException | None) -> None:
            said.append(error)
            try:
                self._common.heard(error)
                if error is None:
                    arrive(slot, envelope)
            finally:  # nothing else would ever end their wait, not even to cancel it
                for task in waiting:
                    trio.lowlevel.reschedule(task, WAKE)

        try:
            row = self.row_for(envelope, envelope.id, encoded)
        except BaseException:
            slot.release()
            raise
        self._common.journal.submit(commit(row), then)
        if said:
            await trio.lowlevel.cancel_shielded_checkpoint()
        else:  # without a scope, which would cost as much as all the rest
            waiting.append(trio.lowlevel.current_task())
            await trio.lowlevel.wait_task_rescheduled(not_now)
        if said[0] is not None:
            raise said[0]

    def settle(self, done: Settled, then: Callable[[BaseException | None], None]) -> None:
        """Queue one settle (see `Store.settle`). Raises what the codec raises: nothing is queued then."""
        commit = self._commit(done)
        if self._broken is not None:
            then(CommitFailed(f"{self.path}: an earlier settle failed: {self._broken}"))
            return
        self._in_flight += 1
        outage = self._common.outage

        def committed(error: BaseException | None) -> None:
            self._in_flight -= 1
            outage.heard(error)
            if error is None:
                self._replied(done)
            else:
                self._written = None
                if self._runs_ahead:
                    self._broken = error
            then(error)
            if self._waiters and not self._in_flight:
                self._wake()

        self._common.journal.submit(commit, committed)

    def bring_result(self, commit: Commit) -> None:
        """Queue what came of an effect. Where it fails, what rests on it falls, and it is written later: it is true."""
        self._in_flight += 1

        def committed(error: BaseException | None) -> None:
            self._in_flight -= 1
            self._common.heard(error)
            if error is not None:
                self.late = True
                self._common.submit(evolve(commit, by=None))
            self._wake()

        self._common.journal.submit(commit, committed)

    def _wake(self) -> None:
        if self._waiters and not self._in_flight:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                waiter.set()

    def taking(
        self, state: object, turn: Turn | None = None, reply: tuple[object, object] | None = None
    ) -> Coroutine[Any, Any, None] | None:
        """See `Store.taking`."""
        if turn is not None:
            from .taken import wide_beside  # with the first message that has more to settle than a state

            if given := wide_beside(turn, reply, self.codec, self._common):
                return self._take([*given, (state, self.codec, state)])
            if state is KEEP:
                return None
        if self._written is not None and not self.codec.has_grown(state):  # the last one was short
            return None
        return self._take([(state, self.codec, state)]) if self.codec.is_wide(state) else None

    async def _take(self, given: list[Given]) -> None:
        from .taken import take  # with the first large value of a process

        self._taken = await take(given)

    async def settled(self) -> None:
        """Wait until nothing of this slot is on its way (see `Store.settled`)."""
        await self.come_to_rest()
        if self.late:
            self.late = not await self._common.outage.written(math.inf)

    async def come_to_rest(self) -> None:
        """Wait until what is on its way is on disk, or has failed to get there."""
        if self._in_flight:
            waiter = trio.Event()
            self._waiters.append(waiter)
            await waiter.wait()
        else:
            await trio.lowlevel.checkpoint_if_cancelled()

    async def name_of(self, message: object) -> str:
        """See `Store.name_of`."""
        codec = self.codec
        named = await again_and_again(codec.naming(message)) if codec.is_wide(message) else codec.name_of(message)
        return named if self.codec is codec else self.codec.name_of(message)

    def asks(self, message: MessageId, of: Store) -> None:
        """See `Store.asks`."""
        if isinstance(of, SlotStore) and of._common is not self._common:
            self._common.replies.kept_elsewhere(message, of._common.forget_replies)

    async def kept(self, ask: MessageId, wanted: bool = True) -> tuple[object] | None:
        """See `Store.kept`."""
        replies = self._common.replies
        if replies.get(ask) is None and not ask.rpartition(">")[2].startswith(f"{self.path}:"):
            from .effects import read_held  # with the first ask of a handler to a pool

            await read_held(ask, self.codec, self._common)
        return replies.get(ask) or (None if wanted or not replies.was_answered(ask) else (None,))

    async def begins(self, ask: Envelope, slot: Slot) -> bool | None:
        """See `Store.begins`."""
        replies = self._common.replies
        found = replies.begins(ask, slot)
        return found is None or await replies.begun_before(ask, *found, self._common.outage.behind)

    def steps(self, slot: Slot) -> Steps:
        """See `Store.steps`."""
        from .effects import Effects  # with the first effect of a process

        return Effects(slot, self._common, self.bring_result)

    def _replied(self, done: Settled) -> None:
        """On disk are the reply to a handler's ask, and that the replies to what this handler asked may go."""
        envelope = done.envelope
        if envelope is not None and envelope.id:
            if done.asked:
                self._common.replies.forget(envelope.id)
            if envelope.reply is not None and ">" in envelope.id:
                self._common.keep_reply(envelope.id, done.reply)

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing of this slot is on its way to the disk or has failed to get there, and its state is one of
        the class that is to live there."""
        return not self._in_flight and self._broken is None and not self.codecs_before

    def go_over(self, codec: Codec) -> None:
        """Another class lives there next."""
        before = (*self.codecs_before, self.codec)
        self.codec, self.codecs_before = codec, tuple(each for each in before if each is not codec)

    def went_over(self) -> None:
        """What it holds in memory is of that class now."""
        self.codecs_before, self._written = (), None

    def mend(self) -> None:
        """A new incarnation begins from what is on disk: its settles may be written again."""
        self._broken = self._written = self._taken = None

    def row_for(self, envelope: Envelope, cause: MessageId = "", encoded: Encoded | None = None) -> MessageRow:
        """The mailbox row of a told message; gives the envelope its row, and an id in the trace of its cause."""
        common = self._common
        kind, version, body, large = encoded or self.codec.encode_row(envelope.body)
        envelope.row = row = common.next_row()
        envelope.id = told_id(cause, common.journal.opened.tree, row) if cause else common.message_id(row)
        return MessageRow(
            path=self.path,
            row=row,
            id=envelope.id,
            kind=kind,
            body=body,
            sender=envelope.sender,
            priority=envelope.priority,
            at=common.clock.wall(),
            version=version,
            large=large,
        )

    def state_row(self, state: object, settled: int | None = None) -> StateRow:
        """The row of a state that `settled` messages have made; as many as have settled, if it is not said."""
        taken, self._taken, codec = self._taken, None, self.codec
        kind, version, body, large = (None if taken is None else taken.pop(state)) or codec.encode_row(state)
        if codec.states is not None and kind not in codec.states:
            raise codec.other_state(kind)
        self.state_settled = self.settles if settled is None else settled
        self._written = (kind, version, body) if large is None and len(body) <= LIMIT else None
        return StateRow(self.path, kind, body, version, self.state_settled, large)

    def _new_row(self, state: object, settled: int) -> tuple[StateRow, bool]:
        """As `state_row`, and whether it is another state than was written last."""
        before, written = self._written, self.state_settled
        row = self.state_row(state, settled)
        if before is None or self._written != before:
            return row, True
        self.state_settled = written
        return row, False

    def _commit(self, done: Settled) -> Commit:
        """Raises what the codec raises; then nothing has changed."""
        settles, envelope = self.settles + 1, done.envelope
        if done.__class__ is StateSettled and not self.retention.is_due(settles):
            state, is_new = self._new_row(done.state, settles)
            self.settles = settles
            row = None if envelope is None else envelope.row
            if is_new:
                return state_alone(self.path, state, row)
            return Commit(by=self.path, acked=() if row is None else (row,))
        wall, taken = self._common.clock.wall(), self._taken
        events = timers = ()
        accepted: tuple[MessageRow, ...] = ()
        if done.events:
            id = "" if envelope is None else envelope.id
            recorded, path = self._common.recorded, self.path
            events = tuple([(wall, recorded(path, fact, id, taken and taken.pop(fact))) for fact in done.events])
        if done.outgoing:
            told, cause = list[MessageRow](), "" if envelope is None else envelope.id
            for store, item in [(each.target.store, each.envelope) for each in done.outgoing if each.target.durable]:
                if isinstance(store, SlotStore) and item.reply is None:
                    if store._common is not self._common:
                        raise told_elsewhere(self.path, store.path)
                    told.append(store.row_for(item, item.id or cause, taken and taken.pop(item)))
                    cause = cause or item.id  # where that has none, the first of them begins the trace
            accepted = tuple(told)
        if done.timers:
            timers = tuple([TimerRow(self.path, due.name, due.at) for due in done.timers])
        states: tuple[StateRow, ...] = ()
        checkpoints: tuple[CheckpointRow, ...] = ()
        replies, asked = self._steps(done, taken)
        if done.state is not KEEP:
            state, is_new = self._new_row(done.state, settles)
            if is_new or done.checkpoint is not None:
                states = (state,)
        if states and (done.checkpoint is not None or self.retention.is_due(settles)):
            label = done.checkpoint or Label()
            pinned = self.retention.pins(label)
            checkpoints = (CheckpointRow.of(states[0], self._common.next_row(), label, wall, pinned=pinned),)
            events += kept_as(self.path, checkpoints[0].number, checkpoints[0].label, wall)
        self.settles, self._taken = settles, None
        return Commit(
            by=self.path,
            events=events,
            states=states,
            checkpoints=checkpoints,
            prunes=(self.prune(wall),) if checkpoints else (),
            accepted=accepted,
            acked=(envelope.row,) if envelope is not None and envelope.row is not None else (),
            replies=replies,
            forget_replies=asked,
            timers=timers,
        )

    def prune(self, wall: float) -> PruneRow:
        """What goes when another checkpoint has come."""
        return PruneRow(self.path, self.retention.last, self.retention.before(wall))

    def _steps(self, done: Settled, taken: Taken | None) -> tuple[tuple[ReplyRow, ...], tuple[str, ...]]:
        """The reply to keep, if a handler had asked for it; and what its own asks were called, if it had any."""
        envelope = done.envelope
        if envelope is None or not envelope.id:
            return (), ()
        asked = (f"{envelope.id}>",) if done.asked else ()
        if envelope.reply is None or ">" not in envelope.id:  # an ask of no handler, whose own has effects
            return (), asked
        kind, version, body, large = (taken and taken.pop(envelope)) or self.codec.encode_row(done.reply)
        return (ReplyRow(envelope.id, self.path, kind, body, version, large),), asked
