"""Advice for an application: what circumstances mean, what is answered, and the profile that is shipped."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.core.path import Path
from treewarden.supervisor.core.adaptive_runtime import ACTIONS, CONTEXTS, adaptive_runtime
from treewarden.supervisor.core.advice import Circumstances, Profile, propose, read
from treewarden.supervisor.core.event import OutcomeObserved
from treewarden.supervisor.core.outcomes import Outcomes, learn
from treewarden.supervisor.core.rule_table import Rule, reached_by
from treewarden.supervisor.core.symptom import Risk

PRESSED = {"type": "service_overload", "severity": 0.82, "cpu": 94, "memory": 88}


def pressed_to(pressure: float, type: str) -> Circumstances:
    """Circumstances of exactly this pressure."""
    return Circumstances(
        type=type,
        severity=pressure,
        cpu=100 * pressure,
        memory=100 * pressure,
        error_rate=pressure,
        latency_ms=5000 * pressure,
    )


def after(*outcomes: tuple[str, str, bool]) -> Outcomes:
    found = Outcomes()
    for number, (action, kind, fixed) in enumerate(outcomes):
        event = OutcomeObserved(
            path=Path("api"),
            incident=str(number),
            action=action,
            kind=kind,
            outcome="fixed" if fixed else "failed",
            confidence=ACTIONS[action],
            model=ACTIONS[action],
        )
        found = learn(found, event, 100.0)
    return found


def test_the_promise_of_the_original_is_kept() -> None:
    proposal = propose(adaptive_runtime(), Circumstances.of(PRESSED), Outcomes())
    assert proposal.action == "restart_service"
    assert proposal.confidence.value == 0.78
    assert (proposal.priority, proposal.reading.context) == ("high", "resource_pressure")
    assert proposal.reading.pressure == 0.651
    assert proposal.reading.stability == "low"
    assert proposal.reading.tags == ("risk:high", "event:service_overload", "cpu:high", "memory:high")
    assert [one.action for one in proposal.rejected] == [
        "scale_up_immediate",
        "throttle_requests",
        "optimize_resources",
    ]
    assert proposal.rejected[0].why == "needs risk critical, it is high"


def test_confidence_moves_with_outcomes_and_with_nothing_else() -> None:
    failed = after(*[("restart_service", "resource_pressure", False)] * 2)
    proposal = propose(adaptive_runtime(), Circumstances.of(PRESSED), failed)
    assert proposal.action == "throttle_requests"
    restart = next(one for one in proposal.rejected if one.action == "restart_service")
    assert restart.why == "needs confidence 0.7, it is 0.65"
    fixed = after(*[("restart_service", "resource_pressure", True)] * 10)
    assert propose(adaptive_runtime(), Circumstances.of(PRESSED), fixed).confidence.value > 0.85
    elsewhere = after(*[("restart_service", "anomaly_signal", False)] * 10)
    assert propose(adaptive_runtime(), Circumstances.of(PRESSED), elsewhere).confidence.value == 0.78


@pytest.mark.parametrize("index", range(len(adaptive_runtime().rules)))
def test_every_rule_of_the_profile_answers_some_event(index: int) -> None:
    profile = adaptive_runtime()
    witness = reached_by(profile.rules, index)
    assert witness is not None
    type = next(type for type, context in CONTEXTS.items() if context == witness.context)
    pressure = {Risk.LOW: 0.1, Risk.MEDIUM: 0.4, Risk.HIGH: 0.7, Risk.CRITICAL: 0.9}[witness.risk]
    lost = [
        (action, witness.context, False)
        for action in {rule.action for rule in profile.rules[:index] if rule.min_confidence}
    ]
    proposal = propose(profile, pressed_to(pressure, type), after(*lost * 30))
    assert proposal.rule == index


@pytest.mark.parametrize(
    ("type", "pressure", "action", "priority"),
    [
        ("degraded_service", 0.9, "circuit_breaker_open", "critical"),
        ("timeout", 0.9, "optimize_query", "critical"),
        ("auth_failure", 0.1, "trigger_security_audit", "low"),
        ("memory_leak", 0.1, "monitor_and_wait", "low"),
        ("recovery_needed", 0.5, "run_recovery", "normal"),
        ("solar_flare", 0.9, "monitor_and_wait", "critical"),
    ],
)
def test_what_is_answered(type: str, pressure: float, action: str, priority: str) -> None:
    proposal = propose(adaptive_runtime(), pressed_to(pressure, type), Outcomes())
    assert (proposal.action, proposal.priority) == (action, priority)


def test_other_types_have_a_context_of_their_own() -> None:
    proposal = propose(adaptive_runtime(), Circumstances(type="solar_flare"), Outcomes())
    assert proposal.reading.context == "unknown_solar_flare"
    assert proposal.reason == "no rule is about unknown_solar_flare at risk low"


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ({"severity": 0.5}, "type is missing; the event has severity"),
        ({}, "type is missing; the event has nothing"),
        ({"type": ""}, "type is ''; it must name what was noticed, as in 'slow'"),
        ({"type": 3}, "type is 3; it must name what was noticed, as in 'slow'"),
        ({"type": "timeout", "severity": -5}, "severity is -5; it must be from 0 to 1"),
        ({"type": "timeout", "cpu": 900}, "cpu is 900; it must be from 0 to 100 (percent)"),
        (
            {"type": "timeout", "memory": math.nan},
            "memory is nan; it must be a finite number (percent; bytes are 'rss_bytes')",
        ),
        ({"type": "timeout", "error_rate": "high"}, "error_rate is 'high'; it must be a finite number (a share)"),
        ({"type": "timeout", "latency_ms": -1}, "latency_ms is -1; it must be 0 or more (milliseconds)"),
        ({"type": "timeout", "severity": True}, "severity is True; it must be a finite number"),
        ({"type": "timeout", "extra": 3}, "extra is 3; it must be a mapping"),
        ("timeout", "'timeout' is no event; give a mapping with 'type' and numbers"),
    ],
)
def test_what_is_no_event(event: Any, text: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        Circumstances.of(event)
    assert str(refused.value) == text


def test_what_else_is_said_is_kept() -> None:
    said = Circumstances.of({"type": "timeout", "region": "eu", "extra": {"host": "a"}})
    assert said.extra == {"region": "eu", "host": "a"}


UNIT = st.floats(0, 1)


@given(st.sampled_from([*CONTEXTS, "other"]), UNIT, UNIT, UNIT, UNIT, UNIT, st.integers(0, 4), UNIT)
def test_more_of_anything_is_never_less_pressure_nor_a_milder_answer(
    type: str, a: float, b: float, c: float, d: float, e: float, raised: int, more: float
) -> None:
    profile = adaptive_runtime()
    values = [a, b, c, d, e]

    def said(shares: list[float]) -> Circumstances:
        severity, cpu, memory, errors, latency = shares
        return Circumstances(
            type=type,
            severity=severity,
            cpu=100 * cpu,
            memory=100 * memory,
            error_rate=errors,
            latency_ms=5000 * latency,
        )

    raised_values = [max(value, more) if place == raised else value for place, value in enumerate(values)]
    before, after = said(values), said(raised_values)
    first, second = read(profile, before), read(profile, after)
    assert 0 <= first.pressure <= second.pressure <= 1
    order = list(profile.actions)
    milder = propose(profile, before, Outcomes()).action
    assert order.index(milder) <= order.index(propose(profile, after, Outcomes()).action)


def test_rules_of_ones_own_come_first_and_the_rest_stays() -> None:
    profile = adaptive_runtime(
        [Rule("unknown_solar_flare", "page_me", Risk.HIGH), Rule("latency_issue", "page_me", Risk.CRITICAL)],
        actions={**ACTIONS, "page_me": 0.9},
    )
    assert propose(profile, pressed_to(0.9, "solar_flare"), Outcomes()).action == "page_me"
    assert propose(profile, pressed_to(0.9, "timeout"), Outcomes()).action == "page_me"
    assert propose(profile, pressed_to(0.7, "timeout"), Outcomes()).action == "optimize_query"
    assert len(profile.rules) == 2 + len(adaptive_runtime().rules)


@pytest.mark.parametrize(
    ("rules", "actions", "text"),
    [
        (
            [Rule("latency_issue", "page_me")],
            ACTIONS,
            "rule 0 has the action 'page_me'; the profile's actions are ",
        ),
        (
            [Rule("a", "flag_for_review"), Rule("a", "health_check", Risk.HIGH)],
            ACTIONS,
            "rule 1 (a -> health_check) is never reached: rule 0 before it answers all of it",
        ),
        (
            [Rule("a", "flag_for_review", Risk.HIGH), Rule("a", "health_check")],
            ACTIONS,
            "rule 0 answers a at risk high with flag_for_review, which is less than the health_check of rule 1",
        ),
        ([], {"page_me": 0.5}, "the default action 'monitor_and_wait' is none of the profile's"),
        ([], {**ACTIONS, "page_me": 2}, "actions: page_me is 2; P(fix) is a number from 0 to 1"),
    ],
)
def test_a_profile_that_is_not_sound_is_refused(rules: list[Rule], actions: dict[str, float], text: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        adaptive_runtime(rules, actions=actions)
    assert text in str(refused.value)


def test_a_profile_is_a_value() -> None:
    assert adaptive_runtime() == adaptive_runtime()
    assert isinstance(adaptive_runtime(), Profile)
