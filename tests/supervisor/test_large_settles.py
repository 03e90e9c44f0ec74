"""A large state settles beside others: they have turns while it is taken, and what is stored is one state."""

from __future__ import annotations

import gc
import pathlib
from typing import Any

import pytest
import trio
from attrs import evolve, frozen

from treewarden.agents import (
    MESSAGE,
    Agent,
    AgentFailed,
    Checkpointed,
    Durability,
    MailboxSpec,
    Request,
    every,
    handles,
)
from treewarden.agents.core.path import Path
from treewarden.supervisor.journal.codec import Codec
from treewarden.supervisor.settling import SlotStore
from treewarden.topologies import child, open_tree, tree

from ..agents.trees import slot_of
from ..journals import on_disk

MANY = 30_000
ENOUGH = 10
"""Turns that others have at least while so many entries are taken."""


@frozen
class Entry:
    number: int
    name: str


@frozen
class Library:
    title: str = "old"
    entries: tuple[Entry, ...] = ()
    filled: int = 0


@frozen
class Fill(Request[int]):
    how: str


@frozen
class Settled(Request[int]): ...


ENTRIES = tuple(Entry(number, f"entry {number}") for number in range(MANY))


class Librarian(Agent[Library]):
    state = Library()

    @handles
    def fill(self, message: Fill) -> Any:
        if message.how == "later":
            return self.fill_later()
        self.state = evolve(self.state, entries=ENTRIES, filled=self.state.filled + 1)
        if message.how in ("badly", "mended"):
            wrong: Any = (*ENTRIES, Entry(1, b"no text"))  # pyright: ignore[reportArgumentType]
            self.state = evolve(self.state, entries=wrong)
        if message.how in ("meddled", "mended"):
            self.start_soon(self.rename)
        return self.state.filled

    async def fill_later(self) -> int:
        await trio.lowlevel.checkpoint()
        self.state = evolve(self.state, entries=ENTRIES)
        return self.state.filled

    async def rename(self) -> None:
        for _ in range(ENOUGH // 2):
            await trio.lowlevel.checkpoint()
        self.state = evolve(self.state, title="new", entries=ENTRIES)

    @handles
    def settled(self, message: Settled) -> int:
        return len(self.state.entries)


class Early(Librarian):
    async def on_start(self) -> None:
        self.state = evolve(self.state, entries=ENTRIES)


class Ticking(Librarian):
    @every(3600)
    def tick(self) -> None:
        self.state = evolve(self.state, entries=ENTRIES)


class Living(Librarian):
    async def run(self) -> None:
        self.state = evolve(self.state, entries=ENTRIES)
        self.checkpoint("filled")
        await trio.sleep_forever()


class Turns:
    """How many turns the loop has while something is waited for."""

    def __init__(self) -> None:
        self.seen = 0
        self.collected = 0
        """In how many of them the cyclic collector was not at rest."""

    async def count(self) -> None:
        while True:
            await trio.lowlevel.checkpoint()
            self.seen += 1
            self.collected += gc.isenabled()


async def stored(file: pathlib.Path) -> Library:
    """What the next process begins with."""
    async with on_disk(file) as journal:
        state = (await journal.recover(Path("librarian"))).state
        assert state is not None
        return Codec([Library]).decode(state.kind, state.version, state.body)


async def turns_of(running: Any, how: str) -> Turns:
    async with trio.open_nursery() as nursery:
        turns = Turns()
        nursery.start_soon(turns.count)
        await running.ref("librarian").ask(Fill(how))
        nursery.cancel_scope.cancel()
    return turns


@pytest.mark.parametrize("how", ["at once", "later"])
@pytest.mark.parametrize("durability", [MESSAGE, Checkpointed(messages=1)])
async def test_others_have_turns_while_it_is_taken(tmp_path: pathlib.Path, durability: Durability, how: str) -> None:
    file = tmp_path / "tree.db"
    async with open_tree(
        tree(child(Librarian, mailbox=MailboxSpec(durability=durability))), journal=on_disk(file)
    ) as running:
        assert (await turns_of(running, how)).seen > ENOUGH
    assert (await stored(file)).entries == ENTRIES


async def test_what_others_leave_to_the_collector_does_not_pile_up_meanwhile(tmp_path: pathlib.Path) -> None:
    async with open_tree(tree(Librarian), journal=on_disk(tmp_path / "tree.db")) as running:
        turns = await turns_of(running, "at once")
    assert turns.collected == turns.seen


@pytest.mark.parametrize("agent", [Early, Ticking, Living])
async def test_also_where_no_message_has_made_it(tmp_path: pathlib.Path, agent: type[Librarian]) -> None:
    file = tmp_path / "tree.db"
    async with trio.open_nursery() as nursery:
        turns = Turns()
        nursery.start_soon(turns.count)
        async with open_tree(tree(child(agent, id="librarian")), journal=on_disk(file)) as running:
            while not (found := await running.ref("librarian").ask(Settled())):
                pass
        nursery.cancel_scope.cancel()
        assert (found, turns.seen > ENOUGH) == (MANY, True)
    assert (await stored(file)).entries == ENTRIES


async def test_also_where_an_operator_keeps_it(tmp_path: pathlib.Path) -> None:
    mailbox = MailboxSpec(durability=Checkpointed(messages=1000))
    async with open_tree(tree(child(Librarian, mailbox=mailbox)), journal=on_disk(tmp_path / "tree.db")) as running:
        await running.ref("librarian").ask(Fill("at once"))
        async with trio.open_nursery() as nursery:
            turns = Turns()
            nursery.start_soon(turns.count)
            kept = await running.checkpoint("librarian", name="filled")
            nursery.cancel_scope.cancel()
        assert turns.seen > ENOUGH
        assert [each.number for each in await running.checkpoints("librarian", name="filled")] == [kept.number]
    assert (await stored(tmp_path / "tree.db")).entries == ENTRIES


async def test_what_was_taken_is_written_once(tmp_path: pathlib.Path) -> None:
    """Whoever writes it gives up what it is made of."""
    state = Library(entries=ENTRIES)
    async with open_tree(tree(Librarian), journal=on_disk(tmp_path / "tree.db")) as running:
        store = slot_of(running, "librarian").store
        assert isinstance(store, SlotStore)
        taking = store.taking(state)
        assert taking is not None
        await taking
        object.__setattr__(state, "title", "changed")  # as nobody may: by this the two can be told apart
        first, second = store.state_row(state).large, store.state_row(state).large
        assert first is not None
        assert second is not None
        text = first.text()
        first.give_up()
        assert text.startswith('{"title":"old",')
        assert second.text() == text.replace("old", "changed", 1)


async def test_one_that_is_replaced_meanwhile_is_stored_as_it_is_then(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "tree.db"
    async with open_tree(tree(Librarian), journal=on_disk(file)) as running:
        await running.ref("librarian").ask(Fill("meddled"))
    assert await stored(file) == Library("new", ENTRIES, 1)


@pytest.mark.parametrize("durability", [MESSAGE, Checkpointed(messages=1)])
async def test_one_that_cannot_be_stored_and_is_replaced_meanwhile_is_no_failure(
    tmp_path: pathlib.Path, durability: Durability
) -> None:
    file = tmp_path / "tree.db"
    async with open_tree(
        tree(child(Librarian, mailbox=MailboxSpec(durability=durability))), journal=on_disk(file)
    ) as running:
        assert await running.ref("librarian").ask(Fill("mended")) == 1
    assert await stored(file) == Library("new", ENTRIES, 1)


async def test_one_that_cannot_be_stored_fails_as_a_small_one_does(tmp_path: pathlib.Path) -> None:
    async with open_tree(tree(Librarian), journal=on_disk(tmp_path / "tree.db")) as running:
        with pytest.raises(
            AgentFailed, match=rf"entries\[{MANY}\]\.name cannot be stored: b'no text' \(bytes\) is not str"
        ):
            await running.ref("librarian").ask(Fill("badly"))
        assert await running.ref("librarian").ask(Settled()) == 0


async def test_a_message_whose_state_was_being_taken_is_handled_again(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "tree.db"
    with trio.CancelScope() as scope:
        async with open_tree(tree(Librarian), journal=on_disk(file)) as running:
            await running.ref("librarian").tell(Fill("at once"))
            for _ in range(ENOUGH // 2):
                await trio.lowlevel.checkpoint()
            scope.cancel()
            await trio.sleep_forever()
    async with open_tree(tree(Librarian), journal=on_disk(file)) as running:
        assert await running.ref("librarian").ask(Settled()) == MANY
    assert (await stored(file)).filled == 1
