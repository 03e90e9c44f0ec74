"""A policy with a witness beside it: what was decided is checked against the hard rules, and can be timed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from attrs import define, evolve, field

from treewarden.agents.core.path import Path
from treewarden.supervisor.core.around import Around
from treewarden.supervisor.core.case import Case
from treewarden.supervisor.core.decision import Policy, attempted, decide, to_event
from treewarden.supervisor.core.event import Decided
from treewarden.supervisor.core.guards import Option
from treewarden.supervisor.core.signal import ChildExited, RateLimitReached, RestartFailed
from treewarden.supervisor.core.spec import Intensity
from treewarden.supervisor.core.symptom import describe

__all__ = ["Witness"]


_IN_TURN: Final = frozenset({"restart", "roll_back", "set_aside", "fall_back"})
"""Restarts, which the tree's bucket has to have room for."""


@define(eq=False)
class Witness(Around):
    """Proposes what `policy` proposes, and remembers in which case."""

    policy: Policy
    restarts: Intensity
    violations: int = 0
    cases: list[Case] = field(factory=list[Case])
    keeps: bool = False
    """Whether all cases are kept, to be timed afterwards."""
    _asked: dict[Path, list[Case]] = field(factory=dict[Path, list[Case]])
    """What was proposed for and is not journaled yet."""

    def propose(self, case: Case) -> tuple[Option, ...]:
        self._asked.setdefault(case.signal.path, []).append(case)
        if self.keeps:
            self.cases.append(case)
        return super().propose(case)

    def saw(self, decided: Decided) -> bool:
        """A decision was journaled: count what no policy may do. Returns whether the child had ended.

        Whoever decides without asking the policy (a hard rule, an operator) is no matter of the policy's.
        """
        asked = self._asked.get(decided.path)
        if not asked or describe(asked[0].signal) != decided.signal:
            return False
        case = asked.pop(0)
        signal = case.signal
        ended = isinstance(signal, (ChildExited, RestartFailed))
        if ended and decided.action in ("resume", "recycle"):
            self.violations += 1
        if isinstance(signal, RateLimitReached):
            waits = decided.details.get("seconds", decided.details.get("after", 0.0))
            still = decided.action in ("hold", "stop", "escalate")
            if decided.action in ("resume", "recycle") or (not still and waits < (signal.after or 0.0)):
                self.violations += 1
        if decided.action in _IN_TURN and self.paced and decided.details.get("after", 0.0) < case.turn:
            self.violations += 1
        if ended and self.policy.escalates and case.history.count > self.restarts.max_restarts:
            self.violations += 1
        return case.down

    def latencies(self, clock: Callable[[], float]) -> list[float]:
        """Seconds that each decision takes, with all that is journaled of it, decided once more."""
        took: list[float] = []
        for case in self.cases:
            fresh = evolve(case)
            begun = clock()
            decision = decide(self.policy, fresh)
            attempted(decision, fresh.now)
            to_event(decision)
            took.append(clock() - begun)
        return took
