"""A supervisor's table of children: how one is started and stopped, and how groups of them are."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final

import trio
from attrs import evolve

from treewarden.agents.agent import made_by
from treewarden.agents.core.exit import KILLED, Exit, Failed, Failure, Finished, Stopped, describe
from treewarden.agents.core.lifecycle import SlotEvent, SlotState
from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.errors import ConfigurationError, Ignore

from .bulk import start_in_order, stop_in_order
from .child import Child, Incarnation, Parent
from .core.event import ChildIgnored, ChildStarted, ChildStartFailed
from .core.exits import cannot_read, end_of
from .core.signal import RestartFailed, Unanswered
from .core.spec import BrutalKill, ChildSpec, Grace, RestartPolicy, Strategy, SupervisorSpec
from .fence import AgentLife
from .recovery import is_at_rest, needs_restoring, restore_at_once
from .roster import Roster
from .sleeper import Sleeper, is_born_asleep
from .unsettled import keep_in_hand
from .warden import let_above

if TYPE_CHECKING:
    from .core.first_crash import FirstCrash
    from .supervisor import Supervisor

__all__ = ["Children", "describe_exit"]

_IGNORED: Final = "it had nothing to do and was not started (Ignore)"
_START: Final = SlotEvent.START
_STARTED: Final = SlotEvent.STARTED
_EXITED: Final = SlotEvent.EXITED
"""To look up a member of an enumeration takes as long as a call."""


class Children(Roster):
    """The children in start order. Only the supervisor's own task starts and stops them."""

    def __init__(self, path: Path, parent: Parent, spec: SupervisorSpec, supervisor: type[Supervisor]) -> None:
        super().__init__(path, parent, spec)
        self._supervisor = supervisor
        self.given_up = False
        """Nobody is to be started any more: the tree ends before it has begun."""

    # -- sleepers

    def start_sleeper(self, id: str, sleeper: Sleeper, *, asked: bool = False) -> Failure | None:
        """`start`, of one who needs nothing but to be made."""
        common, spec = self._common, sleeper.spec
        serial = next(common.serials)
        try:
            agent = made_by(spec.agent, {**spec.args, **sleeper.args} if sleeper.args else spec.args)
        except BaseException as error:
            let_above(error)
            child = self._rise(id, sleeper)
            child.move(SlotEvent.START)
            child.error = error
            return self._started(child, evolve(describe(error), unborn=True), asked=asked)
        sleeper.agent, sleeper.last, sleeper.since = agent, serial, common.clock.now()
        sleeper.lives += 1
        if spec.progress_within is not None:
            common.has_limit(spec.progress_within)
        common.note(ChildStarted(path=self.path / id, incarnation=sleeper.lives))
        return None

    def stop_sleeper(self, id: str, sleeper: Sleeper, reason: str) -> bool:
        """`stop_at_once`, of one who has never been awake."""
        agent = sleeper.agent
        if agent is None:
            return True
        declared: Any = type(agent)
        if agent.state is not declared.state:  # its next life goes on with that
            return self.stop_at_once(self._rise(id, sleeper), reason)
        self._end_sleeper(id, sleeper, Stopped(reason))
        return True

    def _end_sleeper(self, id: str, sleeper: Sleeper, exit: Exit) -> None:
        if sleeper.agent is not None:
            sleeper.agent, sleeper.since = None, self._common.clock.now() - sleeper.since
            self._sleepers_end = exit
            self._common.note(self._ended(self.path / id, sleeper))

    # -- one child

    async def start(self, child: Child, *, asked: bool = False) -> Failure | None:
        """Start one child and wait until it has begun. A start that was ignored is none that failed, nor is one of a
        child whose stored state or messages the code at hand cannot read: it is held, and they stay.

        `asked` says that a call wants it, and that its caller will be told.
        """
        if self.can_start_at_once(child):
            failure = self.start_at_once(child, asked=asked)
            await trio.lowlevel.checkpoint_if_cancelled()
            return failure
        open_question = self._open_question(child, asked=asked)
        if open_question is not None and open_question.down:
            child.move(SlotEvent.HOLD)  # from here on: whoever dies before that is decided must not take it along
            self._parent.post(open_question)
            from .questions import fill_held  # here and below: most trees start and end without it

            await fill_held(child, self._common)
            if child.path in self._common.left_by_old_code:
                await self._common.supervisors[self.path].remedies.put_back_for_new_code(child)
            return None
        child.void()
        stays_held = child.is_held_by_hand and not asked
        if not stays_held:
            child.lift()
            self._common.registry.resume_below(child.path, "held")
            child.note = ""
        if child.throttled is None:
            self._common.registry.resume_below(child.path, "throttled")
        child.move(SlotEvent.START)
        outcome = await self._bring_to_life(child, held=stays_held or open_question is not None)
        if isinstance(outcome, Failure) and not child.lives and not asked:
            from .questions import rollback_left

            undone = await rollback_left(child, outcome, self._common)
            if undone is not None:
                return self._not_started(child, undone)
        if outcome is None and open_question is not None:
            self._parent.post(open_question)
        return self._started(child, outcome, asked=asked)

    def _open_question(self, child: Child, *, asked: bool) -> Unanswered | None:
        """What an earlier process has asked about a child that this one has not started yet, and nobody has answered.
        Whoever `asked` for the start has."""
        question = self._common.questions.pop(child.path, None) if self._common.questions else None
        if question is None and (child.question is None or (child.is_held_by_hand and not asked)):
            return None
        from .questions import answered, take_up

        found = None if question is None else take_up(child, question, self._common)
        lost = found is not None and found.over and child.slot is None and isinstance(child.spec, ChildSpec)
        if found is not None and not asked and not lost:
            return found
        answered(child, "it was started", self._common)
        return None

    def can_start_at_once(self, child: Child) -> bool:
        """Whether a start of this child needs no waiting: it is born hibernated, into a slot that is as it was left, or
        has become so just now from what is at hand of it."""
        slot, spec = child.slot, child.spec
        return (
            slot is not None
            and child.slot_for is spec
            and isinstance(spec, ChildSpec)
            and child.question is None
            and (not self._common.questions or child.path not in self._common.questions)
            and is_born_asleep(spec.agent)
            and (slot.store is None or is_at_rest(slot, self._common) or restore_at_once(slot, self._common))
        )

    def start_at_once(self, child: Child, *, asked: bool = False) -> Failure | None:
        """`start`, where `can_start_at_once`."""
        slot = child.slot
        assert slot is not None
        child.void()
        if not slot.simple and slot.paused:
            child.lift()
        child.note = ""
        child.move(_START)
        if slot.closed is not None:
            slot.reopen()
        life = child.current = AgentLife(child, self._parent, child.lives + 1)
        outcome = life.start_asleep()
        child.error = life.error
        if outcome is None:
            child.lives, child.last = life.number, life.serial
        return self._started(child, outcome, asked=asked)

    def _started(self, child: Child, outcome: Failure | Ignore | None, *, asked: bool = False) -> Failure | None:
        if outcome is None:
            child.move(_STARTED)
            if not self._common.begins_anew(child.ended, child.lives, child.attempt + 1):
                self._common.note(ChildStarted(path=child.path, incarnation=child.lives, attempt=child.attempt + 1))
            return None
        child.current = None
        if isinstance(outcome, Ignore):
            child.move(SlotEvent.IGNORED)
            self._common.note(ChildIgnored(path=child.path))
            if child.spec.restart is RestartPolicy.TEMPORARY or self.strategy is Strategy.DYNAMIC:
                self.drop(child, _IGNORED, stays=True)
            else:
                self.close(child, _IGNORED)
            return None
        if cannot_read(outcome):  # nobody's fault, and nothing that another attempt would mend: its supervisor holds it
            return self._not_started(
                child, RestartFailed(path=child.path, at=self._common.clock.now(), failure=outcome), asked=asked
            )
        child.move(SlotEvent.START_FAILED)
        self._common.note(ChildStartFailed(path=child.path, failure=outcome, asked=asked))
        return outcome

    def _not_started(self, child: Child, why: RestartFailed, *, asked: bool = False) -> None:
        """It did not start, and what becomes of it is decided by its supervisor: that ends nobody's start."""
        child.current = None
        child.move(SlotEvent.START_FAILED)
        self._common.note(ChildStartFailed(path=child.path, failure=why.failure, asked=asked))
        child.move(SlotEvent.DELAY)
        self._parent.post(why)

    async def _bring_to_life(self, child: Child, *, held: bool) -> Failure | Ignore | None:
        try:
            self._give_slot(child)
        except ConfigurationError as error:
            child.error = error
            return describe(error)
        if held and child.slot is not None:
            child.slot.pause("held")
        elif held:
            self._common.registry.pause_below(child.path, "held")
        kind = AgentLife if isinstance(child.spec, ChildSpec) else self._supervisor
        life = kind(child, self._parent, child.lives + 1)
        child.current = life
        return self._born(child, life, await life.start())

    def _born(
        self, child: Child, life: AgentLife | Supervisor, outcome: Failure | Ignore | None
    ) -> Failure | Ignore | None:
        child.error = life.error
        if outcome is None:
            child.lives, child.last = life.number, life.serial
        else:
            self._leaves(child, life)
        return outcome

    async def stop(self, child: Child, reason: str = "shutdown", *, drain: bool = False) -> None:
        """Stop one child by its own rules and wait until it has ended. One that is down stays down.

        Below a supervisor that is killed for that, or that has killed one below it, somebody may need longer: they
        are `orphans`.
        """
        child.void()
        life = child.current
        child.move(SlotEvent.STOP)
        if life is not None:
            if life.exit is None:
                await self._end(child, life, reason, drain=drain)
            self.account(child, expected=True)
            keep_in_hand(life, self._common)
        self._leave_senders(child)

    def stop_at_once(self, child: Child, reason: str, *, drain: bool = False) -> bool:
        """`stop`, if that needs no waiting. False: nothing was done."""
        life = child.current
        if not isinstance(life, AgentLife) or not isinstance(child.spec.shutdown, Grace):
            return False
        if life.exit is None and not life.stop_asleep(reason, drain=drain):
            return False
        child.void()
        child.move(SlotEvent.STOP)
        self.account(child, expected=True)
        keep_in_hand(life, self._common)
        self._leave_senders(child)
        return True

    def _leave_senders(self, child: Child) -> None:
        """Whoever waits for room or a reply there waits for nobody from now on."""
        slot = child.slot
        if slot is not None and (slot.mail.line or len(slot.mail)):
            self._common.stranded.leave(slot, self._common.clock.now())

    async def _end(self, child: Child, life: Incarnation, reason: str, *, drain: bool) -> None:
        match child.spec.shutdown:
            case Grace(seconds):
                life.order_stop(reason, drain=drain)
                if child.slot is not None:
                    now = self._common.clock.now()
                    seconds = max(0.0, seconds - (now - self._common.stranded.since(child.slot, now)))
                with trio.move_on_after(seconds) if seconds < math.inf else trio.CancelScope():
                    await life.wait_ended()
            case BrutalKill():
                pass
        if life.exit is None:
            await self.kill(life)

    async def kill(self, life: Incarnation, failure: Failure | None = None) -> None:
        """End an incarnation without asking, and wait for that."""
        life.kill(failure)
        await life.wait_ended()

    def account(self, child: Child, *, expected: bool) -> Exit:
        """The current life has ended: take note. Returns how."""
        life = child.current
        assert life is not None
        assert life.exit is not None
        child.current = None
        child.move(SlotEvent.EXITED)
        exit = life.exit
        self._leaves(child, life)
        uptime = self._common.clock.now() - life.started_at
        ended = child.ended = end_of(child.path, life.number, exit, expected=expected, uptime=uptime)
        self._common.note(ended)
        return exit

    def _leaves(self, child: Child, life: Incarnation) -> None:
        if isinstance(life, self._supervisor):
            self.orphans.add(child.spec.id, life.emptied)

    def abandon(self) -> list[AgentLife | Supervisor]:
        """Their supervisor was killed: end workers at once, and ask supervisors to end in order. Returns whoever takes
        longer, for `account_orphan`."""
        left: list[AgentLife | Supervisor] = []
        for id, entry in self.entries:
            if isinstance(entry, Sleeper):
                self._end_sleeper(id, entry, KILLED)
                continue
            life = entry.current
            if isinstance(life, self._supervisor) and life.has_children:
                life.stop_with(KILLED)
            elif life is not None:
                life.kill()
            if isinstance(life, AgentLife) and life.exit is not None:
                self.account_orphan(life)
            elif life is not None:
                left.append(life)
        return left

    def account_orphan(self, life: Incarnation) -> None:
        """A life has ended with its supervisor, which was killed. Nobody decides about it; who watches it is told."""
        if life.child.state in (SlotState.UP, SlotState.STOPPING):  # otherwise it had never begun
            self.account(life.child, expected=True)
        keep_in_hand(life, self._common)

    def account_for(self, child: Child, crash: FirstCrash) -> None:
        """`account`, of a crash that is noted with what was answered."""
        child.current = None
        child.move(_EXITED)
        child.ended = crash

    @contextmanager
    def noted_together(self) -> Generator[None]:
        """Make one commit of what starts and stops at once in the block, which must not wait for anything."""
        self._common.gather()
        try:
            yield
        finally:
            self._common.write_gathered()

    def restoring(self, ids: Sequence[str]) -> AbstractContextManager[None]:
        """In the block these are started: what the journal holds for them may be read together."""
        if not self._common.journal.opened.slots:
            return nullcontext()
        entries = [self._table.get(id) for id in ids]
        slots = [entry.slot for entry in entries if isinstance(entry, Child) and entry.slot is not None]
        paths = [slot.path for slot in slots if needs_restoring(slot, self._common)]
        return self._common.journal.expecting(paths) if len(paths) > 1 else nullcontext()

    # -- groups

    async def start_all(self) -> tuple[Child, Failure] | None:
        """Start every child in order; returns the one that failed, after which no more are tried."""
        return await start_in_order(self, self.order)

    async def start_group(self, children: Sequence[Child]) -> tuple[Child, Failure] | None:
        """`start_all`, of these."""
        return await start_in_order(self, [child.spec.id for child in children])

    async def stop_group(self, children: Sequence[Child], reason: str = "shutdown", *, drain: bool = False) -> None:
        """Stop these one after the other, the last one first. Temporary ones are dropped: nobody starts them again."""
        for child in reversed(children):
            await self.stop(child, reason, drain=drain)
            if child.spec.restart is RestartPolicy.TEMPORARY:
                self.drop(child, "it was stopped with its group", stays=True)

    async def stop_all(self, reason: str, *, drain: bool = False) -> None:
        """Stop every child: in reverse start order, one at a time; those who are `alike` all at once."""
        await stop_in_order(self, self.order, reason, drain=drain, one_by_one=not self.alike)
        if self.path == ROOT:  # nobody above has a limit for it, and who hears of its end ends all that is left
            await self.orphans.wait()


def describe_exit(exit: Exit) -> str:
    """An exit in a word or two, for sentences."""
    match exit:
        case Finished():
            return "it finished"
        case Stopped(reason):
            return f"it ended ({reason})"
        case Failed(failure):
            return f"it failed: {failure}"
