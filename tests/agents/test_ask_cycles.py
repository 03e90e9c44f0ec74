"""Asks that would wait for each other are errors, and only those are."""

from __future__ import annotations

import gc
from functools import partial
from typing import Any

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents.agent import Agent, handles
from treewarden.agents.asking import Answer
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AskCycle, AskTimeout
from treewarden.topologies.running import Tree

from .trees import Gate, kept, opened, slot_of


@frozen
class Visit(Request[str]):
    """Ask the first of `route` to visit the rest, and reply with the way taken."""

    route: tuple[str, ...] = ()
    at: str = ""
    """Wait at the gate before asking on."""
    within: float = 5.0


@frozen
class Tour(Request[str]):
    """Visit all of `places` at the same time."""

    places: tuple[str, ...]


@frozen
class Go:
    """As `Visit`, told."""

    route: tuple[str, ...]


class Walker(Agent[None]):
    def __init__(self, gates: dict[str, Gate]) -> None:
        self.gates = gates
        self.errors: list[str] = []

    @handles
    async def visit(self, message: Visit) -> str:
        if message.at == self.path:
            await self.gates[message.at].pass_by(self.path)
        if not message.route:
            return self.path
        rest = Visit(message.route[1:], message.at, message.within)
        try:
            return f"{self.path} {await self.ref(message.route[0]).ask(rest, within=message.within)}"
        except AskCycle as error:
            return f"{self.path}: {error}"

    @handles
    async def tour(self, message: Tour) -> str:
        found: list[str] = []

        async def visit(place: str) -> None:
            found.append(await self.ref(place).ask(Visit()))

        async with trio.open_nursery() as nursery:
            for place in message.places:
                nursery.start_soon(visit, place)
        return " ".join(sorted(found))

    @handles
    async def go(self, message: Go) -> None:
        await self.ref(message.route[0]).tell(Go(message.route[1:])) if message.route else None


def walkers(durability: Durability, *names: str, gates: dict[str, Gate] | None = None) -> list[Any]:
    return [kept(Walker, durability, id=name, args={"gates": gates or {}}) for name in names]


@pytest.fixture(params=[MESSAGE, VOLATILE], ids=["durable", "volatile"])
def durability(request: pytest.FixtureRequest) -> Durability:
    return request.param


async def test_a_chain_that_does_not_come_back(durability: Durability, autojump_clock: MockClock) -> None:
    async with opened(*walkers(durability, "a", "b", "c")) as running:
        assert await running.ref("a").ask(Visit(("b", "c"))) == "a b c"
        assert slot_of(running, "a").waiting_on == []


@pytest.mark.parametrize(
    ("route", "cycle"),
    [
        (("a",), "a asks a"),
        (("b", "a"), "a asks b asks a"),
        (("b", "c", "a"), "a asks b asks c asks a"),
        (("b", "c", "b"), "b asks c asks b"),
    ],
)
async def test_a_chain_that_comes_back_is_an_error_at_once(
    route: tuple[str, ...], cycle: str, durability: Durability, autojump_clock: MockClock
) -> None:
    async with opened(*walkers(durability, "a", "b", "c")) as running:
        before = trio.current_time()
        said = await running.ref("a").ask(Visit(route))
        assert f"asking would wait for itself: {cycle}; tell instead of ask somewhere along this cycle" in said
        assert trio.current_time() == before


async def test_telling_in_a_circle_is_none(durability: Durability, autojump_clock: MockClock) -> None:
    async with opened(*walkers(durability, "a", "b")) as running:
        await running.ref("a").tell(Go(("b", "a", "b", "a")))
        await wait_all_tasks_blocked()
        assert slot_of(running, "a").handled == 3


async def gather(running: Tree, to: str, message: Request[str], said: dict[str, str]) -> None:
    said[to] = await running.ref(to).ask(message, within=60)


async def test_two_chains_that_meet_are_a_cycle_too(durability: Durability, autojump_clock: MockClock) -> None:
    """a asks b, and b, in a handler that has nothing to do with it, asks a."""
    gates = {"b": Gate(shut=True)}
    said: dict[str, str] = {}
    async with opened(*walkers(durability, "a", "b", gates=gates)) as running, trio.open_nursery() as nursery:
        nursery.start_soon(gather, running, "b", Visit(("a",), at="b", within=50), said)
        await wait_all_tasks_blocked()
        nursery.start_soon(gather, running, "a", Visit(("b",), within=50), said)
        await wait_all_tasks_blocked()
        assert said == {}
        gates["b"].open()
        await wait_all_tasks_blocked()
        assert "b asks a asks b" in said["b"]
        assert said["a"] == "a b"


async def test_three_chains_that_meet(durability: Durability, autojump_clock: MockClock) -> None:
    gates = {"c": Gate(shut=True)}
    said: dict[str, str] = {}
    async with opened(*walkers(durability, "a", "b", "c", gates=gates)) as running, trio.open_nursery() as nursery:
        nursery.start_soon(gather, running, "c", Visit(("a",), at="c", within=50), said)
        await wait_all_tasks_blocked()
        nursery.start_soon(gather, running, "b", Visit(("c",), within=50), said)
        await wait_all_tasks_blocked()
        nursery.start_soon(gather, running, "a", Visit(("b",), within=50), said)
        await wait_all_tasks_blocked()
        gates["c"].open()
        await wait_all_tasks_blocked()
        assert "c asks a asks b asks c" in said["c"]
        assert (said["a"], said["b"]) == ("a b", "b c")


async def test_asking_several_at_once_waits_for_all_of_them(durability: Durability, autojump_clock: MockClock) -> None:
    gates = {"b": Gate(shut=True), "c": Gate(shut=True)}
    said: dict[str, str] = {}
    async with opened(*walkers(durability, "a", "b", "c", gates=gates)) as running, trio.open_nursery() as nursery:
        for name in ("b", "c"):
            nursery.start_soon(gather, running, name, Visit(("a",), at=name, within=50), said)
        await wait_all_tasks_blocked()
        nursery.start_soon(gather, running, "a", Tour(("b", "c")), said)
        await wait_all_tasks_blocked()
        assert sorted(each.path for each in slot_of(running, "a").waiting_on or ()) == ["b", "c"]
        gates["c"].open()  # c is asked by a, and asks a
        await wait_all_tasks_blocked()
        assert "c asks a asks c" in said["c"]
        assert [each.path for each in slot_of(running, "a").waiting_on or ()] == ["b"]
        gates["b"].open()
        await wait_all_tasks_blocked()
        assert "b asks a asks b" in said["b"]
        assert said["a"] == "b c"


async def test_whoever_has_replied_is_not_waited_for(durability: Durability, autojump_clock: MockClock) -> None:
    """b replies to a, and its next handler asks a before a's task has run."""
    said: dict[str, str] = {}
    async with opened(*walkers(durability, "a", "b")) as running, trio.open_nursery() as nursery:
        slot_of(running, "b").pause("held")
        nursery.start_soon(gather, running, "a", Visit(("b",)), said)
        await wait_all_tasks_blocked()
        nursery.start_soon(gather, running, "b", Visit(("a",)), said)
        await wait_all_tasks_blocked()
        slot_of(running, "b").resume("held")
        await wait_all_tasks_blocked()
        assert said == {"a": "a b", "b": "b a"}


async def test_an_asker_that_has_given_up_is_not_waited_for(durability: Durability, autojump_clock: MockClock) -> None:
    """a asks b and gives up; b goes on with that message, and asks a."""
    gates = {"b": Gate(shut=True)}
    said: dict[str, str] = {}
    async with opened(*walkers(durability, "a", "b", gates=gates)) as running, trio.open_nursery() as nursery:

        async def impatient() -> None:
            with pytest.raises(Exception, match="no reply to Visit within 1 s") as failed:
                await running.ref("a").ask(Visit(("b", "a"), at="b", within=1.0), within=50)
            assert not isinstance(failed.value, AskTimeout)  # a's handler failed of it
            said["a"] = "failed"

        nursery.start_soon(impatient)
        await trio.sleep(2)
        assert said == {"a": "failed"}
        await trio.sleep(10)  # a lives again
        gates["b"].open()
        await wait_all_tasks_blocked()
        assert slot_of(running, "a").handled == 1  # it was asked by b, and no cycle was seen in it


class Body(Agent[None]):
    """Asks itself from its body, which handles nothing."""

    def __init__(self, said: list[str]) -> None:
        self.said = said

    async def run(self) -> None:
        self.said.append(await self.ref("body").ask(Visit()))
        await trio.sleep_forever()

    @handles
    async def visit(self, message: Visit) -> str:
        return "me"


async def test_a_body_may_ask_its_own_agent(durability: Durability, autojump_clock: MockClock) -> None:
    said: list[str] = []
    async with opened(kept(Body, durability, args={"said": said})):
        await wait_all_tasks_blocked()
    assert said == ["me"]


@frozen
class Say(Request[str]): ...


@frozen
class PassOn(Request[str]):
    to: str


class Neighbour(Agent[None]):
    @handles
    def say(self, message: Say) -> str:
        return self.path

    @handles
    async def pass_on(self, message: PassOn) -> str:
        return await self.ref(message.to).ask(Say(), within=1)


@pytest.mark.parametrize("durability", [VOLATILE, MESSAGE])
async def test_whoever_was_answered_at_once_waits_for_nobody(durability: Durability, autojump_clock: MockClock) -> None:
    async with opened(kept(Neighbour, durability, id="a"), kept(Neighbour, durability, id="b")) as running:
        for _ in range(3):
            assert await running.ref("/a").ask(PassOn("../b"), within=1) == "b"
            assert await running.ref("/b").ask(PassOn("../a"), within=1) == "a"
        assert not slot_of(running, "/a").waiting_on
        assert not slot_of(running, "/b").waiting_on


@pytest.mark.usefixtures("frozen")
async def test_an_ask_leaves_nothing_for_the_collector(autojump_clock: MockClock) -> None:
    async with opened(kept(Neighbour, VOLATILE, id="a"), kept(Neighbour, VOLATILE, id="b")) as running:
        await running.ref("/a").ask(PassOn("../b"), within=1)
        gc.collect()
        gc.disable()
        try:
            await running.ref("/a").ask(PassOn("../b"), within=1)
            left = [found for found in gc.get_objects() if isinstance(found, Answer)]
        finally:
            gc.enable()
        assert len(left) <= 1  # the one that is used again for whoever asks an idle agent


@frozen
class Impatient(Request[str]):
    """Ask the first of `route`, wait for the reply for a second, and stay busy."""

    route: tuple[str, ...]


class Hasty(Walker):
    @handles
    async def hasty(self, message: Impatient) -> str:
        with trio.move_on_after(1):
            await self.ref(message.route[0]).ask(Visit(message.route[1:], message.route[0], 1000), within=1000)
        await trio.sleep(5)
        return "went on"


async def test_whoever_has_given_up_waits_for_nobody(autojump_clock: MockClock) -> None:
    """To ask it takes until it has time; that is no cycle."""
    gates = {"b": Gate(shut=True)}
    hasty, patient = (kept(each, VOLATILE, id=id, args={"gates": gates}) for each, id in ((Hasty, "a"), (Walker, "b")))
    async with opened(hasty, patient) as running, trio.open_nursery() as nursery:
        nursery.start_soon(partial(running.ref("a").ask, Impatient(("/b", "/a")), within=1000))
        await trio.sleep(2)
        gates["b"].open()
        await trio.sleep(10)
        (walker,) = [slot_of(running, "b").agent]
        assert isinstance(walker, Walker)
        assert walker.errors == []
        assert trio.current_time() == 12
