"""For tests of agents: one message through the real runner without a tree, and a clock that is moved by hand."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from contextvars import Context
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar, cast, overload

import trio
from attrs import define, field, frozen

from .agent import Agent, overrides
from .asking import waits_for_itself
from .core.approval import End
from .core.durability import MESSAGE, VOLATILE, Durability, MailboxSpec, Volatile
from .core.ended import Ended
from .core.exit import Exit, Failure, Finished, Stopped
from .core.loops import Cycle
from .core.message import Envelope, Priority, Request, asks_itself
from .core.path import Path
from .core.step import Done
from .core.wait import Wait
from .errors import ConfigurationError, NotHandled, Stop
from .handling import handle
from .life import Life
from .ports import KEEP, Untouched
from .ref import Ref
from .runner import start_agent
from .settle import settle_beside
from .slot import Slot, current_turn
from .tested import Kept, check_left
from .ticks import Tick
from .traffic import Traffic

__all__ = ["Effected", "HandlerRun", "ManualClock", "Signalled", "Tick", "Told", "run_handler"]

S = TypeVar("S")
R = TypeVar("R")

Answers: TypeAlias = Callable[[Path, Any], Any]


class ManualClock:
    """A `Clock` and `Alarms` in one: time stands still until `advance`, which calls what comes due, in order."""

    def __init__(self, *, now: float = 0.0, wall: float = 0.0) -> None:
        self._now = now
        self._wall = wall
        self._order = itertools.count()
        self._alarms: list[tuple[float, int, _Alarm]] = []

    def now(self) -> float:
        return self._now

    def wall(self) -> float:
        return self._wall

    def at(self, when: float, call: Callable[[], None]) -> _Alarm:
        """Call `call` when `advance` comes to `when`; one that is past already, at the next `advance`."""
        alarm = _Alarm(call)
        heapq.heappush(self._alarms, (when, next(self._order), alarm))
        return alarm

    def advance(self, seconds: float) -> None:
        """Let time pass. While an alarm is called the clock shows the time that it was set for."""
        end = self._now + seconds
        while self._alarms and self._alarms[0][0] <= end:
            when, _, alarm = heapq.heappop(self._alarms)
            self._go(max(when, self._now))
            if alarm.call is not None:
                alarm.call()
        self._go(end)

    def _go(self, now: float) -> None:
        self._wall += now - self._now
        self._now = now


@define(eq=False)
class _Alarm:
    call: Callable[[], None] | None

    def cancel(self) -> None:
        self.call = None


@frozen
class Told:
    """A message that has left."""

    to: Path
    message: object
    priority: int = Priority.NORMAL


@frozen
class Signalled:
    """What `self.signal` was called with; a severity of None stands for `self.recovered`."""

    kind: str
    severity: float | None
    text: str = ""
    facts: Mapping[str, Any] = field(factory=dict[str, Any])


@frozen
class Effected:
    """An effect whose call ran."""

    name: str
    key: str


@define(kw_only=True)
class HandlerRun(Generic[S, R]):
    """What one message did."""

    state: S
    """As settled: what the handler left, or what was before it if it raised."""
    told: list[Told] = field(factory=list[Told])
    """In the order in which it left; nothing, if the agent is durable and the handler raised."""
    recorded: list[Any] = field(factory=list[Any])
    signals: list[Signalled] = field(factory=list[Signalled])
    measured: list[tuple[str, float]] = field(factory=list[tuple[str, float]])
    """What `self.measured` was called with."""
    effects: list[Effected] = field(factory=list[Effected])
    """Whose call ran, in order, be it that it raised."""
    parked: Wait | None = None
    """For what its handler waits: it was unwound, and what it had changed, told and recorded was undone. Of an approval
    `about` is what a person is shown, as the handler gave it."""
    checkpoints: list[str] = field(factory=list[str])
    """The names under which it kept its state."""
    error: Exception | None = None
    """What the handler, `on_start` or a helper raised, except `Stop` and rate limits."""
    exit: Exit | None = None
    """How the agent ended, if the handler raised `Stop`."""
    limited: bool = False
    """It was asked to slow down: the message waits to be handled again."""
    retry_after: float | None = None
    """Seconds that it was asked to wait, if that was said."""
    replies: list[tuple[Any, BaseException | None]] = field(factory=list[tuple[Any, BaseException | None]])

    @property
    def reply(self) -> R:
        """What an asker gets. Raises what it would get instead, and `error` if the handler raised."""
        if self.error is not None:
            raise self.error
        if not self.replies:
            raise NotHandled("there is no reply: the message asks for none, or it waits", path=Path("."))
        value, error = self.replies[0]
        if error is not None:
            raise error
        return cast("R", value)


@overload
async def run_handler(
    agent: Agent[S],
    message: Request[R],
    *,
    state: S | Untouched = KEEP,
    path: str = "agent",
    answers: Answers | None = None,
    effects: Mapping[str, Done[Any] | None] | None = None,
    waits: Mapping[str, Done[Any] | End | None] | None = None,
    clock: ManualClock | None = None,
    durability: Durability = MESSAGE,
) -> HandlerRun[S, R]: ...


@overload
async def run_handler(
    agent: Agent[S],
    message: object,
    *,
    state: S | Untouched = KEEP,
    path: str = "agent",
    answers: Answers | None = None,
    effects: Mapping[str, Done[Any] | None] | None = None,
    waits: Mapping[str, Done[Any] | End | None] | None = None,
    clock: ManualClock | None = None,
    durability: Durability = MESSAGE,
) -> HandlerRun[S, None]: ...


async def run_handler(
    agent: Agent[S],
    message: object,
    *,
    state: S | Untouched = KEEP,
    path: str = "agent",
    answers: Answers | None = None,
    effects: Mapping[str, Done[Any] | None] | None = None,
    waits: Mapping[str, Done[Any] | End | None] | None = None,
    clock: ManualClock | None = None,
    durability: Durability = MESSAGE,
) -> HandlerRun[S, Any]:
    """Run `on_start` and then the handler of one message, or one tick (`Tick("poll")`), and say what it did.

    A `Request` is asked, anything else told. The agent begins with `state` if it is given. Whom it tells takes every
    message; whom it asks answers with what `answers(path, message)` returns or raises, and without `answers` the ask
    fails. Of an effect, `effects` says what an earlier delivery has left: `Done(value)`, or None if it has begun and
    its end was not seen; any other is new. Of a wait, `waits` says so: `Done(None)` if it is over, of an event
    `Done(value)` or `Expired(at)`, of an approval or a question how it has ended, as `Approved("ada")`, and None if it
    is not yet; of any other, what `clock` says. A body (`run`) is not run; helpers (`start_soon`) run until the handler
    has returned. Time is that of `clock`, a `ManualClock` at 0; `trio.sleep` in a handler sleeps in trio's.

    Not promised: that what an effect returns, or an approval shows, can be stored; only a tree says so. Raises
    `ConfigurationError` for `effects` and `waits` that no delivery leaves.

    Cancelled: what the handler did so far is dropped.
    """
    clock = clock if clock is not None else ManualClock()
    here = Path.parse(path)
    run: HandlerRun[S, Any] = HandlerRun(state=agent.state)
    check_left(effects or {}, waits or {})
    store = None
    if not isinstance(durability, Volatile):
        store = Kept(
            run.recorded,
            run.checkpoints,
            effects or {},
            lambda name, key: run.effects.append(Effected(name, key)),
            waits or {},
            partial(setattr, run, "parked"),
        )
    slot = Slot(here, MailboxSpec(durability=durability), clock.now, store)
    if not isinstance(state, Untouched):
        agent.state = state
    slot.state = agent.state
    around = current_turn.get()
    async with trio.open_nursery() as nursery:
        life = Life(agent, slot, warden=_Watcher(run, nursery, clock, answers), clock=clock, alarms=clock)
        try:
            await _handle(life, message, run)
        except Stop as stop:
            run.exit = Finished() if stop.reason is None else Stopped(stop.reason)
        except Exception as error:
            run.error = error
        finally:
            life.end()
            current_turn.set(around)
            nursery.cancel_scope.cancel()
    run.state = slot.state
    return run


async def _handle(life: Life, message: object, run: HandlerRun[Any, Any]) -> None:
    if overrides(life.agent, "on_start"):
        await start_agent(life)
    life.arm_timers()
    settle_beside(life)
    current_turn.set(life.turn)
    item = message
    if isinstance(message, Request):
        item = Envelope(cast("object", message), reply=lambda value, error: run.replies.append((value, error)))
    elif not isinstance(message, Tick):
        item = Envelope(message, id=f"{life.slot.path}-1")
    rest = handle(life, item)
    if rest is not None:
        await rest
    settle_beside(life)


class _Watcher:
    """A `Warden` that takes notes, and a world in which every path has a mailbox."""

    def __init__(
        self, run: HandlerRun[Any, Any], nursery: trio.Nursery, clock: ManualClock, answers: Answers | None
    ) -> None:
        self._run = run
        self._nursery = nursery
        self._clock = clock
        self._answers = answers
        self._traffic = Traffic(clock)
        self._slots: dict[Path, Slot] = {}

    def reported(self, kind: str, severity: float, text: str, facts: Mapping[str, Any]) -> None:
        self._run.signals.append(Signalled(kind, severity, text, facts))

    def recovered(self, kind: str, text: str) -> None:
        self._run.signals.append(Signalled(kind, None, text))

    def measured(self, what: str, value: float) -> None:
        self._run.measured.append((what, value))

    def recorded(self, facts: tuple[Any, ...]) -> None:
        self._run.recorded.extend(facts)

    def rate_limited(self, after: float | None, envelope: Envelope | None, failure: Failure) -> None:
        self._run.limited = True
        self._run.retry_after = after

    def looping(self, cycle: Cycle) -> None:
        """Only a supervisor looks at that."""

    def commit_failed(self, error: BaseException) -> None:
        raise AssertionError("what is kept in memory cannot fail") from error

    def hibernates(self, context: Context) -> bool:
        return False

    def start_helper(self, work: Callable[..., Awaitable[Any]], *args: Any) -> None:
        self._nursery.start_soon(self._help, work, args)

    async def _help(self, work: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> None:
        try:
            await work(*args)
        except Exception as error:
            self._run.error = error

    def ref(self, path: Path) -> Ref:
        return Ref(path, self._find, self._traffic)

    def watch(self, path: Path) -> AbstractAsyncContextManager[AsyncIterator[Ended]]:
        raise ConfigurationError(f"{path}: one handler runs here, and no tree in which anybody could end")

    def _find(self, path: Path) -> Slot:
        slot = self._slots.get(path)
        if slot is None:
            slot = self._slots[path] = Slot(path, MailboxSpec(durability=VOLATILE), self._clock.now, None)
            slot.rouse = lambda: self._arrived(slot)
        return slot

    def _arrived(self, slot: Slot) -> None:
        item = slot.take()
        assert item is not None
        envelope = item if isinstance(item, Envelope) else Envelope(item)
        slot.rouse = lambda: self._arrived(slot)
        if envelope.reply is None:
            self._run.told.append(Told(slot.path, envelope.body, envelope.priority))
            return
        cycle = asks_itself(slot.path, envelope.askers)
        if cycle is not None:
            envelope.reply(None, waits_for_itself(slot.path, cycle))
            return
        try:
            envelope.reply(self._answer(slot.path, envelope.body), None)
        except Exception as error:
            envelope.reply(None, error)

    def _answer(self, path: Path, message: object) -> Any:
        if self._answers is None:
            text = f"{path}: {type(message).__qualname__} was asked; give run_handler `answers` to reply to it"
            raise NotHandled(text, path=path)
        return self._answers(path, message)
