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
from treewarden.topologies import Blueprint, Tree, child, open_tree, tree

CLOCK = trio.testing.MockClock
OFTEN = Intensity(100, 1_000.0)
NEVER = Intensity(0, 1_000.0)


@frozen
class Work: ...


@frozen
class Crash: ...


@define
class Fate:
    """What the next starts come to, by the id of who starts; then they work."""

    ahead: dict[str, list[bool]] = field(factory=dict[str, list[bool]])

    def works(self, id: str) -> bool:
        ahead = self.ahead.get(id)
        return ahead.pop(0) if ahead else True


class Starter(Agent[int]):
    """Starts as its fate says; its state is not what kills it."""

    state = 0

    def __init__(self, fate: Fate) -> None:
        self.fate = fate

    async def on_start(self) -> None:
        if not self.fate.works(self.path.name):
            raise OSError("not yet")

    @handles
    def work(self, message: Work) -> None:
        self.state += 1

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
        others = tuple(each for each in blueprint.children if each.id != "b")
        anew = tuple(evolve(each, start_within=7.0) if each.id == "b" else each for each in blueprint.children)
        await running.reload(evolve(blueprint, children=anew if how == "changed" else others))


@pytest.mark.parametrize("how", ["terminated", "reloaded", "changed"])
async def test_nobody_waits_for_the_delay_of_one_who_is_given_up(how: str, autojump_clock: CLOCK) -> None:
    fate = Fate()
    members = [member("a", fate), evolve(member("b", fate), backoff=SLOWLY), member("c", fate)]
    async with open_tree(tree(*members, strategy=Strategy.ONE_FOR_ALL, restarts=OFTEN)) as running:
        running.ref("b").tell_nowait(Crash())
        assert await states(running) == {"a": "down", "b": "restarting", "c": "down"}
        await give_up(running, how)
        found = await states(running)
        wanted = {"a": "up", "b": "up" if how == "changed" else "down", "c": "up"}
        assert found == ({"a": "up", "c": "up"} if how == "reloaded" else wanted)
        await trio.sleep(100)
        assert await states(running) == found


async def fail(running: Tree) -> Mapping[str, str]:
    """Have the second one work and crash, and look at once."""
    for message in (Work(), Crash()):
        running.ref("b").tell_nowait(message)
    return await states(running)


def beside_each_other(fate: Fate, seconds: float) -> Blueprint:
    """After three failures that it was no good to be restarted for alone, one takes along those after it."""
    slowly = evolve(SLOWLY, first=seconds, most=seconds)
    members = [evolve(member(id, fate), backoff=slowly, stable_after=60.0) for id in "abcd"]
    return tree(*members, restarts=OFTEN)


@pytest.mark.parametrize("failures", [1, 3])
async def test_who_was_taken_along_is_started_though_the_next_attempt_is_for_one_alone(
    failures: int, autojump_clock: CLOCK
) -> None:
    fate = Fate()
    async with open_tree(beside_each_other(fate, 1.0)) as running:
        for _ in range(3):
            await fail(running)
            await trio.sleep(5)
        fate.ahead = {"c": [False] * failures}
        await fail(running)
        await trio.sleep(30)
        assert await states(running) == dict.fromkeys("abcd", "up")
        assert {each.path: each.incarnation for each in running.snapshot()} == {"a": 1, "b": 5, "c": 2, "d": 2}


async def test_a_person_who_starts_one_alone_starts_those_who_wait_for_it(autojump_clock: CLOCK) -> None:
    async with open_tree(beside_each_other(Fate(), 10.0)) as running:
        for _ in range(3):
            await fail(running)
            await trio.sleep(20)
        assert await fail(running) == {"a": "up", "b": "restarting", "c": "down", "d": "down"}
        running.resume("b")
        assert await states(running) == dict.fromkeys("abcd", "up")
