"""Rules of a user's as a policy of a supervisor."""

from __future__ import annotations

import pytest

from treewarden.agents.core.exit import Failed, Failure
from treewarden.agents.core.path import Path
from treewarden.supervisor.core.action import Hold, Restart, Scope, Throttle
from treewarden.supervisor.core.case import Case
from treewarden.supervisor.core.decision import decide
from treewarden.supervisor.core.grid import grid
from treewarden.supervisor.core.incident import open_incident
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.rule_table import ANY, Rule, reached_by
from treewarden.supervisor.core.signal import ChildExited, RateLimitReached, Reported, Signal, Stalled
from treewarden.supervisor.core.spec import ChildSpec, Strategy
from treewarden.supervisor.core.symptom import Risk, kind_of
from treewarden.supervisor.core.table import ACTIONS, Table, table

HERE = Path("desk/a")


def case(signal: Signal, strategy: Strategy = Strategy.ONE_FOR_ONE) -> Case:
    return Case(
        signal=signal,
        spec=ChildSpec(id="a", agent=object),
        strategy=strategy,
        incident=open_incident("i", signal),
        now=signal.at,
    )


CRASH = ChildExited(path=HERE, at=100.0, exit=Failed(Failure("ValueError", fingerprint="x")), uptime=1.0, settled=3)
STALL = Stalled(path=HERE, at=100.0, idle=60.0, limit=30.0)


def reported(kind: str, severity: float) -> Reported:
    return Reported(path=HERE, at=100.0, kind=kind, severity=severity)


def test_the_first_rule_that_fits_answers_and_the_ladder_where_none_does() -> None:
    policy = table(
        [Rule("reported:slow", "throttle", Risk.MEDIUM), Rule("stalled", "restart_all"), Rule("crash", "hold")]
    )
    slow = decide(policy, case(reported("slow", 0.9)))
    assert isinstance(slow.action, Throttle)
    assert (slow.rule, slow.because[0]) == ("rule 0", "reported:slow at risk high")
    assert decide(policy, case(reported("slow", 0.1))).rule == "report"
    assert decide(policy, case(reported("hot", 0.9))).rule == "severe report"
    stalled = decide(policy, case(STALL, Strategy.REST_FOR_ONE)).action
    assert isinstance(stalled, Restart)
    assert stalled.scope is Scope.REST, "a hard rule widens by one level per failed attempt, and none has failed"
    assert isinstance(decide(policy, case(CRASH)).action, Hold)


def asked(policy: Table, signal: Signal) -> str:
    action = decide(policy, case(signal)).action
    assert isinstance(action, Hold)
    return action.question


def test_a_question_says_what_was_noticed_and_what_the_rule_is_for() -> None:
    """It said `desk/a: reported:login at risk critical`, and nothing that whoever answers could do about it."""
    login = Reported(path=HERE, at=100.0, kind="login", severity=1.0, text="401: bring\na token.")
    because = table([Rule("reported:login", "hold", reason="no restart brings a token.")])
    assert asked(because, login) == (
        "desk/a: reported login 1.00: 401: bring a token, at risk critical: no restart brings a token. "
        "Start it again, change it, or stop it?"
    )
    plain = table([Rule("crash", "hold")])
    assert asked(plain, CRASH) == ("desk/a: crashed: ValueError, at risk low. Start it again, change it, or stop it?")


def test_a_question_is_bounded_however_much_was_said() -> None:
    login = Reported(path=HERE, at=100.0, kind="login", severity=1.0, text="401 " * 1000)
    assert len(asked(table([Rule("reported:login", "hold", reason="no token " * 1000)]), login)) < 450


def test_a_confidence_that_is_too_low_passes_the_rule_over_and_says_so() -> None:
    policy = table([Rule("crash", "set_aside", min_confidence=0.99), Rule("crash", "hold")], otherwise=otp())
    decision = decide(policy, case(CRASH))
    assert isinstance(decision.action, Hold)
    (aside,) = [other for other in decision.rejected if other.action == "set_aside"]
    assert aside.why.startswith("needs confidence 0.99, it is 0.")


def test_hard_rules_come_before_a_table() -> None:
    policy = table([Rule(ANY, "hold", Risk.HIGH), Rule("overloaded", "throttle")])
    limited = RateLimitReached(path=HERE, at=100.0, after=7.0)
    assert decide(policy, case(limited)).action == Throttle(7.0)


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ([Rule("crash", "resume")], "rule 0 can never resume after crash: hard rules forbid it"),
        ([Rule("rate_limited", "restart")], "rule 0 can never restart after rate_limited: hard rules forbid it"),
        ([Rule("killed", "set_aside")], "rule 0 can never set_aside after killed: hard rules forbid it"),
        ([Rule("crash", "dance")], "rule 0 has the action 'dance'; use resume, throttle, recycle, "),
        ([Rule("crsh", "hold")], "rule 0 has the context 'crsh'; use crash, killed, "),
        ([Rule("crash:odd", "hold")], "rule 0 has the context 'crash:odd'; use crash, "),
        ([Rule("reported:", "hold")], "rule 0 has the context 'reported:'; use crash, "),
        (
            [Rule("crash", "hold"), Rule("crash", "stop", Risk.HIGH)],
            "rule 1 (crash -> stop) is never reached: rule 0 before it answers all of it",
        ),
        (
            [Rule("stalled", "restart", Risk.HIGH), Rule("stalled", "roll_back")],
            "rule 0 answers stalled at risk high with restart, which is less than the roll_back of rule 1 at risk ",
        ),
    ],
)
def test_what_a_table_is_refused_for(rules: list[Rule], text: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        table(rules)
    assert text in str(refused.value)


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_can_be_written_down_for_something(action: str) -> None:
    contexts = ("crash", "stalled", "reported")
    made = 0
    for context in contexts:
        try:
            policy = table([Rule(context, action)])
        except ValueError:
            continue
        made += 1
        assert reached_by(policy.rules, 0) is not None
        assert any(
            decide(policy, each).rule == "rule 0"
            for each in grid(lambda signal: kind_of(signal) == context)  # noqa: B023
        )
    assert made
