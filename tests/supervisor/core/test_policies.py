"""otp() and kubernetes(): the rules that others are used to."""

from __future__ import annotations

import pytest
from hypothesis import given

from treewarden.agents.core.exit import KILLED, Finished
from treewarden.supervisor.core.action import (
    Action,
    Escalate,
    Hold,
    Recycle,
    Restart,
    Resume,
    RollBack,
    Scope,
    SetAside,
    Throttle,
)
from treewarden.supervisor.core.case import Case
from treewarden.supervisor.core.decision import Policy, decide
from treewarden.supervisor.core.policies import kubernetes, otp
from treewarden.supervisor.core.signal import (
    OperatorAsked,
    Overloaded,
    RateLimitReached,
    Reported,
    RestartFailed,
    Signal,
    Stalled,
)
from treewarden.supervisor.core.spec import Intensity, Strategy

from .cases import PATH, Tree, case, cases, exited, failed

LET_LIVE: list[Signal] = [
    Overloaded(path=PATH, at=1.0, depth=64, capacity=64),
    Reported(path=PATH, at=1.0, kind="down", severity=1.0),
]
ENDS: list[Signal] = [
    exited(),
    exited(KILLED),
    exited(Finished()),
    exited(failed(message="m1"), deliveries=9),
    RestartFailed(path=PATH, at=1.0, failure=failed().failure),
    Stalled(path=PATH, at=1.0, idle=9.0, limit=3.0),
]


@pytest.mark.parametrize("signal", ENDS)
@pytest.mark.parametrize(
    ("strategy", "scope"),
    [
        (Strategy.ONE_FOR_ONE, Scope.ONE),
        (Strategy.DYNAMIC, Scope.ONE),
        (Strategy.REST_FOR_ONE, Scope.REST),
        (Strategy.ONE_FOR_ALL, Scope.ALL),
    ],
)
def test_otp_restarts_the_declared_group_at_once(signal: Signal, strategy: Strategy, scope: Scope) -> None:
    given = case(*[signal] * 20, strategy=strategy, checkpoints=3)
    assert decide(otp(), given).action == Restart(scope, 0.0)


def test_otp_escalates_with_the_restart_that_is_one_too_many() -> None:
    tree = Tree(otp(), Intensity(3, 5.0))
    assert [type(tree.meet(exited(at=at)).action) for at in (0.0, 0.0, 0.0, 5.0)] == [Restart] * 3 + [Escalate]
    tree = Tree(otp(), Intensity(3, 5.0))
    assert all(isinstance(tree.meet(exited(at=2.0 * turn)).action, Restart) for turn in range(50))


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        (0, Restart(Scope.ONE, 10.0)),
        (1, Restart(Scope.ONE, 20.0)),
        (4, Restart(Scope.ONE, 160.0)),
        (5, Restart(Scope.ONE, 300.0)),
        (9, Restart(Scope.ONE, 300.0)),
        (10, Hold("desk/a: CrashLoopBackOff, 10 attempts did not help. Start it again?")),
    ],
)
def test_kubernetes_backs_off(failures: int, expected: Action) -> None:
    assert decide(kubernetes(), case(*[exited()] * (failures + 1), spread=0.9)).action == expected


def test_kubernetes_never_escalates() -> None:
    tree = Tree(kubernetes(), Intensity(0, 5.0))
    answers = [type(tree.meet(exited(at=1.0)).action) for _ in range(12)]
    assert answers == [Restart] * 10 + [Hold] * 2


@pytest.mark.parametrize("policy", [otp(), kubernetes()])
@pytest.mark.parametrize("signal", LET_LIVE)
def test_both_look_at_ends_only(policy: Policy, signal: Signal) -> None:
    assert decide(policy, case(signal)).action == Resume()


@pytest.mark.parametrize("policy", [otp(), kubernetes()])
def test_a_rate_limit_is_a_throttle_for_both(policy: Policy) -> None:
    limited = RateLimitReached(path=PATH, at=1.0)
    answers = [decide(policy, case(*[limited] * n, actions=(Throttle(1.0),) * n)).action for n in (1, 2, 9)]
    assert answers == [Throttle(1.0), Throttle(2.0), Throttle(120.0)]
    assert decide(policy, case(RateLimitReached(path=PATH, at=1.0, after=33.0))).action == Throttle(33.0)


@given(cases())
def test_neither_touches_state_or_messages(given: Case) -> None:
    if isinstance(given.signal, OperatorAsked):
        return
    for policy in (otp(), kubernetes()):
        assert not isinstance(decide(policy, given).action, (RollBack, SetAside, Recycle))


def test_they_say_what_they_considered() -> None:
    assert decide(otp(), case()).rejected == ()
    (other,) = decide(kubernetes(), case()).rejected
    assert (other.action, other.why) == ("hold", "needs 10 failed attempts")
