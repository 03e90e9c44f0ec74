"""Trees by chance in which several operators do what they like at once: whatever overlaps, nobody lives twice, each
call is answered, and a tree ends with all that is in it."""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import pytest
import trio
import trio.testing
from attrs import evolve, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MailboxSpec
from treewarden.agents.core.exit import Exit
from treewarden.agents.core.path import Path
from treewarden.agents.errors import Ignore, TreeFailed, TreewardenError
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
    Shutdown,
    Spec,
    Strategy,
    SupervisorSpec,
)
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.running import Tree

from .puppets import IN_MEMORY, events, running

SEEDS: Final = 120
ANSWERED_WITHIN: Final = 120.0
"""Seconds of the clock; a call may wait for several starts and stops, each of which has its limit."""


@frozen
class Crash:
    pass


class Moody(Agent[None]):
    """Does not always start, and takes its time."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    async def on_start(self) -> None:
        await trio.sleep(self.chance.choice((0, 0, 0.3, 2)))
        mood = self.chance.random()
        if mood < 0.06:
            raise RuntimeError("not today")
        if mood < 0.1:
            raise Ignore

    async def on_stop(self, exit: Exit) -> None:
        await trio.sleep(self.chance.choice((0, 0, 0.5, 3)))

    @handles
    def crash(self, message: Crash) -> None:
        raise RuntimeError("crash")


class Operators:
    """One tree of a seed, and what is done to it."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        root = self.supervisor("root", 3)
        self.blueprint = evolve(
            root, policy=self.chance.choice((otp(), ladder())), restarts=Intensity(10_000, 5), shutdown=Grace(math.inf)
        )

    # -- specs

    def shutdown(self) -> Shutdown:
        return self.chance.choice((BRUTAL_KILL, Grace(0.2), Grace(1), Grace(5), Grace(math.inf)))

    def agent(self, id: str) -> ChildSpec:
        return ChildSpec(
            id=id,
            agent=Moody,
            args={"chance": self.chance},
            restart=self.chance.choice((RestartPolicy.PERMANENT, *RestartPolicy)),
            shutdown=self.shutdown(),
            mailbox=self.chance.choice((IN_MEMORY, MailboxSpec())),
            start_within=1.0,
            backoff=self.chance.choice((NO_BACKOFF, Backoff(first=0.5, factor=2, most=2, jitter=0))),
        )

    def supervisor(self, id: str, level: int) -> SupervisorSpec:
        dynamic = level < 3 and self.chance.random() < 0.25
        ids = "x" if dynamic else self.chance.sample("abcde", self.chance.randint(1, 3))
        return SupervisorSpec(
            id=id,
            children=tuple(self.child(each, level) for each in ids),
            strategy=Strategy.DYNAMIC if dynamic else self.static(),
            restart=self.chance.choice((RestartPolicy.PERMANENT, *RestartPolicy)),
            shutdown=self.shutdown(),
            restarts=Intensity(self.chance.choice((0, 2, 5, 50)), 5),
        )

    def static(self) -> Strategy:
        return self.chance.choice((Strategy.ONE_FOR_ONE, Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE))

    def child(self, id: str, level: int) -> Spec:
        return self.supervisor(id, level - 1) if level and self.chance.random() < 0.55 else self.agent(id)

    def changed(self, spec: SupervisorSpec) -> SupervisorSpec:
        """Some are gone, some are stopped in another way, some are new, and all are in another order."""
        if spec.strategy is Strategy.DYNAMIC:
            return evolve(spec, children=(evolve(spec.children[0], shutdown=self.shutdown()),))
        kept = [
            evolve(each, shutdown=self.shutdown()) if self.chance.random() < 0.3 else each
            for each in spec.children
            if self.chance.random() < 0.7
        ]
        known = {each.id for each in kept}
        children = [*kept, *(self.child(id, 1) for id in "abcde" if id not in known and self.chance.random() < 0.2)]
        self.chance.shuffle(children)
        return evolve(spec, children=tuple(children))

    # -- what they do

    async def work(self, tree: Tree) -> None:
        for _ in range(self.chance.randint(3, 14)):
            impatience = self.chance.choice((math.inf, math.inf, 0.1, 1))
            with suppress(TreewardenError), trio.fail_after(ANSWERED_WITHIN), trio.move_on_after(impatience):
                await self.one(tree)()  # a refusal is an answer
            for _ in range(self.chance.randint(0, 6)):
                await trio.lowlevel.checkpoint()
            await trio.sleep(self.chance.choice((0, 0, 0, 2 * self.chance.random())))

    def one(self, tree: Tree) -> Callable[[], Awaitable[object]]:
        slots = tree.snapshot()
        at = self.chance.choice([Path("/"), *(slot.path for slot in slots if slot.supervisor)])
        ref = tree.supervisor(at)
        path = self.chance.choice([slot.path for slot in slots if slot.path.parent == at] or [at / "a"])
        agent = self.chance.choice([slot.path for slot in slots if not slot.supervisor] or [path])
        id, other = path.name, self.chance.choice("abcdefg")

        async def crash() -> None:
            await tree.ref(agent).tell(Crash())

        async def kill() -> None:
            tree.kill(agent)

        async def resume() -> None:
            tree.resume(path)

        async def report() -> None:
            tree.signal(agent, {"kind": "sad", "severity": "critical"})

        async def suspend() -> None:
            async with ref.suspended():
                await trio.sleep(self.chance.random())

        async def end() -> None:
            if at != Path("/"):
                await ref.stop()

        async def change() -> None:
            spec = self.blueprint if at == Path("/") else await tree.supervisor(at.parent).spec(at.name)
            if isinstance(spec, SupervisorSpec):
                await self.chance.choice((ref.reload, ref.replace))(self.changed(spec))

        return self.chance.choice(
            (
                *(lambda: ref.terminate_child(id), lambda: ref.restart_child(id), lambda: ref.delete_child(id)),
                *(lambda: ref.terminate_child(id), lambda: ref.restart_child(id), crash, crash, crash),
                *(lambda: ref.start_child(self.child(other, 2)), lambda: ref.start_dynamic({}), change, change),
                *(lambda: ref.start_dynamic({}, id=other), lambda: ref.terminate_dynamic(id), ref.children, ref.count),
                *(lambda: tree.drain(agent, within=2), lambda: tree.roll_back(agent, to=None), suspend, end, end),
                *(kill, resume, report),
            )
        )


async def overlap(seed: int, journal: MemoryJournal) -> bool:
    """Whether the tree ended in order, and was not cancelled from outside, of which nothing is noted."""
    operators = Operators(seed)
    chance, end = operators.chance, math.inf
    if chance.random() < 0.25:
        end = 12 * chance.random()
    with trio.move_on_after(end) as outside:
        async with running(operators.blueprint, journal) as tree, trio.open_nursery() as nursery:
            for _ in range(chance.randint(1, 4)):
                nursery.start_soon(operators.work, tree)
            if chance.random() < 0.2:
                await trio.sleep(10 * chance.random())
                tree.stop()
    return not outside.cancelled_caught


@pytest.mark.parametrize("first", range(0, SEEDS, 20))
def test_nobody_lives_twice_and_everybody_is_answered(first: int) -> None:
    for seed in range(first, first + 20):

        async def main(seed: int = seed) -> None:
            journal, in_order = MemoryJournal(), True
            with suppress(TreeFailed):  # more restarts than its root allows
                in_order = await overlap(seed, journal)
            alive = set[Path]()
            for each in await events(journal, ChildStarted, ChildEnded):
                assert isinstance(each, ChildStarted | ChildEnded)
                assert (each.path in alive) is isinstance(each, ChildEnded), (seed, each)
                alive ^= {each.path}
            assert not (alive and in_order), (seed, alive)

        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
