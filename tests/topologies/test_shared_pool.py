"""A pool with one shared queue: who is free takes what waits, and nothing is lost, repeated or stuck."""

from __future__ import annotations

from pathlib import Path as File

import pytest
import trio
import trio.testing
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from treewarden.agents.agent import every, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec, Overflow
from treewarden.agents.core.message import Priority
from treewarden.agents.errors import (
    AgentFailed,
    AgentStopped,
    AskTimeout,
    ConfigurationError,
    MailboxFull,
    NotHandled,
    RateLimited,
)
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.spec import Intensity
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.running import Tree
from treewarden.topologies.toml import loads
from treewarden.topologies.tree import tree

from ..journals import on_disk
from .hands import CLOCK, MEMORY, Hand, Job, Log, More, Who, hands, tell, worker


@pytest.mark.parametrize("mailbox", [MEMORY, MailboxSpec()])
async def test_a_slow_message_holds_up_its_worker_and_nobody_else(autojump_clock: CLOCK, mailbox: MailboxSpec) -> None:
    log = Log()
    async with open_tree(hands(log, 2, mailbox)) as running:
        await tell(running, Job(0, seconds=100), *(Job(n, seconds=1) for n in range(1, 11)))
        await trio.sleep(20)
        assert log.numbers == list(range(1, 11)), "in order, by the one who was free"
        assert len({who for who, _ in log.done}) == 1
        await trio.sleep(100)
        assert log.numbers[-1] == 0


async def test_of_several_that_are_free_the_one_that_was_so_longest_takes_the_next(autojump_clock: CLOCK) -> None:
    log = Log()
    async with open_tree(hands(log)) as running:
        for n in range(6):
            await tell(running, Job(n))
            await trio.testing.wait_all_tasks_blocked()
        assert log.done == [(str(n % 3), n) for n in range(6)]


async def test_all_that_are_free_are_woken_for_a_burst(autojump_clock: CLOCK) -> None:
    log = Log()
    async with open_tree(hands(log)) as running:
        for n in range(3):
            running.ref("hand").tell_nowait(Job(n, seconds=5))
        await trio.sleep(1)
        assert [n for _, n in log.begun] == [0, 1, 2]


async def test_asks_are_answered_by_whoever_is_free(autojump_clock: CLOCK) -> None:
    async with open_tree(hands(Log())) as running:
        found: list[str] = []

        async def ask() -> None:
            found.append(await running.ref("hand").ask(Who(seconds=1)))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(ask)
        assert sorted(found) == ["0", "1", "2"]
        with pytest.raises(AgentFailed, match="RuntimeError"):
            await running.ref("hand").ask(Who(fails=True))


async def test_an_ask_that_times_out_says_that_it_waits(autojump_clock: CLOCK) -> None:
    async with open_tree(hands(Log(), 1)) as running:
        await tell(running, Job(0, seconds=60), Job(1))
        await trio.sleep(1)
        with pytest.raises(AskTimeout, match="1 message is before it") as caught:
            await running.ref("hand").ask(Who(), within=1)
        assert "nobody lives" not in str(caught.value)


async def test_what_a_worker_had_in_hand_is_the_first_in_the_queue_again(autojump_clock: CLOCK) -> None:
    log = Log()
    async with open_tree(hands(log, 2, MailboxSpec(deliveries=3))) as running:
        await tell(running, Job(0, seconds=2, fails=True), Job(1, seconds=3), Job(2, seconds=3), Job(3, seconds=3))
        await trio.sleep(60)
        assert log.begun[:3] == [("0", 0), ("1", 1), ("0", 0)]
        assert [n for _, n in log.begun].count(0) == 3, "deliveries, whoever has them"
        assert log.numbers == [1, 2, 3]
        (dead,) = await running.dead_letters()
        assert dead.path == "hand", "given up where it waited, so that it can be put back there"
        assert await running.replay(dead.id)


async def test_a_killed_worker_of_a_mailbox_in_memory_loses_what_it_had_in_hand(autojump_clock: CLOCK) -> None:
    log = Log()
    async with open_tree(hands(log, 2)) as running:
        await tell(running, Job(0, seconds=100))
        await trio.testing.wait_all_tasks_blocked()
        await tell(running, Job(1))
        assert running.kill(f"hand/{log.begun[0][0]}")
        await tell(running, Job(2))
        await trio.sleep(10)
        assert log.numbers == [1, 2]


async def test_a_throttled_worker_leaves_the_queue_to_the_others(autojump_clock: CLOCK) -> None:
    class Limited(Hand):
        @handles
        async def job(self, message: Job) -> None:
            if self.path.name == "0":
                raise RateLimited(30)
            await super().job(message)

    log = Log()
    spec = child(Limited, id="hand", args={"log": log}, mailbox=MEMORY)
    async with open_tree(tree(pool(spec, size=2, route="shared"))) as running:
        await tell(running, *(Job(n) for n in range(4)))
        await trio.sleep(1)
        assert log.done == [("1", n) for n in range(4)]


async def test_priorities_and_ticks(autojump_clock: CLOCK) -> None:
    class Ticking(Hand):
        @every(1)
        def tick(self) -> None:
            self.log.begun.append((self.path.name, -1))

    log = Log()
    spec = child(Ticking, id="hand", args={"log": log}, mailbox=MEMORY)
    async with open_tree(tree(pool(spec, size=1, route="shared"))) as running:
        await tell(running, Job(0, seconds=2.5))
        await trio.sleep(0.5)
        await running.ref("hand").tell(Job(1), priority=Priority.LOW)
        await running.ref("hand").tell(Job(2))
        await running.ref("hand").tell(Job(3), priority=Priority.HIGH)
        await trio.sleep(10)
        assert log.numbers == [0, 3, 2, 1]
        assert log.begun.count(("0", -1)) > 5


async def test_the_queue_is_bounded_for_all_together(autojump_clock: CLOCK) -> None:
    log = Log()
    refusing = MailboxSpec(capacity=2, overflow=Overflow.REFUSE, durability=VOLATILE)
    async with open_tree(hands(log, 2, refusing)) as running:
        await tell(running, Job(0, seconds=9), Job(1, seconds=9))
        await trio.testing.wait_all_tasks_blocked()
        await tell(running, Job(2), Job(3))
        with pytest.raises(MailboxFull):
            await tell(running, Job(4))
        assert running.ref("hand").statistics().depth == 2
        assert [slot.mailbox for slot in running.snapshot()] == [2, 0, 0]


async def test_senders_wait_for_room_in_their_order(autojump_clock: CLOCK) -> None:
    log = Log()
    async with open_tree(hands(log, 2, MailboxSpec(capacity=1, durability=VOLATILE))) as running:
        async with trio.open_nursery() as nursery:
            for n in range(8):
                nursery.start_soon(tell, running, Job(n, seconds=1))
                await trio.testing.wait_all_tasks_blocked()
        await trio.sleep(10)
        assert sorted(log.numbers) == list(range(8))
        assert [n for _, n in log.begun] == list(range(8))


async def test_a_worker_tells_its_own_pool(autojump_clock: CLOCK) -> None:
    log = Log()
    async with open_tree(hands(log, 1, MailboxSpec(capacity=1))) as running:
        await running.ref("hand").tell(More(1))
        await trio.sleep(1)
        assert log.numbers == [0]


async def test_one_worker_cannot_be_told_anything(autojump_clock: CLOCK) -> None:
    async with open_tree(hands(Log())) as running:
        with pytest.raises(NotHandled, match="hand/0"):
            await running.ref("hand/0").tell(Job(1))
        with pytest.raises(NotHandled, match="it handles Job, More, Who"):
            await running.ref("hand").tell("nonsense")


@pytest.mark.parametrize("mailbox", [MEMORY, MailboxSpec()])
async def test_draining_handles_what_waits(autojump_clock: CLOCK, mailbox: MailboxSpec) -> None:
    log = Log()
    async with open_tree(hands(log, 2, mailbox)) as running:
        await tell(running, *(Job(n, seconds=1) for n in range(7)))
        drained = await running.drain("hand")
        assert drained.complete
        assert sorted(log.numbers) == list(range(7))
        with pytest.raises(AgentStopped):
            await tell(running, Job(9))
        await running.supervisor().restart_child("hand")
        await tell(running, Job(10))
        await trio.sleep(1)
        assert log.numbers[-1] == 10


async def test_what_a_drain_leaves_is_counted_once(autojump_clock: CLOCK) -> None:
    async with open_tree(hands(Log(), 2)) as running:
        await tell(running, *(Job(n, seconds=60) for n in range(5)))
        await trio.testing.wait_all_tasks_blocked()
        drained = await running.drain("hand", within=1)
        assert drained.left == {"hand": 3, "hand/0": 1, "hand/1": 1}


async def test_a_tree_that_stops_handles_what_waits_in_memory(autojump_clock: CLOCK) -> None:
    log = Log()
    async with open_tree(hands(log, 2)) as running:
        await tell(running, *(Job(n) for n in range(9)))
    assert sorted(log.numbers) == list(range(9))


async def test_workers_come_and_go(autojump_clock: CLOCK) -> None:
    log = Log()
    async with open_tree(hands(log, 1)) as running:
        workers = running.supervisor("hand")
        await workers.start_child(evolve(worker(log), id="1"))
        await tell(running, Job(0, seconds=5), Job(1, seconds=5))
        await trio.sleep(1)
        assert sorted(who for who, _ in log.begun) == ["0", "1"]
        await workers.terminate_child("0")
        await tell(running, Job(2))
        await trio.sleep(10)
        assert log.done[-1] == ("1", 2), "the only one left"
        await workers.restart_child("0")
        log.begun.clear()
        await tell(running, Job(3, seconds=1), Job(4, seconds=1))
        await trio.sleep(1)
        assert sorted(who for who, _ in log.begun) == ["0", "1"]


async def test_the_queue_outlives_the_restart_of_its_pool(autojump_clock: CLOCK) -> None:
    log = Log()
    async with open_tree(hands(log, 2, MailboxSpec())) as running:
        await tell(running, *(Job(n, seconds=1) for n in range(6)))
        await trio.sleep(1.5)
        await running.supervisor("hand").stop()
        await trio.sleep(30)
        assert sorted(log.numbers) == list(range(6))


async def test_a_durable_queue_outlives_the_process(autojump_clock: CLOCK, tmp_path: File) -> None:
    log, file = Log(), tmp_path / "pool.db"
    async with open_tree(hands(log, 2, MailboxSpec()), journal=on_disk(file)) as running:
        await tell(running, Job(0, seconds=1), Job(1, seconds=60), Job(2, seconds=60), Job(3))
        await trio.sleep(2)
        running.force()
    assert log.numbers == [0]
    log.begun.clear()
    async with open_tree(hands(log, 2, MailboxSpec()), journal=on_disk(file)) as running:
        await trio.sleep(1)
        assert log.begun == [("0", 1), ("1", 2)], "what was in hand, then what had waited, and nothing twice"
        await trio.sleep(100)
        assert sorted(log.numbers) == [0, 1, 2, 3]


async def test_a_reload_cannot_make_a_pool_share(autojump_clock: CLOCK) -> None:
    log = Log()
    async with open_tree(hands(log, 2)) as running:
        with pytest.raises(
            ConfigurationError, match="share a queue, or stop doing so; stop the tree and start it again, or give"
        ):
            await running.reload(tree(pool(worker(log), size=2), restarts=Intensity(1000, 1), policy=otp()))
        await running.reload(hands(log, 4))
        for n in range(4):
            await tell(running, Job(n, seconds=1))
        await trio.sleep(0.5)
        assert {who for who, _ in log.begun} == {"0", "1", "2", "3"}


def test_toml(tmp_path: File) -> None:
    (tmp_path / "hands.py").write_text("from tests.topologies.test_topic import Reader\n", "utf-8")
    text = '[[children]]\nid = "desk"\npool = { agent = "hands:Reader", size = 2, route = "shared" }\n'
    read = loads(text, tmp_path).blueprint.children[0]
    assert read.router == pool(Hand, size=2, route="shared").router  # type: ignore[union-attr]


@settings(max_examples=60)
@given(
    jobs=st.lists(st.tuples(st.sampled_from([0.0, 0.0, 0.5, 1.0, 3.0]), st.booleans(), st.sampled_from([0.0, 0.4]))),
    kills=st.lists(st.tuples(st.sampled_from([0.0, 0.3, 1.1]), st.integers(0, 2)), max_size=6),
    durable=st.booleans(),
)
def test_nothing_is_lost_or_repeated(
    jobs: list[tuple[float, bool, float]], kills: list[tuple[float, int]], durable: bool
) -> None:
    log = Log()
    mailbox = MailboxSpec(capacity=4, deliveries=1000) if durable else MailboxSpec(capacity=4, durability=VOLATILE)

    async def kill(running: Tree) -> None:
        for wait, which in kills:
            await trio.sleep(wait)
            running.kill(f"hand/{which}")

    async def main() -> None:
        async with open_tree(hands(log, 3, mailbox)) as running, trio.open_nursery() as nursery:
            nursery.start_soon(kill, running)
            for n, (seconds, pauses, pause) in enumerate(jobs):
                await tell(running, Job(n, seconds))
                if pauses:
                    await trio.sleep(pause)
            await trio.sleep(1000)
            assert running.ref("hand").statistics().depth == 0

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert len(log.numbers) == len(set(log.numbers)), "nothing is done twice"
    if durable or not kills:
        assert sorted(log.numbers) == list(range(len(jobs)))
