"""Two trees in one process: a message of one is never written into the journal of the other."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.agents.core.path import Path as SlotPath
from treewarden.agents.errors import AgentFailed, ConfigurationError
from treewarden.agents.ref import Ref
from treewarden.supervisor.core.spec import NO_BACKOFF, ChildSpec
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.topic import subscriber, topic
from treewarden.topologies.tree import tree

from ..journals import FullDisk


@frozen
class Add:
    amount: int


@frozen
class Aside:
    amount: int


@frozen
class Total(Request[int]):
    """Ask for the sum."""


class Counter(Agent[int]):
    state = 0

    @handles
    def add(self, message: Add) -> None:
        self.state += message.amount

    @handles
    def total(self, message: Total) -> int:
        return self.state


class Sender(Agent[int]):
    state = 0

    def __init__(self, far: Ref) -> None:
        self.far = far

    @handles
    async def add(self, message: Add) -> None:
        self.state += 1
        await self.far.tell(message)

    @handles
    async def aside(self, message: Aside) -> None:
        self.start_soon(self.far.tell, Add(message.amount))

    @handles
    async def total(self, message: Total) -> int:
        return await self.far.ask(message)


class Relay(Agent[None]):
    def __init__(self, refs: dict[str, Ref], to: str) -> None:
        self.refs = refs
        self.to = to

    @handles
    async def total(self, message: Total) -> int:
        return await self.refs[self.to].ask(message, within=60)


FAR = tree(Counter, topic(subscriber("counter"), id="news"))


@pytest.mark.parametrize("path", ["counter", "news"])
async def test_a_durable_handler_cannot_tell_a_durable_agent_of_another_tree(
    tmp_path: Path, path: str, autojump_clock: MockClock
) -> None:
    async with open_tree(FAR, journal=tmp_path / "far.db") as far:
        near = tree(child(Sender, args={"far": far.ref(path)}, backoff=NO_BACKOFF), Counter)
        async with open_tree(near, journal=tmp_path / "near.db") as running:
            await running.ref("sender").tell(Add(7))
            assert await running.ref("counter").ask(Total()) == 0
            await trio.sleep(60)
            (letter,) = await running.dead_letters()
            assert letter.path == "sender"
            assert "sender: counter is in another tree, and what a handler tells leaves in the comm" in letter.reason
            assert far.ref("counter").statistics().reserved == 0
            await far.ref("counter").tell(Add(1))
            assert await far.ref("counter").ask(Total()) == 1
    async with open_tree(near, journal=tmp_path / "near.db") as running:
        assert await running.ref("counter").ask(Total()) == 0  # it got nothing of what was meant for the other one


async def test_a_helper_can_and_an_ask_goes_there_as_well(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_tree(FAR, journal=tmp_path / "far.db") as far:
        near = tree(child(Sender, args={"far": far.ref("counter")}))
        async with open_tree(near, journal=tmp_path / "near.db") as running:
            await running.ref("sender").tell(Aside(7))
            await trio.sleep(1)
            assert await running.ref("sender").ask(Total()) == 7
    async with open_tree(FAR, journal=tmp_path / "far.db") as far:
        assert await far.ref("counter").ask(Total()) == 7


async def test_in_memory_either_may_tell_the_other(tmp_path: Path, autojump_clock: MockClock) -> None:
    spec = MailboxSpec(durability=VOLATILE)
    for here, there in ((spec, MailboxSpec()), (MailboxSpec(), spec)):
        async with open_tree(tree(child(Counter, mailbox=there))) as far:
            near = tree(child(Sender, args={"far": far.ref("counter")}, mailbox=here))
            async with open_tree(near) as running:
                await running.ref("sender").tell(Add(7))
                await trio.sleep(1)
                assert await far.ref("counter").ask(Total()) == 7


@pytest.mark.parametrize("durability", [VOLATILE, MESSAGE])
async def test_an_agent_may_ask_the_one_at_its_own_path_in_another_tree(
    durability: Durability, autojump_clock: MockClock
) -> None:
    spec = MailboxSpec(durability=durability)
    async with open_tree(tree(child(Counter, id="a", mailbox=spec))) as far:
        near = tree(child(Sender, id="a", args={"far": far.ref("a")}, mailbox=spec))
        async with open_tree(near) as running:
            assert await running.ref("a").ask(Total()) == 0


async def test_a_cycle_through_two_trees_is_refused_where_paths_are_the_same(autojump_clock: MockClock) -> None:
    spec, refs = MailboxSpec(durability=VOLATILE), dict[str, Ref]()

    def relay(id: str, to: str) -> ChildSpec:
        return child(Relay, id=id, args={"refs": refs, "to": to}, mailbox=spec)

    async with open_tree(tree(relay("a", "near"), relay("b", "far"))) as far, open_tree(tree(relay("a", "b"))) as near:
        refs |= {"near": near.ref("a"), "far": far.ref("a"), "b": far.ref("b")}
        begun = trio.current_time()
        with pytest.raises(AgentFailed, match="AskCycle"):
            await near.ref("a").ask(Total(), within=60)
        assert trio.current_time() - begun < 1


class Watcher(Agent[None]):
    def __init__(self, far: Ref, raised: list[Exception]) -> None:
        self.far = far
        self.raised = raised

    async def on_start(self) -> None:
        try:
            self.watch(self.far)
        except ConfigurationError as error:
            self.raised.append(error)


async def test_nobody_watches_or_subscribes_whoever_has_the_same_path_here(autojump_clock: MockClock) -> None:
    raised: list[Exception] = []
    async with open_tree(FAR) as far:
        elsewhere = far.ref("counter")
        near = tree(Counter, child(Watcher, args={"far": elsewhere, "raised": raised}), topic(id="news"))
        async with open_tree(near) as running:
            here, news = running.ref("counter"), running.ref("news")
            assert [str(error)[:47] for error in raised] == ["watcher: Ref(counter) is of another tree, whose"]
            with pytest.raises(
                ConfigurationError, match=r"^/: Ref\(counter\) is of another tree, .*; watch it through"
            ):
                running.watch(elsewhere)
            news.subscribe(here)
            for call in (news.subscribe, news.unsubscribe):
                with pytest.raises(ConfigurationError, match=r"^news: Ref\(counter\) is of another tree"):
                    call(elsewhere)
            await news.tell(Add(3))
            assert await here.ask(Total()) == 3
            assert here != elsewhere
            assert {here, elsewhere} == {running.ref("/counter"), far.ref("/counter")}
            async with running.watch(here):
                pass


@frozen
class Order:
    """Ask somebody of another tree for the sum, and wait so long afterwards."""

    seconds: float = 0.0
    failures: int = 0


class Buyer(Agent[tuple[int, ...]]):
    state = ()

    def __init__(self, far: Ref, lives: list[int]) -> None:
        self.far = far
        self.lives = lives

    @handles
    async def order(self, message: Order) -> None:
        got = await self.far.ask(Bump(), within=60)
        await trio.sleep(message.seconds)
        if len(self.lives) < message.failures:
            self.lives.append(got)
            raise ValueError("once more")
        self.state = (*self.state, got)


@frozen
class Bump(Request[int]):
    """Count one more."""


class Bumped(Agent[int]):
    state = 0

    def __init__(self, far: Ref | None = None) -> None:
        self.far = far

    @handles
    async def bump(self, message: Bump) -> int:
        if self.far is not None:
            await self.far.ask(Bump())
        self.state += 1
        return self.state


async def kept(*journals: MemoryJournal) -> list[int]:
    return [len((await journal.recover(SlotPath("bumped"))).replies) for journal in journals]


async def test_a_reply_of_another_tree_is_kept_until_the_handler_that_asked_has_settled(
    autojump_clock: MockClock,
) -> None:
    """Also what was asked on the way, in a third one. A handler that runs again gets what it got before."""
    far, further = MemoryJournal(), MemoryJournal()
    async with open_tree(tree(Bumped), journal=further) as third:
        between = child(Bumped, args={"far": third.ref("bumped")})
        async with open_tree(tree(between), journal=far) as second:
            lives = list[int]()
            buyer = child(Buyer, args={"far": second.ref("bumped"), "lives": lives}, backoff=NO_BACKOFF)
            async with open_tree(tree(buyer)) as first:
                await first.ref("buyer").tell(Order(seconds=5, failures=1))
                await trio.sleep(4)
                assert await kept(far, further) == [1, 0]  # the second one has settled
                await trio.sleep(10)
                assert lives == [1]
                assert await kept(far, further) == [0, 0]
                for _ in range(3):
                    await first.ref("buyer").tell(Order())
                await trio.sleep(5)
                assert await kept(far, further) == [0, 0]
                assert await second.ref("bumped").ask(Bump()) == 5


async def test_it_is_not_kept_where_the_message_is_given_up_that_it_was_asked_for(autojump_clock: MockClock) -> None:
    far = MemoryJournal()
    async with open_tree(tree(Bumped), journal=far) as second:
        buyer = child(Buyer, args={"far": second.ref("bumped"), "lives": []}, backoff=NO_BACKOFF)
        async with open_tree(tree(buyer)) as first:
            await first.ref("buyer").tell(Order(seconds=5, failures=100))
            await trio.sleep(60)
            assert len(await first.dead_letters()) == 1
            assert await kept(far) == [0]
            assert await second.ref("bumped").ask(Bump()) == 2


async def test_it_is_kept_while_it_is_not_on_disk_that_the_message_is_given_up(autojump_clock: MockClock) -> None:
    """A process that dies before hands the message out again, and what its handler asked would be done twice."""
    far, near = MemoryJournal(), FullDisk()
    lives = list[int]()
    async with open_tree(tree(Bumped), journal=far) as second:
        buyer = child(Buyer, args={"far": second.ref("bumped"), "lives": lives}, backoff=NO_BACKOFF)
        async with open_tree(tree(buyer), journal=near) as first:
            await first.ref("buyer").tell(Order(seconds=5, failures=100))
            await trio.sleep(8)
            assert lives == [1]
            near.full = True
            await trio.sleep(10)
            assert (lives, await kept(far)) == ([1, 1], [1])
            near.full = False
            await trio.sleep(10)
            assert len(await first.dead_letters()) == 1
            assert await kept(far) == [0]
