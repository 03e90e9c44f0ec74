"""An incident: from the first failure of a slot until it has been stable again, as a value."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, TypeVar

from attrs import evolve

from treewarden.agents.core.exit import Failed, Failure
from treewarden.agents.core.message import MessageId
from treewarden.agents.core.path import Path
from treewarden.agents.core.values import frozen

from .action import Action, Break, FallBack, Perform, Recycle, Restart, RollBack, SetAside, action_name
from .event import IncidentClosed, IncidentOpened, OutcomeObserved
from .signal import ActionFailed, ChildExited, OperatorAsked, Recovered, RestartFailed, Signal
from .symptom import Kind, about, describe, failure_in, kind_of, label_of

__all__ = [
    "KEPT",
    "Attempt",
    "Incident",
    "Outcome",
    "Seen",
    "close",
    "join",
    "judge",
    "note",
    "open_incident",
    "opened_event",
    "verdict",
]

KEPT: Final = 32
"""How many failures and attempts of one incident are remembered, the latest ones; the counts go on."""

T = TypeVar("T")


class Outcome(StrEnum):
    """What became of an attempt."""

    FIXED = "fixed"
    """The slot was stable afterwards."""
    FAILED = "failed"
    """The trouble came back."""
    UNOBSERVED = "unobserved"
    """Something else ended it first, so nobody knows; nothing is learned from these."""


@frozen
class Seen:
    """One signal of an incident, as far as later decisions look back at it."""

    at: float
    kind: Kind
    fingerprint: str = ""
    type: str = ""
    message: MessageId | None = None
    deliveries: int = 0
    uptime: float = 0.0
    settled: int = 0
    word: str = ""
    """What was said to be wrong, by who said it."""
    outside: bool = False
    """Its state cannot be blamed for it, as far as anybody can tell."""

    @classmethod
    def of(cls, signal: Signal) -> Seen:
        failure = failure_in(signal)
        exited = isinstance(signal, ChildExited)
        return cls(
            signal.at,
            kind_of(signal),
            failure.fingerprint if failure is not None else "",
            failure.type if failure is not None else "",
            failure.message if failure is not None else None,
            signal.deliveries if exited else 0,
            signal.uptime if exited else 0.0,
            signal.settled if exited else 0,
            about(signal),
            failure is not None and _says_nothing(failure),
        )


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


@frozen
class Incident:
    """Everything that decisions about one slot look back at while it is in trouble."""

    id: str
    latest: Signal
    """The signal that joined last, whole."""
    opened: float
    before: tuple[Seen, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    signals: int = 1
    """All that joined, also those no longer remembered."""
    failed: int = 0
    """Attempts to bring it back that did not help, likewise; letting it live or throttling it is none."""
    rolled_back: int = 0
    """How many checkpoints back the last rollback went."""

    @property
    def path(self) -> Path:
        return self.latest.path

    @property
    def failures(self) -> tuple[Seen, ...]:
        """The signals that are remembered, the latest last."""
        return (*self.before, Seen.of(self.latest))

    def tried(self, *names: str) -> int:
        """How many of the remembered attempts were one of these actions."""
        return sum(action_name(attempt.action) in names for attempt in self.attempts)

    def failures_of(self, name: str) -> int:
        """How many of the remembered attempts with this action did not help."""
        return sum(
            attempt.outcome is Outcome.FAILED and action_name(attempt.action) == name for attempt in self.attempts
        )

    @property
    def pending(self) -> Attempt | None:
        """The last attempt, while its outcome is open."""
        return self.attempts[-1] if self.attempts and self.attempts[-1].outcome is None else None

    def lives(self) -> tuple[int, bool]:
        """How many of the last lives in a row settled nothing, and whether one and the same thing was in hand in all.

        A life that settled something, or ended in order, ends the row; one that was killed from outside, or whose state
        cannot be blamed, says nothing and is passed over.
        """
        if not self.before and isinstance(self.latest, ChildExited):
            return _life(self.latest)
        count, messages = 0, set[MessageId | None]()
        for seen in reversed(self.failures):
            if seen.settled or seen.kind in _IN_ORDER:
                break
            if seen.kind in _DIED and not seen.outside:
                count += 1
                messages.add(seen.message)
        return count, len(messages) == 1 and None not in messages


_DIED: Final = frozenset({Kind.CRASH, Kind.START_FAILED})
_IN_ORDER: Final = frozenset({Kind.FINISHED, Kind.STOPPED})
_REPAIRS: Final = (Restart, RollBack, SetAside, FallBack, Perform, Break, Recycle)


def _says_nothing(failure: Failure) -> bool:
    """Whether a failure is no sign of a bad state.

    An agent that could not be made never saw its state, and one whose settle was not kept had done its work. A poller
    whose remote talks nonsense dies on its own tick in every life, whatever its state is.
    """
    return failure.unborn or failure.type == "CommitFailed" or (failure.message_kind or "").startswith("every:")


def _life(signal: ChildExited) -> tuple[int, bool]:
    """As `Incident.lives`, for the first signal of most incidents."""
    exit = signal.exit
    if signal.settled or not isinstance(exit, Failed) or exit.failure.type == "Killed" or _says_nothing(exit.failure):
        return 0, False
    return 1, exit.failure.message is not None


def open_incident(id: str, signal: Signal) -> Incident:
    """The incident that `signal` begins; it has already joined it. Ids are drawn by the shell."""
    return Incident(id, signal, signal.at)


def join(incident: Incident, signal: Signal) -> Incident:
    """With a further signal about the same slot. It judges no attempt: see `verdict`."""
    before = _kept(incident.before, Seen.of(incident.latest), KEPT - 1)
    return evolve(incident, latest=signal, before=before, signals=incident.signals + 1)


def note(
    incident: Incident, action: Action, at: float, *, kind: str, confidence: float = 0.0, model: float = 0.0
) -> Incident:
    """With an attempt that begins now, at the trouble `kind` (its `Context.label`).

    One that is still open ends unobserved; `judge` it first to journal that.
    """
    before = judge(incident, Outcome.UNOBSERVED, at)[0]
    steps = action.steps if isinstance(action, RollBack) else before.rolled_back
    attempt = Attempt(action, at, kind, confidence, model)
    return evolve(before, attempts=_kept(before.attempts, attempt, KEPT), rolled_back=steps)


def verdict(incident: Incident, signal: Signal) -> Outcome | None:
    """What `signal` says about the attempt that is open, if it says anything.

    A life that ends, or does not begin, ends every attempt as failed, unless it was killed from outside: that ends it
    unobserved, as an operator does. Any other signal speaks only about an attempt at the same trouble.
    """
    pending = incident.pending
    if pending is None:
        return None
    kind = kind_of(signal)
    match signal:
        case ChildExited() | RestartFailed():
            return Outcome.UNOBSERVED if kind is Kind.KILLED else Outcome.FAILED
        case OperatorAsked():
            return Outcome.UNOBSERVED
        case Recovered(kind=word):
            return Outcome.FIXED if pending.kind == f"{Kind.REPORTED}:{word}" else None
        case ActionFailed(action=name):
            return Outcome.FAILED if action_name(pending.action) == name else None
        case _:
            return Outcome.FAILED if pending.kind == label_of(signal) else None


def judge(incident: Incident, outcome: Outcome, at: float) -> tuple[Incident, OutcomeObserved | None]:
    """The incident with its open attempt judged, and the fact for the journal; unchanged and None without one."""
    pending = incident.pending
    if pending is None:
        return incident, None
    judged = evolve(
        incident,
        attempts=(*incident.attempts[:-1], evolve(pending, outcome=outcome)),
        failed=incident.failed + (outcome is Outcome.FAILED and isinstance(pending.action, _REPAIRS)),
    )
    return judged, OutcomeObserved(
        path=incident.path,
        incident=incident.id,
        action=action_name(pending.action),
        kind=pending.kind,
        outcome=str(outcome),
        confidence=pending.confidence,
        model=pending.model,
        after=max(0.0, at - pending.at),
    )


def opened_event(incident: Incident) -> IncidentOpened:
    """The fact for the journal that the incident began, with its first signal."""
    signal = incident.latest
    return IncidentOpened(path=signal.path, incident=incident.id, kind=label_of(signal), text=describe(signal))


def close(incident: Incident, outcome: Outcome, at: float) -> IncidentClosed:
    """The fact for the journal that the incident is over. Judge its open attempt first."""
    return IncidentClosed(
        path=incident.path, incident=incident.id, outcome=str(outcome), after=max(0.0, at - incident.opened)
    )


def _kept(values: Sequence[T], last: T, most: int) -> tuple[T, ...]:
    return (*values[-(most - 1) :], last)
