"""What siblings are in together: who waits for what is down, who tries it, and which messages are not blamed for it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, TypeAlias

from treewarden.agents.core.exit import Failed
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.values import define

from .child import Child
from .core.breaker import span, turns
from .core.event import DependencyChanged
from .core.exits import is_in_doubt
from .core.signal import ChildExited, Signal
from .core.sparing import Spared, has_worked, spares
from .core.spec import ChildSpec
from .core.symptom import is_outside, trouble_in
from .core.window import NOTHING_DONE, Work, are_apart, work_of
from .dependencies import one_waits

if TYPE_CHECKING:
    from collections.abc import Container

    from treewarden.agents.core.message import Envelope

    from .supervisor import Supervisor

__all__ = ["Troubles"]

_PROBE_SECONDS: Final = 1.0
"""After a broken dependency's time, how long its first user goes ahead of the others."""
_Kind: TypeAlias = tuple[object, tuple[str, ...]] | None
_SPARED: Final = 10_000
"""Messages that are remembered as not blamed; of more the oldest are spared anew."""


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
    kind: _Kind
    """That of its first user."""
    done: dict[Child, Work]
    """What each sibling of that kind, in trouble or not, had done when this began; empty once one of them has worked
    since, and where nothing is tried again."""

    def waiting(self, now: float) -> dict[Child, float]:
        """Who waits still: nobody who was let go meanwhile, by a person for example."""
        return {
            child: when
            for child, when in self.returns.items()
            if when > now and (child.current is None or child.throttled is not None)
        }

    def works_for(self, other: Child, waiting: Container[Child]) -> bool:
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


class Troubles:
    """The troubles that several children of one supervisor are in. What they declare to use is the business of
    `Dependencies`, for that may be used anywhere in the tree."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._common = supervisor.common
        self._broken: dict[str, _Trouble] = {}
        self._proofs = Counter[_Kind]()
        """How often somebody has worked who had waited."""
        self._spared: dict[int, Spared] = {}

    def break_dependency(self, child: Child, signal: Signal, dependency: str, seconds: float) -> None:
        """Keep quiet whoever uses what is down, in the whole tree, and who is in the same trouble here.

        Of the users one tries when the time is over, and the others wait for how that goes. Those who declare nothing
        follow their first one, one after the other; if that fails alike, the policy breaks again, which catches all who
        wait before they start. If one fails behind others that came back, what is down works for some: those who wait
        find out.
        """
        self._common.has_broken = True
        users = self._common.dependencies.break_for_all(child, signal, dependency, seconds)
        trouble, now = trouble_in(signal), self._common.clock.now()
        self._look_for_proof(now)
        before = self._broken.get(trouble)
        waiting = {} if before is None else before.waiting(now)
        judge = self._supervisor.judge
        goes_on = before is not None and not before.works_for(child, waiting) and not judge.is_apart(child, signal)
        caught, alike = waiting if goes_on else (), judge.alike(child, signal)
        members = [
            member
            for member in self._supervisor.children.awake
            if (member is child or member in caught or (member.spec.id in alike and member not in waiting))
            and member not in users
        ]
        behind = members.index(child) + 1 if child in members else 0
        members = [*members[behind:], *members[:behind]]  # another tries first: it may be over for all but this one
        after = turns(len(members), self._common.random.random)
        returns = {
            member: now + seconds + (_PROBE_SECONDS + turn if place else 0.0)
            for place, (member, turn) in enumerate(zip(members, after, strict=True))
        }
        self._broken = {name: each for name, each in self._broken.items() if each.until > now or each.waiting(now)}
        if trouble:
            kind = _kind(child)
            awake = self._supervisor.children.awake if kind is not None and _tries_again(child) else ()
            done = {each: _done(each) for each in awake if _kind(each) == kind}
            self._broken[trouble] = _Trouble(dependency, now + seconds, child.uses, returns, kind, done)
        if len(members) > 1:
            paths, why = tuple(member.path for member in members), "its supervisor decided so"
            self._common.note(
                DependencyChanged(
                    path=child.path, dependency=dependency, passage="open", users=paths, seconds=seconds, why=why
                )
            )
        for member, when in returns.items():
            self._quiet(member, signal, dependency, when - now)

    @property
    def quiets(self) -> bool:
        """Whether somebody may have to wait for a dependency at the moment."""
        now = self._common.clock.now()
        return self._common.any_broken or any(trouble.until > now for trouble in self._broken.values())

    def keeps_quiet(self, child: Child, signal: Signal) -> DependencyChanged | None:
        """Let one more child wait with the others whose `signal` is a trouble that was found out already; returns what
        to journal of that. None: it is another one. Who declares nothing and works in between is in no such trouble,
        nor is anybody where others do."""
        if isinstance(signal, ChildExited) and isinstance(signal.exit, Failed) and is_in_doubt(signal.exit.failure):
            return None  # no dependency answers that
        if self._common.any_broken:
            waits = self._common.dependencies.explains(child, signal)
            if waits is not None:
                return waits
        if not self._broken:
            return None
        trouble, now = self._broken.get(trouble_in(signal)), self._common.clock.now()
        if trouble is None or trouble.until <= now or are_apart(signal, child.uses, trouble.uses):
            return None
        if self._supervisor.judge.is_apart(child, signal, new=True):
            return None
        when = trouble.until + _PROBE_SECONDS + self._common.random.random() * span(len(trouble.returns) + 1)
        trouble.returns[child] = when
        self._quiet(child, signal, trouble.dependency, when - now)
        return one_waits(child, signal, trouble.dependency, when - now)

    def _quiet(self, child: Child, signal: Signal, dependency: str, seconds: float) -> None:
        if child.current is None and child.state in (SlotState.DOWN, SlotState.RESTARTING):
            self._supervisor.restarts.delay(child, seconds)
        elif child.current is not None:
            self._supervisor.remedies.throttle(child, signal, seconds)
        child.says(f"waits for {dependency}")

    # -- messages

    def knows(self, child: Child, signal: Signal) -> bool:
        """Whether what `signal` says is known: that what this child needs is down, for it declares it, or others wait
        still in that very trouble. Those are in it as long as they wait, however long that is."""
        if self._common.any_broken and self._common.dependencies.is_down_for(child):
            return True
        trouble = self._broken.get(trouble_in(signal))
        if trouble is None or are_apart(signal, child.uses, trouble.uses):
            return False
        waiting = trouble.waiting(self._common.clock.now())
        waiting.pop(child, None)
        self._supervisor.judge.are_in_it(signal, waiting)
        return bool(waiting)

    def spares(self, child: Child, signal: Signal, message: Envelope | None) -> bool:
        """Whether the attempt at `message` that ended in `signal` is not counted, where what it needs is known to be
        down, or is found to be so now: it failed outside, and nobody like it has worked since the first attempt that
        was not counted. Of a mailbox in memory nothing is tried again, nor is what was to be tried once."""
        if message is None or message.row is None or not _tries_again(child) or not is_outside(signal):
            return False
        now = self._common.clock.now()
        self._look_for_proof(now)
        proofs = self._proofs[_kind(child)] + (
            self._common.dependencies.times_proven(child) if self._common.has_broken else 0
        )
        first = self._spared.get(message.row)
        if not spares(first, proofs, now):
            return False
        if first is None:
            if len(self._spared) >= _SPARED:
                del self._spared[next(iter(self._spared))]
            self._spared[message.row] = Spared(proofs, now)
        return True

    def _look_for_proof(self, now: float) -> None:
        for trouble in self._broken.values():
            # before its time is over nobody of them was let through
            if trouble.until <= now and any(has_worked(_done(each), before) for each, before in trouble.done.items()):
                trouble.done = {}
                self._proofs[trouble.kind] += 1


def _kind(child: Child) -> _Kind:
    """What one child can do shows what another one of its kind could: both are the same agent, and use the same."""
    spec = child.spec
    return (spec.agent, spec.uses) if isinstance(spec, ChildSpec) else None


def _tries_again(child: Child) -> bool:
    """Whether a message on which it crashed is tried again at all."""
    return child.slot is not None and child.slot.durable and child.slot.spec.deliveries > 1


def _done(child: Child) -> Work:
    slot = child.slot
    return NOTHING_DONE if slot is None else work_of(slot.worked, slot.ticks, len(slot.handles))
