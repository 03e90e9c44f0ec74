"""How often an agent that is kept now and then is written, and under which name after the disk has refused it."""

from __future__ import annotations

from functools import partial

import pytest
import trio
from attrs import evolve, frozen
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents.agent import handles
from treewarden.agents.core.durability import MESSAGE, Checkpointed, Durability
from treewarden.supervisor.core.event import CheckpointKept, ChildEnded
from treewarden.supervisor.core.spec import NO_BACKOFF

from .trees import Add, Counter, Disk, Gate, Held, events, kept, opened


@frozen
class Keep:
    name: str


class Keeper(Counter):
    @handles
    def keep_it(self, message: Keep) -> None:
        self.state = evolve(self.state, total=self.state.total + 1)
        self.checkpoint(message.name)


@frozen
class Loosen:
    wide: int


class Starter(Keeper):
    async def on_start(self) -> None:
        self.checkpoint("begun")


async def names(journal: Disk) -> list[str]:
    return [each.name for each in await events(journal, CheckpointKept)]


@pytest.mark.parametrize(
    ("refused", "called"),
    [
        pytest.param((Add(1),), [], id="one without a name"),
        pytest.param((Keep("risk"),), ["risk"], id="a name"),
        pytest.param((Keep("risk"), Add(1)), ["risk"], id="a name and one without"),
        pytest.param((Keep("risk"), Keep("end")), ["end"], id="the last of two, for it is the state of that"),
    ],
)
async def test_what_the_disk_has_refused_is_kept_under_its_name(
    refused: tuple[object, ...], called: list[str], autojump_clock: MockClock
) -> None:
    journal = Disk()
    async with opened(kept(Keeper, Checkpointed(messages=1)), journal=journal) as running:
        journal.broken = lambda commit: commit.by == "keeper"
        for message in refused:
            await running.ref("keeper").tell(message)
        await wait_all_tasks_blocked()
        journal.broken = lambda _: False
        await trio.sleep(5)
        state = (await journal.recover(running.ref("keeper").path)).state
        assert state is not None
        assert f'"total":{len(refused)}' in state.body
        assert await names(journal) == called


async def test_each_span_ends_with_one_checkpoint(autojump_clock: MockClock) -> None:
    """However many messages settle in it."""
    journal = Disk()
    async with opened(kept(Keeper, Checkpointed(seconds=10.0)), journal=journal) as running:
        for _ in range(35):
            await running.ref("keeper").tell(Add(1))
            await trio.sleep(1)
        assert len([commit for commit in journal.of("keeper") if commit.states]) == 3


@pytest.mark.parametrize("durability", [MESSAGE, Checkpointed(messages=9)], ids=["message", "checkpoint"])
async def test_a_life_may_begin_with_a_checkpoint(durability: Durability, autojump_clock: MockClock) -> None:
    journal = Disk()
    async with opened(kept(Starter, durability), journal=journal) as running:
        await wait_all_tasks_blocked()
        assert await names(journal) == ["begun"]
        assert running.snapshot()[0].restarts == 0


async def test_what_the_disk_refuses_behind_a_life_is_kept_by_the_next_one(autojump_clock: MockClock) -> None:
    """And by nobody else: the life that has ended would write its state over a newer one."""
    journal, gate = Disk(), Gate(shut=True)
    spec = kept(Keeper, Checkpointed(messages=1), args={"gate": gate}, backoff=NO_BACKOFF)
    async with opened(spec, journal=journal) as running, trio.open_nursery() as nursery:
        keeper = running.ref("keeper")
        journal.slow = True
        await keeper.tell(Keep("risk"))
        await wait_all_tasks_blocked()
        running.kill("keeper")
        await wait_all_tasks_blocked()
        journal.slow = False
        journal.fail("keeper")
        await keeper.tell(Add(5))
        nursery.start_soon(partial(keeper.ask, Held("long"), within=1000))
        await trio.sleep(60)
        assert gate.entered == ["long"]
        written = [each.body for commit in journal.of("keeper") for each in commit.states]
        assert ['"total":6' in each for each in written] == [False, False, True]
        assert await names(journal) == ["risk"]
        gate.open()


class Loose(Keeper):
    @handles
    def loosen(self, message: Loosen) -> None:
        self.state = evolve(self.state, seen=(*range(message.wide), object()))


@pytest.mark.parametrize("wide", [0, 100_000], ids=["short", "wide"])
async def test_a_state_that_cannot_be_stored_ends_its_agent_when_the_handler_in_hand_does(
    wide: int, autojump_clock: MockClock
) -> None:
    """It is time to keep it while a handler takes long: nobody is there yet whose fault it could be."""
    journal, gate = Disk(), Gate(shut=True)
    spec = kept(Loose, Checkpointed(seconds=10.0), id="keeper", args={"gate": gate}, backoff=NO_BACKOFF)
    async with opened(spec, journal=journal) as running, trio.open_nursery() as nursery:
        await running.ref("keeper").tell(Loosen(wide))
        await wait_all_tasks_blocked()
        nursery.start_soon(partial(running.ref("keeper").ask, Held(), within=1000))
        await trio.sleep(11)
        assert await events(journal, ChildEnded) == []
        gate.open()
        await trio.sleep(1)
        (ended,) = await events(journal, ChildEnded)
        assert ended.failure is not None
        assert ended.failure.type.endswith(".ConfigurationError")
