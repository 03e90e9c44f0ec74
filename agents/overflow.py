"""What a full mailbox does with one message more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import chain

from .core.durability import MailboxSpec, Overflow
from .core.lanes import Lanes
from .core.message import Envelope, Priority
from .core.path import Path
from .core.said import plural
from .errors import MailboxFull

__all__ = ["Bounded", "kind_of"]


class Bounded(Lanes):
    """Lanes with an address and a policy for when they are full. It counts what comes, and what is given up."""

    __slots__ = ("_dropped_kinds", "come", "dropped", "most", "on_drop", "path", "spec")

    def __init__(self, path: Path, spec: MailboxSpec, now: Callable[[], float]) -> None:
        super().__init__(now)
        self.path = path
        self.spec = spec
        self.most = spec.capacity
        """Messages that it holds where nothing limits its intake; as many as it takes now says `spec`."""
        self.come: int = 0
        """Messages that have come, and those that may without a look at how full it is."""
        self.dropped = 0
        self.on_drop: Callable[[object, str], None] | None = None
        """Gets every message that the overflow policy gives up, and why."""
        self._dropped_kinds: Counter[str] | None = None

    def _make_room(self, item: object, priority: int, overflow: Overflow) -> bool:
        """Apply the policy of a full mailbox that does not wait. False: `item` itself was dropped."""
        if not _is_ask(item):
            if overflow is Overflow.DROP_OLDEST:
                if self._drop_oldest(priority):
                    return True
            elif overflow is Overflow.DROP_NEWEST:
                self._drop(item, "the mailbox was full: the newest was dropped")
                return False
        raise MailboxFull(
            f"{self.path}: its mailbox is full ({plural(self.spec.capacity, 'message')}, policy {overflow.value}); "
            f"send less, raise mailbox.capacity, or {_waiting(overflow)}",
            path=self.path,
            retry_safe=True,
        )

    def _drop_oldest(self, priority: int) -> bool:
        """Give up the oldest told message that waits, of this priority or a lower one. False: there is none."""
        victim = self.remove_oldest(priority, _is_tell)
        if victim is not None:
            self._drop(victim, "the mailbox was full: the oldest made room")
        return victim is not None

    def _none_gives_way(self, item: object, priority: int) -> bool:
        """Whether `item` was told, and `_drop_oldest` would find nothing for it."""
        lanes = [each for each in (Priority.HIGH, Priority.NORMAL, Priority.LOW) if each >= priority]
        return not _is_ask(item) and not any(map(_is_tell, chain.from_iterable(map(self.of_priority, lanes))))

    def _mergeable(self, item: object, priority: int) -> bool:
        """Whether a message of its kind and priority waits, whose place `item` can take."""
        like = _like(item)
        return not _is_ask(item) and any(like(waiting) for waiting in self.of_priority(priority))

    def _merge(self, item: object, priority: int) -> bool:
        """Replace the last waiting message of the same kind and priority, so that none overtakes an older one of it.
        False: there is none."""
        if _is_ask(item):
            return False
        victim = self.replace(priority, _like(item), item)
        if victim is None:
            return False
        self.come += 1
        self._drop(victim, "a newer message of its kind replaced it")
        return True

    def _drop(self, item: object, why: str) -> None:
        self.dropped += 1
        if self._dropped_kinds is None:
            self._dropped_kinds = Counter()
        self._dropped_kinds[kind_of(item)] += 1
        if self.on_drop is not None:
            self.on_drop(item, why)


def _waiting(overflow: Overflow) -> str:
    """How a sender comes to wait for room, for one who does not."""
    if overflow in (Overflow.WAIT, Overflow.COALESCE):
        return "await tell() to wait for room"
    return "set mailbox.overflow to wait: who sends waits for room then"


def _is_ask(item: object) -> bool:
    return type(item) is Envelope and item.reply is not None


def _is_tell(item: object) -> bool:
    return not _is_ask(item)


def _like(item: object) -> Callable[[object], bool]:
    """What has a message of the same kind as `item`, and nobody waiting for its reply."""
    kind = type(_body(item))
    return lambda waiting: type(_body(waiting)) is kind and not _is_ask(waiting)


def kind_of(item: object) -> str:
    """The name of the type of a message, however it waits."""
    return type(_body(item)).__qualname__


def _body(item: object) -> object:
    return item.body if type(item) is Envelope else item
