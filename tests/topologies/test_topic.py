"""Publish and subscribe: who is told, in which order, and what happens to those that have no room."""

from __future__ import annotations

from pathlib import Path as File

import pytest
import trio
import trio.testing

from treewarden.agents.agent import handles
from treewarden.agents.core.durability import MailboxSpec, Overflow
from treewarden.agents.core.message import trace_of
from treewarden.agents.core.path import Path
from treewarden.agents.errors import (
    AgentStopped,
    CommitFailed,
    DeliveryError,
    DurabilityError,
    MailboxFull,
    NotHandled,
)
from treewarden.supervisor.core.spec import Intensity
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.journal.port import Commit, MessageRow
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.topic import subscriber, topic
from treewarden.topologies.tree import tree

from ..journals import on_disk
from .readers import CLOCK, SMALL, Got, Joiner, Market, News, Price, Publish, Reader, Slow, dead, got, volatile


@pytest.fixture(autouse=True)
def _gate() -> None:
    Slow.gate = trio.Event()


async def test_everybody_who_has_subscribed_is_told_in_order(autojump_clock: CLOCK) -> None:
    prices = topic(child(Reader, id="a"), pool(child(Reader), size=2, id="desk"), "../elsewhere", id="prices")
    async with open_tree(tree(child(Reader, id="elsewhere"), prices)) as running:
        for n in range(4):
            await running.ref("prices").tell(Price(n))
        assert await got(running, "prices/a") == await got(running, "elsewhere") == (0, 1, 2, 3)
        assert await got(running, "prices/desk/0") == (0, 2)
        assert await got(running, "prices/desk/1") == (1, 3)


async def test_only_those_that_handle_it_are_told(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(topic(Reader, id="prices"))) as running:
        await running.ref("prices").tell(News())
        await running.ref("prices").tell(Price(1))
        assert await got(running, "prices/reader") == (1,)


async def test_a_topic_answers_nothing(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(topic(Reader, id="prices"))) as running:
        with pytest.raises(NotHandled, match="gather"):
            await running.ref("prices").ask(Got())


@pytest.mark.parametrize(
    ("overflow", "kept", "lost"),
    [("drop_newest", (0, 1, 2), 3), ("drop_oldest", (0, 4, 5), 3), ("coalesce", (0, 1, 5), 3)],
)
async def test_a_slow_subscriber_holds_up_nobody(
    autojump_clock: CLOCK, overflow: str, kept: tuple[int, ...], lost: int
) -> None:
    slow = subscriber(child(Slow, mailbox=SMALL), overflow=Overflow(overflow))
    journal = MemoryJournal()
    async with open_tree(tree(topic(slow, Reader, id="prices")), journal=journal) as running:
        begun = trio.current_time()
        for n in range(6):
            await running.ref("prices").tell(Price(n))
            await trio.testing.wait_all_tasks_blocked()
        assert trio.current_time() == begun, "nobody has waited"
        assert await got(running, "prices/reader") == tuple(range(6))
        Slow.gate.set()
        assert await got(running, "prices/slow") == kept
        assert running.ref("prices/slow").statistics().dropped == lost
        assert await dead(journal) == ["prices/slow"] * lost


async def test_drop_oldest_drops_the_new_one_where_all_others_are_on_their_way(autojump_clock: CLOCK) -> None:
    reader = subscriber(child(Reader, mailbox=MailboxSpec(capacity=1)), overflow=Overflow.DROP_OLDEST)
    journal = MemoryJournal()
    market = child(Market, args={"at": "../prices"})
    async with open_tree(tree(topic(reader, id="prices"), market), journal=journal) as running:
        await running.ref("market").tell(Publish(1))  # the second one, while the first waits for the settle
        await trio.testing.wait_all_tasks_blocked()
        assert await got(running, "prices/reader") == (1,)
        assert await dead(journal) == ["prices/reader"]


async def test_coalesce_without_its_like_drops_the_new_one(autojump_clock: CLOCK) -> None:
    slow = subscriber(child(Slow, mailbox=SMALL), overflow=Overflow.COALESCE)
    async with open_tree(tree(topic(slow, id="prices"))) as running:
        await running.ref("prices/slow").tell(Price(0))
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(1):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(got, running, "prices/slow")
                nursery.start_soon(got, running, "prices/slow")
                await trio.testing.wait_all_tasks_blocked()
                begun = trio.current_time()
                await running.ref("prices").tell(Price(9))
                assert trio.current_time() == begun
        assert running.ref("prices/slow").statistics().dropped == 1
        Slow.gate.set()


async def test_whoever_says_wait_is_waited_for_after_all_others_were_told(autojump_clock: CLOCK) -> None:
    wait = [subscriber(child(Slow, id=f"slow{n}", mailbox=SMALL), overflow=Overflow.WAIT) for n in range(2)]
    async with open_tree(tree(topic(*wait, Reader, id="prices"))) as running:
        for n in range(3):
            await running.ref("prices").tell(Price(n))
            await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.ref("prices").tell, Price(3))
            await trio.testing.wait_all_tasks_blocked()
            assert await got(running, "prices/reader") == (0, 1, 2, 3)
            assert nursery.child_tasks
            Slow.gate.set()
        assert await got(running, "prices/slow0") == await got(running, "prices/slow1") == (0, 1, 2, 3)


async def test_who_is_waited_for_in_vain_is_named(autojump_clock: CLOCK) -> None:
    slow = subscriber(child(Slow, mailbox=SMALL), overflow=Overflow.WAIT)
    full = subscriber(child(Slow, id="full", mailbox=SMALL), overflow=Overflow.REFUSE)
    async with open_tree(tree(topic(slow, full, Reader, id="prices"))) as running:
        prices = running.ref("prices")
        for n in range(3):
            await prices.tell(Price(n))
            await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(DeliveryError, match="1 of 3 subscribers") as caught:
            await prices.tell(Price(3), within=2)
        assert "prices/slow: no room" in str(caught.value)
        assert "prices/full: its mailbox is full" in str(caught.value)
        Slow.gate.set()


async def test_tell_nowait_waits_for_nobody(autojump_clock: CLOCK) -> None:
    slow = subscriber(child(Slow, mailbox=SMALL), overflow=Overflow.WAIT)
    async with open_tree(tree(topic(slow, volatile(Reader, "fast"), id="prices"))) as running:  # type: ignore[arg-type]
        prices = running.ref("prices")
        for n in range(3):
            prices.tell_nowait(Price(n))
            await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(DeliveryError, match="1 of 2 subscribers"):
            prices.tell_nowait(Price(3))
        assert await got(running, "prices/fast") == (0, 1, 2, 3)
        Slow.gate.set()


async def test_tell_nowait_tells_nobody_if_somebody_is_on_disk(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(topic(volatile(Reader, "fast"), child(Reader, id="kept"), id="prices"))) as running:  # type: ignore[arg-type]
        with pytest.raises(DurabilityError, match="prices/kept"):
            running.ref("prices").tell_nowait(Price(1))
        assert await got(running, "prices/fast") == ()


async def test_a_subscriber_that_is_restarted_has_what_was_published_meanwhile(autojump_clock: CLOCK) -> None:
    spec = tree(topic(child(Reader, id="a"), child(Reader, id="b"), id="prices", restarts=Intensity(10, 60)))
    async with open_tree(spec) as running:
        for n in (1, 13, 2):
            await running.ref("prices").tell(Price(n))
        await trio.sleep(60)
        assert await got(running, "prices/a") == await got(running, "prices/b") == (1, 2)
        await running.ref("prices").tell(Price(3))
        assert await got(running, "prices/a") == (1, 2, 3)


async def test_agents_subscribe_themselves_and_stay_subscribed(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(topic(id="prices"), Joiner, restarts=Intensity(10, 60))) as running:
        prices = running.ref("prices")
        await prices.tell(Price(1))
        assert running.kill("joiner")
        await prices.tell(Price(2))
        await trio.sleep(30)
        assert await got(running, "joiner") == (1, 2)
        assert prices.unsubscribe(Path("joiner"))
        assert not prices.unsubscribe(running.ref("joiner"))
        await prices.tell(Price(3))
        assert await got(running, "joiner") == (1, 2)


async def test_a_subscription_outlives_the_restart_of_its_topic(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(topic(Reader, id="prices"), Joiner)) as running:
        await running.supervisor("prices").stop()
        await trio.sleep(1)
        await running.ref("prices").tell(Price(1))
        assert await got(running, "joiner") == await got(running, "prices/reader") == (1,)


async def test_who_is_gone_is_left_out(autojump_clock: CLOCK) -> None:
    prices = topic(child(Reader, id="a"), child(Reader, id="b"), id="prices")
    async with open_tree(tree(prices, Joiner)) as running:
        await running.supervisor("prices").terminate_child("a")
        await running.supervisor().terminate_child("joiner")
        await running.supervisor().delete_child("joiner")
        await running.ref("prices").tell(Price(1))
        assert await got(running, "prices/b") == (1,)
        with pytest.raises(AgentStopped):
            await got(running, "prices/a")
        await running.supervisor("prices").restart_child("a")
        await running.ref("prices").tell(Price(2))
        assert await got(running, "prices/a") == (2,)


async def test_a_durable_handler_publishes_with_its_settle_or_not_at_all(autojump_clock: CLOCK) -> None:
    market = child(Market, args={"at": "../prices"})
    async with open_tree(tree(topic(Reader, id="prices"), market, restarts=Intensity(10, 60))) as running:
        await running.ref("market").tell(Publish(1))
        await running.ref("market").tell(Publish(5, fail=True))
        await running.ref("market").tell(Publish(7))
        await trio.sleep(60)
        assert await got(running, "prices/reader") == (1, 2, 7, 8)


async def test_an_agent_may_publish_to_itself(autojump_clock: CLOCK) -> None:
    class Echo(Reader):
        @handles
        async def publish(self, message: Publish) -> None:
            await self.ref("..").tell(Price(message.first))

    echo = child(Echo, mailbox=MailboxSpec(capacity=1))
    async with open_tree(tree(topic(subscriber(echo, overflow=Overflow.WAIT), id="prices"))) as running:
        await running.ref("prices/echo").tell(Publish(4))
        await trio.sleep(1)
        assert await got(running, "prices/echo") == (4,)


async def test_a_topic_hands_on_to_topics_and_nobody_gets_it_twice(autojump_clock: CLOCK) -> None:
    spec = tree(
        topic(child(Reader, id="a"), "../second", id="first"),
        topic("../first/a", child(Reader, id="b"), "../first", id="second"),
    )
    async with open_tree(spec) as running:
        await running.ref("first").tell(Price(1))
        await running.ref("second").tell(Price(2))
        assert await got(running, "first/a") == await got(running, "second/b") == (1, 2)
        assert running.ref("first").statistics().capacity == 128


class Refusing(MemoryJournal):
    """Fails the next commit that accepts messages."""

    broken = False

    def submit(self, commit: Commit, then: object) -> None:
        if self.broken and commit.accepted:
            self.broken = False
            then(CommitFailed("full"))  # type: ignore[operator]
            return
        super().submit(commit, then)  # type: ignore[arg-type]


class Accepting(MemoryJournal):
    """Notes what is told."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[MessageRow] = []

    @property
    def bodies(self) -> set[str]:
        return {row.body for row in self.rows}

    def submit(self, commit: Commit, then: object) -> None:
        self.rows += [row for row in commit.accepted if row.path.is_within(Path("prices"))]
        super().submit(commit, then)  # type: ignore[arg-type]


async def test_durable_subscribers_get_it_in_one_commit_or_none(autojump_clock: CLOCK) -> None:
    journal = Refusing()
    spec = tree(topic(child(Reader, id="a"), child(Reader, id="b"), id="prices"))
    async with open_tree(spec, journal=journal) as running:
        journal.broken = True
        with pytest.raises(CommitFailed):
            await running.ref("prices").tell(Price(1))
        assert not journal.broken
        await running.ref("prices").tell(Price(2))
        assert await got(running, "prices/a") == await got(running, "prices/b") == (2,)
        assert running.ref("prices").statistics().reserved == 0


async def test_all_copies_of_what_is_told_from_outside_are_in_one_trace(autojump_clock: CLOCK) -> None:
    """Those that are told late, too: they come behind one that is on disk. What is told next begins another one."""
    journal = Accepting()
    late = subscriber(child(Slow, mailbox=MailboxSpec(capacity=2)), overflow=Overflow.WAIT)
    spec = tree(topic(late, child(Reader, id="a"), child(Reader, id="b"), id="prices"))
    async with open_tree(spec, journal=journal) as running:
        async with trio.open_nursery() as nursery:
            for n in range(4):
                nursery.start_soon(running.ref("prices").tell, Price(n))
                await trio.testing.wait_all_tasks_blocked()
            Slow.gate.set()
        assert await got(running, "prices/a") == await got(running, "prices/slow") == (0, 1, 2, 3)
    traces = {body: {trace_of(row.id) for row in journal.rows if row.body == body} for body in journal.bodies}
    assert [len(each) for each in traces.values()] == [1] * 4
    assert len(set[str]().union(*traces.values())) == 4
    assert len({row.id for row in journal.rows}) == len(journal.rows) == 12


async def test_what_was_published_survives_the_process(autojump_clock: CLOCK, tmp_path: File) -> None:
    spec = tree(topic(subscriber(child(Slow)), id="prices"))
    file = tmp_path / "prices.db"
    async with open_tree(spec, journal=on_disk(file)) as running:
        for n in range(3):
            await running.ref("prices").tell(Price(n))
        running.force()
    Slow.gate.set()
    async with open_tree(spec, journal=on_disk(file)) as running:
        assert await got(running, "prices/slow") == (0, 1, 2)


async def test_a_full_subscriber_that_refuses_is_told_of(autojump_clock: CLOCK) -> None:
    slow = subscriber(child(Slow, mailbox=SMALL), overflow=Overflow.REFUSE)
    async with open_tree(tree(topic(slow, id="prices"))) as running:
        for n in range(3):
            await running.ref("prices").tell(Price(n))
            await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(MailboxFull, match="prices/slow"):
            await running.ref("prices").tell(Price(3))
        Slow.gate.set()
