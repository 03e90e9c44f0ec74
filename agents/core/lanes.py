"""What waits in a mailbox, in the order in which it is taken, and what was put aside of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import field

from .message import Envelope, Priority
from .values import define

if TYPE_CHECKING:
    from .parked import ParkedMessages

__all__ = ["Aside", "Lanes"]

Lane: TypeAlias = deque[tuple[float, object]]


class Lanes:
    """Ticks that are due, then messages of high, normal and low priority, each lane in arrival order.

    The normal lane is two lists, one that is filled and one that is emptied from its end; so both ends cost an append
    or a pop. The other lanes hold `(arrived, item)`, the times in order, and exist once something came.
    """

    __slots__ = ("_beside", "_due", "_high", "_low", "arrived", "next_ones", "now", "since", "since_in")

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.arrived: list[object] = []
        """What came last, in order. This list and the next one are the same for ever, so that a reader may hold on to
        them; they may be taken from directly only while nothing waits that goes before."""
        self.next_ones: list[object] = []
        """What came before all of `arrived`, the next one last."""
        self.since_in = 0.0
        """When the first of `arrived` came."""
        self.since = 0.0
        """When the oldest that was put into `next_ones` arrived, or earlier."""
        self._due: list[object] | None = None
        self._high: Lane | None = None
        self._low: Lane | None = None
        self._beside = 0
        """How many messages are in the high and the low lane."""

    def __len__(self) -> int:
        """Messages; ticks do not count."""
        return len(self.arrived) + len(self.next_ones) + self._beside

    def __iter__(self) -> Iterator[object]:
        """Every message, in the order in which they will be taken; ticks are left out."""
        yield from (item for _, item in self._high or ())
        yield from reversed(self.next_ones)
        yield from self.arrived
        yield from (item for _, item in self._low or ())

    def of_priority(self, priority: int) -> Iterator[object]:
        """The messages of one priority, in order."""
        if priority == Priority.NORMAL:
            yield from reversed(self.next_ones)
            yield from self.arrived
        else:
            yield from (item for _, item in (self._high if priority < Priority.NORMAL else self._low) or ())

    @property
    def oldest(self) -> float:
        """Seconds that the message which waits longest has waited; 0 if none does. Never less than the truth, and more
        only by the time over which the messages came that were taken together with it."""
        arrivals: list[float] = [lane[0][0] for lane in (self._high, self._low) if lane]
        if self.next_ones:
            arrivals.append(self.since)
        elif self.arrived:
            arrivals.append(self.since_in)
        return max(0.0, self.now() - min(arrivals)) if arrivals else 0.0

    def append(self, item: object, priority: int = Priority.NORMAL) -> None:
        """Put a message behind those of its priority."""
        if priority == Priority.NORMAL:
            if not self.arrived:
                self.since_in = self.now()
            self.arrived.append(item)
        else:
            self._lane(priority).append((self.now(), item))
            self._beside += 1

    def add_due(self, tick: object) -> None:
        """Put something that is due before all messages and behind what was due before it."""
        if self._due is None:
            self._due = []
        self._due.append(tick)

    def prepend(self, items: list[Any]) -> None:
        """Put messages before all others of their priority, in their order."""
        self._turn_over()
        now = self.now()
        for item in reversed(items):
            priority = item.priority if type(item) is Envelope else Priority.NORMAL
            if priority == Priority.NORMAL:
                if not self.next_ones:
                    self.since = now
                self.next_ones.append(item)
            else:
                lane = self._lane(priority)
                lane.appendleft((lane[0][0] if lane else now, item))
                self._beside += 1

    def insert(self, items: list[Any], before: Callable[[object], bool]) -> None:
        """Put messages of one priority, in their order, before all others of it but those at its head that come
        `before`."""
        priority = items[0].priority if type(items[0]) is Envelope else Priority.NORMAL
        if priority == Priority.NORMAL:
            self._turn_over()
        place = next((place for place, each in enumerate(self.of_priority(priority)) if not before(each)), None)
        if priority == Priority.NORMAL:
            if not self.next_ones:
                self.since = self.now()
            place = 0 if place is None else len(self.next_ones) - place
            self.next_ones[place:place] = reversed(items)
        else:
            lane, now = self._lane(priority), self.now()
            place = len(lane) if place is None else place
            at = lane[place][0] if place < len(lane) else now
            for item in reversed(items):
                lane.insert(place, (at, item))
            self._beside += len(items)

    def pop(self) -> object | None:
        """Take what comes first; None if nothing waits."""
        if self._due:
            return self._due.pop(0)
        if self._high:
            self._beside -= 1
            return self._high.popleft()[1]
        if not self.next_ones:
            self._turn_over()
        if self.next_ones:
            return self.next_ones.pop()
        if self._low:
            self._beside -= 1
            return self._low.popleft()[1]
        return None

    def remove_oldest(self, priority: int, wanted: Callable[[object], bool]) -> object | None:
        """Take out the oldest `wanted` message of the lowest priority that has one, but of none above `priority`."""
        found = self._remove_beside(self._low, wanted)
        if found is None and priority <= Priority.NORMAL:
            self._turn_over()
            for place in range(len(self.next_ones) - 1, -1, -1):
                if wanted(self.next_ones[place]):
                    return self.next_ones.pop(place)
        if found is None and priority < Priority.NORMAL:
            found = self._remove_beside(self._high, wanted)
        return found

    def replace(self, priority: int, wanted: Callable[[object], bool], item: object) -> object | None:
        """Put `item` at the place of the last message of its priority that is `wanted`; returns that one, or None."""
        if priority == Priority.NORMAL:
            self._turn_over()
            for place, victim in enumerate(self.next_ones):
                if wanted(victim):
                    self.next_ones[place] = item
                    return victim
            return None
        lane = self._high if priority < Priority.NORMAL else self._low
        for place in range(len(lane or ()) - 1, -1, -1):
            if lane is not None and wanted(lane[place][1]):
                arrived, victim = lane[place]
                lane[place] = (arrived, item)
                return victim
        return None

    def drop_due(self, kind: type = object) -> None:
        """Forget everything that is due, of this type."""
        self._due = [each for each in self._due or () if not isinstance(each, kind)] or None

    def exchange(self, other: Callable[[object], object]) -> None:
        """Put `other` of it in the place of each message of normal priority."""
        self.arrived[:] = map(other, self.arrived)
        self.next_ones[:] = map(other, self.next_ones)

    def clear(self) -> list[object]:
        """Empty it; returns the messages, in order."""
        left = list(self)
        self.arrived.clear()
        self.next_ones.clear()
        self._due = self._high = self._low = None
        self._beside = 0
        return left

    def _turn_over(self) -> None:
        """Move what was filled behind what is being emptied."""
        arrived, next_ones = self.arrived, self.next_ones
        if not next_ones:  # the usual case: no slice, which costs more than all of this
            self.since = self.since_in
            next_ones.extend(arrived)
            next_ones.reverse()
            arrived.clear()
        elif arrived:
            next_ones[:0] = arrived[::-1]
            arrived.clear()

    def _lane(self, priority: int) -> Lane:
        """The one for messages of a priority that is not normal."""
        if priority < Priority.NORMAL:
            if self._high is None:
                self._high = deque()
            return self._high
        if self._low is None:
            self._low = deque()
        return self._low

    def _remove_beside(self, lane: Lane | None, wanted: Callable[[object], bool]) -> object | None:
        for place, (_, item) in enumerate(lane or ()):
            if lane is not None and wanted(item):
                del lane[place]
                self._beside -= 1
                return item
        return None


@define(eq=False)
class Aside:
    """The messages that were put aside, in that order, the types of which all are, and what is parked."""

    items: list[object] = field(factory=list[object])
    kinds: tuple[type, ...] = ()
    parked: ParkedMessages | None = None
    """Those whose handlers wait."""

    def wants(self, item: object) -> bool:
        """Whether this message is put aside as it comes."""
        return _is_one(item, self.kinds)

    def parking(self) -> ParkedMessages:
        """Where messages are put aside whose handlers wait, and events for which none does."""
        if self.parked is None:
            from .parked import ParkedMessages  # few agents wait

            self.parked = ParkedMessages()
        return self.parked

    def forget_parked(self) -> list[Envelope]:
        """Take out those, in order, and the events behind them; nothing calls for them any more."""
        parked, self.parked = self.parked, None
        if parked is not None and parked.alarm is not None:
            parked.alarm.cancel()
        return [] if parked is None else [*parked, *parked.events.values()]

    def release(self, kinds: tuple[type, ...]) -> list[object]:
        """Give up what is of these types, or everything, and put no more of it aside."""
        released = [item for item in self.items if not kinds or _is_one(item, kinds)]
        self.items = [item for item in self.items if kinds and not _is_one(item, kinds)]
        self.kinds = tuple(kind for kind in self.kinds if kinds and kind not in kinds)
        return released


def _is_one(item: object, kinds: tuple[type, ...]) -> bool:
    return isinstance(item.body if isinstance(item, Envelope) else item, kinds)
