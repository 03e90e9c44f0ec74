"""Every call to the disk fails, one after the other, of everything that is done with a journal (`make soak`)."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import attrs
import pytest
import trio
import trio.testing
from attrs import evolve

from treewarden.agents.core.label import Label
from treewarden.agents.errors import JournalError
from treewarden.supervisor.core.retention import EventRetention
from treewarden.supervisor.journal.port import Commit, KeepRow, PruneRow, Recovered, RestoreRow
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.journal.sqlite import SqliteJournal
from treewarden.supervisor.pruning import Pruning

from ..crash.explorer.adapter import Database
from ..crash.explorer.explore import Explorer
from ..crash.explorer.scribe import ERRORS, FULL, Fault, Workload, workloads
from ..crash.explorer.vfs import Disk, Vfs, mounted
from ..crash.explorer.workload import Processes, journal_on
from ..journals import DESK, WALL, WallClock, checkpoint, fact, settle

ALIKE: Final = {"EIO": ERRORS, "ENOSPC": FULL, "fsync": {"sync": ERRORS["sync"]}}
WORKLOADS: Final = {
    workload.name: workload for workload in workloads(0) if workload.fault is None and not workload.overlap
}
LARGE: Final = f'"{"large" * 20_000}"'


@pytest.fixture
def vfs() -> Iterator[Vfs]:
    with mounted() as vfs:
        yield vfs


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("errors", ALIKE)
@pytest.mark.parametrize("name", WORKLOADS)
def test_any_call_of_a_workload(name: str, errors: str, count: int, vfs: Vfs) -> None:
    """The first one that no call has is the end of it."""
    first = 0
    while failed(vfs, evolve(WORKLOADS[name], fault=Fault(ALIKE[errors], first=first, count=count))):
        first += 1
    assert first > 4, "next to nothing has failed"


def failed(vfs: Vfs, workload: Workload) -> bool:
    """Whether the disk refused something; nothing is wrong with what is left."""
    explorer = Explorer(vfs, 0, cases=[workload])
    outcome = explorer.run(6)
    assert not outcome.seen, f"{workload.fault}: {outcome.seen[0]}"
    (recording,) = explorer.recordings
    assert recording.worlds[-1].events, f"{workload.fault}: it did not go on"
    assert not recording.given_up
    return recording.refused > 0


# What is done to a journal besides


@attrs.define
class Once:
    """Fails `count` calls of some kinds from a number on."""

    fault: Fault
    calls: int = 0
    refused: int = 0

    def __call__(self, call: str) -> int:
        code = self.fault.errors.get(call, 0)
        if not code:
            return 0
        self.calls += 1
        hit = self.fault.hits(self.calls - 1)
        self.refused += hit
        return code if hit else 0


async def until_done(work: Callable[[], Awaitable[object]]) -> None:
    """As whoever asks for it would: again, when the disk works again."""
    for _ in range(5):
        try:
            await work()
        except (JournalError, sqlite3.Error):
            continue
        return
    raise AssertionError("it is refused again and again")


async def keep_house(journal: SqliteJournal) -> Recovered:
    """Large values that nobody holds any more, checkpoints that are kept, restored and given up, events that go."""
    large = settle(2, events=[fact(2)])
    commits = [
        settle(1, events=[fact(1)]),
        evolve(large, states=(evolve(large.states[0], body=LARGE),)),
        Commit(keeps=(KeepRow(DESK, 50, WALL, Label("large"), pinned=True),)),
        settle(3, events=[fact(number) for number in range(3, 9)]),
        Commit(checkpoints=(checkpoint(60), checkpoint(61))),
        Commit(restores=(RestoreRow(DESK, 50, 4),), events=((WALL, fact(9)),)),
        Commit(prunes=(PruneRow(DESK, 1),)),
        settle(5, events=[fact(10)]),
    ]
    for commit in commits:
        await until_done(lambda commit=commit: journal.commit(commit))
    await until_done(lambda: Pruning(journal, WallClock()).prune(EventRetention(last=3, past_checkpoints=True), "ada"))
    await until_done(journal.compact)
    await until_done(lambda: journal.commit(Commit(forget=(DESK,))))
    await until_done(lambda: journal.commit(settle(6)))
    await until_done(journal.compact)
    found: list[Recovered] = []

    async def recover() -> None:
        found.append(await journal.recover(DESK))

    await until_done(recover)
    return found[0]


def kept_house(vfs: Vfs, fault: Fault, folder: Path) -> tuple[Recovered, int]:
    """What was recovered in the end, and how many calls were refused; the file is sound, and nothing too much in it."""
    trouble = Once(fault)

    async def life() -> Recovered:
        disk = vfs.disk = Disk(wall=lambda: WALL + trio.current_time())
        async with journal_on(Database(vfs=vfs.name, autocheckpoint=12), Processes(1)) as journal:
            disk.fault = trouble
            recovered = await keep_house(journal)
            disk.fault = None
            left(disk.files, folder)
            assert not (await journal.blobs()).count
        return recovered

    recovered = trio.run(life, clock=trio.testing.MockClock(autojump_threshold=0))
    return recovered, trouble.refused


def left(files: Mapping[str, bytes], folder: Path) -> None:
    for name, data in files.items():
        (folder / name.removeprefix("/")).write_bytes(data)
    with JournalFile.open(folder / "tree.db") as reading:
        assert reading.verify().sound
        assert not reading.check_rows().faults
        assert reading.records()[0].seq > 5
    for file in folder.iterdir():
        file.unlink()


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("errors", ALIKE)
def test_any_call_of_keeping_house(errors: str, count: int, vfs: Vfs, tmp_path: Path) -> None:
    expected, none = kept_house(vfs, Fault({}), tmp_path)
    assert not none
    first = 0
    while True:
        recovered, refused = kept_house(vfs, Fault(ALIKE[errors], first=first, count=count), tmp_path)
        assert recovered.state == expected.state, f"call {first}"
        if not refused:
            break
        first += 1
    assert first > 5, "next to nothing has failed"
