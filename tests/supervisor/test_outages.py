"""What becomes of messages while what all need is down: an attempt that failed over that is none of theirs."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
import trio
import trio.testing
from attrs import define, field, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MailboxSpec
from treewarden.agents.core.path import Path
from treewarden.supervisor.core.checkpoint import Checkpoint
from treewarden.supervisor.core.sparing import LONGEST
from treewarden.supervisor.core.spec import Intensity
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.journal.port import EVERYTHING, Search
from treewarden.topologies.child import child
from treewarden.topologies.core.routing import Route
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

CLOCK = trio.testing.MockClock


@frozen
class Call:
    number: int


@define
class Service:
    """What all of them use."""

    back: float = 0.0
    hangs: int = 0
    """At every so many-th call it does not answer, instead of refusing it."""
    never: frozenset[int] = frozenset()
    """Of these it does not answer to anybody."""
    done: list[int] = field(factory=list[int])
    calls: list[int] = field(factory=list[int])


class Slow(MemoryJournal):
    """Which does not say, while it is shut, what it keeps of a worker."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = trio.Event()
        self.gate.set()
        self.asked = trio.Event()

    def shut(self) -> None:
        self.gate, self.asked = trio.Event(), trio.Event()

    async def checkpoints(self, path: Path, limit: int = 20, search: Search = EVERYTHING) -> Sequence[Checkpoint]:
        self.asked.set()
        await self.gate.wait()
        return await super().checkpoints(path, limit, search)


class Caller(Agent[None]):
    def __init__(self, service: Service) -> None:
        self.service = service

    @handles
    async def call(self, message: Call) -> None:
        self.service.calls.append(message.number)
        await trio.sleep(0.01)
        if trio.current_time() < self.service.back or message.number in self.service.never:
            if self.service.hangs and not message.number % self.service.hangs:
                raise TimeoutError("nobody answers")
            raise ConnectionError("nobody listens")
        self.service.done.append(message.number)


class Ringer(Agent[None]):
    """Another agent, which talks to something else."""

    def __init__(self, service: Service) -> None:
        self.service = service

    @handles
    async def ring(self, message: Call) -> None:
        await trio.sleep(0.01)
        if trio.current_time() < self.service.back:
            raise ConnectionError("nobody picks up")
        self.service.done.append(message.number)


async def given_up(running: Tree) -> list[int]:
    """The numbers of the messages that were given up."""
    return [json.loads(row.body)["number"] for row in await running.dead_letters()]


async def send(running: Tree, messages: int) -> None:
    for number in range(messages):
        await running.ref("callers").tell(Call(number), within=1e6)


@pytest.mark.parametrize("uses", [(), ("service",)], ids=["alike", "declared"])
@pytest.mark.parametrize("route", ["shared", "round_robin"])
@pytest.mark.parametrize("seconds", [8.0, 240.0])
@pytest.mark.parametrize("size", [4, 10])
async def test_an_outage_costs_no_message(
    size: int, seconds: float, route: Route, uses: tuple[str, ...], autojump_clock: CLOCK
) -> None:
    service = Service(trio.current_time() + seconds)
    callers = pool(child(Caller, args={"service": service}, uses=uses), size=size, route=route, id="callers")
    async with open_tree(tree(callers), seed=1) as running:
        await send(running, 20)
        await trio.sleep(2 * seconds + 30)
        assert await given_up(running) == []
    assert sorted(service.done) == list(range(20))
    assert len(service.calls) < 20 + 6 * size, "it was left alone meanwhile"


async def test_where_others_work_it_is_the_message(autojump_clock: CLOCK) -> None:
    service = Service(never=frozenset(range(3)))
    restarts = Intensity(100, within=5)
    callers = pool(child(Caller, args={"service": service}), size=3, route="shared", id="callers", restarts=restarts)
    async with open_tree(tree(callers), seed=1) as running:
        await send(running, 20)
        await trio.sleep(60)
        assert sorted(await given_up(running)) == [0, 1, 2]
        assert sorted(service.done) == list(range(3, 20))


async def test_where_nobody_can_show_that_it_is_counted_again_after_a_while(autojump_clock: CLOCK) -> None:
    """Each of three workers has a message at the head of its own mailbox about which nothing can be done."""
    service = Service(never=frozenset(range(3)))
    callers = pool(child(Caller, args={"service": service}), size=3, route="round_robin", id="callers")
    async with open_tree(tree(callers), seed=1) as running:
        await send(running, 9)
        await trio.sleep(LONGEST - 20)
        assert await given_up(running) == []
        await trio.sleep(5 * LONGEST)
        assert sorted(await given_up(running)) == [0, 1, 2]
        assert sorted(service.done) == list(range(3, 9))


async def test_a_long_outage_leaves_most_messages(autojump_clock: CLOCK) -> None:
    """Each was given up as a poison message: all forty, after ten minutes."""
    service = Service(trio.current_time() + 3600.0)
    callers = pool(child(Caller, args={"service": service}), size=10, route="shared", id="callers")
    async with open_tree(tree(callers), seed=1) as running:
        await send(running, 40)
        await trio.sleep(2 * 3600.0)
        lost = await given_up(running)
    assert sorted([*service.done, *lost]) == list(range(40))
    assert len(lost) <= 20


@pytest.mark.parametrize("others", ["another agent", "another dependency"])
async def test_who_uses_something_else_shows_nothing(others: str, autojump_clock: CLOCK) -> None:
    """What these talk to comes back after a moment, and they work all the while that the others wait."""
    now = trio.current_time()
    up, down, apart = Service(now + 8.0), Service(now + 240.0), others == "another dependency"
    children = [
        *(child(Caller, id=f"up{n}", args={"service": up}, uses=("up",) if apart else ()) for n in range(3)),
        *(
            child(Caller if apart else Ringer, id=f"down{n}", args={"service": down}, uses=("down",) if apart else ())
            for n in range(3)
        ),
    ]
    async with open_tree(tree(*children, restarts=Intensity(100, within=5)), seed=1) as running:
        for number in range(12):
            await running.ref(f"down{number % 3}").tell(Call(number))
        for number in range(100, 250):
            await running.ref(f"up{number % 3}").tell(Call(number), within=1e6)
            await trio.sleep(2.0)
        await trio.sleep(300)
        assert [number for number in await given_up(running) if number < 100] == []
    assert sorted(down.done) == list(range(12))


@pytest.mark.parametrize(("uses", "hangs"), [(("service",), 0), (("service",), 1), (("service",), 2), ((), 0), ((), 1)])
async def test_no_supervisor_gives_up_over_what_is_down(
    uses: tuple[str, ...], hangs: int, autojump_clock: CLOCK
) -> None:
    """Of many workers that have little to do only two or three have met with it when the limit is reached."""
    service = Service(hangs=hangs)
    callers = [child(Caller, id=f"c{n}", args={"service": service}, uses=uses) for n in range(12)]
    async with open_tree(tree(tree(*callers, id="desk")), seed=1) as running:
        number = 0
        for _ in range(12):
            service.back = trio.current_time() + 30.0
            for _ in range(90):
                await running.ref(f"desk/c{number * 5 % 12}").tell(Call(number))
                number += 1
                await trio.sleep(0.7)
            await trio.sleep(60.0)
        assert [each.incarnation for each in running.snapshot() if each.path == Path("desk")] == [1]
        lost = await given_up(running)
    assert sorted([*service.done, *lost]) == list(range(number))
    assert len(lost) <= 24


async def test_nor_where_it_shows_in_several_ways(autojump_clock: CLOCK) -> None:
    """What is left alone at the limit takes no restart: the next one that failed in another way was one too many."""
    service = Service(trio.current_time() + 30.0)
    args = {"service": service}
    callers = [child(Caller, id="c0", args=args), child(Ringer, id="r0", args=args), child(Caller, id="c1", args=args)]
    async with open_tree(tree(tree(*callers, id="desk")), seed=1) as running:
        for number, each in enumerate(("c0", "r0", "c1")):
            await running.ref(f"desk/{each}").tell(Call(number))
            await trio.sleep(1.0)
        await trio.sleep(300.0)
        assert {each.path: each.incarnation for each in running.snapshot()}[Path("desk")] == 1
        lost = await given_up(running)
    assert sorted([*service.done, *lost]) == [0, 1, 2]


async def test_nor_is_one_held_for_its_own_limit(autojump_clock: CLOCK) -> None:
    """What it used was back, and it stayed down until a person came."""
    service = Service(trio.current_time() + 30.0)
    caller = child(Caller, args={"service": service}, restarts=Intensity(2, within=100))
    async with open_tree(tree(caller), seed=1) as running:
        for number in range(4):
            await running.ref("caller").tell(Call(number))
        await trio.sleep(300.0)
        assert not any(each.held for each in running.snapshot())
        lost = await given_up(running)
    assert sorted([*service.done, *lost]) == [0, 1, 2, 3]
    assert len(lost) <= 1


async def test_one_that_waits_for_longer_than_any_outage_takes_its_restarts(autojump_clock: CLOCK) -> None:
    service = Service(trio.current_time() + 1e6)
    caller = child(Caller, args={"service": service}, mailbox=MailboxSpec(deliveries=1000))
    desk = tree(caller, id="desk", restarts=Intensity(4, within=3600))
    async with open_tree(tree(desk), seed=1) as running:
        await running.ref("desk/caller").tell(Call(1))
        await trio.sleep(3000.0)
        assert {each.path: each.incarnation for each in running.snapshot()}[Path("desk")] > 1


async def test_what_is_to_be_tried_once_is_not_tried_again(autojump_clock: CLOCK) -> None:
    service = Service(trio.current_time() + 100.0)
    once = child(Caller, args={"service": service}, mailbox=MailboxSpec(deliveries=1))
    async with open_tree(tree(pool(once, size=4, route="shared", id="callers")), seed=1) as running:
        await send(running, 20)
        await trio.sleep(300)
        lost = await given_up(running)
    assert lost
    assert sorted([*service.done, *lost]) == sorted(service.calls) == list(range(20))


async def test_a_supervisor_that_is_killed_while_it_decides_blames_no_message_either(autojump_clock: CLOCK) -> None:
    """What it had not decided yet was counted, and so given up, though it had been found not to be the message's."""
    service, journal = Service(trio.current_time() + 60.0), Slow()
    callers = pool(
        child(Caller, args={"service": service}, uses=("service",)), size=4, route="round_robin", id="callers"
    )
    async with open_tree(tree(callers), journal=journal, seed=1) as running:
        await send(running, 8)
        await trio.sleep(2)
        journal.shut()
        await journal.asked.wait()
        assert running.kill("callers")
        journal.gate.set()
        await trio.sleep(300)
        assert await given_up(running) == []
    assert sorted(service.done) == list(range(8))
