"""The remedies that are not restarts: throttle, hold, roll back, and taking them back."""

from __future__ import annotations

from contextlib import suppress
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from attrs import evolve

from treewarden.agents.core.lifecycle import SlotEvent
from treewarden.agents.errors import CheckpointRefused, JournalDamaged, UnknownKind

from .child import NOTHING, Child
from .core.signal import RateLimitReached, Recovered, Signal, Unanswered
from .core.spec import ChildSpec, SupervisorSpec
from .intake import close_by_half
from .settling import SlotStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from treewarden.agents.core.diagnosis import Diagnosis
    from treewarden.agents.core.path import Path

    from .common import Common
    from .core.checkpoint import Checkpoint
    from .core.event import RolledBack
    from .journal.port import Seq
    from .supervisor import Supervisor

__all__ = ["Remedies", "is_away"]

_LOOKED_AT: Final = 1000
"""Newest checkpoints of a slot among which its earlier states are looked for: those that it has given up are none."""


class Remedies:
    """What one supervisor has done to children without ending them."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._common = supervisor.common
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
        if child.question is not None:
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

    async def roll_back(self, child: Child, signal: Signal, steps: int) -> None:
        """Make the slot's state that of the `steps`-th newest earlier checkpoint, or the one that its class declares.

        The new state is written as a state of its own; nothing is deleted, and messages settled since then are not
        handled again. The state that was left is kept, and is there again when this has not helped (`put_back`).
        """
        if child.slot is None:
            return
        from .core.symptom import trouble_in

        _remember(child, self._common)
        earlier = await self._earlier(child)
        child.away_over = trouble_in(signal)
        for chosen in (*earlier[steps - 1 :], None):
            try:
                left = await self._go_back(child, chosen, child.away_over)
            except (
                CheckpointRefused,  # pruned, or its class gives none: the next start says why, if that fails for it
                UnknownKind,  # of other code
                JournalDamaged,
            ):
                continue
            child.left = child.left if left is None else left
            return

    def was_in_vain(self, child: Child, signal: Signal) -> bool:
        """Whether it fails as before it was rolled back, and has settled nothing since."""
        _remember(child, self._common)
        if child.left is None or not is_away(child):
            return False
        from .core.symptom import trouble_in

        return trouble_in(signal) == child.away_over

    async def put_back(self, child: Child) -> None:
        """Give the slot the state again that was left when it was rolled back: that was not to blame."""
        from .keeping import put_back

        await put_back(child, self._common, _diagnosis(child))

    async def put_back_for_new_code(self, child: Child) -> None:
        """Give a child that nobody lives in the state that was left when it was rolled back, if it has settled nothing
        since: its code is another one from now on, and the old one may have been to blame."""
        _remember(child, self._common)
        if child.left is not None and is_away(child):
            from treewarden.agents.core.diagnosis import Diagnosis

            from .keeping import put_back

            why = "its code has changed since it was taken back"
            await put_back(child, self._common, Diagnosis(because=(why,)))

    async def _go_back(self, child: Child, to: Checkpoint | None, over: str) -> int | None:
        from .keeping import go_back

        return await go_back(child, to, self._common, diagnosis=_diagnosis(child), over=over)

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
        from .core.event import EventsPruned
        from .moved import past_told, stays_of, went_back_in

        common = self._common
        if path in self._recalled or oldest >= common.read_from:
            return
        with suppress(UnknownKind, JournalDamaged):  # nobody can say then; to go back must not fail for it
            stays = await stays_of(common.journal, path, oldest)
            told = await went_back_in(common.journal, stays, common.read_from)
            told.update(common.went_back.get(path, ()))
            common.went_back[path] = sorted(told.items(), key=itemgetter(0))
            cut = await common.journal.cut()  # behind that: what went meanwhile is told there
            if cut is not None and isinstance(cut.event, EventsPruned):
                past = past_told(cut.event, stays)
                others = {key: each for key, each in common.pasts.items() if key != path}
                common.pasts = others if past is None else {**others, str(path): past}
        self._recalled.add(path)


def _remember(child: Child, common: Common) -> None:
    """That an earlier process has taken it back, or an earlier life of its supervisor, and what it had then."""
    went_back = common.went_back.get(child.path)
    if went_back and not child.away_over:
        last = went_back[-1][1]
        child.away_over = last.over
        if is_away(child):
            child.left = last.left
        else:
            child.away_over = ""


def _diagnosis(child: Child) -> Diagnosis | None:
    from .core.decision import Decision
    from .core.diagnosing import diagnosis_of

    return diagnosis_of(child.decision) if isinstance(child.decision, Decision) else None


def is_away(child: Child) -> bool:
    """Whether a policy has given it an earlier state, and it has settled nothing since."""
    store = child.slot.store if child.away_over and child.slot is not None else None
    return isinstance(store, SlotStore) and store.settles == store.went_back_at == store.state_settled


def _settled_as(store: SlotStore, kept: Sequence[Checkpoint], went_back: Sequence[tuple[int, RolledBack]]) -> int:
    """How many messages had been settled when the current state was made, first: it may have been gone back to."""
    if not went_back or store.state_settled != store.went_back_at:
        return store.state_settled
    target = went_back[-1][1].checkpoint
    return next((each.settled for each in kept if each.number == target), store.state_settled)
