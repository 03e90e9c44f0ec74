"""From a signal to a decision with its facts: the shell round the pure pipeline, one per supervisor."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from attrs import evolve

from treewarden.agents.core.exit import describe as describe_error
from treewarden.agents.slot import Slot

from .at_once import AtOnce
from .child import Child
from .core import incident as incidents
from .core.action import Hold
from .core.case import Case, begins_anew
from .core.decision import (
    Decision,
    Policy,
    attempt_of,
    attempted,
    counted,
    decide,
    looks_back,
    stable_after,
    to_event,
)
from .core.event import Decided, Event, IncidentOpened, OutcomeObserved, SignalNoted
from .core.fallback import BROKEN, RESTED_FOR, SLOW, SLOW_AFTER, instead_of, is_foreign, name_of
from .core.first_crash import FirstCrash
from .core.incident import Incident
from .core.incident_events import Outcome
from .core.let_live import LetLive
from .core.outcomes import learn
from .core.signal import ActionFailed, ChildExited, Overloaded, Recovered, Reported, RestartFailed, Signal, Unanswered
from .core.symptom import describe, trouble_in
from .core.window import NOTHING_DONE, Window, Work, work_of
from .questions import asked
from .remedies import is_away

__all__ = ["Judge"]

_LOG: Final = logging.getLogger("treewarden")


class Judge(AtOnce):
    """What a supervisor remembers for its decisions: its restarts, and what its children have shown lately."""

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
        if type(decision.action) is Hold:
            question = asked(child, signal, decision.action.question, incident.id, self._common)
            events += () if question is None else (question,)
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
        if not decision.waits_for_room:
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
        self._fold()
        events: list[Event] = self.close(child, Outcome.FIXED) if self._begins_anew(child, signal) else []
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
            self._report_is_open(signal.path, signal.kind)
        if isinstance(signal, Overloaded):
            self._report_is_open(signal.path, "overloaded")
        if isinstance(signal, Unanswered):
            for label in signal.over:
                self._report_is_open(signal.path, label.removeprefix("reported:"))
        self._window = self._looked_at(signal, child).add(signal, child.uses, _work_of(child.slot))
        return incident, events

    def _begins_anew(self, child: Child, signal: Signal) -> bool:
        """Whether it has worked since it failed last, so that the incident is over, and this is another one."""
        if not child.in_trouble or self.reported(child):
            return False
        if not self._window.has_worked(child.spec.id, signal.at, _work_of(child.slot)):
            return False
        changed_at = self._common.changed_at(signal.path, child.changed_at)
        try:
            return begins_anew(
                self.policy, signal, child.spec, self.spec.restarts, self._history, child.history, changed_at
            )
        except Exception:
            return False  # a policy that cannot say what it is like: when it is asked to decide, that is told

    def _looked_at(self, signal: Signal, child: Child) -> Window:
        """The window with what was done meanwhile by those who were in the trouble of `signal`."""
        trouble, window, registry, above = trouble_in(signal), self._window, self._common.registry, child.path.parent
        names = window.alike(trouble, signal.at) if trouble else ()
        slots = {name: registry.get(above / name) for name in names if registry.is_made(above / name)}
        return window.looked_at(trouble, {name: _work_of(slot) for name, slot in slots.items()}) if slots else window

    def ignores(self, child: Child, signal: Signal) -> bool:
        """Whether a recovery is about nothing that anybody remembers."""
        return isinstance(signal, Recovered) and not child.in_trouble

    def recovered(self, child: Child, signal: Recovered) -> bool:
        """Take note of a recovery; whether nothing is left that was reported about this child, or is being tried."""
        open_kinds = None if self._reported is None else self._reported.get(signal.path)
        if open_kinds is not None:
            open_kinds.discard(signal.kind)
        incident = _incident(child)
        return not open_kinds and (incident is None or incident.pending is None)

    def reported(self, child: Child) -> bool:
        """Whether something that was reported about this child is not over."""
        return bool(self._reported and self._reported.get(child.path))

    def leave_reports(self, child: Child) -> None:
        """Nothing that was reported about this child stands any more, until it is said again."""
        if self._reported is not None:
            self._reported.pop(child.path, None)

    def alike(self, child: Child, signal: Signal) -> set[str]:
        """The children that are in the same trouble as this one."""
        self._fold()
        return self._window.with_it(signal, child.uses, signal.at, room=self._has_room(signal))

    def are_in_it(self, signal: Signal, children: Iterable[Child]) -> None:
        """These are in the trouble of `signal` at its time, though they were seen in it long ago: they wait."""
        seen = {each.spec.id: (each.uses, _work_of(each.slot)) for each in children}
        if seen:
            self._fold()
            self._window = self._window.with_others(signal, seen)

    def is_apart(self, child: Child, signal: Signal, *, new: bool = False) -> bool:
        """Whether this trouble is none of several: it works in between, or they do. `new`, if it has not joined yet."""
        self._fold()
        window = self._window
        if new:
            window = self._looked_at(signal, child).add(signal, child.uses, _work_of(child.slot))
        return window.is_apart(signal, child.uses, room=self._has_room(signal))

    def _has_room(self, signal: Signal) -> bool:
        return self._history.has_room(signal.at, self.spec.restarts)

    def close(self, child: Child, outcome: Outcome) -> list[Event]:
        """The incident of this child is over, with all that was reported in it; returns what to journal."""
        incident, child.incident = _incident(child), None
        self.leave_reports(child)
        child.attempt = 0
        child.bad_from = None
        if not is_away(child):
            child.left, child.away_over = None, ""
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


def _incident(child: Child) -> Incident | None:
    """The child's incident, the latest decision in it: what was stated of that is worked out when it is looked at."""
    decision = _latest(child)
    if decision is not None:
        child.incident = attempted(decision, decision.case.signal.at)
    return child.incident


def _latest(child: Child) -> Decision | None:
    """What was decided last in the child's incident, taken out of there."""
    decision, child.decision = child.decision, None
    return decision.decision if isinstance(decision, (FirstCrash, LetLive)) else decision


def _work_of(slot: Slot | None) -> Work:
    return NOTHING_DONE if slot is None else work_of(slot.worked, slot.ticks, len(slot.handles))


def noted(signal: Signal) -> SignalNoted:
    """A signal without an exit as a fact."""
    if isinstance(signal, Reported):
        return SignalNoted(
            path=signal.path, kind=signal.kind, severity=signal.severity, text=signal.text, facts=signal.facts
        )
    return SignalNoted(path=signal.path, kind=type(signal).__name__, text=describe(signal))
