"""What the circumstances of a signal are: symptoms, risk and pressure, as one pure function of a case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from treewarden.agents.core.path import Path
from treewarden.agents.core.said import plural
from treewarden.agents.core.values import frozen

from .signal import ChildExited, Overloaded, Reported, Signal
from .spec import ChildSpec
from .symptom import (
    SEVERE,
    Kind,
    Risk,
    Symptom,
    about,
    classify,
    failure_in,
    kind_of,
    message_in,
    trouble_in,
)
from .window import count_apart

if TYPE_CHECKING:
    from .case import Case

__all__ = ["Context", "read_context", "read_symptom", "read_symptoms", "risks_of"]

MANY: Final = 10
"""So many siblings in the same trouble are one trouble."""
SOME: Final = 3
"""So many are, if they are half of all."""
SOON: Final = 5.0
"""Seconds: a life that ends within them, while an incident is open, failed again at once."""
RECENT: Final = 600.0
"""Seconds for which changed code is recent."""
LATELY: Final = 300.0
"""Seconds for which a measurement speaks."""
PATIENCE: Final = 6
"""Failed attempts after which a person is asked."""

# How bad each kind is in itself, before anything else is known.
_SEVERITY: Final = {
    Kind.CRASH: 0.3,
    Kind.KILLED: 0.1,
    Kind.FINISHED: 0.05,
    Kind.STOPPED: 0.05,
    Kind.GAVE_UP: 0.7,
    Kind.START_FAILED: 0.4,
    Kind.RATE_LIMITED: 0.3,
    Kind.STALLED: 0.5,
    Kind.RECOVERED: 0.0,
    Kind.OPERATOR: 0.0,
    Kind.UNANSWERED: 0.0,
    Kind.ACTION_FAILED: 0.4,
}
_SEVERITIES: Final[Mapping[Kind, tuple[float, float]]] = {Kind.OVERLOADED: (0.0, 0.5), Kind.REPORTED: (0.0, 1.0)}
"""From and to, where the signal says it."""
_SAY_NOTHING: Final = frozenset({Kind.RECOVERED, Kind.OPERATOR, Kind.UNANSWERED})
"""Of what the trouble is."""
_ALONE: Final = frozenset({Kind.KILLED, Kind.FINISHED, Kind.STOPPED, Kind.GAVE_UP, Kind.ACTION_FAILED})
"""Troubles that siblings are not compared by (`trouble_in`)."""
_NEARLY_ALL: Final = 0.999
"""Of the allowed restarts."""
_NATURE: Final = {
    Kind.KILLED: Symptom.KILLED,
    Kind.FINISHED: Symptom.ENDED,
    Kind.STOPPED: Symptom.ENDED,
    Kind.GAVE_UP: Symptom.GAVE_UP,
    Kind.RATE_LIMITED: Symptom.RATE_LIMITED,
    Kind.STALLED: Symptom.STALLED,
    Kind.OVERLOADED: Symptom.OVERLOADED,
    Kind.REPORTED: Symptom.REPORTED,
    Kind.ACTION_FAILED: Symptom.ACTION_FAILED,
}
_ONLY_REPORTED: Final = (Symptom.REPORTED,)


@frozen(kw_only=True)
class Context:
    """The supervisor's reading of the circumstances: what the rows of a ladder and the belief look at."""

    subject: Path
    kind: Kind
    about: str = ""
    """For a report: what is wrong, in the reporter's word."""
    symptoms: tuple[Symptom, ...] = ()
    """The nature of the trouble first, then its circumstances."""
    risk: Risk = Risk.LOW
    pressure: float = 0.0
    severity: float = 0.0
    """From 0 to 1: as reported, how full the mailbox is, or what this kind is taken for."""
    failed: int = 0
    """Attempts of this incident that did not help."""
    lives: int = 0
    """Lives in a row that settled nothing."""
    one_message: bool = False
    """In all of those lives the same message was in hand."""
    deliveries: int = 0
    """Attempts that the message in hand has used up, out of `allowed`."""
    allowed: int = 0
    alike: int = 0
    """Children in the same trouble within the window, this one included, out of `siblings`. Who works in between is
    not in it (`Window`)."""
    now_and_then: int = 0
    """Siblings that failed in the same way, with work in between: theirs, or its own."""
    crowded: int = 0
    """How many of `alike` work in between, and are in it because their supervisor has no room for more restarts."""
    siblings: int = 1
    shared: str = ""
    """What those have in common: the name of a dependency, or the trouble itself."""
    declared: bool = False
    """It is a dependency, and all of them declare it."""
    room_in: float = 0.0
    """Seconds until it may be restarted once more, where this is the last restart that its supervisor's limit, or its
    own, allows, and there were others; otherwise 0."""
    states: int = 0
    """Earlier states that no rollback of this incident has tried: kept checkpoints and the declared one."""

    def shows(self, *symptoms: Symptom) -> bool:
        """Whether it shows any of these."""
        return any(map(self.symptoms.__contains__, symptoms))

    @property
    def label(self) -> str:
        """The kind with the reporter's own word, as attempts and outcomes are counted under."""
        return f"{self.kind}:{self.about}" if self.about else str(self.kind)

    @property
    def suspect(self) -> str:
        """What to leave alone, as part of a sentence; empty where nothing is known that could be."""
        if self.declared or not self.shared:
            return self.shared
        return f"what makes {'siblings fail alike' if self.alike > 1 else 'it fail'} ({self.shared})"

    @property
    def named(self) -> tuple[str, ...]:
        """The symptoms with their numbers, as journaled: `siblings_alike 12/50`."""
        return tuple([self._with_number(symptom) for symptom in self.symptoms])

    @property
    def because(self) -> tuple[str, ...]:
        """The circumstances that speak, as sentences."""
        said: list[str] = []
        if self.failed:
            said.append(f"{plural(self.failed, 'attempt')} of this incident did not help")
        if Symptom.SIBLINGS_ALIKE in self.symptoms:
            said.append(f"{self.alike} of {self.siblings} siblings show the same: {self.shared}")
            if self.crowded:
                said.append(
                    f"{self.crowded} of them work in between, and more of their restarts would make their supervisor "
                    "give up: where they may fail so often, give it more (restarts=Intensity(...))"
                )
        elif self.alike <= 1 < self.siblings and self.kind in (Kind.CRASH, Kind.START_FAILED):
            said.append(
                f"{plural(self.now_and_then, 'sibling')} failed in the same way lately, with work in between"
                if self.now_and_then
                else "no sibling fails in the same way"
            )
        if Symptom.SAME_MESSAGE in self.symptoms:
            said.append(f"the message in hand has used up {self.deliveries} of {self.allowed} deliveries")
        if Symptom.NOTHING_SETTLED in self.symptoms:
            same = ", always with the same message" if self.one_message else ""
            said.append(f"{self.lives} lives in a row settled nothing{same}")
        elif Symptom.REFAIL_FAST in self.symptoms:
            said.append("it died again soon after its start")
        if Symptom.CODE_CHANGED in self.symptoms:
            said.append(f"its code changed less than {RECENT / 60:g} minutes ago")
        if Symptom.MEMORY_GROWS in self.symptoms:
            said.append("its memory has been growing")
        if Symptom.QUEUE_GROWS in self.symptoms:
            said.append("its queue has been growing")
        return tuple(said)

    def _with_number(self, symptom: Symptom) -> str:
        if symptom is Symptom.REPORTED:
            return f"reported:{self.about} {self.severity:.2f}"
        if symptom is Symptom.NOTHING_SETTLED:
            return f"{symptom.value} x{self.lives}"
        if symptom is Symptom.SAME_MESSAGE:
            return f"{symptom.value} {self.deliveries}/{self.allowed}"
        if symptom is Symptom.SIBLINGS_ALIKE:
            return f"{symptom.value} {self.alike}/{self.siblings}"
        return symptom.value


def read_context(case: Case) -> Context:
    """Read the circumstances of a case.

    Pressure says how hard the slot is pressed, from 0 to 1: `1 - (1 - 0.9 a)(1 - 0.6 b)(1 - 0.6 c)(1 - 0.5 d)` with
    a the severity, b the share of the allowed restarts that earlier failures have used, c the failed attempts of this
    incident out of six, d the share of the siblings that show the same. Each part alone can only raise it, none can
    hide another, and nothing has to be clamped. Risk is the pressure in four steps.
    """
    signal, spec, incident = case.signal, case.spec, case.incident
    kind = kind_of(signal)
    severity = _severity(case, kind)
    symptoms = [_nature(case, kind)] if kind not in _SAY_NOTHING else []

    deliveries = signal.deliveries if isinstance(signal, ChildExited) else 0
    allowed, uses = (spec.mailbox.deliveries, spec.uses) if isinstance(spec, ChildSpec) else (0, ())
    lives, one_message = incident.lives()
    alike, now_and_then, crowded, shared, declared = _alike(case, trouble_in(signal), uses)
    siblings = max(len(case.siblings), 1)
    before = incident.failed > 0 or alike > 1 or case.history.count > 1

    if kind is Kind.START_FAILED:
        symptoms.append(Symptom.START_FAILED)
    if isinstance(signal, ChildExited):
        if incident.signals > 1 and signal.uptime < min(SOON, spec.stable_after):
            symptoms.append(Symptom.REFAIL_FAST)
        if kind is Kind.CRASH and message_in(signal) is not None and deliveries >= allowed > 0:
            symptoms.append(Symptom.SAME_MESSAGE)
    if lives >= 2 and kind in (Kind.CRASH, Kind.START_FAILED):
        symptoms.append(Symptom.NOTHING_SETTLED)
    if alike >= MANY or (alike >= SOME and 2 * alike >= siblings):
        symptoms.append(Symptom.SIBLINGS_ALIKE)
    if case.code_changed_at is not None and case.now - case.code_changed_at <= RECENT:
        symptoms.append(Symptom.CODE_CHANGED)

    symptoms += _measured(case)
    pressure = _pressure(
        severity,
        case.budget_used,
        min(1.0, incident.failed / PATIENCE),
        (alike - 1) / (siblings - 1) if 1 < alike <= siblings else float(alike > siblings > 1),
    )
    return Context(
        subject=signal.path,
        kind=kind,
        about=about(signal),
        symptoms=tuple(symptoms),
        risk=Risk.of(pressure),
        pressure=pressure,
        severity=severity,
        failed=incident.failed,
        lives=lives,
        one_message=one_message,
        deliveries=deliveries,
        allowed=allowed,
        alike=alike,
        now_and_then=now_and_then,
        crowded=crowded,
        siblings=siblings,
        shared=shared,
        declared=declared,
        room_in=_room_in(case) if before else 0.0,
        states=max(0, case.states - incident.rolled_back),
    )


def read_symptoms(case: Case) -> tuple[Symptom, ...]:
    """The symptoms of a case; of a mild report, by which siblings are not compared, without the rest of the context."""
    signal = case.signal
    if not isinstance(signal, Reported) or signal.severity >= SEVERE:
        return case.context.symptoms
    changed = case.code_changed_at is not None and case.now - case.code_changed_at <= RECENT
    if not changed and not case.incident.growths:
        return _ONLY_REPORTED
    return (*_ONLY_REPORTED, *([Symptom.CODE_CHANGED] if changed else []), *_measured(case))


def read_symptom(case: Case) -> str:
    """The symptom that an attempt counts under: that another child is in the same trouble, or what it shows as.

    What has struck several is ended for all of them by what ends it in one, and passes by itself more often, whatever
    it shows as; so such attempts have more in common with each other than with those against one child's own trouble.
    """
    signal = case.signal
    compared = not isinstance(signal, Reported) or signal.severity >= SEVERE
    if compared and case.context.alike > 1:
        return Symptom.SIBLINGS_ALIKE
    return next(iter(case.symptoms), "")


def _measured(case: Case) -> list[Symptom]:
    """What was measured about the child lately, the signal itself included."""
    growths = case.incident.growths
    if not growths:
        return []
    lately = [growth for growth in growths if case.now - growth.at <= LATELY]
    found = [Symptom.MEMORY_GROWS] if any(growth.memory for growth in lately) else []
    return [*found, Symptom.QUEUE_GROWS] if any(growth.queue for growth in lately) else found


def _nature(case: Case, kind: Kind) -> Symptom:
    failure = failure_in(case.signal)
    if kind in (Kind.CRASH, Kind.START_FAILED) and failure is not None:
        return classify(failure)
    return _NATURE[kind]


def _severity(case: Case, kind: Kind) -> float:
    match case.signal:
        case Reported(severity=severity):
            return severity
        case Overloaded(depth=depth, capacity=capacity):
            return 0.5 * min(1.0, depth / capacity) if capacity > 0 else 0.5
        case _:
            return _SEVERITY[kind]


def _room_in(case: Case) -> float:
    room_in = case.history.room_in(case.now, case.intensity)
    own = case.spec.restarts if isinstance(case.spec, ChildSpec) else None
    return room_in if own is None else max(room_in, case.child_history.room_in(case.now, own))


def _alike(case: Case, trouble: str, uses: tuple[str, ...]) -> tuple[int, int, int, str, bool]:
    if not trouble:
        return 0, 0, 0, "", False
    signal, child = case.signal, case.signal.path.name
    found = case.window.seen_with(signal, uses, case.now)
    crowded, room = 0, case.history.has_room(case.now, case.intensity)
    if not room:
        crowded = sum(glimpse.works for glimpse in found.values())
        found = case.window.seen_with(signal, uses, case.now, room=False)
    own = found.pop(child, None)
    if own is not None and own.works:  # it fails now and then itself, so it is in nothing with those who only fail
        return 1, len(found), 0, _named(signal, trouble), False
    seen, found = len(found), {name: glimpse for name, glimpse in found.items() if not glimpse.works}
    declared = next((name for name in uses if all(name in glimpse.uses for glimpse in found.values())), "")
    alike = len(found) if not room else count_apart(signal, found)
    return alike + 1, seen - len(found), crowded, declared or _named(signal, trouble), bool(declared)


def _named(signal: Signal, trouble: str) -> str:
    """A trouble as people read it: the class of an exception, for a fingerprint says nothing to them."""
    failure = failure_in(signal)
    known = failure is not None and trouble in (failure.fingerprint, failure.type)
    return failure.type.rpartition(".")[2] if failure is not None and known else trouble


def _pressure(severity: float, budget: float, tried: float, alike: float) -> float:
    return 1.0 - (1.0 - 0.9 * severity) * (1.0 - 0.6 * budget) * (1.0 - 0.6 * tried) * (1.0 - 0.5 * alike)


def risks_of(kind: Kind) -> tuple[Risk, ...]:
    """The risks that this kind of trouble can come with, the lowest first: alone and at the first attempt, up to where
    everything that presses does. Its restarts are never used up: what is over the limit is no policy's to answer."""
    low, high = _SEVERITIES.get(kind) or (_SEVERITY[kind],) * 2
    alike = float(kind not in _ALONE)
    lowest, highest = Risk.of(_pressure(low, 0.0, 0.0, 0.0)), Risk.of(_pressure(high, _NEARLY_ALL, 1.0, alike))
    return tuple(risk for risk in Risk if lowest <= risk <= highest)
