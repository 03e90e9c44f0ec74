"""The plan of a run: the same for a seed, within its time and budget, each fault by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.topologies.core.draws import Draws
from treewarden.topologies.core.faults import Family, Fault, matches, plan

FAULTS = st.builds(
    Fault,
    kind=st.sampled_from(["kill", "crash", "slow"]),
    family=st.just(Family.PROCESS),
    target=st.sampled_from(["*", "pool/*"]),
    rate=st.floats(0.01, 100.0),
    budget=st.integers(0, 10),
)


@given(st.lists(FAULTS, max_size=5), st.integers(0, 2**64), st.floats(0.1, 100.0))
def test_a_plan_keeps_to_its_limits(faults: list[Fault], seed: int, within: float) -> None:
    planned = plan(faults, seed, within)
    assert planned == plan(faults, seed, within)
    assert [each.at for each in planned] == sorted(each.at for each in planned)
    assert all(0 <= each.at <= within and 0 <= each.pick <= 1 for each in planned)
    for kind in {fault.kind for fault in faults}:
        budget = sum(fault.budget for fault in faults if fault.kind == kind)
        assert sum(each.kind == kind for each in planned) <= budget


@given(st.lists(FAULTS, min_size=1, max_size=5), st.integers(0, 1000))
def test_one_fault_less_leaves_the_others_where_they_were(faults: list[Fault], seed: int) -> None:
    whole = plan(faults, seed, 30.0)
    assert all(each in whole for each in plan(faults[:-1], seed, 30.0))


@given(st.integers(0, 2**64), st.text(max_size=200), st.integers(1, 1000))
def test_draws_lie_in_their_range(seed: int, name: str, bound: int) -> None:
    draws = Draws(seed, name)
    assert all(0 <= draws.share() < 1 and 0 <= draws.below(bound) < bound and draws.gap(2.0) >= 0 for _ in range(5))


def test_draws_are_the_same_for_ever() -> None:
    """A seed that is written down in a test has to come to the same faults with every Python to come."""
    draws = Draws(7, "kill", "*")
    assert [draws.below(1000) for _ in range(5)] == [87, 52, 386, 447, 284]


def test_draws_are_spread() -> None:
    draws = Draws(1, "spread")
    shares = [draws.share() for _ in range(2000)]
    assert 0.48 < sum(shares) / 2000 < 0.52
    gaps = [draws.gap(4.0) for _ in range(2000)]
    assert 0.23 < sum(gaps) / 2000 < 0.27


def test_a_long_name_counts_to_its_end() -> None:
    assert Draws(1, "x" * 100 + "a").share() != Draws(1, "x" * 100 + "b").share()


@pytest.mark.parametrize("wrong", [{"rate": 0.0}, {"rate": -1.0}, {"rate": True}, {"budget": -1}, {"budget": 1.5}])
def test_a_fault_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Fault("kill", Family.PROCESS, **wrong)  # type: ignore[arg-type]


def test_patterns_choose_in_order() -> None:
    assert matches("pool/*", ["pool/2", "desk", "pool/1"]) == ["pool/1", "pool/2"]
