"""From a signal to what is done about it: at once, where nothing has to be waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from treewarden.agents.core.exit import Exit, Failure, Stopped
from treewarden.agents.core.lifecycle import SlotEvent, SlotState

from .child import Child
from .core.action import (
    Action,
    Break,
    Escalate,
    FallBack,
    Hold,
    Perform,
    Recycle,
    Restart,
    Resume,
    RollBack,
    Scope,
    SetAside,
    Stop,
    Throttle,
)
from .core.exits import must_restart
from .core.signal import ChildExited, OperatorAsked, Recovered, Reported, RestartFailed, Signal, Stalled
from .core.spec import ChildSpec
from .core.symptom import describe
from .orders import wait_for
from .unsettled import return_in_hand

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from .fence import AgentLife
    from .orders import Rest
    from .supervisor import Supervisor

__all__ = ["Acting"]


class Acting:
    """The decisions of one supervisor, and what they lead to. They are made one at a time."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._common = supervisor.common
        self._children = supervisor.children
        self._remedies = supervisor.remedies
        self._restarts = supervisor.restarts
        self._judged: tuple[AgentLife | Supervisor, bool] | None = None
        """Who has ended, while a decision about it waits for the journal; and whether its attempt is not counted."""

    def answer(self, child: Child, report: Reported) -> Rest:
        """`decide` about a report. Of somebody who is down it is noted, for whoever asks why."""
        if child.current is not None:
            return self.decide(child, report)
        self.note_of_one_down(child, report)
        return None

    def note_of_one_down(self, child: Child, signal: Reported | Recovered) -> None:
        """Nothing is decided, and no attempt is judged: whatever is being tried has not begun, or somebody ended it."""
        from .judge import noted  # most trees start and end without it

        if isinstance(signal, Recovered):
            self._supervisor.judge.recovered(child, signal)
        self._common.note(noted(signal))

    def decide(self, child: Child, signal: Signal, life: AgentLife | Supervisor | None = None) -> Rest:
        """Decide what to do about a signal and do it; `life` has ended with it. Returns what is left to wait for."""
        if child.calm is not None:
            child.calm.cancel()
            child.calm = None
        spared = False
        if (self._common.any_broken or self._supervisor.has_troubles) and not isinstance(signal, OperatorAsked):
            troubles, in_hand = self._supervisor.troubles, None if life is None else life.in_hand
            waits = troubles.keeps_quiet(child, signal)
            spared = (waits is not None or troubles.knows(child, signal)) and troubles.spares(child, signal, in_hand)
            if waits is not None:
                self._common.note(*self._supervisor.judge.join(child, signal), waits)
                if life is not None:
                    return_in_hand(life, Resume(), self._common, counts=not spared)
                return None
            if spared and isinstance(signal, ChildExited):
                signal = evolve(signal, deliveries=signal.deliveries - 1)
        if type(signal) is Reported:
            answer = self._supervisor.judge.let_live(child, signal, self._children.order)
            if answer is not None:
                if self._common.note_later(*answer):
                    self._common.write_gathered()
                return None
        if child.in_trouble and self._remedies.keeps_checkpoints(child) and self._supervisor.judge.looks_back(signal):
            self._judged = None if life is None else (life, spared)
            return self._decide_looking_back(child, signal, life, spared)
        return self._decide(child, signal, life, 0, spared)

    async def _decide_looking_back(
        self, child: Child, signal: Signal, life: AgentLife | Supervisor | None, spared: bool
    ) -> Exit | None:
        checkpoints = await self._remedies.count_checkpoints(child)
        return await wait_for(self._decide(child, signal, life, checkpoints, spared))

    def _decide(
        self, child: Child, signal: Signal, life: AgentLife | Supervisor | None, checkpoints: int, spared: bool
    ) -> Rest:
        decision, events = self._supervisor.judge.decide(child, signal, self._children.order, checkpoints)
        self._common.note(*events)
        self._judged = None
        if life is not None:
            if type(decision.action) is Break:
                spared = spared or self._supervisor.troubles.spares(child, signal, life.in_hand)
            return_in_hand(life, decision.action, self._common, counts=not spared)
        if isinstance(decision.action, Escalate):
            self._supervisor.gave_up = f"{child.path}: {decision.chosen.reason}"
        if type(decision.action) is not RollBack and self._remedies.was_in_vain(child, signal):
            rest = self._put_back_and_act(child, signal, decision.action)
        else:
            rest = self._act(child, signal, decision.action)
        if rest is not None:
            return self._act_and_watch(rest, child)
        self.watch(child)
        return None

    def abandon(self) -> None:
        """Nothing more is decided. What who was being judged had in hand is for the next life of its slot."""
        if self._judged is not None:
            life, spared = self._judged
            return_in_hand(life, Resume(), self._common, counts=not spared)
            self._judged = None

    async def _act_and_watch(self, rest: Coroutine[Any, Any, Exit | None], child: Child) -> Exit | None:
        exit = await rest
        self.watch(child)
        return exit

    def watch(self, child: Child) -> None:
        """Close the incident of a child that lives if nothing more happens, nothing that was reported about it still
        is so, and nothing that may help is under way."""
        if child.calm is not None or not child.in_trouble or child.current is None or child.overloaded:
            return
        if not self._supervisor.judge.reported(child) and not self._supervisor.runs_for(child):
            self._restarts.watch_calm(child)

    async def _put_back_and_act(self, child: Child, signal: Signal, action: Action) -> Exit | None:
        if child.current is not None:
            hangs = type(signal) is Stalled and isinstance(action, Hold)
            if not hangs and not isinstance(action, (Restart, SetAside, FallBack)):
                return await wait_for(self._act(child, signal, action))  # it lives on with what it has
            await self._end(child, child.current, signal, action)
        await self._remedies.put_back(child)
        return await wait_for(self._act(child, signal, action))

    def _act(self, child: Child, signal: Signal, action: Action) -> Rest:
        if isinstance(signal, OperatorAsked) and not isinstance(action, (Hold, Stop)):
            # a person has decided, also about what was reported, held or throttled before
            self._supervisor.judge.leave_reports(child)
            self._remedies.resume(child, f"{signal.by} asked for {signal.what}")
        match action:
            case Restart(scope, after):
                return self._restart(child, signal, scope, after)
            case SetAside(_, after):
                return self._restart(child, signal, Scope.ONE, after)
            case Resume():
                if isinstance(signal, Recovered):
                    self._remedies.recovered(child, signal)
            case Throttle(seconds):
                self._remedies.slow_down(child, signal, seconds)
                if child.current is None:
                    return self._restarts.begin(child, Scope.ONE, 0.0)
            case FallBack(variant, after):
                self._remedies.fall_back(child, variant)
                return self._restart(child, signal, Scope.ONE, after)
            case Break(dependency, seconds):
                self._supervisor.troubles.break_dependency(child, signal, dependency, seconds)
            case Hold(question):
                if isinstance(signal, OperatorAsked) and isinstance(child.spec, ChildSpec):
                    return self._stand_down(child, signal, question)
                self._remedies.hold(child, signal, question)
                return self._restarts.go_on_without(child)
            case Perform():
                self._supervisor.performing.begin(child, signal, action)
            case Escalate() | RollBack() | Recycle() | Stop():
                return self._act_waiting(child, signal, action)
        return None

    async def _act_waiting(
        self, child: Child, signal: Signal, action: Escalate | RollBack | Recycle | Stop
    ) -> Exit | None:
        match action:
            case Escalate(reason):
                if child.state is SlotState.RESTARTING:
                    child.move(SlotEvent.ABANDON)
                await self._children.stop_all("shutdown")
                return Stopped(reason)
            case RollBack(steps, after):
                if child.current is not None:  # first: at its end it may write what it had settled
                    await self._end(child, child.current, signal, action)
                await self._remedies.roll_back(child, signal, steps)
                return await wait_for(self._restart(child, signal, Scope.ONE, after))
            case Recycle():
                if child.current is not None:
                    await self._children.stop(child, "recycled")
                return await wait_for(self._restarts.restart(child, Scope.ONE))
            case Stop():
                if not isinstance(signal, ChildExited) or must_restart(child.spec.restart, signal.exit):
                    await self._children.stop(child)
                    self._children.close(child, "it was stopped")
                    if isinstance(signal, (ChildExited, RestartFailed)):  # nobody ended it
                        exit = await self._restarts.shut_down_after(child)
                        if exit is not None:
                            return exit
                return await wait_for(self._restarts.go_on_without(child))

    async def _stand_down(self, child: Child, signal: OperatorAsked, question: str) -> Exit | None:
        """A person holds an agent. It ends in order: one that lived on would do what its body does, or crash, and the
        life after that would be held no more."""
        await self._children.stop(child, f"{signal.by} asked for {signal.what}")
        if child.slot is not None and child.slot.closed is not None:
            child.slot.reopen()  # of one that was down for good: now it waits, and so does what it is told
        self._remedies.hold(child, signal, question)
        return await wait_for(self._restarts.go_on_without(child))

    def _restart(self, child: Child, signal: Signal, scope: Scope, after: float) -> Rest:
        """Restart after `signal`: one that lives (a hang, an operator's wish) is ended first; stopped in order where a
        person asked, for then nothing has failed."""
        after, has_turn = self._turn(child, signal, after)
        if child.current is None:
            return self._restarts.begin(child, scope, after, has_turn=has_turn)
        return self._end_and_restart(child, child.current, signal, scope, after, has_turn)

    def _turn(self, child: Child, signal: Signal, after: float) -> tuple[float, bool]:
        """Take the turn that was decided about. What a person asks for needs none."""
        if isinstance(signal, OperatorAsked):
            return after, True
        if after > 0:
            from .core.decision import Decision  # most trees start and end without one

            decision = child.decision
            if isinstance(decision, Decision) and decision.case.turn == after:
                return self._common.pace.take(self._common.clock.now()), True
        return after, False

    async def _end_and_restart(
        self, child: Child, life: AgentLife | Supervisor, signal: Signal, scope: Scope, after: float, has_turn: bool
    ) -> Exit | None:
        await self._end(child, life, signal, Restart(scope, after))
        return await wait_for(self._restarts.begin(child, scope, after, has_turn=has_turn))

    async def _end(self, child: Child, life: AgentLife | Supervisor, signal: Signal, action: Action) -> None:
        if isinstance(signal, OperatorAsked) and life.exit is None:
            await self._children.stop(child, f"{signal.by} asked for {signal.what}")
        else:
            over = Failure(type(signal).__name__, describe(signal), fingerprint="ended by its supervisor")
            await self._children.kill(life, over)
            self._children.account(child, expected=True)
            return_in_hand(life, action, self._common)
