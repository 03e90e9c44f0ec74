"""What all refs of one tree share: when a sender has gone on for long enough, and the limits of asks."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Final, Protocol, TypeAlias, TypeVar

import trio
from trio.lowlevel import cancel_shielded_checkpoint, checkpoint, checkpoint_if_cancelled, current_clock

from .asking import Answer
from .core.message import Envelope
from .core.path import ROOT, Path
from .core.said import shown
from .errors import ConfigurationError, NoSuchSlot
from .ports import Alarms
from .room import Place
from .slice import Rounds
from .slot import Slot
from .stopwatch import stopwatch

__all__ = [
    "SENT_PER_CHECKPOINT",
    "Beginning",
    "Limited",
    "Traffic",
    "deadline_of",
    "in_on_start",
    "is_starting",
]

Found = TypeVar("Found")
SENT_PER_CHECKPOINT: Final = 32
_ROUND: Final = 0.004
"""Seconds that all senders together keep the loop, if none of their messages takes longer. Half of it would make a
hundred askers slower by a tenth."""
_BUCKETS_PER_SECOND: Final = 64
_AHEAD: Final = 32.0
"""Seconds for which there is a bucket for each 1/64 s. Beyond they are wider: a bucket stays until its time has come,
whoever has left it, and of an hour there would be 230,400."""
_NEVER: Final = 1e300
"""A deadline as good as infinite: what is counted in buckets has to stay finite."""
_ALWAYS_OVER: Final = -_NEVER
in_on_start: Final = ContextVar[trio.Event | None]("in_on_start", default=None)
"""Set when the `on_start` is over in which this runs, or in which a task was begun that is no helper."""


def is_starting() -> bool:
    """Whether an `on_start` waits for what is done here, and with it those who are to start behind it."""
    over = in_on_start.get()
    return over is not None and not over.is_set()


class Limited(Protocol):
    """Somebody who waits until a limit."""

    def expire(self) -> None:
        """The limit has passed."""
        ...


Bucket: TypeAlias = dict[Limited, None]


def deadline_of(now: float, within: float, path: Path) -> float:
    """`within` seconds from `now`. Raises `ConfigurationError` for what is no number of seconds."""
    try:
        deadline = now + within
        if deadline > _ALWAYS_OVER:
            return deadline
    except (TypeError, OverflowError):
        pass
    raise ConfigurationError(
        f"{path}: within is {shown(within)}; give seconds, or math.inf to wait as long as it takes"
    )


class Beginning:
    """What starts, a tree or what a reload brings: whoever has begun may speak to somebody who comes later, and waits
    for that."""

    def __init__(self, is_there: Callable[[Path], bool]) -> None:
        self._is_there = is_there
        self._more = trio.Event()
        self._going_on: list[_Start] = []

    @contextmanager
    def of(self, paths: Callable[[], Collection[Path]], *, whole: bool) -> Generator[None]:
        """In the block these start; of a `whole` tree all or nobody."""
        start = _Start(paths, whole)
        self._going_on.append(start)
        try:
            yield
        finally:
            self._going_on.remove(start)
            self.goes_on()

    def goes_on(self) -> None:
        """There are more who can be told something, or some are not to come any more."""
        self._more.set()
        self._more = trio.Event()

    def fails_below(self, path: Path) -> None:
        """Who has not begun there is not to come: a supervisor ends whom it has started so far."""
        for start in self._going_on:
            start.failed.append(ROOT if start.whole else path)
        self.goes_on()

    async def comes(self, path: Path) -> bool:
        """Wait until somebody at `path` can be told something; whether that has come to be."""
        if self._is_there(path):
            return False
        while not self._is_there(path) and any(start.brings(path) for start in self._going_on):
            await self._more.wait()
        return self._is_there(path)


class _Start:
    """Of a tree, or of what a reload brings."""

    def __init__(self, paths: Callable[[], Collection[Path]], whole: bool) -> None:
        self.paths = paths
        """Of all who are to come, and of those who have."""
        self.whole = whole
        self.failed: list[Path] = []

    def brings(self, path: Path) -> bool:
        return path in self.paths() and not any(path.is_within(each) for each in self.failed)


class Traffic:
    """One per tree."""

    __slots__ = ("_alarms", "_buckets", "_form", "_rounds", "beginning", "now", "sent", "share", "since", "stopwatch")

    def __init__(self, alarms: Alarms, beginning: Beginning | None = None) -> None:
        self.now = current_clock().current_time
        self.stopwatch = stopwatch(self.now)
        self._alarms = alarms
        self._buckets: dict[int, Bucket] = {}
        self._form: Answer | None = None
        self.beginning = beginning
        self.sent = 0
        """Messages since the last checkpoint that a sender made, of all senders together: between two of one sender
        that run without a checkpoint nobody else can have sent anything."""
        self.since = 0.0
        """When that was, by the stopwatch."""
        self._rounds = Rounds(self.stopwatch, _ROUND)
        self.share = self._rounds.length
        """Seconds for which senders go on before the next checkpoint: the less, the more of them there are."""

    async def until_there(self, missing: NoSuchSlot, within: float) -> float:
        """Wait for who is `missing` while he is to start; the seconds that are left of `within` when he is there.

        Raises `missing` where nobody is to come there, or not in time, or only when the `on_start` has returned that
        would wait for it.
        """
        now, came = self.now(), False
        if self.beginning is not None and not is_starting():
            with trio.move_on_at(deadline_of(now, within, missing.path)):
                came = await self.beginning.comes(missing.path)
        if not came:
            raise missing
        return within - (self.now() - now)

    async def once_there(self, look: Callable[[], Found], within: float) -> Found:
        """What `look` finds, be it only when he is there who is to start: see `until_there`."""
        while True:
            try:
                return look()
            except NoSuchSlot as missing:
                within = await self.until_there(missing, within)

    async def pace(self) -> None:
        """After an ask that did not wait: a checkpoint after every 32nd and when its share of time is over, else a look
        at whether the asker was cancelled."""
        self.sent += 1
        if self.sent >= SENT_PER_CHECKPOINT or self.stopwatch() - self.since > self.share:
            await self.give_way()
        else:
            await checkpoint_if_cancelled()

    async def pace_once_sent(self) -> None:
        """After a tell that did not wait: lets others run as often as `pace`, but is no place to be cancelled."""
        self.sent += 1
        if self.sent >= SENT_PER_CHECKPOINT or self.stopwatch() - self.since > self.share:
            await self.give_way_once_sent()

    async def give_way(self) -> None:
        """A checkpoint."""
        number = self._end_slice()
        await checkpoint()
        self._go_on(number)

    async def give_way_once_sent(self) -> None:
        """Let others run, but be no place to be cancelled: what was sent cannot be taken back."""
        number = self._end_slice()
        await cancel_shielded_checkpoint()
        self._go_on(number)

    def _end_slice(self) -> int:
        self.sent = 0
        return self._rounds.end_slice(self.stopwatch() - self.since)

    def _go_on(self, number: int) -> None:
        rounds = self._rounds
        rounds.go_on(number)
        self.share = rounds.length
        self.since = self.stopwatch()

    def form(self, slot: Slot, message: object, now: float, within: float) -> Answer:
        """A place for the answer to an ask that nobody else waits for; one that was put back, if there is one."""
        answer, self._form = self._form, None
        if answer is None:
            return Answer(slot, Envelope(message, deadline=deadline_of(now, within, slot.path)), within, None)
        answer.slot = slot
        answer.within = within
        envelope = answer.envelope
        envelope.body = message
        envelope.deadline = deadline_of(now, within, slot.path)
        return answer

    def put_back(self, answer: Answer) -> None:
        """What `form` gave, if nobody else has got hold of it: most asks are answered at once, and need none."""
        answer.envelope.body = None
        self._form = answer

    def limit(self, waiting: Limited, deadline: float | None, ahead: float) -> Bucket | None:
        """Call `waiting.expire()` at `deadline`, in the clock of the loop, or up to 1/64 s later; where it was `ahead`
        by more than half a minute when somebody began to wait, up to a thousandth of that time.

        Take it out of the bucket that is returned to call it off; so a limit that is not reached costs one entry of a
        dict and no timer. None: the limit never comes.
        """
        if deadline is None or deadline >= _NEVER:
            return None
        step = 1 if ahead < _AHEAD else 1 << math.frexp(ahead / _AHEAD)[1]
        number = math.ceil(deadline * _BUCKETS_PER_SECOND / step) * step
        bucket = self._buckets.get(number)
        if bucket is None:
            bucket = self._buckets[number] = {}
            self._alarms.at(number / _BUCKETS_PER_SECOND, partial(self._expire, number))
        bucket[waiting] = None
        return bucket

    async def until(self, deadline: float, place: Place) -> bool:
        """Wait in a place for room until `deadline`, as exactly as `limit` has it; whether there is room."""
        bucket = self.limit(place, deadline, deadline - self.now())
        try:
            return await place.wait()
        finally:
            self.sent, self.since = 0, self.stopwatch()  # it has waited, and so has everybody who sends from now on
            if bucket is not None:
                bucket.pop(place, None)

    def _expire(self, number: int) -> None:
        for waiting in list(self._buckets.pop(number)):
            waiting.expire()
