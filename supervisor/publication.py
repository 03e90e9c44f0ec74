"""One message on its way to the subscribers of a topic: room is made for it, kept, and filled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

import trio

from treewarden.agents.core.durability import Overflow
from treewarden.agents.core.message import Envelope
from treewarden.agents.core.path import Path
from treewarden.agents.errors import (
    AgentStopped,
    CommitFailed,
    DeliveryError,
    DurabilityError,
    IntakeClosed,
    MailboxFull,
)
from treewarden.agents.sending import arrive, ended_by, item_for, leave_with_settle, refuse_what_waits_for_itself
from treewarden.agents.slot import Slot, Turn

from .journal.port import Commit, MessageRow
from .settling import SlotStore

if TYPE_CHECKING:
    from .common import Common

__all__ = ["Place", "Publication"]

Place: TypeAlias = tuple[Slot, Overflow]
"""A mailbox that a message goes into, and what happens when that is full."""
Taken: TypeAlias = tuple[Slot, object, Overflow]
"""A mailbox with room for what goes into it."""


_REPLACING: Final = (Overflow.COALESCE, Overflow.DROP_OLDEST)
"""What gives up another message for a new one; where it finds none, the new one is given up: no publisher waits."""


class Publication:
    """What a topic is told once, by whoever's `turn` it is. Used for one delivery, which ends with its report."""

    def __init__(self, topic: Path, common: Common, message: object, turn: Turn | None, priority: int) -> None:
        self.errors: list[Exception] = []
        """Why subscribers do not get it; whoever looks for them adds to these."""
        self._topic = topic
        self._common = common
        self._message = message
        self._turn = turn
        self._priority = priority
        self._told = 0
        self._cause = ""
        """The id of the first copy that is on disk: it begins the trace of all that this process tells of it."""

    async def deliver(self, places: Sequence[Place], deadline: float) -> None:
        """Into every mailbox that has room, or makes some; then wait for room in those that want that.

        Whoever is on disk gets it in one commit with the others that had room: none of them, or all. Whoever ends, or
        is drained, while this waits for it is left out as if it had been so before. What is dropped for want of room
        is on disk as a dead letter, where its mailbox is.

        Raises what stood in the way. When it is cancelled, what is on its way to the disk gets there.
        """
        taken, late, dropped = self._reserve_all(places)
        if late:
            async with trio.open_nursery() as nursery:
                for place in late:
                    nursery.start_soon(self._deliver_late, place, deadline)
                await self._deliver_at_once(taken, dropped, deadline)
        else:
            await self._deliver_at_once(taken, dropped, deadline)
        self._report()

    def deliver_nowait(self, places: Sequence[Place]) -> None:
        """Into every mailbox that has room, or makes some. Raises what stood in the way of the others, and before
        anybody got it where somebody's mailbox is on a disk that the settle in hand does not go to."""
        on_disk = next((slot for slot, _ in places if slot.durable), None)
        if on_disk is not None and not self._with_settle:
            text = f"{self._topic}: tell_nowait cannot wait for the disk of {on_disk.path}; use `await ref.tell(...)`"
            raise DurabilityError(text, path=on_disk.path, retry_safe=True)
        taken, late, _ = self._reserve_all(places)
        for slot, _, _ in late:
            text = f"{slot.path}: its mailbox is full, and tell_nowait does not wait for room"
            self.errors.append(MailboxFull(text, path=slot.path, retry_safe=True))
        for place in taken:
            self._put(place)
        self._report()

    @property
    def _with_settle(self) -> bool:
        """Whether durable mailboxes get it with the settle of the handler in hand."""
        return self._turn is not None and self._turn.waits_for_commit

    # -- room

    def _reserve_all(self, places: Iterable[Place]) -> tuple[list[Taken], list[Taken], list[Slot]]:
        """Reserve room wherever that needs no waiting. Returns those with room, those that are to be waited for, and
        whose policy has dropped it."""
        taken: list[Taken] = []
        dropped: list[Slot] = []
        late: list[Taken] = []
        for slot, overflow in places:
            place = slot, item_for(slot, self._message, self._turn, self._priority), overflow
            try:
                if overflow is Overflow.WAIT and not slot.has_room and not self._is_own(slot):
                    refuse_what_waits_for_itself(slot, self._turn)
                    late.append(place)
                elif self._reserve(place):
                    taken.append(place)
                else:
                    dropped.append(slot)
            except (AgentStopped, IntakeClosed):
                continue
            except DeliveryError as error:
                self.errors.append(error)
        return taken, late, dropped

    def _is_own(self, slot: Slot) -> bool:
        """Whether the handler in hand publishes into its own mailbox: it cannot wait for itself."""
        turn = self._turn
        return turn is not None and turn.in_handler and turn.slot.mail is slot

    def _reserve(self, place: Taken) -> bool:
        """Room without waiting; False if the policy dropped the message."""
        slot, item, overflow = place
        try:
            return slot.reserve_nowait(item, self._priority, overflow, beyond=1 if self._is_own(slot) else 0)
        except MailboxFull:
            if overflow not in _REPLACING:
                raise
        return slot.reserve_nowait(item, self._priority, Overflow.DROP_NEWEST)

    # -- delivery

    async def _deliver_at_once(self, taken: Sequence[Taken], dropped: Sequence[Slot], deadline: float) -> None:
        try:
            await self._fill(taken, deadline)
            lost = [slot.path for slot in dropped if slot.durable and not self._with_settle]
            if lost and not await self._common.outage.written(deadline):
                self.errors += map(self._common.outage.refusal, lost)
        except Exception as error:  # not through the nursery, which would wrap it
            self.errors.append(error)

    async def _deliver_late(self, place: Taken, deadline: float) -> None:
        """Wait for room."""
        slot, item, _ = place
        turn = self._turn
        begun = trio.current_time()
        try:
            with trio.move_on_at(deadline) as limit:
                await self._wait_for_room(slot, item)
            if limit.cancelled_caught:
                text = f"{slot.path}: no room in its mailbox within {max(0.0, deadline - begun):g} s"
                raise MailboxFull(text, path=slot.path, retry_safe=True)
            if turn is not None and turn.void:
                slot.release()
                raise ended_by(turn)
            await self._fill([place], deadline)
        except (AgentStopped, IntakeClosed) as error:
            if slot.closed is None or self._common.over or (turn is not None and turn.void):
                self.errors.append(error)
        except Exception as error:
            self.errors.append(error)

    async def _wait_for_room(self, slot: Slot, item: object) -> None:
        if self._turn is not None:
            self._turn.waits += 1
        try:
            await slot.reserve(item, self._priority, Overflow.WAIT)
        finally:
            if self._turn is not None:
                self._turn.waits -= 1

    async def _fill(self, taken: Sequence[Taken], deadline: float) -> None:
        """Fill the room that was reserved: with the settle of the handler in hand, after one commit, or now."""
        on_disk: list[tuple[Slot, Envelope, Overflow]] = []
        for place in taken:
            slot, item, overflow = place
            if slot.durable and isinstance(item, Envelope) and not self._with_settle:
                on_disk.append((slot, item, overflow))
            else:
                self._put(place)
        if not on_disk:
            return
        if await self._accept(on_disk, deadline):
            self._told += len(on_disk)
        else:
            self.errors += [self._common.outage.refusal(slot.path) for slot, _, _ in on_disk]

    def _put(self, place: Taken) -> None:
        """Fill the room that was reserved, or let that be done by the settle of the handler in hand."""
        slot, item, overflow = place
        if self._turn is not None and self._turn.waits_for_commit and type(item) is Envelope:
            leave_with_settle(slot, self._turn, item, overflow)
        else:
            slot.fill(item, self._priority, overflow)
        self._told += 1

    async def _accept(self, places: Sequence[tuple[Slot, Envelope, Overflow]], deadline: float) -> bool:
        """Make the messages durable in one commit, then put them into their mailboxes. False: the disk takes nothing,
        and has not until `deadline`. Cancelled when they are on their way there: that goes on."""
        kept = False
        try:
            while not kept and await self._common.outage.over_by(deadline):
                kept = await self._commit(places)
        finally:
            if not kept:
                for slot, _, _ in places:
                    slot.release()
        return kept

    async def _commit(self, places: Sequence[tuple[Slot, Envelope, Overflow]]) -> bool:
        """Whether the disk has taken them. Raises `CommitFailed` if it is these that it refuses."""
        done = trio.Event()
        failed: list[BaseException] = []

        def then(error: BaseException | None) -> None:
            self._common.heard(error)
            if error is not None:
                failed.append(error)
            else:
                for slot, envelope, overflow in places:
                    arrive(slot, envelope, overflow)
            done.set()

        rows, cause = list[MessageRow](), self._cause
        for slot, envelope, _ in places:
            if isinstance(slot.store, SlotStore):
                rows.append(slot.store.row_for(envelope, cause))
                cause = cause or envelope.id
        self._common.journal.submit(Commit(accepted=tuple(rows)), then)
        with trio.CancelScope(shield=True):
            await done.wait()
        if failed and not (isinstance(failed[0], CommitFailed) and failed[0].refuses_all):
            raise failed[0]
        if not failed:
            self._cause = self._cause or cause
        return not failed

    def _report(self) -> None:
        """Raise what stood in the way: of the disk before that of a mailbox."""
        errors, number = self.errors, self._told + len(self.errors)
        not_kept = next((error for error in errors if not isinstance(error, DeliveryError)), None)
        if not_kept is not None:
            raise not_kept
        if len(errors) == 1 == number:
            raise errors[0]
        if errors:
            missed = "; ".join(str(error) for error in errors)
            text = f"{self._topic}: {self._told} of {number} subscribers got it, and these did not: {missed}"
            raise DeliveryError(text, path=self._topic)
