"""A user's handlers broken on purpose: what a test notices, what it does not, and what never came into play."""

from __future__ import annotations

import trio

from treewarden.topologies.chaos import World, chaos, kill
from treewarden.topologies.chaos.bodies import setting_of
from treewarden.topologies.chaos.handler_mutants import HANDLER_MUTANTS, sabotage_handlers
from treewarden.topologies.chaos.run import Setting
from treewarden.topologies.chaos.subjects import SUBJECTS, Clerk, Job, hard
from treewarden.topologies.child import child
from treewarden.topologies.tree import tree

CALM = Setting(within=0.5)


async def blind(world: World) -> None:
    """Looks at nothing."""
    await world.start(tree(child(Clerk, args={"outside": world.outside})))
    for number in range(4):
        await world.tell("clerk", Job(number))
    await trio.sleep(1.0)


async def broken(world: World) -> None:
    await world.start(tree(child(Clerk, args={"outside": world.outside})))
    world.fail("nothing", "works")


def test_a_test_that_looks_notices_all_of_them() -> None:
    said: list[str] = []
    score = sabotage_handlers(SUBJECTS["tree/one_for_all/message"].run, hard(), 40, said.append, name="own")
    assert said[-1] == f"own: {score.caught} of {score.of} caught" + said[-1].partition("caught")[2]
    assert score.good
    assert score.of >= 8


def test_a_test_that_looks_at_nothing_notices_nothing() -> None:
    said: list[str] = []
    score = sabotage_handlers(blind, CALM, 2, said.append, name="blind")
    words = {line.split()[1].rstrip(":"): line.split()[0] for line in said[:-1]}
    assert words["drop_a_message"] == words["skip_a_declaration"] == words["forget_the_state"] == "MISSED"
    assert words["swallow_an_exception"] == words["keep_to_itself"] == words["ignore_cancellation"] == "idle"
    assert words.keys() == HANDLER_MUTANTS.keys()
    assert (score.caught, score.good) == (0, False)


def test_a_test_that_fails_as_it_is_has_to_be_mended_first() -> None:
    said: list[str] = []
    assert not sabotage_handlers(broken, CALM, 2, said.append, name="broken").good
    assert said == ["broken: it fails as it is, with seed 1: mend that first"]


@chaos(seeds=3, faults=[kill(rate=2.0)], within=1.0)
async def marked(world: World) -> None:
    await blind(world)


def test_a_marked_test_says_what_it_is_run_under() -> None:
    assert setting_of(f"{__name__}:marked") == Setting(faults=(kill(rate=2.0),), within=1.0)
    assert setting_of(f"{__name__}:blind") is None
    assert setting_of("desk.toml") is None
    assert setting_of("own:tree/one_for_all/message") == hard()
