"""The remedies that are not restarts: throttle, break, hold, roll back, and taking them back."""

from __future__ import annotations

from contextlib import suppress
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from attrs import evolve

from treewarden.agents.core.exit import Failed
from treewarden.agents.core.lifecycle import SlotEvent, SlotState
from treewarden.agents.core.values import define
from treewarden.agents.errors import CheckpointRefused, JournalDamaged, UnknownKind

from .child import NOTHING, Child
from .core.exits import is_in_doubt
from .core.signal import ChildExited, RateLimitReached, Recovered, Signal, Unanswered
from .core.spec import ChildSpec, SupervisorSpec
from .intake import close_by_half
from .settling import SlotStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from treewarden.agents.core.path import Path

    from .core.checkpoint import Checkpoint
    from .core.event import RolledBack
    from .journal.port import Seq
    from .supervisor import Supervisor

__all__ = ["Remedies"]

_LOOKED_AT: Final = 1000
"""Newest checkpoints of a slot among which its earlier states are looked for: those that it has given up are none."""
_PROBE_SECONDS: Final = 1.0
"""After a broken dependency's time, how long its first user goes ahead of the others."""


@define
class _Trouble:
    """What several siblings who declare nothing of it are in, and wait for together."""

    dependency: str
    until: float
    """When the first one tries it."""
    uses: tuple[str, ...]
    """What its first user declares."""
    returns: dict[Child, float]
    """Who waits, and until when; the first one tries for all."""

    def waiting(self, now: float) -> set[Child]:
        """Who waits still: nobody who was let go meanwhile, by a person for example."""
        return {
            child
            for child, when in self.returns.items()
            if when > now and (child.current is None or child.throttled is not None)
        }

    def works_for(self, other: Child, waiting: set[Child]) -> bool:
        """Whether somebody came back from it before `other` did, and lives. Whoever was removed, held, or let go and
        caught again was to be the first one and says nothing."""
        return any(
            child is not other
            and child not in waiting
            and child.current is not None
            and child.throttled is None
            and not child.held_over
            for child in self.returns
        )


class Remedies:
    """What one supervisor has done to children without ending them."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._common = supervisor.common
        self._broken: dict[str, _Trouble] = {}
        self._recalled: set[Path] = set()
        """Of whom it was read what they went back to long ago."""

    # -- intake

    def slow_down(self, child: Child, signal: Signal, seconds: float) -> None:
        """Throttle: a mailbox with an `intake` admits half as many and opens again from `seconds` on, step by step; one
        without is closed to its reader for that time. After a 429 nobody calls before it is over, in either case."""
        cut = close_by_half(child, self._common, seconds)
        if not cut or isinstance(signal, RateLimitReached) or child.current is None:
            self.throttle(child, signal, seconds)

    def throttle(self, child: Child, signal: Signal, seconds: float) -> None:
        """Hand out no messages for `seconds`, below a supervisor neither; what arrives waits in the mailbox. Of several
        troubles the one that takes longest counts, of one the last word."""
        from .core.symptom import label_of  # here and below: most trees start and end without it

        over_what = label_of(signal)
        self._pause(child, "throttled")
        now = self._common.clock.now()
        until = now + seconds
        if child.throttled is not None:
            if not child.throttled_over <= {over_what}:
                until = max(until, child.throttled_until)
            child.throttled.cancel()
        child.throttled_over |= {over_what}
        child.throttled_until = until
        child.says(f"throttled for {until - now:.3g} s")

        def over() -> None:
            self._open(child)
            child.says("")

        child.throttled = self._common.timers.at(until, over)

    def resume(self, child: Child, how: str) -> None:
        """Hand out messages again; `how` says why it may go on, in a word or two."""
        child.note = ""
        self._open(child)
        self._let_go(child, how)

    def recovered(self, child: Child, signal: Recovered) -> None:
        """Hand out messages again if everything is over for which they were held back. A rate limit is over when its
        time is, and a person decides about what nothing was reported about."""
        from .core.symptom import Kind

        ended = {f"{Kind.REPORTED}:{signal.kind}", *((signal.kind,) if signal.kind == Kind.OVERLOADED else ())}
        if ended & child.throttled_over:
            child.throttled_over -= ended
            if not child.throttled_over:
                child.says("")
                self._open(child)
        if ended & child.held_over:
            child.held_over -= ended
            if not child.held_over:
                child.note = ""
                self._let_go(child, f"recovered from {signal.kind}")

    def _open(self, child: Child) -> None:
        child.throttled_over = NOTHING
        if child.throttled is not None:
            child.throttled.cancel()
            child.throttled = None
        self._go_on(child, "throttled")

    def _let_go(self, child: Child, how: str) -> None:
        child.held_over = NOTHING
        if child.asked:
            from .questions import answered

            answered(child, how, self._common)
        self._go_on(child, "held")

    def _pause(self, child: Child, why: str) -> None:
        """Hand it nothing; of a supervisor, nobody below it."""
        if child.slot is not None:
            child.slot.pause(why)
        elif isinstance(child.spec, SupervisorSpec):
            self._common.registry.pause_below(child.path, why)

    def _go_on(self, child: Child, why: str) -> None:
        """The end of `_pause`. What is below a supervisor goes on, though by its new spec it is to be none."""
        if child.slot is not None:
            child.slot.resume(why)
        self._common.registry.resume_below(child.path, why)

    # -- a dependency

    def break_dependency(self, child: Child, signal: Signal, dependency: str, seconds: float) -> None:
        """Keep quiet whoever uses what is down, in the whole tree, and who is in the same trouble here.

        Of the users one tries when the time is over, and the others wait for how that goes. Those who declare nothing
        follow their first one, one after the other; if that fails alike, the policy breaks again, which catches all who
        wait before they start. If one fails behind others that came back, what is down works for some: those who wait
        find out.
        """
        from .core.breaker import turns
        from .core.symptom import trouble_in

        self._common.has_broken = True
        users = self._common.dependencies.break_for_all(child, signal, dependency, seconds)
        trouble, now = trouble_in(signal), self._common.clock.now()
        before = self._broken.get(trouble)
        waiting = set[Child]() if before is None else before.waiting(now)
        judge = self._supervisor.judge
        goes_on = before is not None and not before.works_for(child, waiting) and not judge.is_apart(child, signal)
        caught, alike = waiting if goes_on else (), judge.alike(child, signal)
        members = [
            member
            for member in self._supervisor.children.awake
            if (member is child or member in caught or (member.spec.id in alike and member not in waiting))
            and member not in users
        ]
        after = turns(len(members), self._common.random.random)
        returns = {
            member: now + seconds + (_PROBE_SECONDS + turn if place else 0.0)
            for place, (member, turn) in enumerate(zip(members, after, strict=True))
        }
        self._broken = {name: each for name, each in self._broken.items() if each.until > now or each.waiting(now)}
        if trouble:
            self._broken[trouble] = _Trouble(dependency, now + seconds, child.uses, returns)
        for member, when in returns.items():
            self._quiet(member, signal, dependency, when - now)

    @property
    def quiets(self) -> bool:
        """Whether somebody may have to wait for a dependency at the moment."""
        now = self._common.clock.now()
        return self._common.any_broken or any(trouble.until > now for trouble in self._broken.values())

    def keeps_quiet(self, child: Child, signal: Signal) -> bool:
        """Whether `signal` is one more child in a trouble that was found out already; then it waits with the others.
        Who declares nothing and works in between is in no such trouble, nor is anybody where others do."""
        if isinstance(signal, ChildExited) and isinstance(signal.exit, Failed) and is_in_doubt(signal.exit.failure):
            return False  # no dependency answers that
        if self._common.any_broken and self._common.dependencies.explains(child, signal):
            return True
        if not self._broken:
            return False
        from .core.breaker import span
        from .core.symptom import trouble_in
        from .core.window import are_apart

        trouble, now = self._broken.get(trouble_in(signal)), self._common.clock.now()
        if trouble is None or trouble.until <= now or are_apart(signal, child.uses, trouble.uses):
            return False
        if self._supervisor.judge.is_apart(child, signal, new=True):
            return False
        when = trouble.until + _PROBE_SECONDS + self._common.random.random() * span(len(trouble.returns) + 1)
        trouble.returns[child] = when
        self._quiet(child, signal, trouble.dependency, when - now)
        return True

    def _quiet(self, child: Child, signal: Signal, dependency: str, seconds: float) -> None:
        if child.current is None and child.state in (SlotState.DOWN, SlotState.RESTARTING):
            self._supervisor.restarts.delay(child, seconds)
        elif child.current is not None:
            self.throttle(child, signal, seconds)
        child.says(f"waits for {dependency}")

    # -- a variant

    def fall_back(self, child: Child, variant: str) -> None:
        """From its next life on the child is this variant, until a reload or the next life of its supervisor."""
        spec = child.spec
        assert isinstance(spec, ChildSpec)
        left = {name: make for name, make in spec.variants.items() if name != variant}
        child.spec = evolve(spec, agent=spec.variants[variant], variants=left)

    # -- a person

    def hold(self, child: Child, signal: Signal, question: str) -> None:
        """Wait for a person: a child that is down stays down, one that lives takes no messages, and nobody below it
        does, until what was reported is over."""
        child.void()
        child.note = f"held: {question}"
        self._pause(child, "held")  # also of who is down: an asker is told that, and not that nobody lives there
        if child.current is None:
            child.move(SlotEvent.HOLD)
        else:
            from .core.symptom import label_of

            child.held_over |= frozenset(signal.over) if isinstance(signal, Unanswered) else {label_of(signal)}

    # -- state

    def keeps_checkpoints(self, child: Child) -> bool:
        """Whether the journal may keep earlier states for this child."""
        return child.slot is not None and isinstance(child.slot.store, SlotStore)

    async def count_checkpoints(self, child: Child) -> int:
        """How many earlier states the journal keeps for this child."""
        return len(await self._earlier(child))

    async def roll_back(self, child: Child, steps: int) -> None:
        """Make the slot's state that of the `steps`-th newest earlier checkpoint, or the one that its class declares.

        The new state is written as a state of its own; nothing is deleted, and messages settled since then are not
        handled again.
        """
        if child.slot is None:
            return
        from .core.decision import Decision
        from .core.diagnosing import diagnosis_of
        from .keeping import go_back

        diagnosis = diagnosis_of(child.decision) if isinstance(child.decision, Decision) else None
        earlier = await self._earlier(child)
        for chosen in earlier[steps - 1 :]:
            try:
                await go_back(child, chosen, self._common, diagnosis=diagnosis)
            except (
                CheckpointRefused,
                UnknownKind,
                JournalDamaged,
            ):  # pruned, of other code, or broken: the one before it
                continue
            return
        with suppress(CheckpointRefused):  # its class gives none: the next start says why, if that fails for it
            await go_back(child, None, self._common, diagnosis=diagnosis)

    async def _earlier(self, child: Child) -> list[Checkpoint]:
        slot = child.slot
        if slot is None or not isinstance(slot.store, SlotStore):
            return []
        from .core.lineage import past_of
        from .keeping import UNDO

        journal = self._common.journal
        kept = await journal.checkpoints(slot.path, _LOOKED_AT)
        await self._recall(slot.path, min((each.seq for each in kept), default=journal.head))
        went_back = self._common.went_back.get(slot.path, [])
        if child.bad_from is None:
            child.bad_from = _settled_as(slot.store, kept, went_back), journal.head
        settled, head = child.bad_from
        before = [each for each in went_back if each[0] <= head]
        pruned = self._common.pasts.get(str(slot.path))
        past = None  # nothing was given up
        if before or pruned is not None:
            past = set(past_of([(each.number, each.seq) for each in kept], before, pruned=pruned))
        return [
            each
            for each in kept
            if each.settled < settled and each.name != UNDO and (past is None or each.number in past)
        ]

    async def _recall(self, path: Path, oldest: Seq) -> None:
        """What a slot went back to since its oldest checkpoint, also where that is too long ago for a start to read, or
        was pruned since."""
        from .core.event import EventsPruned, RolledBack
        from .views.pruned import pruned_of

        common = self._common
        if path in self._recalled or oldest >= common.read_from:
            return
        with suppress(UnknownKind, JournalDamaged):  # nobody can say then; to go back must not fail for it
            found = await common.journal.read_all(oldest, common.read_from, path, RolledBack.__name__)
            told = {record.seq: record.event for record in found if isinstance(record.event, RolledBack)}
            told.update(common.went_back.get(path, ()))
            common.went_back[path] = sorted(told.items(), key=itemgetter(0))
            cut = await common.journal.cut()  # behind that: what went meanwhile is told there
            if cut is not None and isinstance(cut.event, EventsPruned):
                common.pasts = pruned_of(cut.event).pasts
        self._recalled.add(path)


def _settled_as(store: SlotStore, kept: Sequence[Checkpoint], went_back: Sequence[tuple[int, RolledBack]]) -> int:
    """How many messages had been settled when the current state was made, first: it may have been gone back to."""
    if not went_back or store.state_settled != store.went_back_at:
        return store.state_settled
    target = went_back[-1][1].checkpoint
    return next((each.settled for each in kept if each.number == target), store.state_settled)
