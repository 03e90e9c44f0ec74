"""A state that takes long to be read lets everybody else have their turns meanwhile."""

from __future__ import annotations

import gc
import pathlib
from collections.abc import Iterator

import pytest
import trio
from attrs import frozen
from trio.testing import wait_all_tasks_blocked

from treewarden.agents import Agent, Request, handles
from treewarden.supervisor import Retention
from treewarden.supervisor.journal.slices import Slices
from treewarden.supervisor.unhurried import unhurried
from treewarden.topologies import child, open_tree, tree

from ..journals import on_disk


@frozen
class Entry:
    number: int
    name: str


@frozen
class Book:
    entries: tuple[Entry, ...] = ()


@frozen
class Fill:
    entries: int


@frozen
class Count(Request[int]): ...


class Library(Agent[Book]):
    state = Book()

    @handles
    def fill(self, message: Fill) -> None:
        self.state = Book(tuple(Entry(number, f"entry {number}") for number in range(message.entries)))

    @handles
    def count(self, message: Count) -> int:
        return len(self.state.entries)


LONG, SHORT = 6000, 20
BLUEPRINT = tree(child(Library, retention=Retention(every=1)))


class Turns:
    """How many turns the loop has while something is waited for."""

    def __init__(self) -> None:
        self.seen = 0

    async def count(self) -> None:
        while True:
            await trio.lowlevel.checkpoint()
            self.seen += 1


async def turns_of_a_start(file: pathlib.Path) -> int:
    async with trio.open_nursery() as nursery:
        turns = Turns()
        nursery.start_soon(turns.count)
        async with open_tree(BLUEPRINT, journal=on_disk(file)) as running:
            assert await running.ref("library").ask(Count()) > 0
            seen = turns.seen
        nursery.cancel_scope.cancel()
        return seen
    raise AssertionError("it was cancelled from within")


async def filled(file: pathlib.Path, entries: int) -> pathlib.Path:
    async with open_tree(BLUEPRINT, journal=on_disk(file)) as running:
        await running.ref("library").tell(Fill(entries))
        assert await running.ref("library").ask(Count()) == entries
    return file


async def test_a_long_state_is_read_beside_others(tmp_path: pathlib.Path) -> None:
    long = await turns_of_a_start(await filled(tmp_path / "long.db", LONG))
    short = await turns_of_a_start(await filled(tmp_path / "short.db", SHORT))
    assert long - short > 20


async def test_going_back_to_a_long_state_does_too(tmp_path: pathlib.Path) -> None:
    async with open_tree(BLUEPRINT, journal=on_disk(tmp_path / "tree.db")) as running, trio.open_nursery() as nursery:
        turns = Turns()
        library, kept = running.ref("library"), dict[int, int]()
        for entries in (LONG, SHORT):
            await library.tell(Fill(entries))
            assert await library.ask(Count()) == entries
            kept[entries] = (await running.checkpoint("library", name=str(entries))).number
        seen = dict[int, int]()
        nursery.start_soon(turns.count)
        for entries in (SHORT, LONG):
            before = turns.seen
            await running.roll_back("library", to=kept[entries])
            seen[entries] = turns.seen - before
            assert await library.ask(Count()) == entries
        nursery.cancel_scope.cancel()
        assert seen[LONG] - seen[SHORT] > 20


@pytest.mark.parametrize("cancelled", [False, True])
async def test_two_long_states_are_compared_beside_others(cancelled: bool, tmp_path: pathlib.Path) -> None:
    many = 4 * LONG
    async with open_tree(BLUEPRINT, journal=on_disk(tmp_path / "tree.db")) as running, trio.open_nursery() as nursery:
        library, kept = running.ref("library"), list[int]()
        for entries in (many, many + 1):
            await library.tell(Fill(entries))
            assert await library.ask(Count()) == entries
            kept.append((await running.checkpoint("library", name=str(entries))).number)
        turns = Turns()
        nursery.start_soon(turns.count)
        with trio.CancelScope() as scope:
            if cancelled:
                scope.cancel()
            changes = await running.diff(*kept)
            assert [(change.at, change.after) for change in changes] == [
                (f"/entries/{many}", {"number": many, "name": f"entry {many}"})
            ]
        assert scope.cancelled_caught == cancelled
        assert (turns.seen > 60) != cancelled
        nursery.cancel_scope.cancel()


def steps(many: int, error: Exception | None = None) -> Slices[int]:
    for _ in range(many):
        assert gc.isenabled() == (_ == 0)
        yield
    if error is not None:
        raise error
    return many


async def test_the_collector_rests_meanwhile_and_only_then() -> None:
    assert await unhurried(steps(0)) == 0
    assert await unhurried(steps(3)) == 3
    assert gc.isenabled()
    with pytest.raises(ValueError, match="no"):
        await unhurried(steps(3, ValueError("no")))
    assert gc.isenabled()


async def test_it_can_be_cancelled_between_two_slices() -> None:
    done: list[int] = []

    def endless() -> Iterator[None]:
        while True:
            done.append(1)
            yield

    def work() -> Slices[int]:
        yield from endless()
        return 0

    async with trio.open_nursery() as nursery:
        nursery.start_soon(unhurried, work())
        while len(done) < 10:
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    await wait_all_tasks_blocked()
    assert gc.isenabled()
