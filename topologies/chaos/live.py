"""Chaos in a tree that runs, for people who want to know that it holds: within a radius, and ended at the first sign
that it does not."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeAlias

import trio
from attrs import define, field, frozen

from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.core.said import plural
from treewarden.supervisor.core.event import ChaosBegan, ChaosEnded, FaultInjected
from treewarden.supervisor.core.spec import SupervisorSpec

from ..core.blueprint import Blueprint, walk
from ..core.live import ChaosOrder, Strike, broken_by, strikes
from ..running import Tree
from ..slot_status import SlotStatus
from .gate import Gate
from .instrumented import with_gates

__all__ = ["LiveChaos", "Promise"]

_LOOK: Final = 0.2
"""Seconds between two looks at whether those that were struck are well again, and at the promise."""
_ARMED_FOR: Final = 10.0
"""Seconds within which a slot that is to hang, or to be slow, has to begin with a message."""

Promise: TypeAlias = Callable[[Tree], object]
"""Looks at a tree: a text, or False, says what does not hold; anything else that all is well."""


@frozen
class _Struck:
    """A slot that is not well, or was not when it was looked at last."""

    kind: str
    at: float
    incarnation: int
    until: float
    """When what was done to it ends by itself, in the clock of the loop."""
    armed: bool = False
    """It is meant for this slot, and has not come over it yet."""


@define(eq=False)
class LiveChaos:
    """One order, carried out in one tree. Nothing is done before `run`, and nothing after its end."""

    order: ChaosOrder
    by: str = ""
    promise: Promise | None = None
    faults: int = 0
    skipped: int = 0
    reason: str = ""
    """Why it has ended."""
    broken: bool = False
    """It has ended because something did not hold."""
    _gate: Gate = field(init=False)
    _made: dict[Any, Any] = field(factory=dict[Any, Any])
    _struck: dict[str, _Struck] = field(factory=dict[str, _Struck])
    _stopped: set[int] = field(factory=set[int])
    """Processes that were stopped and have to go on."""
    _kills: deque[tuple[float, Path]] = field(factory=partial(deque[tuple[float, Path]], maxlen=10_000))
    """When whose children were killed."""
    _over: trio.Event = field(factory=trio.Event)
    _tree: Tree | None = None

    def __attrs_post_init__(self) -> None:
        self._gate = Gate(trio.current_time, self._came_over)

    def prepared(self, blueprint: Blueprint) -> Blueprint:
        """`blueprint` as it has to be opened, and reloaded: with a gate before each handler if any is to be held up."""
        holds_up = {"hang", "slow"} & self.order.rates.keys()
        return with_gates(blueprint, self._gate, self._made) if holds_up else blueprint

    async def run(self, tree: Tree) -> None:
        """Let the faults come until the order is over, somebody calls `stop`, or something does not hold that has to.

        The beginning, every fault that strikes and the end are facts, which stand before what came of them.
        Returns when nobody is held up any more. Cancelled: likewise.
        """
        self._tree = tree
        tree.calm = self._calm
        tree.note(ChaosBegan(order=self.order.text, by=self.by))
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._let_come, tree, nursery)
                nursery.start_soon(self._follow, tree)
                nursery.start_soon(self._look_after, tree)
                await self._over.wait()
                nursery.cancel_scope.cancel()
        finally:
            self.stop("the tree has ended")
            for pid in list(self._stopped):
                self._go_on(pid)

    def stop(self, reason: str, *, broken: bool = False) -> None:
        """The big red button: no more faults, and whoever is held up goes on. Does nothing the second time."""
        if self._over.is_set() or self._tree is None:
            return
        self._over.set()
        self.reason, self.broken = reason, broken
        self._gate.lift()
        self._tree.note(ChaosEnded(reason=reason, faults=self.faults, skipped=self.skipped, broken=broken))

    def _calm(self, by: str) -> str:
        if self._over.is_set():
            return f"chaos was over already: {self.reason}"
        self.stop(f"{by} asked for it")
        return f"chaos is over after {plural(self.faults, 'fault')}"

    # -- striking

    async def _let_come(self, tree: Tree, nursery: trio.Nursery) -> None:
        began = trio.current_time()
        for strike in strikes(self.order):
            await trio.sleep_until(began + strike.at)
            victim = self._victim(tree, strike)
            if victim is None:
                self.skipped += 1
            else:
                self._strike(tree, strike.kind, victim, nursery)
        await trio.sleep_until(began + self.order.lasts)
        self.stop("the time that it was to last is over")

    def _victim(self, tree: Tree, strike: Strike) -> SlotStatus | None:
        """One that may be struck; nobody while as many are down or not well as may be."""
        slots = [each for each in tree.snapshot() if not each.supervisor and self.order.aims_at(str(each.path))]
        well = [each for each in slots if each.state is SlotState.UP and str(each.path) not in self._struck]
        if len(slots) - len(well) >= self.order.most:
            return None
        if strike.kind == "kill":
            room = self._room(tree)
            well = [each for each in well if room.get(each.path.parent, 1) > 0]
        return sorted(well, key=lambda each: each.path)[int(strike.pick * len(well))] if well else None

    def _room(self, tree: Tree) -> dict[Path, int]:
        """How many children of each supervisor may be killed now: one restart of those that it has is left to others,
        or it would give up over what was done on purpose."""
        room: dict[Path, int] = {}
        for path, spec in walk(tree.blueprint, ROOT):
            if isinstance(spec, SupervisorSpec):
                since = trio.current_time() - spec.restarts.within
                lately = sum(at > since for at, above in self._kills if above == path)
                room[path] = max(min(1, spec.restarts.max_restarts), spec.restarts.max_restarts - 1) - lately
        return room

    def _strike(self, tree: Tree, kind: str, victim: SlotStatus, nursery: trio.Nursery) -> None:
        path, now = str(victim.path), trio.current_time()
        pid = tree.process_of(path)
        if kind == "kill":
            self._struck[path] = _Struck(kind, now, victim.incarnation, now)
            self._kills.append((now, victim.path.parent))
            self._tell(path, kind, 0.0, pid)
            if pid is None:
                tree.kill(path)
            else:
                _send(pid, signal.SIGKILL)
        elif kind == "hang" and pid is not None:
            self._struck[path] = _Struck(kind, now, victim.incarnation, now + self.order.hangs)
            self._tell(path, kind, self.order.hangs, pid)
            nursery.start_soon(self._hold, pid)
        else:
            seconds = self.order.hangs if kind == "hang" else self.order.slows
            self._struck[path] = _Struck(kind, now, victim.incarnation, now + _ARMED_FOR, armed=True)
            self._gate.arm(kind, path, {"seconds": seconds}, seconds=_ARMED_FOR)

    def _came_over(self, kind: str, path: str) -> None:
        """A slot begins with a message, and is held up."""
        seconds, now = self.order.hangs if kind == "hang" else self.order.slows, trio.current_time()
        struck = self._struck.get(path)
        incarnation = struck.incarnation if struck is not None else 0
        self._struck[path] = _Struck(kind, now, incarnation, now + seconds)
        self._tell(path, kind, seconds, None)

    def _tell(self, path: str, kind: str, seconds: float, pid: int | None) -> None:
        assert self._tree is not None
        self.faults += 1
        self._tree.note(FaultInjected(path=Path(path), fault=kind, seconds=seconds, pid=pid))

    async def _hold(self, pid: int) -> None:
        """Stop a process, and let it go on whatever happens."""
        self._stopped.add(pid)
        _send(pid, signal.SIGSTOP)
        try:
            await trio.sleep(self.order.hangs)
        finally:
            self._go_on(pid)

    def _go_on(self, pid: int) -> None:
        if pid in self._stopped:
            self._stopped.discard(pid)
            _send(pid, signal.SIGCONT)

    # -- watching

    async def _follow(self, tree: Tree) -> None:
        async with tree.events(tree.head) as records:
            async for record in records:
                wrong = broken_by(record.event)
                if wrong:
                    self.stop(wrong, broken=True)

    async def _look_after(self, tree: Tree) -> None:
        while True:
            await trio.sleep(_LOOK)
            now = trio.current_time()
            slots = {str(each.path): each for each in tree.snapshot()}
            for path, struck in list(self._struck.items()):
                slot = slots.get(path)
                if slot is None or _is_well(slot, struck, now):
                    del self._struck[path]
                elif not struck.armed and now > max(struck.at, struck.until) + self.order.recover:
                    text = f"{path} is not well {self.order.recover:g} s after {struck.kind}: {slot.state.value}"
                    self.stop(f"{text}, {slot.note}" if slot.note else text, broken=True)
            wrong = self._promise(tree)
            if wrong is not None:
                self.stop(wrong, broken=True)

    def _promise(self, tree: Tree) -> str | None:
        """What the promise says is wrong; one that cannot be looked at is none that holds."""
        if self.promise is None:
            return None
        name = self.order.promise or getattr(self.promise, "__qualname__", "the promise")
        try:
            said = self.promise(tree)
        except Exception as error:
            return f"{name} raised {type(error).__name__}: {error}"
        if said is False or (isinstance(said, str) and said):
            return f"{name}: {said or 'it does not hold'}"
        return None


def _is_well(slot: SlotStatus, struck: _Struck, now: float) -> bool:
    if slot.state is not SlotState.UP:
        return False
    if struck.kind == "kill":
        return slot.incarnation != struck.incarnation
    return now >= struck.until or (not struck.armed and slot.incarnation not in (0, struck.incarnation))


def _send(pid: int, number: signal.Signals) -> None:
    """To a process and all that it has started."""
    with suppress(ProcessLookupError, PermissionError):  # it has gone by itself
        os.killpg(pid, number)
