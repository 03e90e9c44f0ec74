"""An incident: from the first failure of a slot until it has been stable again, as a value."""

from __future__ import annotations

from typing import Final, TypeAlias

from attrs import evolve

from treewarden.agents.core.exit import Failure
from treewarden.agents.core.message import MessageId
from treewarden.agents.core.path import Path
from treewarden.agents.core.values import filled, frozen

from .action import Action, Break, FallBack, Perform, Recycle, Restart, Resume, RollBack, SetAside, action_name
from .event import IncidentClosed, IncidentOpened, OutcomeObserved
from .incident_events import Outcome
from .latest import Latest
from .likelihoods import started
from .signal import ActionFailed, ChildExited, OperatorAsked, Overloaded, Recovered, Reported, RestartFailed, Signal
from .symptom import Kind, about, describe, failure_in, kind_of, label_of, tick_in

__all__ = [
    "KEPT",
    "Attempt",
    "Growth",
    "Incident",
    "close",
    "join",
    "judge",
    "lived_on",
    "meet",
    "met",
    "met_by",
    "note",
    "observed",
    "open_incident",
    "opened_event",
    "verdict",
]

KEPT: Final = 32
"""How many failures and attempts of one incident are remembered, the latest ones; the counts go on."""
_Names: TypeAlias = tuple[str, ...]
_MEMORY: Final = frozenset({"memory", "memory_slope", "memory_leak"})
_QUEUE: Final = frozenset({"queue", "queue_depth", "queue_age"})


@frozen
class Attempt:
    """One action that was taken, and what came of it; None while that is open."""

    action: Action
    at: float
    kind: str
    """The trouble that it was to end, with the reporter's word: `reported:slow`."""
    confidence: float
    """What was stated."""
    model: float = 0.0
    """What the belief alone had said, before calibration."""
    outcome: Outcome | None = None
    symptom: str = ""
    """The one that the trouble showed as."""


@frozen
class Growth:
    """That memory or a queue grows, or is nearly used up, was said by one signal of an incident."""

    number: int
    """Which one: they are counted from 1."""
    at: float
    memory: bool
    queue: bool


_attempt: Final = filled(Attempt)
_NO_SIGNALS: Final = Latest[Signal](KEPT - 1)
_NO_ATTEMPTS: Final = Latest[Attempt](KEPT)


@frozen
class Incident:
    """Everything that decisions about one slot look back at while it is in trouble."""

    id: str
    latest: Signal
    """The signal that joined last, whole."""
    opened: float
    signals: int = 1
    """All that joined, also those no longer remembered."""
    before: Latest[Signal] = _NO_SIGNALS
    """Those before the latest, as far as they are remembered."""
    judged: Latest[Attempt] = _NO_ATTEMPTS
    """The attempts whose outcome is not open, likewise."""
    pending: Attempt | None = None
    """The last attempt, while its outcome is open."""
    failed: int = 0
    """Attempts to bring it back that did not help, likewise; letting it live or throttling it is none."""
    rolled_back: int = 0
    """How many checkpoints back the last rollback went."""
    growths: tuple[Growth, ...] = ()
    """What the remembered signals say of memory and queues, so that it need not be looked for in all of them."""
    unhelpful: _Names = ()
    """The names of the remembered attempts that did not help while the slot lived, in order."""
    unhelpful_down: _Names = ()
    """The same of attempts on a slot that had ended."""

    @property
    def path(self) -> Path:
        return self.latest.path

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Those that are remembered, the latest last."""
        return (*self.judged, self.pending)[-KEPT:] if self.pending is not None else tuple(self.judged)

    def tried(self, *names: str) -> int:
        """How many of the remembered attempts were one of these actions."""
        return sum(action_name(attempt.action) in names for attempt in self.attempts)

    @property
    def failures(self) -> int:
        """How many of the remembered attempts did not help."""
        return len(self.unhelpful) + len(self.unhelpful_down)

    def failures_of(self, name: str) -> int:
        """How many of the remembered attempts with this action did not help."""
        return self.unhelpful.count(name) + self.unhelpful_down.count(name)

    def lives(self) -> tuple[int, bool]:
        """How many of the last lives in a row settled nothing, and whether one and the same thing was in hand in all.

        A life that settled something, or ended in order, ends the row; one that was killed from outside, or whose state
        cannot be blamed, says nothing and is passed over, and so is what says nothing of a life.
        """
        count = 0
        messages: set[MessageId | None] = set()
        signals = (*self.before, self.latest) if self.signals > 1 else (self.latest,)
        for signal in reversed(signals):
            if isinstance(signal, ChildExited) and (signal.settled or kind_of(signal) in _IN_ORDER):
                break
            failure = failure_in(signal) if isinstance(signal, (ChildExited, RestartFailed)) else None
            if failure is not None and failure.type != "Killed" and not _says_nothing(failure):
                count += 1
                messages.add(failure.message)
        return count, len(messages) == 1 and None not in messages


_incident: Final = filled(Incident)
_IN_ORDER: Final = frozenset({Kind.FINISHED, Kind.STOPPED})
_REPAIRS: Final = (Restart, RollBack, SetAside, FallBack, Perform, Break, Recycle)


def _says_nothing(failure: Failure) -> bool:
    """Whether a failure is no sign of a bad state.

    An agent that could not be made never saw its state, and one whose settle was not kept had done its work. A poller
    whose remote talks nonsense dies on its own tick in every life, whatever its state is.
    """
    return failure.unborn or failure.type == "CommitFailed" or tick_in(failure.message_kind or "") != ""


def open_incident(id: str, signal: Signal) -> Incident:
    """The incident that `signal` begins; it has already joined it. Ids are drawn by the shell."""
    return Incident(id, signal, signal.at, growths=_grown((), signal, 1))


def join(incident: Incident, signal: Signal) -> Incident:
    """With a further signal about the same slot. It judges no attempt: see `verdict`."""
    number = incident.signals + 1
    before, growths = incident.before.followed_by(incident.latest), _grown(incident.growths, signal, number)
    return evolve(incident, latest=signal, signals=number, before=before, growths=growths)


def note(
    incident: Incident,
    action: Action,
    at: float,
    *,
    kind: str,
    confidence: float = 0.0,
    model: float = 0.0,
    symptom: str = "",
) -> Incident:
    """With an attempt that begins now, at the trouble `kind` (its `Context.label`).

    One that is still open ends unobserved; `judge` it first to journal that.
    """
    before = judge(incident, Outcome.UNOBSERVED, at)[0]
    steps = action.steps if isinstance(action, RollBack) else before.rolled_back
    lives, down = _with_room(before)
    attempt = Attempt(action, at, kind, confidence, model, symptom=symptom)
    return evolve(before, pending=attempt, rolled_back=steps, unhelpful=lives, unhelpful_down=down)


def meet(incident: Incident, attempt: Attempt, signal: Signal) -> tuple[Incident, OutcomeObserved | None]:
    """`attempt` has begun, and `signal` is what comes next: `note`, `judge` by the `verdict`, and `join` in one step.

    Returns the fact for the journal as well, if the attempt has ended.
    """
    joined, ended = met(incident, attempt, signal)
    return joined, None if ended is None else observed(joined, ended, signal.at)


def met(incident: Incident, attempt: Attempt, signal: Signal) -> tuple[Incident, Attempt | None]:
    """`meet` that returns the attempt, if it has ended, without the fact about it."""
    return met_by(
        incident,
        attempt.action,
        attempt.at,
        attempt.kind,
        (attempt.confidence, attempt.model),
        attempt.symptom,
        signal,
    )


def met_by(
    incident: Incident,
    action: Action,
    at: float,
    kind: str,
    stated: tuple[float, float],
    symptom: str,
    signal: Signal,
) -> tuple[Incident, Attempt | None]:
    """`met` for an attempt that is not made yet: its confidence as `stated`, and what the belief alone said."""
    if incident.pending is not None:
        incident, _ = judge(incident, Outcome.UNOBSERVED, at)
    outcome = _says_of(action, kind, signal)
    judged, (lives, down) = incident.judged, _with_room(incident)
    confidence, model = stated
    tried = _attempt(action, at, kind, confidence, model, outcome, symptom)
    if outcome is not None:
        judged = judged.followed_by(tried)
        if outcome is Outcome.FAILED:
            lives, down = _and_one_more(lives, down, tried)
    number = incident.signals + 1
    joined = _incident(
        incident.id,
        signal,
        incident.opened,
        number,
        incident.before.followed_by(incident.latest),
        judged,
        tried if outcome is None else None,
        incident.failed + (outcome is Outcome.FAILED and isinstance(action, _REPAIRS)),
        action.steps if isinstance(action, RollBack) else incident.rolled_back,
        _grown(incident.growths, signal, number),
        lives,
        down,
    )
    return joined, None if outcome is None else tried


def lived_on(
    incident: Incident, action: Resume, stated: tuple[float, float], symptom: str, signal: Reported
) -> tuple[Incident, Attempt | None]:
    """`met_by` of letting it live at the report that joined last."""
    latest = incident.latest
    if incident.pending is not None or not isinstance(latest, Reported) or latest.kind != signal.kind:
        return met_by(incident, action, latest.at, label_of(latest), stated, symptom, signal)
    lives, down = _with_room(incident)
    number, growths, (confidence, model) = incident.signals + 1, incident.growths, stated
    tried = _attempt(action, latest.at, "reported:" + signal.kind, confidence, model, Outcome.FAILED, symptom)
    return _incident(
        incident.id,
        signal,
        incident.opened,
        number,
        incident.before.followed_by(latest),
        incident.judged.followed_by(tried),
        None,
        incident.failed,
        incident.rolled_back,
        _grown(growths, signal, number) if growths else growths,  # what would make some has made one before
        (*lives, "resume"),
        down,
    ), tried


def verdict(incident: Incident, signal: Signal) -> Outcome | None:
    """What `signal` says about the attempt that is open, if it says anything.

    A life that ends, or does not begin, ends every attempt as failed, unless it was killed from outside: that ends it
    unobserved, as an operator does. Any other signal speaks only about an attempt at the same trouble.
    """
    pending = incident.pending
    return None if pending is None else _says_of(pending.action, pending.kind, signal)


def _says_of(action: Action, trouble: str, signal: Signal) -> Outcome | None:
    if isinstance(signal, Reported):
        return Outcome.FAILED if trouble == label_of(signal) else None
    kind = kind_of(signal)
    match signal:
        case ChildExited() | RestartFailed():
            return Outcome.UNOBSERVED if kind is Kind.KILLED else Outcome.FAILED
        case OperatorAsked():
            return Outcome.UNOBSERVED
        case Recovered(kind=word):
            ended = (f"{Kind.REPORTED}:{word}", *((word,) if word == Kind.OVERLOADED else ()))
            return Outcome.FIXED if trouble in ended else None
        case ActionFailed(action=name):
            return Outcome.FAILED if action_name(action) == name else None
        case _:
            return Outcome.FAILED if trouble == label_of(signal) else None


def judge(incident: Incident, outcome: Outcome, at: float) -> tuple[Incident, OutcomeObserved | None]:
    """The incident with its open attempt judged, and the fact for the journal; unchanged and None without one."""
    pending = incident.pending
    if pending is None:
        return incident, None
    ended = evolve(pending, outcome=outcome)
    lives, down = incident.unhelpful, incident.unhelpful_down
    if outcome is Outcome.FAILED:
        lives, down = _and_one_more(lives, down, ended)
    judged = evolve(
        incident,
        judged=incident.judged.followed_by(ended),
        pending=None,
        failed=incident.failed + (outcome is Outcome.FAILED and isinstance(ended.action, _REPAIRS)),
        unhelpful=lives,
        unhelpful_down=down,
    )
    return judged, observed(judged, ended, at)


def observed(incident: Incident, ended: Attempt, at: float) -> OutcomeObserved:
    """The fact for the journal that an attempt ended at `at`; the incident is what it was from then on."""
    return OutcomeObserved(
        path=incident.path,
        incident=incident.id,
        action=action_name(ended.action),
        kind=ended.kind,
        outcome=str(ended.outcome),
        confidence=ended.confidence,
        model=ended.model,
        after=max(0.0, at - ended.at),
        failed=incident.failures - (ended.outcome is Outcome.FAILED),
        symptom=ended.symptom,
    )


def _and_one_more(lives: _Names, down: _Names, failed: Attempt) -> tuple[_Names, _Names]:
    name = action_name(failed.action)
    return (lives, (*down, name)) if started(failed.kind) else ((*lives, name), down)


def _with_room(incident: Incident) -> tuple[_Names, _Names]:
    """What did not help of the remembered attempts, when one more begins."""
    lives, down, judged = incident.unhelpful, incident.unhelpful_down, incident.judged
    if len(judged) < KEPT or judged.first.outcome is not Outcome.FAILED:
        return lives, down
    return (lives, down[1:]) if started(judged.first.kind) else (lives[1:], down)


def opened_event(incident: Incident) -> IncidentOpened:
    """The fact for the journal that the incident began, with its first signal."""
    signal = incident.latest
    return IncidentOpened(path=signal.path, incident=incident.id, kind=label_of(signal), text=describe(signal))


def close(incident: Incident, outcome: Outcome, at: float) -> IncidentClosed:
    """The fact for the journal that the incident is over. Judge its open attempt first."""
    return IncidentClosed(
        path=incident.path, incident=incident.id, outcome=str(outcome), after=max(0.0, at - incident.opened)
    )


def _grown(before: tuple[Growth, ...], signal: Signal, number: int) -> tuple[Growth, ...]:
    if before and number - before[0].number >= KEPT:
        before = before[1:]
    if isinstance(signal, Overloaded):
        return (*before, Growth(number, signal.at, memory=False, queue=True))
    word = signal.kind if isinstance(signal, Reported) else about(signal)
    memory, queue = word in _MEMORY, word in _QUEUE
    return (*before, Growth(number, signal.at, memory, queue)) if memory or queue else before
