"""A blueprint whose agents and policies pass gates: the same tree, slot by slot, with places where faults strike."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from contextvars import ContextVar
from functools import lru_cache, wraps
from typing import Any, Final, TypeAlias, cast

import trio
from attrs import evolve, frozen

from treewarden.agents.agent import Agent, is_agent_class, overrides
from treewarden.agents.core.durability import Volatile
from treewarden.agents.core.message import Envelope
from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.errors import MailboxFull
from treewarden.agents.slot import Slot
from treewarden.supervisor.core.around import Around
from treewarden.supervisor.core.case import Case
from treewarden.supervisor.core.decision import Policy
from treewarden.supervisor.core.guards import Option
from treewarden.supervisor.core.ladder import ladder
from treewarden.supervisor.core.signal import ChildExited, RestartFailed, Stalled
from treewarden.supervisor.core.spec import Spec, SupervisorSpec

from ..core.blueprint import Blueprint
from ..core.faults import Knob
from .gate import Gate
from .going_round import go_round

__all__ = ["BadVersion", "Poisoned", "instrumented", "the_gate", "with_gates", "with_next_version"]

Start: TypeAlias = Callable[[Any], Coroutine[Any, Any, Any]]
Find: TypeAlias = Callable[[], Gate]
"""Gives the gate that is to be passed."""

the_gate: Final[ContextVar[Gate]] = ContextVar("treewarden_chaos_gate")
"""The gate of the world that the running task is part of. Classes with gates ask for it, and so serve every world:
what is compiled for a class is compiled once, and not for each run."""
_CLASSES: Final = 256
"""How many classes are kept with their gates; a run has a handful."""

_VOLATILE_ONLY: Final = ("drop", "duplicate", "delay", "reorder")
"""What may be done to a message whose mailbox promises nothing about it."""


_RESTARTED: Final = (ChildExited, RestartFailed, Stalled)
"""Signals whose answer is mostly a restart."""
_HELD_UP: Final = ("slow", "hang", "stubborn", "tool_loop")
"""What may come over a handler before it begins. A stubborn one does not let itself be cancelled meanwhile."""


class Poisoned(Exception):
    """What a handler raises on a poisoned message, each time."""


class BadVersion(Exception):
    """What an agent's start raises while a bad version of it is deployed."""


def instrumented(blueprint: Blueprint, gate: Gate) -> Blueprint:
    """`blueprint` with gates in front of its handlers, starts and policies. It starts the same slots.

    Who passes one asks for `the_gate`, which has to be `gate`.
    """
    made = _made(_class_of_worlds)
    return _supervisor(evolve(blueprint, policy=blueprint.policy or ladder()), ROOT, made, policies=gate)


def with_gates(blueprint: Blueprint, gate: Gate, made: dict[Any, Any]) -> Blueprint:
    """`blueprint` with gates in front of its handlers only. `made` remembers what was made of which agent, so that
    what has not changed is the same in the next blueprint too."""

    def found() -> Gate:
        return gate

    return _supervisor(blueprint, ROOT, _made(lambda agent: _gated_class(agent, found, starts=False), made))


def with_next_version(blueprint: Blueprint, path: Path) -> Blueprint | None:
    """`blueprint` with another version of the agent at `path`, which does the same; None if it has no such agent."""
    found: list[Path] = []

    def at(spec: SupervisorSpec, here: Path) -> SupervisorSpec:
        return evolve(spec, children=tuple(below(child, here / child.id) for child in spec.children))

    def below(spec: Spec, here: Path) -> Spec:
        if isinstance(spec, SupervisorSpec):
            return at(spec, here) if path.is_within(here) else spec
        if here != path or not is_agent_class(spec.agent):
            return spec
        found.append(here)
        return evolve(spec, agent=_next_version(spec.agent))

    changed = at(blueprint, ROOT)
    return changed if found else None


@lru_cache(_CLASSES)
def _next_version(agent: type[Agent[Any]]) -> type[Agent[Any]]:
    body = {"__module__": agent.__module__, "__qualname__": agent.__qualname__, "__doc__": agent.__doc__}
    later = type(agent.__name__, (agent,), body)
    later.handlers, later.plain, later.repeated = agent.handlers, agent.plain, agent.repeated
    return later


def _supervisor(
    spec: SupervisorSpec, path: Path, made: Callable[[Any], Any], *, policies: Gate | None = None
) -> SupervisorSpec:
    children = tuple(_spec(child, path / child.id, made, policies) for child in spec.children)
    policy = _Gated(spec.policy, policies, path) if policies is not None and spec.policy is not None else spec.policy
    return evolve(spec, children=children, policy=policy)


def _spec(spec: Spec, path: Path, made: Callable[[Any], Any], policies: Gate | None) -> Spec:
    if isinstance(spec, SupervisorSpec):
        return _supervisor(spec, path, made, policies=policies)
    return evolve(spec, agent=made(spec.agent))


def _made(change: Callable[[Any], type[Agent[Any]]], made: dict[Any, Any] | None = None) -> Callable[[Any], Any]:
    """What `change` makes of an agent, remembered in `made`: of its class, or of the class of those that a function
    makes."""
    known = {} if made is None else made

    def of(agent: Any) -> Any:
        if agent not in known:
            known[agent] = change(agent) if is_agent_class(agent) else _maker(agent, change)
        return known[agent]

    return of


def _maker(make: Callable[..., Any], change: Callable[[Any], type[Agent[Any]]]) -> Callable[..., Any]:
    """A function that makes agents, and turns each into one with gates."""

    @wraps(make)
    def made(*args: Any, **kwargs: Any) -> Any:
        agent = make(*args, **kwargs)
        agent.__class__ = change(type(agent))
        return agent

    return made


@lru_cache(_CLASSES)
def _class_of_worlds(agent: type[Agent[Any]]) -> type[Agent[Any]]:
    return _gated_class(agent, the_gate.get, starts=True)


def _gated_class(agent: type[Agent[Any]], find: Find, *, starts: bool) -> type[Agent[Any]]:
    """A subclass under the same name, with a gate before each handler and, with `starts`, before `on_start`."""
    body: dict[str, Any] = {
        "__module__": agent.__module__,
        "__qualname__": agent.__qualname__,
        "__doc__": agent.__doc__,
    }
    if starts and overrides(agent, "on_start"):
        body["on_start"] = _gated_start(cast("Any", agent).on_start, find)
    gated = type(agent.__name__, (agent,), body)
    gated.handlers = {kind: _gated(handler, kind.__qualname__, find) for kind, handler in agent.handlers.items()}
    gated.plain = {kind: gated.handlers[kind] for kind in agent.plain}
    gated.repeated = tuple(evolve(each, call=_gated_tick(each.call, find)) for each in agent.repeated)
    return gated


def _gated_start(start: Start, find: Find) -> Start:
    @wraps(start)
    async def on_start(self: Agent[Any]) -> Any:
        if find().take("bad_version", self.path) is not None:
            raise BadVersion(f"{self.path}: this version does not start")
        return await start(self)

    return on_start


def _gated(handler: Callable[..., Any], kind: str, find: Find) -> Callable[..., Any]:
    @wraps(handler)
    def gated(self: Agent[Any], message: Any) -> Any:
        gate = find()
        slot = self.life.slot
        busy = slot.busy
        gate.begun(f"handle {kind} {slot.path} {busy.id}" if type(busy) is Envelope else f"handle {kind} {slot.path}")
        if not gate.is_armed:
            return handler(self, message)
        path = self.path
        if (
            isinstance(slot.spec.durability, Volatile)
            and type(slot.busy) is not Envelope
            and _lost(slot, message, gate)
        ):
            return None
        if _is_poison(slot, gate):
            raise Poisoned(f"{path}: {type(message).__qualname__} is poison")
        before = _before(self, gate)
        return handler(self, message) if before is None else _after(before, lambda: handler(self, message))

    return gated


def _gated_tick(call: Callable[..., Any], find: Find) -> Callable[..., Any]:
    @wraps(call)
    def gated(self: Agent[Any]) -> Any:
        before = _before(self, find())
        return call(self) if before is None else _after(before, lambda: call(self))

    return gated


def _is_poison(slot: Slot, gate: Gate) -> bool:
    """Whether the message in hand is one that no handler survives, this time or every time."""
    id = slot.busy.id if isinstance(slot.busy, Envelope) else ""
    if id not in gate.poisoned:
        if gate.take("poison", slot.path) is None:
            return False
        if id:
            gate.poisoned.add(id)
    return True


def _before(agent: Agent[Any], gate: Gate) -> Coroutine[Any, Any, None] | None:
    """What comes over the agent before its handler begins."""
    for kind in _HELD_UP:
        knobs = gate.take(kind, agent.path)
        if knobs is not None:
            return go_round(agent, knobs, gate) if kind == "tool_loop" else _wait(kind, knobs, gate)
    return None


async def _wait(kind: str, knobs: Mapping[str, Knob], gate: Gate) -> None:
    with trio.move_on_after(float(knobs["seconds"]), shield=kind == "stubborn"):
        await gate.lifted.wait()


async def _after(before: Coroutine[Any, Any, None], rest: Callable[[], Any]) -> Any:
    await before
    result: Any = rest()
    return await cast("Coroutine[Any, Any, Any]", result) if isinstance(result, Coroutine) else result


def _lost(slot: Slot, message: Any, gate: Gate) -> bool:
    """Whether something else becomes of a message in memory than being handled now."""
    for kind in _VOLATILE_ONLY:
        knobs = gate.take(kind, slot.path)
        if knobs is not None:
            return _OTHERWISE[kind](slot, message, knobs)
    return False


def _again(slot: Slot, message: Any, knobs: Mapping[str, Knob]) -> bool:
    try:
        slot.put_nowait(message)
    except MailboxFull:
        return False
    return False


def _behind(slot: Slot, message: Any, knobs: Mapping[str, Knob]) -> bool:
    if not len(slot):
        return False
    slot.put_nowait(message)
    return True


def _later(slot: Slot, message: Any, knobs: Mapping[str, Knob]) -> bool:
    assert slot.agent is not None
    alarms = slot.agent.life.alarms
    alarms.at(trio.current_time() + float(knobs["seconds"]), lambda: None if slot.ended else slot.restock(message))
    return True


_OTHERWISE: Final[Mapping[str, Callable[[Slot, Any, Mapping[str, Knob]], bool]]] = {
    "drop": lambda slot, message, knobs: True,
    "duplicate": _again,
    "delay": _later,
    "reorder": _behind,
}


@frozen
class _Gated(Around):
    """A policy that may fail in the middle of a decision."""

    policy: Policy
    gate: Gate
    path: Path

    def propose(self, case: Case) -> tuple[Option, ...]:
        if self.gate.take("decision_crash", self.path) is not None:
            raise ArithmeticError("the policy failed in the middle of a decision")
        above = case.signal.path.parent
        restarts = isinstance(case.signal, _RESTARTED) and above != ROOT
        if restarts and self.gate.take("kill_in_mid_restart", above) is not None:
            self.gate.mid_restart(str(above))
        return super().propose(case)
