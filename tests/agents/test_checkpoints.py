"""When the state of an agent is kept, for agents that do not keep it with every message."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import trio
from attrs import evolve, frozen
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Checkpointed, Durability
from treewarden.agents.errors import ConfigurationError, Stash
from treewarden.supervisor.core.checkpoint import Search
from treewarden.supervisor.core.event import CheckpointKept, Recorded
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.topologies.tree import tree

from .trees import Add, Bad, Counter, Disk, Gate, Held, Tally, Total, events, happened, kept, opened, slot_of


@frozen
class Keep:
    name: str


@frozen
class Fact:
    number: int


class Keeper(Counter):
    @handles
    def keep_it(self, message: Keep) -> None:
        self.state = evolve(self.state, total=self.state.total + 1)
        self.checkpoint(message.name)

    @handles
    def fact(self, message: Fact) -> None:
        self.record(message)


def states(journal: Disk) -> list[int]:
    """The totals that were written."""
    bodies = [state.body for commit in journal.seen for state in commit.states]
    return [int(body.partition('"total":')[2].partition("}")[0].partition(",")[0]) for body in bodies]


async def told(running: Any, *messages: object) -> None:
    for message in messages:
        await running.ref("keeper").tell(message)
    await wait_all_tasks_blocked()


async def test_every_so_many_messages(autojump_clock: MockClock) -> None:
    journal = Disk()
    async with opened(kept(Keeper, Checkpointed(messages=3)), journal=journal) as running:
        await told(running, *(Add(1) for _ in range(7)))
        assert states(journal) == [3, 6]
    assert states(journal) == [3, 6, 7]  # and at the end


async def test_every_so_many_seconds_after_a_change(autojump_clock: MockClock) -> None:
    journal = Disk()
    async with opened(kept(Keeper, Checkpointed(seconds=10.0)), journal=journal) as running:
        await trio.sleep(100)
        await told(running, Add(1))
        await trio.sleep(9)
        await told(running, Add(1))
        assert states(journal) == []
        await trio.sleep(1.1)
        assert states(journal) == [2]
        await trio.sleep(100)
        assert states(journal) == [2]
        await told(running, Add(1))
        await trio.sleep(10.1)
        assert states(journal) == [2, 3]
    assert states(journal) == [2, 3]


async def test_seconds_count_also_while_a_handler_takes_long(autojump_clock: MockClock) -> None:
    journal, gate = Disk(), Gate(shut=True)
    spec = kept(Keeper, Checkpointed(seconds=10.0), args={"gate": gate})
    async with opened(spec, journal=journal) as running, trio.open_nursery() as nursery:
        await told(running, Add(1))
        nursery.start_soon(partial(running.ref("keeper").ask, Held(), within=1000))
        await trio.sleep(11)
        assert (gate.entered, gate.left, states(journal)) == ([""], [], [1])
        gate.open()
        await told(running, Add(1))
        await trio.sleep(11)
        assert states(journal) == [1, 2]


async def test_whichever_comes_first(autojump_clock: MockClock) -> None:
    journal = Disk()
    async with opened(kept(Keeper, Checkpointed(messages=2, seconds=10.0)), journal=journal) as running:
        await told(running, Add(1), Add(1))
        assert states(journal) == [2]
        await trio.sleep(20)
        assert states(journal) == [2]
        await told(running, Add(1))
        await trio.sleep(11)
        assert states(journal) == [2, 3]


async def test_seconds_count_also_for_an_agent_that_records_facts(autojump_clock: MockClock) -> None:
    journal = Disk()
    async with opened(kept(Keeper, Checkpointed(seconds=10.0)), journal=journal) as running:
        await told(running, Add(1), Fact(1))
        await trio.sleep(11)
        assert states(journal) == [1]


@pytest.mark.parametrize("durability", [MESSAGE, Checkpointed(messages=100)])
async def test_a_checkpoint_by_name(durability: Durability, autojump_clock: MockClock) -> None:
    journal = Disk()
    async with opened(kept(Keeper, durability), journal=journal) as running:
        await told(running, Add(4), Keep("before the risk"), Add(8))
        by_name = Search(name="before the risk")
        (found,) = await journal.checkpoints(running.ref("keeper").path, search=by_name)
        held = await journal.checkpoint(found.number)
        assert held is not None
        assert held.state.body == '{"total":5,"seen":[4]}'
        assert [each.name for each in await events(journal, CheckpointKept)] == ["before the risk"]
        await told(running, Bad())
        await told(running, Add(16))
        assert await journal.checkpoints(running.ref("keeper").path, search=by_name) == [found]


@frozen
class Named:
    name: str
    then: str = ""


class Namer(Keeper):
    """Names the state that it is going to leave before it has left one."""

    @handles
    async def named(self, message: Named) -> None:
        self.state = evolve(self.state, total=self.state.total + 100)
        self.checkpoint(message.name)
        if message.then == "wait":
            assert self.gate is not None
            await self.gate.pass_by(message.name)
        elif message.then == "raise":
            raise ValueError(message.name)
        elif message.then == "later":
            raise Stash


async def named(journal: Disk) -> list[tuple[str, str]]:
    """The names that were kept, and which state with each."""
    found = list[tuple[str, str]]()
    for event in await events(journal, CheckpointKept):
        held = await journal.checkpoint(event.checkpoint)
        assert held is not None
        found.append((event.name, held.state.body))
    return found


async def test_a_name_waits_for_the_state_that_its_handler_leaves(autojump_clock: MockClock) -> None:
    journal, gate = Disk(), Gate(shut=True)
    spec = kept(Namer, Checkpointed(seconds=10.0), id="keeper", args={"gate": gate})
    async with opened(spec, journal=journal) as running:
        await told(running, Add(1), Named("risk", "wait"))
        await trio.sleep(11)
        assert (gate.left, states(journal), await named(journal)) == ([], [1], [])
        gate.open()
        await trio.sleep(11)
        assert await named(journal) == [("risk", '{"total":101,"seen":[1]}')]


async def test_the_name_of_a_handler_that_raises_is_given_to_nothing(autojump_clock: MockClock) -> None:
    journal = Disk()
    spec = kept(Namer, Checkpointed(seconds=10.0), id="keeper", backoff=NO_BACKOFF)
    async with opened(spec, journal=journal) as running:
        await told(running, Add(1), Named("torn", "raise"))
        await trio.sleep(11)
        assert (states(journal), await named(journal)) == ([1], [])


@pytest.mark.parametrize("durability", [MESSAGE, Checkpointed(seconds=10.0)])
async def test_the_name_of_what_is_put_aside_is_given_to_nothing(
    durability: Durability, autojump_clock: MockClock
) -> None:
    journal = Disk()
    async with opened(kept(Namer, durability, id="keeper"), journal=journal) as running:
        await told(running, Named("aside", "later"), Add(1))
        await trio.sleep(11)
        assert await named(journal) == []


async def test_a_handler_that_raises_keeps_nothing(autojump_clock: MockClock) -> None:
    class Torn(Keeper):
        @handles
        def keep_it(self, message: Keep) -> None:
            super().keep_it(message)
            raise ValueError

    journal = Disk()
    async with opened(kept(Torn, Checkpointed(messages=100), id="keeper", backoff=NO_BACKOFF), journal=journal) as run:
        await told(run, Keep("torn"), Add(1))
        await trio.sleep(1)
        await told(run, Add(1))
        assert await events(journal, CheckpointKept) == []
        assert states(journal) == []


async def test_what_is_kept_is_what_the_next_process_begins_with(autojump_clock: MockClock) -> None:
    journal = Disk()
    spec = kept(Keeper, Checkpointed(messages=3))
    with trio.CancelScope() as power:
        async with opened(spec, journal=journal) as running:
            await told(running, *(Add(1) for _ in range(5)))
            journal.broken = lambda commit: bool(commit.states)
            power.cancel()
            await trio.sleep_forever()
    journal.broken = lambda _: False
    async with opened(spec, journal=journal) as running:
        assert await running.ref("keeper").ask(Total()) == 3


async def test_a_crash_costs_nothing_that_had_settled(autojump_clock: MockClock) -> None:
    journal = Disk()
    async with opened(kept(Keeper, Checkpointed(messages=100), backoff=NO_BACKOFF), journal=journal) as running:
        await told(running, Add(3), Bad(), Add(4))
        await trio.sleep(1)
        assert await running.ref("keeper").ask(Total()) == 7
        assert states(journal) == [3]


@pytest.mark.parametrize("nested", [False, True])
async def test_a_cancelled_tree_costs_nothing_that_had_settled_also_of_who_hibernates(
    nested: bool, autojump_clock: MockClock
) -> None:
    journal = Disk()
    spec = kept(Keeper, Checkpointed(messages=100), hibernate_after=0.1)
    with trio.CancelScope() as scope:
        async with opened(tree(spec, id="desk") if nested else spec, journal=journal) as running:
            await running.ref("desk/keeper" if nested else "keeper").tell(Add(3))
            await trio.sleep(1)
            assert running.snapshot()[-1].incarnation == 1
            assert states(journal) == []
            scope.cancel()
    assert states(journal) == [3]


@pytest.mark.parametrize("durability", [Checkpointed(messages=100), Checkpointed(seconds=60.0)])
async def test_what_had_settled_is_kept_when_its_life_ends_and_nothing_comes_after_it(
    durability: Durability, autojump_clock: MockClock
) -> None:
    journal = Disk()
    async with opened(kept(Keeper, durability, backoff=NO_BACKOFF), journal=journal) as running:
        await told(running, Add(3), Bad())
        await trio.sleep(1)
        assert states(journal) == [3]
        await told(running, Add(4))
        assert running.kill("keeper")
        await trio.sleep(1)
        assert states(journal) == [3, 7]
        await trio.sleep(600)
    assert states(journal) == [3, 7]
    async with opened(kept(Keeper, durability), journal=journal) as running:
        assert await running.ref("keeper").ask(Total()) == 7


async def test_what_could_not_be_kept_at_the_end_of_a_life_is_kept_by_the_next(autojump_clock: MockClock) -> None:
    journal = Disk()
    async with opened(kept(Keeper, Checkpointed(messages=2), backoff=NO_BACKOFF), journal=journal) as running:
        await told(running, Add(3))
        journal.broken = lambda commit: bool(commit.states)
        await told(running, Bad())
        await trio.sleep(5)
        journal.broken = lambda _: False
        journal.seen.clear()
        await trio.sleep(5)
        assert states(journal) == [3]
        await trio.sleep(60)
        assert states(journal) == [3]


async def test_what_the_disk_refuses_after_the_end_of_a_life_is_kept_by_the_next(autojump_clock: MockClock) -> None:
    journal = Disk()
    async with opened(kept(Keeper, Checkpointed(messages=9), backoff=NO_BACKOFF), journal=journal) as running:
        await told(running, Add(3))
        journal.slow = True
        await told(running, Fact(1), Keep("risk"), Bad(), Fact(2))
        journal.fail("keeper")
        journal.slow = False
        await trio.sleep(60)
        assert [each.facts for each in await events(journal, Recorded)] == [{"number": 1}, {"number": 2}]
        assert await named(journal) == [("risk", '{"total":4,"seen":[3]}')]


async def test_facts_outlive_their_life_while_the_disk_is_full(autojump_clock: MockClock) -> None:
    journal = Disk()
    async with opened(kept(Keeper, Checkpointed(messages=9), backoff=NO_BACKOFF), journal=journal) as running:
        await told(running, Add(3))
        journal.broken = lambda commit: commit.by == "keeper"
        for number in range(3):
            await told(running, Fact(number), Bad())
        journal.broken = lambda _: False
        await trio.sleep(60)
        assert [each.facts["number"] for each in await events(journal, Recorded)] == [0, 1, 2]


async def test_a_state_that_cannot_be_stored_takes_nothing_along(autojump_clock: MockClock) -> None:
    class Loose(Keeper):
        @handles
        def named(self, message: Named) -> None:
            self.checkpoint(message.name)
            self.state = evolve(self.state, seen=(object(),))

    journal = Disk()
    spec = kept(Loose, Checkpointed(messages=2), id="keeper", backoff=NO_BACKOFF)
    async with opened(spec, journal=journal) as running:
        await told(running, Add(3))
        journal.broken = lambda commit: commit.by == "keeper"
        await told(running, Fact(1))
        journal.broken = lambda _: False
        await told(running, Named("torn"))
        await trio.sleep(60)
        assert slot_of(running, "keeper").state == Tally(3, (3,))
        assert [each.facts for each in await events(journal, Recorded)] == [{"number": 1}]
        assert await named(journal) == []


# -- facts


@pytest.mark.parametrize("durability", [MESSAGE, VOLATILE, Checkpointed(messages=100)])
async def test_a_fact_is_in_the_journal_whatever_the_durability(
    durability: Durability, autojump_clock: MockClock
) -> None:
    async with opened(kept(Keeper, durability)) as running:
        await told(running, Fact(7), Fact(8))
        recorded = await happened(running, Recorded, 2)
        assert [(each.path, each.kind.rpartition(":")[2], each.facts) for each in recorded] == [
            ("keeper", "Fact", {"number": 7}),
            ("keeper", "Fact", {"number": 8}),
        ]


async def test_a_fact_is_a_frozen_value(autojump_clock: MockClock) -> None:
    class Loose(Agent[None]):
        @handles
        def add(self, message: Add) -> str:
            try:
                self.record({"number": 1})
            except ConfigurationError as error:
                return str(error)
            return ""

        @handles
        def total(self, message: Total) -> str:
            return self.add(Add())

    async with opened(kept(Loose, VOLATILE)) as running:
        said = await running.ref("loose").ask(Total())
        assert str(said) == "loose: record() takes a frozen attrs value, not dict"


class Starter(Agent[Tally]):
    """Has something to say, and to keep, before its first message."""

    state = Tally()

    async def on_start(self) -> None:
        self.record(Fact(1))
        self.state = evolve(self.state, total=self.state.total + 100)
        await self.ref("counter").tell(Add(1))

    @handles
    def add(self, message: Add) -> None:
        self.state = evolve(self.state, total=self.state.total + message.amount)

    @handles
    def bad(self, message: Bad) -> None:
        raise ValueError


@pytest.mark.parametrize("durability", [MESSAGE, VOLATILE, Checkpointed(messages=1)])
async def test_what_on_start_leaves_counts(durability: Durability, autojump_clock: MockClock) -> None:
    journal = Disk()
    async with opened(
        kept(Counter, durability), kept(Starter, durability, backoff=NO_BACKOFF), journal=journal
    ) as running:
        await wait_all_tasks_blocked()
        assert slot_of(running, "starter").state == Tally(100)
        assert [each.facts for each in await events(journal, Recorded)] == [{"number": 1}]
        assert await running.ref("counter").ask(Total()) == 1
        await running.ref("starter").tell(Bad())
        await trio.sleep(1)
        await wait_all_tasks_blocked()
        assert slot_of(running, "starter").state == Tally(200 if durability is not MESSAGE else 300)
