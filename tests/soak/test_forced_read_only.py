"""A file system that turns read-only under a live tree, as the kernel does with one that it finds broken: an ext4 in a
file, which only root may mount (`make soak`)."""

from __future__ import annotations

import subprocess
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
import trio
from attrs import frozen

from treewarden.agents import Agent, handles
from treewarden.agents.errors import DurabilityError, JournalError
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.topologies import open_tree, tree

MANY: Final = 200
MORE: Final = 3


@frozen
class Add:
    amount: int


class Counter(Agent[int]):
    state = 0

    @handles
    async def add(self, message: Add) -> None:
        self.state += message.amount


class Mounted:
    """A small file system of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "disk"
        self._image = folder / "image"
        self.folder.mkdir()
        with self._image.open("wb") as file:
            file.truncate(20_000_000)
        subprocess.run(["mkfs.ext4", "-q", str(self._image)], check=True)
        self.mount()

    def mount(self) -> None:
        subprocess.run(["mount", "-o", "loop", str(self._image), str(self.folder)], check=True)

    def force_read_only(self) -> None:
        subprocess.run(["mount", "-o", "remount,abort", str(self.folder)], check=True)

    def unmount(self) -> None:
        subprocess.run(["umount", str(self.folder)], check=True)

    def mend(self) -> None:
        self.unmount()
        subprocess.run(["e2fsck", "-fy", str(self._image)], check=False, capture_output=True)
        self.mount()


@pytest.fixture
def disk(tmp_path: Path) -> Generator[Mounted]:
    disk = Mounted(tmp_path)
    try:
        yield disk
    finally:
        disk.unmount()


def test_what_was_acknowledged_is_there_once_it_is_mended(disk: Mounted) -> None:
    """The tree waits for the disk, or ends where nobody can say what became of the last commit."""
    file, told = disk.folder / "tree.db", 0

    async def work() -> None:
        nonlocal told
        async with open_tree(tree(Counter), journal=file) as running:
            for number in range(MANY + MORE):
                if number == MANY:
                    await trio.to_thread.run_sync(disk.force_read_only)
                with suppress(DurabilityError):
                    await running.ref("counter").tell(Add(1), within=0.5)
                    told += 1

    with suppress(JournalError):
        trio.run(work)
    assert MANY <= told < MANY + MORE
    disk.mend()
    with JournalFile.open(file) as reading:
        assert reading.verify().sound
        assert not reading.check_rows().faults
        (state,) = reading.states()
        waiting = sum(each.messages for each in reading.mailboxes())
    assert told <= int(state.body) + waiting <= MANY + MORE
