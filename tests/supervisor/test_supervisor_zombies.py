"""Agents that shield themselves from their cancellation: left behind, void, listed until they end."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import handles
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AgentFailed, SupervisorGone
from treewarden.supervisor.core.event import ChildEnded, ChildStarted, SupervisorEnded, SupervisorStarted
from treewarden.supervisor.core.spec import BRUTAL_KILL, ChildSpec, Grace, Intensity, RestartPolicy, Strategy
from treewarden.supervisor.journal.memory import MemoryJournal

from .puppets import (
    IN_MEMORY,
    Add,
    Puppet,
    Total,
    crash,
    dynamic,
    events,
    lives,
    puppet,
    quiet,
    running,
    states,
    tell,
    under,
)

OFTEN = Intensity(100, 1000)


@frozen
class Dig(Request[str]):
    """Cannot be cancelled for so many seconds, and changes everything at its end."""

    seconds: float = 50


class Stubborn(Puppet):
    @handles
    async def dig(self, message: Dig) -> str:
        with trio.CancelScope(shield=True):
            await trio.sleep(message.seconds)
        self.state = 1000
        return "late"


class Torn(Stubborn):
    """Its body fails while it is at something that cannot be cancelled."""

    async def run(self) -> None:
        await trio.sleep(1)
        raise ValueError("too late for anybody")


@frozen
class Call(Request[str]):
    """Ask `to` something that takes it so long, and do not be cancelled meanwhile."""

    to: str
    seconds: float
    back: str = ""
    """Whom `to` is to ask after that."""


class Caller(Stubborn):
    @handles
    async def call(self, message: Call) -> str:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 50):
            return await self.ref(message.to).ask(Wait(message.seconds, message.back), within=100)
        return "not told"


@frozen
class Wait(Request[str]):
    seconds: float
    then: str


class Slow(Puppet):
    @handles
    async def wait(self, message: Wait) -> str:
        await trio.sleep(message.seconds)
        return str(await self.ref(message.then).ask(Total())) if message.then else "waited"


def stubborn(id: str, log: list[str] | None = None, **fields: object) -> ChildSpec:
    given = {"mailbox": IN_MEMORY, "shutdown": Grace(2), **fields}
    return ChildSpec(id=id, agent=Stubborn, args={"log": [] if log is None else log}, **given)  # type: ignore[arg-type]


async def test_a_zombie_counts_for_nothing_and_its_slot_goes_on(autojump_clock: trio.testing.MockClock) -> None:
    journal = MemoryJournal()
    async with running(under(stubborn("a"), puppet("b"), restarts=OFTEN), journal) as tree:
        ref = tree.ref("a")
        await ref.tell(Add(5))
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                with pytest.raises(AgentFailed, match="killed"):
                    await ref.ask(Dig(), within=200)
                assert trio.current_time() == 1  # told at once, not when the zombie ends

            nursery.start_soon(ask)
            await quiet()
            await ref.tell(Add(7))  # waits in the mailbox while that one digs
            assert tree.kill("a")
            await trio.sleep(0.5)
            assert states(tree) == {"a": "up", "b": "up"}
            assert not tree.zombies
            await trio.sleep(1)
        assert tree.zombies == ("a",)
        assert [slot.zombie for slot in tree.snapshot()] == [True, False]
        assert lives(tree) == {"a": 2, "b": 1}
        assert await ref.ask(Total()) == 12
        await trio.sleep(60)
        assert not tree.zombies
        assert await ref.ask(Total()) == 12
        (ended,) = await events(journal, ChildEnded)
        assert isinstance(ended, ChildEnded)
        assert ended.failure is not None


async def test_a_stop_that_takes_too_long_leaves_a_zombie_and_goes_on(autojump_clock: trio.testing.MockClock) -> None:
    log: list[str] = []
    async with running(under(puppet("a", log), stubborn("b", log))) as tree:
        await tree.ref("b").tell(Dig())
        await quiet()
        tree.stop()
        await tree.wait_ended()
        assert trio.current_time() == 3  # two seconds of grace, one of being cancelled
        assert log == ["+a", "+b", "-a"]
        assert tree.zombies == ("b",)
        with pytest.raises(SupervisorGone):
            await tree.supervisor().count()
    assert trio.current_time() == 50  # its nursery is open until it has ended: no task outlives the block


async def test_a_zombie_of_a_supervisor_that_was_killed(autojump_clock: trio.testing.MockClock) -> None:
    inner = under(stubborn("x"), puppet("y"), id="s")
    async with running(under(inner, puppet("b"), restarts=OFTEN)) as tree:
        await tree.ref("s/x").tell(Dig())
        await quiet()
        tree.kill("s")
        await trio.sleep(1.5)
        assert tree.zombies == ("s/x",)
        assert lives(tree) == {"s": 2, "s/x": 2, "s/y": 2, "b": 1}
        await tree.ref("s/x").tell(Add(1))
        tree.kill("s")  # the third incarnation of x must not be taken for the first
        await quiet()
        await trio.sleep(60)
        assert not tree.zombies
        assert lives(tree) == {"s": 3, "s/x": 3, "s/y": 3, "b": 1}
        assert await tree.ref("s/x").ask(Total()) == 1


async def test_two_zombies_of_one_slot(autojump_clock: trio.testing.MockClock) -> None:
    async with running(under(stubborn("a", shutdown=BRUTAL_KILL), restarts=OFTEN)) as tree:
        for seconds in (20, 30):
            await tree.ref("a").tell(Dig(seconds))
            await quiet()
            tree.kill("a")
            await trio.sleep(2)
        assert tree.zombies == ("a", "a")
        await trio.sleep(20)
        assert tree.zombies == ("a",)
        await trio.sleep(20)
        assert tree.zombies == ()
        assert await tree.ref("a").ask(Total()) == 0


async def test_a_dropped_zombie_is_listed_too(autojump_clock: trio.testing.MockClock) -> None:
    spec = stubborn("t", restart=RestartPolicy.TEMPORARY)
    async with running(dynamic(spec)) as tree:
        ref = tree.supervisor()
        begun = await ref.start_dynamic(id="one")
        await tree.ref("one").tell(Dig())
        await quiet()
        await ref.terminate_dynamic("one", life=begun.life)
        assert not tree.snapshot()
        assert tree.zombies == ("one",)
        again = await ref.start_dynamic(id="one")
        assert (again.incarnation, again.life == begun.life) == (1, False)
        await tree.ref("one").tell(Add(3))
        await trio.sleep(60)
        assert await tree.ref("one").ask(Total()) == 3


# -- supervisors that are killed


async def test_whoever_lived_below_is_gone_before_the_next_one_starts(autojump_clock: trio.testing.MockClock) -> None:
    log: list[str] = []

    async def slow(_: object) -> None:
        await trio.sleep(1)

    below = under(puppet("u", log, args={"stopping": slow}), id="t")
    inner = under(puppet("x", log), below, id="s")
    async with running(under(inner, restarts=OFTEN)) as tree:
        log.clear()
        tree.kill("s")
        await trio.sleep(0.5)
        assert log == ["-s/t/u"]  # x died with its supervisor, t stops its children in order
        await trio.sleep(1)
        assert log == ["-s/t/u", "+s/x", "+s/t/u"]
        assert lives(tree) == {"s": 2, "s/x": 2, "s/t": 2, "s/t/u": 2}


async def test_a_supervisor_that_is_left_behind_has_its_time(autojump_clock: trio.testing.MockClock) -> None:
    async def never(_: object) -> None:
        await trio.sleep_forever()

    below = under(puppet("u", args={"stopping": never}, shutdown=Grace(1000)), id="t")
    async with running(under(under(below, id="s", shutdown=Grace(1)), restarts=OFTEN)) as tree:
        await tree.supervisor().terminate_child("s")
        assert trio.current_time() == 1 + 5


async def test_ends_are_told_from_the_top(autojump_clock: trio.testing.MockClock) -> None:
    journal = MemoryJournal()
    inner = under(puppet("x"), under(puppet("u"), id="t"), id="s")
    async with running(under(inner, strategy=Strategy.ONE_FOR_ALL, restarts=OFTEN), journal) as tree:
        tree.kill("s")
        await quiet()
        told = await events(journal, SupervisorEnded, SupervisorStarted)
        ends = [event for event in told if isinstance(event, SupervisorEnded)]
        assert [(event.path, event.exit) for event in ends] == [("s", "failed"), ("s/t", "failed")]
        begins = [(event.path, event.incarnation) for event in told if isinstance(event, SupervisorStarted)]
        assert begins == [("s/t", 1), ("s", 1), ("/", 1), ("s/t", 2), ("s", 2)]


async def test_the_number_of_lives_goes_on_over_a_restart_of_the_supervisor(
    autojump_clock: trio.testing.MockClock,
) -> None:
    journal = MemoryJournal()
    inner = under(puppet("x"), id="s", restarts=Intensity(1, 100))
    async with running(under(inner, restarts=OFTEN), journal) as tree:
        for _ in range(4):
            await crash(tree, "s/x")
        assert lives(tree) == {"s": 3, "s/x": 5}
        begun = [event for event in await events(journal, ChildStarted) if isinstance(event, ChildStarted)]
        assert [event.incarnation for event in begun if event.path == "s/x"] == [1, 2, 3, 4, 5]


async def test_who_was_added_is_gone_after_a_restart_of_the_supervisor(autojump_clock: trio.testing.MockClock) -> None:
    inner = under(puppet("x"), id="s", restarts=Intensity(0, 100))
    async with running(under(inner, restarts=OFTEN)) as tree:
        await tree.supervisor("s").start_child(puppet("added"))
        ref = tree.ref("s/added")
        await ref.tell(Add(1))
        await crash(tree, "s/x")
        assert lives(tree) == {"s": 2, "s/x": 2}
        await tree.supervisor("s").start_child(puppet("added"))
        assert await ref.ask(Total()) == 0
        assert lives(tree)["s/added"] == 1
        await tell(tree, "s/added", _nothing)


async def _nothing(_: object) -> None:
    """Still there."""


async def test_what_a_zombie_asks_is_not_what_the_next_life_waits_for(autojump_clock: trio.testing.MockClock) -> None:
    caller = ChildSpec(id="a", agent=Caller, args={"log": []}, mailbox=IN_MEMORY, shutdown=Grace(1))
    slow = [ChildSpec(id=id, agent=Slow, args={"log": []}, mailbox=IN_MEMORY) for id in ("x", "y")]
    async with running(under(caller, *slow, restarts=OFTEN)) as tree:
        ref, said = tree.ref("a"), list[str]()
        async with trio.open_nursery() as nursery:

            async def first() -> None:
                with pytest.raises(AgentFailed, match="killed"):
                    await ref.ask(Call("/x", 10, back="/a"), within=100)

            async def next_one() -> None:
                said.append(await ref.ask(Call("/y", 5), within=100))

            nursery.start_soon(first)
            await trio.sleep(1)
            assert tree.kill("a")
            await trio.sleep(1.5)
            assert tree.zombies == ("a",)
            await trio.sleep(5)
            nursery.start_soon(next_one)  # and x replies to the zombie while this one waits for y
            await trio.sleep(20)
        assert said == ["waited"]
        assert not tree.zombies
        assert lives(tree) == {"a": 2, "x": 1, "y": 1}


async def test_what_a_zombie_raises_after_the_end_of_its_tree_is_nobodys_affair(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Its body has failed long ago, and its handler ends by the cancellation of all that is left of the tree: the two
    come together, and only one of them is for whoever holds the tree."""
    torn = ChildSpec(id="a", agent=Torn, args={"log": []}, mailbox=IN_MEMORY, shutdown=Grace(1))
    async with running(under(torn)) as tree:
        tree.ref("a").tell_nowait(Dig())
        await trio.sleep(2)
    assert trio.current_time() >= 50
