"""The supervisor: one loop that receives, decides through pure functions, and acts. It never sleeps.

The semantics of starts, stops, restarts and escalation are those of OTP's `supervisor` (lib/stdlib, OTP 27); what is
beyond them (delays, rollbacks, throttles, holds) comes from the policy.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

import trio

from treewarden.agents.core.exit import KILLED, Exit, Failed, Failure, Stopped, is_clean
from treewarden.agents.core.lifecycle import SlotEvent, SlotState
from treewarden.agents.slot import Slot

from .calls import Call, answer
from .child import AgentLife, Child, Incarnation, Parent
from .children import Children, describe_exit
from .core.action import (
    Action,
    Break,
    Escalate,
    Hold,
    Recycle,
    Restart,
    Resume,
    RollBack,
    Scope,
    SetAside,
    Stop,
    Throttle,
    affected,
)
from .core.case import must_restart
from .core.decision import Policy
from .core.event import Event, SupervisorEnded, SupervisorStarted
from .core.incident import Outcome
from .core.signal import ChildExited, OperatorAsked, RateLimitReached, Recovered, Reported, RestartFailed, Signal
from .core.spec import AutoShutdown, RestartPolicy, SupervisorSpec
from .journal.port import Commit
from .judge import Judge
from .orders import RetryDue, StopSupervisor
from .recovery import give_back, give_up
from .registry import Pool
from .reload import Changes
from .remedies import Remedies

__all__ = ["Supervisor"]

_ERRORS_KEPT: Final = 16


class Supervisor(Incarnation):
    """One incarnation of a supervisor. It is a child of the one above and the parent of those below."""

    nursery: trio.Nursery

    def __init__(self, child: Child, parent: Parent, number: int) -> None:
        super().__init__(child, parent, number)
        assert isinstance(child.spec, SupervisorSpec)
        self.spec: SupervisorSpec = child.spec
        self.path = child.path
        self.common = parent.common
        self.policy: Policy = self.spec.policy or parent.policy
        self.children = Children(self.path, self, self.spec.strategy, Supervisor)
        self.judge = Judge(self.spec, self.policy, self.common)
        self.remedies = Remedies(self)
        self.busy = True
        """A start or stop is in progress: what arrives waits."""
        self.errors: deque[BaseException] = deque(maxlen=_ERRORS_KEPT)
        self._failure: Failure | None = None
        self._loop_scope = trio.CancelScope()
        self.gone = trio.Event()
        """Its task has ended, and with it everything below."""
        self._send, self._receive = trio.open_memory_channel[object](math.inf)

    @property
    def is_supervisor(self) -> bool:
        return True

    @property
    def settled(self) -> int:
        """A supervisor that has begun has done what it is there for."""
        return 1

    # -- its own life

    async def start(self) -> Failure | None:
        """Start it and, in order, its children; returns when the last one has begun, or with why one has not."""
        return await self.parent.nursery.start(self._live)

    async def _live(self, task_status: trio.TaskStatus[Failure | None]) -> None:
        started = False
        try:
            self.common.supervisors[self.path] = self
            async with trio.open_nursery() as self.nursery:
                with self._loop_scope:
                    failure = await self._start_children()
                    self.busy = False
                    started = True
                    task_status.started(failure)
                    if failure is None:
                        await self._end(await self._loop())
                if self.exit is None:
                    self.conclude(Failed(self._failure) if self._failure is not None else KILLED)
                    self._refuse_calls()
                    await self._abandon()
        finally:
            self.conclude(KILLED)
            self.gone.set()
            if self.common.supervisors.get(self.path) is self:
                del self.common.supervisors[self.path]
            if not started:
                task_status.started(self._failure or KILLED.failure)

    async def _start_children(self) -> Failure | None:
        for spec in self.spec.children:
            if self.spec.strategy is not self.spec.strategy.DYNAMIC:
                self.children.add(spec)
        if self.spec.router is not None:
            self.common.registry.add_pool(Pool(self.path, self.spec.router, self._workers))
        failed = await self.children.start_group(list(self.children))
        if failed is None:
            self.common.note(
                SupervisorStarted(
                    path=self.path,
                    incarnation=self.number,
                    strategy=str(self.spec.strategy),
                    children=len(self.children),
                )
            )
            return None
        child, failure = failed
        self._remember_error(child)
        await self.children.stop_all("shutdown")
        text = f"its child {child.path} did not start: {failure}"
        self._failure = Failure("StartFailed", text, fingerprint=failure.fingerprint, parts=(failure,))
        self.conclude(Failed(self._failure))
        return self._failure

    async def _end(self, exit: Exit) -> None:
        self.common.note(SupervisorEnded(path=self.path, incarnation=self.number, reason=describe_exit(exit)))
        if self.errors:
            self.error = BaseExceptionGroup(f"{self.path}: {describe_exit(exit)}", list(self.errors))
        self.conclude(exit)
        self._refuse_calls()

    def _refuse_calls(self) -> None:
        """Nobody will answer what is still queued."""
        while True:
            try:
                item = self._receive.receive_nowait()
            except trio.WouldBlock:
                return
            if isinstance(item, Call):
                item.refuse(self.path)

    async def _abandon(self) -> None:
        """It was killed: workers go with it at once, supervisors below it end in order, as in OTP."""
        lives = [child.current for child in self.children if child.current is not None]
        for life in lives:
            if life.is_supervisor:
                life.order_stop("killed")
            else:
                life.kill()
        for life in lives:
            await life.wait_ended()

    def order_stop(self, reason: str, *, drain: bool = False) -> None:
        self.post(StopSupervisor(reason, drain))

    def kill(self, failure: Failure | None = None) -> None:
        self._failure = self._failure or failure
        self._loop_scope.cancel()

    def post(self, item: object) -> None:
        """Queue a signal, an ended life or a call. Never blocks; after the end, calls are refused."""
        if self.exit is not None and isinstance(item, Call):
            item.refuse(self.path)
        else:
            self._send.send_nowait(item)

    def adopt(self, spec: SupervisorSpec) -> None:
        """Go by new flags from now on; the specs of the children are the table's business."""
        self.spec = self.judge.spec = spec
        self.policy = self.judge.policy = spec.policy or self.parent.policy
        self.children.strategy = spec.strategy

    async def reload(self, spec: SupervisorSpec, changes: Changes) -> None:
        """Have its own loop take a new spec; for the supervisor above, which waits meanwhile."""
        call = Call("reload", (spec, changes))
        self.post(call)
        await call.wait()

    def _workers(self) -> list[Slot]:
        return [child.slot for child in self.children if child.slot is not None]

    # -- the loop

    async def _loop(self) -> Exit:
        while True:
            item = await self._receive.receive()
            self.busy = True
            exit = await self._handle(item)
            self.busy = False
            if exit is not None:
                self.busy = True
                return exit

    async def _handle(self, item: object) -> Exit | None:
        match item:
            case AgentLife() | Supervisor():
                return await self._ended(item)
            case StopSupervisor(reason, drain):
                await self.children.stop_all(reason, drain=drain)
                return Stopped(reason)
            case RetryDue(id, token):
                child = self.children.get(id)
                if child is not None and child.token == token and child.state is SlotState.RESTARTING:
                    return await self._restart(child, Scope.ONE)
                return None
            case RestartFailed():
                child = self.children.get(item.path.name)
                if child is not None and child.state is SlotState.RESTARTING and child.alarm is None:
                    return await self._decide(child, item)
                return None
            case Call():
                return await answer(self, item)
            case _:
                return await self._signal(item)  # pyright: ignore[reportArgumentType]

    async def _signal(self, signal: Signal) -> Exit | None:
        child = self.children.get(signal.path.name)
        if child is None or self.judge.ignores(child, signal):
            return None
        if isinstance(signal, OperatorAsked):
            return await self._decide(child, signal)
        if child.current is None:
            if isinstance(signal, RateLimitReached):
                self.remedies.throttle(child, signal.after or 1.0)
            return None
        exit = await self._decide(child, signal)
        if isinstance(signal, Recovered) and self.judge.recovered(child, signal):
            self.common.note(*self.judge.close(child, Outcome.FIXED))
        return exit

    # -- an end

    async def _ended(self, life: AgentLife | Supervisor) -> Exit | None:
        child = life.child
        if child.current is not life or self.children.get(child.spec.id) is not child:
            return None
        exit = self.children.account(child, expected=False)
        child.error = life.error
        self._remember_error(child)
        if must_restart(child.spec.restart, exit):
            return await self._decide(child, self._exited(life, exit), life)
        return await self._not_restarted(child, life, exit)

    def _exited(self, life: AgentLife | Supervisor, exit: Exit) -> ChildExited:
        now = self.common.clock.now()
        in_hand = life.in_hand
        return ChildExited(
            path=life.child.path,
            at=now,
            incarnation=life.number,
            exit=exit,
            uptime=max(0.0, now - life.started_at),
            settled=life.settled,
            deliveries=in_hand.deliveries + 1 if in_hand is not None else 0,
        )

    async def _not_restarted(self, child: Child, life: AgentLife | Supervisor, exit: Exit) -> Exit | None:
        """OTP: a temporary child's entry goes, a transient one's stays; then a significant one may end us all."""
        if not is_clean(exit):
            await self._decide(child, self._exited(life, exit), life)
        self.common.note(*self.judge.close(child, Outcome.UNOBSERVED))
        if life.in_hand is not None and life.slot is not None:
            give_up(life.slot, life.in_hand, describe_exit(exit), self.common)
        significant = child.spec.significant
        if child.spec.restart is RestartPolicy.TEMPORARY or self.spec.strategy is self.spec.strategy.DYNAMIC:
            self.children.drop(child, describe_exit(exit), exit)
        else:
            self.children.close(child, describe_exit(exit), exit)
        if significant and self._shuts_down():
            await self.children.stop_all("shutdown")
            return Stopped("auto_shutdown")
        return None

    def _shuts_down(self) -> bool:
        match self.spec.auto_shutdown:
            case AutoShutdown.NEVER:
                return False
            case AutoShutdown.ANY_SIGNIFICANT:
                return True
            case AutoShutdown.ALL_SIGNIFICANT:
                return not any(
                    child.spec.significant and (child.current is not None or child.state is SlotState.RESTARTING)
                    for child in self.children
                )

    # -- decisions

    async def _decide(self, child: Child, signal: Signal, life: AgentLife | Supervisor | None = None) -> Exit | None:
        if child.calm is not None:
            child.calm.cancel()
            child.calm = None
        checkpoints = 0 if child.incident is None else await self.remedies.count_checkpoints(child)
        decision, events = self.judge.decide(child, signal, tuple(self.children.order), checkpoints)
        self._note_with_message(child, life, decision.action, events)
        exit = await self._act(child, signal, decision.action)
        if child.incident is not None and child.current is not None and not isinstance(signal, Reported):
            self.watch_calm(child)
        return exit

    def _note_with_message(
        self, child: Child, life: AgentLife | Supervisor | None, action: Action, events: list[Event]
    ) -> None:
        """Journal the decision; and the message that the life died on goes back, or to the dead letters."""
        wall = self.common.clock.wall()
        self.common.submit(Commit(events=tuple((wall, event) for event in events)))
        if life is None or life.in_hand is None or life.slot is None:
            return
        envelope, spec = life.in_hand, life.slot.spec
        life.in_hand = None
        deliveries = envelope.deliveries + 1
        failure = life.exit.failure if isinstance(life.exit, Failed) else None
        why = f"{failure}" if failure is not None else "its agent ended"
        if not life.redelivers:
            give_up(
                life.slot, envelope, f"its handler did not finish ({why}), and its mailbox is in memory", self.common
            )
        elif deliveries >= spec.deliveries or (isinstance(action, SetAside) and action.message == envelope.id):
            give_up(life.slot, envelope, f"its handler failed {deliveries} times; the last time: {why}", self.common)
        else:
            give_back(life.slot, envelope, deliveries, self.common)

    async def _act(self, child: Child, signal: Signal, action: Action) -> Exit | None:
        match action:
            case Escalate(reason):
                child.move(SlotEvent.ABANDON) if child.state is SlotState.RESTARTING else None
                await self.children.stop_all("shutdown")
                return Stopped(reason)
            case Restart(scope, after):
                return await self._restart_from(child, signal, scope, after)
            case RollBack(steps, after):
                await self.remedies.roll_back(child, steps)
                return await self._restart_from(child, signal, Scope.ONE, after)
            case SetAside(_, after):
                return await self._restart_from(child, signal, Scope.ONE, after)
            case Recycle():
                if child.current is not None:
                    await self.children.stop(child, "recycled")
                return await self._restart(child, Scope.ONE)
            case Stop():
                if child.current is not None:
                    await self.children.stop(child)
                    self.children.close(child, "it was stopped")
            case Resume():
                self.remedies.resume(child)
            case Throttle(seconds):
                self.remedies.throttle(child, seconds)
            case Break(dependency, seconds):
                self.remedies.break_dependency(child, signal, dependency, seconds)
            case Hold(question):
                self.remedies.hold(child, question)
        return None

    async def _restart_from(self, child: Child, signal: Signal, scope: Scope, after: float) -> Exit | None:
        """Restart after `signal`: one that lives (a hang, an operator's wish) is ended first."""
        life = child.current
        if life is not None:
            failure = Failure(
                type(signal).__name__, str(getattr(signal, "doing", "")), fingerprint="ended by its supervisor"
            )
            await self.children.kill(life, failure)
            self.children.account(child, expected=True)
            self._note_with_message(child, life, Restart(scope, after), [])
        child.attempt += 1
        if after <= 0:
            return await self._restart(child, scope)
        await self._stop_affected(child, scope)
        self.delay(child, after)
        return None

    def delay(self, child: Child, after: float) -> None:
        """Start this child later; the loop goes on meanwhile."""
        child.void()
        child.move(SlotEvent.DELAY)
        due = RetryDue(child.spec.id, child.token)
        child.alarm = self.common.timers.at(self.common.clock.now() + after, lambda: self.post(due))

    async def _stop_affected(self, child: Child, scope: Scope) -> list[Child]:
        ids = affected(self.spec.strategy, self.children.order, child.spec.id, scope)
        group = [
            member
            for member in self.children
            if member.spec.id in ids and (member is child or member.state is not SlotState.HELD)
        ]
        await self.children.stop_group([member for member in group if member is not child])
        return [member for member in group if self.children.get(member.spec.id) is member]

    async def _restart(self, child: Child, scope: Scope) -> Exit | None:
        """Stop the affected children in reverse order, start all of the group in order. OTP 4.4."""
        child.void()
        group = await self._stop_affected(child, scope)
        failed = await self.children.start_group(group)
        for member in group:
            if member.current is not None and member.incident is not None and not self.judge.reported(member):
                self.watch_calm(member)
        if failed is None:
            return None
        culprit, failure = failed
        self._remember_error(culprit)
        culprit.move(SlotEvent.DELAY)
        self.post(RestartFailed(path=culprit.path, at=self.common.clock.now(), failure=failure))
        return None

    def watch_calm(self, child: Child) -> None:
        """Close the incident if nothing more happens for as long as the policy calls stable."""
        if child.calm is not None:
            child.calm.cancel()
        life = child.current

        def calm() -> None:
            child.calm = None
            if child.current is life and life is not None and life.exit is None:
                self.common.note(*self.judge.close(child, Outcome.FIXED))

        child.calm = self.common.timers.at(self.common.clock.now() + self.judge.stable_after(child), calm)

    def _remember_error(self, child: Child) -> None:
        if child.error is not None:
            self.errors.append(child.error)
