"""What the command reads of files: the head of one that may not be there, and the events since a moment."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.core.path import Path as Slot
from treewarden.agents.errors import JournalError
from treewarden.supervisor.common import LoopClock
from treewarden.supervisor.core.event import ChildStarted
from treewarden.supervisor.journal.port import Commit
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.journal.sqlite import SqliteJournal
from treewarden.topologies.commands.files import batches, first_since, head_of, within
from treewarden.topologies.commands.reloading import Marks, marks, watch_files

TIMES = [float(n // 3) for n in range(2500)]
"""Three events in every second."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "many.db"

    async def write() -> None:
        async with SqliteJournal(str(path), clock=LoopClock(time.time)) as journal:
            slots = (Slot("desk"), Slot("desk/writer"), Slot("desktop"))
            events = [(at, ChildStarted(path=slots[n % 3], incarnation=n)) for n, at in enumerate(TIMES)]
            await journal.commit(Commit(events=tuple(events)))

    trio.run(write)
    return path


@given(st.floats(-1, 900))
def test_events_since_a_moment_are_found_by_halving(file: Path, moment: float) -> None:
    with JournalFile.open(file) as journal:
        after = first_since(journal, moment)
    assert after == sum(at < moment for at in TIMES)


def test_a_file_is_read_in_parts(file: Path) -> None:
    with JournalFile.open(file) as journal:
        parts = list(batches(journal))
        assert [len(part) for part in parts] == [1000, 1000, 500]
        assert [record.seq for part in parts for record in part] == list(range(1, 2501))
        assert sum(len(part) for part in batches(journal, 2400)) == 100


def test_what_is_within_a_slot(file: Path) -> None:
    with JournalFile.open(file) as journal:
        records = journal.records(limit=6)
    assert [record.seq for record in within(records, Slot("desk"))] == [1, 2, 4, 5]
    assert within(records, Slot("/")) == within(records, None) == records


def test_the_head_of_a_file(file: Path, tmp_path: Path) -> None:
    assert head_of(file) == 2500
    assert head_of(tmp_path / "none.db") == 0
    empty = tmp_path / "empty.db"
    empty.touch()
    assert head_of(empty) == 0
    empty.write_text("notes " * 100)
    with pytest.raises(JournalError, match="not a treewarden journal"):
        head_of(empty)


def test_a_file_that_was_replaced_has_another_mark(tmp_path: Path) -> None:
    one, other = tmp_path / "one.toml", tmp_path / "other.toml"
    one.write_text("a")
    before = marks([one, other])
    assert before[str(other)] is None
    assert marks([one, other]) == before
    other.write_text("a")
    other.replace(one)
    assert marks([one, other]) != before


class Looks:
    """What is known of one file, and how often somebody has looked."""

    def __init__(self, file: Path) -> None:
        self.known = marks([file])
        self._look, self._looks = trio.open_memory_channel[None](1000)

    def __call__(self) -> Marks:
        self._look.send_nowait(None)
        return self.known

    async def more(self, times: int = 4) -> None:
        while self._looks.statistics().current_buffer_used:
            self._looks.receive_nowait()
        for _ in range(times):
            await self._looks.receive()


async def test_a_change_is_seen_once_and_a_file_that_is_gone_for_a_while_is_none(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    file = tmp_path / "desk.toml"
    file.write_text("a")
    looks = Looks(file)
    found: list[str] = []

    async def changed() -> None:
        found.append(file.read_text())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_files, looks, changed)
        await looks.more()
        assert found == []
        file.write_text("bb")
        await looks.more(6)
        assert found == ["bb"]
        file.unlink()
        await looks.more()
        assert found == ["bb"]
        file.write_text("ccc")
        await looks.more(6)
        assert found == ["bb", "ccc"]
        nursery.cancel_scope.cancel()


async def test_what_has_changed_before_the_first_look_is_seen(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    file = tmp_path / "desk.toml"
    file.write_text("a")
    looks = Looks(file)
    found: list[str] = []

    async def changed() -> None:
        text = file.read_text()
        found.append(text)
        if text == "bb":  # read for good, and changed at once
            looks.known = marks([file])
            file.write_text("ccc")

    file.write_text("bb")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_files, looks, changed)
        await looks.more(12)
        assert found == ["bb", "ccc"]
        nursery.cancel_scope.cancel()


async def test_a_file_that_is_being_written_is_left_alone_until_it_stays_the_same(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    file = tmp_path / "desk.toml"
    file.write_text("")
    known = marks([file])
    found: list[str] = []
    looks = 0

    def read() -> Marks:
        nonlocal looks
        looks += 1
        if 1 < looks <= 5:
            file.write_text("x" * looks)
        if looks == 12:
            scope.cancel()
        return known

    async def changed() -> None:
        found.append(file.read_text())

    with trio.CancelScope() as scope:
        await watch_files(read, changed)
    assert found == ["xxxxx"]
