"""A thread that notices when a handler blocks the loop, and says which agent, which handler and which line."""

from __future__ import annotations

import logging
import math
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Final

import trio
from attrs import evolve

from treewarden.agents.core.exit import is_standard
from treewarden.agents.core.path import Path
from treewarden.agents.core.values import frozen
from treewarden.agents.life import Life
from treewarden.agents.stopwatch import is_mocked
from treewarden.agents.wake import call_in_loop

from .child import Child, Incarnation
from .core.event import SignalNoted
from .core.signal import Reported
from .journal.give_way import GiveWay

if TYPE_CHECKING:
    from .common import Common

__all__ = ["Blocked", "LoopWatch", "runs_in_real_time", "signal_block"]

_LOG: Final = logging.getLogger("treewarden")
_AGENTS: Final = Life.__module__.removesuffix("life")
_PRODUCT: Final = Life.__module__.partition(".")[0] + "."


@frozen
class Blocked:
    """The loop did not turn for a while, and this was running."""

    path: Path | None
    """The slot whose handler it was; None where the loop was held up by something else."""
    handler: str
    """The function that the runner had called."""
    line: str
    """`file:line in function` of the innermost frame that is not of Python itself."""
    seconds: float
    policy: str = ""
    """The policy that decided about the slot, where that is what took so long."""

    def __str__(self) -> str:
        who, remedy = "something that is no handler", "await, or use trio.to_thread"
        if self.policy:
            who, remedy = f"{self.path}: its policy {self.policy} ({self.handler})", "a policy has to answer at once"
        elif self.path is not None:
            who = f"{self.path}: {self.handler}" if self.handler else f"{self.path}"
        return f"{who} has blocked the loop for {self.seconds:.2g} s, at {self.line}; {remedy}"


@frozen
class Holder:
    """Who was running when the thread looked, while the loop did not turn."""

    who: Blocked | None
    since: float
    began: ProcessorUse
    """What the loop's thread had had by then."""
    named: bool
    """Whether nothing is left to be said of it."""

    def is_the_same(self, seen: Blocked | None) -> bool:
        """Whether it is still the same handler, be it at another line."""
        if self.who is None or seen is None:
            return self.who is seen
        return (self.who.path, self.who.handler) == (seen.path, seen.handler)


class LoopWatch:
    """Asks the loop for a sign of life from a thread of its own; costs the loop one callback each time, and no more.

    A blocked loop is logged once, at most `limit` + 0.25 seconds after it began, and reported to `found` in the loop
    when it turns again; so is each handler that blocks it behind another one, before it has turned. It cannot be ended
    from here: nothing in a process can. Code that keeps the interpreter's lock meanwhile (a regular expression, a long
    sort) keeps this thread from running too, and is named when it is over, on Linux. A busy machine is no blocked loop:
    seconds for which the loop's thread had no processor do not count, and a sample that was late for want of one is
    thrown away; so is one of a process that was stopped (SIGSTOP, a container that is paused), in which the loop's
    thread has used no processor. Only Linux says so; elsewhere a starved loop is a blocked one.
    Sources: `sys._current_frames`, `sys.setswitchinterval`, `Documentation/scheduler/sched-stats.rst` of Linux.
    """

    def __init__(self, found: Callable[[Blocked], None], *, limit: float = 0.5) -> None:
        self._found = found
        self._limit = limit
        self._beat = 0
        self._ended = threading.Event()
        self._loop_thread = threading.get_ident()
        self._loop_id = threading.get_native_id()
        self._turned_at = time.monotonic()
        self._token = trio.lowlevel.current_trio_token()
        self._thread = threading.Thread(target=self._watch, name="treewarden loop watch", daemon=True)

    def start(self) -> None:
        """Begin to watch the loop of the task that made this."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; it is gone when this returns."""
        self._ended.set()
        self._thread.join()

    def _turned(self) -> None:
        self._beat += 1
        self._turned_at = time.monotonic()

    def _watch(self) -> None:
        pause = self._limit / 2
        while True:
            beat, asked = self._beat, time.monotonic()
            if not call_in_loop(self._token, self._turned, idempotent=True):
                return
            named, wait = None, pause
            woke, queued, loop_began = asked, processor_use().queued, processor_use(self._loop_id)
            while not self._ended.wait(wait):
                now, queued_now = time.monotonic(), processor_use().queued
                answered = self._beat != beat
                loop_now = processor_use(self._loop_id)
                waited = now - self._turned_at if answered else loop_now.held(now - asked, loop_began)
                late = now - woke - wait - (queued_now - queued) >= self._limit
                in_time = not late and not answered and waited < 3 * self._limit
                locked_out = late and not loop_now.ran - loop_began.ran < self._limit
                if self._ended.is_set():  # the loop is at the end of its watch, and no longer where it was held up
                    return
                if named is not None:
                    if not (late or answered):
                        named = self._next(named, now, loop_now)
                elif waited >= self._limit and (in_time or locked_out):
                    named = Holder(self._report(waited), now, loop_now, True)
                if answered:
                    break
                wait, woke, queued = pause / 2, now, queued_now
            else:
                return

    def _report(self, seconds: float) -> Blocked | None:
        blocked = self._seen(seconds)
        if blocked is not None:
            _LOG.warning("%s", blocked)
            call_in_loop(self._token, self._found, blocked)
        return blocked

    def _next(self, before: Holder, now: float, loop_now: ProcessorUse) -> Holder:
        """Who holds up the loop now that somebody was named for it: another one, who ran behind that before it could
        turn, is named as well, or the log would blame the first for ever."""
        seen = self._seen(0.0)
        if not before.is_the_same(seen):
            return Holder(seen, now, loop_now, seen is None)
        if not before.named and (seconds := loop_now.held(now - before.since, before.began)) >= self._limit:
            return evolve(before, who=self._report(seconds), named=True)
        return before

    def _seen(self, seconds: float) -> Blocked | None:
        frames = sys._current_frames()  # pyright: ignore[reportPrivateUsage]  # documented, whatever its name
        frame = frames.get(self._loop_thread)
        return None if frame is None else where(frame, seconds)


def where(frame: FrameType, seconds: float) -> Blocked | None:
    """What a stack of the loop's thread was doing; None for a loop that waits for its next event, as it should, or
    gives way to the journal, and for a supervisor that is at its own work, as when it starts very many children."""
    line, callee = _line(frame), ""
    step: FrameType | None = frame
    while step is not None:
        module = str(step.f_globals.get("__name__", ""))
        if not module.startswith(_PRODUCT):
            callee = step.f_code.co_qualname
        elif (path := _subject(step, module)) is not None:
            policy = step.f_locals.get("policy") if module.endswith(".judge") else None
            if not callee and not module.startswith(_AGENTS):
                return None
            if policy is None:
                return Blocked(path, callee, line, seconds)
            from .core.fallback import name_of  # which whoever asks a policy has imported

            return Blocked(path, callee, line, seconds, name_of(policy))
        step = step.f_back
    if frame.f_globals.get("__name__", "").startswith(("trio.", GiveWay.__module__)):
        return None
    return Blocked(None, "", line, seconds)


def _line(frame: FrameType) -> str:
    """The innermost line that is not of Python itself, or the innermost one."""
    step: FrameType | None = frame
    while step is not None and is_standard(step.f_code.co_filename):
        step = step.f_back
    told = step or frame
    return f"{'/'.join(told.f_code.co_filename.split('/')[-2:])}:{told.f_lineno} in {told.f_code.co_name}"


def _subject(frame: FrameType, module: str) -> Path | None:
    """The slot that a frame of ours is about; None if that is not to be seen from it."""
    known = frame.f_locals
    if module.startswith(_AGENTS):
        life = known.get("life")
        return life.slot.path if isinstance(life, Life) else None
    for name in ("child", "self"):
        if isinstance(about := known.get(name), (Child, Incarnation)):
            return about.path if isinstance(about, Child) else about.child.path
    return None


@frozen
class ProcessorUse:
    """What the system says a thread had of its processors so far, in seconds.

    Where it does not say it they are endless, so that the difference of two is no number, and not above any limit.
    """

    ran: float = math.inf
    queued: float = math.inf
    """For which it could have run and had no processor; the wait that it is in now is not in it yet."""
    waits: bool = True
    """Whether it is asleep now, and neither runs nor could."""

    def held(self, seconds: float, began: ProcessorUse) -> float:
        """Of the seconds since `began`, those for which the thread was not just kept from running: never too many."""
        if self.ran == math.inf:
            return seconds
        return seconds - (self.queued - began.queued) if self.waits else self.ran - began.ran


def processor_use(thread: int = 0) -> ProcessorUse:
    """Of a thread of this process by its native id; 0 is the calling one."""
    folder = f"/proc/self/task/{thread or threading.get_native_id()}"
    try:
        with open(f"{folder}/stat", "rb") as file:
            waits = not file.read().rpartition(b") ")[2].startswith(b"R")
        with open(f"{folder}/schedstat", "rb") as file:
            ran, queued, _ = file.read().split()
        return ProcessorUse(int(ran) / 1e9, int(queued) / 1e9, waits)
    except (OSError, ValueError):
        return ProcessorUse()


def runs_in_real_time() -> bool:
    """Whether trio's clock is the real one: a thread has nothing to say about simulated time."""
    return not is_mocked(trio.lowlevel.current_clock())


def signal_block(common: Common, blocked: Blocked) -> None:
    """Make a signal of a blocked loop, about the slot whose handler it was."""
    if blocked.path is None:
        return
    if blocked.policy:  # a signal would have it decide once more
        facts = {"policy": blocked.policy, "line": blocked.line, "seconds": round(blocked.seconds, 3)}
        from .core.fallback import SLOW

        common.note(SignalNoted(path=blocked.path, kind=SLOW, severity=0.8, text=str(blocked), facts=facts))
        return
    supervisor = common.supervisors.get(blocked.path.parent)
    if supervisor is not None:
        signal = Reported(
            path=blocked.path,
            at=common.clock.now(),
            kind="loop_blocked",
            severity=0.8,
            text=str(blocked),
            facts={"handler": blocked.handler, "line": blocked.line, "seconds": round(blocked.seconds, 3)},
        )
        supervisor.post(signal)
