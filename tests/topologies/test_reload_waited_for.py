"""A reload that starts one after the other: whoever speaks to who comes later with it waits until he is there."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents import Agent, Exit, NoSuchSlot, Request, handles
from treewarden.supervisor.core.spec import SupervisorSpec
from treewarden.topologies import Tree, open_tree, partition_of, partitions, tree

from ..journals import on_disk
from .commanded import order

CLOCK = trio.testing.MockClock
KEYS = [f"k{n}" for n in range(12)]


@frozen
class Add:
    key: str


@frozen
class Count(Request[int]):
    key: str


@frozen
class Relay(Request[str]):
    to: str
    key: str


@frozen
class PassOn(Request[int]):
    key: str


class Book(Agent[dict[str, int]]):
    state: dict[str, int] = {}  # noqa: RUF012 (replaced, never mutated)
    takes = 0.0

    async def on_start(self) -> None:
        await trio.sleep(Book.takes)

    async def on_stop(self, exit: Exit) -> None:
        await trio.sleep(Book.takes)

    @handles
    def add(self, message: Add) -> None:
        self.state = {**self.state, message.key: self.state.get(message.key, 0) + 1}

    @handles
    def count(self, message: Count) -> int:
        return self.state.get(message.key, 0)


class Front(Agent[int]):
    state = 0

    @handles
    async def add(self, message: Add) -> None:
        await self.forward(self.ref("books"))

    @handles
    async def relay(self, message: Relay) -> str:
        try:
            await self.ref(message.to).ask(Count(message.key), within=0.25)
        except NoSuchSlot as missing:
            return str(missing)
        return "there"

    @handles
    async def pass_on(self, message: PassOn) -> None:
        await self.forward(self.ref("books"), Count(message.key))

    @handles
    async def count(self, message: Count) -> int:
        return await self.ref("books").ask(message)


def shape(count: int) -> SupervisorSpec:
    return tree(Front, partitions(tree(Book, id="part"), count, key="key", entry="book", id="books"))


@pytest.fixture(autouse=True)
def slow() -> None:
    Book.takes = 0.0


async def reloading(running: Tree, count: int, nursery: trio.Nursery, takes: float = 1.0) -> None:
    """Each part that begins, or ends, takes a second of it."""
    Book.takes = takes
    nursery.start_soon(running.reload, shape(count))
    await trio.sleep(0.5)


@pytest.mark.parametrize("to", ["books", "front"])
async def test_a_key_waits_for_its_new_part(to: str, autojump_clock: CLOCK) -> None:
    async with open_tree(shape(1)) as running, trio.open_nursery() as nursery:
        await reloading(running, 4, nursery)
        for key in KEYS:
            await running.ref(to).tell(Add(key))
        assert [await running.ref(to).ask(Count(key)) for key in KEYS] == [1] * len(KEYS)
        assert [slot.restarts for slot in running.snapshot()] == [0] * len(running.snapshot())


async def test_so_does_an_ask_that_is_forwarded_and_one_that_has_a_trace(autojump_clock: CLOCK) -> None:
    async with open_tree(shape(1)) as running, trio.open_nursery() as nursery:
        await reloading(running, 4, nursery)
        for key in KEYS[:3]:
            assert await running.ref("front").ask(PassOn(key)) == 0
        for key in KEYS[3:]:
            await running.ref("books").traced("order").tell(Add(key))
            assert await running.ref("books").traced("order").ask(Count(key)) == 1
        assert [slot.restarts for slot in running.snapshot()] == [0] * len(running.snapshot())


async def test_so_does_a_command_of_another_process(tmp_path: Path, autojump_clock: CLOCK) -> None:
    file = tmp_path / "tree.db"
    async with open_tree(shape(1), journal=on_disk(file)) as running, trio.open_nursery() as nursery:
        await reloading(running, 4, nursery, takes=4.0)
        last = next(key for key in KEYS if partition_of(key, 4) == 3)
        outcome = await order(file, "tell", "books", kind="Add", data={"key": last})
        assert outcome.state == "applied", outcome
        assert await running.ref("books").ask(Count(last)) == 1


async def test_nobody_waits_longer_than_its_limit_or_for_who_is_not_to_come(autojump_clock: CLOCK) -> None:
    last = next(key for key in KEYS if partition_of(key, 4) == 3)
    async with open_tree(shape(1)) as running, trio.open_nursery() as nursery:
        await reloading(running, 4, nursery)
        began = trio.current_time()
        for to, waits in (("books/4/book", 0.0), ("books/0", 0.0), ("books", 0.25)):
            said = await running.ref("front").ask(Relay(to, last), within=60)
            assert "no such slot" in said or "is a supervisor" in said
            assert waits <= trio.current_time() - began < waits + 0.1
            began = trio.current_time()


async def test_a_part_that_does_not_start_keeps_nobody_from_the_others(autojump_clock: CLOCK) -> None:
    class Fails(Agent[int]):
        state = 0
        tries = 0

        async def on_start(self) -> None:
            Fails.tries += 1
            await trio.sleep(1)
            if Fails.tries == 2:
                raise RuntimeError("no such file")

    def shape(count: int) -> SupervisorSpec:
        return tree(Front, partitions(tree(Book, Fails, id="part"), count, key="key", entry="book", id="books"))

    async with open_tree(shape(1)) as running, trio.open_nursery() as nursery:
        nursery.start_soon(running.reload, shape(4))
        await trio.sleep(1.5)
        assert Fails.tries == 3
        for key in KEYS:
            await running.ref("books").tell(Add(key))
        assert [await running.ref("books").ask(Count(key)) for key in KEYS] == [1] * len(KEYS)


async def test_where_the_reload_is_over_nobody_waits(autojump_clock: CLOCK) -> None:
    key = next(key for key in KEYS if partition_of(key, 2) == 1)
    async with open_tree(shape(1)) as running:
        await running.reload(shape(2))
        books = running.ref("books")
        await running.supervisor("books").terminate_child("1")
        await running.supervisor("books").delete_child("1")
        began = trio.current_time()
        with pytest.raises(NoSuchSlot):
            await books.ask(Count(key))
        assert trio.current_time() == began


async def test_keys_of_a_part_that_goes_belong_to_another_at_once(autojump_clock: CLOCK) -> None:
    async with open_tree(shape(4)) as running, trio.open_nursery() as nursery:
        await reloading(running, 1, nursery)
        for seconds in range(6):
            for key in KEYS:
                await running.ref("books").tell(Add(key))
            assert [await running.ref("books/0/book").ask(Count(key)) for key in KEYS] == [seconds + 1] * len(KEYS)
            await trio.sleep(0.5)
        assert await running.dead_letters() == ()
