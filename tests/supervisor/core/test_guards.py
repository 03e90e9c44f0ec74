"""Hard rules: what is answered without asking a policy, and what no policy can have."""

from __future__ import annotations

import math

import pytest
from attrs import evolve

from treewarden.agents.core.exit import KILLED, Exit, Failed, Failure, Finished, Stopped
from treewarden.agents.core.said import LARGEST
from treewarden.supervisor.core.action import (
    Action,
    Break,
    Escalate,
    FallBack,
    Hold,
    Perform,
    Recycle,
    Restart,
    Resume,
    RollBack,
    Scope,
    SetAside,
    Stop,
    Throttle,
    action_name,
)
from treewarden.supervisor.core.believer import belief
from treewarden.supervisor.core.case import Case, counts
from treewarden.supervisor.core.decision import (
    Declined,
    Policy,
    decide,
)
from treewarden.supervisor.core.exits import must_restart
from treewarden.supervisor.core.guards import LONGEST_WAIT, forbids, retry_after
from treewarden.supervisor.core.ladder import ladder
from treewarden.supervisor.core.named import NamedAction
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.signal import (
    ActionFailed,
    OperatorAsked,
    RateLimitReached,
    Recovered,
    Reported,
    RestartFailed,
    Stalled,
    Unanswered,
)
from treewarden.supervisor.core.spec import Intensity, RestartPolicy, Spec, Strategy, SupervisorSpec

from .cases import PATH, SPEC, Wants, answer, case, exited, failed, nothing, over

ONCE = Intensity(1, 5.0)
SLOW = Reported(path=PATH, at=100.0, kind="slow", severity=0.9)
LIMITED = RateLimitReached(path=PATH, at=100.0, after=7.0, message="m1")
START = RestartFailed(path=PATH, at=100.0, failure=failed().failure)
WARMED = ActionFailed(path=PATH, at=101.0, action="check", down=True)
ABLE = evolve(SPEC, variants={"old": object}, actions={"warm_up": NamedAction(nothing)})
TO_BE_LEFT_ALONE = "the other side asked for fewer calls; it is neither broken nor to be asked at once"


# OTP's table -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("restart", "exit", "comes_back"),
    [
        (RestartPolicy.PERMANENT, Finished(), True),
        (RestartPolicy.PERMANENT, Stopped(), True),
        (RestartPolicy.PERMANENT, failed(), True),
        (RestartPolicy.PERMANENT, KILLED, True),
        (RestartPolicy.TRANSIENT, Finished(), False),
        (RestartPolicy.TRANSIENT, Stopped(), False),
        (RestartPolicy.TRANSIENT, Stopped("intensity"), False),
        (RestartPolicy.TRANSIENT, failed(), True),
        (RestartPolicy.TRANSIENT, KILLED, True),
        (RestartPolicy.TEMPORARY, Finished(), False),
        (RestartPolicy.TEMPORARY, failed(), False),
        (RestartPolicy.TEMPORARY, KILLED, False),
    ],
)
def test_who_comes_back(restart: RestartPolicy, exit: Exit, comes_back: bool) -> None:
    spec, signal = evolve(SPEC, restart=restart), exited(exit)
    assert must_restart(restart, exit) is comes_back
    assert counts(signal, spec) is comes_back
    found = answer(case(signal, spec=spec), Restart())
    assert found == (Restart() if comes_back else Stop())


# Hard rules ------------------------------------------------------------------------------------------------------


def test_over_the_intensity_it_escalates() -> None:
    assert answer(case(intensity=ONCE, **over(tree=1)), Restart()) == Restart()
    decision = decide(Wants((Restart(),)), case(intensity=ONCE, **over(tree=2)))
    assert (decision.action, decision.rule) == (Escalate(), "intensity")
    assert decision.because[0] == "2 restarts within 5 s, and the limit is 1"
    assert answer(case(START, intensity=ONCE, **over(tree=2)), Restart()) == Escalate()
    never = decide(Wants((Restart(),)), case(intensity=Intensity(0, 5.0), **over(tree=1)))
    assert never.because[0] == "1 restart within 5 s, and the limit is 0"


def test_what_does_not_count_does_not_escalate() -> None:
    full = over(tree=2)
    for signal in (SLOW, LIMITED, Stalled(path=PATH, at=100.0, idle=9.0, limit=3.0)):
        assert answer(case(signal, intensity=ONCE, **full), Throttle(9.0)) == Throttle(9.0)
    transient = evolve(SPEC, restart=RestartPolicy.TRANSIENT)
    assert answer(case(exited(Finished()), spec=transient, intensity=ONCE, **full), Restart()) == Stop()


def test_a_policy_may_know_no_such_limit() -> None:
    policy = Wants((Restart(),), escalates=False)
    assert decide(policy, case(intensity=ONCE, **over(tree=2))).action == Restart()


def test_a_childs_own_limit_parks_it_alone() -> None:
    spec = evolve(SPEC, restarts=ONCE)
    decision = decide(Wants((Restart(),)), case(spec=spec, intensity=ONCE, **over(child=2, tree=2)))
    assert decision.rule == "own intensity"
    assert isinstance(decision.action, Hold)
    assert "desk/a has used up its own 1 restart in 5 s" in decision.action.question
    assert answer(case(spec=spec, **over(child=1, tree=1)), Restart()) == Restart(), "it may use all that it has"


def test_a_supervisor_below_has_only_the_limit_of_the_one_above() -> None:
    below = SupervisorSpec(id="a")
    assert answer(case(spec=below, intensity=ONCE, **over(child=9, tree=1)), Restart()) == Restart()
    assert answer(case(spec=below, intensity=ONCE, **over(tree=2)), Restart()) == Escalate()


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("JournalDamaged", "damaged"),
        ("treewarden.agents.errors.JournalDamaged", "damaged"),
        ("UnknownKind", "unknown version"),
    ],
)
def test_a_start_on_what_cannot_be_read_asks_a_person_and_counts_for_nobody(kind: str, rule: str) -> None:
    """Another attempt would fail alike, so it neither uses up a limit nor is ended by one that is used up."""
    start = RestartFailed(path=PATH, at=100.0, failure=Failure(kind, "row 7 is odd"), undone=1)
    given = case(start, spec=evolve(SPEC, restarts=ONCE), checkpoints=3, intensity=ONCE, **over(child=2, tree=2))
    decision = decide(Wants((Restart(),)), given)
    assert (type(decision.action), decision.rule) == (Hold, rule)
    assert decision.because[0].startswith("row 7 is odd; ")
    assert not counts(start, SPEC)


@pytest.mark.parametrize(
    ("given", "wanted", "why"),
    [
        (case(), Resume(), "it has ended, so there is nothing to let live"),
        (case(START), Resume(), "it has ended, so there is nothing to let live"),
        (case(), Recycle(), "it has ended, so there is nothing to let live"),
        (case(), FallBack("old"), "no such variant is declared"),
        (case(), FallBack(""), "no variant is left"),
        (case(), SetAside("m1"), "that message was not in hand"),
        (case(), SetAside(""), "no message was in hand"),
        (case(SLOW), SetAside("m1"), "that message was not in hand"),
        (case(), RollBack(2), "no earlier state is left"),
        (case(), RollBack(0), "a rollback goes back at least one step"),
        (case(checkpoints=2), RollBack(4), "no earlier state is left"),
        (case(spec=SupervisorSpec(id="a")), RollBack(1), "no earlier state is left"),
        (case(journal_ok=False), RollBack(1), "the journal cannot commit it"),
        (case(exited(failed(message="m1")), journal_ok=False), SetAside("m1"), "the journal cannot commit it"),
        (case(LIMITED), Restart(), TO_BE_LEFT_ALONE),
        (case(LIMITED), RollBack(1), TO_BE_LEFT_ALONE),
        (case(LIMITED), Resume(), TO_BE_LEFT_ALONE),
        (case(LIMITED, spec=ABLE), FallBack("old"), TO_BE_LEFT_ALONE),
        (case(LIMITED, spec=ABLE), Perform("warm_up"), TO_BE_LEFT_ALONE),
        (case(LIMITED), Recycle(), TO_BE_LEFT_ALONE),
        (case(spec=ABLE), FallBack("old", math.nan), "nan is no waiting time"),
        (case(spec=ABLE), Perform("warm_up", math.nan), "nan is no waiting time"),
        (case(spec=SupervisorSpec(id="a")), FallBack("old"), "no such variant is declared"),
        (case(), Perform("warm_up"), "no action of this name is registered here"),
        (case(), RollBack(1, math.nan), "nan is no waiting time"),
        (case(exited(failed(message="m1"))), SetAside("m1", -1.0), "-1.0 is no waiting time"),
        (case(exited(failed(message="m1"))), SetAside(""), "no message was in hand"),
        (case(exited(failed(message=""))), SetAside(""), "no message was in hand"),
        (case(), Break("", 5.0), "it names no dependency"),
        (case(), Restart(Scope.ONE, math.nan), "nan is no waiting time"),
        (case(), Break("api", -1.0), "-1.0 is no waiting time"),
        (case(SLOW), Throttle(math.inf), "inf is no waiting time"),
        (case(SLOW), Throttle(10**400), f"1{'0' * 76}... is no waiting time"),
    ],
)
def test_what_is_forbidden(given: Case, wanted: Action, why: str) -> None:
    assert forbids(given, wanted) == why
    decision = decide(Wants((wanted, Hold("?"))), given)
    assert decision.action == Hold("?")
    assert decision.passed_over == (Declined(action_name(wanted), why),)
    assert decision.rejected[0].why == why
    assert 0.0 <= decision.rejected[0].confidence <= 1.0


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (case(exited(failed(message="m1"))), SetAside("m1")),
        (case(LIMITED), SetAside("m1", 9.0)),
        (case(), RollBack(1)),
        (case(checkpoints=2), RollBack(3)),
        (case(SLOW), Resume()),
        (case(SLOW), Recycle()),
        (case(), Stop()),
        (case(), Escalate("policy")),
        (case(), Break("api", 5.0)),
        (case(), Restart(Scope.ONE, LARGEST)),
        (case(spec=ABLE), FallBack("old")),
        (case(spec=ABLE), Perform("warm_up")),
        (case(exited(), exited(), actions=(Perform("warm_up"),), spec=ABLE), Perform("warm_up")),
        (case(exited(), WARMED, actions=(Restart(),), spec=ABLE), Perform("warm_up")),
    ],
)
def test_what_is_allowed(given: Case, wanted: Action) -> None:
    assert answer(given, wanted) == wanted


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (case(), Restart(Scope.ONE, 1.0)),
        (case(exited(), exited()), Restart(Scope.ONE, 2.0)),
        (case(strategy=Strategy.REST_FOR_ONE), Restart(Scope.REST, 1.0)),
        (case(SLOW), Resume()),
        (case(RateLimitReached(path=PATH, at=1.0)), Throttle(1.0)),
        (case(LIMITED), Throttle(7.0)),
    ],
)
def test_what_happens_if_nothing_proposed_may_be_done(given: Case, expected: Action) -> None:
    decision = decide(Wants((RollBack(0), SetAside(""))), given)
    assert (decision.action, decision.rule) == (expected, "last resort")
    assert decide(Wants(()), given).action == expected


@pytest.mark.parametrize(
    ("after", "waits"),
    [
        (7.0, 7.0),
        (0.25, 0.25),
        (0.0, 0.0),
        (-3.0, 0.0),
        (math.nan, 0.0),
        (math.inf, 0.0),
        (1e9, LONGEST_WAIT),
        (LARGEST, LONGEST_WAIT),
        (None, 0.0),
    ],
)
def test_a_retry_after_is_obeyed(after: float | None, waits: float) -> None:
    limited = case(RateLimitReached(path=PATH, at=1.0, after=after))
    assert retry_after(limited) == waits
    assert answer(limited, Throttle(1.0)) == Throttle(max(1.0, waits))
    assert answer(limited, Break("api", 1.0)) == Break("api", max(1.0, waits))
    ended = case(exited(failed("desk.Busy", message="m1", after=after)))
    assert answer(ended, Restart()) == Restart(Scope.ONE, waits)
    assert answer(ended, RollBack(1)) == RollBack(1, waits)
    assert answer(ended, SetAside("m1")) == SetAside("m1", waits)
    assert decide(otp(), ended).action == Restart(Scope.ONE, waits)


@pytest.mark.parametrize(
    ("strategy", "failures", "wanted", "scope"),
    [
        (Strategy.ONE_FOR_ALL, 0, Scope.ONE, Scope.ALL),
        (Strategy.REST_FOR_ONE, 0, Scope.ONE, Scope.REST),
        (Strategy.ONE_FOR_ONE, 0, Scope.ALL, Scope.ONE),
        (Strategy.ONE_FOR_ONE, 1, Scope.ALL, Scope.REST),
        (Strategy.ONE_FOR_ONE, 2, Scope.ALL, Scope.ALL),
        (Strategy.ONE_FOR_ONE, 2, Scope.REST, Scope.REST),
        (Strategy.REST_FOR_ONE, 1, Scope.ALL, Scope.ALL),
    ],
)
def test_a_scope_is_never_narrower_and_widens_by_one_level_per_failure(
    strategy: Strategy, failures: int, wanted: Scope, scope: Scope
) -> None:
    given = case(*[exited()] * (failures + 1), strategy=strategy)
    assert answer(given, Restart(wanted)) == Restart(scope)


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("restart", Restart(Scope.REST)),
        ("resume", Restart(Scope.REST)),
        ("release", Restart(Scope.REST)),
        ("hold", Hold("ada holds desk/a. Start it?")),
        ("stop", Stop()),
        ("recycle", Recycle()),
        ("roll_back", RollBack(1)),
        ("dance", Resume()),
    ],
)
def test_an_operator_is_obeyed(what: str, expected: Action) -> None:
    given = case(OperatorAsked(path=PATH, at=1.0, what=what, by="ada"), strategy=Strategy.REST_FOR_ONE)
    decision = decide(otp(), given)
    assert (decision.action, decision.rule) == (expected, "operator")
    assert decision.because[0].startswith("ada asked for")


def test_a_hold_gives_the_reason_of_whoever_asked_for_it() -> None:
    asked = OperatorAsked(path=PATH, at=1.0, what="hold", by="ada", text="the disk\nis changed")
    assert decide(otp(), case(asked)).action == Hold("ada holds desk/a: the disk is changed. Start it?")


@pytest.mark.parametrize(
    ("spec", "lives", "asked"),
    [
        (SPEC, True, "Start it?"),  # it is stopped for that
        (SPEC, False, "Start it?"),
        (SupervisorSpec(id="a"), True, "Let it go on?"),
        (SupervisorSpec(id="a"), False, "Start it?"),
    ],
)
def test_a_hold_asks_for_what_can_be_answered(spec: Spec, lives: bool, asked: str) -> None:
    hold = OperatorAsked(path=PATH, at=1.0, what="hold", by="ada", lives=lives)
    assert decide(otp(), case(hold, spec=spec)).action == Hold(f"ada holds desk/a. {asked}")


@pytest.mark.parametrize("what", ["resume", "release"])
def test_a_supervisor_that_lives_goes_on_and_does_not_begin_anew(what: str) -> None:
    asked = OperatorAsked(path=PATH, at=1.0, what=what, lives=True)
    assert decide(otp(), case(asked, spec=SupervisorSpec(id="a"))).action == Resume()
    assert decide(otp(), case(asked)).action == Restart()
    assert decide(otp(), case(evolve(asked, lives=False), spec=SupervisorSpec(id="a"))).action == Restart()
    assert decide(otp(), case(evolve(asked, what="restart"), spec=SupervisorSpec(id="a"))).action == Restart()


def test_an_operator_cannot_roll_back_what_has_no_state() -> None:
    asked = OperatorAsked(path=PATH, at=1.0, what="roll_back")
    assert decide(otp(), case(asked, journal_ok=False)).action == Resume()
    assert decide(otp(), case(asked, spec=SupervisorSpec(id="a"))).action == Resume()


@pytest.mark.parametrize(
    ("over", "waits"),
    [
        ((), "it waits until a person decides"),
        (("operator:hold",), "it waits until a person decides"),
        (("operator:hold", "overloaded"), "it waits until a person decides"),
        (("overloaded",), "it waits until a person decides, or overloaded is over"),
        (("reported:poor", "stalled"), "it waits until a person decides, or reported:poor and stalled are over"),
    ],
)
def test_what_a_question_waits_for_is_what_can_come(over: tuple[str, ...], waits: str) -> None:
    """Of a supervisor that a person holds it said `or operator:hold is over`, which nobody can report."""
    asked = Unanswered(path=PATH, at=1.0, question="Start it?", over=over)
    assert decide(ladder(), case(asked, spec=SupervisorSpec(id="a"))).next == waits


@pytest.mark.parametrize("policy", [otp(), ladder(), belief(), Wants((Restart(),))])
def test_what_an_earlier_process_had_decided_needs_no_policy(policy: Policy) -> None:
    for troubles in ((), ("reported:poor", "stalled")):
        asked = decide(policy, case(Unanswered(path=PATH, at=1.0, question="Start it?", ago=7.0, over=troubles)))
        assert (asked.action, asked.rule) == (Hold("Start it?"), "asked before")
        assert asked.because[0].startswith("it was asked 7 s ago, in an earlier process")
        assert asked.next.endswith(", or reported:poor and stalled are over") is bool(troubles)
        assert (asked.case.down, asked.context.symptoms) == (not troubles, ())
        assert 0 <= asked.confidence <= 1
    failed_start = RestartFailed(path=PATH, at=1.0, failure=Failure("ValueError"), undone=2)
    undone = decide(policy, case(failed_start, checkpoints=3))
    assert (undone.action, undone.rule) == (RollBack(2), "decided before")


def test_a_recovery_needs_nothing() -> None:
    decision = decide(Wants((Restart(),)), case(Recovered(path=PATH, at=1.0, kind="slow")))
    assert (decision.action, decision.confidence) == (Resume(), 1.0)


def test_a_life_whose_settle_was_not_kept_begins_again_and_nothing_else() -> None:
    ended = exited(failed("CommitFailed"))
    for lives in (1, 3, 8):
        decision = decide(ladder(), case(*[ended] * lives, checkpoints=3, intensity=Intensity(0, 5.0)))
        assert isinstance(decision.action, Restart), "no rollback, no hold, no escalation: the disk is to blame"
        assert decision.rule == "journal fails"
        assert decision.action.after == min(10.0, 0.5 * 2 ** (lives - 1))
    assert not counts(ended, SPEC)


@pytest.mark.parametrize("handling", ["every:tick", "at:tick"])
def test_what_a_life_died_on_is_not_its_state(handling: str) -> None:
    tick = Failed(Failure("ValueError", "nonsense", "f", message_kind=handling))
    assert isinstance(decide(ladder(), case(*[exited(tick)] * 4, checkpoints=3)).action, Restart)
    unborn = RestartFailed(path=PATH, at=100.0, failure=Failure("ValueError", "no host", "f", unborn=True))
    assert isinstance(decide(ladder(), case(exited(), unborn, unborn, unborn, checkpoints=3)).action, Restart)


def test_a_slot_that_is_down_may_be_started_with_its_intake_closed_or_as_a_declared_variant() -> None:
    assert forbids(case(), Throttle(5.0)) == ""
    assert forbids(case(spec=evolve(SPEC, variants={"old": object})), FallBack("old")) == ""
