"""decide(): from a case to a decision. Hard rules first, then the policy; explained, and pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeAlias, cast

from attrs import evolve, field

from treewarden.agents.core.exit import describe as describe_error
from treewarden.agents.core.exit import storable
from treewarden.agents.core.values import frozen

from .action import Action, Break, Hold, Perform, Restart, Resume, Throttle, action_name, details, scope_of
from .case import Case, counts
from .context import Context
from .event import Decided, RejectedOption
from .exits import must_restart
from .guards import Declined, Option, forbids, forced, held_up, lifted, unproven
from .history import RestartHistory, delay
from .incident import Attempt, Incident, note
from .outcomes import Confidence
from .signal import ActionFailed, RateLimitReached, Recovered, Signal
from .spec import Backoff, ChildSpec, Intensity, Spec, Strategy
from .symptom import describe, failure_in, label_of

__all__ = [
    "Case",
    "Decision",
    "Declined",
    "FirstRestart",
    "LooksBack",
    "Option",
    "Paced",
    "Policy",
    "attempt_of",
    "attempted",
    "backoff_of",
    "counted",
    "counts",
    "decide",
    "is_paced",
    "looks_back",
    "must_restart",
    "stable_after",
    "to_event",
]


class Policy(Protocol):
    """What turns circumstances into a decision. A value: the same case gives the same proposal."""

    @property
    def name(self) -> str: ...

    @property
    def counts_alike(self) -> bool:
        """Whether siblings taken down by one fault count as one restart."""
        ...

    @property
    def escalates(self) -> bool:
        """Whether the supervisor's intensity binds; False for a policy that bounds its restarts in a way of its own."""
        ...

    @property
    def stable_after(self) -> float | None:
        """Seconds of life after which an incident is over; None leaves it to the spec."""
        ...

    def propose(self, case: Case) -> tuple[Option, ...]:
        """What it would do, in order: the first is what it wants, the rest comes in where hard rules forbid that."""
        ...

    def declined(self, case: Case) -> tuple[Declined, ...]:
        """What it considered and does not propose. Asked only when a decision is explained."""
        ...


class Paced(Protocol):
    """What a policy may have as well: it says whether its restarts wait where the tree's bucket has no room."""

    @property
    def paced(self) -> bool:
        """One without this always does; one that says False knows no such limit, as OTP."""
        ...


class LooksBack(Protocol):
    """What a policy may have as well: it says whether it needs to know how many checkpoints there are."""

    def looks_back(self, signal: Signal) -> bool:
        """Whether its answer to `signal` may depend on which earlier states there are. One without this always does."""
        ...


FirstRestart: TypeAlias = Callable[[ChildSpec, Strategy, float], Restart]
"""The restart of a child, from its spec, the strategy of its supervisor and what spreads delays. A policy that has
`first(failure)` returns one there, if it need not look at a whole case to answer the first crash of a healthy child."""


@frozen
class Decision:
    """What is to be done, with its grounds. Grounds are worked out when they are first asked for."""

    case: Case
    policy: Policy
    action: Action
    chosen: Option
    passed_over: tuple[Declined, ...] = ()
    """What the policy proposed and did not come to be: a hard rule forbids it, or something else came first."""
    failed: str = ""
    """Whose policy this decision was, and how that failed, if this one has decided in its place."""
    _stated: Confidence | None = field(default=None, init=False, eq=False, repr=False)

    @property
    def rule(self) -> str:
        return self.chosen.rule

    @property
    def next(self) -> str:
        """What the policy would do if this does not help."""
        return self.chosen.next

    @property
    def context(self) -> Context:
        return self.case.context

    @property
    def waits_for_room(self) -> bool:
        """Whether it leaves somebody alone until one more restart is within the limit: so it takes none of these."""
        return isinstance(self.action, Break) and 0.0 < self.context.room_in <= self.action.seconds

    @property
    def stated(self) -> Confidence:
        found = self._stated
        if found is None:
            outcomes, certain = self.case.outcomes, self.chosen.certain
            found = Confidence(1.0, 1.0, 0.0, outcomes.calibrated) if certain else self._of(action_name(self.action))
            object.__setattr__(self, "_stated", found)
        return found

    @property
    def confidence(self) -> float:
        """P(this action closes this incident), as stated."""
        return self.stated.value

    @property
    def evidence(self) -> float:
        return self.stated.evidence

    @property
    def calibrated(self) -> bool:
        return self.stated.calibrated

    @property
    def because(self) -> tuple[str, ...]:
        more = [text for text in (self.failed, held_up(self.case, self.action)) if text]
        return (self.chosen.reason, *more, *self.context.because)

    @property
    def rejected(self) -> tuple[RejectedOption, ...]:
        """The alternatives, each with its confidence and what spoke against it: one for each kind of action."""
        why: dict[str, str] = {}
        for other in (*self.passed_over, *self.policy.declined(self.case)):
            why.setdefault(other.action, other.why)
        why.pop(action_name(self.action), None)
        return tuple(
            [
                RejectedOption(action=_text(name), confidence=self._of(name).value, why=_text(text))
                for name, text in why.items()
            ]
        )

    @property
    def causes(self) -> dict[str, float]:
        """P(cause) for those that are worth a mention, the most probable first."""
        return {str(cause): round(p, 4) for cause, p in self.case.belief.causes.items() if p >= 0.01}

    def _of(self, action: str) -> Confidence:
        return self.case.stated(action)


def decide(policy: Policy, case: Case) -> Decision:
    """What to do about a case. For one whose parts are valid it raises only what the policy raises.

    The hard rules come first (`guards.py`), then the policy's proposals in their order; the first that no hard rule
    forbids is taken. If none is left, an ended child is restarted after its backoff and a living one is left alone.
    """
    option = forced(case, escalates=policy.escalates)
    if option is not None:
        return Decision(case, policy, option.action, option)
    passed_over: list[Declined] = []
    chosen: Option | None = None
    for option in policy.propose(case):
        if chosen is not None:
            why = option.reason if option.rule == chosen.rule else f"'{chosen.rule}' comes first"
            passed_over.append(Declined(action_name(option.action), why))
        elif why := forbids(case, option.action):
            passed_over.append(Declined(action_name(option.action), why))
            chosen = _asks(case, option.action, why)
        else:
            chosen = option
    if chosen is None:
        chosen = _last_resort(case)
    return Decision(case, policy, lifted(case, chosen.action), chosen, tuple(passed_over))


def is_paced(policy: Policy) -> bool:
    """Whether its restarts wait for the tree's bucket."""
    return not hasattr(policy, "paced") or cast("Paced", policy).paced


def looks_back(policy: Policy, signal: Signal) -> bool:
    """Whether the checkpoints of a slot have to be counted before this policy is asked."""
    return not hasattr(policy, "looks_back") or cast("LooksBack", policy).looks_back(signal)


def _asks(case: Case, action: Action, why: str) -> Option | None:
    """To ask a person, where what a policy wants for a slot that is down may be done by people only."""
    if not case.down or not isinstance(action, Perform) or action.name not in case.actions:
        return None
    if unproven(case, action.name) != why:
        return None
    return Option(
        Hold(f"perform {action.name} on {case.signal.path}, then resume it?"),
        "a person decides",
        f"{action.name}: {why}",
        "it stays down until a person decides",
    )


def _last_resort(case: Case) -> Option:
    if isinstance(case.signal, ActionFailed):
        return _after_failed_action(case)
    if case.down:
        wait = delay(backoff_of(case.spec), case.incident.failed + 1, case.spread)
        return Option(Restart(scope_of(case.strategy), wait), "last resort", _NOTHING_LEFT)
    if isinstance(case.signal, RateLimitReached):
        return Option(Throttle(1.0), "last resort", "a rate limit is always a throttle")
    return Option(Resume(), "last resort", _NOTHING_LEFT)


def _after_failed_action(case: Case) -> Option:
    reason = "the action that was to help did not succeed, and the policy has no answer to that"
    if case.down:
        wait = delay(backoff_of(case.spec), case.incident.failed + 1, case.spread)
        return Option(Restart(scope_of(case.strategy), wait), "action failed", reason, "what the policy says then")
    return Option(Resume(), "action failed", reason)


_NOTHING_LEFT: Final = "the policy proposed nothing that may be done"


def backoff_of(spec: Spec) -> Backoff:
    """The backoff of a slot; a supervisor below has the default one."""
    return spec.backoff if isinstance(spec, ChildSpec) else Backoff()


def stable_after(policy: Policy, spec: Spec) -> float:
    """Seconds of life after which an incident of this slot is over."""
    return spec.stable_after if policy.stable_after is None else policy.stable_after


def counted(
    policy: Policy,
    signal: Signal,
    spec: Spec,
    intensity: Intensity,
    history: RestartHistory,
    child_history: RestartHistory,
) -> tuple[RestartHistory, RestartHistory]:
    """The two histories with the restart that `signal` leads to, if it counts.

    A child that has used up its own limit is not restarted, so the supervisor's history does not grow by it.
    """
    if not counts(signal, spec):
        return history, child_history
    if isinstance(spec, ChildSpec) and spec.restarts is not None:
        child_history = child_history.noted(signal.at, spec.restarts)
        if child_history.exceeded(spec.restarts):
            return history, child_history
    failure = failure_in(signal) if policy.counts_alike else None
    fault = failure.fingerprint or None if failure is not None else None
    return history.noted(signal.at, intensity, signal.path.name, fault), child_history


def attempt_of(decision: Decision, at: float) -> Attempt:
    """What is tried with this decision from `at` on."""
    case, action = decision.case, decision.action
    value, model = (1.0, 1.0) if decision.chosen.certain else case.numbers(action_name(action))
    return Attempt(action, at, label_of(case.signal), value, model, symptom=case.symptom)


def attempted(decision: Decision, at: float) -> Incident:
    """The case's incident with this decision as its latest attempt, begun at `at`.

    Nothing is tried against good news: what was being tried stays open, and is judged by what comes of it.
    """
    if isinstance(decision.case.signal, Recovered):
        return decision.case.incident
    tried = attempt_of(decision, at)
    return note(
        decision.case.incident,
        tried.action,
        at,
        kind=tried.kind,
        confidence=tried.confidence,
        model=tried.model,
        symptom=tried.symptom,
    )


def to_event(decision: Decision) -> Decided:
    """The decision as a fact for the journal, with everything that it was based on.

    Half a character in a text (a policy may say anything) is written out: the whole commit would be refused for it.
    """
    case, context, stated = decision.case, decision.context, decision.stated
    because = decision.because
    try:
        rejected = decision.rejected
    except Exception as error:  # of a policy that has decided, and cannot say what else it thought of
        rejected = ()
        because = (*because, f"{decision.policy.name} could not say what it declined: {describe_error(error)}")
    return Decided(
        path=case.signal.path,
        incident=case.incident.id,
        action=_text(action_name(decision.action)),
        details={name: _text(value) for name, value in details(decision.action).items()},
        confidence=stated.value,
        evidence=round(stated.evidence, 1),
        calibrated=stated.calibrated,
        model=stated.model,
        policy=_text(decision.policy.name),
        rule=_text(decision.rule),
        signal=_text(describe(case.signal)),
        because=tuple([_text(each) for each in because]),
        symptoms=context.named,
        risk=str(context.risk),
        pressure=round(context.pressure, 4),
        causes=decision.causes,
        rejected=rejected,
        next=_text(decision.next),
        challenger=_challenged(decision),
    )


def _text(value: Any) -> Any:
    """What an event can hold of it, if it is a text."""
    return storable(value) if isinstance(value, str) else value


def _challenged(decision: Decision) -> dict[str, Any]:
    """What the numbers that do not decide would do; nothing where there are no labels."""
    challenger = decision.case.challenger
    if not challenger.labels:
        return {}
    other = decide(decision.policy, evolve(decision.case, challenger=challenger.other))
    cause, p = next(iter(other.case.belief.causes.items()))
    return {
        "labels": challenger.labels,
        "scored": challenger.scored,
        "decides": challenger.decides,
        "e_value": round(challenger.wager.value, 2),
        "action": action_name(other.action),
        "confidence": other.stated.value,
        "cause": str(cause),
        "p": round(p, 4),
    }
