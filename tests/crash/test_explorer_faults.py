"""Disks that refuse: whatever call fails, nothing is lost, and work goes on when space returns."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apsw
import pytest
import trio
from attrs import evolve

from treewarden.agents.errors import CommitFailed, JournalError

from ..journals import WALL, settle
from .explorer.adapter import Connection, Database, Rows
from .explorer.checks import Found, look
from .explorer.explore import Explorer
from .explorer.scribe import ERRORS, FULL, Fault, Workload, workloads
from .explorer.vfs import Disk, Vfs, mounted
from .explorer.workload import Processes, journal_on

FOREVER = 1_000_000_000
COPIED = next(workload for workload in workloads(0) if workload.name == "log copied")
STEPS = evolve(COPIED.sessions[0], steps=COPIED.sessions[0].steps[:5])


@pytest.fixture
def vfs() -> Iterator[Vfs]:
    with mounted() as vfs:
        yield vfs


def explore(vfs: Vfs, workload: Workload, seed: int) -> tuple[int, int]:
    """Nothing is wrong with what `workload` leaves. How often commits failed, and whether the journal gave up."""
    explorer = Explorer(vfs, seed, cases=[workload])
    outcome = explorer.run(12)
    assert not outcome.seen, f"{workload.fault}: {outcome.seen[0]}"
    (recording,) = explorer.recordings
    assert recording.given_up or recording.worlds[-1].events, f"{workload.fault}: it did not go on"
    return recording.failed, recording.given_up


@pytest.mark.parametrize("count", [1, 3, FOREVER], ids=["once", "thrice", "until it is mended"])
@pytest.mark.parametrize("errors", [ERRORS, FULL, {"sync": ERRORS["sync"]}], ids=["EIO", "ENOSPC", "fsync"])
def test_the_nth_call_fails(vfs: Vfs, errors: Mapping[str, int], count: int) -> None:
    """Any call, from the first of opening to the last of closing."""
    failed = given_up = 0
    for first in range(0, 250, 11) if errors is ERRORS else range(0, 160, 13) if errors is FULL else range(3, 23, 2):
        workload = evolve(COPIED, sessions=(STEPS,), fault=Fault(errors, first=first, count=count))
        told, ended = explore(vfs, workload, first)
        failed += told
        given_up += ended
    if errors is FULL or count < FOREVER:
        assert failed, "no fault has met a commit"
        assert not given_up
    else:  # where nothing can be synced, or nothing read, nobody can say what the last commit has become
        assert given_up


@pytest.mark.parametrize("first", [102, 142, 217])
def test_the_next_process_finds_what_nobody_could_say(vfs: Vfs, first: int) -> None:
    """A disk that refuses everything from the nth call on ends one life after the other, in the middle of a commit: the
    next one goes on with it or without it, and never with half of it."""
    lives = next(workload for workload in workloads(0) if workload.name == "killed")
    _, given_up = explore(vfs, evolve(lives, fault=Fault(ERRORS, first=first, count=FOREVER)), first)
    assert given_up


# What a commit that failed has left behind


class Refusing:
    """Fails the calls that it is told to fail: from the first of one kind on, until there is one of another kind."""

    def __init__(self, *calls: str, since: str, until: str = "") -> None:
        self._calls = calls
        self._since = since
        self._until = until
        self._begun = self._over = False

    def __call__(self, call: str) -> int:
        self._begun |= call == self._since
        self._over |= self._begun and call == self._until
        return ERRORS[call] if self._begun and not self._over and call in self._calls else 0


def once(call: str) -> Refusing:
    return Refusing(call, since=call, until="write")


def in_memory(vfs: Vfs) -> Disk:
    vfs.disk = Disk(wall=lambda: WALL + trio.current_time())
    vfs.disk.log = []
    return vfs.disk


def killed(files: Mapping[str, bytes]) -> Found:
    """What the next process finds in `files`."""
    with mounted("other") as other:
        found = look(other, files)
    assert isinstance(found, Found), found
    return found


def settled(found: Found) -> list[int]:
    return [row[4] for row in found.tables["states"]]


async def test_a_commit_whose_sync_failed_does_not_come_to_life(vfs: Vfs) -> None:
    """All of it is in the log, where whoever opens the file next would take it for committed."""
    disk = in_memory(vfs)
    async with journal_on(Database(vfs=vfs.name), Processes(1)) as journal:
        await journal.commit(settle(1))
        disk.fault = once("sync")
        with pytest.raises(CommitFailed, match="IOERR_FSYNC"):
            await journal.commit(settle(2))
        assert settled(killed(disk.files)) == [1]
        await journal.commit(settle(2))
        assert settled(killed(disk.files)) == [2]


async def test_what_a_failed_sync_has_left_is_not_looked_for_with_another_connection(vfs: Vfs) -> None:
    """It would find the commit in the log, and build on what the disk may have dropped."""

    class Broken(Connection):
        """After a COMMIT that failed it has to be dropped."""

        _failed = False

        @property
        def in_transaction(self) -> bool:
            return self._failed or super().in_transaction

        def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
            if self._failed:
                raise sqlite3.OperationalError("no more")
            try:
                return super().execute(sql, parameters)
            except sqlite3.Error:
                self._failed = True
                raise

    disk = in_memory(vfs)

    async def lose() -> None:
        async with journal_on(Database(vfs=vfs.name, kind=Broken), Processes(1)) as journal:
            await journal.commit(settle(1))
            disk.fault = once("sync")
            await journal.commit(settle(2))

    with pytest.raises(JournalError, match="nobody can say whether it was kept"):
        await lose()


async def test_a_disk_that_cannot_sync_any_more_ends_the_journal(vfs: Vfs) -> None:
    disk = in_memory(vfs)

    async def lose() -> None:
        async with journal_on(Database(vfs=vfs.name), Processes(1)) as journal:
            await journal.commit(settle(1))
            disk.fault = Refusing("sync", since="sync")
            await journal.commit(settle(2))

    with pytest.raises(JournalError, match=r"IOERR_FSYNC.*so nobody can say whether it was kept"):
        await lose()
    disk.fault = None
    async with journal_on(Database(vfs=vfs.name), Processes(2)) as journal:
        assert (await journal.recover(settle(1).states[0].path)).state in (settle(1).states[0], settle(2).states[0])


async def test_work_goes_on_when_space_returns(vfs: Vfs) -> None:
    disk = in_memory(vfs)
    async with journal_on(Database(vfs=vfs.name), Processes(1)) as journal:
        await journal.commit(settle(1))
        disk.fault = lambda call: apsw.SQLITE_FULL if call == "write" else 0
        for _ in range(5):
            with pytest.raises(CommitFailed, match="SQLITE_FULL"):
                await journal.commit(settle(2))
            assert (await journal.recover(settle(1).states[0].path)).state == settle(1).states[0]
        disk.fault = None
        await journal.commit(settle(2))
    assert settled(killed(disk.files)) == [2]


async def test_the_log_is_room_on_a_disk_that_is_full(vfs: Vfs) -> None:
    """What is in it has a place in the file: nobody has to make room for a journal whose log has taken it."""
    disk, refused = in_memory(vfs), 0
    async with journal_on(Database(vfs=vfs.name), Processes(1)) as journal:
        await journal.commit(settle(1))
        await journal.compact()
        disk.room = sum(map(len, disk.files.values())) + 100_000
        for number in range(2, 200):
            try:
                await journal.commit(settle(number))
            except CommitFailed:
                refused += 1
                await journal.commit(settle(number))
        assert settled(killed(disk.files)) == [199]
    assert refused > 1, "the disk was never full"
