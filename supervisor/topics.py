"""Publish and subscribe: what a topic is told goes at once into the mailboxes of those who have subscribed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

import trio

from treewarden.agents.audience import Audience
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
    NotHandled,
)
from treewarden.agents.sending import ended_by, handled_by, item_for, leave_with_settle
from treewarden.agents.slot import Slot, Turn

from .core.spec import Subscriber
from .journal.port import Commit
from .settling import SlotStore

if TYPE_CHECKING:
    from .common import Common

__all__ = ["Topic"]

Place: TypeAlias = tuple[Slot, Overflow]
"""A mailbox that a message goes into, and what happens when that is full."""
Taken: TypeAlias = tuple[Slot, object, Overflow]
"""A mailbox with room for what goes into it."""


class Topic(Audience):
    """One address, and everybody who is told what it is told. No task of its own, and nothing waits here.

    It outlives the incarnations of its supervisor and those of its subscribers.
    """

    def __init__(self, path: Path, common: Common) -> None:
        self.path = path
        self._common = common
        self._declared: dict[Path, Overflow] = {}
        self._added: dict[Path, Overflow] = {}

    def declare(self, subscribers: Iterable[Subscriber]) -> None:
        """Go by what the blueprint says now; who has subscribed by himself stays."""
        self._declared = {self.path.resolve(each.path): each.overflow for each in subscribers}

    def subscribe(self, subscriber: Path, overflow: Overflow) -> None:
        self._added[subscriber] = overflow

    def unsubscribe(self, subscriber: Path) -> bool:
        return self._added.pop(subscriber, None) is not None

    @property
    def slots(self) -> list[Slot]:
        """The mailboxes of all who could be told something."""
        found: dict[Slot, None] = {}
        topics = [self]
        for topic in topics:
            for path in topic.subscribers:
                there = self._common.registry.lookup(path)
                if isinstance(there, Topic):
                    topics += [there] if there not in topics else []
                elif there is not None:
                    found.update(dict.fromkeys([there] if isinstance(there, Slot) else there.slots))
        return list(found)

    @property
    def subscribers(self) -> dict[Path, Overflow]:
        """Everybody, those of the blueprint first; what is subscribed at run time counts."""
        return {**self._declared, **self._added}

    def choose(self, message: object) -> Sequence[Slot]:
        kind = type(message).__qualname__
        text = f"{self.path}: it is a topic, and answers no {kind}; gather() asks several agents at once"
        raise NotHandled(text, path=self.path, retry_safe=True)

    # -- publishing

    async def publish(self, message: object, turn: Turn | None, priority: int, deadline: float) -> None:
        """Into every mailbox that has room, or makes some; then wait for room in those that want that.

        Whoever is on disk gets it in one commit with the others that had room: none of them, or all. Whoever ends, or
        is drained, while this waits for it is left out as if it had been so before. What is dropped for want of room
        is on disk as a dead letter, where its mailbox is.
        """
        errors: list[Exception] = []
        places = list(self._places(message, errors))
        taken, late, dropped = self._reserve_all(places, message, turn, priority, errors)
        told: list[Taken] = []
        if late:
            async with trio.open_nursery() as nursery:
                for place in late:
                    nursery.start_soon(self._deliver_later, place, turn, priority, deadline, told, errors)
                await self._deliver_now(taken, dropped, turn, priority, deadline, told, errors)
        else:
            await self._deliver_now(taken, dropped, turn, priority, deadline, told, errors)
        self._report(errors, len(told) + len(errors))

    def publish_nowait(self, message: object, turn: Turn | None, priority: int) -> None:
        with_settle = turn is not None and turn.waits_for_commit
        errors: list[Exception] = []
        places = list(self._places(message, errors))
        on_disk = next((slot for slot, _ in places if slot.durable), None)
        if on_disk is not None and not with_settle:
            text = f"{self.path}: tell_nowait cannot wait for the disk of {on_disk.path}; use `await ref.tell(...)`"
            raise DurabilityError(text, path=on_disk.path, retry_safe=True)
        taken, late, _ = self._reserve_all(places, message, turn, priority, errors)
        for slot, _, _ in late:
            text = f"{slot.path}: its mailbox is full, and tell_nowait does not wait for room"
            errors.append(MailboxFull(text, path=slot.path, retry_safe=True))
        for place in taken:
            _put(place, turn, priority)
        self._report(errors, len(taken) + len(errors))

    def _reserve_all(
        self, places: Iterable[Place], message: object, turn: Turn | None, priority: int, errors: list[Exception]
    ) -> tuple[list[Taken], list[Taken], list[Slot]]:
        """Reserve room wherever that needs no waiting. Returns those with room, those that are to be waited for, and
        whose policy has dropped it."""
        taken: list[Taken] = []
        dropped: list[Slot] = []
        late: list[Taken] = []
        for slot, overflow in places:
            place = slot, item_for(slot, message, turn, priority), overflow
            try:
                if self._must_wait(slot, overflow, turn):
                    late.append(place)
                elif self._reserve(place, turn, priority):
                    taken.append(place)
                else:
                    dropped.append(slot)
            except (AgentStopped, IntakeClosed):
                continue
            except DeliveryError as error:
                errors.append(error)
        return taken, late, dropped

    def _must_wait(self, slot: Slot, overflow: Overflow, turn: Turn | None) -> bool:
        own = turn is not None and turn.in_handler and turn.slot.mail is slot
        return overflow is Overflow.WAIT and not slot.has_room and not own

    def _reserve(self, place: Taken, turn: Turn | None, priority: int) -> bool:
        """Room without waiting; False if the policy dropped the message. A handler cannot wait for itself."""
        slot, item, overflow = place
        own = turn is not None and turn.in_handler and turn.slot.mail is slot
        try:
            return slot.reserve_nowait(item, priority, overflow, beyond=1 if own else 0)
        except MailboxFull:
            if overflow is not Overflow.COALESCE:
                raise
        return slot.reserve_nowait(item, priority, Overflow.DROP_NEWEST)

    async def _deliver_now(
        self,
        taken: Sequence[Taken],
        dropped: Sequence[Slot],
        turn: Turn | None,
        priority: int,
        deadline: float,
        told: list[Taken],
        errors: list[Exception],
    ) -> None:
        try:
            told.extend(await self._deliver(taken, turn, priority, deadline, errors))
            lost = [slot.path for slot in dropped if slot.durable and not (turn is not None and turn.waits_for_commit)]
            if lost and not await self._common.outage.written(deadline):
                errors += map(self._common.outage.refusal, lost)
        except Exception as error:  # not through the nursery, which would wrap it
            errors.append(error)

    async def _deliver_later(
        self,
        place: Taken,
        turn: Turn | None,
        priority: int,
        deadline: float,
        told: list[Taken],
        errors: list[Exception],
    ) -> None:
        slot, item, _ = place
        begun = trio.current_time()
        try:
            with trio.move_on_at(deadline) as limit:
                await slot.reserve(item, priority, Overflow.WAIT)
            if limit.cancelled_caught:
                text = f"{slot.path}: no room in its mailbox within {max(0.0, deadline - begun):g} s"
                raise MailboxFull(text, path=slot.path, retry_safe=True)
            if turn is not None and turn.void:
                slot.release()
                raise ended_by(turn)
            told.extend(await self._deliver([place], turn, priority, deadline, errors))
        except (AgentStopped, IntakeClosed) as error:
            if slot.closed is None or self._common.over or (turn is not None and turn.void):
                errors.append(error)
        except Exception as error:
            errors.append(error)

    async def _deliver(
        self, taken: Sequence[Taken], turn: Turn | None, priority: int, deadline: float, errors: list[Exception]
    ) -> list[Taken]:
        """Fill the room that was reserved: with the settle of the handler in hand, after one commit, or now. Returns
        those that got it."""
        told: list[Taken] = []
        on_disk: list[tuple[Slot, Envelope, Overflow]] = []
        for place in taken:
            slot, item, overflow = place
            if slot.durable and isinstance(item, Envelope) and not (turn is not None and turn.waits_for_commit):
                on_disk.append((slot, item, overflow))
            else:
                _put(place, turn, priority)
                told.append(place)
        if on_disk and not await self._accept(on_disk, deadline):
            errors += [self._common.outage.refusal(slot.path) for slot, _, _ in on_disk]
            return told
        return [*told, *on_disk]

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
                    if not slot.ended:
                        slot.fill(envelope, envelope.priority, overflow)
                        continue
                    slot.release()
                    if slot.on_drop is not None:
                        slot.on_drop(envelope, "the slot ended before the message arrived")
            done.set()

        rows = tuple(slot.store.row_for(envelope) for slot, envelope, _ in places if isinstance(slot.store, SlotStore))
        self._common.journal.submit(Commit(accepted=rows), then)
        with trio.CancelScope(shield=True):
            await done.wait()
        if failed and not (isinstance(failed[0], CommitFailed) and failed[0].refuses_all):
            raise failed[0]
        return not failed

    # -- who is told

    def _places(self, message: object, errors: list[Exception]) -> Iterator[Place]:
        """The mailboxes that get `message`, each once. Whoever is gone is left out, and who does not handle it.

        Raises `AgentStopped` if everybody is gone, because the tree has ended.
        """
        if self._common.over:
            raise AgentStopped(f"{self.path}: the tree has ended", path=self.path)
        told: set[Slot] = set()
        kind = type(message)
        for slot, overflow in self._resolved(message, errors, {self}):
            if slot not in told and not slot.ended and handled_by(slot, kind):
                told.add(slot)
                yield slot, overflow

    def _resolved(self, message: object, errors: list[Exception], seen: set[Topic]) -> Iterator[Place]:
        for path, overflow in self.subscribers.items():
            found = self._common.registry.lookup(path)
            if isinstance(found, Slot):
                yield found, overflow
            elif isinstance(found, Topic):
                if found not in seen:
                    yield from found._resolved(message, errors, {*seen, found})
            elif found is None:
                self._added.pop(path, None)
            elif any(handled_by(slot, type(message)) for slot in found.slots):
                try:
                    yield from ((slot, overflow) for slot in found.choose(message))
                except DeliveryError as error:
                    errors.append(error)

    def _report(self, errors: list[Exception], number: int) -> None:
        not_kept = next((error for error in errors if not isinstance(error, DeliveryError)), None)
        if not_kept is not None:
            raise not_kept
        if len(errors) == 1 == number:
            raise errors[0]
        if errors:
            missed = "; ".join(str(error) for error in errors)
            text = f"{self.path}: {number - len(errors)} of {number} subscribers got it, and these did not: {missed}"
            raise DeliveryError(text, path=self.path)


def _put(place: Taken, turn: Turn | None, priority: int) -> None:
    """Fill the room that was reserved, or let that be done by the settle of the handler in hand."""
    slot, item, overflow = place
    if turn is not None and turn.waits_for_commit and type(item) is Envelope:
        leave_with_settle(slot, turn, item, overflow)
    else:
        slot.fill(item, priority, overflow)
