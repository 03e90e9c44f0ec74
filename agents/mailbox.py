"""The mailbox of a slot: bounded, in lanes, and outliving the incarnations that read it.

A message leaves a lane only by a synchronous `take()`, and a reader parks only when there is nothing to take; so
cancelling a park, a kill or a restart can neither lose nor repeat a message. Only public `trio.lowlevel` names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from trio.lowlevel import (
    Abort,
    Task,
    checkpoint,
    current_task,
    enable_ki_protection,
    reschedule,
    wait_task_rescheduled,
)

from .core.durability import MailboxSpec, Overflow
from .core.lanes import Aside
from .core.message import CAME_BACK, Envelope, Priority
from .core.path import Path
from .core.said import shown
from .errors import AgentStopped, ConfigurationError, IntakeClosed, MailboxFull
from .intake import Intake, LeftBehind
from .overflow import kind_of
from .wake import SLEEP, WAKE

if TYPE_CHECKING:
    from .core.parked import ParkedMessages
    from .statistics import MailboxStatistics

__all__ = ["Leave", "Mailbox"]

_NORMAL: Final = Priority.NORMAL


class Mailbox(Intake):
    """A bounded queue with one reader at a time. Control traffic is unbounded, goes first and is never dropped."""

    __slots__ = ("_aside", "_control", "_paused", "reader", "rouse")

    def __init__(self, path: Path, spec: MailboxSpec, now: Callable[[], float]) -> None:
        super().__init__(path, spec, now)
        self.rouse: Callable[[], object] | None = None
        """Called once when something arrives and nobody reads (a hibernated incarnation)."""
        self._control: list[object] | None = None
        self.reader: Task | None = None
        """Who is parked until something comes; only after `take` had nothing."""
        self._paused: dict[str, None] | None = None
        self._aside: Aside | None = None

    def __str__(self) -> str:
        return self.path

    # -- what it is like

    @property
    def at_rest(self) -> bool:
        """Whether nothing waits here or was put aside, and nobody waits to get in or has been promised room."""
        return not len(self) and not self.reserved and not self._room and not self.stashed

    @property
    def paused(self) -> bool:
        return bool(self._paused)

    @property
    def has_work(self) -> bool:
        """Whether `take` would return something."""
        if self.arrived or self.next_ones or self._beside or self._due:
            return not self._paused or bool(self._control)
        return bool(self._control)

    @property
    def has_control(self) -> bool:
        """Whether control traffic waits."""
        return bool(self._control)

    @property
    def orders(self) -> tuple[object, ...]:
        """The control traffic that waits."""
        return tuple(self._control or ())

    @property
    def is_idle(self) -> bool:
        """Whether its reader is parked, and nothing keeps it from taking whatever would come next."""
        waits = self.arrived or self.next_ones
        return self.reader is not None and self.simple and not waits and self.closed is None

    def statistics(self) -> MailboxStatistics:
        """Counts as they are now; costs nothing that the mailbox would not have kept anyway."""
        from .statistics import MailboxStatistics, set_aside  # when somebody asks

        return MailboxStatistics(
            depth=len(self),
            capacity=self.spec.capacity,
            reserved=self.reserved,
            senders_waiting=len(self._room or ()),
            oldest=self.oldest,
            accepted=self.accepted,
            dropped=self.dropped,
            paused=tuple(self._paused or ()),
            stashed=self.stashed,
            waiting=Counter(kind_of(item) for item in self),
            dropped_kinds=Counter(self._dropped_kinds),
            **set_aside(self.parked),
        )

    # -- putting

    def put_control(self, item: object) -> None:
        """Hand something to the reader before all messages of users. Never refused."""
        if self._control is None:
            self._control = []
        self._control.append(item)
        self.simple = False
        self._wake(control=True)

    def put_due(self, tick: object) -> None:
        """Hand a tick to the reader before all messages of users, when it is not paused. Capacity does not apply."""
        self.add_due(tick)
        self.simple = False
        self._wake()

    def put_plain(self, item: object) -> None:
        """Queue a message of normal priority, for which there is room for sure."""
        self.sure -= 1
        if not self.arrived:
            self.since_in = self.now()
        self.arrived.append(item)
        reader = self.reader
        if reader is not None and self.simple:
            self.reader = None
            reschedule(reader, WAKE)
        elif reader is not None or self.rouse is not None:
            self._wake()

    def put_nowait(self, item: object, priority: int = _NORMAL) -> None:
        """Queue a message at once. Raises `MailboxFull`, `AgentStopped` or `IntakeClosed`; a policy that drops raises
        nothing."""
        if self.closed is not None:
            self._refuse(item)
        if len(self.arrived) + len(self.next_ones) + self._beside + self.reserved >= self.spec.capacity:
            if self.spec.overflow is Overflow.COALESCE and self._merge(item, priority):
                return
            if not self._make_room(item, priority, self.spec.overflow):
                return
        self.come += 1
        self._put(item, priority)

    def put_back(self, items: list[Any]) -> None:
        """Return messages to the head of those of their priority, in their order, whatever the capacity: they had been
        accepted before."""
        self._look_again()
        self.prepend(items)
        if self._beside:
            self.simple = False
        self._wake()

    def restock(self, item: object, priority: int = Priority.NORMAL) -> None:
        """Queue a message that the journal had accepted in an earlier life: capacity does not apply."""
        self._put(item, priority)

    # -- taking

    def take(self) -> object | None:
        """The next item, or None: control first, then ticks, high, normal, low. Only control while paused."""
        if self.simple:
            next_ones = self.next_ones
            if not next_ones:
                arrived = self.arrived
                if len(arrived) < 2:
                    return arrived.pop() if arrived else None
                self.since = self.since_in
                next_ones.extend(arrived)
                next_ones.reverse()
                arrived.clear()
            return next_ones.pop()
        if self._control:
            return self._control.pop(0)
        if self._paused:
            return None
        if self._aside is not None and self._aside.kinds and not self._due:
            item = self._sifted(self._aside)
        else:
            item = self.pop()
        if self._room:
            self._admit()
        sifts = self._aside is not None and bool(self._aside.kinds)
        self.simple = not (self._due or self._high or self._low or self._room or sifts)
        return item

    @enable_ki_protection  # or a message would wake a task that does not wait
    async def wait(self) -> None:
        """Park until there may be something to take. A checkpoint. Cancelled: nothing was taken."""
        if self.has_work:
            await checkpoint()
            return
        task = self.reader = current_task()
        await wait_task_rescheduled(Leave(self, task))

    def leave(self, task: Task) -> Abort:
        """A parked reader is cancelled. One that was fenced off must not take the place of the one after it."""
        if self.reader is task:
            self.reader = None
        return Abort.SUCCEEDED

    def dismiss(self) -> None:
        """Wake the reader although there is nothing to take: it has no business here any more."""
        reader, self.reader = self.reader, None
        if reader is not None:
            reschedule(reader, WAKE)

    def send_to_sleep(self) -> None:
        """Wake the reader to give its task back, if nothing has come by then. What comes meanwhile waits for it."""
        reader, self.reader = self.reader, None
        if reader is not None:
            reschedule(reader, SLEEP)

    # -- putting aside

    @property
    def stashed(self) -> int:
        """How many messages were put aside."""
        return 0 if self._aside is None else len(self._aside.items)

    def is_aside(self, item: object) -> bool:
        """Whether this very message was put aside."""
        return self._aside is not None and any(each is item for each in self._aside.items)

    def stash(self, item: object) -> None:
        """Put one message aside. One that is too many is dropped; control and ticks are not for this."""
        if self._aside is None:
            self._aside = Aside()
        if len(self._aside.items) < self.spec.capacity:
            self._aside.items.append(item)
            return
        text = f"{self.path}: as many messages as it holds ({self.spec.capacity}) were put aside, and this is one more"
        if type(item) is Envelope and item.reply is not None:
            item.reply(None, MailboxFull(text, path=self.path, retry_safe=True))
        else:
            self._drop(item, "too many messages were put aside")

    def set_aside(self, kinds: tuple[type, ...]) -> None:
        """Put all messages of these types aside as they are taken. Raises `ConfigurationError` for what is no type: who
        takes a message would find out, and that would be lost."""
        for kind in kinds:
            if not isinstance(kind, type):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ConfigurationError(f"{self.path}: {shown(kind)} is no type of messages; stash takes classes")
        if self._aside is None:
            self._aside = Aside()
        self._aside.kinds = (*self._aside.kinds, *kinds)
        self.simple = False

    def unstash(self, kinds: tuple[type, ...] = ()) -> int:
        """Return what was put aside, of these types if any are given, to the head in its order; how many that were."""
        if self._aside is None:
            return 0
        items = self._aside.release(kinds)
        if items:
            self.put_back(items)
        return len(items)

    # -- parking

    @property
    def parked(self) -> ParkedMessages | None:
        """The messages whose handlers wait; None if there never were any."""
        return None if self._aside is None else self._aside.parked

    def parking(self) -> ParkedMessages:
        """Where messages wait aside of what is taken, until somebody takes them out of there."""
        if self._aside is None:
            self._aside = Aside()
        return self._aside.parking()

    def come_back(self, items: list[Envelope]) -> None:
        """Return messages that were parked, in their order: before those that wait, behind those that came back before,
        whatever the capacity."""
        self._look_again()
        for item in items:
            item.deadline = CAME_BACK
        for _, same in groupby(items, key=lambda item: item.priority):
            self.insert(list(same), _came_back)
        if self._beside:
            self.simple = False
        self._wake()

    def forget_parked(self) -> list[Envelope]:
        """Take out all that is parked, in order."""
        return [] if self._aside is None else self._aside.forget_parked()

    def _sifted(self, aside: Aside) -> object | None:
        """The first message that is not to be put aside; those before it are."""
        item = self.pop()
        while item is not None and aside.wants(item):
            self.stash(item)
            item = self.pop()
        return item

    # -- pausing and closing

    def pause(self, why: str) -> None:
        """Hand out neither messages nor ticks until `resume(why)`. Reasons add up."""
        if self._paused is None:
            self._paused = {}
        self._paused[why] = None
        self.simple = False

    def resume(self, why: str) -> None:
        """Take one reason to pause away."""
        if self._paused and why in self._paused:
            del self._paused[why]
            if not self._paused:
                self._paused = None
                if self.has_work:
                    self._wake()

    def forget_orders(self) -> None:
        """Drop control traffic and ticks: they were for an incarnation that has ended."""
        self._control = self._due = None

    def close(self, error: AgentStopped) -> list[object]:
        """End for good: senders that wait get an error like `error`; returns what was left, in order. Where it was
        drained or left behind, what is on disk stays, until somebody lives here again, or it is gone for good."""
        keeps, self.closed = isinstance(self.closed, IntakeClosed) or isinstance(error, LeftBehind), error
        self._look_again()
        self._control = None
        left, aside, self._aside = self.clear(), self._aside, None
        if aside is not None:
            left = [*aside.items, *left]
            if keeps and aside.parked is not None:
                self._aside = Aside(parked=aside.parked)
            else:
                left = [*aside.forget_parked(), *left]
        if keeps:
            self.prepend([item for item in left if _is_on_disk(item)])
            left = [item for item in left if not _is_on_disk(item)]
        while self._room:
            self._room.popleft().fail(self._ended())
        return left

    def reopen(self) -> None:
        """Take messages again, for somebody lives here once more, perhaps under another spec. A drain goes on."""
        if self.closed is not None and self.ended:
            self.closed = None
        self._look_again()
        if self._room:
            self._admit()

    # -- inside

    def _put(self, item: object, priority: int) -> bool:
        self._look_again()
        if priority == Priority.NORMAL:
            if not self.arrived:
                self.since_in = self.now()
            self.arrived.append(item)
        else:
            self.append(item, priority)
            self.simple = False
        return (self.reader is not None or self.rouse is not None) and self._wake()

    def _wake(self, *, control: bool = False) -> bool:
        if self._paused and not control:
            return False
        reader = self.reader
        if reader is not None:
            self.reader = None
            reschedule(reader, WAKE)
        elif self.rouse is not None:
            rouse, self.rouse = self.rouse, None
            rouse()
        return True


def _is_on_disk(item: object) -> bool:
    return type(item) is Envelope and item.row is not None and item.reply is None


def _came_back(item: object) -> bool:
    return type(item) is Envelope and item.deadline == CAME_BACK


class Leave:
    """What trio calls when a parked reader is cancelled: `leave`, in a quarter of the memory of a `partial`."""

    __slots__ = ("_mailbox", "_task")

    def __init__(self, mailbox: Mailbox, task: Task) -> None:
        self._mailbox = mailbox
        self._task = task

    def __call__(self, _: object) -> Abort:
        return self._mailbox.leave(self._task)
