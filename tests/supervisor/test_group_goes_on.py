"""A member of a restart group that does not start, and is given up: those behind it in the group go on without it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import trio
import trio.testing
from attrs import define, evolve, field, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.supervisor import NO_BACKOFF, Backoff, ChildSpec, Intensity, Strategy
from treewarden.supervisor.core.policies import otp
from treewarden.topologies import Tree, child, open_tree, tree

CLOCK = trio.testing.MockClock
OFTEN = Intensity(100, 1_000.0)
NEVER = Intensity(0, 1_000.0)


@frozen
class Crash: ...


@define
class Fate:
    """What the next starts come to, by the id of who starts; then they work."""

    ahead: dict[str, list[bool]] = field(factory=dict[str, list[bool]])

    def works(self, id: str) -> bool:
        ahead = self.ahead.get(id)
        return ahead.pop(0) if ahead else True


class Starter(Agent[None]):
    state = None

    def __init__(self, fate: Fate) -> None:
        self.fate = fate

    async def on_start(self) -> None:
        if not self.fate.works(self.path.name):
            raise OSError("not yet")

    @handles
    def crash(self, message: Crash) -> None:
        raise RuntimeError("told to")


def member(id: str, fate: Fate, own: Intensity | None = None) -> ChildSpec:
    mailbox = MailboxSpec(durability=VOLATILE)
    return child(Starter, id=id, args={"fate": fate}, restarts=own, backoff=NO_BACKOFF, mailbox=mailbox)


async def states(running: Tree) -> Mapping[str, str]:
    await trio.testing.wait_all_tasks_blocked()
    return {each.path: f"{each.state}" for each in running.snapshot()}


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
async def test_who_is_held_keeps_nobody_down(strategy: Strategy, autojump_clock: CLOCK) -> None:
    """Its own limit is its own affair: its neighbours have done nothing."""
    fate = Fate()
    blueprint = tree(
        member("a", fate), member("b", fate, NEVER), member("c", fate), member("d", fate),
        strategy=strategy, restarts=OFTEN, policy=otp(),
    )  # fmt: skip
    async with open_tree(blueprint) as running:
        fate.ahead = {"b": [False]}
        running.ref("a").tell_nowait(Crash())
        assert await states(running) == {"a": "up", "b": "held", "c": "up", "d": "up"}
        running.resume("b")
        assert await states(running) == dict.fromkeys("abcd", "up")


async def test_who_waited_for_another_attempt_goes_on_too(autojump_clock: CLOCK) -> None:
    """Its next attempt takes the group along, and then somebody before it does not start."""
    fate = Fate()
    blueprint = tree(
        member("a", fate, NEVER), member("b", fate), member("c", fate),
        strategy=Strategy.ONE_FOR_ALL, restarts=OFTEN, policy=otp(),
    )  # fmt: skip
    async with open_tree(blueprint) as running:
        fate.ahead = {"a": [True, False], "b": [False]}
        running.ref("c").tell_nowait(Crash())
        assert await states(running) == {"a": "held", "b": "up", "c": "up"}


SLOWLY = Backoff(first=10.0, factor=1.0, most=10.0, jitter=0.0)


async def give_up(running: Tree, how: str) -> None:
    if how == "terminated":
        await running.supervisor().terminate_child("b")
    else:
        blueprint = running.blueprint
        await running.reload(evolve(blueprint, children=tuple(each for each in blueprint.children if each.id != "b")))


@pytest.mark.parametrize("how", ["terminated", "reloaded"])
async def test_nobody_waits_for_the_delay_of_one_who_is_given_up(how: str, autojump_clock: CLOCK) -> None:
    fate = Fate()
    members = [member("a", fate), evolve(member("b", fate), backoff=SLOWLY), member("c", fate)]
    async with open_tree(tree(*members, strategy=Strategy.ONE_FOR_ALL, restarts=OFTEN)) as running:
        running.ref("b").tell_nowait(Crash())
        assert await states(running) == {"a": "down", "b": "restarting", "c": "down"}
        await give_up(running, how)
        found = await states(running)
        assert found == {"a": "up", "b": "down", "c": "up"} if how != "reloaded" else {"a": "up", "c": "up"}
        await trio.sleep(100)
        assert await states(running) == found
