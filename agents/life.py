"""One incarnation as the agents layer sees it: the agent, its slot, and its ways out."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from .agent import Agent, lookup, own_state
from .core.durability import Volatile
from .core.label import Label
from .core.message import Due, Envelope
from .core.path import Path
from .errors import ConfigurationError, NotHandled, Stop
from .orders import Begun, CheckpointDue, StopAsked
from .ports import Alarm, Alarms, Clock, Warden
from .ref import Ref
from .sending import ended_by
from .slice import Rounds
from .slot import Slot, Turn, current_turn
from .ticks import Afters, Tick

if TYPE_CHECKING:
    from .core.ended import Ended
    from .core.loops import LoopLimit, Loops
    from .dates import Dates
    from .ports import Settled
    from .repeats import Repeats

__all__ = ["Life"]


_NO_TOKEN: Final = object()
_MOST_REFS: Final = 64


class Life:
    """One incarnation. `run_agent` drives it; the agent's own methods end here."""

    __slots__ = (
        "_afters",
        "_beside",
        "_in_flight",
        "_refs",
        "_repeats",
        "_silent",
        "_stop_requested",
        "_token",
        "again",
        "agent",
        "alarms",
        "begun",
        "called",
        "cancellable",
        "checkpoint_alarm",
        "checkpoint_label",
        "clock",
        "drains",
        "error",
        "handlers",
        "keep_ordered",
        "keeps",
        "left",
        "light",
        "loops",
        "outlet",
        "rounds",
        "since_checkpoint",
        "slot",
        "state",
        "stop_within",
        "turn",
        "unkept",
        "warden",
        "watched",
        "worked_before",
    )

    def __init__(
        self,
        agent: Agent[Any],
        slot: Slot,
        warden: Warden,
        clock: Clock,
        alarms: Alarms,
        outlet: tuple[Path, ...] = (),
        watched: bool = False,
        stop_within: float = 5.0,
        rounds: Rounds | None = None,
        loops: LoopLimit | None = None,
    ) -> None:
        """Move into `slot`: from now on what an earlier incarnation does there is void.

        Where lives follow one another quickly, pass all of it by its place: a name takes longer than what it names.
        """
        self.agent = agent
        self.slot = slot
        self.warden = warden
        self.clock = clock
        self.alarms = alarms
        self.outlet = tuple([warden.ref(path) for path in outlet]) if outlet else ()
        self.watched = watched
        """Whether anybody looks at when its work began."""
        self.stop_within = stop_within
        """Seconds that `on_stop` may take."""
        self.rounds = rounds if rounds is not None else Rounds(clock.now)
        """How it shares the loop with the other agents of its tree."""
        self.keeps = slot.store is not None and not isinstance(slot.spec.durability, Volatile)
        self.light = slot.store is None
        """Its settles write nothing."""
        self.handlers: Mapping[type, Callable[..., Any]] = type(agent).handlers
        self.turn = Turn(slot, agent)
        agent.state = self.state = own_state(agent)  # in the instance, where it is found much faster than in its class
        """What the last handled message left; a handler that fails goes back to it."""
        self.since_checkpoint = 0
        self.checkpoint_label: Label | None = None
        """Under which what has settled is to be kept."""
        self.checkpoint_alarm: Alarm | None = None
        self.unkept: Sequence[Any] = ()
        """Facts that a checkpoint could not write: they go with the next one."""
        self.cancellable = True
        """Whether its task can be cancelled by itself. Otherwise it waits for nothing but the next message."""
        self.left: object = None
        """What it has taken while it was not, and has to wait for: an order, or what a handler waits for."""
        self._beside: Turn | None = None
        self._in_flight: deque[Envelope] | None = None
        self._refs: dict[str, Ref] | None = None
        self.called: Any = None
        """What the last handler that has to be awaited returned."""
        self.begun: Begun | None = None
        """What has been called and not been awaited yet."""
        self.again: trio.Event | None = None
        """Set while the body waits to begin again."""
        self.loops = None if loops is None else _loops(loops)
        """What it has called lately, if that is looked at."""
        self.worked_before = slot.worked
        """What earlier incarnations have done in this process."""
        self._repeats: Repeats | None = None
        self._afters: Afters | None = None
        self._silent = 0
        self._token: object = _NO_TOKEN
        self._stop_requested: trio.Event | None = None
        self.error: BaseException | None = None
        """The exception that ended it, if one did."""
        self.drains = False
        """The tree ends, and it handles what waits: nothing of that waits for room with others."""
        self.keep_ordered = False
        """Something outside the handlers wants to be settled."""
        agent.life = self
        slot.move_in(agent)
        slot.unstash()
        if slot.store is not None and slot.store.owes is not None:
            self.owe(slot.store.owes)
            slot.store.owes = None
            self._order_keep()

    @property
    def settled(self) -> int:
        """How often this incarnation has settled something, or come to a wait; read it before the next one begins."""
        return self.slot.worked - self.worked_before

    def lets_go(self, task: trio.lowlevel.Task) -> bool:
        """Whether its task is to end now, because it was sent to sleep and nothing has come, nor needs that task."""
        slot = self.slot
        if slot.agent is not self.agent or slot.has_work or slot.inflight or task.child_nurseries:
            return False
        if not self.warden.hibernates(task.context):
            return False
        slot.serve = None
        return True

    @property
    def has_to_end(self) -> bool:
        """Whether there is something to do at its end, for which it needs its task."""
        return bool(self.since_checkpoint or self.unkept) or not type(self.agent).ends_at_once

    def begin(self) -> None:
        """Note when the work in hand began, if anybody looks at that.

        Only what has to wait needs it: nobody can look while a plain function runs.
        """
        if self.watched:
            self.slot.busy_since = self.clock.now()

    @property
    def beside(self) -> Turn:
        """For whatever runs beside the handlers."""
        if self._beside is None:
            self._beside = Turn(self.slot, self.agent, beside=True)
        return self._beside

    @property
    def in_flight(self) -> deque[Envelope]:
        """Told messages whose settle is on its way to the disk, in order."""
        if self._in_flight is None:
            self._in_flight = deque()
        return self._in_flight

    # -- for the agent

    def ref(self, path: str) -> Ref:
        """The same one for the same text, for a while: it knows its slot once it has been used."""
        known = self._refs
        if known is None or len(known) >= _MOST_REFS:
            known = self._refs = {}
        ref = known.get(path) if isinstance(path, str) else None  # pyright: ignore[reportUnnecessaryIsInstance]
        if ref is None:
            try:
                ref = known[path] = self.warden.ref(self.slot.path.resolve(path))
            except ValueError as error:
                raise ConfigurationError(f"{self.slot.path}: {error}") from None
        return ref

    def record(self, fact: object) -> None:
        if not attrs.has(type(fact)):
            text = f"{self.slot.path}: record() takes a frozen attrs value, not {type(fact).__name__}"
            raise ConfigurationError(text)
        if self._in_handler:
            self.turn.record(fact)
        else:
            self.beside.record(fact)
            self._order_keep()

    def checkpoint(self, label: Label) -> None:
        if self._in_handler:
            self.turn.label = label
        else:
            self.beside.label = label
            self._order_keep()

    def keep(self) -> None:
        if not self._in_handler:
            self._order_keep()

    def owe(self, done: Settled) -> None:
        """An earlier life, or this one, has settled what could not be kept: it is kept with the next that is."""
        self.since_checkpoint += 1
        self.unkept = (*self.unkept, *done.events)
        if self.checkpoint_label is None and done.state is self.state and done.checkpoint != Label():
            self.checkpoint_label = done.checkpoint

    def note_call(self, call: str, arguments: Any, result: Any) -> None:
        if self.loops is None:
            return
        try:
            cycle = self.loops.noted(call, arguments, result)
        except ValueError as error:
            raise ConfigurationError(f"{self.slot.path}: {error}") from None
        if cycle is not None:
            self.warden.looping(cycle)

    def progress(self, token: object) -> None:
        if token != self._token and (self.loops is None or self.loops.is_new(token)):
            self._token = token
            self.slot.progress_at = self.clock.now()

    def watch(self, path: Path) -> AbstractAsyncContextManager[AsyncIterator[Ended]]:
        return self.warden.watch(path)

    def start_soon(self, work: Callable[..., Awaitable[Any]], *args: Any) -> None:
        self.warden.start_helper(self._help, work, args)

    @property
    def stop_requested(self) -> trio.Event:
        if self._stop_requested is None:
            self._stop_requested = trio.Event()
        return self._stop_requested

    @property
    def _in_handler(self) -> bool:
        return current_turn.get() is self.turn and self.turn.in_handler

    async def _help(self, work: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> None:
        current_turn.set(self.beside)
        try:
            await work(*args)
        except Stop as stop:
            self.slot.put_control(StopAsked(stop.reason))

    def _order_keep(self) -> None:
        if not self.keep_ordered:
            self.keep_ordered = True
            self.slot.put_control(CheckpointDue())

    # -- timers

    @property
    def afters(self) -> Afters:
        """What it has set for itself."""
        if self._afters is None:
            self._afters = Afters(self.slot, self.clock, self.alarms)
            if self._silent:
                self._afters.silence()
        return self._afters

    def after(self, seconds: float, message: object, key: Hashable, period: float | None) -> None:
        if self.turn.void:
            raise ended_by(self.turn)
        if lookup(type(self.agent), type(message)) is None:
            kind = type(message).__qualname__
            raise NotHandled(f"{self.slot.path}: it does not handle {kind}, so it cannot set one", path=self.slot.path)
        try:
            self.afters.set(seconds, message, message if key is None else key, period, self.turn.cause)
        except TypeError as error:
            text = f"{self.slot.path}: after: {error}; a timer is found by its key, so give one that is hashable"
            raise ConfigurationError(text) from None

    def arm_timers(self) -> tuple[Due, ...]:
        """Go on with what was to come at its times, unless it is silenced: as `Repeats`, whose errors it raises.

        Returns what of that is to be stored: by timetables, which nobody has kept to before."""
        if type(self.agent).repeated:
            from .repeats import Repeats  # with the first of a process that repeats something

            self._repeats = Repeats(self.agent, self.slot, self.clock, self.alarms)
            if self._silent:
                self._repeats.silence()
            return self._repeats.new
        return ()

    def silence(self, kind: type = Tick) -> None:
        """Let nothing come due, also if it has not begun yet, until `go_on` was called as often."""
        self._silent += 1
        for timers in filter(None, (self._repeats, self._afters)):
            timers.silence()
        self.slot.drop_due(kind)

    def go_on(self) -> None:
        """The end of one `silence`. After the last one what has come due meanwhile comes now."""
        self._silent -= 1
        for timers in filter(None, (self._repeats, self._afters)) if not self._silent else ():
            timers.go_on()

    def disarm(self) -> None:
        """Cancel for good all that comes due, also what waits."""
        self.silence(object)
        if self.checkpoint_alarm is not None:
            self.checkpoint_alarm.cancel()
            self.checkpoint_alarm = None

    def end(self) -> None:
        """Move out: whatever would still come to this incarnation does not, and what it had begun is dropped."""
        slot = self.slot
        if self._repeats is not None or self._afters is not None or self.checkpoint_alarm is not None:
            self.disarm()
        slot.forget_orders()
        self.turn.drop()
        slot.agent = None
        slot.serve = None
        slot.waiting_on = None
        if self.begun is not None:
            self.begun.discard()
        if self.left is not None and inspect.iscoroutine(self.left):
            self.left.close()
        slot.rouse = None

    @property
    def repeats(self) -> Repeats | None:
        """What comes at its times; None before they are armed, and while they are silenced."""
        return None if self._silent else self._repeats

    def run_again(self) -> None:
        """A commit has failed, so all behind it fail too: what they settled, and what is in hand, waits again, in
        order, and from here on what this life does is void."""
        slot = self.slot
        again: list[object] = list(self.in_flight)
        self.in_flight.clear()
        if slot.agent is self.agent:
            busy = slot.busy
            slot.agent = None
            told = not isinstance(busy, Tick) and not (type(busy) is Envelope and busy.reply is not None)
            if busy is not None and told:
                slot.busy = None
                if not any(busy is each for each in again):
                    again.append(busy)
        if again:
            slot.put_back(again)

    def take_tick(self, name: str) -> float:
        """The tick of `name` is in hand: the next one that comes due is another one. When that is, in wall seconds."""
        assert self._repeats is not None
        return self._repeats.take(name)

    def dates_of(self, name: str) -> Dates | None:
        """What the tick of `name` comes by, if it has a timetable."""
        return None if self._repeats is None else self._repeats.dates_of(name)


def _loops(limit: LoopLimit) -> Loops:
    from .core.loops import Loops  # few agents have their calls looked at

    return Loops(limit)
