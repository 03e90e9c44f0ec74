"""The fast way through an incident says what the plain one says: every shortcut beside what it stands for."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from treewarden.supervisor.core.action import Action, Restart, action_name
from treewarden.supervisor.core.believer import belief
from treewarden.supervisor.core.case import Case
from treewarden.supervisor.core.confidence import PRIOR, believe
from treewarden.supervisor.core.context import LATELY, Context, read_context, read_symptoms
from treewarden.supervisor.core.decision import Policy, attempt_of, attempted, decide, to_event
from treewarden.supervisor.core.event import OutcomeObserved
from treewarden.supervisor.core.incident import (
    KEPT,
    Attempt,
    Incident,
    Outcome,
    join,
    judge,
    lived_on,
    meet,
    met_by,
    note,
    open_incident,
    verdict,
)
from treewarden.supervisor.core.ladder import ROWS, Ladder, ladder
from treewarden.supervisor.core.latest import Latest
from treewarden.supervisor.core.let_live import LET_LIVE
from treewarden.supervisor.core.likelihoods import started
from treewarden.supervisor.core.outcomes import ENOUGH, Outcomes, learn
from treewarden.supervisor.core.rules import options
from treewarden.supervisor.core.signal import Overloaded, Reported, Signal
from treewarden.supervisor.core.symptom import SEVERE, Symptom, about, label_of

from .cases import PATH, SPEC, actions, case, cases, signals

WORDS = ("slow", "memory_slope", "memory", "queue_depth", "queue_age", "odd")
reports = st.builds(
    Reported,
    path=st.just(PATH),
    at=st.floats(0, 2000),
    kind=st.sampled_from(WORDS),
    severity=st.sampled_from([0.0, 0.1, 0.59, SEVERE, 0.9]),
)
anything = st.one_of(reports, reports, signals(st.just(PATH)))
remedies = actions.filter(lambda action: "nan" not in repr(action))


@st.composite
def steps(draw: st.DrawFn) -> list[tuple[Signal, Action]]:
    """Signals, each with what answers it; some come many times in a row."""
    some = draw(st.lists(st.tuples(anything, remedies, st.sampled_from([1, 1, 2, 40])), min_size=1, max_size=8))
    return [(signal, action) for signal, action, times in some for _ in range(times)]


def plain(incident: Incident, attempt: Attempt, signal: Signal) -> tuple[Incident, OutcomeObserved | None]:
    """What `meet` does, one by one."""
    incident = note(
        incident,
        attempt.action,
        attempt.at,
        kind=attempt.kind,
        confidence=attempt.confidence,
        model=attempt.model,
    )
    outcome = verdict(incident, signal)
    incident, observed = (incident, None) if outcome is None else judge(incident, outcome, signal.at)
    return join(incident, signal), observed


def walked(history: list[tuple[Signal, Action]]) -> tuple[list[Incident], list[Signal]]:
    """The incident after each of these signals, with the action that answers the one before."""
    found = [open_incident("i1", history[0][0])]
    for place, (signal, _) in enumerate(history[1:]):
        before, action = history[place]
        attempt = Attempt(action, before.at, label_of(before), 0.4, 0.3)
        quick, slow = meet(found[-1], attempt, signal), plain(found[-1], attempt, signal)
        assert quick == slow
        found.append(quick[0])
    return found, [signal for signal, _ in history]


@settings(max_examples=50)
@given(steps())
def test_one_step_is_note_verdict_judge_and_join(history: list[tuple[Signal, Action]]) -> None:
    for incident in walked(history)[0]:
        attempts = incident.attempts
        failed = [each for each in attempts if each.outcome is Outcome.FAILED]
        assert incident.unhelpful == tuple(action_name(each.action) for each in failed if not started(each.kind))
        assert incident.unhelpful_down == tuple(action_name(each.action) for each in failed if started(each.kind))
        assert len(attempts) <= KEPT


@settings(max_examples=50)
@given(steps(), reports, st.booleans())
def test_letting_it_live_at_a_report_is_one_of_these_steps(
    history: list[tuple[Signal, Action]], signal: Reported, again: bool
) -> None:
    for incident in walked(history)[0]:
        latest, stated = incident.latest, (0.4, 0.3)
        following = evolve(signal, kind=latest.kind) if again and isinstance(latest, Reported) else signal
        plainly = met_by(incident, LET_LIVE, latest.at, label_of(latest), stated, Symptom.REPORTED, following)
        assert lived_on(incident, LET_LIVE, stated, Symptom.REPORTED, following) == plainly


@pytest.mark.parametrize("word", WORDS)
def test_letting_it_live_longer_than_is_remembered(word: str) -> None:
    signal = Reported(path=PATH, at=0.0, kind=word, severity=0.1)
    started_with = note(open_incident("i", signal), Restart(), 0.0, kind="crash")
    incident, _ = judge(started_with, Outcome.FAILED, 0.0)
    for n in range(2 * KEPT + 3):
        latest, stated = incident.latest, (n / 100, 0.3)
        following = evolve(signal, at=float(n), kind="odd" if n % 40 == 39 else word)
        plainly = met_by(incident, LET_LIVE, latest.at, label_of(latest), stated, Symptom.REPORTED, following)
        assert lived_on(incident, LET_LIVE, stated, Symptom.REPORTED, following) == plainly
        incident, _ = plainly
    assert 0 < incident.failures <= len(incident.judged) == KEPT


@settings(max_examples=50)
@given(steps())
def test_growth_is_what_the_remembered_signals_say(history: list[tuple[Signal, Action]]) -> None:
    incidents, seen = walked(history)
    for count, incident in enumerate(incidents, 1):
        remembered, now = seen[max(0, count - KEPT) : count], seen[count - 1].at
        lately = [signal for signal in remembered if now - signal.at <= LATELY]
        words = {about(signal) for signal in lately}
        memory = bool(words & {"memory", "memory_slope", "memory_leak"})
        queue = bool(words & {"queue", "queue_depth", "queue_age"}) or any(isinstance(s, Overloaded) for s in lately)
        found = read_context(case(seen[count - 1], incident=incident, now=now)).symptoms
        assert (Symptom.MEMORY_GROWS in found, Symptom.QUEUE_GROWS in found) == (memory, queue)


@given(cases())
def test_symptoms_alone_are_those_of_the_context(given: Case) -> None:
    assert read_symptoms(given) == read_context(given).symptoms
    assert label_of(given.signal) == given.context.label


@settings(max_examples=50)
@given(steps(), st.none() | st.floats(0, 2000))
def test_what_is_believed_of_a_report_is_what_its_context_makes_one_believe(
    history: list[tuple[Signal, Action]], changed: float | None
) -> None:
    incidents, seen = walked(history)
    given = case(seen[-1], incident=incidents[-1], code_changed_at=changed)
    slow = PRIOR.seeing(*read_context(given).symptoms, first=len(history) == 1)
    for down in (False, True):
        failed = [
            action_name(each.action)
            for each in incidents[-1].attempts
            if each.outcome is Outcome.FAILED and started(each.kind) is down
        ]
        slow = slow.without_help_from(*failed, down=down) if failed else slow
    assert given.belief == believe(given.context, given.incident) == slow
    assert believe(given, given.incident) is given.belief, "remembered"


@given(reports)
def test_the_ladder_answers_mild_reports_as_its_rows_do(signal: Reported) -> None:
    given = case(signal)
    assert ladder().propose(given) == options(ROWS, given)


def nothing_failed(context: Context, _incident: Incident) -> bool:
    return context.failed == 0


def test_a_ladder_with_a_row_of_its_own_looks_at_the_circumstances() -> None:
    mild = case(Reported(path=PATH, at=1.0, kind="slow", severity=0.1))
    last = ROWS[-1]
    fussy = Ladder((evolve(last, name="fussy", when=nothing_failed), last))
    assert [option.rule for option in fussy.propose(mild)] == ["fussy", last.name]
    again = evolve(mild, incident=evolve(mild.incident, failed=1))
    assert [option.rule for option in fussy.propose(again)] == [last.name]


@pytest.mark.parametrize("policy", [ladder(), belief()], ids=["ladder", "belief"])
def test_what_is_tried_carries_what_is_stated(policy: Policy) -> None:
    for severity in (0.1, 0.9):
        decision = decide(policy, case(Reported(path=PATH, at=1.0, kind="slow", severity=severity)))
        tried = attempt_of(decision, 1.0)
        assert (tried.confidence, tried.model) == (decision.stated.value, decision.stated.model)
        assert attempted(decision, 1.0).pending == tried
        assert to_event(decision).confidence == tried.confidence


def observed(number: float, fixed: bool) -> OutcomeObserved:
    outcome = "fixed" if fixed else "failed"
    return OutcomeObserved(
        path=PATH, incident="i", action="restart", kind="crash", outcome=outcome, confidence=number, model=number
    )


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=2 * ENOUGH + 5))
def test_skill_that_is_carried_on_is_skill_added_up_anew(outcomes: list[tuple[float, bool]]) -> None:
    carried = Outcomes()
    for confidence, fixed in outcomes:
        carried = learn(carried, observed(confidence, fixed), 0.0)
    anew = Outcomes(recent=carried.recent)
    assert tuple(carried.recent) == tuple(outcomes[-ENOUGH:])
    assert (carried.brier_skill, carried.calibrated) == (anew.brier_skill, anew.calibrated)
    recent = outcomes[-ENOUGH:]
    rate = sum(fixed for _, fixed in recent) / max(1, len(recent))
    if 0 < rate < 1:
        error = sum((stated - fixed) ** 2 for stated, fixed in recent) / len(recent)
        assert carried.brier_skill == pytest.approx(1 - error / (rate * (1 - rate)), abs=1e-9)


days = st.floats(-1, 60)


@given(st.lists(st.tuples(days, st.sampled_from([0.1, 0.5, 0.9]), st.booleans()), max_size=30), days)
def test_cells_that_age_when_they_are_looked_at_are_cells_that_age_with_each_outcome(
    outcomes: list[tuple[float, float, bool]], more: float
) -> None:
    quick, slow, at = Outcomes(), Outcomes(), 0.0
    for later, model, fixed in outcomes:
        at += later * 86400
        event = observed(model, fixed)
        quick, slow = learn(quick, event, at), learn(slow.aged(at), event, at)
    quick, slow = quick.aged(at + more * 86400), slow.aged(at + more * 86400)
    assert quick.cells.keys() == slow.cells.keys()
    for model in (0.1, 0.5, 0.9):
        one, other = (each.stated(model, "restart", "crash", pooled=True) for each in (quick, slow))
        assert one.value == pytest.approx(other.value, abs=2e-4)
        assert one.evidence == pytest.approx(other.evidence)
        assert quick.bin(model).rate == pytest.approx(slow.bin(model).rate)


@given(st.integers(1, 4), st.lists(st.tuples(st.integers(0, 9), st.integers(0, 20), st.integers(0, 6)), max_size=40))
def test_the_latest_of_a_line_that_forks(most: int, added: list[tuple[int, int, int]]) -> None:
    """Any value may be gone on from, by one or by some, also one that has been gone on from already."""
    values, expected = [Latest[int](most)], [list[int]()]
    for item, which, many in added:
        place, items = which % len(values), [item] * many
        values.append(values[place].followed_by_all(items) if many > 1 else values[place].followed_by(item))
        expected.append([*expected[place], *(items if many > 1 else [item])][-most:])
    assert [list(value) for value in values] == expected
    assert [len(value) for value in values] == [len(each) for each in expected]
    for value, each in zip(values, expected, strict=True):
        assert value == Latest(most, list(each))
        if each:
            assert value.first == each[0]
        else:
            with pytest.raises(IndexError):
                _ = value.first


def test_a_case_that_is_changed_is_read_anew() -> None:
    before = case(Reported(path=PATH, at=1.0, kind="slow", severity=0.1))
    assert before.context.risk.name == "LOW"
    after = evolve(before, signal=Reported(path=PATH, at=1.0, kind="slow", severity=1.0))
    assert after.context.severity == 1.0
    assert after.spec is SPEC
