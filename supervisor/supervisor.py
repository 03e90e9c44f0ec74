"""The supervisor: one loop that receives, decides through pure functions, and acts. It never sleeps.

The semantics of starts, stops, restarts and escalation are those of OTP's `supervisor` (lib/stdlib, OTP 27); what is
beyond them (delays, rollbacks, throttles, holds) comes from the policy.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

import trio

from treewarden.agents.core.exit import KILLED, Exit, Failed, Failure, Stopped, describe, is_clean
from treewarden.agents.core.lifecycle import SlotEvent, SlotState
from treewarden.agents.errors import Ignore
from treewarden.agents.slot import Slot

from .answers import answer
from .calls import Call
from .child import NOT_STARTED, Child, Incarnation, Parent
from .children import Children, describe_exit, exit_name
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
)
from .core.case import must_restart
from .core.check import check_supervisor
from .core.decision import Policy
from .core.event import SupervisorEnded, SupervisorStarted
from .core.incident import Outcome
from .core.signal import ChildExited, OperatorAsked, RateLimitReached, Recovered, Reported, RestartFailed, Signal
from .core.spec import AutoShutdown, RestartPolicy, Strategy, SupervisorSpec
from .fence import AgentLife, is_for_above
from .journal.port import Commit
from .judge import Judge
from .orders import RetryDue, StopSupervisor
from .recovery import give_up, return_in_hand
from .registry import Pool
from .reload import Changes
from .remedies import Remedies
from .restarts import Restarts
from .topics import Topic

__all__ = ["Supervisor"]

_ERRORS_KEPT: Final = 16
_ORPHANS_WITHIN: Final = 5.0
"""Seconds that supervisors below one that was killed have to stop in order; then they are killed too."""


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
        self.restarts = Restarts(self)
        self.busy = True
        """A start or stop is in progress: what arrives waits."""
        self.gave_up = ""
        """Over whom and why, once it has ended, or is about to, because of more restarts than its limits allow."""
        self.errors: deque[BaseException] = deque(maxlen=_ERRORS_KEPT)
        self._failure: Failure | None = None
        self._loop_scope = trio.CancelScope()
        self._empty = trio.Event()
        self._answering: Call | None = None
        self._send, self._receive = trio.open_memory_channel[object](math.inf)

    @property
    def settled(self) -> int:
        """A supervisor that has begun has done what it is there for."""
        return 1

    # -- its own life

    async def _live(self) -> None:
        self.common.supervisors[self.path] = self
        try:
            async with trio.open_nursery() as self.nursery:
                outcome: Failure | Ignore | None = None
                with self._loop_scope:
                    outcome = await self._prepare()
                    if outcome is None:
                        self.busy = False
                        self._begin(None)
                        self._end(await self._loop())
                if self.exit is None:
                    self._end(Failed(self._failure) if self._failure is not None else KILLED)
                    await self._abandon()
                self._leave()
                self._begin(outcome or self._failure or NOT_STARTED)
        finally:
            self.conclude(KILLED)
            self._leave()

    async def _prepare(self) -> Failure | Ignore | None:
        """Start its children in order; returns when the last one has begun, or with why one has not."""
        try:
            check_supervisor(self.spec)
            await self._on_start()
            self._begin_anew()
        except Ignore as ignored:
            self.conclude(KILLED, tell=False)
            return ignored
        except BaseException as error:
            if is_for_above(error):
                raise
            self.error = error
            return self._not_started(describe(error))
        self._take_address()
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
        self.remember_error(child)
        self.error = child.error
        await self.children.stop_all("shutdown")
        return self._not_started(
            Failure(
                "StartFailed",
                f"its child did not start: {failure}",
                fingerprint=failure.fingerprint,
                where=child.path,
                parts=(failure,),
            )
        )

    async def _on_start(self) -> None:
        if self.spec.on_start is None:
            return
        with trio.move_on_after(self.spec.start_within) as limit:
            self.info = await self.spec.on_start(self.path)
        if limit.cancelled_caught:
            raise TimeoutError(f"on_start took longer than {self.spec.start_within:g} s (start_within)")

    def _begin_anew(self) -> None:
        """Fill the table from the spec. Whoever was added while an earlier incarnation ran is gone for good."""
        before = self.common.left.pop(self.path, {})
        for spec in () if self.spec.strategy is Strategy.DYNAMIC else self.spec.children:
            self.children.add(spec, lives=before.pop(self.path / spec.id, 0))
        for path in before:
            self.children.forget(path, "its supervisor was restarted, and it is not part of the tree")

    def _take_address(self) -> None:
        """Make its path one that messages can be told to, if its spec says so."""
        registry = self.common.registry
        if self.spec.router is not None:
            registry.add_pool(self.path, Pool(self.path, self.spec.router, self._workers))
        elif self.spec.topic is not None:
            before = registry.lookup(self.path)
            topic = before if isinstance(before, Topic) else Topic(self.path, self.common)
            topic.declare(self.spec.topic)
            registry.add_pool(self.path, topic)

    def _not_started(self, failure: Failure) -> Failure:
        self._failure = failure
        self.conclude(Failed(failure), tell=False)
        return failure

    def _end(self, exit: Exit) -> None:
        """Its exit is a fact from here on, for the parent and for whoever waits for an answer."""
        if self.errors:
            self.error = BaseExceptionGroup(f"{self.path}: {describe_exit(exit)}", list(self.errors))
        if self._begun is None:
            failure = exit.failure if isinstance(exit, Failed) else None
            self.common.note(
                SupervisorEnded(
                    path=self.path,
                    incarnation=self.number,
                    reason=describe_exit(exit),
                    exit=exit_name(exit),
                    failure=failure,
                )
            )
        self.conclude(exit, tell=self._begun is None)
        self._refuse_calls(exit)

    def _leave(self) -> None:
        """Nobody lives below any more."""
        self._empty.set()
        if self.common.supervisors.get(self.path) is self:
            del self.common.supervisors[self.path]
            self.common.left[self.path] = {child.path: child.lives for child in self.children}

    def _refuse_calls(self, exit: Exit) -> None:
        """Nobody will answer what is in hand or still queued."""
        if self._answering is not None:
            self._answering.refuse(self.path, exit)
        while True:
            try:
                item = self._receive.receive_nowait()
            except trio.WouldBlock:
                return
            if isinstance(item, Call):
                item.refuse(self.path, exit)

    async def _abandon(self) -> None:
        """It was killed: workers go with it at once, supervisors below it end in order, as in OTP."""
        lives = [child.current for child in self.children if child.current is not None]
        for life in lives:
            if isinstance(life, Supervisor):
                life.stop_with(KILLED)
            else:
                life.kill()
        with trio.move_on_after(_ORPHANS_WITHIN):
            for life in lives:
                await life.wait_emptied()
        for life in lives:
            life.kill()
        for life in lives:
            await life.wait_emptied()

    async def wait_emptied(self) -> None:
        await self._empty.wait()

    def order_stop(self, reason: str, *, drain: bool = False) -> None:
        self.post(StopSupervisor(Stopped(reason), drain))

    def stop_with(self, exit: Exit) -> None:
        """Ask it to stop its children in order and to end with this exit."""
        self.post(StopSupervisor(exit))

    def kill(self, failure: Failure | None = None) -> None:
        self._failure = self._failure or failure
        self._loop_scope.cancel()

    def post(self, item: object) -> None:
        """Queue a signal, an ended life or a call. Never blocks; after the end, calls are refused."""
        if self.exit is not None and isinstance(item, Call):
            item.refuse(self.path, self.exit)
        else:
            self._send.send_nowait(item)

    def adopt(self, spec: SupervisorSpec) -> None:
        """Go by new flags from now on; the specs of the children are the table's business."""
        self.spec = self.judge.spec = spec
        self.policy = self.judge.policy = spec.policy or self.parent.policy
        self.children.strategy = spec.strategy
        self._take_address()

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
            if exit is not None:
                return exit
            self.busy = False

    async def _handle(self, item: object) -> Exit | None:
        match item:
            case AgentLife() | Supervisor():
                return await self._ended(item)
            case StopSupervisor(exit, drain):
                await self.children.stop_all("shutdown", drain=drain)
                return exit
            case RetryDue():
                await self.restarts.due(item)
                return None
            case RestartFailed():
                child = self.children.get(item.path.name)
                if child is not None and child.state is SlotState.RESTARTING and child.alarm is None:
                    return await self._decide(child, item)
                return None
            case Call():
                self._answering = item
                await answer(self, item)
                self._answering = None
                return None
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
        await life.wait_emptied()
        exit = self.children.account(child, expected=False)
        child.error = life.error
        self.remember_error(child)
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
        if child.spec.restart is RestartPolicy.TEMPORARY or self.spec.strategy is Strategy.DYNAMIC:
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
        if not isinstance(signal, OperatorAsked) and self.remedies.keeps_quiet(child, signal):
            self.common.note(*self.judge.join(child, signal))
            if life is not None:
                return_in_hand(life, Resume(), self.common)
            return None
        checkpoints = 0 if child.incident is None else await self.remedies.count_checkpoints(child)
        decision, events = self.judge.decide(child, signal, tuple(self.children.order), checkpoints)
        wall = self.common.clock.wall()
        self.common.submit(Commit(events=tuple((wall, event) for event in events)))
        if life is not None:
            return_in_hand(life, decision.action, self.common)
        if isinstance(decision.action, Escalate):
            self.gave_up = f"{child.path}: {decision.chosen.reason}"
        exit = await self._act(child, signal, decision.action)
        if child.incident is not None and child.current is not None and not isinstance(signal, Reported):
            self.restarts.watch_calm(child)
        return exit

    async def _act(self, child: Child, signal: Signal, action: Action) -> Exit | None:
        match action:
            case Escalate(reason):
                if child.state is SlotState.RESTARTING:
                    child.move(SlotEvent.ABANDON)
                await self.children.stop_all("shutdown")
                return Stopped(reason)
            case Restart(scope, after):
                await self._restart(child, signal, scope, after)
            case RollBack(steps, after):
                await self.remedies.roll_back(child, steps)
                await self._restart(child, signal, Scope.ONE, after)
            case SetAside(_, after):
                await self._restart(child, signal, Scope.ONE, after)
            case Recycle():
                if child.current is not None:
                    await self.children.stop(child, "recycled")
                await self.restarts.restart(child, Scope.ONE)
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

    async def _restart(self, child: Child, signal: Signal, scope: Scope, after: float) -> None:
        """Restart after `signal`: one that lives (a hang, an operator's wish) is ended first."""
        life = child.current
        if life is not None:
            failure = Failure(
                type(signal).__name__, str(getattr(signal, "doing", "")), fingerprint="ended by its supervisor"
            )
            await self.children.kill(life, failure)
            await life.wait_emptied()
            self.children.account(child, expected=True)
            return_in_hand(life, Restart(scope, after), self.common)
        await self.restarts.begin(child, scope, after)

    def remember_error(self, child: Child) -> None:
        """Keep the exception behind a child's end for the group that may end the tree."""
        if child.error is not None:
            self.errors.append(child.error)
