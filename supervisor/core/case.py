"""A case: everything that one decision may look at, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from attrs import field

from treewarden.agents.core.exit import Failed
from treewarden.agents.core.values import frozen

from .challenger import Challenger
from .confidence import Belief, believe, p_fix
from .context import RECENT, Context, read_context, read_symptom, read_symptoms
from .exits import cannot_read, is_in_doubt, must_restart, not_kept
from .history import NO_RESTARTS, RestartHistory
from .incident import Incident
from .named import NO_ACTIONS, NamedAction, knowing
from .outcomes import Confidence, Outcomes
from .signal import ActionFailed, ChildExited, RestartFailed, Signal, Unanswered
from .spec import ChildSpec, Intensity, RestartBucket, Restore, Spec, Strategy
from .symptom import Kind, Symptom, kind_of
from .window import NOTHING_SEEN, Window

if TYPE_CHECKING:
    from .decision import Policy

__all__ = ["Case", "begins_anew", "counts"]


@frozen(kw_only=True)
class Case:
    """What the shell knows when a signal arrives. All times are in the clock of the loop.

    `context` and `belief` are computed when they are first asked for: a policy without an opinion never asks.
    """

    signal: Signal
    spec: Spec
    strategy: Strategy = Strategy.ONE_FOR_ONE
    siblings: tuple[str, ...] = ()
    """All children of this supervisor in start order, the one in question included."""
    incident: Incident
    """The slot's incident; the signal has joined it, and the attempt before has been judged."""
    window: Window = NOTHING_SEEN
    """With the signal added."""
    history: RestartHistory = NO_RESTARTS
    """The supervisor's restarts, this one included if it counts."""
    child_history: RestartHistory = NO_RESTARTS
    """This child's own, likewise."""
    intensity: Intensity = Intensity()
    bucket: RestartBucket | None = None
    """That of the tree, where it has one that this policy obeys."""
    turn: float = 0.0
    """Seconds until that has room for a restart."""
    checkpoints: int = 0
    """How many earlier checkpoints exist: `RollBack(n)` means the n-th newest of these, `n = checkpoints + 1` the state
    that the class declares."""
    outcomes: Outcomes = Outcomes()
    challenger: Challenger = Challenger()
    """What labels have taught, which decides if it has proven better."""
    now: float = 0.0
    spread: float = 0.0
    """From 0 up to 1, drawn by the shell: spreads delays."""
    code_changed_at: float | None = None
    journal_ok: bool = True
    registered: Mapping[str, NamedAction] = NO_ACTIONS
    """Actions that the supervisors above register for everything below them."""

    _context: Context | None = field(default=None, init=False, eq=False, repr=False)
    _belief: Belief | None = field(default=None, init=False, eq=False, repr=False)

    @property
    def context(self) -> Context:
        found = self._context
        if found is None:
            found = read_context(self)
            object.__setattr__(self, "_context", found)
        return found

    @property
    def symptoms(self) -> tuple[Symptom, ...]:
        """Those of the context."""
        return read_symptoms(self)

    @property
    def symptom(self) -> str:
        """The one that an attempt counts under (`read_symptom`); empty where there is none."""
        return read_symptom(self)

    @property
    def belief(self) -> Belief:
        found = self._belief
        if found is None:
            found = believe(self, self.incident, knowing(self.challenger.likelihoods, self.actions))
            object.__setattr__(self, "_belief", found)
        return found

    @property
    def actions(self) -> Mapping[str, NamedAction]:
        """The actions that may be performed here by their names; the child's own take the place of others."""
        own = self.spec.actions
        return {**self.registered, **own} if own and self.registered else own or self.registered

    def stated(self, action: str) -> Confidence:
        """P(an action of this name ends the incident): the belief's number, as far as such numbers have come true."""
        kind, failed = kind_of(self.signal), self.incident.failures
        return self.outcomes.stated(self._model(action), action, kind, pooled=True, failed=failed, symptom=self.symptom)

    def numbers(self, action: str) -> tuple[float, float]:
        """`stated`, without what it rests on: the confidence, and what the belief alone says."""
        kind, failed = kind_of(self.signal), self.incident.failures
        return self.outcomes.numbers(
            self._model(action), action, kind, pooled=True, failed=failed, symptom=self.symptom
        )

    def _model(self, action: str) -> float:
        return p_fix(self.belief, action, down=self.down, failed=self.incident.failures_of(action))

    @property
    def down(self) -> bool:
        """The slot has no incarnation: its last one ended, or did not start."""
        signal = self.signal
        return isinstance(signal, (ChildExited, RestartFailed)) or (
            isinstance(signal, (ActionFailed, Unanswered)) and signal.down
        )

    @property
    def states(self) -> int:
        """Earlier states that a rollback can reach: the kept checkpoints, and the declared one."""
        if not isinstance(self.spec, ChildSpec) or self.spec.restore is Restore.INITIAL:
            return 0
        return self.checkpoints + 1

    @property
    def variant(self) -> str:
        """The next variant to fall back to; empty where none is left."""
        return next(iter(self.spec.variants), "") if isinstance(self.spec, ChildSpec) else ""

    @property
    def budget_used(self) -> float:
        """The share of the allowed restarts that failures before this one have used up, from 0 to 1."""
        before = self.history.count - counts(self.signal, self.spec)
        return min(1.0, max(0, before) / max(1, self.intensity.max_restarts))


def counts(signal: Signal, spec: Spec) -> bool:
    """Whether the restart that `signal` leads to counts towards the intensity: exits that are followed by one, and
    restarts that failed. A hang, `Recycle` and operators do not count."""
    if isinstance(signal, ChildExited):
        if not_kept(signal.exit) or (isinstance(signal.exit, Failed) and is_in_doubt(signal.exit.failure)):
            return False
        return must_restart(spec.restart, signal.exit)
    return isinstance(signal, RestartFailed) and not cannot_read(signal.failure)


def begins_anew(
    policy: Policy,
    signal: Signal,
    spec: Spec,
    intensity: Intensity,
    history: RestartHistory,
    child_history: RestartHistory,
    changed_at: float | None,
) -> bool:
    """Whether a failure of a child that has worked since its last one is another incident, with the first backoff.

    Not where the policy says how long it has to live, or siblings are nothing to it; nor of code that is new, if it has
    variants to fall back to; nor where there have been so many restarts lately that it has to become slower, or its
    supervisor would give up.
    """
    if policy.stable_after is not None or not policy.counts_alike or not isinstance(spec, ChildSpec):
        return False
    if kind_of(signal) not in _AT_WORK:
        return False
    if spec.variants and changed_at is not None and signal.at - changed_at <= RECENT:
        return False
    own = spec.restarts is None or child_history.has_room(signal.at, spec.restarts)
    return own and history.has_room(signal.at, intensity)


_AT_WORK: Final = frozenset({Kind.CRASH, Kind.STALLED})
