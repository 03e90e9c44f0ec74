"""The ladder, row by row, and as whole incidents."""

from __future__ import annotations

from math import inf, nextafter

import pytest
from attrs import evolve

from treewarden.agents.core.exit import KILLED, Failed, Failure, Finished, Stopped
from treewarden.agents.core.path import Path
from treewarden.supervisor.core.action import (
    Action,
    Break,
    Escalate,
    FallBack,
    Hold,
    Restart,
    Resume,
    RollBack,
    Scope,
    SetAside,
    Throttle,
)
from treewarden.supervisor.core.case import Case
from treewarden.supervisor.core.decision import decide
from treewarden.supervisor.core.ladder import ROWS, ladder, rows
from treewarden.supervisor.core.signal import (
    Overloaded,
    RateLimitReached,
    Reported,
    RestartFailed,
    Signal,
    Stalled,
)
from treewarden.supervisor.core.spec import Backoff, Intensity, Restore, Strategy, SupervisorSpec

from .cases import PATH, SPEC, Tree, case, exited, failed, restarts

LIMITED = RateLimitReached(path=PATH, at=100.0)
STALLED = Stalled(path=PATH, at=100.0, idle=60.0, limit=30.0)
FULL = Overloaded(path=PATH, at=100.0, depth=64, capacity=64)
START = RestartFailed(path=PATH, at=100.0, failure=failed("OSError").failure)
DOWN = exited(failed("ConnectionError"), settled=1)
CRASH = exited(settled=1)
DIES = exited()
NEW = exited(failed("TypeError"))
VARIED = evolve(SPEC, variants={"before": object})

BUG, ALL_DOWN = (f"what makes siblings fail alike ({trouble})" for trouble in ("ValueError", "reported:down"))
LIMITS = "what makes it fail (rate_limited)"
REFUSED, ALL_REFUSED = "what makes it fail (ConnectionError)", "what makes siblings fail alike (ConnectionError)"


def report(severity: float, kind: str = "down") -> Reported:
    return Reported(path=PATH, at=100.0, kind=kind, severity=severity)


UNHEARD = exited(failed("ConnectionError", message="m1"))


def beside(signal: Signal, count: int) -> list[Signal]:
    """The same signal from so many siblings, then from the child itself."""
    return [*(evolve(signal, path=Path(f"desk/s{place}")) for place in range(count)), signal]


def many(count: int) -> tuple[str, ...]:
    return tuple(f"s{place}" for place in range(count))


ASK = "did not help. Start it again, change it, or stop it?"

# One case for every row, named after it.
ANSWERS: dict[str, list[tuple[Case, Action]]] = {
    "limited for ever": [
        (
            case(*[LIMITED] * 8, actions=(*[Throttle(1.0)] * 4, *[Break("it", 5.0)] * 3)),
            Hold(f"desk/a: 3 attempts {ASK}"),
        )
    ],
    "limited still": [
        (case(*[LIMITED] * 5, actions=(Throttle(1.0),) * 4), Break(LIMITS, 5.0)),
        (case(*[evolve(LIMITED, after=60.0)] * 5, actions=(Throttle(60.0),) * 4), Break(LIMITS, 60.0)),
    ],
    "rate limited": [
        (case(evolve(LIMITED, after=7.5)), Throttle(7.5)),
        (case(LIMITED), Throttle(1.0)),
        (case(LIMITED, LIMITED, LIMITED, actions=(Throttle(1.0), Throttle(2.0))), Throttle(4.0)),
    ],
    "killed": [
        (case(exited(KILLED)), Restart()),
        (case(*[exited(KILLED)] * 9, strategy=Strategy.ONE_FOR_ALL), Restart(Scope.ALL)),
    ],
    "new code": [
        (case(NEW, spec=VARIED, code_changed_at=90.0), FallBack("before", 1.0)),
        (case(CRASH, CRASH, spec=VARIED, code_changed_at=90.0), FallBack("before", 2.0)),
        (case(*beside(NEW, 9), spec=VARIED, code_changed_at=90.0, siblings=many(50)), FallBack("before", 1.0)),
    ],
    "older code": [(case(*[evolve(NEW, settled=1)] * 4, spec=VARIED), FallBack("before", 8.0))],
    "drowned": [
        (case(exited(failed("Overloaded"))), Throttle(1.0)),
        (case(exited(failed("TimeoutError")), exited(failed("TimeoutError"))), Throttle(1.0)),
        (case(FULL, exited(failed("TimeoutError"))), Throttle(1.0)),
        (case(FULL, exited(failed("TimeoutError")), exited(failed("TimeoutError")),
              actions=(Throttle(1.0), Throttle(2.0))), Throttle(4.0)),
    ],
    "siblings alike": [
        (case(*beside(DOWN, 9), siblings=many(50)), Break(ALL_REFUSED, 5.0)),
        (case(*beside(DIES, 2), siblings=many(5)), Break(BUG, 5.0)),
        (case(*[exited(failed(message=f"n{n}"), deliveries=2, path=Path(f"desk/s{n}")) for n in range(9)],
              exited(failed(message="m1"), deliveries=2)), Break(BUG, 5.0)),
        (case(*beside(CRASH, 9), CRASH, CRASH, actions=(Break(BUG, 5.0),) * 2), Break(BUG, 20.0)),
        (
            case(*beside(UNHEARD, 9), *[evolve(UNHEARD, deliveries=n) for n in (1, 2, 3)],
                 actions=(Break(ALL_REFUSED, 5.0),) * 3),
            Break(ALL_REFUSED, 40.0),
        ),
    ],
    "outside at the limit": [
        (case(DOWN, history=restarts(3), intensity=Intensity(3, 1.0)), Break(REFUSED, 5.0)),
        (case(*[exited(failed("TimeoutError"))] * 2, history=restarts(3), intensity=Intensity(3, 1.0)),
         Break("what makes it fail (TimeoutError)", 5.0)),
        (case(DOWN, DOWN, history=restarts(3), intensity=Intensity(3, 5.0)), Break(REFUSED, nextafter(5.0, inf))),
        (case(*beside(DOWN, 1), siblings=many(50), history=restarts(3), intensity=Intensity(3, 1.0)),
         Break(ALL_REFUSED, 5.0)),
        (case(DOWN, DOWN, history=restarts(3), intensity=Intensity(3, 60.0)), Break(REFUSED, nextafter(60.0, inf))),
        (case(*[evolve(UNHEARD, deliveries=n) for n in (1, 2)], history=restarts(3), intensity=Intensity(3, 1.0)),
         Break(REFUSED, 5.0)),
    ],
    "poison message": [
        (case(exited(failed(message="m1"), deliveries=2)), SetAside("m1", 1.0)),
        (case(*[exited(failed(message="m1"), deliveries=n) for n in (1, 2)]), SetAside("m1", 2.0)),
        (case(exited(failed("ConnectionError", message="m1"), deliveries=2)), SetAside("m1", 1.0)),
        (
            case(*beside(CRASH, 9), *[exited(failed(message="m1"), deliveries=n) for n in (1, 2, 3)],
                 actions=(Break(BUG, 5.0),) * 3),
            SetAside("m1", 8.0),
        ),
    ],
    "dies on its state": [
        (case(DIES, DIES, checkpoints=2), RollBack(1, 2.0)),
        (case(*[DIES] * 3, actions=(Restart(), RollBack(1)), checkpoints=2), RollBack(2, 4.0)),
        (case(*[DIES] * 4, actions=(Restart(), RollBack(1), RollBack(2)), checkpoints=2), RollBack(3, 8.0)),
        (case(*[DIES] * 4), RollBack(1, 8.0)),
        (case(*[exited(failed(message=m)) for m in ("m1", "m2")], checkpoints=1), RollBack(1, 2.0)),
        (case(CRASH, START, START, checkpoints=3), RollBack(1, 4.0)),
        (case(START, START, START, checkpoints=1), RollBack(1, 4.0)),
    ],
    "no state left": [
        (
            case(*[DIES] * 5, actions=(Restart(), RollBack(1), RollBack(2), RollBack(3)), checkpoints=2),
            Hold("desk/a: 4 attempts did not help, going back 3 checkpoints among them. "
                 "Start it again, change it, or stop it?"),
        )
    ],
    "outside again": [
        (case(*[DOWN] * 4), Break(REFUSED, 5.0)),
        (case(*[DOWN] * 7, actions=(*[Restart()] * 3, *[Break("it", 5.0)] * 3)), Break(REFUSED, 40.0)),
        (case(*[DOWN] * 4, spec=evolve(SPEC, uses=("api", "db"))), Break("api", 5.0)),
    ],
    "outside": [
        (case(DOWN), Restart(Scope.ONE, 1.0)),
        (case(DOWN, DOWN, DOWN), Restart(Scope.ONE, 4.0)),
        (case(DOWN, DOWN, DOWN, history=restarts(2), intensity=Intensity(3, 5.0)), Restart(Scope.ONE, 4.0)),
        (case(DOWN, history=restarts(1), intensity=Intensity(1, 5.0)), Restart(Scope.ONE, 1.0)),
        (case(DOWN, DOWN, history=restarts(3), intensity=Intensity(3, 3600.0)), Restart(Scope.ONE, 2.0)),
        (case(exited(failed("TimeoutError")), checkpoints=2), Restart(Scope.ONE, 1.0)),
    ],
    "out of patience": [
        (case(*[CRASH] * 7), Hold(f"desk/a: 6 attempts {ASK}")),
        (case(*[exited(Finished())] * 7), Hold(f"desk/a: 6 attempts {ASK}")),
    ],
    "wider": [
        (case(*[CRASH] * 4), Restart(Scope.REST, 8.0)),
        (case(*[CRASH] * 4, history=restarts(3), intensity=Intensity(3, 5.0)), Restart(Scope.REST, 8.0)),
        (case(*[CRASH] * 6), Restart(Scope.REST, 30.0)),
        (case(*[CRASH] * 4, strategy=Strategy.REST_FOR_ONE), Restart(Scope.ALL, 8.0)),
        (case(*[CRASH] * 4, strategy=Strategy.ONE_FOR_ALL), Restart(Scope.ALL, 8.0)),
    ],
    "out of memory": [
        (case(exited(failed("MemoryError"))), Restart(Scope.ONE, 1.0)),
        (case(*[exited(failed("MemoryError"))] * 5, checkpoints=2), Restart(Scope.ONE, 16.0)),
    ],
    "start failed": [
        (case(START), Restart(Scope.ONE, 1.0)),
        (case(CRASH, START, checkpoints=3), Restart(Scope.ONE, 2.0)),
    ],
    "supervisor gave up": [
        (case(exited(Stopped("intensity")), spec=SupervisorSpec(id="a"), spread=0.0), Restart(Scope.ONE, 0.1)),
    ],
    "ended": [
        (case(exited(Finished())), Restart(Scope.ONE, 1.0)),
        (case(exited(Stopped()), exited(Stopped())), Restart(Scope.ONE, 2.0)),
    ],
    "crash": [
        (case(), Restart(Scope.ONE, 1.0)),
        (case(CRASH, CRASH, CRASH), Restart(Scope.ONE, 4.0)),
        (case(DIES, DIES), Restart(Scope.ONE, 2.0)),
        (case(*[exited(failed(message="m1"), deliveries=1)] * 5, checkpoints=2), Restart(Scope.ONE, 16.0)),
        (case(*[DIES] * 3, spec=evolve(SPEC, restore=Restore.INITIAL), checkpoints=2), Restart(Scope.ONE, 4.0)),
        (case(DIES, exited(KILLED), exited(Finished()), DIES, checkpoints=2), Restart(Scope.ONE, 4.0)),
    ],
    "stalls on its state": [(case(STALLED, STALLED, STALLED, checkpoints=1), RollBack(1, 4.0))],
    "stalls for ever": [
        (case(STALLED, STALLED, STALLED), Hold(f"desk/a: 2 attempts {ASK}")),
    ],
    "stalled": [(case(STALLED), Restart(Scope.ONE, 1.0)), (case(STALLED, STALLED), Restart(Scope.ONE, 2.0))],
    "drowning": [
        (case(FULL, FULL, FULL, actions=(Resume(), Resume())), Throttle(1.0)),
        (case(FULL, history=restarts(3), intensity=Intensity(4, 5.0)), Throttle(1.0)),
    ],
    "overloaded": [(case(FULL), Resume()), (case(FULL, FULL, actions=(Resume(),)), Resume())],
    "all report it": [(case(*beside(report(0.7), 9), siblings=many(50)), Break(ALL_DOWN, 5.0))],
    "severe report": [
        (case(report(0.6)), Resume()),
        (case(*beside(report(0.7), 2), siblings=many(50)), Resume()),
        (case(*beside(report(0.3), 9), report(0.7)), Resume()),
    ],
    "report": [(case(report(0.1)), Resume()), (case(*beside(report(0.9), 9), report(0.2)), Resume())],
}  # fmt: skip


@pytest.mark.parametrize(
    ("row", "given", "expected"), [(row, *answer) for row, answers in ANSWERS.items() for answer in answers]
)
def test_each_row(row: str, given: Case, expected: Action) -> None:
    decision = decide(ladder(), given)
    assert (decision.rule, decision.action) == (row, expected)
    assert decision.because[0] == next(each.reason for each in ROWS if each.name == row)
    assert decision.next


def test_every_row_has_its_case() -> None:
    assert set(ANSWERS) == {row.name for row in ROWS}


def test_without_a_variant_new_code_is_restarted_like_any_other() -> None:
    decision = decide(ladder(), case(NEW, code_changed_at=90.0))
    assert (decision.rule, decision.action) == ("crash", Restart(Scope.ONE, 1.0))
    assert ("fall_back", "no variant is left") in {(other.action, other.why) for other in decision.rejected}


def test_while_the_journal_is_down_it_restarts() -> None:
    decision = decide(ladder(), case(DIES, DIES, checkpoints=2, journal_ok=False))
    assert (decision.rule, decision.action) == ("crash", Restart(Scope.ONE, 2.0))
    assert ("roll_back", "the journal cannot commit it") in {(other.action, other.why) for other in decision.rejected}


def test_delays_are_spread() -> None:
    given = case(spec=evolve(SPEC, backoff=Backoff(first=1.0, jitter=0.5)), spread=0.5)
    assert decide(ladder(), given).action == Restart(Scope.ONE, 0.75)
    assert decide(ladder(), evolve(given, signal=LIMITED)).action == Throttle(0.9)


def test_alternatives_say_what_they_would_need() -> None:
    decision = decide(ladder(), case(DIES, DIES, checkpoints=2))
    assert [(other.action, other.why) for other in decision.rejected] == [
        ("restart", "'dies on its state' comes first"),
        ("fall_back", "needs code changed in the last ten minutes and a code error or a failed attempt; a variant"),
        ("throttle", "needs an overload, or a timeout with a growing queue or a failed attempt"),
        ("break", "needs ten siblings, or three and half of all, failing in the same way"),
        ("set_aside", "needs a message that has used up its deliveries"),
        ("hold", "needs every earlier state tried"),
    ]


def test_a_poisoned_message_is_set_aside_and_not_the_agent() -> None:
    tree = Tree(ladder(), Intensity(3, 5.0))
    answers = [
        tree.meet(exited(failed(message=message), at=at, deliveries=deliveries)).action
        for at, message, deliveries in [(0.0, "m7", 1), (1.0, "m7", 2)]
    ]
    assert answers == [Restart(Scope.ONE, 1.0), SetAside("m7", 2.0)]
    assert isinstance(tree.meet(exited(failed(message="m8"), at=100.0, settled=5, deliveries=1)).action, Restart)


def test_an_agent_that_dies_after_each_restore_goes_back_until_it_asks() -> None:
    tree = Tree(ladder(), checkpoints=2)
    answers = [type(tree.meet(exited(at=60.0 * turn)).action).__name__ for turn in range(6)]
    assert answers == ["Restart", "RollBack", "RollBack", "RollBack", "Hold", "Hold"]
    assert [a.action.steps for a in tree.incidents["a"].attempts if isinstance(a.action, RollBack)] == [1, 2, 3]


def test_ten_siblings_failing_alike_are_one_dead_dependency() -> None:
    tree = Tree(ladder(), Intensity(3, 5.0), spec=evolve(SPEC, uses=("api.example.com",)), siblings=many(50))
    answers = [
        tree.meet(exited(failed("ConnectionError"), at=0.01 * place, path=Path(f"desk/s{place}"))).action
        for place in range(12)
    ]
    assert answers[9:] == [Break("api.example.com", 5.0)] * 3
    assert tree.history.count == 1


def test_ten_different_crashes_are_ten() -> None:
    tree = Tree(ladder(), Intensity(3, 5.0), siblings=many(50))
    answers = [
        tree.meet(
            exited(Failed(Failure("ValueError", fingerprint=f"f{n}")), at=0.01 * n, path=Path(f"desk/s{n}"))
        ).action
        for n in range(4)
    ]
    assert [type(answer) for answer in answers] == [Restart, Restart, Restart, Escalate]


def test_the_table_prints() -> None:
    printed = rows()
    assert len(printed) == len(ROWS)
    assert all(len(row) == 5 and all(row) for row in printed)
    assert printed[2] == (
        "rate limited",
        "a rate limit",
        "throttle for Retry-After, or 1 s, 2 s, … up to 120 s",
        "the other side asked for fewer calls: the agent works",
        "a longer throttle",
    )
