"""A user's rule table: what answers, and what a table is refused for."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.supervisor.core.rule_table import ANY, Fault, Ground, Rule, answers, faults, reached_by
from treewarden.supervisor.core.symptom import Risk

MEND = "; answer the higher risk with as much, or the lower one with less"
LESS = "which is less than the "
THAT, THEM = "; put it before that, or leave it out", "; put it before them, or leave it out"
STRENGTH = {"wait": 0, "throttle": 1, "restart": 2, "stop": 3}


def answer(rules: list[Rule], context: str, risk: Risk, **confidence: float) -> int | None:
    first = next(answers(rules, context, risk, lambda action: confidence.get(action, 0.0)), None)
    return None if first is None else first[0]


def test_the_first_rule_that_fits_answers() -> None:
    rules = [
        Rule("crash", "stop", Risk.CRITICAL),
        Rule("crash", "restart", Risk.HIGH, 0.7),
        Rule("crash", "throttle", Risk.HIGH),
        Rule("reported", "throttle", Risk.MEDIUM),
        Rule(ANY, "wait"),
    ]
    assert answer(rules, "crash", Risk.CRITICAL) == 0
    assert answer(rules, "crash", Risk.HIGH, restart=0.7) == 1
    assert answer(rules, "crash", Risk.HIGH, restart=0.69) == 2
    assert answer(rules, "crash", Risk.MEDIUM, restart=1.0) == 4
    assert answer(rules, "reported:slow", Risk.HIGH) == 3
    assert answer(rules, "reporter", Risk.HIGH) == 4
    assert answer(rules[:2], "stalled", Risk.CRITICAL) is None
    assert faults(rules, STRENGTH) == ()


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        (
            [Rule("crash", "restart"), Rule("crash", "stop", Risk.HIGH)],
            ["rule 1 (crash -> stop) is never reached: rule 0 before it answers all of it" + THAT],
        ),
        (
            [Rule("a", "wait"), Rule(ANY, "wait", min_confidence=0.5), Rule(ANY, "wait"), Rule(ANY, "wait", Risk.HIGH)],
            ["rule 3 (any -> wait) is never reached: rules 0, 2 before it answer all of it" + THEM],
        ),
        (
            [Rule("a", "restart", min_confidence=0.4), Rule("a", "restart", min_confidence=0.6)],
            ["rule 1 (a -> restart) is never reached: rule 0 before it answers all of it" + THAT],
        ),
        (
            [Rule("a", "wait", Risk.CRITICAL), Rule("a", "restart")],
            ["rule 0 answers a at risk critical with wait, " + LESS + "restart of rule 1 at risk high" + MEND],
        ),
        (
            [Rule("a", "throttle", Risk.HIGH, 0.5), Rule("a", "restart")],
            ["rule 0 answers a at risk high with throttle, " + LESS + "restart of rule 1 at risk medium" + MEND],
        ),
        ([Rule("a", "dance")], ["rule 0 has the action 'dance', of which nobody says how far it goes"]),
    ],
)
def test_what_a_table_is_refused_for(rules: list[Rule], found: list[str]) -> None:
    assert [str(fault) for fault in faults(rules, STRENGTH)] == found


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"context": ""}, "context is ''; it must be a name"),
        ({"action": 3}, "action is 3; it must be a name"),
        ({"risk": "high"}, "risk is 'high'; use Risk.LOW"),
        ({"min_confidence": 1}, "min_confidence is 1; it must be a number from 0 up to"),
        ({"min_confidence": -0.1}, "min_confidence is -0.1; it must be"),
        ({"min_confidence": float("nan")}, "min_confidence is nan; it must be"),
        ({"min_confidence": True}, "min_confidence is True; it must be"),
    ],
)
def test_what_is_no_rule(fields: dict[str, object], text: str) -> None:
    made: dict[str, object] = {"context": "a", "action": "wait", **fields}
    with pytest.raises(ValueError, match=r".") as refused:
        Rule(**made)  # pyright: ignore[reportArgumentType]
    assert str(refused.value).startswith(text)


def test_too_many_thresholds_are_refused_and_not_guessed_at() -> None:
    rules = [Rule("a", f"act{n}", min_confidence=0.5) for n in range(20)]
    (fault,) = faults(rules, {f"act{n}": n for n in range(20)})
    assert fault == Fault(19, "makes too many minimum confidences for a to be proven sound; merge some")


NARROW = Ground(("a", "b", "c"), lambda context: RISKS[context], lambda action: "wait" if action == "stop" else action)
RISKS = {"a": (Risk.MEDIUM, Risk.HIGH), "b": tuple(Risk), "c": (Risk.LOW,)}
"""Two actions are always equally sure here, and not every risk comes with every context."""


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        (
            [Rule("a", "restart", Risk.MEDIUM), Rule("a", "wait")],
            "rule 1 (a -> wait) is never reached: rule 0 before it answers all of it; put it before that, or",
        ),
        (
            [Rule("a", "stop", Risk.CRITICAL)],
            "rule 0 (a -> stop) is never reached: a comes with risk high at most; lower its risk, or leave it out",
        ),
        (
            [Rule("b", "wait", min_confidence=0.3), Rule("b", "stop", min_confidence=0.5)],
            "rule 1 (b -> stop) is never reached: rule 0 before it answers all of it",
        ),
        (
            [Rule("a", "wait"), Rule("b", "wait"), Rule("c", "wait"), Rule(ANY, "stop")],
            "rule 3 (any -> stop) is never reached: rules 0, 1, 2 before it answer all of it",
        ),
        (
            [Rule("c", "stop"), Rule(ANY, "stop", Risk.CRITICAL), Rule("b", "restart", Risk.HIGH), Rule("b", "stop")],
            "rule 2 answers b at risk high with restart, which is less than the stop of rule 3 at risk medium",
        ),
    ],
)
def test_what_a_table_is_refused_for_where_not_everything_can_come(rules: list[Rule], found: str) -> None:
    assert [str(fault).startswith(found) for fault in faults(rules, STRENGTH, NARROW)] == [True]


LEVELS = (0.0, 0.3, 0.6)
RULES = st.lists(
    st.builds(
        Rule,
        st.sampled_from(["a", "b", ANY]),
        st.sampled_from(sorted(STRENGTH)),
        st.sampled_from(list(Risk)),
        st.sampled_from(LEVELS),
    ),
    min_size=1,
    max_size=5,
)


@given(RULES, st.sampled_from([Ground(), NARROW]))
def test_the_proof_agrees_with_trying_everything(rules: list[Rule], ground: Ground) -> None:
    reached: set[int] = set()
    weaker: set[int] = set()
    names = sorted({ground.counted_as(action) for action in STRENGTH})
    for context, levels in itertools.product("abc", itertools.product((0.0, 0.3, 0.6, 0.9), repeat=len(names))):
        sure = dict(zip(names, levels, strict=True))
        known = {action: sure[ground.counted_as(action)] for action in STRENGTH}
        given = [answer(rules, context, risk, **known) for risk in ground.risks(context)]
        reached |= {one for one in given if one is not None}
        weaker |= {
            higher
            for lower, higher in itertools.pairwise(given)
            if lower is not None
            and higher is not None
            and STRENGTH[rules[higher].action] < STRENGTH[rules[lower].action]
        }
    assert {index for index in range(len(rules)) if reached_by(rules, index, ground)} == reached
    unreached = set(range(len(rules))) - reached
    assert {fault.index for fault in faults(rules, STRENGTH, ground)} == unreached | weaker
