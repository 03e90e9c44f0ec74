"""Ten worlds that nobody has thought of: races come to an end there, alike each time, and break no hard rule."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from attrs import evolve

from treewarden.topologies.recovery.contenders import CONTENDERS
from treewarden.topologies.recovery.race import Race, run_race
from treewarden.topologies.recovery.score import score
from treewarden.topologies.recovery.world import World, load_worlds

from .unseen import unseen
from .worlds import written

POLICIES = ("belief", "ladder", "kubernetes")


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, ...]:
    return load_worlds(written(tmp_path_factory.mktemp("unseen"), unseen(10)))


def races(world: World, policy: str) -> list[Race]:
    return [run_race(evolve(world, incidents=4), seed, CONTENDERS[policy]) for seed in (0, 1)]


@pytest.mark.parametrize("place", range(10))
def test_a_race_ends_in_any_world(place: int, worlds: tuple[World, ...]) -> None:
    world = worlds[place]
    rows = {policy: score(policy, races(world, policy)) for policy in POLICIES}
    for row in rows.values():
        assert row.violations == 0
        assert row.incidents == 8
        assert 0 < row.availability <= 1
        assert all(map(math.isfinite, (row.cost, row.mttr, row.brier_skill, row.ece, row.ece_debiased)))
        assert all(0 < each.stated < 1 for each in row.reliability)


@pytest.mark.parametrize("place", [1, 4])
def test_it_is_repeated_exactly(place: int, worlds: tuple[World, ...]) -> None:
    assert races(worlds[place], "belief") == races(worlds[place], "belief")


def test_the_same_seed_draws_the_same_worlds(tmp_path: Path) -> None:
    assert unseen(3, seed=4) == unseen(3, seed=4) != unseen(3, seed=5)
    assert len(load_worlds(written(tmp_path, unseen(3, seed=4)))) == 3
