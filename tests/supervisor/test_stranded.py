"""Senders that wait at somebody who has gone, and are stopped after that one: how long their stop takes."""

from __future__ import annotations

import math

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability, MailboxSpec
from treewarden.agents.core.exit import Exit
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.message import Request
from treewarden.agents.errors import TreewardenError
from treewarden.supervisor import Rule, table
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.spec import ChildSpec, Grace, Strategy
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

MANY = 12
CLOCK = trio.testing.MockClock


@frozen
class Told:
    pass


@frozen
class Asked(Request[int]):
    pass


class Sender(Agent[int]):
    """Sends to the others, all at once, as it was told to."""

    state = 0

    def __init__(self, how: str, to: tuple[str, ...] = ("../sink",), within: float = math.inf) -> None:
        self.how = how
        self.to = to
        self.within = within

    @handles
    async def told(self, message: Told) -> None:
        async with trio.open_nursery() as nursery:
            for to in self.to:
                nursery.start_soon(self.send, to)
        self.state += 1

    async def send(self, to: str) -> None:
        ref = self.ref(to)
        try:
            if self.how == "tell":
                await ref.tell(Told(), within=self.within)
            else:
                await ref.ask(Asked(), within=self.within if self.within < math.inf else 1000.0)
        except TreewardenError:
            if self.within == math.inf:
                raise


class Sink(Agent[None]):
    """Does not get on, for so many seconds."""

    state = None

    def __init__(self, seconds: float = 10_000.0, fails: bool = False) -> None:
        self.seconds = seconds
        self.fails = fails

    @handles
    async def told(self, message: Told) -> None:
        await trio.sleep(self.seconds)
        if self.fails:
            raise ValueError("told to")

    @handles
    async def asked(self, message: Asked) -> int:
        await self.told(Told())
        return 1


def senders(how: str, durability: Durability = MESSAGE, **args: object) -> list[ChildSpec]:
    box = MailboxSpec(durability=durability)
    return [child(Sender, id=f"s{n}", args={"how": how, **args}, mailbox=box) for n in range(MANY)]


def sink(durability: Durability = MESSAGE, id: str = "sink", **args: object) -> ChildSpec:
    box = MailboxSpec(durability=durability, capacity=1)
    return child(Sink, id=id, args=args, mailbox=box, shutdown=Grace(1))


async def ended(*children: ChildSpec) -> tuple[float, int]:
    """Tell each sender once, and end the tree: how long that takes, and how many messages have settled."""
    async with open_tree(tree(*children)) as running:
        for n in range(MANY):
            await running.ref(f"s{n}").tell(Told())
        await trio.sleep(1)
        begun = trio.current_time()
        running.stop()
        await running.wait_ended()
        handled = sum(slot.handled for slot in running.snapshot() if slot.path.startswith("s"))
        return trio.current_time() - begun, handled


@pytest.mark.parametrize("durability", [MESSAGE, VOLATILE])
@pytest.mark.parametrize("how", ["tell", "ask"])
async def test_their_graces_are_over_together(how: str, durability: Durability, autojump_clock: CLOCK) -> None:
    took, _ = await ended(*senders(how, durability), sink(durability))
    assert took == 1 + 5


@pytest.mark.parametrize("how", ["tell", "ask"])
async def test_who_gives_up_by_itself_meanwhile_ends_in_order(how: str, autojump_clock: CLOCK) -> None:
    took, handled = await ended(*senders(how, within=4.0), sink())
    assert handled == MANY
    assert took < 1 + 5


async def test_who_waits_for_others_too_has_its_grace_from_its_own_stop_on(autojump_clock: CLOCK) -> None:
    """What is alive may still reply, as long as it is not stopped itself."""
    took, _ = await ended(sink(id="alive"), *senders("ask", to=("../sink", "../alive")), sink())
    assert took == 1 + 5 * (MANY - 1) + 1, "one was in the hand of the sink, and is told that this has ended"


@pytest.mark.parametrize("how", ["tell", "ask"])
async def test_a_group_that_is_restarted_for_it_waits_for_one_grace(how: str, autojump_clock: CLOCK) -> None:
    blueprint = tree(*senders(how), sink(seconds=2, fails=True), strategy=Strategy.ONE_FOR_ALL, policy=otp())
    async with open_tree(blueprint) as running:
        for n in range(MANY):
            await running.ref(f"s{n}").tell(Told())
        await trio.sleep(2.5 + 5)
        lives = {str(slot.path): slot.incarnation for slot in running.snapshot()}
        assert set(lives.values()) == {2}


@pytest.mark.parametrize("crashed", [False, True])
async def test_who_is_not_stranded_has_its_whole_grace(crashed: bool, autojump_clock: CLOCK) -> None:
    """The one it waited for has lived again since then, and may at any time if it has crashed."""
    policy = table([Rule("killed", "hold")])
    async with open_tree(tree(*senders("tell"), sink(), policy=policy)) as running:
        for n in range(MANY):
            await running.ref(f"s{n}").tell(Told())
        await trio.sleep(1)
        supervisor = running.supervisor("/")
        await running.reload(tree(*senders("tell"), sink(seconds=20_000.0), policy=policy))
        await trio.sleep(100)
        if crashed:
            assert running.kill("sink")
            await trio.sleep(0.5)
            assert running.snapshot()[-1].state is SlotState.HELD
        begun = trio.current_time()
        await supervisor.terminate_child("s5")
        assert trio.current_time() - begun == 5


class Busy(Agent[int]):
    """Waits for room at one that is stopped, for five seconds at most, and works for eight."""

    state = 0

    def __init__(self, works: str) -> None:
        self.works = works

    @handles
    async def told(self, message: Told) -> None:
        async with trio.open_nursery() as nursery:
            if self.works == "in its nursery":
                nursery.start_soon(self.send)
                await trio.sleep(8)
            elif self.works == "beside it":
                nursery.start_soon(trio.sleep, 8)
                await self.send()
            else:
                nursery.start_soon(self.send)
                nursery.start_soon(self.part)
        self.state += 1

    async def part(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.send)
            nursery.start_soon(trio.sleep, 8)

    async def send(self) -> None:
        with trio.move_on_after(5):
            await self.ref("../sink").tell(Told(), within=math.inf)


class Leaving(Agent[None]):
    """Takes three seconds to end."""

    state = None

    async def on_stop(self, exit: Exit) -> None:
        await trio.sleep(3)


@pytest.mark.parametrize("works", ["in its nursery", "beside it", "in a part of it"])
async def test_who_works_beside_has_its_grace_from_its_own_stop_on(works: str, autojump_clock: CLOCK) -> None:
    """It could finish within that: what it waits for may be over before, or be given up."""
    busy = child(Busy, id="busy", args={"works": works})
    async with open_tree(tree(busy, child(Leaving), sink(VOLATILE))) as running:
        for _ in range(2):
            await running.ref("sink").tell(Told())
        await trio.testing.wait_all_tasks_blocked()
        await running.ref("busy").tell(Told())
        await trio.sleep(0.5)
        running.stop()
        await running.wait_ended()
        assert running.snapshot()[0].handled == 1


@pytest.mark.parametrize("body", [False, True])
async def test_who_waits_for_two_has_its_grace_from_when_the_second_has_gone(body: bool, autojump_clock: CLOCK) -> None:
    class Beside(Sender):
        async def run(self) -> None:
            await trio.sleep_forever()

    sender = child(Beside if body else Sender, id="s", args={"how": "tell", "to": ("../sink", "../last")})
    leaving = [child(Leaving, id=id) for id in ("first", "second")]
    blueprint = tree(sender, leaving[0], sink(VOLATILE), leaving[1], sink(VOLATILE, id="last"))
    async with open_tree(blueprint) as running:
        for name in ("sink", "sink", "last", "last", "s"):
            await running.ref(name).tell(Told())
            await trio.testing.wait_all_tasks_blocked()
        begun = trio.current_time()
        running.stop()
        await running.wait_ended()
        assert trio.current_time() - begun == 1 + 3 + 1 + 5


@pytest.mark.parametrize("how", ["tell", "ask"])
@pytest.mark.parametrize("down", [False, True])
async def test_who_waits_for_one_that_is_held_is_stopped_with_the_others(
    down: bool, how: str, autojump_clock: CLOCK
) -> None:
    """One that has no task to end, as it has not begun, or is down."""
    policy = table([Rule("reported:poor", "hold"), Rule("killed", "hold")])
    async with open_tree(tree(*senders(how), sink(), policy=policy)) as running:
        if down:
            await running.ref("sink").tell(Told())
            await trio.testing.wait_all_tasks_blocked()
            assert running.kill("sink")
        else:
            running.signal("sink", {"kind": "poor", "severity": 0.9})
        await trio.testing.wait_all_tasks_blocked()
        assert running.snapshot()[-1].held
        for n in range(MANY):
            await running.ref(f"s{n}").tell(Told())
        await trio.sleep(1)
        begun = trio.current_time()
        running.stop()
        await running.wait_ended()
        assert trio.current_time() - begun == 5
