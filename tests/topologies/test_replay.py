"""Dead letters: which there are, how one goes back into its mailbox, and when it does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Checkpointed, MailboxSpec, Overflow
from treewarden.agents.core.message import Priority, Request
from treewarden.agents.errors import (
    CommitFailed,
    ConfigurationError,
    MailboxFull,
    NotHandled,
    ReplayRefused,
    UnknownKind,
)
from treewarden.supervisor.core.event import MessageReplayed
from treewarden.supervisor.core.spec import ChildSpec
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.journal.port import Commit
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

from ..journals import on_disk

CLOCK = trio.testing.MockClock


@frozen
class Item:
    n: int


@frozen
class Other:
    n: int


@frozen
class Got(Request[tuple[int, ...]]):
    """Ask for what has arrived."""


class Keeper(Agent[tuple[int, ...]]):
    """Takes what it is told; odd numbers are its death while the world is broken."""

    state = ()
    broken = True
    gate: trio.Event | None = None

    @handles
    async def item(self, message: Item) -> None:
        if Keeper.gate is not None:
            await Keeper.gate.wait()
        if Keeper.broken and message.n % 2:
            raise RuntimeError("odd")
        self.state = (*self.state, message.n)

    @handles
    def other(self, message: Other) -> None:
        if Keeper.broken:
            raise RuntimeError("other")

    @handles
    def got(self, message: Got) -> tuple[int, ...]:
        return self.state


class Narrower(Agent[tuple[int, ...]]):
    """What became of Keeper: it takes no `Other` any more."""

    state = ()

    @handles
    def item(self, message: Item) -> None:
        self.state = (*self.state, message.n)


@pytest.fixture(autouse=True)
def broken() -> None:
    Keeper.broken = True
    Keeper.gate = None


async def dead(running: Tree, *messages: object, path: str = "keeper") -> list[str]:
    """Tell these, and wait until each is given up; their ids, in the order in which that happened."""
    for message in messages:
        await running.ref(path).tell(message)
    await trio.sleep(120)
    return [row.id for row in reversed(await running.dead_letters(path))]


def keeper(**mailbox: object) -> ChildSpec:
    return child(Keeper, id="keeper", mailbox=MailboxSpec(**mailbox))  # pyright: ignore[reportArgumentType]


async def test_a_dead_letter_is_handled_again_and_is_one_no_more(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    async with open_tree(tree(Keeper), journal=journal) as running:
        first, second = await dead(running, Item(1), Item(2), Item(3))
        letters = await running.dead_letters()
        with pytest.raises(ConfigurationError, match="keeper: within is None; give seconds"):
            await running.replay(first, within=None)  # pyright: ignore[reportArgumentType]
        assert [(row.id, row.path, row.body) for row in letters] == [
            (second, "keeper", '{"n":3}'),
            (first, "keeper", '{"n":1}'),
        ]
        assert "failed 2 times" in letters[0].reason
        Keeper.broken = False
        new = await running.replay(first)
        assert new not in (first, second)
        assert await running.ref("keeper").ask(Got()) == (2, 1)
        assert [row.id for row in await running.dead_letters()] == [second]
        replayed = [each.event for each in await journal.read(0, 1000) if isinstance(each.event, MessageReplayed)]
        assert [(each.path, each.message, each.replayed_as) for each in replayed] == [("keeper", first, new)]


async def test_one_that_fails_again_is_a_dead_letter_again_after_all_its_deliveries(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(Keeper)) as running:
        (first,) = await dead(running, Item(1))
        lives = running.snapshot()[0].incarnation
        new = await running.replay(first)
        await trio.sleep(120)
        assert [row.id for row in await running.dead_letters()] == [new]
        assert running.snapshot()[0].incarnation == lives + 2


async def test_it_is_on_disk_when_it_returns(tmp_path: Path) -> None:
    file = tmp_path / "tree.db"
    async with open_tree(tree(keeper(deliveries=1)), journal=file) as running:
        await running.ref("keeper").tell(Item(1))
        with trio.fail_after(10):
            while not (letters := await running.dead_letters()):
                await running.ref("keeper").tell(Item(2))
        Keeper.gate = trio.Event()
        await running.replay(letters[0].id)
        running.force()
    Keeper.broken, Keeper.gate = False, None
    async with open_tree(tree(Keeper), journal=file) as running:
        with trio.fail_after(10):
            assert 1 in await running.ref("keeper").ask(Got())
        assert await running.dead_letters() == ()


async def test_what_is_no_dead_letter_is_refused_and_said_why(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(Keeper, child(Keeper, id="other"))) as running:
        (first,) = await dead(running, Item(1))
        (second,) = await dead(running, Item(1), path="other")
        with pytest.raises(ReplayRefused, match="no dead letter has the id 't-77'"):
            await running.replay("t-77")
        Keeper.broken = False
        new = await running.replay(first)
        with pytest.raises(ReplayRefused, match=f"keeper: {first} was put back before, as {new}"):
            await running.replay(first)
        assert [row.id for row in await running.dead_letters()] == [second]
        with pytest.raises(ConfigurationError, match="limit is 0"):
            await running.dead_letters(limit=0)


async def test_two_who_replay_the_same_put_it_back_once(autojump_clock: CLOCK, tmp_path: Path) -> None:
    """All three find it among the dead letters; the journal lets one of them have it."""
    async with open_tree(tree(Keeper), journal=on_disk(tmp_path / "tree.db")) as running:
        (first,) = await dead(running, Item(1))
        Keeper.broken = False
        outcomes: list[str] = []

        async def again() -> None:
            try:
                await running.replay(first)
                outcomes.append("back")
            except ReplayRefused as refused:
                outcomes.append(str(refused))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(again)
        assert outcomes.count("back") == 1
        assert sum("was put back before" in outcome for outcome in outcomes) == 2
        assert await running.ref("keeper").ask(Got()) == (1,)
        assert running.ref("keeper").statistics().reserved == 0


async def test_a_slot_that_cannot_take_it_keeps_it_dead(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(Keeper)) as running:
        (first,) = await dead(running, Item(1))
        await running.supervisor().terminate_child("keeper")
        with pytest.raises(ReplayRefused, match=r"nobody lives there .*terminated.*; restart_child first"):
            await running.replay(first)
        await running.supervisor().delete_child("keeper")
        with pytest.raises(ReplayRefused, match="the tree has no such slot any more"):
            await running.replay(first)
        await running.supervisor().start_child(keeper(durability=VOLATILE))
        with pytest.raises(ReplayRefused, match="keeps its mailbox in memory"):
            await running.replay(first)
        assert [row.id for row in await running.dead_letters()] == [first]


async def test_a_checkpointed_slot_stores_its_dead_letters_but_takes_none_back(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(keeper(durability=Checkpointed(messages=1)))) as running:
        (first,) = await dead(running, Item(1))
        with pytest.raises(ReplayRefused, match="in memory"):
            await running.replay(first)


async def test_a_slot_that_is_drained_takes_none_back(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(Keeper)) as running, trio.open_nursery() as nursery:
        (first,) = await dead(running, Item(1))
        Keeper.gate = trio.Event()
        await running.ref("keeper").tell(Item(2))
        nursery.start_soon(running.drain, "keeper")
        await trio.sleep(1)
        with pytest.raises(ReplayRefused, match="being drained"):
            await running.replay(first)
        Keeper.gate.set()


async def test_what_the_code_at_hand_cannot_take_stays_dead(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    async with open_tree(tree(Keeper), journal=journal) as running:
        first, second = await dead(running, Other(1), Item(1))
    async with open_tree(tree(child(Narrower, id="keeper")), journal=journal) as running:
        with pytest.raises(UnknownKind, match="Other"):
            await running.replay(first)
        await running.replay(second)
        assert [row.id for row in await running.dead_letters()] == [first]


@pytest.mark.parametrize("overflow", [Overflow.WAIT, Overflow.DROP_OLDEST, Overflow.DROP_NEWEST, Overflow.REFUSE])
async def test_a_full_mailbox_drops_nothing_for_it(autojump_clock: CLOCK, overflow: Overflow) -> None:
    async with open_tree(tree(keeper(capacity=2, overflow=overflow))) as running:
        (first,) = await dead(running, Item(1))
        Keeper.gate = trio.Event()
        for n in (2, 4, 6):
            await running.ref("keeper").tell(Item(n))
            await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(MailboxFull, match="the message stays a dead letter"):
            await running.replay(first, within=5)
        assert [row.id for row in await running.dead_letters()] == [first]
        assert running.ref("keeper").statistics().dropped == 0
        Keeper.broken = False
        Keeper.gate.set()
        await trio.sleep(1)
        await running.replay(first)
        assert await running.ref("keeper").ask(Got()) == (2, 4, 6, 1)


async def test_a_slot_that_ends_while_it_waits_for_room_refuses_it(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(keeper(capacity=1))) as running, trio.open_nursery() as nursery:
        (first,) = await dead(running, Item(1))
        Keeper.gate = trio.Event()
        for n in (2, 4):
            await running.ref("keeper").tell(Item(n))
            await trio.testing.wait_all_tasks_blocked()

        async def end() -> None:
            await trio.sleep(1)
            await running.supervisor().terminate_child("keeper")

        nursery.start_soon(end)
        with pytest.raises(ReplayRefused, match="terminated"):
            await running.replay(first)
        assert first in [row.id for row in await running.dead_letters()]


class Failing(MemoryJournal):
    """Fails what a test wants to fail."""

    fails: Callable[[Commit], bool] | None = None

    def _apply(self, commit: Commit) -> None:
        if self.fails is not None and self.fails(commit):
            raise CommitFailed("the disk is full")
        super()._apply(commit)


async def test_a_commit_that_fails_leaves_it_dead_and_its_room_free(autojump_clock: CLOCK) -> None:
    journal = Failing()
    async with open_tree(tree(Keeper), journal=journal) as running:
        (first,) = await dead(running, Item(1))
        journal.fails = lambda commit: bool(commit.revived)
        with pytest.raises(CommitFailed, match="the disk is full"):
            await running.replay(first)
        journal.fails = None
        assert [row.id for row in await running.dead_letters()] == [first]
        assert running.ref("keeper").statistics().reserved == 0


async def test_leftovers_of_a_drain_come_back(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(keeper(durability=MESSAGE))) as running:
        Keeper.gate = trio.Event()
        for n in (2, 4, 6):
            await running.ref("keeper").tell(Item(n))
        assert (await running.drain("keeper", within=1)).left == {"keeper": 3}
        Keeper.gate.set()
        await running.supervisor().restart_child("keeper")
        for row in reversed(await running.dead_letters("keeper")):
            await running.replay(row.id)
        assert await running.ref("keeper").ask(Got()) == (2, 4, 6)


async def test_what_is_not_handled_any_more_is_refused_by_name(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    async with open_tree(tree(Keeper), journal=journal) as running:
        (first,) = await dead(running, Other(1))

    class Both(Agent[Other | None]):
        """Stores `Other`, for its state may be one, and does not handle it."""

        state = None

        @handles
        def item(self, message: Item) -> None:
            pass

    async with open_tree(tree(child(Both, id="keeper")), journal=journal) as running:
        with pytest.raises(NotHandled, match="keeper: it does not handle Other any more"):
            await running.replay(first)
        assert len(await running.dead_letters()) == 1


@pytest.mark.parametrize("in_file", [False, True])
async def test_it_goes_back_with_its_priority(in_file: bool, tmp_path: Path, autojump_clock: CLOCK) -> None:
    journal = on_disk(tmp_path / "tree.db") if in_file else MemoryJournal()
    async with open_tree(tree(Keeper), journal=journal) as running:
        for n, priority in ((1, Priority.LOW), (3, Priority.HIGH), (5, Priority.NORMAL)):
            await running.ref("keeper").tell(Item(n), priority=priority)
        await trio.sleep(120)
        letters = {row.body: row for row in await running.dead_letters()}
        assert {body: row.priority for body, row in letters.items()} == {'{"n":1}': 3, '{"n":3}': 1, '{"n":5}': 2}
        Keeper.broken = False
        Keeper.gate = trio.Event()
        await running.ref("keeper").tell(Item(2))
        await trio.testing.wait_all_tasks_blocked()
        for n in (1, 5, 3):
            await running.replay(letters[f'{{"n":{n}}}'].id)
        Keeper.gate.set()
        Keeper.gate = None
        assert await running.ref("keeper").ask(Got(), priority=Priority.LOW) == (2, 3, 5, 1)
