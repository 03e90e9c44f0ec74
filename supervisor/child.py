"""One child of a supervisor: its place, its lives, and the fence that turns what ends a life into an `Exit`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import trio
from attrs import define, field

from treewarden.agents.agent import is_agent_class, made_by, overrides
from treewarden.agents.core.durability import Message
from treewarden.agents.core.exit import KILLED, Exit, Failed, Failure, Stopped, describe, leaves
from treewarden.agents.core.lifecycle import SlotEvent, SlotState, advance
from treewarden.agents.core.message import Envelope
from treewarden.agents.core.path import Path
from treewarden.agents.errors import AgentFailed, AgentStopped, Ignore, failure_of
from treewarden.agents.life import Life, StopOrder, Tick
from treewarden.agents.ports import KEEP, Alarm
from treewarden.agents.ref import Ref
from treewarden.agents.runner import run_agent
from treewarden.agents.slot import Slot

from .common import Common
from .core.decision import Policy
from .core.history import RestartHistory
from .core.incident import Incident
from .core.signal import RateLimitReached, Recovered, Reported
from .core.spec import ChildSpec, Restore, Spec
from .recovery import needs_restoring, restore_slot

if TYPE_CHECKING:
    from .supervisor import Supervisor

__all__ = ["AgentLife", "Child", "Incarnation", "Parent"]

_NOT_STARTED = Failure("NotStarted", "it was killed while it started")


class Parent(Protocol):
    """The supervisor as one of its children's lives sees it."""

    common: Common
    nursery: trio.Nursery
    policy: Policy

    def post(self, item: object) -> None:
        """Queue something for the supervisor's loop. Never blocks."""
        ...


@define(eq=False)
class Child:
    """One entry in a supervisor's table."""

    spec: Spec
    path: Path
    state: SlotState = SlotState.DOWN
    lives: int = 0
    """Incarnations so far in this process; the current one's number."""
    current: AgentLife | Supervisor | None = None
    slot: Slot | None = None
    incident: Incident | None = None
    history: RestartHistory = field(factory=RestartHistory)
    attempt: int = 0
    """Restarts since it was last stable: what the backoff grows with."""
    token: int = 0
    """Raised whenever a pending restart becomes void."""
    alarm: Alarm | None = None
    """A restart that is due later."""
    calm: Alarm | None = None
    """The end of the incident, if nothing happens until then."""
    note: str = ""
    """What an operator should know: why it is held, until when it is throttled."""
    error: BaseException | None = None
    """The exception that ended the last life, or kept it from beginning."""
    bad_from: int | None = None
    """How many messages had been settled when the incident's first rollback was decided: earlier states may be good."""

    def move(self, event: SlotEvent) -> None:
        self.state = advance(self.state, event)

    def void(self) -> None:
        """Forget a pending restart."""
        self.token += 1
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None


class Incarnation:
    """One life of a child. It ends once; the parent acts on the posted end, not on the end of the task."""

    def __init__(self, child: Child, parent: Parent, number: int) -> None:
        self.child = child
        self.parent = parent
        self.number = number
        self.exit: Exit | None = None
        self.error: BaseException | None = None
        """The exception behind a `Failed`, for the group that ends the tree."""
        self.started_at = parent.common.clock.now()
        self.in_hand: Envelope | None = None
        """The told message that it died on."""
        self._waiter: trio.Event | None = None

    @property
    def is_supervisor(self) -> bool:
        return False

    @property
    def slot(self) -> Slot | None:
        """Where it takes its messages from; a supervisor has none."""
        return None

    @property
    def settled(self) -> int:
        """Messages that this life has settled."""
        raise NotImplementedError

    @property
    def redelivers(self) -> bool:
        """Whether a told message that it died on is handled again."""
        return False

    async def wait_ended(self) -> None:
        """Wait for the exit. The task may still be around: a zombie."""
        if self.exit is None:
            if self._waiter is None:
                self._waiter = trio.Event()
            await self._waiter.wait()

    def order_stop(self, reason: str, *, drain: bool = False) -> None:
        """Ask it to end in order."""
        raise NotImplementedError

    def kill(self, failure: Failure | None = None) -> None:
        """End it without asking. `failure` says why, if it is more than having been killed."""
        raise NotImplementedError

    def conclude(self, exit: Exit) -> None:
        """Make `exit` a fact for the parent. Only the first one counts."""
        if self.exit is not None:
            return
        self.exit = exit
        if self._waiter is not None:
            self._waiter.set()
        self.parent.post(self)


class AgentLife(Incarnation):
    """One incarnation of an agent, with its fence. It is the agent's `Warden`."""

    def __init__(self, child: Child, parent: Parent, number: int) -> None:
        super().__init__(child, parent, number)
        assert child.slot is not None
        assert isinstance(child.spec, ChildSpec)
        self._slot: Slot = child.slot
        self.spec = child.spec
        self.unsettled: list[Envelope] = []
        """Messages whose settle was not kept, in order."""
        self.gone = False
        """Its task has ended too."""
        self._scope = trio.CancelScope()
        self._failure: Failure | None = None
        self._life: Life | None = None
        self._helpers: set[trio.CancelScope] = set()
        self._running = False
        self.limit = self.spec.progress_within
        self.stalled_on: object = None
        """The work that it was last said to hang on."""

    @property
    def slot(self) -> Slot:
        return self._slot

    @property
    def doing(self) -> str:
        """What is in hand, in a word."""
        busy = self.slot.busy
        if isinstance(busy, Tick):
            return f"every:{busy.name}"
        return type(busy.body if isinstance(busy, Envelope) else busy).__qualname__

    @property
    def settled(self) -> int:
        return self._life.settled if self._life is not None else 0

    @property
    def redelivers(self) -> bool:
        return isinstance(self.spec.mailbox.durability, Message)

    # -- beginning

    async def start(self) -> Failure | Ignore | None:
        """Bring it to life; returns when `on_start` has. A failure or an `Ignore` is returned, not raised."""
        agent = self.spec.agent
        if self._may_hibernate(agent):
            try:
                self._make()
            except Exception as error:
                self.error = error
                return describe(error)
            self.slot.rouse = self._rouse
            await trio.lowlevel.checkpoint_if_cancelled()
            return None
        return await self.parent.nursery.start(self._live)

    def _may_hibernate(self, agent: Callable[..., Any]) -> bool:
        return (
            is_agent_class(agent)
            and not overrides(agent, "on_start")
            and not overrides(agent, "run")
            and not agent.repeated
            and not self.slot.has_work
            and not needs_restoring(self.slot, self.parent.common)
        )

    def _rouse(self) -> None:
        if self.exit is None and not self._running:
            self._running = True
            self.parent.nursery.start_soon(self._live_again)

    def _make(self) -> Life:
        slot, spec = self.slot, self.spec
        agent = made_by(spec.agent, spec.args)
        if slot.state is KEEP or spec.restore is Restore.INITIAL:
            slot.state = agent.state
        else:
            agent.state = slot.state
        slot.agent = agent
        slot.generation = self.number
        slot.handles = frozenset(type(agent).handlers)
        common = self.parent.common
        self._life = Life(
            agent,
            slot,
            warden=self,
            clock=common.clock,
            alarms=common.timers,
            outlet=tuple(slot.path.resolve(path) for path in spec.outlet),
            watched=spec.progress_within is not None,
        )
        if spec.progress_within is not None:
            common.watched.add(self)
        return self._life

    async def _begin(self) -> Failure | Ignore | None:
        try:
            await restore_slot(self.slot, self.parent.common)
            life = self._make()
            if overrides(life.agent, "on_start"):
                with trio.move_on_after(self.spec.start_within) as limit:
                    await life.agent.on_start()
                if limit.cancelled_caught:
                    raise TimeoutError(f"on_start took longer than {self.spec.start_within:g} s (start_within)")
            life.arm_timers()
        except Ignore as ignored:
            return ignored
        except Exception as error:
            self.error = error
            return describe(error)
        return None

    # -- the fence

    async def _live(self, task_status: trio.TaskStatus[Failure | Ignore | None] = trio.TASK_STATUS_IGNORED) -> None:
        self._running = True
        reported = False
        try:
            with self._scope:
                outcome = await self._begin()
                reported = True
                task_status.started(outcome)
                if outcome is not None:
                    self._finish(KILLED)
                    return
                await self._run()
        except BaseException as error:
            self._fence(error)
        finally:
            self.gone = True
            if not reported:
                self._finish(KILLED)
                task_status.started(self._failure or _NOT_STARTED)
        self._finish(Failed(self._failure) if self._failure is not None else KILLED)

    async def _live_again(self) -> None:
        """A hibernated incarnation wakes: it had begun long ago."""
        try:
            with self._scope:
                await self._run()
        except BaseException as error:
            self._fence(error)
        finally:
            self.gone = True
        self._finish(Failed(self._failure) if self._failure is not None else KILLED)

    async def _run(self) -> None:
        assert self._life is not None
        exit = await run_agent(self._life)
        if not self._scope.cancel_called:
            self._finish(exit)

    def _fence(self, error: BaseException) -> None:
        """Let through what is not this agent's: Ctrl-C, and cancellation from above. Everything else is its failure."""
        found = leaves(error)
        if any(isinstance(leaf, (KeyboardInterrupt, SystemExit)) for leaf in found):
            self._finish(KILLED)
            raise error
        cancelled_from_above = trio.current_effective_deadline() == -float("inf")
        if cancelled_from_above and any(isinstance(leaf, trio.Cancelled) for leaf in found):
            self._finish(KILLED)
            raise error
        self.error = error
        self._finish(Failed(describe(error)))

    def _finish(self, exit: Exit) -> None:
        """The end of this life: nothing of it counts from here on."""
        if self.exit is not None:
            return
        slot, life = self.slot, self._life
        if life is not None and slot.generation == self.number:
            life.disarm()
            life.turn.drop()
            busy, slot.busy = slot.busy, None
            slot.agent = None
            slot.waiting_on = None
            slot.rouse = None
            if isinstance(busy, Envelope):
                self._give_up(busy, exit)
            self.unsettled = life.unsettled
        self.parent.common.watched.discard(self)
        for helper in self._helpers:
            helper.cancel()
        self.conclude(exit)

    def _give_up(self, envelope: Envelope, exit: Exit) -> None:
        if envelope.reply is None:
            self.in_hand = envelope
        elif isinstance(exit, Stopped):
            error = AgentStopped(f"{self.slot.path}: it was stopped while it handled this", path=self.slot.path)
            envelope.reply(None, error)
        else:
            envelope.reply(None, AgentFailed(self.slot.path, failure_of(exit)))

    # -- ending

    def order_stop(self, reason: str, *, drain: bool = False) -> None:
        life = self._life
        asleep = not self._running and (life is None or not overrides(life.agent, "on_stop"))
        if asleep and not (drain and self.slot.has_work):
            self._finish(Stopped(reason))
            return
        self.slot.put_control(StopOrder(reason, drain))

    def kill(self, failure: Failure | None = None) -> None:
        self._failure = self._failure or failure
        if not self._running:
            self._finish(Failed(failure) if failure is not None else KILLED)
        self._scope.cancel()

    def fence_off(self) -> None:
        """It does not end although it was cancelled: from now on it is a zombie, and nothing that it does counts."""
        self._finish(Failed(self._failure) if self._failure is not None else KILLED)
        self.slot.generation += 1

    # -- what the agent tells its supervisor (agents.life.Warden)

    @property
    def _is_current(self) -> bool:
        return self.exit is None and self.slot.generation == self.number

    def reported(self, kind: str, severity: float, text: str, facts: Mapping[str, Any]) -> None:
        at = self.parent.common.clock.now()
        signal = Reported(path=self.slot.path, at=at, kind=kind, severity=severity, text=text, facts=dict(facts))
        if self._is_current:
            self.parent.post(signal)

    def recovered(self, kind: str, text: str) -> None:
        if self._is_current:
            at = self.parent.common.clock.now()
            self.parent.post(Recovered(path=self.slot.path, at=at, kind=kind, text=text))

    def rate_limited(self, after: float | None, envelope: Envelope | None, failure: Failure) -> None:
        if self._is_current:
            at = self.parent.common.clock.now()
            message = envelope.id or None if envelope is not None else None
            self.parent.post(
                RateLimitReached(path=self.slot.path, at=at, after=after, message=message, failure=failure)
            )

    def commit_failed(self, error: BaseException) -> None:
        if self._is_current:
            self.kill(Failure("CommitFailed", str(error), fingerprint="commit failed"))

    def start_helper(self, work: Callable[..., Awaitable[Any]], *args: Any) -> None:
        if self._is_current:
            scope = trio.CancelScope()
            self._helpers.add(scope)
            self.parent.nursery.start_soon(self._help, scope, work, args)

    def ref(self, path: Path) -> Ref:
        return self.parent.common.registry.ref(path)

    async def _help(self, scope: trio.CancelScope, work: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> None:
        try:
            with scope:
                await work(*args)
        except Exception as error:
            self.error = error
            self.kill(describe(error))
        finally:
            self._helpers.discard(scope)
