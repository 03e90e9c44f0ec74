"""What answers a first crash at once is what the whole case would have been answered with."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.core.exit import Failed, Failure
from treewarden.agents.core.path import Path
from treewarden.supervisor.core.action import Restart
from treewarden.supervisor.core.challenger import Challenger
from treewarden.supervisor.core.decision import to_event
from treewarden.supervisor.core.event import ChildEnded, ChildStarted, DeadLettered, Decided, IncidentOpened
from treewarden.supervisor.core.first_crash import FirstCrash, folded
from treewarden.supervisor.core.history import RestartHistory
from treewarden.supervisor.core.ladder import Ladder, ladder
from treewarden.supervisor.core.named import NO_ACTIONS
from treewarden.supervisor.core.outcomes import Outcomes
from treewarden.supervisor.core.policies import Otp, otp
from treewarden.supervisor.core.spec import NO_BACKOFF, Backoff, ChildSpec, Intensity, Restore, Strategy
from treewarden.supervisor.core.window import Window, Work

from .cases import SPEC

TYPES = (
    "ValueError", "TypeError", "app.TooManyRequests", "ConnectionError", "TimeoutError", "MemoryError",
    "UnicodeDecodeError", "ServiceOverload", "app.Unknown",
)  # fmt: skip


def crash(
    policy: Ladder | Otp,
    failure: Failure,
    *,
    spec: ChildSpec = SPEC,
    strategy: Strategy = Strategy.ONE_FOR_ONE,
    spread: float = 0.5,
    settled: int = 0,
    given_up: str | None = None,
    before: FirstCrash | None = None,
    id: str = "a",
    at: float = 100.0,
) -> FirstCrash | None:
    first = policy.first(failure)
    if first is None:
        return None
    number = 1 if before is None else before.number + 1
    return FirstCrash(
        Path("desk") / id, at, 1, Failed(failure), 5.0, settled, 1, f"1.{id}", spec, strategy, ("a", "b", "c"), policy,
        Intensity(10, 5.0), NO_ACTIONS, RestartHistory(), Window(), before, number, Outcomes(), Challenger(), spread,
        first(spec, strategy, spread), given_up=given_up,
    )  # fmt: skip


@given(
    policy=st.sampled_from([ladder(), otp()]),
    kind=st.sampled_from(TYPES),
    message_kind=st.sampled_from([None, "Add", "every:poll"]),
    backoff=st.sampled_from([NO_BACKOFF, Backoff(), Backoff(first=3.0, jitter=0.5)]),
    restore=st.sampled_from(Restore),
    strategy=st.sampled_from(Strategy),
    spread=st.floats(0, 1, exclude_max=True),
    settled=st.integers(0, 2),
)
def test_it_is_what_the_whole_case_is_answered_with(
    policy: Ladder | Otp,
    kind: str,
    message_kind: str | None,
    backoff: Backoff,
    restore: Restore,
    strategy: Strategy,
    spread: float,
    settled: int,
) -> None:
    failure = Failure(kind, "unlucky", "f1", message_kind=message_kind)
    spec = ChildSpec(id="a", agent=object, backoff=backoff, restore=restore, variants={"old": object})
    found = crash(policy, failure, spec=spec, strategy=strategy, spread=spread, settled=settled)
    if found is None:
        assert (kind, policy.name) == ("ServiceOverload", "ladder")
    else:
        assert found.decision.action == found.restart
        assert isinstance(found.restart, Restart)


def test_a_ladder_with_rows_of_its_own_looks_at_the_case() -> None:
    assert Ladder(rows=ladder().rows[3:]).first(Failure("ValueError")) is None


@pytest.mark.parametrize("given_up", [None, "Add"])
@pytest.mark.parametrize("begun", [0, 2])
def test_its_facts_are_in_order_and_as_many_as_it_says(given_up: str | None, begun: int) -> None:
    found = crash(ladder(), Failure("ValueError", "unlucky", "f1"), given_up=given_up)
    assert found is not None
    found.next = begun
    kinds = [ChildEnded, IncidentOpened, Decided]
    kinds += [DeadLettered] if given_up else []
    kinds += [ChildStarted] if begun else []
    assert [type(fact) for fact in found.facts] == kinds
    assert found.count == len(found.facts)
    assert found.facts is found.facts
    assert found.facts[2] == to_event(found.decision)


def test_those_before_it_count_and_are_seen() -> None:
    failure = Failure("ValueError", "unlucky", "f1")
    one = crash(ladder(), failure, id="a", at=100.0)
    assert one is not None
    other = crash(ladder(), Failure("TypeError", "x", "f2"), id="b", at=101.0, before=one)
    assert other is not None
    assert other.decision.case.history.times == (100.0, 101.0)
    assert list(other.decision.case.window.seen) == ["f1", "f2"]
    history, window = folded(RestartHistory(), Window(), (one, other))
    assert (history, window) == (other.decision.case.history, other.decision.case.window)


def test_what_its_slot_had_done_is_remembered_without_its_ticks() -> None:
    one = crash(ladder(), Failure("ValueError", "unlucky", "f1", message_kind="Add"))
    assert one is not None
    assert one.work == Work(0, 1)
    busy = evolve(one, handled=12, ticks={"beat": 2}, kinds=2)
    assert busy.work == Work(10, 2, {"beat": 2})
    _, window = folded(RestartHistory(), Window(), (busy,))
    assert window.seen["f1"]["a"].work == busy.work
    assert busy.decision.case.window == window
