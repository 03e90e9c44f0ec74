"""Draining an agent, a subtree, a tree: who may still send, what is handled, what is left, and who comes back."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

from treewarden.agents.agent import Agent, every, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability, MailboxSpec
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.message import Priority
from treewarden.agents.errors import AgentStopped, ConfigurationError, IntakeClosed, NoSuchSlot
from treewarden.supervisor.core.event import ChildEnded, DeadLettered
from treewarden.supervisor.core.spec import Intensity, RestartPolicy, Strategy
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

from .drain_desk import Got, Item, Keeper

CLOCK = trio.testing.MockClock


class Noter(Agent[None]):
    """Takes a second for each number, and notes it."""

    def __init__(self, seen: list[int]) -> None:
        self.seen = seen

    @handles
    async def item(self, message: Item) -> None:
        await trio.sleep(1.0)
        self.seen.append(message.n)


class Feeder(Agent[None]):
    """Passes on what it gets, half a second later, and goes on counting down by itself."""

    def __init__(self, to: str) -> None:
        self.to = to

    @handles
    async def item(self, message: Item) -> None:
        await trio.sleep(0.5)
        await self.ref(self.to).tell(message)
        if message.n > 100:
            await self.ref(".").tell(Item(message.n - 1))


class Poller(Agent[int]):
    """Finds something every 2 seconds, and works on it for 1.9."""

    state = 0

    @every(2.0)
    async def poll(self) -> None:
        await trio.sleep(1.9)
        self.state += 1

    @handles
    def got(self, message: Got) -> tuple[int, ...]:
        return (self.state,)


def state_of(running: Tree, path: str) -> SlotState:
    return next(slot.state for slot in running.snapshot() if slot.path == path)


@pytest.mark.parametrize("durability", [MESSAGE, VOLATILE], ids=["message", "volatile"])
async def test_what_waits_is_handled_and_what_comes_is_refused(autojump_clock: CLOCK, durability: Durability) -> None:
    keeper = child(Keeper, mailbox=MailboxSpec(durability=durability))
    async with open_tree(tree(keeper, child(Keeper, id="other"))) as running, trio.open_nursery() as nursery:
        ref = running.ref("keeper")
        for n in range(5):
            await ref.tell(Item(n))
        drained = trio.Event()

        async def drain() -> None:
            result = await running.drain("keeper")
            assert (result.path, result.left, result.complete) == ("keeper", {}, True)
            drained.set()

        nursery.start_soon(drain)
        await trio.sleep(2.5)
        for send in (ref.tell, ref.ask):
            with pytest.raises(
                IntakeClosed, match="keeper: it takes no new messages, for keeper is being drained"
            ) as e:
                await send(Got())
            assert (e.value.path, e.value.scope, e.value.retry_safe) == ("keeper", "keeper", True)
        if durability == VOLATILE:
            with pytest.raises(IntakeClosed):
                ref.tell_nowait(Item(9))
        await running.ref("other").tell(Item(1))
        assert not drained.is_set()
        await trio.sleep(2.4)
        assert not drained.is_set()
        await drained.wait()
        assert trio.current_time() < 5.2
        assert state_of(running, "keeper") is SlotState.DOWN
        with pytest.raises(AgentStopped, match="terminated"):
            await ref.tell(Item(6))
        await running.supervisor().restart_child("keeper")
        assert await running.ref("keeper").ask(Got()) == (0, 1, 2, 3, 4)
        await ref.tell(Item(7))


async def test_senders_that_wait_for_room_get_in(autojump_clock: CLOCK) -> None:
    small = MailboxSpec(capacity=1, durability=VOLATILE)
    async with open_tree(tree(child(Keeper, mailbox=small))) as running, trio.open_nursery() as nursery:
        ref = running.ref("keeper")
        for n in range(4):
            nursery.start_soon(ref.tell, Item(n))
        await trio.sleep(0.5)
        assert ref.statistics().senders_waiting == 2
        assert (await running.drain("keeper")).complete
        await running.supervisor().restart_child("keeper")
        assert sorted(await ref.ask(Got())) == [0, 1, 2, 3]


async def test_a_subtree_goes_on_talking_to_itself(autojump_clock: CLOCK) -> None:
    """Whoever is told by somebody inside is not done before that one is, wherever it stands in the start order."""
    inside = tree(
        child(Feeder, id="first", args={"to": "../keeper"}),
        Keeper,
        child(Feeder, id="last", args={"to": "../keeper"}),
        id="desk",
    )
    async with open_tree(tree(inside, child(Keeper, id="outside"))) as running, trio.open_nursery() as nursery:
        await running.ref("desk/first").tell(Item(103))
        await running.ref("desk/last").tell(Item(1))

        async def knock() -> None:
            await trio.sleep(1)
            for path in ("desk/first", "desk/keeper"):
                with pytest.raises(IntakeClosed, match="for desk is being drained"):
                    await running.ref(path).tell(Item(0))

        nursery.start_soon(knock)
        assert (await running.drain("desk")).complete
        assert state_of(running, "desk") is SlotState.DOWN
        assert state_of(running, "outside") is SlotState.UP
        await running.supervisor().restart_child("desk")
        assert sorted(await running.ref("desk/keeper").ask(Got())) == [1, 100, 101, 102, 103]


async def test_whoever_is_told_from_a_drained_agent_outside_refuses_nothing(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(child(Feeder, args={"to": "keeper"}), Keeper)) as running:
        await running.ref("feeder").tell(Item(1))
        assert (await running.drain("feeder")).complete
        await trio.sleep(2)
        assert await running.ref("keeper").ask(Got()) == (1,)


async def test_the_whole_tree_stops_in_reverse_order_and_stays_open(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    names = ("a", "b", "c")
    async with open_tree(tree(*(child(Keeper, id=name) for name in names)), journal=journal) as running:
        for name in names:
            await running.ref(name).tell(Item(1))
        assert (await running.drain("/")).complete
        ended = [each.event.path for each in await journal.read() if isinstance(each.event, ChildEnded)]
        assert ended == ["c", "b", "a"]
        assert [view.id for view in await running.supervisor().children()] == ["a", "b", "c"]
        await running.supervisor().restart_child("b")
        assert await running.ref("b").ask(Got()) == (1,)


async def test_a_crash_on_the_way_is_handled_as_any_other(autojump_clock: CLOCK) -> None:
    """The slot is restarted meanwhile; its intake stays closed, and what is left of its mailbox is handled."""
    async with open_tree(tree(Keeper)) as running, trio.open_nursery() as nursery:
        for n in (1, 13, 2):
            await running.ref("keeper").tell(Item(n))

        async def knock() -> None:
            await trio.sleep(2.0)  # it is about to crash; the first restart comes after 0.1 s
            for _ in range(500):
                await trio.sleep(0.001)
                with pytest.raises(IntakeClosed):
                    await running.ref("keeper").tell(Item(0))

        nursery.start_soon(knock)
        assert (await running.drain("keeper")).complete
        await running.supervisor().restart_child("keeper")
        assert await running.ref("keeper").ask(Got()) == (1, 2)


@pytest.mark.parametrize("durability", [MESSAGE, VOLATILE], ids=["message", "volatile"])
async def test_at_the_limit_what_is_left_is_counted_and_stays_where_it_is_on_disk(
    autojump_clock: CLOCK, durability: Durability
) -> None:
    journal = MemoryJournal()
    keeper = child(Keeper, mailbox=MailboxSpec(durability=durability))
    async with open_tree(tree(keeper, child(Keeper, id="other")), journal=journal) as running:
        for n in (0, 1, 2, 3):
            await running.ref("keeper").tell(Item(n))
        result = await running.drain("/", within=1.5)
        assert result.left == {"keeper": 3}, "one in hand, two that wait"
        assert not result.complete
        dead = [each.event for each in await journal.read() if isinstance(each.event, DeadLettered)]
        given_up = 0 if durability == MESSAGE else 2
        assert [(each.path, each.reason) for each in dead] == [("keeper", "it was terminated")] * given_up
        await running.supervisor().restart_child("keeper")
        kept = (2, 3) if durability == MESSAGE else ()
        assert await running.ref("keeper").ask(Got()) == (0, 1, *kept), "what is in hand has its grace"
        await running.ref("keeper").tell(Item(5))
        await trio.sleep(2)
        assert await running.ref("keeper").ask(Got()) == (0, 1, *kept, 5), "nothing is frozen any more"


@pytest.mark.parametrize("shared", [False, True], ids=["agent", "pool"])
async def test_what_a_drain_has_left_on_disk_waits_for_the_next_process(
    autojump_clock: CLOCK, tmp_path: Path, shared: bool
) -> None:
    seen: list[int] = []
    noter = child(Noter, args={"seen": seen})
    noters = pool(noter, id="noter", size=2, route="shared") if shared else noter
    async with open_tree(tree(noters), journal=tmp_path / "kept.db") as running:
        for n in range(6):
            await running.ref("noter").tell(Item(n), priority=Priority.HIGH if n == 5 else Priority.NORMAL)
        assert not (await running.drain("/", within=1.5)).complete
        assert await running.dead_letters() == ()
        assert 0 < len(seen) < 6
    async with open_tree(tree(noters), journal=tmp_path / "kept.db"):
        await trio.sleep(10)
        assert sorted(seen) == list(range(6))


async def test_what_a_drain_has_left_ends_with_its_slot(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(Keeper)) as running:
        for n in (0, 1, 2):
            await running.ref("keeper").tell(Item(n))
        assert (await running.drain("keeper", within=0.5)).left == {"keeper": 3}
        assert await running.dead_letters() == ()
        await running.supervisor().delete_child("keeper")
        assert len(await running.dead_letters()) == 2


async def test_nothing_begins_while_others_are_being_stopped(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(Keeper, child(Keeper, id="stuck"))) as running:
        for n in (0, 1, 2, 3):
            await running.ref("keeper").tell(Item(n))
        await running.ref("stuck").tell(Item(-1))
        assert (await running.drain("/", within=1.5)).left == {"keeper": 3, "stuck": 1}
        assert running.handled == 2, "the one in hand has its grace"
        await running.supervisor().restart_child("keeper")
        assert await running.ref("keeper").ask(Got()) == (0, 1, 2, 3)


async def test_ticks_end_with_the_one_in_hand(autojump_clock: CLOCK) -> None:
    """In a time in which nothing becomes due: the machine's goes on, so p3 might have begun with its next tick."""
    pollers = [child(Poller, id=f"p{n}") for n in range(5)]
    async with open_tree(tree(*pollers), wall=lambda: 1.8e9) as running:
        for _ in pollers:
            await trio.sleep(0.37)
        assert (await running.drain("/", within=10)).complete
        assert trio.current_time() < 4
        await running.supervisor().restart_child("p3")
        assert (await running.ref("p3").ask(Got())) == (1,)


async def test_cancelled_before_the_end_everything_goes_on(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(Keeper, Poller)) as running:
        await running.ref("keeper").tell(Item(-1))
        with trio.move_on_after(5) as limit:
            await running.drain("/", within=60)
        assert limit.cancelled_caught
        await running.ref("keeper").tell(Item(1))
        # Its ticks come first, and leave it a twentieth of its time: which one, says the machine's clock.
        before = (await running.ref("poller").ask(Got(), within=60))[0]
        await trio.sleep(10)
        assert (await running.ref("poller").ask(Got(), within=60))[0] >= before + 4
        assert state_of(running, "keeper") is SlotState.UP


async def test_a_pool_drains_as_a_whole_and_passes_over_a_worker_that_is_drained_alone(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(pool(Keeper, size=2))) as running, trio.open_nursery() as nursery:
        for n in range(4):
            await running.ref("keeper").tell(Item(n))
        nursery.start_soon(running.drain, "keeper/1")
        await trio.sleep(0.5)
        for n in (4, 5):
            await running.ref("keeper").tell(Item(n))
        await trio.sleep(5)
        assert await running.ref("keeper/0").ask(Got()) == (0, 2, 4, 5)
        await running.ref("keeper").tell(Item(6))
        nursery.start_soon(running.drain, "keeper")
        await trio.sleep(0.5)
        with pytest.raises(IntakeClosed, match="for keeper is being drained"):
            await running.ref("keeper").tell(Item(7))


async def test_a_pool_that_its_supervisor_gave_up_comes_back_and_is_drained(
    autojump_clock: CLOCK, tmp_path: Path
) -> None:
    kept = MailboxSpec(durability=MESSAGE, deliveries=6)
    keepers = pool(child(Keeper, mailbox=kept), size=2, id="keepers", restarts=Intensity(1, 5))
    async with open_tree(tree(keepers), journal=tmp_path / "kept.db") as running:
        for n in (13, 1, 2, 3, 4, 5):
            await running.ref("keepers").tell(Item(n))
        with trio.fail_after(60):
            while state_of(running, "keepers") is not SlotState.RESTARTING:  # noqa: ASYNC110 (it has no event)
                await trio.sleep(0.05)
        assert (await running.drain("keepers", within=600)).complete
        (letter,) = await running.dead_letters("keepers")
        assert letter.reason.startswith("its handler failed 6 times")


async def test_what_is_held_waits_until_the_limit_and_beyond(autojump_clock: CLOCK, tmp_path: Path) -> None:
    async with open_tree(tree(Keeper), journal=tmp_path / "held.db") as running:
        running.hold("keeper")
        await trio.testing.wait_all_tasks_blocked()
        for n in range(3):
            await running.ref("keeper").tell(Item(n))
        began = trio.current_time()
        assert (await running.drain("keeper", within=7)).left == {"keeper": 3}
        assert trio.current_time() - began == pytest.approx(7)
        assert await running.dead_letters("keeper") == ()
        await running.supervisor().restart_child("keeper")
        assert await running.ref("keeper").ask(Got()) == (0, 1, 2)


async def test_dynamic_and_temporary_children_are_forgotten(autojump_clock: CLOCK) -> None:
    workers = tree(Keeper, id="workers", strategy=Strategy.DYNAMIC)
    async with open_tree(tree(workers, child(Keeper, id="once", restart=RestartPolicy.TEMPORARY))) as running:
        supervisor = running.supervisor("workers")
        for id in ("a", "b"):
            await supervisor.start_dynamic(id=id)
        await running.ref("workers/a").tell(Item(1))
        assert (await running.drain("workers/a")).complete
        assert [view.id for view in await supervisor.children()] == ["b"]
        assert (await running.drain("once")).complete
        with pytest.raises(NoSuchSlot):
            running.ref("once")


async def test_what_cannot_be_drained_is_refused(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(Keeper)) as running:
        with pytest.raises(NoSuchSlot, match="nobody"):
            await running.drain("nobody")
        for limit in (-1.0, float("inf"), float("nan")):
            with pytest.raises(ConfigurationError, match="keeper: within is"):
                await running.drain("keeper", within=limit)
        await running.ref("keeper").tell(Item(1))
