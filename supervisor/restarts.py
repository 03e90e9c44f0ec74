"""Restarts: who stops and starts with a child that has ended, at once or after a delay or not at all, and what follows
if a start fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

from treewarden.agents.core.exit import Exit, Failure, Stopped, is_clean
from treewarden.agents.core.lifecycle import SlotEvent, SlotState

from .child import Child
from .children import describe_exit
from .core.action import Scope, affected, scope_of
from .core.exits import must_restart, not_kept
from .core.incident_events import Outcome, SignalNoted
from .core.signal import ChildExited, RestartFailed
from .core.spec import AutoShutdown, RestartPolicy, Strategy
from .orders import RetryDue, wait_for
from .unsettled import give_up

if TYPE_CHECKING:
    from .common import Common
    from .fence import AgentLife
    from .judge import Judge
    from .orders import Rest
    from .supervisor import Supervisor

__all__ = ["Restarts"]

_SHORTEST: Final = 1.0
"""Seconds between two looks at somebody who is handed no messages, at least."""
_NOT_EMPTY: Final = "it is started when those have ended who live still below its last life, which was killed"
_TO_COME: Final = frozenset({SlotState.RESTARTING, SlotState.HELD})
"""It is down, and has not done what it is there for."""
_ONE: Final = Scope.ONE
"""To look up a member of an enumeration takes as long as a call."""


class _Calm:
    """The end of a child's incident, if the same life goes on until it comes due. One for each that has crashed.

    Whoever is handed no messages (held, throttled, waiting for a dependency) proves nothing by being quiet: it is
    looked at again, until it has worked for as long as that.
    """

    __slots__ = ("_child", "_common", "_idle", "_judge", "_life")

    def __init__(self, common: Common, judge: Judge, child: Child) -> None:
        self._common = common
        self._judge = judge
        self._child = child
        self._life = child.current
        self._idle = False
        """It was handed no messages when it was looked at last."""

    def cancel(self) -> None:
        self._life = None

    def come(self) -> None:
        child, life = self._child, self._life
        if life is None:
            return
        child.calm = None
        if child.current is not life or life.exit is not None:
            return
        idle = self._common.registry.is_paused_below(child.path) if child.slot is None else child.slot.paused
        if idle or self._idle:
            self._idle = idle
            child.calm = self
            after = max(_SHORTEST, self._judge.stable_after(child))
            self._common.timers.put(self._common.clock.now() + after, self)
        else:
            self._common.note(*self._judge.close(child, Outcome.FIXED))


class Restarts:
    """The restarts of one supervisor. Only its own loop calls this."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._common = supervisor.common
        self._children = supervisor.children
        self._judge = supervisor.judge
        self._behind: dict[Child, list[tuple[Child, int]]] = {}
        """Who is down because the start of another one of their group has failed or is put off, by that one; each with
        its token at that time."""

    def answer_crash(self, child: Child, life: AgentLife) -> Rest | Literal[False]:
        """Answer the end of a life that is the first crash of a healthy child. False: it has to be decided about, and
        nothing was done."""
        slot, common = child.slot, self._common
        if child.calm is not None or slot is None or slot.store is not None:
            return False
        if common.has_broken and self._supervisor.troubles.quiets:
            return False
        crash = self._judge.first_crash(child, life, self._children.order)
        if crash is None:
            return False
        begins = common.note_later(crash)
        try:
            self._children.account_for(child, crash)
            life.lost = None
            restart = crash.restart
            if restart.after > 0:
                return self.begin(child, restart.scope, restart.after)
            child.attempt += 1
            if restart.scope is _ONE:  # which is declared: nobody widens the scope of a first crash
                return self._restart_alone(child)
            return self._restart_group(child, restart.scope)
        finally:
            if begins:
                common.write_gathered()

    def answer_end(self, child: Child, life: AgentLife | Supervisor, exit: Exit) -> Rest:
        """Have decided what follows the end of a life, or take its child for finished. Returns what is left to wait
        for."""
        if must_restart(child.spec.restart, exit) or not_kept(exit):
            return self._supervisor.acting.decide(child, self._exited(life, exit), life)
        return self._finished(child, life, exit)

    def _exited(self, life: AgentLife | Supervisor, exit: Exit) -> ChildExited:
        now = self._common.clock.now()
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

    async def _finished(self, child: Child, life: AgentLife | Supervisor, exit: Exit) -> Exit | None:
        """OTP: a temporary child's entry goes, a transient one's stays; then a significant one may end us all."""
        supervisor = self._supervisor
        if not is_clean(exit):
            await wait_for(supervisor.acting.decide(child, self._exited(life, exit), life))
        supervisor.close_incident(child, Outcome.UNOBSERVED)
        if life.in_hand is not None and life.slot is not None:
            give_up(life.slot, life.in_hand, describe_exit(exit), self._common)
        if child.spec.restart is RestartPolicy.TEMPORARY or supervisor.spec.strategy is Strategy.DYNAMIC:
            self._children.drop(child, describe_exit(exit), exit)
        else:
            self._children.close(child, describe_exit(exit), exit)
        return await self.shut_down_after(child)

    async def shut_down_after(self, child: Child) -> Exit | None:
        """This one has ended by itself and does not come back: if it was significant, that may end the supervisor."""
        if not child.spec.significant or not self._shuts_down():
            return None
        await self._children.stop_all("shutdown")
        return Stopped("auto_shutdown")

    def _shuts_down(self) -> bool:
        match self._supervisor.spec.auto_shutdown:
            case AutoShutdown.NEVER:
                return False
            case AutoShutdown.ANY_SIGNIFICANT:
                return True
            case AutoShutdown.ALL_SIGNIFICANT:
                return not any(
                    child.spec.significant and (child.current is not None or child.state in _TO_COME)
                    for child in self._children.awake
                )

    def begin(self, child: Child, scope: Scope, after: float, *, has_turn: bool = False) -> Rest:
        """Restart a child that is down, with those that the scope takes along; `after` seconds from now, or when its
        turn comes among the restarts of the whole tree, unless it has one.

        Returns what is left to wait for.
        """
        child.attempt += 1
        if after <= 0:
            after = 0.0 if has_turn else self._turn(child)
            if not after:
                return self.restart(child, scope)
            has_turn = True
        if self._alone(scope):
            self.delay(child, after, scope, has_turn=has_turn)
            return None
        return self._begin_later(child, scope, after, has_turn)

    def _turn(self, child: Child) -> float:
        """Take a place among the restarts of the whole tree; returns the seconds until then, and says so if there are
        any: no decision has."""
        common = self._common
        wait = common.pace.take(common.clock.now(), bound=self._judge.is_paced)
        if wait:
            assert common.pace.bucket is not None
            text = f"{common.pace.bucket.describe()}: its turn comes in {wait:.3g} s"
            facts = {"seconds": round(wait, 3)}
            common.note(SignalNoted(path=child.path, kind="restart_bucket", text=text, facts=facts))
        return wait

    def restart(self, child: Child, scope: Scope) -> Rest:
        """Stop the affected children in reverse order, start all of the group in order. Returns what is left to wait
        for.

        Everybody in the group is started, also who had finished or was terminated (OTP). One that does not start
        waits as *restarting* behind everything that has arrived meanwhile, and those after it stay down until then.
        """
        return self._restart_alone(child) if self._alone(scope) else self._restart_group(child, scope)

    def _restart_alone(self, child: Child) -> Rest:
        if not self._children.can_start_at_once(child):
            return self._restart_group(child, _ONE)
        failure = self._children.start_at_once(child)
        self._watch(child)
        if failure is None:
            return self.go_on_without(child)
        self.retry(child, failure)
        return None

    async def _restart_group(self, child: Child, scope: Scope) -> None:
        child.void()
        group = await self._stop_affected(child, scope)
        if child.state is SlotState.RESTARTING:  # that was this attempt: it may come to nothing before its place comes
            child.move(SlotEvent.ABANDON)
        await self._start_group(group)

    async def _start_group(self, group: list[Child]) -> None:
        """Start these, and then those who are down only until one of these has started, though no longer in its group:
        how far a restart goes is decided anew for each attempt.

        Where somebody lives still below who was in one's place, that one and those after it begin later, by themselves.
        """
        below = self._children.orphans.below
        while group:
            end = next((place for place, each in enumerate(group) if below(each.spec.id) is not None), len(group))
            if not end:
                self._leave_behind(group[0], group[1:])
                self.start_when_gone(group[0])
                return
            failed = await self._children.start_group(group[:end])
            for member in group[:end]:
                self._watch(member)
            if failed is not None:
                place = group.index(failed[0])
                self._leave_behind(failed[0], [*group[place + 1 :], *self._waiting_for(group[:place])])
                self.retry(*failed)
                return
            group = [*group[end:], *self._waiting_for(group[:end])]

    async def _begin_later(self, child: Child, scope: Scope, after: float, has_turn: bool) -> None:
        group = await self._stop_affected(child, scope)
        self._leave_behind(child, [member for member in group if member is not child])
        self.delay(child, after, scope, has_turn=has_turn)

    def _leave_behind(self, child: Child, others: list[Child]) -> None:
        for gone in [each for each in self._behind if self._children.entry(each.spec.id) is not each]:
            del self._behind[gone]
        others = [*others, *self._waiting_for([child])]
        if others:
            self._behind[child] = [(other, other.token) for other in others]

    def _waiting_for(self, children: Sequence[Child]) -> list[Child]:
        """Those who are down only until one of these has started, in order; from now on they wait for nobody."""
        if not self._behind:
            return []
        tokens = dict(each for child in children for each in self._behind.pop(child, ()))
        awake = self._children.awake if tokens else ()
        return [each for each in awake if each.state is SlotState.DOWN and tokens.get(each) == each.token]

    def go_on_without(self, *children: Child) -> Rest:
        """These are given up, or have started by themselves: start those of their groups that are down only until then.
        Returns what is left to wait for."""
        group = self._waiting_for(children)
        return self._start_group(group) if group else None

    def retry(self, child: Child, failure: Failure) -> None:
        """Try again behind what waits in the queue."""
        self._supervisor.remember_error(child)
        child.move(SlotEvent.DELAY)
        self._supervisor.post(RestartFailed(path=child.path, at=self._common.clock.now(), failure=failure))

    def delay(self, child: Child, after: float, scope: Scope = Scope.ONE, *, has_turn: bool = False) -> None:
        """Start this child later, when its turn has come as well if it has none; the loop goes on meanwhile."""
        child.void()
        child.move(SlotEvent.DELAY)
        due = RetryDue(child.spec.id, child.token, scope, has_turn)
        child.alarm = self._common.timers.at(self._common.clock.now() + after, lambda: self._supervisor.post(due))

    def start_when_gone(self, child: Child) -> None:
        """Start this child when nobody lives any more below who was in its place; the loop goes on meanwhile."""
        emptied = self._children.orphans.below(child.spec.id)
        assert emptied is not None
        child.void()
        child.move(SlotEvent.DELAY)
        child.says(_NOT_EMPTY)
        due = RetryDue(child.spec.id, child.token, None)
        child.alarm = emptied.then(lambda: self._supervisor.post(due))

    def due(self, retry: RetryDue) -> Rest:
        """A delay is over. Returns what is left to wait for."""
        child = self._children.get(retry.id)
        if child is not None and child.token == retry.token and child.state is SlotState.RESTARTING:
            if retry.scope is None:
                return self._start_group([child])
            wait = 0.0 if retry.has_turn else self._turn(child)
            if not wait:
                return self.restart(child, retry.scope)
            self.delay(child, wait, retry.scope, has_turn=True)
        return None

    def _watch(self, child: Child) -> None:
        troubled = child.decision is not None or child.incident is not None
        if troubled and child.current is not None and not self._judge.reported(child):
            self.watch_calm(child)

    def watch_calm(self, child: Child) -> None:
        """Close the incident if nothing more happens for as long as the policy calls stable."""
        if child.calm is not None:
            child.calm.cancel()
        common, judge = self._common, self._judge
        calm = child.calm = _Calm(common, judge, child)
        common.timers.put(common.clock.now() + judge.stable_after(child), calm)

    def _alone(self, scope: Scope) -> bool:
        """Whether a restart concerns nobody else."""
        return scope is _ONE and scope_of(self._supervisor.spec.strategy) is _ONE

    async def _stop_affected(self, child: Child, scope: Scope) -> list[Child]:
        if self._alone(scope):
            return [child]
        strategy = self._supervisor.spec.strategy
        ids = set(affected(strategy, self._children.order, child.spec.id, scope))
        group = [
            member
            for member in self._children
            if member.spec.id in ids and (member is child or member.state is not SlotState.HELD)
        ]
        if child.slot is not None:
            self._common.stranded.leave(child.slot, self._common.clock.now())
        await self._children.stop_group([member for member in group if member is not child])
        return [member for member in group if self._children.get(member.spec.id) is member]
