"""One incarnation as the agents layer sees it: the agent, its slot, and its ways out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

import attrs
import trio
from attrs import field, frozen

from .agent import Agent
from .core.durability import Message, Volatile
from .core.exit import Failure
from .core.message import Envelope, Priority
from .core.path import Path
from .errors import ConfigurationError
from .ports import Alarm, Alarms, Clock
from .ref import Ref
from .slot import Slot, Turn

__all__ = ["BodyEnded", "CheckpointDue", "Life", "StopOrder", "Tick", "Warden"]


class Warden(Protocol):
    """The supervisor as an incarnation sees it. Nothing here waits, nothing here fails because of the supervisor."""

    def reported(self, kind: str, severity: float, text: str, facts: Mapping[str, Any]) -> None: ...

    def recovered(self, kind: str, text: str) -> None: ...

    def rate_limited(self, after: float | None, envelope: Envelope | None, failure: Failure) -> None: ...

    def commit_failed(self, error: BaseException) -> None:
        """The settles of this incarnation are not kept any more: end it, without blaming it."""
        ...

    def start_helper(self, work: Callable[..., Awaitable[Any]], *args: Any) -> None: ...

    def ref(self, path: Path) -> Ref: ...


@frozen
class StopOrder:
    """Control: end in order. With `drain`, a backlog that lives in memory is handled first."""

    reason: str = "shutdown"
    drain: bool = False


@frozen
class BodyEnded:
    """Control: `run` has returned."""

    result: Any


@frozen
class CheckpointDue:
    """Control: the state has changed outside a message, or has waited long enough to be kept."""


@frozen
class Tick:
    """An `@every` method is due."""

    name: str


_NO_TOKEN: Final = object()


@frozen(eq=False)
class _Timer:
    name: str
    alarm: Alarm
    due: float = field()


class Life:
    """One incarnation. `run_agent` drives it; the agent's own methods end here."""

    def __init__(
        self,
        agent: Agent[Any],
        slot: Slot,
        *,
        warden: Warden,
        clock: Clock,
        alarms: Alarms,
        outlet: tuple[Path, ...] = (),
        watched: bool = False,
    ) -> None:
        self.agent = agent
        self.slot = slot
        self.warden = warden
        self.clock = clock
        self.alarms = alarms
        self.outlet = tuple(warden.ref(path) for path in outlet)
        self.watched = watched
        """Whether anybody looks at when its work began: it saves a clock read per message if not."""
        self.durable = slot.store is not None and isinstance(slot.spec.durability, Message)
        self.keeps = slot.store is not None and not isinstance(slot.spec.durability, Volatile)
        self.turn = Turn(slot, waits_for_commit=self.durable)
        self.state: Any = agent.state
        """What the last handled message left; a handler that fails goes back to it."""
        self.settled = 0
        self.since_checkpoint = 0
        self.checkpoint_name: str | None = None
        self.checkpoint_alarm: Alarm | None = None
        self.ticking: set[str] = set()
        """Timers whose tick waits or is in hand."""
        self.lost = False
        """A commit failed: what this incarnation still settles is dropped."""
        self.unsettled: list[Envelope] = []
        self._timers: dict[str, _Timer] = {}
        self._token: object = _NO_TOKEN
        self._stop_requested: trio.Event | None = None
        agent.life = self

    # -- for the agent

    def ref(self, path: str) -> Ref:
        try:
            return self.warden.ref(self.slot.path.resolve(path))
        except ValueError as error:
            raise ConfigurationError(f"{self.slot.path}: {error}") from None

    def record(self, fact: object) -> None:
        if not attrs.has(type(fact)):
            raise ConfigurationError(
                f"{self.slot.path}: record() takes a frozen attrs value, not {type(fact).__name__}"
            )
        self.turn.events.append(fact)

    def checkpoint(self, name: str) -> None:
        self.checkpoint_name = name

    def keep(self) -> None:
        if self.turn.envelope is None:
            self.since_checkpoint += 1
            self.slot.put_control(CheckpointDue())

    def progress(self, token: object) -> None:
        if token != self._token:
            self._token = token
            self.slot.progress_at = self.clock.now()

    @property
    def stop_requested(self) -> trio.Event:
        if self._stop_requested is None:
            self._stop_requested = trio.Event()
        return self._stop_requested

    # -- timers

    def arm_timers(self) -> None:
        """Begin the grids of the agent's `@every` methods where the last incarnation left them."""
        now, wall = self.clock.now(), self.clock.wall()
        for each in self.agent.repeated:
            each.seconds(self.agent)
            due = self.slot.due.setdefault(each.name, wall)
            self._arm(each.name, now + max(0.0, due - wall))

    def disarm(self) -> None:
        """Cancel everything that would still come to this incarnation."""
        for timer in self._timers.values():
            timer.alarm.cancel()
        self._timers.clear()
        self.ticking.clear()
        self.slot.discard(Tick)
        if self.checkpoint_alarm is not None:
            self.checkpoint_alarm.cancel()

    def _arm(self, name: str, due: float) -> None:
        self._timers[name] = _Timer(name, self.alarms.at(due, lambda: self._fire(name)), due)

    def _fire(self, name: str) -> None:
        now = self.clock.now()
        period = next(each for each in self.agent.repeated if each.name == name).seconds(self.agent)
        due = self._timers[name].due
        due += period * max(1, int((now - due) / period) + 1)
        self.slot.due[name] = self.clock.wall() + (due - now)
        self._arm(name, due)
        if name not in self.ticking:
            self.ticking.add(name)
            self.slot.restock(Tick(name), Priority.HIGH)

    def take_checkpoint(self) -> str | None:
        """The name under which the agent asked for a checkpoint since the last settle, once."""
        name, self.checkpoint_name = self.checkpoint_name, None
        return name
