"""A case for each rule of a table in which it answers: what is printed of it, fed in, comes out by that rule."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treewarden.supervisor.core.context import risks_of
from treewarden.supervisor.core.decision import decide
from treewarden.supervisor.core.grid import grid, pressed
from treewarden.supervisor.core.reached import CONTEXTS
from treewarden.supervisor.core.rule_table import ANY, Rule, answers
from treewarden.supervisor.core.symptom import Kind, Risk, kind_of
from treewarden.supervisor.core.table import ACTIONS, Table, table

WORDS = (*CONTEXTS, ANY, "reported:slow", "reported:slow:disk", "action_failed:warm_up")
RULES = st.lists(
    st.builds(
        Rule,
        st.sampled_from(WORDS),
        st.sampled_from([*ACTIONS, "perform:warm_up", "perform:call"]),
        st.sampled_from(list(Risk)),
        st.sampled_from([0.0, 0.0, 0.3, 0.6, 0.999]),
    ),
    min_size=1,
    max_size=4,
)


def checked(policy: Table) -> None:
    for index, rule in enumerate(policy.rules):
        found = policy.reached_by(index)
        assert decide(policy, found.case).rule == f"rule {index}"
        assert rule.is_about(found.context)
        assert found.risk >= rule.risk

        def sure(action: str, own: str = rule.action, least: float = found.confidence) -> float:
            return least if action == own else 0.0

        by_what_is_printed = next(answers(policy.rules, found.context, found.risk, sure))
        assert by_what_is_printed[0] == index


@settings(max_examples=25)
@given(RULES)
def test_what_is_printed_of_a_rule_reaches_it(rules: list[Rule]) -> None:
    while rules:
        try:
            policy = table(rules)
        except ValueError as error:
            refused = {int(index) for index in re.findall(r"rule (\d+) (?:\(|can never|answers)", str(error))}
            rules = [rule for index, rule in enumerate(rules) if index not in refused]
        else:
            checked(policy)
            return


@pytest.mark.parametrize("kind", [Kind(each) for each in CONTEXTS])
def test_a_kind_of_trouble_comes_with_these_risks_and_no_others(kind: Kind) -> None:
    met = {case.context.risk for case in pressed(lambda signal: kind_of(signal) is kind)}
    assert tuple(sorted(met)) == risks_of(kind)
    few = {case.context.risk for case, _ in zip(grid(lambda signal: kind_of(signal) is kind), range(300), strict=False)}
    assert few <= met


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        (
            [Rule("finished", "hold", Risk.CRITICAL)],
            "finished comes with risk high at most; lower its",
        ),
        (
            [Rule("stalled", "hold", Risk.MEDIUM), Rule("stalled", "restart")],
            "rule 1 (stalled -> restart) is never reached: rule 0 before it answers all of it",
        ),
        (
            [Rule("crash", "restart", min_confidence=0.3), Rule("crash", "restart_all", min_confidence=0.5)],
            "rule 1 (crash -> restart_all) is never reached: rule 0 before it answers all of it",
        ),
        (
            [*(Rule(each, "hold") for each in CONTEXTS), Rule(ANY, "stop")],
            f"rule {len(CONTEXTS)} (any -> stop) is never reached: rules 0, 1, 2",
        ),
        ([Rule("reported", "resume"), Rule("crash", "recycle")], "rule 1 can never recycle after crash: hard rules"),
        ([Rule("gave_up", "roll_back")], "hard rules forbid it; use throttle, restart, restart_rest, restart_all, "),
    ],
)
def test_what_nothing_can_reach_is_refused_with_a_remedy(rules: list[Rule], text: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        table(rules)
    assert text in str(refused.value)


def test_a_report_without_a_word_is_one_that_no_rule_has_a_word_for() -> None:
    policy = table([Rule("reported:other", "hold"), Rule("reported", "resume"), Rule(ANY, "stop", Risk.CRITICAL)])
    assert [policy.reached_by(index).context for index in range(3)] == ["reported:other", "reported:another", "crash"]
