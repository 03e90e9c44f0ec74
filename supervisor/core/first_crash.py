"""The first crash of a healthy child, and the restart that answers it: as little as has to be remembered of it.

Most crashes are like that: no incident is open, no sibling is in the same trouble, no limit is near, and what a policy
answers then hangs on the failure alone. So the answer comes first, and the case that it answers is made when somebody
asks for the grounds, by the same functions that decide about everything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from attrs import field

from treewarden.agents.core.exit import Failed
from treewarden.agents.core.path import Path
from treewarden.agents.core.values import define

from .action import Restart
from .event import ChildEnded, ChildStarted, DeadLettered, Decided, Event, IncidentOpened
from .history import NO_RESTARTS, RestartHistory
from .later import Account
from .signal import ChildExited
from .spec import ChildSpec, Intensity, Strategy

if TYPE_CHECKING:
    from .challenger import Challenger
    from .decision import Decision, Policy
    from .named import NamedAction
    from .outcomes import Outcomes
    from .window import Window, Work

__all__ = ["FirstCrash", "folded"]


@define(eq=False)
class FirstCrash(Account):
    """All that a decision about one crash looked at, or would have. Nothing here changes but what is worked out."""

    path: Path
    at: float
    """In the clock of the loop."""
    incarnation: int
    exit: Failed
    uptime: float
    settled: int
    deliveries: int
    """Attempts that the message in hand has used up."""
    incident: str
    """The id of the incident that it opens."""
    spec: ChildSpec
    strategy: Strategy
    siblings: tuple[str, ...]
    policy: Policy
    intensity: Intensity
    registered: Mapping[str, NamedAction]
    history: RestartHistory
    window: Window
    before: FirstCrash | None
    """The last one before it that neither `history` nor `window` knows."""
    number: int
    """How many they do not know, with this one."""
    outcomes: Outcomes
    challenger: Challenger
    spread: float
    restart: Restart
    """The answer."""
    handled: int = 0
    """Messages and ticks that its slot has handled in this process,"""
    ticks: Mapping[str, int] | None = None
    """how many of each tick were among them,"""
    kinds: int = 1
    """and how many kinds of messages it handles."""
    given_up: str | None = None
    """The kind of the told message that was in hand, which is lost with the life."""
    next: int = 0
    """The incarnation that has begun at once; 0 if none has."""
    attempt: int = 1
    _decision: Decision | None = field(default=None, init=False)
    _facts: tuple[Event, ...] = field(default=(), init=False)

    @property
    def signal(self) -> ChildExited:
        return ChildExited(
            path=self.path,
            at=self.at,
            incarnation=self.incarnation,
            exit=self.exit,
            uptime=self.uptime,
            settled=self.settled,
            deliveries=self.deliveries,
        )

    @property
    def work(self) -> Work:
        """What it had done until then."""
        from .window import work_of

        return work_of(self.handled, self.ticks, self.kinds)

    @property
    def chain(self) -> list[FirstCrash]:
        """Those that `history` and `window` do not know, in order; this one is the last."""
        found: list[FirstCrash] = []
        crash: FirstCrash | None = self
        while crash is not None:
            found.append(crash)
            crash = crash.before
        found.reverse()
        return found

    @property
    def decision(self) -> Decision:
        """The decision with its grounds."""
        if self._decision is None:
            from .case import Case  # here and below: most trees start and end without a crash
            from .decision import decide
            from .incident import open_incident

            history, window = folded(self.history, self.window, self.chain)
            signal = self.signal
            case = Case(
                signal=signal,
                spec=self.spec,
                strategy=self.strategy,
                siblings=self.siblings,
                incident=open_incident(self.incident, signal),
                window=window,
                history=history,
                intensity=self.intensity,
                outcomes=self.outcomes,
                challenger=self.challenger,
                now=self.at,
                spread=self.spread,
                registered=self.registered,
            )
            self._decision = decide(self.policy, case)
        return self._decision

    @property
    def ended(self) -> ChildEnded:
        """The end of the life, as a fact."""
        return ChildEnded(
            path=self.path,
            incarnation=self.incarnation,
            exit="failed",
            failure=self.exit.failure,
            uptime=self.uptime,
        )

    @property
    def count(self) -> int:
        """How many `facts` there are."""
        return 3 + (self.given_up is not None) + (self.next > 0)

    @property
    def facts(self) -> tuple[Event, ...]:
        """What is to be journaled of it, in this order; each comes to the same whenever it is asked for."""
        if not self._facts:
            from .decision import to_event
            from .incident import opened_event

            decision = self.decision
            opened = IncidentOpened.later(opened_event, decision.case.incident)
            facts: list[Event] = [self.ended, opened, Decided.later(to_event, decision)]
            if self.given_up is not None:
                why = f"its handler did not finish ({self.exit.failure}), and its mailbox is in memory"
                facts.append(DeadLettered(path=self.path, message="", kind=self.given_up, reason=why))
            if self.next:
                facts.append(ChildStarted(path=self.path, incarnation=self.next, attempt=self.attempt))
            self._facts = tuple(facts)
        return self._facts


def folded(history: RestartHistory, window: Window, crashes: Iterable[FirstCrash]) -> tuple[RestartHistory, Window]:
    """The two with these crashes, which came after all that they know."""
    from .decision import counted

    for crash in crashes:
        signal = crash.signal
        history, _ = counted(crash.policy, signal, crash.spec, crash.intensity, history, NO_RESTARTS)
        window = window.add(signal, crash.spec.uses, crash.work)
    return history, window
