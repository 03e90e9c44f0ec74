"""A tree that starts: whoever has begun speaks to those who come later in it, and waits until they are there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, every, handles
from treewarden.agents.core.message import Request
from treewarden.agents.errors import NoSuchSlot, TreeFailed
from treewarden.supervisor.core.spec import Spec
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.open import open_tree
from treewarden.topologies.partition import partitions
from treewarden.topologies.pool import pool
from treewarden.topologies.topic import topic
from treewarden.topologies.tree import tree

CLOCK = trio.testing.MockClock


@frozen
class Item:
    key: str = "k"


@frozen
class Double(Request[int]):
    n: int
    key: str = "k"


class Sink(Agent[int]):
    state = 0
    items = 0

    @handles
    def item(self, message: Item) -> None:
        Sink.items += 1

    @handles
    def double(self, message: Double) -> int:
        return 2 * message.n


class Slow(Agent[None]):
    """Those behind it wait for it."""

    state = None

    async def on_start(self) -> None:
        await trio.sleep(3)


class Ticks(Agent[int]):
    state = 0
    at = "sink"

    @every(100)
    async def tick(self) -> None:
        await self.ref(self.at).tell(Item())


class TicksIntoATree(Ticks):
    at = "sink/x"


class Body(Agent[int]):
    state = 0

    async def run(self) -> None:
        await self.ref("sink").tell(Item())
        await trio.sleep_forever()


class Asks(Agent[int]):
    state = 0

    @every(100)
    async def tick(self) -> None:
        assert await self.ref("sink").ask(Double(2)) == 4
        Sink.items += 1


class Passes(Agent[int]):
    state = 0

    @handles
    async def item(self, message: Item) -> None:
        await self.ref("sink").tell(message)


@pytest.fixture(autouse=True)
def nothing() -> None:
    Sink.items = 0


def workers() -> Spec:
    return pool(Sink, size=2, id="sink")


def shared() -> Spec:
    return pool(Sink, size=2, route="shared", id="sink")


def parts() -> Spec:
    return partitions(tree(Sink, id="part"), 2, key="key", entry="sink", id="sink")


def readers() -> Spec:
    return topic(Sink, id="sink")


def below() -> Spec:
    return tree(pool(Sink, size=1, id="x"), id="sink")


@pytest.mark.parametrize("first", [Ticks, Body, Asks])
@pytest.mark.parametrize("sink", [workers, shared, parts])
async def test_who_has_begun_waits_for_who_comes_later(
    first: type[Agent[int]], sink: Callable[[], Spec], autojump_clock: CLOCK
) -> None:
    async with open_tree(tree(first, Slow, sink())) as running:
        await trio.sleep(1)
        assert [slot.restarts for slot in running.snapshot()] == [0] * len(running.snapshot())
    assert Sink.items == 1


@pytest.mark.parametrize(("first", "sink"), [(Ticks, readers), (TicksIntoATree, below)])
async def test_be_it_a_topic_or_somewhere_below(
    first: type[Agent[int]], sink: Callable[[], Spec], autojump_clock: CLOCK
) -> None:
    async with open_tree(tree(first, Slow, sink())) as running:
        await trio.sleep(1)
        assert not any(slot.restarts for slot in running.snapshot())
    assert Sink.items == 1


async def test_what_waited_for_a_process_to_begin_is_handled_at_the_first_attempt(autojump_clock: CLOCK) -> None:
    journal, shape = MemoryJournal(), tree(Passes, Slow, workers())
    async with open_tree(shape, journal=journal) as running:
        running.hold("passes")
        await running.ref("passes").tell(Item())
        await trio.sleep(1)
        running.resume("passes")
        running.stop()
        await running.wait_ended()
    async with open_tree(shape, journal=journal) as running:
        await trio.sleep(1)
        assert running.snapshot()[0].restarts == 0
    assert Sink.items == 1


@pytest.mark.parametrize("path", ["sink", "nowhere"])
async def test_an_on_start_and_a_wrong_path_are_told_at_once(path: str, autojump_clock: CLOCK) -> None:
    said: list[tuple[str, float]] = []

    class Early(Agent[None]):
        state = None

        async def on_start(self) -> None:
            if path == "sink":
                await self._tell()

        async def run(self) -> None:
            await self._tell()
            await trio.sleep_forever()

        async def _tell(self) -> None:
            try:
                await self.ref(path).tell(Item())
            except NoSuchSlot as missing:
                said.append((str(missing.path), trio.current_time()))

    began = trio.current_time()
    async with open_tree(tree(Early, Slow, workers())):
        await trio.sleep(1)
    assert said == [(path, began)]


async def test_where_the_start_fails_nobody_waits_on(autojump_clock: CLOCK) -> None:
    class Broken(Agent[None]):
        state = None

        async def on_start(self) -> None:
            await trio.sleep(1)
            raise OSError("no such database")

    began = trio.current_time()
    with pytest.raises(TreeFailed, match="no such database"):
        async with open_tree(tree(Ticks, Broken, workers())):
            pass
    assert trio.current_time() - began < 2
