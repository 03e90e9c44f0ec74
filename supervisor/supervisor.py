"""The supervisor: one loop that receives, decides through pure functions, and acts. It never sleeps.

The semantics of starts, stops, restarts and escalation are those of OTP's `supervisor` (lib/stdlib, OTP 27); what is
beyond them (delays, rollbacks, throttles, holds) comes from the policy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final, cast

import trio
from attrs import evolve

from treewarden.agents.core.exit import KILLED, Exit, Failed, Failure, Stopped, describe, grouped
from treewarden.agents.errors import Ignore

from .address import share_queue, take_address
from .at_need import AtNeed
from .bulk import end_asleep, end_below
from .child import NOT_STARTED, Child, Parent
from .children import Children, describe_exit
from .core.check import check_supervisor
from .core.event import SupervisorEnded, SupervisorStarted
from .core.exits import exit_name
from .core.incident_events import Outcome
from .core.signal import (
    OperatorAsked,
    RateLimitReached,
    Recovered,
    Reported,
    RestartFailed,
    Signal,
    Unanswered,
)
from .core.spec import Shared, Strategy, SupervisorSpec
from .fence import AgentLife
from .orders import Call, Performed, RetryDue, StopSupervisor, wait_for
from .orphans import Emptied
from .queue import Queue
from .warden import let_above

if TYPE_CHECKING:
    from .orders import Rest
    from .reload import Changes

__all__ = ["Supervisor"]

_ERRORS_KEPT: Final = 16
_CALLS_AT_ONCE: Final = frozenset({"start_dynamic", "terminate_dynamic"})
_AT_ONCE: Final = 64
_TURN: Final = 0.001
"""So many reports, or seconds, are handled before others run."""


class Supervisor(AtNeed):
    """One incarnation of a supervisor. It is a child of the one above and the parent of those below."""

    nursery: trio.Nursery

    def __init__(self, child: Child, parent: Parent, number: int) -> None:
        super().__init__(child, parent, number)
        self.path = child.path
        self.children = Children(self.path, self, self.spec, Supervisor)
        self.busy = True
        """A start or stop is in progress: what arrives waits."""
        self.closing = False
        """Its nursery is about to close, or has: nobody can begin there any more, also where it is only cancelled."""
        self.gave_up = ""
        """Over whom and why, once it has ended, or is about to, because of more restarts than its limits allow."""
        self.errors: deque[BaseException] = deque(maxlen=_ERRORS_KEPT)
        self.has_children = False
        """Its own `on_start` is over: there may be somebody to stop."""
        self._failure: Failure | None = None
        self._loop_scope = trio.CancelScope()
        self.emptied = Emptied()
        self._answering: Call | None = None
        self._queue = Queue()

    @property
    def settled(self) -> int:
        """A supervisor that has begun has done what it is there for."""
        return 1

    # -- its own life

    async def _live(self) -> None:
        self.common.supervisors[self.path] = self
        try:
            async with trio.open_nursery() as self.nursery:
                try:
                    await self._lead()
                finally:
                    self.closing = True
        finally:
            if self.exit is None:
                end_asleep(self.children)
            self.conclude(KILLED)
            self._refuse_calls(KILLED)  # of callers who are not cancelled with the tree
            self._leave()

    async def _lead(self) -> None:
        outcome: Failure | Ignore | None = None
        with self._loop_scope:
            outcome = await self._prepare()
            if outcome is None:
                self.busy = False
                self._begin(None)
                self._end(await self._loop())
        if self.exit is None:
            self._end(Failed(self._failure) if self._failure is not None else KILLED)
            self.abandon_decision()
            await end_below(self.children)
        self._begin(outcome or self._failure or NOT_STARTED)
        await self.children.orphans.wait()
        self._leave()

    async def _prepare(self) -> Failure | Ignore | None:
        """Start its children in order; returns when the last one has begun, or with why one has not."""
        try:
            check_supervisor(self.spec)
            await self._on_start()
            self.has_children = True
            if isinstance(self.spec.router, Shared):
                await share_queue(self)
            self._begin_anew()
        except Ignore as ignored:
            self.conclude(KILLED, tell=False)
            self._refuse_calls(KILLED)
            return ignored
        except BaseException as error:
            let_above(error)
            self.error = error
            return self._not_started(describe(error))
        take_address(self, self.spec)
        failed = await self.children.start_all()
        if failed is None and self.children.given_up:  # in the moment in which the last one had begun
            await self.children.stop_all("shutdown")
            return self._not_started(NOT_STARTED)
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
        self.common.registry.fails_below(self.path)  # who has begun ends now, and need not wait for them
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
        """Fill the table from the spec. Whoever was added while an earlier incarnation ran is not in it."""
        self.children.take_over(() if self.spec.strategy is Strategy.DYNAMIC else self.spec.children)

    def _not_started(self, failure: Failure) -> Failure:
        self._failure = failure
        self.conclude(Failed(failure), tell=False)
        self._refuse_calls(Failed(failure))
        return failure

    def _end(self, exit: Exit) -> None:
        """Its exit is a fact from here on, for the parent and for whoever waits for an answer."""
        if self.errors:
            self.error = grouped(f"{self.path}: {describe_exit(exit)}", self.errors)
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
        self.cancel_actions()
        self.conclude(exit, tell=self._begun is None)
        self._refuse_calls(exit)

    def _leave(self) -> None:
        """Nobody lives below any more."""
        if self.common.supervisors.get(self.path) is self:
            del self.common.supervisors[self.path]
            self.children.leave()
        self.emptied.come()

    def _refuse_calls(self, exit: Exit) -> None:
        """Nobody will answer what is in hand, put off or still queued."""
        if self._answering is not None:
            self._answering.refuse(self.path, exit)
        for call in self.children.orphans.waiting:
            call.refuse(self.path, exit)
        while (item := self._queue.get_nowait()) is not None:
            if isinstance(item, Call):
                item.refuse(self.path, exit)
            elif isinstance(item, CoroutineType):
                item.close()

    async def wait_emptied(self) -> None:
        await self.emptied.wait()

    def order_stop(self, reason: str, *, drain: bool = False) -> None:
        self.post(StopSupervisor(Stopped(reason), drain))

    def stop_with(self, exit: Exit) -> None:
        """Ask it to stop its children in order and to end with this exit."""
        self.post(StopSupervisor(exit))

    def kill(self, failure: Failure | None = None) -> None:
        self._failure = self._failure or failure
        self._loop_scope.cancel()

    def post(self, item: object) -> None:
        """Queue a signal, an ended life or a call. Never blocks; after the end, calls are refused.

        The end of an agent, and a call that starts or ends a dynamic one, are handled at once while the loop has
        nothing to do.
        """
        loop = None if self.busy else self._queue.reader
        if loop is not None and type(item) is AgentLife:
            self._handle_at_once(loop, self._account_for, item)
        elif self.exit is not None and isinstance(item, Call):
            item.refuse(self.path, self.exit)
        elif loop is not None and isinstance(item, Call) and item.what in _CALLS_AT_ONCE:
            from . import answers

            self._answering = item
            handle = answers.start_dynamic if item.what == "start_dynamic" else answers.terminate_dynamic
            self._handle_at_once(loop, handle, self, item)
        else:
            self._queue.put(item)

    def post_again(self, call: Call) -> None:
        """`post`, of one that was put off: it never overtakes what waits in the queue."""
        if self.exit is not None:
            call.refuse(self.path, self.exit)
        else:
            self._queue.put(call)

    def _handle_at_once(self, loop: trio.lowlevel.Task, handle: Callable[..., Rest], *args: object) -> None:
        """Handle something in the task that it comes from, but in the context of the loop, which is parked meanwhile.

        What is left to wait for, or went wrong, is for the loop's own task.
        """
        self.busy = True
        self.common.gather()
        try:
            rest = loop.context.run(handle, *args)
        except BaseException as error:
            rest = _raised(error)
        finally:
            self.common.write_gathered()
        if rest is None:
            self.busy = False
            self._answering = None
        else:
            self._queue.put(rest)

    def adopt(self, spec: SupervisorSpec) -> None:
        super().adopt(spec)
        self.children.go_by(spec)
        take_address(self, self.spec)

    async def reload(self, spec: SupervisorSpec, changes: Changes) -> None:
        """Have its own loop take a new spec; for the supervisor above, which waits meanwhile, unless it is put off."""
        call = Call("reload", (spec, changes))
        self.post(call)
        if await call.heard():
            await call.wait()
        else:
            changes.later.append(call)

    # -- the loop

    async def _loop(self) -> Exit:
        while True:
            item = await self._queue.get()
            self.busy = True
            exit = await (wait_for(self._reports(item)) if isinstance(item, Reported) else self._handle(item))
            if exit is not None:
                return exit
            self.busy = False

    def _reports(self, first: Reported) -> Rest:
        """Handle a report and those that wait right behind it, until something has to be waited for or it is time to
        let others run; what is noted of them is one commit. Returns what is left of the last one."""
        report: object | None = first
        until, handled = self.common.clock.now() + _TURN, 0
        self.common.gather()
        try:
            while isinstance(report, Reported):
                child = self.children.get(report.path.name)
                rest = None if child is None else self.acting.answer(child, report)
                handled += 1
                if rest is not None or handled >= _AT_ONCE or self.common.clock.now() > until:
                    return rest
                report = self._queue.next_of(Reported)
        finally:
            self.common.write_gathered()
        return None

    async def _handle(self, item: object) -> Exit | None:
        match item:
            case AgentLife() | Supervisor():
                return await wait_for(self._account_for(item))
            case CoroutineType():
                ended = await cast("CoroutineType[Any, Any, Exit | None]", item)
                self._answering = None
                return ended
            case StopSupervisor(exit, drain):
                await self.children.stop_all("shutdown", drain=drain)
                return exit
            case RetryDue():
                return await wait_for(self.restarts.due(item))
            case Performed(running):
                return await wait_for(self.performing.ended(running))
            case RestartFailed() | Unanswered():
                child = self.children.get(item.path.name)
                return await wait_for(self.acting.decide(child, item)) if child and child.waits_for(item) else None
            case Call():
                from .answers import answer  # with the first call

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
            return await wait_for(self.acting.decide(child, evolve(signal, lives=child.current is not None)))
        if child.current is None:
            if isinstance(signal, RateLimitReached):
                self.remedies.throttle(child, signal, signal.after or 1.0)
            elif isinstance(signal, Recovered):
                self.acting.note_of_one_down(child, signal)
            return None
        exit = await wait_for(self.acting.decide(child, signal))
        if isinstance(signal, Recovered):
            if self.judge.recovered(child, signal):
                self.close_incident(child, Outcome.FIXED)
            else:
                self.acting.watch(child)
        return exit

    # -- an end

    def _account_for(self, life: AgentLife | Supervisor) -> Rest:
        child = life.child
        if child.current is not life or self.children.entry(child.spec.id) is not child:
            return None
        error = child.error = life.error
        if error is not None:
            self.errors.append(error)
        if type(life) is AgentLife:
            rest = self.restarts.answer_crash(child, life)
            if rest is not False:
                return rest
        exit = self.children.account(child, expected=False)
        return self.restarts.answer_end(child, life, exit)

    def remember_error(self, child: Child) -> None:
        """Keep the exception behind a child's end for the group that may end the tree."""
        if child.error is not None:
            self.errors.append(child.error)


async def _raised(error: BaseException) -> Exit | None:
    """For the task whose affair it is."""
    raise error
