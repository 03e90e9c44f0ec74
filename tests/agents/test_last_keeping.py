"""What an agent that is kept now and then has left on a disk that was full, and nobody lived after it to keep it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents.agent import handles
from treewarden.agents.core.durability import Checkpointed
from treewarden.supervisor.core.event import JournalFailed, JournalRecovered, Recorded, TreeClosed
from treewarden.supervisor.journal.port import Commit

from ..journals import FullDisk
from .trees import Add, Counter, Disk, Total, events, kept, opened, slot_of

LEVEL = Checkpointed(messages=9)


@frozen
class Fact:
    number: int


class Keeper(Counter):
    @handles
    def fact(self, message: Fact) -> None:
        self.record(message)


async def end_on_a_full_disk(journal: Disk, *, works_again: bool) -> None:
    async with opened(kept(Keeper, LEVEL), journal=journal) as running:
        for message in (Add(3), Fact(1)):
            await running.ref("keeper").tell(message)
        await wait_all_tasks_blocked()
        journal.broken = lambda commit: commit.by == "keeper"
        await running.supervisor().terminate_child("keeper")
        if works_again:
            journal.broken = lambda _: False
    journal.broken = lambda _: False


async def test_the_end_of_the_tree_keeps_it(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    journal = Disk()
    await end_on_a_full_disk(journal, works_again=True)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
    async with opened(kept(Keeper, LEVEL), journal=journal) as running:
        assert await running.ref("keeper").ask(Total()) == 3
    assert [each.facts for each in await events(journal, Recorded)] == [{"number": 1}]


class RoomAtTheEnd(FullDisk):
    """It takes something again when what is late is written at the end of the tree."""

    def submit(self, commit: Commit, then: Callable[[BaseException | None], None]) -> None:
        self.full = self.full and not any(isinstance(event, JournalFailed) for _, event in commit.events)
        super().submit(commit, then)


async def test_what_came_late_is_written_once_and_before_the_end(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    journal, many = RoomAtTheEnd(), [f"keeper{number}" for number in range(20)]
    with trio.CancelScope() as scope:
        async with opened(*(kept(Keeper, LEVEL, id=each) for each in many), journal=journal) as running:
            for each in many:
                await running.ref(each).tell(Add(3))
            await wait_all_tasks_blocked()
            journal.full = True
            scope.cancel()
    told = [type(record.event) for record in await journal.read(limit=1000)]
    assert told[-3:] == [JournalFailed, JournalRecovered, TreeClosed]
    assert told.count(JournalFailed) == 1
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "the journal cannot commit, so what must be kept waits: the disk is full",
        "the journal works again, after 0 s",
    ]
    async with opened(*(kept(Keeper, LEVEL, id=each) for each in many), journal=journal) as running:
        assert [await running.ref(each).ask(Total()) for each in many] == [3] * len(many)


async def test_what_the_disk_refuses_even_then_is_said_to_be_lost(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Disk()
    await end_on_a_full_disk(journal, works_again=False)
    said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert said == ["keeper: what it had settled since it was last kept is lost: the disk is full"]
    async with opened(kept(Keeper, LEVEL), journal=journal) as running:
        assert await running.ref("keeper").ask(Total()) == 0


async def test_one_that_cannot_be_stored_any_more_takes_nothing_else_along(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Disk()
    async with opened(kept(Keeper, LEVEL), journal=journal) as running:
        await running.ref("keeper").tell(Add(3))
        await wait_all_tasks_blocked()
        store = slot_of(running, "keeper").store
        journal.broken = lambda commit: commit.by == "keeper"
        await running.supervisor().terminate_child("keeper")
        journal.broken = lambda _: False
        assert store is not None
        assert store.owes is not None
        object.__setattr__(store.owes.state, "total", object())
    assert len(await events(journal, TreeClosed)) == 1
    assert "keeper: what it had settled since it was last kept is lost: " in caplog.text
