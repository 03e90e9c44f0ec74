"""A mild report about a child that lives, and that it is let live: as little as has to be remembered of it.

Most signals are like that: good to know, and no reason to act. What policies such as the ladder answer then hangs on
nothing else, so the answer comes first. What the attempt before it came to is judged and learned from at once; the
case, the decision with its grounds and the facts are made when somebody reads them, by the functions that decide about
everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Final

from attrs import field

from treewarden.agents.core.values import define

from .action import Resume
from .event import Decided, Event, SignalNoted
from .incident import Attempt, Incident, met_by, observed
from .later import Account
from .symptom import Kind, Symptom, label_of

if TYPE_CHECKING:
    from .case import Case
    from .challenger import Challenger
    from .decision import Decision, Policy
    from .history import RestartHistory
    from .likelihoods import Likelihoods
    from .named import NamedAction
    from .outcomes import Outcomes
    from .signal import Reported
    from .spec import Intensity, RestartBucket, Spec, Strategy
    from .window import Window

__all__ = ["LET_LIVE", "LetLive", "Surroundings"]

LET_LIVE: Final = Resume()
_NAME: Final = "resume"
_SYMPTOM: Final = Symptom.REPORTED


@define(eq=False)
class Surroundings:
    """What a supervisor knows besides one child: the same for many signals. Nothing here changes."""

    policy: Policy
    strategy: Strategy
    siblings: tuple[str, ...]
    window: Window
    history: RestartHistory
    intensity: Intensity
    bucket: RestartBucket | None
    challenger: Challenger
    journal_ok: bool
    registered: Mapping[str, NamedAction]


@define(eq=False)
class LetLive(Account):
    """All that a decision about one mild report looked at, or would have. Nothing changes but what is worked out."""

    signal: Reported
    incident: Incident
    """The child's incident; the signal has joined it."""
    around: Surroundings
    spec: Spec
    child_history: RestartHistory
    outcomes: Outcomes
    spread: float
    turn: float
    """Seconds until the tree's bucket has room for a restart."""
    code_changed_at: float | None
    checkpoints: int
    before: Attempt | None
    """The attempt that the signal has ended."""
    _decision: Decision | None = field(default=None, init=False)
    _facts: tuple[Event, ...] = field(default=(), init=False)

    @property
    def decision(self) -> Decision:
        """The decision with its grounds."""
        if self._decision is None:
            around = self.around
            whole, decide, _ = _deciding()
            case = whole(
                signal=self.signal,
                spec=self.spec,
                strategy=around.strategy,
                siblings=around.siblings,
                incident=self.incident,
                window=around.window,
                history=around.history,
                child_history=self.child_history,
                intensity=around.intensity,
                bucket=around.bucket,
                turn=self.turn,
                checkpoints=self.checkpoints,
                outcomes=self.outcomes,
                challenger=around.challenger,
                now=self.signal.at,
                spread=self.spread,
                code_changed_at=self.code_changed_at,
                journal_ok=around.journal_ok,
                registered=around.registered,
            )
            self._decision = decide(around.policy, case)
        return self._decision

    @property
    def numbers(self) -> tuple[float, float]:
        """What was stated: the confidence, and what the belief alone says."""
        around, incident = self.around, self.incident
        plain = self._decision is None and not incident.growths and self.code_changed_at is None
        if not plain or around.registered or self.spec.actions:
            return self.decision.case.numbers(_NAME)
        model = _believing()(incident, around.challenger.likelihoods)
        failed = incident.failures
        return self.outcomes.numbers(model, _NAME, Kind.REPORTED, pooled=True, failed=failed, symptom=_SYMPTOM)

    def followed_by(self, signal: Reported) -> tuple[Incident, Attempt | None]:
        """Begin what was decided here, and judge it by the signal that comes next, as `incident.meet` does: the
        incident with that, and the attempt if it has ended."""
        latest = self.signal
        return met_by(self.incident, LET_LIVE, latest.at, label_of(latest), self.numbers, _SYMPTOM, signal)

    @property
    def count(self) -> int:
        """How many `facts` there are."""
        return 2 if self.before is None else 3

    @property
    def facts(self) -> tuple[Event, ...]:
        """What is to be journaled of it, in this order; each comes to the same whenever it is asked for."""
        if not self._facts:
            signal, ended, to_event = self.signal, self.before, _deciding()[2]
            first = () if ended is None else (observed(self.incident, ended, signal.at),)
            self._facts = (
                *first,
                SignalNoted(
                    path=signal.path, kind=signal.kind, severity=signal.severity, text=signal.text, facts=signal.facts
                ),
                Decided.later(to_event, self.decision),
            )
        return self._facts


# Modules that only those who read a decision need, and one that a start does without. An import within a function looks
# for the name of its package each time, which is half a microsecond.


@cache
def _deciding() -> tuple[type[Case], Callable[[Policy, Case], Decision], Callable[[Decision], Decided]]:
    from .case import Case
    from .decision import decide, to_event

    return Case, decide, to_event


@cache
def _believing() -> Callable[[Incident, Likelihoods], float]:
    from .confidence import p_of_letting_live

    return p_of_letting_live
