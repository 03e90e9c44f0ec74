"""treewarden's own trees in worlds that are hard on them; `make chaos` does the same for longer."""

from __future__ import annotations

import inspect

import pytest
from attrs import evolve

from treewarden import topologies
from treewarden.supervisor.core.spec import Strategy
from treewarden.topologies.chaos.run import run_world
from treewarden.topologies.chaos.subjects import SUBJECTS, hard
from treewarden.topologies.chaos.world import World
from treewarden.topologies.core.routing import ROUTES


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_tree_of_ours_bears_what_comes(name: str) -> None:
    run = run_world(SUBJECTS[name].run, len(name), hard())
    assert (run.failures, run.escapes) == ((), ())


def test_every_builder_strategy_route_and_level_is_among_them() -> None:
    offered = [getattr(topologies, name) for name in topologies.__all__]
    builders = {each.__name__ for each in offered if _builds(each)}
    kinds = {name.partition("/")[0] for name in SUBJECTS}
    assert builders == {"partitions", "pipeline", "pool", "topic", "tree"}
    assert {*builders, "gather"} <= kinds
    wanted = {f"pool/{route}" for route in ROUTES} | {f"tree/{each}" for each in Strategy if each != Strategy.DYNAMIC}
    wanted |= {"nested", "dynamic", "partitions", "gather", "topic", "pipeline"}
    assert {f"{each}/{level}" for each in wanted for level in ("message", "checkpoint", "volatile")} == set(SUBJECTS)


def _builds(offered: object) -> bool:
    return inspect.isfunction(offered) and inspect.signature(offered).return_annotation == "Blueprint"


def test_what_is_gathered_was_said_by_a_quorum() -> None:
    subject = SUBJECTS["gather/message"]

    def of_one_alone(world: World) -> object:
        world.outside.effects[:] = [each for each in world.outside.effects if not each.key.startswith("t")]
        return subject.check(world)

    (failure,) = run_world(evolve(subject, check=of_one_alone).run, 1, hard()).failures
    assert "were done, and fewer than 2 had read them" in failure
