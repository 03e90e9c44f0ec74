"""The fence round one incarnation of an agent: whatever ends it becomes an `Exit`, and nothing of it counts later."""

from __future__ import annotations

import math
from contextvars import Context
from typing import Any, Final

import trio
from attrs import evolve

from treewarden.agents.agent import Agent, made_by, overrides
from treewarden.agents.core.exit import KILLED, Exit, Failed, Failure, Stopped, describe, leaves
from treewarden.agents.core.message import Envelope
from treewarden.agents.errors import Ignore
from treewarden.agents.life import Life
from treewarden.agents.orders import Killed, StopOrder
from treewarden.agents.outlets import hurry
from treewarden.agents.ports import KEEP, Alarm
from treewarden.agents.runner import failed, handle_messages, run_agent, start_agent
from treewarden.agents.settle import end_life, store_dates
from treewarden.agents.ticks import Tick

from .child import KILL_WITHIN, NOT_STARTED, Child, Incarnation, Parent
from .core.spec import ChildSpec, Grace, Restore
from .recovery import is_at_rest, restore_slot
from .relay import live_on
from .sleeper import is_born_asleep
from .unsettled import answer_asker, blame_in_hand
from .warden import AgentWarden, for_above, let_above

__all__ = ["AgentLife"]

_INITIAL: Final = Restore.INITIAL
_NO_GRACE: Final = Grace().seconds


class AgentLife(AgentWarden):
    """One incarnation of an agent, with its fence."""

    __slots__ = ("_context", "_failure", "_last_moment", "_life", "_running", "_scope", "gone", "limit")

    def __init__(self, child: Child, parent: Parent, number: int, serial: int = 0) -> None:
        Incarnation.__init__(self, child, parent, number, serial)
        slot, spec = child.slot, child.spec
        assert slot is not None
        assert isinstance(spec, ChildSpec)
        self._slot = slot
        self.spec = spec
        self._helpers = None
        self.gone = False
        """Its task has ended too."""
        self._scope: trio.CancelScope | None = None
        """Round its task, once that waits for anything but the next message."""
        self._failure: Failure | None = None
        self._life: Life | None = None
        self._last_moment: Alarm | None = None
        self._running = False
        """It has a task."""
        self._context: Context | None = None
        """With which its next task begins, once it has had one."""
        self.limit = spec.progress_within
        self.stalled_on = None

    @property
    def settled(self) -> int:
        life = self._life
        return 0 if life is None else life.settled

    # -- beginning

    async def start(self) -> Failure | Ignore | None:
        """Bring it to life; returns when `on_start` has. A failure or an `Ignore` is returned, not raised.

        An `on_start` that takes longer than `start_within` is cancelled; one that does not end even so is left
        behind as a zombie.
        """
        if not is_born_asleep(self.spec.agent) or not is_at_rest(self._slot, self.parent.common):
            self._scope = trio.CancelScope()
            return await super().start()
        failure = self.start_asleep()
        await trio.lowlevel.checkpoint_if_cancelled()
        return failure

    def start_asleep(self) -> Failure | None:
        """Bring an agent to life that has nothing to do before its first message: without a task, unless one waits."""
        slot, spec = self._slot, self.spec
        try:
            self._move_in(made_by(spec.agent, spec.args))
        except BaseException as error:
            let_above(error)
            self.error = error
            return evolve(describe(error), unborn=True)
        if (slot.simple and slot.arrived) or slot.has_work:
            self()
        else:
            slot.rouse = self
        return None

    def go_on_asleep(self, agent: Agent[Any], since: float) -> None:
        """Be the life of an agent that was made at `since`, and has not been needed yet."""
        self.started_at = since
        self._move_in(agent)
        self._slot.rouse = self

    def __call__(self) -> None:
        """Something has come (`Mailbox.rouse`): it gets a task, if it has none. Not a method of another name, for each
        idle agent would hold on to a bound one."""
        if self.exit is None and not self._running and self.parent.exit is None and not self.parent.closing:
            self._running = True
            self._watch()
            start_soon = self.parent.nursery.start_soon
            if self._context is not None:
                self._context.copy().run(start_soon, live_on, self, name=self.slot.path)
            elif not self.parent.common.relay.take(self):  # whoever has sent something has variables of its own
                self.parent.common.context.run(start_soon, live_on, self, name=self.slot.path)

    def _watch(self) -> None:
        """It has a task from now on."""
        common, life = self.parent.common, self._life
        if self.limit is not None:
            common.watched[self] = None
        if life is not None and life.agent.falls_asleep:
            common.hibernation.woke(self)

    def hibernates(self, context: Context) -> bool:
        if self._scope is not None and self._scope.cancel_called:
            return False
        self._running = False
        self._scope = None
        self._context = self.parent.common.hibernation.context_like(context)
        self._unwatch()
        self._slot.rouse = self
        return True

    def _unwatch(self) -> None:
        """It has no task any more."""
        common = self.parent.common
        common.watched.pop(self, None)
        common.hibernation.ended(self)

    def _make(self) -> Life:
        return self._move_in(made_by(self.spec.agent, self.spec.args))

    def _move_in(self, agent: Agent[Any]) -> Life:
        slot, spec, kind = self._slot, self.spec, type(agent)
        if slot.lived_as is not kind:
            if slot.lived_as is not None and slot.store is None:
                from .carrying_over import bring_up_in_memory  # with the first reload to another class

                bring_up_in_memory(slot, slot.lived_as, kind, self.parent.common)
            slot.lived_as = kind
        if slot.state is KEEP or spec.restore is _INITIAL:
            slot.state = agent.state
        else:
            agent.state = slot.state
        slot.generation = self.serial
        common = self.parent.common
        self._life = Life(
            agent,
            slot,
            self,
            common.clock,
            common.timers,
            tuple([slot.path.resolve(path) for path in spec.outlet]) if spec.outlet else (),
            spec.progress_within is not None,
            spec.shutdown.seconds if isinstance(spec.shutdown, Grace) else _NO_GRACE,
            common.rounds,
            spec.loops,
        )
        if spec.progress_within is not None and spec.progress_within < common.shortest_limit:
            common.has_limit(spec.progress_within)
        if self._running:
            self._watch()
        if spec.overload is not None:
            common.queues[self] = None
        if spec.intake is not None:
            common.intakes[self] = None
        if spec.limits or self.child.exceeded:
            self._life.handlers = common.gauges.begin(self, self._life.handlers)
        return self._life

    async def _prepare(self) -> Failure | Ignore | None:
        try:
            restored = await restore_slot(self.slot, self.parent.common)
            if restored is not None and self.slot.path in self.parent.common.left_by_old_code:
                supervisor = self.parent.common.supervisors[self.slot.path.parent]
                await supervisor.remedies.put_back_for_new_code(self.child)
            life = self._make()
            if overrides(life.agent, "on_start"):
                self.info = await self._on_start(life)
            if self.number == 1 and life.slot.durable and self.parent.common.journal.opened.after_crash:
                from .dead_ticks import count_deaths  # with the first process that follows a dead one

                count_deaths(life, self.parent.common)
            store_dates(life, life.arm_timers())
        except Ignore as ignored:
            return ignored
        except Exception as error:
            self.error = error
            return evolve(describe(error), unborn=self._life is None)
        return None

    async def _on_start(self, life: Life) -> Any:
        within, common = self.spec.start_within, self.parent.common
        late = None
        if within < math.inf:
            late = common.timers.at(common.clock.now() + within + KILL_WITHIN, self._stuck)
        try:
            with trio.move_on_after(within) as limit:
                return await start_agent(life)
        finally:
            if late is not None:
                late.cancel()
        assert limit.cancelled_caught
        raise TimeoutError(f"on_start took longer than {within:g} s (start_within)")

    def _stuck(self) -> None:
        """`on_start` shields itself from its cancellation: go on without it."""
        text = f"on_start took longer than {self.spec.start_within:g} s (start_within) and does not end"
        self._failure = Failure("TimeoutError", text, fingerprint="on_start stuck")
        assert self._scope is not None
        self._scope.cancel()
        self.fence_off()

    # -- the fence

    async def _live(self) -> None:
        self._running = True
        assert self._scope is not None
        try:
            with self._scope:
                outcome = await self._prepare()
                if self.exit is None:
                    if outcome is not None:
                        self._finish(KILLED, tell=False)
                    self._begin(outcome)
                    if outcome is None:
                        await self._run()
        except BaseException as error:
            self._fence(error)
        finally:
            self.gone = self._running
            if self._waiter is not None and self.exit is not None:
                self._waiter.set()
        if self._running:
            self._finish(self._cut_short, tell=self._begun is None)
            self._begin(self._failure or NOT_STARTED)

    async def live_again(self) -> AgentLife | None:
        """A hibernated incarnation wakes: it had begun long ago. Returns the next one, if its task goes on with that.

        While it waits for nothing but messages there is nothing to cancel, so it has no scope: that would be half of
        what its task costs.
        """
        life, heir = self._life, None
        assert life is not None
        try:
            if life.light and type(life.agent).ends_at_once:
                life.cancellable = False
                try:
                    exit = await handle_messages(life)
                except Exception as error:
                    exit = failed(life, error)
                if exit is not None:
                    heir = self._hand_over(life, exit)
            if self.exit is None and self._running:
                life.cancellable = True
                self._scope = trio.CancelScope()
                with self._scope as scope:
                    exit = await run_agent(life)
                    if exit is not None and not scope.cancel_called:
                        heir = self._hand_over(life, exit)
        except BaseException as error:
            self._fence(error)
        finally:
            self.gone = self._running
            if self._waiter is not None and self.exit is not None:
                self._waiter.set()
        if self.exit is None and self._running:
            self._finish(self._cut_short)
        return heir

    def _hand_over(self, life: Life, exit: Exit) -> AgentLife | None:
        """End, in a task that goes on with whoever is returned."""
        if self.exit is not None:
            return None
        relay = self.parent.common.relay
        relay.offer(self.child)
        self.error = life.error
        try:
            self._finish(exit)
        finally:
            heir = relay.heir()
        return heir

    @property
    def _cut_short(self) -> Exit:
        """How it ended, if it was cancelled."""
        return Failed(self._failure) if self._failure is not None else KILLED

    async def _run(self) -> None:
        assert self._life is not None
        exit = await run_agent(self._life)
        if exit is not None and self.exit is None and self._scope is not None and not self._scope.cancel_called:
            self.error = self._life.error
            self._finish(exit)

    def _fence(self, error: BaseException) -> None:
        """Let through what is not this agent's; everything else is its failure."""
        if (above := for_above(error)) is not None:
            self._finish(KILLED, tell=False)
            if any(issubclass(type(leaf), SystemExit) for leaf in leaves(error)):
                blame_in_hand(self, self.parent.common)
            raise above
        if trio.lowlevel.current_task().child_nurseries:  # one was left open: trio ends all that this task is part of
            blame_in_hand(self, self.parent.common)
        self.error = error
        if self._begun is None:
            self._finish(Failed(describe(error)))
        else:
            self._failure = self._failure or describe(error)

    def _finish(self, exit: Exit, *, tell: bool = True) -> None:
        """The end of this life: nothing of it counts from here on."""
        if self.exit is not None:
            return
        slot, life = self._slot, self._life
        if life is not None and slot.generation == self.serial:
            busy, slot.busy = slot.busy, None
            end_life(life, None if exit is KILLED else busy)
            if busy is not None and not isinstance(busy, Tick):
                if type(busy) is Envelope and busy.reply is not None:
                    answer_asker(slot, busy, exit, self.parent.common)
                else:
                    self.lost = busy
        if self._last_moment is not None:
            self._last_moment.cancel()
        common = self.parent.common
        if self._running:
            self._unwatch()
        if common.queues:
            common.queues.pop(self, None)
        if common.intakes:
            common.intakes.pop(self, None)
        if self.spec.limits:
            common.gauges.end(self)
        if self._helpers:
            self.end_helpers()
        self.conclude(exit, tell=tell)

    # -- ending

    async def wait_gone(self) -> None:
        """Wait until the task of a zombie has ended, too."""
        if not self.gone:
            self._waiter = trio.Event()  # nobody needs the one that has told its end
            await self._waiter.wait()

    def order_stop(self, reason: str, *, drain: bool = False) -> None:
        if not self.stop_asleep(reason, drain=drain):
            self.slot.put_control(StopOrder(reason, drain))
            if self._life is not None and self._life.outlet:
                hurry(self._life)

    def stop_asleep(self, reason: str, *, drain: bool = False) -> bool:
        """End it in order at once, if it has no task and nothing to do before its end. False: it has to be asked.

        Whoever calls this knows, so it is not told to the parent.
        """
        life = self._life
        if self._running or (life is not None and life.has_to_end) or (drain and self._slot.has_work):
            return False
        self._finish(Stopped(reason), tell=False)
        return True

    def kill(self, failure: Failure | None = None) -> None:
        """Cancel it. It has ended within `KILL_WITHIN` seconds: one that does not end even so is fenced off."""
        self._failure = self._failure or failure
        if self._scope is None:
            if self.exit is None:
                self._finish(self._cut_short)
                self._slot.dismiss()
            return
        if not self._running:
            self._finish(self._cut_short)
        self._scope.cancel()
        if self.exit is None and self._last_moment is None:
            self._slot.put_control(Killed())
            common = self.parent.common
            self._last_moment = common.timers.at(common.clock.now() + KILL_WITHIN, self.fence_off)

    def fence_off(self) -> None:
        """It does not end although it was cancelled: from now on it is a zombie, and nothing that it does counts."""
        self._finish(self._cut_short, tell=self._begun is None)
        if self.slot.generation == self.serial:
            self.slot.generation = 0
        self.parent.common.zombies.append(self)
        self._begin(self._failure or NOT_STARTED)
