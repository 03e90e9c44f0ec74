"""From a signal to a decision with its facts: the shell round the pure pipeline, one per supervisor."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from treewarden.agents.core.exit import Failed, Failure
from treewarden.agents.core.exit import describe as describe_error
from treewarden.agents.core.message import Envelope
from treewarden.agents.core.path import Path

from .child import Child
from .common import Common
from .core import incident as incidents
from .core.case import Case
from .core.decision import (
    Decision,
    FirstRestart,
    Policy,
    attempt_of,
    attempted,
    counted,
    decide,
    is_paced,
    looks_back,
    stable_after,
    to_event,
)
from .core.event import Decided, Event, IncidentOpened, OutcomeObserved, SignalNoted
from .core.fallback import BROKEN, RESTED_FOR, SLOW, SLOW_AFTER, checked, instead_of, is_foreign, name_of
from .core.first_crash import FirstCrash, folded
from .core.history import NO_RESTARTS
from .core.incident import Incident
from .core.incident_events import Outcome
from .core.ladder import Ladder, ladder
from .core.named import NamedAction
from .core.outcomes import learn
from .core.policies import Otp
from .core.signal import ActionFailed, ChildExited, Overloaded, Recovered, Reported, RestartFailed, Signal
from .core.spec import ChildSpec, RestartPolicy, SupervisorSpec
from .core.symptom import describe, trouble_in
from .core.window import NOTHING_SEEN

if TYPE_CHECKING:
    from .fence import AgentLife

__all__ = ["Judge"]

_LOG: Final = logging.getLogger("treewarden")
_UNFOLDED: Final = 8
"""First crashes that wait to be sorted into what is remembered; each holds on to those before it."""
_TEMPORARY: Final = RestartPolicy.TEMPORARY
_NO_CRASH: Final = frozenset({"Killed", "CommitFailed"})
"""Types of failures that no code of an agent's has raised."""


class Judge:
    """What a supervisor remembers for its decisions: its restarts, and what its children have shown lately."""

    def __init__(
        self, spec: SupervisorSpec, policy: Policy | None, actions: Mapping[str, NamedAction], common: Common
    ) -> None:
        """Where nobody has named a policy, `ladder()` decides."""
        self._history = NO_RESTARTS
        self._window = NOTHING_SEEN
        self._crashes: tuple[FirstCrash, ...] = ()
        """Those that neither of the two knows yet."""
        self.adopt(spec, policy, actions)
        self._common = common
        self._reported: dict[Path, set[str]] = {}

    def adopt(self, spec: SupervisorSpec, policy: Policy | None, actions: Mapping[str, NamedAction]) -> None:
        """Go by new flags from now on."""
        self._fold()  # by the old ones
        self.spec = spec
        self.policy = checked(ladder() if policy is None else policy)
        self._rests_until = -math.inf
        """The policy was so slow that it is not asked before then."""
        self.actions = actions
        """Those that are registered for all its children, here or above."""
        self._first = _first_of(self.policy)
        self.is_paced = _says(self.policy)
        """Whether restarts wait for the tree's bucket."""

    def _fold(self) -> None:
        if self._crashes:
            self._history, self._window = folded(self._history, self._window, self._crashes)
            self._crashes = ()

    # -- at once

    def first_crash(self, child: Child, life: AgentLife, siblings: tuple[str, ...]) -> FirstCrash | None:
        """The end of this life, answered and remembered, if it is the crash of a healthy child, and nothing else is to
        be seen. None: `decide` has to look at it, and nothing was done."""
        common, exit, spec, lost = self._common, life.exit, child.spec, life.lost
        first, crashes, intensity = self._first, self._crashes, self.spec.restarts
        if (
            first is None
            or type(exit) is not Failed
            or type(spec) is not ChildSpec
            or child.incident is not None
            or child.decision is not None
            or len(crashes) >= _UNFOLDED
            or self._history.count + len(crashes) >= intensity.max_restarts
            or spec.restarts is not None
            or spec.restart is _TEMPORARY
            or common.deployed
            or child.changed_at is not None
            or common.outage.since is not None
            or (type(lost) is Envelope and lost.id)
        ):
            return None
        failure = exit.failure
        if failure.message or failure.after is not None or failure.parts or failure.type in _NO_CRASH:
            return None
        restart = first(failure)
        now = common.clock.now()
        if self.is_paced and common.pace.wait(now):
            return None
        uptime = now - life.started_at
        if restart is None or self._seen_lately(failure.fingerprint or failure.type, child, now):
            return None
        spread, strategy = common.random.random(), self.spec.strategy
        crash = FirstCrash(
            child.path,
            now,
            life.number,
            exit,
            uptime if uptime > 0.0 else 0.0,
            life.settled,
            0 if lost is None else lost.deliveries + 1 if type(lost) is Envelope else 1,
            common.incident_id(),
            spec,
            strategy,
            siblings,
            self.policy,
            intensity,
            self.actions,
            self._history,
            self._window,
            crashes,
            common.outcomes,
            common.challenger,
            spread,
            restart(spec, strategy, spread),
            None if lost is None else type(lost.body if type(lost) is Envelope else lost).__qualname__,
        )
        self._crashes = (*crashes, crash)
        child.decision = crash
        return crash

    def _seen_lately(self, trouble: str, child: Child, now: float) -> bool:
        """Whether somebody else was in this trouble within the window."""
        for crash in self._crashes:
            failure = crash.exit.failure
            if (failure.fingerprint or failure.type) == trouble and crash.path != child.path:
                return True
        if self._window is NOTHING_SEEN:
            return False
        return bool(self._window.alike(trouble, now).keys() - {child.spec.id})

    # -- at leisure

    def decide(
        self, child: Child, signal: Signal, siblings: tuple[str, ...], checkpoints: int
    ) -> tuple[Decision, list[Event]]:
        """Judge the last attempt, join or open the incident, decide. Returns the decision and what to journal.

        A policy that fails is not asked again about this: another one decides, and that is journaled as well. One of a
        user's that was too slow is not asked for a while.
        """
        incident, events = self._joined(child, signal)
        began = self._common.clock.now()
        if began < self._rests_until:
            decision = self._decide_instead("was too slow", child, signal, incident, siblings, checkpoints)
        else:
            try:
                decision = self._decide(self.policy, child, signal, incident, siblings, checkpoints)
            except Exception as error:
                events.append(self._broken(child, error))
                decision = self._decide_instead("failed", child, signal, incident, siblings, checkpoints)
            if is_foreign(self.policy):
                events += self._looked_at_watch(child, began)
        child.incident, child.decision = incident, decision
        events.append(Decided.later(to_event, decision))
        return decision, events

    def _decide_instead(self, why: str, child: Child, signal: Signal, *circumstances: Any) -> Decision:
        *first, last = instead_of(self.policy)
        for policy in first:
            with suppress(Exception):
                return self._instead(policy, why, child, signal, *circumstances)
        return self._instead(last, why, child, signal, *circumstances)

    def _instead(self, policy: Policy, why: str, child: Child, signal: Signal, *circumstances: Any) -> Decision:
        decision = self._decide(policy, child, signal, *circumstances)
        return evolve(decision, failed=f"{name_of(self.policy)} {why}, so {policy.name} decides")

    def _looked_at_watch(self, child: Child, began: float) -> tuple[Event, ...]:
        now = self._common.clock.now()
        if now - began <= SLOW_AFTER:
            return ()
        self._rests_until = now + RESTED_FOR
        name, took = name_of(self.policy), now - began
        text = (
            f"{name}: it took {took:.3g} s to decide, and everything else waited; it is not asked for {RESTED_FOR:g} s"
        )
        _LOG.error("%s: its policy %s", child.path, text)
        facts = {"policy": name, "seconds": round(took, 3)}
        return (SignalNoted(path=child.path, kind=SLOW, severity=1.0, text=text, facts=facts),)

    def _decide(
        self,
        policy: Policy,
        child: Child,
        signal: Signal,
        incident: Incident,
        siblings: tuple[str, ...],
        checkpoints: int,
    ) -> Decision:
        common, spec = self._common, child.spec
        self._fold()
        history, child_history = counted(policy, signal, spec, self.spec.restarts, self._history, child.history)
        case = Case(
            signal=signal,
            spec=spec,
            strategy=self.spec.strategy,
            siblings=siblings,
            incident=incident,
            window=self._window,
            history=history,
            child_history=child_history,
            intensity=self.spec.restarts,
            bucket=common.pace.bucket if self.is_paced else None,
            turn=common.pace.wait(common.clock.now()) if self.is_paced else 0.0,
            checkpoints=checkpoints,
            outcomes=common.outcomes,
            challenger=common.challenger,
            now=signal.at,
            spread=common.random.random(),
            code_changed_at=common.changed_at(signal.path, child.changed_at),
            journal_ok=common.outage.since is None,
            registered=self.actions,
        )
        decision = decide(policy, case)
        self._history, child.history = history, child_history
        return decision

    def looks_back(self, signal: Signal) -> bool:
        """Whether the policy needs to know which earlier states there are. One that cannot say does."""
        try:
            return not isinstance(signal, Reported) or looks_back(self.policy, signal)
        except Exception:
            return True

    def join(self, child: Child, signal: Signal) -> list[Event]:
        """Take a signal about which nothing is decided: it belongs to what is being done. Returns what to journal."""
        child.incident, events = self._joined(child, signal)
        return events

    def _joined(self, child: Child, signal: Signal) -> tuple[Incident, list[Event]]:
        """The child's incident with this signal in it, the attempt before it judged; and what to journal."""
        events: list[Event] = []
        decision = _latest(child)
        if decision is not None and not isinstance(decision.case.signal, Recovered):
            incident, observed = incidents.meet(
                decision.case.incident, attempt_of(decision, decision.case.signal.at), signal
            )
            if observed is not None:
                self._learn(observed, events)
        elif child.incident is None:
            incident = incidents.open_incident(self._common.incident_id(), signal)
            events.append(IncidentOpened.later(incidents.opened_event, incident))
        else:
            incident, outcome = child.incident, incidents.verdict(child.incident, signal)
            if outcome is not None:
                incident = self._judged(incident, outcome, signal.at, events)
            incident = incidents.join(incident, signal)
        if not isinstance(signal, (ChildExited, RestartFailed, ActionFailed)):
            events.append(noted(signal))
        if isinstance(signal, Reported):
            self._reported.setdefault(signal.path, set()).add(signal.kind)
        if isinstance(signal, Overloaded):
            self._reported.setdefault(signal.path, set()).add("overloaded")
        uses = child.spec.uses if isinstance(child.spec, ChildSpec) else ()
        self._fold()
        self._window = self._window.add(signal, uses)
        return incident, events

    def ignores(self, child: Child, signal: Signal) -> bool:
        """Whether a recovery is about nothing that anybody remembers."""
        return isinstance(signal, Recovered) and not child.in_trouble

    def recovered(self, child: Child, signal: Recovered) -> bool:
        """Take note of a recovery; whether nothing is left that was reported about this child, or is being tried."""
        open_kinds = self._reported.get(signal.path, set())
        open_kinds.discard(signal.kind)
        incident = _incident(child)
        return not open_kinds and (incident is None or incident.pending is None)

    def reported(self, child: Child) -> bool:
        """Whether something that was reported about this child is not over."""
        return bool(self._reported and self._reported.get(child.path))

    def alike(self, signal: Signal) -> set[str]:
        """The children that have lately been in the same trouble."""
        self._fold()
        return set(self._window.alike(trouble_in(signal), signal.at))

    def close(self, child: Child, outcome: Outcome) -> list[Event]:
        """The incident of this child is over; returns what to journal."""
        incident, child.incident = _incident(child), None
        child.attempt = 0
        child.bad_from = None
        if child.slot is not None:
            child.slot.diagnosis = None
        if incident is None:
            return []
        events: list[Event] = []
        now = self._common.clock.now()
        incident = self._judged(incident, outcome, now, events)
        events.append(incidents.close(incident, outcome, now))
        return events

    def stable_after(self, child: Child) -> float:
        """Seconds of life after which its incident is over."""
        try:
            return stable_after(self.policy, child.spec)
        except Exception as error:
            self._common.note(self._broken(child, error))
            return child.spec.stable_after

    def _broken(self, child: Child, error: Exception) -> SignalNoted:
        """The policy has failed: a signal about it, in the incident that it was asked about."""
        name, failure = name_of(self.policy), describe_error(error)
        _LOG.error("%s: its policy %s has failed, so another one decides: %s", child.path, name, failure)
        return SignalNoted(
            path=child.path, kind=BROKEN, severity=1.0, text=f"{name}: {failure}", facts={"policy": name}
        )

    def _judged(self, incident: Incident, outcome: Outcome, at: float, events: list[Event]) -> Incident:
        judged, observed = incidents.judge(incident, outcome, at)
        if observed is not None:
            self._learn(observed, events)
        return judged

    def _learn(self, observed: OutcomeObserved, events: list[Event]) -> None:
        events.append(observed)
        self._common.outcomes = learn(self._common.outcomes, observed, self._common.clock.wall())


def _first_of(policy: Policy) -> Callable[[Failure], FirstRestart | None] | None:
    """What the policy answers first crashes with, if that needs no look at the whole case."""
    return policy.first if type(policy) is Ladder or type(policy) is Otp else None  # not of classes made from these


def _says(policy: Policy) -> bool:
    """Whether a policy obeys the tree's bucket. One that cannot say does."""
    try:
        return is_paced(policy)
    except Exception:
        return True


def _incident(child: Child) -> Incident | None:
    """The child's incident, the latest decision in it: what was stated of that is worked out when it is looked at."""
    decision = _latest(child)
    if decision is not None:
        child.incident = attempted(decision, decision.case.signal.at)
    return child.incident


def _latest(child: Child) -> Decision | None:
    """What was decided last in the child's incident, taken out of there."""
    decision, child.decision = child.decision, None
    return decision.decision if isinstance(decision, FirstCrash) else decision


def noted(signal: Signal) -> SignalNoted:
    """A signal without an exit as a fact."""
    if isinstance(signal, Reported):
        return SignalNoted(
            path=signal.path, kind=signal.kind, severity=signal.severity, text=signal.text, facts=signal.facts
        )
    return SignalNoted(path=signal.path, kind=type(signal).__name__, text=describe(signal))
