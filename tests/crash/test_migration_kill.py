"""A process is killed while it brings a file of an older schema up to date: before any statement of its start."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from treewarden.supervisor.journal.reading import JournalFile

from ..journals import DESK, dead, fact, message, on_disk, settle, state
from ..supervisor.journal.stored_file import COMMITS
from ..supervisor.journal.test_stored import STORED, unpacked

# What a fork of a process with threads may lead to, Python says from 3.12 on; the child uses none of them.
pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")

OLDEST: Final = next(file for file in STORED if file.name == "v1-first.db.gz")
"""Each statement of every migration is for it."""
NEVER: Final = sys.maxsize


def statements(file: Path, kill_at: int) -> int:
    """How many an owner of `file` needs; it is killed before that one."""
    count = 0

    def connect(*args: Any, **options: Any) -> sqlite3.Connection:
        def next_one(_: str) -> None:
            nonlocal count
            count += 1
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

        connection: sqlite3.Connection = sqlite3.connect(*args, **options)
        connection.set_trace_callback(next_one)
        return connection

    async def own() -> None:
        async with on_disk(file, connect=connect) as journal:
            await journal.commit(settle(3, events=[fact(3)]))

    trio.run(own)
    return count


def killed(file: Path, kill_at: int) -> None:
    child = os.fork()
    if not child:
        try:
            statements(file, kill_at)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


async def goes_on(file: Path) -> None:
    """With all that was stored; the settle of the one that was killed stands as a whole, or not at all."""
    async with on_disk(file) as journal:
        held = await journal.recover(DESK)
        settled = held.state == state(3)
        assert settled or held.state == COMMITS[-1].states[0]
        assert [record.event for record in await journal.read()] == [fact(1), fact(2), fact(3)][: 3 if settled else 2]
        assert held.messages == (message(50),)
        assert held.replies == COMMITS[2].replies
        assert await journal.dead_letters() == [dead(51)]
        (about,) = await journal.checkpoints(DESK)
        assert about.label == COMMITS[3].checkpoints[0].label
        await journal.commit(settle(4, events=[fact(4)]))
    with JournalFile.open(file) as reading:
        assert reading.verify().sound
        assert not reading.check_rows().faults


def test_nothing_is_lost_and_the_next_process_goes_on(tmp_path: Path) -> None:
    last = statements(unpacked(OLDEST, tmp_path), NEVER)
    assert last > 30
    for number in range(1, last + 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        file = unpacked(OLDEST, folder)
        killed(file, number)
        if number % 3 == 0:  # and again, in the middle of what the first has left
            killed(file, min(number + 3, last // 2))
        trio.run(goes_on, file)
