"""Agents that never run dry, under 100 seeds of crashes, kills, orders and senders that do not stop: how much is done
between two turns of everybody else, by whom, and by how many tasks."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
import trio
import trio.lowlevel
from attrs import define, field, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.errors import MailboxFull, NoSuchSlot
from treewarden.agents.orders import StopOrder
from treewarden.agents.ref import Ref
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.spec import NO_BACKOFF, Intensity
from treewarden.topologies.chaos.determinism import ordered_by, simulated_clock
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.tree import tree

from .steps import Steps
from .trees import slot_of

LOOK = 16
SLICE = 512
OFTEN = Intensity(1_000_000, 1.0)


@frozen
class Again:
    left: int


@define(eq=False)
class Heat:
    """Who has done how much since the last turn of everybody else."""

    chance: random.Random
    done: Counter[str] = field(factory=Counter[str])
    most: Counter[str] = field(factory=Counter[str])
    most_of_all: int = 0
    sent: int = 0
    most_sent: int = 0
    lives: int = 0

    def turn(self) -> None:
        for path, count in self.done.items():
            self.most[path] = max(self.most[path], count)
        self.most_of_all = max(self.most_of_all, sum(self.done.values()))
        self.most_sent = max(self.most_sent, self.sent)
        self.done.clear()
        self.sent = 0


class Hot(Agent[None]):
    """Tells itself the next message as long as there is one."""

    def __init__(self, heat: Heat) -> None:
        self.heat = heat
        heat.lives += 1

    @handles
    def again(self, message: Again) -> None:
        heat = self.heat
        heat.done[self.path] += 1
        if message.left:
            self.ref(f"/{self.life.slot.mail.path}").tell_nowait(Again(message.left - 1))
        if heat.chance.randrange(400) == 0:
            raise ValueError("hot")


async def tell_on(ref: Ref, heat: Heat) -> None:
    for _ in range(400):
        try:
            await ref.tell(Again(0), within=1000)
        except MailboxFull:
            return
        heat.sent += 1


async def burn(seed: int, heat: Heat, step: float, agents: int, shared: bool) -> int:
    chance = heat.chance
    mailbox = MailboxSpec(durability=VOLATILE, capacity=2000)

    def hot(number: int) -> Any:
        spec = child(Hot, id=f"hot-{number}", args={"heat": heat}, mailbox=mailbox, backoff=NO_BACKOFF)
        return pool(spec, 2, "shared", id=f"pool-{number}", restarts=OFTEN) if shared else spec

    blueprint = tree(*(hot(number) for number in range(agents)), policy=otp(), restarts=OFTEN)
    name = "pool" if shared else "hot"
    with trio.fail_after(100_000):
        async with open_tree(blueprint, seed=seed, clock=Steps(step)) as running:
            before = trio.lowlevel.current_statistics().tasks_living
            most = 0
            for number in range(agents):
                for _ in range(20):
                    running.ref(f"{name}-{number}").tell_nowait(Again(chance.randint(20, 3000 // agents + 20)))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(tell_on, running.ref(f"{name}-0"), heat)
                calm = 0
                for _ in range(60):
                    await trio.lowlevel.checkpoint()
                    heat.turn()
                    calm += 1
                    if calm > 4:  # whoever was killed has gone by now
                        most = max(most, trio.lowlevel.current_statistics().tasks_living - before)
                    where = f"{name}-{chance.randrange(agents)}{f'/{chance.randrange(2)}' if shared else ''}"
                    if chance.randrange(15) == 0:
                        with suppress(NoSuchSlot):
                            running.kill(where)
                        calm = 0
                    elif chance.randrange(15) == 0:
                        with suppress(NoSuchSlot):
                            slot_of(running, where).put_control(StopOrder("ordered"))
                        calm = 0
                nursery.cancel_scope.cancel()
            return most


@pytest.mark.parametrize("seed", range(100))
def test_nobody_starves_and_nobody_multiplies(seed: int) -> None:
    heat = Heat(random.Random(seed))
    step, agents, shared = (0.0, 0.0001, 0.0004)[seed % 3], (1, 3, 30)[seed // 3 % 3], seed % 7 == 6
    tasks = agents * (1 + shared)
    with ordered_by(seed):
        most = trio.run(burn, seed, heat, step, agents, shared, clock=simulated_clock())
    assert max(heat.most.values()) <= 2 * (SLICE + 2 * LOOK) + LOOK * LOOK, "512 messages, in each of two turns"
    if step:  # everybody shares two milliseconds of a round, and looks at the clock after every 16
        assert heat.most_of_all <= 2 * LOOK * (2 * tasks + 0.003 / step)
    assert heat.most_sent <= 64, "whoever tells and tells lets others run after 32"
    assert most <= 1 + tasks, "one task each, and the one that tells"
