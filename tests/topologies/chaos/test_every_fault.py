"""Each fault that there is strikes in some world, and none breaks the world that it strikes."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

import pytest
import trio
from attrs import evolve, frozen

from treewarden.agents import VOLATILE, Agent, handles
from treewarden.agents.core.durability import MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.agents.errors import TreewardenError
from treewarden.supervisor.core.spec import Intensity
from treewarden.topologies import child, tree
from treewarden.topologies.chaos import Lost, Refused, World, faults
from treewarden.topologies.chaos.injecting import KINDS
from treewarden.topologies.chaos.run import Setting, run_world

_AFTER_A_DEATH: Final = ("decision_crash", "bad_version", "kill_in_mid_restart")
OFTEN: Final = Intensity(100_000, 1.0)


@frozen
class Step:
    number: int


@frozen
class Last(Request[int]):
    pass


class Worker(Agent[int]):
    """Uses everything of the outside, keeps a checkpoint of each state, and is patient with what it is refused."""

    state = 0

    def __init__(self, world: World) -> None:
        self.world = world
        self.service = world.outside.service("carrier")
        self.model = world.outside.model("model", window=10_000)

    async def on_start(self) -> None:
        await trio.sleep(0.001)

    @handles
    async def step(self, message: Step) -> None:
        with suppress(Refused, OSError):
            await self.model.ask(10)
            await self.service.call()
            async for _ in self.service.stream("a", "b"):
                pass
        self.state = message.number
        self.checkpoint()

    @handles
    def last(self, _: Last) -> int:
        return self.state


async def busy(world: World) -> None:
    """A tree of both kinds of mailboxes, which is told something ten times a second."""
    world.may_give_up = True
    durable = child(Worker, id="durable", args={"world": world}, mailbox=MailboxSpec(deliveries=1000))
    quick = child(Worker, id="quick", args={"world": world}, mailbox=MailboxSpec(durability=VOLATILE))
    await world.start(tree(tree(durable, quick, id="desk", restarts=OFTEN), restarts=OFTEN))
    for number in range(80):
        await world.tell("desk/durable", Step(number), within=0.5)
        with suppress(TreewardenError, Lost), trio.move_on_after(0.5):
            await world.process.serve(lambda tree, number=number: _both(tree, number))
        await trio.sleep(0.05)


async def _both(tree: Any, number: int) -> None:
    for each in (number, number):
        await tree.ref("desk/quick").tell(Step(each), within=0.2)


@pytest.mark.parametrize("name", faults.NAMES)
def test_it_strikes_within_its_budget_and_breaks_nothing_else(name: str) -> None:
    made = getattr(faults, name)(rate=5.0, budget=2)
    helper = (
        faults.kill("desk/*", rate=2.0) if name in ("decision_crash", "bad_version", "kill_in_mid_restart") else None
    )
    setting = Setting(faults=tuple(each for each in (made, helper) if each is not None), within=4.0)
    struck = 0
    for seed in range(4):
        run = run_world(busy, seed, setting)
        assert (run.failures, run.details) == ((), "")
        struck += run.faults.get(made.kind, 0)
        assert len([each for each in run.injections if each.kind == made.kind]) <= 2
    assert struck > 0


def test_all_of_them_together() -> None:
    """And `--faults all` gives them."""
    assert {fault.kind for fault in faults.every_fault()} == KINDS.keys()
    setting = Setting(faults=tuple(evolve(each, budget=1) for each in faults.every_fault(rate=1.0)), within=4.0)
    runs = [run_world(busy, seed, setting) for seed in range(3)]
    assert [run.failures for run in runs] == [(), (), ()]
    assert len({kind for run in runs for kind in run.faults}) > 15
