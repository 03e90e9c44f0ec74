"""How messages get into a mailbox: who gets room, who waits for it, and who is refused."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from attrs import evolve
from trio.lowlevel import Task

from .core.durability import MailboxSpec, Overflow
from .core.message import Envelope, Priority
from .core.path import Path
from .errors import AgentStopped, IntakeClosed
from .overflow import Bounded
from .room import Impatient, Line, Place

__all__ = ["Beyond", "Intake", "LeftBehind"]

_DROP_OLDEST: Final = Overflow.DROP_OLDEST
_BEYOND: Final = 16
"""Messages beyond a small capacity: a stage whose receiver fails time and again is stopped as often."""


class LeftBehind(AgentStopped):
    """Why a slot takes nothing until somebody begins there again, who finds in it what is on disk."""


class Intake(Bounded):
    """Room for messages: counted, promised, waited for in line, and closed."""

    __slots__ = ("_room", "closed", "reserved", "simple", "sure")

    def __init__(self, path: Path, spec: MailboxSpec, now: Callable[[], float]) -> None:
        super().__init__(path, spec, now)
        self.reserved = 0
        """Room promised to messages that have not come yet."""
        self.sure: int = 0
        """For how many messages there is room for sure; 0 if that has to be looked up, or nothing is taken. They count
        as come already, so that whoever puts one there has but this number to change."""
        self.closed: AgentStopped | IntakeClosed | None = None
        """Set when the slot ended for good, or is being drained; a message that is refused gets an error that says
        the same."""
        self._room: Line | None = None
        """Senders that wait for room, the first one first."""
        self.simple = True
        """Nothing but the normal lane is in use: no control, ticks, other lanes, pauses or waiting senders. As long as
        that is so `next_ones` may be taken from directly."""

    @property
    def is_gone(self) -> bool:
        """Whether what was on its way here when it ended has come too late."""
        return self.ended and not isinstance(self.closed, LeftBehind)

    @property
    def has_room(self) -> bool:
        return len(self.arrived) + len(self.next_ones) + self._beside + self.reserved < self.spec.capacity

    def look_for_room(self) -> bool:
        """`has_room` of one that takes messages, to be remembered for the next ones too."""
        if self.closed is None:
            free = self.spec.capacity - len(self.arrived) - len(self.next_ones) - self._beside - self.reserved
            if free > 0:
                self.come += free - self.sure
                self.sure = free
                return True
            self._look_again()
        return False

    @property
    def accepted(self) -> int:
        """How many messages have come to wait here."""
        return self.come - self.sure

    @property
    def ended(self) -> bool:
        """Whether the slot ended for good, so that nobody handles what would come."""
        return isinstance(self.closed, AgentStopped)

    async def put(self, item: object, priority: int = Priority.NORMAL) -> None:
        """Queue a message, waiting for room if the policy says so; a checkpoint only then.

        Cancelled: it was not queued. Raises `MailboxFull` (refuse) and `AgentStopped`.
        """
        if await self.reserve(item, priority):
            self.fill(item, priority)

    async def reserve(self, item: object, priority: int = Priority.NORMAL, overflow: Overflow | None = None) -> bool:
        """Wait for room and keep it for `fill` or `release`. False: the policy dropped `item` instead.

        Senders get room in the order in which they came. What `item` will replace under `coalesce` stays until then.
        `overflow` takes the place of the mailbox's own policy. Cancelled: no room is kept. Raises `MailboxFull`
        (refuse) and `AgentStopped`.
        """
        if self.has_to_wait(item, priority, overflow):
            return await self.line_up(priority, overflow).wait()
        return self.reserve_nowait(item, priority, overflow)

    def has_to_wait(self, item: object, priority: int = Priority.NORMAL, overflow: Overflow | None = None) -> bool:
        """Whether `reserve` would wait. Raises `AgentStopped`."""
        if self.closed is not None:
            self._refuse(item)
        if not self._room and self.has_room:
            return False
        overflow = overflow or self.spec.overflow
        return (
            overflow is Overflow.WAIT
            or (overflow is Overflow.COALESCE and not self._mergeable(item, priority))
            or (overflow is _DROP_OLDEST and self.reserved > 0 and self._none_gives_way(item, priority))
        )

    @property
    def line(self) -> Sequence[Place]:
        """The senders that wait for room, the first one first."""
        return self._room or ()

    def line_up(self, priority: int = Priority.NORMAL, overflow: Overflow | None = None) -> Place:
        """A place at the end of the line for room; to be waited in at once."""
        if self._room is None:
            self._room = deque()
        self.simple = False
        drops = (overflow or self.spec.overflow) is _DROP_OLDEST
        return Impatient(self._room, priority) if drops else Place(self._room)

    def reserve_nowait(
        self, item: object, priority: int = Priority.NORMAL, overflow: Overflow | None = None, *, beyond: int = 0
    ) -> bool:
        """`reserve` without waiting: raises `MailboxFull` where that would wait for more than `beyond` places."""
        if self.closed is not None:
            self._refuse(item)
        if len(self) + self.reserved >= self.spec.capacity + beyond:
            overflow = overflow or self.spec.overflow
            merges = overflow is Overflow.COALESCE and self._mergeable(item, priority)
            if not merges and not self._make_room(item, priority, overflow):
                return False
        self.reserved += 1
        self._look_again()
        return True

    def fill(self, item: object, priority: int = Priority.NORMAL, overflow: Overflow | None = None) -> None:
        """Use room that was reserved. Raises `AgentStopped` if the slot has ended meanwhile; the room is free then."""
        self.reserved -= 1
        if self.closed is not None and self.is_gone:
            raise self._ended()
        if (overflow or self.spec.overflow) is Overflow.COALESCE and not self.has_room and self._merge(item, priority):
            return
        self.come += 1
        if not self._put(item, priority) and self._room and self.spec.overflow is _DROP_OLDEST:
            self._let_in_for_the_oldest(self._room)

    def takes_beyond(self, sender: Path) -> bool:
        """Whether a full mailbox takes one message more, the last of a sender that is to stop: as many as its capacity,
        or `_BEYOND` if that is less, and one from each in any case.

        So senders that are stopped again and again while nothing is taken here do not fill it without end. What was
        returned here because its handler failed takes no room from anybody.
        """
        returned = sum(type(each) is Envelope and each.deliveries > 0 for each in self)
        excess = len(self) - returned - self.spec.capacity
        if excess + self.reserved < max(self.spec.capacity, _BEYOND):
            return True
        newest = [*reversed(self.next_ones), *self.arrived][-excess:] if excess > 0 else ()
        return not any(type(each) is Envelope and each.sender == sender for each in newest)

    def promise_beyond(self) -> None:
        """Promise room that there is not; for `fill` or `release`."""
        self.reserved += 1
        self._look_again()

    def let_in(self, beyond: Beyond, is_it: Callable[[Task], bool]) -> None:
        """`promise_beyond`, if that is so, to whoever `is_it` that waits in line."""
        for place in self._room or ():
            if place.task is not None and is_it(place.task):
                if beyond(self):
                    self.promise_beyond()
                    place.jump()
                return

    def release(self) -> None:
        """Give back room that was reserved."""
        self.reserved -= 1
        self._admit()

    def admit(self, capacity: int) -> None:
        """Let this many messages wait from now on; those that wait already stay."""
        self.spec = evolve(self.spec, capacity=capacity)
        self._look_again()
        self._admit()

    def close_intake(self, error: IntakeClosed) -> None:
        """Refuse what comes from outside of `error.scope`, with an error like `error`. Senders that wait get in."""
        if self.closed is None:
            self.closed = error
            self._look_again()

    def open_intake(self, error: IntakeClosed) -> None:
        """Take back `close_intake(error)`."""
        if self.closed is error:
            self.closed = None

    # -- inside

    def _put(self, item: object, priority: int) -> bool:
        """Let a message wait, for which there is room. Whether somebody was woken to take it."""
        raise NotImplementedError

    def _let_in_for_the_oldest(self, line: Line) -> None:
        """What was on its way has come, and nobody is about to take it: it may make room for who waits for no more."""
        impatient = (each for each in line if isinstance(each, Impatient))
        place = next((each for each in impatient if self._drop_oldest(each.priority)), None)
        if place is not None:
            self.promise_beyond()
            place.jump()

    def _look_again(self) -> None:
        """There may be less room than was thought."""
        self.come -= self.sure
        self.sure = 0

    def _refuse(self, item: object) -> None:
        """Raise why nothing is taken, unless `item` comes from inside of what is being drained."""
        sender = item.sender if type(item) is Envelope else None
        if not isinstance(self.closed, IntakeClosed) or sender is None or not sender.is_within(self.closed.scope):
            raise self._ended()

    def _ended(self) -> AgentStopped | IntakeClosed:
        """A fresh exception: one that is raised in several tasks would gather the traceback of each."""
        closed = self.closed
        assert closed is not None
        if isinstance(closed, IntakeClosed):
            return IntakeClosed(str(closed), path=closed.path, scope=closed.scope)
        return AgentStopped(str(closed), path=closed.path, exit=closed.exit)

    def _admit(self) -> None:
        """Promise free room to the sender that has waited longest; it cannot be overtaken."""
        while self._room and self.has_room:
            self.reserved += 1
            self._look_again()
            self._room.popleft().give()


Beyond: TypeAlias = Callable[[Intake], bool]
"""Whether a full mailbox takes one message more, of a sender that is to stop."""
