"""An incident from its first failure to its end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.core.exit import KILLED, Finished
from treewarden.supervisor.core.action import Action, Break, Restart, Resume, RollBack, SetAside, Throttle
from treewarden.supervisor.core.event import IncidentClosed, IncidentOpened, OutcomeObserved
from treewarden.supervisor.core.incident import (
    KEPT,
    close,
    join,
    judge,
    note,
    open_incident,
    opened_event,
    verdict,
)
from treewarden.supervisor.core.incident_events import Outcome
from treewarden.supervisor.core.signal import (
    OperatorAsked,
    RateLimitReached,
    Recovered,
    Reported,
    RestartFailed,
    Signal,
    Stalled,
)
from treewarden.supervisor.core.symptom import label_of

from .cases import PATH, exited, failed, grown, signals

CRASH = exited(failed(message="m1"))
SLOW = Reported(path=PATH, at=100.0, kind="slow", severity=0.7)
LIMITED = RateLimitReached(path=PATH, at=100.0)
STALL = Stalled(path=PATH, at=100.0, idle=9.0, limit=3.0)


def test_its_facts() -> None:
    incident = open_incident("i7", CRASH)
    text = "crashed: ValueError: unlucky (desk.py:12 in add), handling Add"
    assert opened_event(incident) == IncidentOpened(path=PATH, incident="i7", kind="crash", text=text)
    tried = note(incident, Restart(), 101.0, kind="crash", confidence=0.8, model=0.9, symptom="timeout")
    judged, observed = judge(tried, Outcome.FIXED, 111.0)
    assert observed == OutcomeObserved(
        path=PATH,
        incident="i7",
        action="restart",
        kind="crash",
        outcome="fixed",
        confidence=0.8,
        model=0.9,
        after=10.0,
        symptom="timeout",
    )
    assert judge(judged, Outcome.FAILED, 112.0) == (judged, None)
    assert close(judged, Outcome.FIXED, 111.0) == IncidentClosed(path=PATH, incident="i7", outcome="fixed", after=11.0)


@pytest.mark.parametrize(
    ("kind", "signal", "expected"),
    [
        ("crash", CRASH, Outcome.FAILED),
        ("crash", exited(Finished()), Outcome.FAILED),
        ("crash", exited(KILLED), Outcome.UNOBSERVED),
        ("crash", RestartFailed(path=PATH, at=1.0, failure=failed().failure), Outcome.FAILED),
        ("crash", OperatorAsked(path=PATH, at=1.0, what="stop"), Outcome.UNOBSERVED),
        ("crash", SLOW, None),
        ("crash", LIMITED, None),
        ("crash", Recovered(path=PATH, at=1.0, kind="slow"), None),
        ("stalled", Stalled(path=PATH, at=1.0, idle=2.0, limit=1.0), Outcome.FAILED),
        ("rate_limited", LIMITED, Outcome.FAILED),
        ("reported:slow", SLOW, Outcome.FAILED),
        ("reported:down", SLOW, None),
        ("reported:slow", Recovered(path=PATH, at=1.0, kind="slow"), Outcome.FIXED),
        ("reported:down", Recovered(path=PATH, at=1.0, kind="slow"), None),
        ("overloaded", Recovered(path=PATH, at=1.0, kind="overloaded"), Outcome.FIXED),
        ("reported:slow", CRASH, Outcome.FAILED),
    ],
)
def test_what_a_signal_says_about_the_open_attempt(kind: str, signal: Signal, expected: Outcome | None) -> None:
    incident = note(open_incident("i1", CRASH), Restart(), 100.0, kind=kind)
    assert verdict(incident, signal) is expected
    assert verdict(judge(incident, Outcome.FAILED, 101.0)[0], signal) is None


@pytest.mark.parametrize(
    ("action", "counts"),
    [(Restart(), 1), (RollBack(), 1), (SetAside("m"), 1), (Break("api", 1.0), 1), (Resume(), 0), (Throttle(1.0), 0)],
)
def test_only_repairs_count_as_failed_attempts(action: Action, counts: int) -> None:
    incident = grown(CRASH, CRASH, actions=(action,))
    assert incident.failed == counts


def test_an_attempt_that_is_overtaken_ends_unobserved() -> None:
    incident = note(open_incident("i1", CRASH), Restart(), 100.0, kind="crash")
    again = note(incident, RollBack(2), 101.0, kind="crash")
    assert [attempt.outcome for attempt in again.attempts] == [Outcome.UNOBSERVED, None]
    assert (again.failed, again.rolled_back) == (0, 2)
    assert again.pending is again.attempts[-1]


@pytest.mark.parametrize(
    ("history", "lives", "one_message"),
    [
        ([CRASH], 1, True),
        ([CRASH, CRASH], 2, True),
        ([CRASH, exited(failed(message="m2"))], 2, False),
        ([exited(failed()), exited(failed())], 2, False),
        ([CRASH, exited(failed(), settled=1)], 0, False),
        ([exited(failed(), settled=3), CRASH, CRASH], 2, True),
        ([CRASH, exited(KILLED), CRASH], 2, True),
        ([CRASH, exited(Finished()), CRASH], 1, True),
        ([CRASH, SLOW, CRASH], 2, True),
        ([CRASH, RestartFailed(path=PATH, at=1.0, failure=failed().failure)], 2, False),
        ([LIMITED], 0, False),
    ],
)
def test_lives_in_a_row_that_settled_nothing(history: list[Signal], lives: int, one_message: bool) -> None:
    assert grown(*history).lives() == (lives, one_message)


@given(st.lists(signals(), min_size=1, max_size=60))
def test_it_is_bounded_and_its_counts_go_on(history: list[Signal]) -> None:
    incident = grown(*history)
    assert incident.signals == len(history)
    assert list(incident.before) == history[:-1][1 - KEPT :]
    assert len(incident.attempts) == min(len(history) - 1, KEPT)
    assert incident.failed <= len(history) - 1
    assert incident.latest is history[-1]


@pytest.mark.parametrize("signal", [CRASH, RestartFailed(path=PATH, at=1.0, failure=failed().failure), STALL])
def test_what_is_forgotten_of_the_attempts_does_not_count_as_a_failure(signal: Signal) -> None:
    for attempts in range(2, 2 * KEPT + 2):
        incident = grown(*[signal] * attempts)
        kept = sum(attempt.outcome is Outcome.FAILED for attempt in incident.attempts)
        assert incident.failures == incident.failures_of("restart") == kept == min(attempts - 1, KEPT)
        begun = note(incident, Restart(), 100.0, kind=label_of(signal))
        assert begun.failures == sum(attempt.outcome is Outcome.FAILED for attempt in begun.attempts)


@pytest.mark.parametrize("outcome", [Outcome.FIXED, Outcome.FAILED, Outcome.UNOBSERVED])
def test_a_fact_of_an_outcome_counts_the_attempts_that_failed_before_it(outcome: Outcome) -> None:
    begun = note(grown(*[CRASH] * 3), Restart(), 103.0, kind="crash")
    _, observed = judge(begun, outcome, 104.0)
    assert observed is not None
    assert (observed.outcome, observed.failed) == (str(outcome), 2)


def test_counts_outlive_what_is_kept() -> None:
    incident = grown(*[CRASH] * 100)
    assert (incident.failed, incident.tried("restart"), len(incident.before)) == (99, KEPT, KEPT - 1)
    assert join(incident, CRASH).signals == 101
