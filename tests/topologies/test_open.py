"""`open_tree`: what is left behind by each way out of its block."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AgentStopped, ConfigurationError, JournalOwned, TreeFailed
from treewarden.supervisor.core.event import ChildEnded, DeadLettered, Event, TreeClosed, TreeOpened
from treewarden.supervisor.core.spec import BRUTAL_KILL, Grace
from treewarden.supervisor.journal.anchoring import Anchoring
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.journal.port import Record
from treewarden.topologies.child import child
from treewarden.topologies.errors import BlueprintError
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

CLOCK = trio.testing.MockClock


@frozen
class Add:
    n: int


@frozen
class Total(Request[int]):
    """Ask for the sum."""


class Sum(Agent[int]):
    state = 0

    @handles
    async def add(self, message: Add) -> None:
        self.state += message.n

    @handles
    def total(self, message: Total) -> int:
        return self.state


class Stuck(Agent[None]):
    @handles
    async def add(self, message: Add) -> None:
        await trio.sleep_forever()


class Thorough(Sum):
    """Takes its time."""

    @handles
    async def add(self, message: Add) -> None:
        await trio.sleep(100)
        self.state += message.n


class Idle(Agent[None]):
    async def run(self) -> None:
        await trio.sleep_forever()


class Unwilling(Agent[None]):
    async def on_start(self) -> None:
        raise OSError("no such device")


@frozen
class Kept(Request[tuple[int, ...]]):
    """Ask for the numbers."""


class Keeper(Agent[tuple[int, ...]]):
    """Keeps what it is told, once it may."""

    state = ()
    ready: trio.Event

    @handles
    async def add(self, message: Add) -> None:
        await Keeper.ready.wait()
        self.state = (*self.state, message.n)

    @handles
    def kept(self, message: Kept) -> tuple[int, ...]:
        return self.state


class Teller(Agent[None]):
    """Tells its sibling ten numbers at its start, before that has one of its own."""

    def __init__(self, begun: int) -> None:
        self.begun = begun

    async def on_start(self) -> None:
        for n in range(1, 11):
            await self.ref("../keeper").tell(Add(10 * self.begun + n))


async def happened(running: Tree) -> list[Event]:
    found: list[Event] = []
    head = running.head
    async with running.events() as told:
        async for record in told:
            found.append(record.event)
            if record.seq >= head:
                break
    return found


async def records(journal: MemoryJournal) -> list[Record]:
    async with journal:
        return list(await journal.read(0, 1000))


async def test_an_exception_of_the_block_comes_out_as_itself_and_the_end_is_written(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()

    async def block() -> None:
        async with open_tree(tree(Sum), journal=journal) as running:
            await running.ref("sum").tell(Add(1))
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await block()
    events = [record.event for record in await records(journal)]
    assert isinstance(events[0], TreeOpened)
    assert isinstance(events[-1], TreeClosed)
    assert not events[-1].failed


async def test_what_was_told_is_handled_before_the_tree_stops(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    async with open_tree(tree(Sum), journal=journal) as running:
        for _ in range(10):
            await running.ref("sum").tell(Add(1))
    async with open_tree(tree(Sum), journal=journal) as running:
        assert await running.ref("sum").ask(Total()) == 10


async def test_a_backlog_in_memory_that_does_not_fit_the_grace_is_given_up_by_name(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    volatile = MailboxSpec(durability=VOLATILE)
    async with open_tree(tree(child(Stuck, mailbox=volatile)), journal=journal) as running:
        for n in range(3):
            await running.ref("stuck").tell(Add(n))
        await trio.testing.wait_all_tasks_blocked()
    reasons = [record.event.reason for record in await records(journal) if isinstance(record.event, DeadLettered)]
    assert len([reason for reason in reasons if "before its turn" in reason]) == 2


async def test_a_start_that_fails_is_the_tree_s_failure(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    with pytest.raises(TreeFailed, match="no such device") as failed:
        async with open_tree(tree(Sum, Unwilling), journal=journal):
            raise AssertionError("the block must not begin")
    assert failed.value.group is not None
    assert isinstance(failed.value.group.exceptions[0], OSError)
    closed = (await records(journal))[-1].event
    assert isinstance(closed, TreeClosed)
    assert closed.failed


async def test_a_bad_blueprint_is_refused_before_the_journal_is_touched(tmp_path: Path) -> None:
    file = tmp_path / "never.db"
    with pytest.raises(BlueprintError, match="too"):
        async with open_tree(tree(child(Sum, id="a"), child(Sum, id="a")), journal=file):
            raise AssertionError("the block must not begin")
    assert not file.exists()


async def test_what_a_sibling_tells_at_its_start_comes_after_what_was_stored(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    for begun in range(2):
        Keeper.ready = trio.Event()
        spec = tree(child(Teller, args={"begun": begun}), child(Keeper, shutdown=BRUTAL_KILL))
        async with open_tree(spec, journal=journal) as running:
            if begun:
                Keeper.ready.set()
                assert await running.ref("keeper").ask(Kept()) == tuple(range(1, 21))
                told = await happened(running)
                since = max(place for place, each in enumerate(told) if isinstance(each, TreeOpened))
                assert not [each for each in told[since:] if isinstance(each, ChildEnded)]


async def test_whoever_asks_a_tree_that_has_ended_is_told_so(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(Sum)) as running:
        ref = running.ref("sum")
        running.stop()
        await running.wait_ended()
        with pytest.raises(AgentStopped, match="tree"), trio.fail_after(1):
            await ref.ask(Total(), within=60)
    with pytest.raises(AgentStopped, match="has ended"), trio.fail_after(1):
        await ref.ask(Total(), within=60)
    with pytest.raises(AgentStopped, match="has ended"):
        await ref.tell(Add(1))


async def test_a_forced_end_is_called_one(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    async with open_tree(tree(Sum), journal=journal) as running:
        running.force()
        await trio.sleep_forever()
    closed = (await records(journal))[-1].event
    assert isinstance(closed, TreeClosed)
    assert (closed.reason, closed.failed) == ("ended by force", False)


async def test_a_second_tree_on_the_file_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "owned.db"
    async with open_tree(tree(Sum), journal=file) as running:
        with pytest.raises(JournalOwned, match=r"owned\.db"):
            async with open_tree(tree(Sum), journal=file):
                raise AssertionError("the block must not begin")
        await running.ref("sum").tell(Add(4))
    async with open_tree(tree(Sum), journal=file) as running:
        assert await running.ref("sum").ask(Total()) == 4
        assert not running.opened.after_crash


@pytest.mark.parametrize("journal", [7, b"bytes.db", object(), "a\0b.db", ""])
async def test_what_is_no_journal_is_refused_before_anything_starts(journal: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"the journal is .*; it must be the name of a file, or nothing"):
        async with open_tree(tree(Sum), journal=journal):
            raise AssertionError("the block must not begin")


@pytest.mark.parametrize("end", ["", "-wal", "-shm", "-journal", None])
async def test_the_journal_is_no_file_of_heads(end: str | None, tmp_path: Path) -> None:
    """Its last line was taken for one that was not written to its end, and cut off."""
    (tmp_path / "link").symlink_to(tmp_path / "tree.db")
    async with open_tree(tree(Sum), journal=tmp_path / "tree.db"):
        pass
    before = (tmp_path / "tree.db").read_bytes()
    name = tmp_path / "link" if end is None else f"{tmp_path}/tree.db{end}"
    with pytest.raises(ConfigurationError, match="heads are kept in a file of their own"):
        async with open_tree(tree(Sum), journal=tmp_path / "tree.db", anchor=Anchoring(file=name)):
            raise AssertionError("the block must not begin")
    assert (tmp_path / "tree.db").read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["link", "tree.db"]


async def test_cancellation_from_outside_ends_it_at_once_and_loses_nothing(tmp_path: Path) -> None:
    file = tmp_path / "cancelled.db"
    with trio.CancelScope() as scope:
        async with open_tree(tree(Sum), journal=file) as running:
            await running.ref("sum").tell(Add(5))
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    async with open_tree(tree(Sum), journal=file) as running:
        assert await running.ref("sum").ask(Total()) == 5


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), LookupError("on purpose")], ids=repr)
async def test_what_is_raised_beside_a_cancellation_from_outside_comes_out_as_itself(error: BaseException) -> None:
    """The scope that is cancelled took the rest out of a group, and left one of one, which nobody expects."""

    async def run() -> None:
        with trio.CancelScope() as scope:
            async with open_tree(tree(Idle, child(Idle, id="other"))):
                scope.cancel()
                raise error

    with pytest.raises(type(error)) as caught:
        await run()
    assert caught.value is error


@pytest.mark.parametrize("error", [None, LookupError("on purpose")], ids=repr)
async def test_a_grace_is_cut_off_only_where_an_exception_leaves_the_block(
    error: Exception | None, autojump_clock: CLOCK
) -> None:
    journal = MemoryJournal()

    async def run() -> None:
        async with open_tree(tree(child(Thorough, id="sum", shutdown=Grace(300))), journal=journal) as running:
            await running.ref("sum").tell(Add(5))
            await trio.testing.wait_all_tasks_blocked()
            if error is not None:
                raise error

    if error is None:
        await run()
    else:
        with pytest.raises(LookupError, match="on purpose"):
            await run()
    assert trio.current_time() == (100 if error is None else 60)
    closed = (await records(journal))[-1].event
    assert isinstance(closed, TreeClosed)
    assert (closed.reason, closed.failed) == ("stopped in order" if error is None else "ended by force", False)
    async with open_tree(tree(Sum), journal=journal) as running:
        await trio.testing.wait_all_tasks_blocked()
        assert await running.ref("sum").ask(Total()) == 5


async def test_the_digest_of_a_blueprint_is_the_same_every_time(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    for shape in (tree(Sum, child(Sum, id="other")), tree(Sum), tree(Sum, Idle)):
        async with open_tree(shape, journal=journal):
            pass
    digests = [record.event.blueprint for record in await records(journal) if isinstance(record.event, TreeOpened)]
    assert digests[0] == digests[1] != digests[2]


async def test_what_was_handled_counts_also_when_its_slot_has_gone(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(Sum), journal=MemoryJournal()) as running:
        for path, count in (("sum", 2), ("b", 3)):
            if path == "b":
                await running.supervisor().start_child(child(Sum, id="b"))
            for _ in range(count):
                await running.ref(path).tell(Add(1))
            await running.ref(path).ask(Total())
        before = running.handled
        assert before == 7
        await running.supervisor().terminate_child("b")
        await running.supervisor().delete_child("b")
        assert running.handled == before
        await running.supervisor().start_child(child(Sum, id="b"))
        await running.ref("b").ask(Total())
        assert running.handled == before + 1


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("events", 3, r"^events is 3; give EventRetention\("),
        ("wall", 3.5, r"^wall is 3\.5; give a function of nothing"),
        ("clock", "now", r"^clock is 'now'; give one that has now\(\) and wall\(\)"),
        ("anchor", "heads.jsonl", r"^anchor is 'heads\.jsonl'; give Anchoring\(file="),
        ("seed", [1], r"^seed is \[1\]; give a whole number, or a text"),
    ],
)
def test_an_option_that_cannot_be_is_named(tmp_path: Path, option: str, value: Any, text: str) -> None:
    options: dict[str, Any] = {option: value}

    async def opened() -> None:
        async with open_tree(tree(Sum), journal=tmp_path / "sum.db", **options):
            pass

    with pytest.raises(ConfigurationError, match=text):
        trio.run(opened)
    assert list(tmp_path.iterdir()) == []
