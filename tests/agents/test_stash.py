"""Messages that are put aside: in order, bounded, over restarts and process deaths, none lost and none twice."""

from __future__ import annotations

from pathlib import Path as File
from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from treewarden.agents.agent import Agent, every, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability, MailboxSpec
from treewarden.agents.core.message import Priority, Request
from treewarden.agents.errors import AgentStopped, AskTimeout, MailboxFull, Stash
from treewarden.supervisor.core.event import ChildEnded, DeadLettered
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.spec import NO_BACKOFF, Intensity
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

from ..journals import on_disk
from .trees import happened

CLOCK = trio.testing.MockClock
LEVELS = pytest.mark.parametrize("durability", [VOLATILE, MESSAGE], ids=["volatile", "message"])


@frozen
class Work:
    n: int


@frozen
class Other:
    n: int


@frozen
class Open:
    """Now work can be done; of a kind only, if one is named."""

    kind: str = ""


@frozen
class Shut:
    """Put all work aside as it comes."""


@frozen
class Die:
    pass


@frozen
class Done(Request[tuple[int, ...]]):
    pass


@frozen
class Later(Request[int]):
    """Answered when it is open."""


@frozen
class State:
    open: bool = False
    done: tuple[int, ...] = ()


class Door(Agent[State]):
    """Does its work once it is open, in the order in which it came."""

    state = State()

    @handles
    async def work(self, message: Work) -> None:
        self.state = evolve(self.state, done=(*self.state.done, message.n))
        if not self.state.open:
            raise Stash
        await trio.lowlevel.checkpoint()

    @handles
    def later(self, message: Later) -> int:
        if not self.state.open:
            raise Stash
        return len(self.state.done)

    @handles
    def other(self, message: Other) -> None:
        self.state = evolve(self.state, done=(*self.state.done, -message.n))

    @handles
    def opened(self, message: Open) -> None:
        self.state = evolve(self.state, open=True)
        self.unstash(*([Work] if message.kind == "work" else []))

    @handles
    def shut(self, message: Shut) -> None:
        self.state = evolve(self.state, open=True)
        self.stash(Work)

    @handles
    def die(self, message: Die) -> None:
        raise RuntimeError("dead")

    @handles
    def done(self, message: Done) -> tuple[int, ...]:
        return self.state.done


def door(durability: Durability, capacity: int = 64, deliveries: int = 1) -> Any:
    mailbox = MailboxSpec(durability=durability, capacity=capacity, deliveries=deliveries)
    limits = Intensity(1000, 1)
    return tree(child(Door, mailbox=mailbox, backoff=NO_BACKOFF), restarts=limits, policy=otp())


async def tell(running: Tree, *messages: object) -> None:
    for message in messages:
        await running.ref("door").tell(message)


async def done(running: Tree) -> tuple[int, ...]:
    await trio.testing.wait_all_tasks_blocked()
    return await running.ref("door").ask(Done())


@LEVELS
async def test_the_message_in_hand_comes_back_in_order(autojump_clock: CLOCK, durability: Durability) -> None:
    async with open_tree(door(durability)) as running:
        await tell(running, Work(1), Other(2), Work(3))
        assert await done(running) == (-2,), "what its handler did was dropped"
        assert running.ref("door").statistics().stashed == 2
        await tell(running, Open(), Work(4))
        assert await done(running) == (-2, 1, 3, 4)
        assert running.ref("door").statistics().stashed == 0
        assert running.snapshot()[0].incarnation == 1, "it is no failure"


@LEVELS
async def test_all_of_a_kind_until_they_are_wanted(autojump_clock: CLOCK, durability: Durability) -> None:
    async with open_tree(door(durability)) as running:
        await tell(running, Shut(), Work(1), Other(2), Work(3), Other(4))
        assert await done(running) == (-2, -4)
        await tell(running, Open("work"), Work(5))
        assert await done(running) == (-2, -4, 1, 3, 5)


async def test_one_kind_only_comes_back(autojump_clock: CLOCK) -> None:
    async with open_tree(door(VOLATILE)) as running:
        replies: list[int] = []

        async def ask() -> None:
            replies.append(await running.ref("door").ask(Later()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            await tell(running, Work(1), Open("work"))
            assert await done(running) == (1,)
            assert running.ref("door").statistics().stashed == 1
            assert replies == []
            await tell(running, Open())
        assert replies == [1]


async def test_an_ask_that_was_put_aside_has_its_limit(autojump_clock: CLOCK) -> None:
    async with open_tree(door(VOLATILE)) as running:
        with pytest.raises(AskTimeout):
            await running.ref("door").ask(Later(), within=2)
        await tell(running, Open())
        assert await running.ref("door").ask(Later()) == 0


@LEVELS
async def test_a_restart_brings_everything_back_in_order(autojump_clock: CLOCK, durability: Durability) -> None:
    async with open_tree(door(durability)) as running:
        await tell(running, Work(1), Work(2), Die(), Work(3))
        assert await done(running) == ()
        assert running.snapshot()[0].incarnation == 2
        assert running.ref("door").statistics().stashed == 3, "put aside once more"
        await tell(running, Open())
        assert await done(running) == (1, 2, 3)


async def test_the_message_that_failed_comes_behind_those_put_aside_before_it(autojump_clock: CLOCK) -> None:
    async with open_tree(door(MESSAGE, deliveries=2)) as running:
        await tell(running, Shut(), Work(1), Work(2), Die(), Work(3))
        assert await done(running) == (1, 2, 3), "the next life has said of no kind that it puts it aside"


async def test_a_process_death_leaves_them_in_the_mailbox(autojump_clock: CLOCK, tmp_path: File) -> None:
    file = tmp_path / "door.db"
    async with open_tree(door(MESSAGE), journal=on_disk(file)) as running:
        await tell(running, Work(1), Other(2), Work(3))
        assert await done(running) == (-2,)
        running.force()
    async with open_tree(door(MESSAGE), journal=on_disk(file)) as running:
        await tell(running, Open())
        assert await done(running) == (-2, 1, 3)


@LEVELS
async def test_there_is_room_for_as_many_as_the_mailbox_holds(autojump_clock: CLOCK, durability: Durability) -> None:
    async with open_tree(door(durability, capacity=2)) as running:
        await tell(running, Work(1), Work(2), Work(3))
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(MailboxFull, match="put aside"):
            await running.ref("door").ask(Later())
        assert running.ref("door").statistics().dropped_kinds == {"Work": 1}
        await tell(running, Open())
        assert await done(running) == (1, 2)
        (dead,) = await happened(running, DeadLettered)
        assert dead.reason == "too many messages were put aside"


@LEVELS
async def test_what_is_put_aside_at_the_end_is_told_of(autojump_clock: CLOCK, durability: Durability) -> None:
    async with open_tree(door(durability)) as running:
        await tell(running, Work(1))
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                with pytest.raises(AgentStopped):
                    await running.ref("door").ask(Later())

            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            drained = await running.drain("door", within=1)
            assert drained.left == {"door": 2}
        if durability == MESSAGE:  # it is on disk
            await running.supervisor().restart_child("door")
            assert await running.dead_letters() == ()
            assert running.ref("door").statistics().stashed == 1
        else:
            assert [dead.kind.rpartition(":")[2] for dead in await happened(running, DeadLettered)] == ["Work"]


async def test_a_tick_cannot_be_put_aside(autojump_clock: CLOCK) -> None:
    class Ticking(Agent[None]):
        @every(100)
        def tick(self) -> None:
            raise Stash

    async with open_tree(tree(Ticking)) as running:
        await trio.sleep(1)
        ended = await happened(running, ChildEnded)
        assert ended[0].failure is not None
        assert "every:tick is in hand" in ended[0].failure.text


async def test_ticks_and_priorities_pass_what_is_put_aside(autojump_clock: CLOCK) -> None:
    class Ticking(Door):
        ticks = 0

        async def on_start(self) -> None:
            self.stash(object)

        @every(1)
        def tick(self) -> None:
            self.ticks += 1
            if self.ticks == 5:
                self.state = evolve(self.state, open=True)
                self.unstash()

    async with open_tree(tree(child(Ticking, id="door", mailbox=MailboxSpec(durability=VOLATILE)))) as running:
        await running.ref("door").tell(Work(1))
        await running.ref("door").tell(Work(2), priority=Priority.HIGH)
        await running.ref("door").tell(Work(3), priority=Priority.LOW)
        await trio.sleep(10)
        assert await done(running) == (2, 1, 3)


async def test_in_a_pool_with_one_queue_they_go_back_to_that(autojump_clock: CLOCK) -> None:
    mailbox = MailboxSpec(durability=VOLATILE)
    async with open_tree(tree(pool(child(Door, mailbox=mailbox), size=1, route="shared"))) as running:
        await tell(running, Work(1), Work(2), Shut(), Work(3))
        await trio.testing.wait_all_tasks_blocked()
        assert running.ref("door/0").statistics().stashed == 3
        await tell(running, Open())
        assert await done(running) == (1, 2, 3)


@settings(max_examples=80)
@given(
    steps=st.lists(st.sampled_from(["work", "work", "other", "open", "shut", "die"]), max_size=25),
    durable=st.booleans(),
)
def test_nothing_is_lost_repeated_or_out_of_order(steps: list[str], durable: bool) -> None:
    made = {"open": Open(), "shut": Shut(), "die": Die()}
    messages = [made.get(step) or (Work(n) if step == "work" else Other(n)) for n, step in enumerate(steps, 1)]

    async def main() -> None:
        async with open_tree(door(MESSAGE if durable else VOLATILE)) as running:
            await tell(running, *messages, Open())
            await trio.sleep(1)
            found = await done(running)
            assert [n for n in found if n > 0] == [each.n for each in messages if isinstance(each, Work)]
            assert [-n for n in found if n < 0] == [each.n for each in messages if isinstance(each, Other)]

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
