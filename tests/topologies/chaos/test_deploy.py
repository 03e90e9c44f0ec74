"""Another version of an agent while the tree runs, and worlds that last for hours."""

from __future__ import annotations

import trio
from attrs import evolve, frozen

from treewarden.agents.agent import Agent, every
from treewarden.supervisor.core.event import TreeReloaded
from treewarden.topologies.chaos import World, crash, deploy, run_world
from treewarden.topologies.chaos.run import Setting
from treewarden.topologies.chaos.subjects import SUBJECTS
from treewarden.topologies.child import child
from treewarden.topologies.tree import tree

HOURS = 7200.0


@frozen
class Polls:
    n: int = 0


class Poller(Agent[Polls]):
    state = Polls()

    @every(60.0)
    async def poll(self) -> None:
        await trio.sleep(0.05)
        self.state = evolve(self.state, n=self.state.n + 1)


def test_a_version_is_deployed_while_it_works_and_stays() -> None:
    deployed: list[str] = []

    async def body(world: World) -> None:
        await SUBJECTS["tree/one_for_one/message"].run(world)
        changed = [event for _, event in world.history.events if isinstance(event, TreeReloaded) and event.changed]
        deployed.extend(str(path) for event in changed for path in event.changed)

    faults = (deploy(rate=2.0, budget=3), crash(rate=0.4))
    for seed in range(4):
        run = run_world(body, seed, Setting(faults=faults, within=4.0))
        assert not run.failures
        assert run.replayable
    assert set(deployed) == {"auditor", "clerk"}


def test_the_process_after_a_crash_runs_what_was_deployed() -> None:
    async def body(world: World) -> None:
        before = (await world.start(tree(Poller))).blueprint.children[0]
        await trio.sleep(2.0)
        assert world.process.crash(0.5)
        await trio.sleep(2.0)
        after = world.tree.blueprint.children[0]
        world.sometimes("it is another one", before is not after and world.faults["deploy"] > 0)

    runs = [run_world(body, seed, Setting(faults=(deploy(rate=2.0, budget=1),), within=1.5)) for seed in range(6)]
    assert not any(run.failed for run in runs)
    assert any(run.reached["it is another one"] for run in runs)


def test_a_run_may_last_as_long_as_its_faults_and_an_hour() -> None:
    async def body(world: World) -> None:
        await world.start(tree(*[child(Poller, id=f"p{number}") for number in range(2)]))
        await trio.sleep(HOURS)
        polls = world.disk.query("SELECT body FROM states")
        world.sometimes(
            "both have polled all the time", len(polls) == 2 and all("120" in str(body) for (body,) in polls)
        )

    run = run_world(body, 1, Setting(within=1.0))
    assert run.failures == ("the run ends: not within 3601 s of its own time",)
    run = run_world(body, 1, Setting(within=HOURS))
    assert not run.failures
    assert run.seconds > HOURS
    assert run.reached["both have polled all the time"]
