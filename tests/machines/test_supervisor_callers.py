"""Several callers at once, and agents that crash, hang and stop slowly; some callers are cancelled: 100 seeds.

The other machine does one thing after the other; here nobody waits for anybody.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import pytest
import trio
import trio.testing
from attrs import define, field, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, MailboxSpec
from treewarden.agents.core.exit import Exit, Failed, Failure, Finished, Stopped
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.path import Path
from treewarden.agents.errors import Ignore, Stop, TreewardenError
from treewarden.supervisor.core.event import ChildEnded, ChildStarted
from treewarden.supervisor.core.ladder import ladder
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.spec import (
    BRUTAL_KILL,
    NO_BACKOFF,
    Backoff,
    ChildSpec,
    Grace,
    Intensity,
    RestartPolicy,
    Strategy,
    SupervisorSpec,
)
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.chaos.determinism import ordered_by
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree

SEEDS: Final = range(100)
IDS: Final = ("a", "b", "c", "d")
CALLERS: Final = 4
CALLS: Final = 15
LONGEST: Final = 3_000.0
"""Seconds: far more than all graces and delays of a run together."""
QUIET: Final = 300.0
"""Seconds after which all delays are over, as nothing fails any more."""


@define(eq=False)
class World:
    chance: random.Random
    sick: bool = False
    """Starts may take time, fail, or be declined."""
    living: defaultdict[Path, int] = field(factory=lambda: defaultdict[Path, int](int))

    def happens(self, share: float) -> bool:
        return self.chance.random() < share


@frozen
class Do:
    what: str


class Mortal(Agent[int]):
    """Does what it is told, which is mostly its end; starts and stops slowly or not at all."""

    state = 0

    def __init__(self, world: World) -> None:
        self.world = world

    async def on_start(self) -> None:
        if not self.world.sick:
            return
        if self.world.happens(0.3):
            await trio.sleep(self.world.chance.random())
        if self.world.happens(0.3):
            raise OSError("no")
        if self.world.happens(0.05):
            raise Ignore

    async def run(self) -> None:
        self.world.living[self.path] += 1
        try:
            assert self.world.living[self.path] == 1, f"{self.path} lives twice"
            await trio.sleep_forever()
        finally:
            self.world.living[self.path] -= 1

    async def on_stop(self, exit: Exit) -> None:
        if self.world.happens(0.3):
            await trio.sleep(self.world.chance.random() * 2)

    @handles
    async def do(self, message: Do) -> None:
        self.state += 1
        match message.what:
            case "crash":
                raise RuntimeError("told to")
            case "stop":
                raise Stop
            case "wait":
                await trio.sleep(self.world.chance.random() * 4)
            case "hang":
                await trio.sleep_forever()
            case _:
                pass


# -- trees


def member(world: World, chance: random.Random, id: str) -> ChildSpec:
    return ChildSpec(
        id=id,
        agent=Mortal,
        args={"world": world},
        restart=chance.choice([*[RestartPolicy.PERMANENT] * 3, RestartPolicy.TRANSIENT, RestartPolicy.TEMPORARY]),
        shutdown=chance.choice([Grace(5), Grace(1), Grace(0), BRUTAL_KILL]),
        mailbox=MailboxSpec(capacity=3, durability=MESSAGE if id in "ab" else VOLATILE),
        backoff=chance.choice([NO_BACKOFF, NO_BACKOFF, Backoff(most=2.0)]),
        restarts=chance.choice([None, Intensity(1, 5.0)]),
        progress_within=chance.choice([None, 3.0]),
    )


def group(world: World, chance: random.Random, id: str, below: tuple[SupervisorSpec, ...] = ()) -> SupervisorSpec:
    members = [member(world, chance, each) for each in IDS if chance.random() < 0.8]
    return SupervisorSpec(
        id=id,
        children=(*members, *below),
        strategy=chance.choice([Strategy.ONE_FOR_ONE, Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE]),
        restarts=Intensity(1_000_000) if below else chance.choice([Intensity(3, 5.0), Intensity(50, 5.0)]),
        policy=chance.choice([otp(), ladder()]),
    )


def whole(world: World, chance: random.Random) -> SupervisorSpec:
    return group(world, chance, "tree", (group(world, chance, "s"), group(world, chance, "t")))


# -- what is done to them


def calls(world: World, chance: random.Random, running: Tree) -> list[Callable[[], Awaitable[Any]]]:
    above, id = chance.choice(["", "s", "t"]), chance.choice(IDS)
    supervisor, slot = running.supervisor(f"/{above}"), f"{above}/{id}" if above else id
    ends: list[Exit] = [Stopped("shutdown"), Finished(), Failed(Failure("Told", "told to", fingerprint="told"))]

    async def kill() -> None:
        running.kill(slot)

    async def resume() -> None:
        running.resume(slot)

    async def suspend() -> None:
        async with supervisor.suspended():
            await trio.sleep(chance.random())

    def tell() -> Awaitable[None]:
        what = chance.choice(["crash", "crash", "stop", "wait", "hang", "work"])
        return running.ref(slot).tell(Do(what), within=chance.random() * 10)

    return [
        *[tell] * 4,
        kill,
        resume,
        suspend,
        lambda: supervisor.start_child(member(world, chance, id)),
        lambda: supervisor.terminate_child(id),
        lambda: supervisor.restart_child(id),
        lambda: supervisor.delete_child(id),
        lambda: running.drain(slot, within=chance.random() * 5),
        lambda: running.reload(whole(world, chance)),
        lambda: running.supervisor(f"/{chance.choice('st')}").stop(chance.choice(ends)),
    ]


async def caller(world: World, chance: random.Random, running: Tree) -> None:
    for _ in range(CALLS):
        await trio.sleep(chance.random() * chance.choice([0.0, 0.01, 1.0, 5.0]))
        patience = chance.random() * 3 if chance.random() < 0.25 else LONGEST * 2
        with trio.fail_after(LONGEST), trio.move_on_after(patience), suppress(TreewardenError):
            await chance.choice(calls(world, chance, running))()


# -- what must hold


async def at_rest(running: Tree, world: World) -> None:
    """Nobody does anything any more: who runs is who is said to run, and nobody waits for what will not come."""
    await trio.sleep(QUIET)
    for path in ("/", "/s", "/t"):
        with suppress(TreewardenError), trio.fail_after(LONGEST):
            for child in await running.supervisor(path).children():
                if not child.supervisor:
                    assert world.living[child.path] == (child.state is SlotState.UP), f"{child}"
                assert child.state in (SlotState.UP, SlotState.DOWN, SlotState.HELD), f"{child}"


async def lives_in_turn(journal: MemoryJournal) -> None:
    """The journal tells of one life of a slot after the other, and of the end of each."""
    current: dict[Path, int] = {}
    after = 0
    while records := await journal.read(after, 1_000):
        after = records[-1].seq
        for event in [record.event for record in records]:
            if isinstance(event, ChildStarted):
                assert event.path not in current, f"{event} beside {current[event.path]}"
                current[event.path] = event.incarnation
            elif isinstance(event, ChildEnded):
                assert current.pop(event.path) == event.incarnation
    assert not current


async def scene(seed: int) -> None:
    chance = random.Random(seed)
    world, journal = World(random.Random(-seed)), MemoryJournal()
    async with open_tree(whole(world, chance), journal=journal, seed=seed) as running:
        world.sick = True
        async with trio.open_nursery() as nursery:
            for number in range(CALLERS):
                nursery.start_soon(caller, world, random.Random(f"{seed} {number}"), running)
        world.sick = False
        await at_rest(running, world)
        running.stop()
        with trio.fail_after(LONGEST):
            await running.wait_ended()
        await lives_in_turn(journal)
    assert not any(world.living.values())


@pytest.mark.parametrize("seed", SEEDS)
def test_calls_that_meet_leave_nobody_behind(seed: int) -> None:
    with ordered_by(seed):
        trio.run(scene, seed, clock=trio.testing.MockClock(autojump_threshold=0))
