"""What an advisor knows, and how it answers: the pure pipeline with a journal round it, inside one trio loop."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import evolve, frozen

from treewarden.agents.core.path import Path
from treewarden.agents.errors import ConfigurationError

from .core.advice import Circumstances, Profile, Proposal, propose
from .core.event import Decided, EventsPruned, IncidentClosed, OutcomeObserved, RejectedOption, SignalNoted
from .core.outcomes import Outcomes, learn
from .journal.port import Commit, Journal, Record
from .views.pruned import pruned_of

__all__ = ["Advice", "Mind"]

_LESSONS: Final = 5000
"""Events at the end of the journal that are read when it opens."""
_OPEN: Final = 10_000
"""Advices that wait for their outcome; the oldest are given up for one more."""


@frozen(kw_only=True)
class Advice:
    """What the application might do. Nobody but the application carries it out."""

    id: str
    """For `record_outcome`; empty where there is nothing to learn."""
    event_type: str = ""
    context: str = ""
    action: str
    confidence: float
    """P(this action closes the incident)."""
    calibrated: bool = False
    """Whether such numbers have proven right so far; otherwise say "confidence not calibrated" beside it."""
    evidence: float = 0.0
    """Observed cases that the confidence rests on; they fade with time."""
    reason: str
    priority: str = "low"
    """`critical`, `high`, `normal` or `low`."""
    risk: str = "low"
    stability: str = "stable"
    pressure: float = 0.0
    tags: tuple[str, ...] = ()
    rejected: tuple[RejectedOption, ...] = ()
    """The alternatives, each with its confidence and what spoke against it."""
    persisted: bool = False
    """Whether it is on disk. Never said before it is so."""

    def __str__(self) -> str:
        honest = "" if self.calibrated else " (confidence not calibrated)"
        return f"{self.action} {self.confidence:.2f}{honest}: {self.reason}"


@frozen
class _Open:
    """An advice whose outcome nobody has told."""

    action: str
    kind: str
    confidence: float
    model: float
    at: float


class Mind:
    """One agent's advice and what came of it. All of it is called in the loop of its journal."""

    def __init__(self, agent: Path, profile: Profile, wall: Callable[[], float]) -> None:
        self.agent = agent
        self.profile = profile
        self.outcomes = Outcomes()
        self._wall = wall
        self._journal: Journal | None = None
        self._on_disk = False
        self.trouble = ""
        """Why the last write was not kept, if it was not."""
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._judged = set[str]()
        """Of earlier processes, among those that were read."""
        self._forgotten: OrderedDict[str, None] = OrderedDict()
        """The last of those that were given up."""
        self._unread = False
        """There are older advices than those that were read when the journal was opened."""
        self._number = 0
        self._prefix = "0"
        self._actions: Counter[str] = Counter()
        self._results: Counter[str] = Counter()

    async def take(self, journal: Journal, *, on_disk: bool) -> None:
        """Write to `journal` from now on, after learning what it holds."""
        self._journal, self._on_disk = journal, on_disk
        self._prefix = f"{journal.opened.epoch:x}" if on_disk else f"m{journal.opened.epoch:x}"
        cursor = max(0, journal.head - _LESSONS)
        cut = await journal.cut()
        if cut is not None and isinstance(cut.event, EventsPruned):
            self.outcomes = pruned_of(cut.event).lessons.get(str(self.agent), self.outcomes)
            cursor = max(cursor, cut.event.through)
        self._unread = cursor > 0
        while records := await journal.read(cursor):
            for record in records:
                self._remember(record)
            cursor = records[-1].seq

    def let_go(self) -> None:
        """The journal is lost: go on without one."""
        self._journal, self._on_disk = None, False

    def _remember(self, record: Record) -> None:
        event = record.event
        if isinstance(event, Decided) and event.path == self.agent:
            self._wait_for_outcome(
                event.incident,
                _Open(event.action, str(event.details.get("context", "")), event.confidence, event.model, record.at),
            )
            self._actions[event.action] += 1
        elif isinstance(event, OutcomeObserved) and event.path == self.agent:
            if self._open.pop(event.incident, None) is not None:
                self._judged.add(event.incident)
            self._results[event.outcome] += 1
            self.outcomes = learn(self.outcomes, event, record.at)

    def advise(self, said: Circumstances, done: Callable[[Advice], None]) -> None:
        """Answer `said`; `done` gets the advice when it is on disk, or when it is known that it will not be."""
        proposal = propose(self.profile, said, self.outcomes)
        self._number += 1
        id = f"{self._prefix}.{self._number}"
        at = self._wall()
        decided = self._decided(id, said, proposal)
        waits = _Open(decided.action, proposal.reading.context, decided.confidence, decided.model, at)
        self._wait_for_outcome(id, waits)
        self._actions[decided.action] += 1
        advice = _advice(id, said, proposal)
        noted = SignalNoted(path=self.agent, kind=said.type, severity=said.severity, text=_text(said), facts=said.extra)
        self._write(Commit(events=((at, noted), (at, decided))), lambda kept: done(evolve(advice, persisted=kept)))

    def label(self, id: str, *, fixed: bool, done: Callable[[bool], None]) -> None:
        """Learn what came of the advice `id`. `done` gets whether that is on disk.

        Raises `ConfigurationError` if no advice of this name waits for its outcome.
        """
        waits = self._open.pop(id, None)
        if waits is None and (id in self._forgotten or (self._unread and self._is_older(id))):
            done(False)
            return
        if waits is None:
            raise ConfigurationError(
                f"{self.agent}: no advice {id!r} waits for its outcome; give the id of one, and once"
            )
        at = self._wall()
        observed = OutcomeObserved(
            path=self.agent,
            incident=id,
            action=waits.action,
            kind=waits.kind,
            outcome="fixed" if fixed else "failed",
            confidence=waits.confidence,
            model=waits.model,
            after=max(0.0, at - waits.at),
        )
        self._results[observed.outcome] += 1
        self.outcomes = learn(self.outcomes, observed, at)
        closed = IncidentClosed(path=self.agent, incident=id, outcome=observed.outcome, after=observed.after)
        self._write(Commit(events=((at, observed), (at, closed))), done)

    def _is_older(self, id: str) -> bool:
        """Whether this may be an advice of an earlier process that was not read, for all that is known."""
        epoch, _, number = id.partition(".")
        return id not in self._judged and number.isdecimal() and epoch.isalnum() and epoch != self._prefix

    def metrics(self) -> Mapping[str, Any]:
        """Counts of advices by action and of outcomes, and how far the confidences have proven right."""
        return {
            "advices": sum(self._actions.values()),
            "actions": dict(self._actions.most_common()),
            "outcomes": dict(self._results),
            "waiting": len(self._open),
            "brier_skill": round(self.outcomes.brier_skill, 4),
            "calibrated": self.outcomes.calibrated,
        }

    def _wait_for_outcome(self, id: str, waits: _Open) -> None:
        self._open[id] = waits
        if len(self._open) > _OPEN:
            gone, _ = self._open.popitem(last=False)
            self._forgotten[gone] = None
            if len(self._forgotten) > _OPEN:
                self._forgotten.popitem(last=False)

    def _write(self, commit: Commit, done: Callable[[bool], None]) -> None:
        if self._journal is None:
            done(False)
            return

        def written(error: BaseException | None) -> None:
            self.trouble = "" if error is None else str(error)
            done(error is None and self._on_disk)

        self._journal.submit(commit, written)

    def _decided(self, id: str, said: Circumstances, proposal: Proposal) -> Decided:
        reading, stated = proposal.reading, proposal.confidence
        return Decided(
            path=self.agent,
            incident=id,
            action=proposal.action,
            details={"context": reading.context, "priority": proposal.priority},
            confidence=stated.value,
            evidence=round(stated.evidence, 1),
            calibrated=stated.calibrated,
            model=stated.model,
            policy=self.profile.name,
            rule="no rule" if proposal.rule is None else f"rule {proposal.rule}",
            signal=f"{said.type}: {_text(said)}",
            because=(proposal.reason,),
            symptoms=reading.tags,
            risk=str(reading.risk),
            pressure=reading.pressure,
            rejected=proposal.rejected,
        )


def _advice(id: str, said: Circumstances, proposal: Proposal) -> Advice:
    reading, stated = proposal.reading, proposal.confidence
    return Advice(
        id=id,
        event_type=said.type,
        context=reading.context,
        action=proposal.action,
        confidence=stated.value,
        calibrated=stated.calibrated,
        evidence=stated.evidence,
        reason=proposal.reason,
        priority=proposal.priority,
        risk=str(reading.risk),
        stability=reading.stability,
        pressure=reading.pressure,
        tags=reading.tags,
        rejected=proposal.rejected,
    )


def _text(said: Circumstances) -> str:
    return (
        f"severity {said.severity:g}, cpu {said.cpu:g} %, memory {said.memory:g} %, errors {said.error_rate:g},"
        f" latency {said.latency_ms:g} ms"
    )
