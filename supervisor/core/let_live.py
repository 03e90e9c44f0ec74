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
from .incident import Attempt, Incident, lived_on, observed
from .later import Account
from .symptom import Symptom

if TYPE_CHECKING:
    from .case import Case
    from .challenger import Challenger
    from .counting import Counting
    from .decision import Decision, Policy
    from .history import RestartHistory
    from .likelihoods import Likelihoods
    from .named import NamedAction
    from .signal import Reported
    from .spec import Intensity, RestartBucket, Spec, Strategy
    from .window import Window

__all__ = ["LET_LIVE", "LetLive", "Surroundings", "stated"]

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


def stated(
    incident: Incident, counting: Counting, around: Surroundings, spec: Spec, code_changed_at: float | None
) -> tuple[float, float] | None:
    """`LetLive.stated` of an incident as it is now."""
    if incident.growths or code_changed_at is not None or around.registered or spec.actions:
        return None
    return counting.numbers(_believing()(incident, around.challenger.likelihoods), incident.failures)


@define(eq=False)
class LetLive(Account):
    """All that a decision about one mild report looked at, or would have. Nothing changes but what is worked out."""

    signal: Reported
    incident: Incident
    """The child's incident; the signal has joined it."""
    around: Surroundings
    spec: Spec
    child_history: RestartHistory
    counting: Counting
    """What is known of outcomes,"""
    counted: int
    """after so many lessons of its."""
    spread: float
    turn: float
    """Seconds until the tree's bucket has room for a restart."""
    code_changed_at: float | None
    checkpoints: int
    before: Attempt | None
    """The attempt that the signal has ended."""
    stated: tuple[float, float] | None
    """The confidence, and what the belief alone says; None where more has to be looked at for that."""
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
                outcomes=self.counting.as_of(self.counted),
                challenger=around.challenger,
                now=self.signal.at,
                spread=self.spread,
                code_changed_at=self.code_changed_at,
                journal_ok=around.journal_ok,
                registered=around.registered,
            )
            self._decision = decide(around.policy, case)
        return self._decision

    def followed_by(self, signal: Reported) -> tuple[Incident, Attempt | None]:
        """Begin what was decided here, and judge it by the signal that comes next, as `incident.meet` does: the
        incident with that, and the attempt if it has ended."""
        stated = self.decision.case.numbers(_NAME) if self.stated is None else self.stated
        return lived_on(self.incident, LET_LIVE, stated, _SYMPTOM, signal)

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
