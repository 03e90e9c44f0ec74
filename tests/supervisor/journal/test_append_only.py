"""Heads in a file that can only grow, as `chattr +a` makes one: what was half written stays, and spoils nothing."""

from __future__ import annotations

import errno
import os
import pathlib

import pytest
import trio
import trio.testing

from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.journal.anchoring import Anchoring, anchored, load_anchors
from treewarden.supervisor.journal.port import Commit
from treewarden.supervisor.testing import inline_run_sync

from ...journals import WALL, WallClock, fact, on_disk


@pytest.fixture
def heads(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """One has to be root to make it such a file."""

    def refused(descriptor: int, length: int) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "ftruncate", refused)
    return tmp_path / "heads.jsonl"


def read(heads: pathlib.Path) -> str:
    return heads.read_text()


def write(heads: pathlib.Path, text: str) -> None:
    heads.write_text(text)


async def run(
    heads: pathlib.Path, events: int, full: pytest.MonkeyPatch | None = None, room: int | None = None
) -> None:
    """A life of a tree; with `full` the disk has `room` for so much of the second head."""
    write_all, most = os.write, None

    def as_much_as_there_is_room(descriptor: int, data: bytes) -> int:
        return write_all(descriptor, data[:most])

    if full is not None:
        full.setattr(os, "write", as_much_as_there_is_room)
    anchoring, journal = Anchoring(file=heads, every=1), on_disk(heads.with_name("tree.db"))
    async with journal, anchored(journal, anchoring, WallClock(), run_sync=inline_run_sync):
        for number in range(1, events + 1):
            most = room if number == 2 else None
            await journal.commit(Commit(events=((WALL, fact(number)),)))
            await trio.sleep(1.4)


@pytest.mark.parametrize("room", [1, 50])
async def test_half_a_line_that_a_full_disk_has_left_spoils_no_other(
    room: int,
    heads: pathlib.Path,
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with monkeypatch.context() as full:
        await run(heads, 4, full, room)
    kept = load_anchors(heads)
    assert ([anchor.head.seq for anchor in kept.anchors], kept.faults) == ([1, 3, 4], ())
    assert "No space left on device" in caplog.text
    await run(heads, 1)
    assert [anchor.head.seq for anchor in load_anchors(heads).anchors] == [1, 3, 4, 5]


async def test_a_line_that_its_writer_died_over_stays(
    heads: pathlib.Path, autojump_clock: trio.testing.MockClock
) -> None:
    await run(heads, 1)
    whole = read(heads)
    write(heads, whole + whole[:40])
    await run(heads, 1)
    kept = load_anchors(heads)
    assert ([anchor.head.seq for anchor in kept.anchors], kept.faults) == ([1, 2], ())


async def test_a_line_that_a_power_cut_has_spoilt_is_refused_with_a_remedy(
    heads: pathlib.Path, autojump_clock: trio.testing.MockClock
) -> None:
    await run(heads, 1)
    spoilt = read(heads) + read(heads)[:40] + "\0" * 40
    write(heads, spoilt)
    with pytest.raises(ConfigurationError, match="a power cut has spoilt, and can only be appended to: keep it, and"):
        await run(heads, 1)
    assert read(heads) == spoilt
