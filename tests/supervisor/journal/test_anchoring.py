"""The head outside of the file: when it is kept, and what a journal has to lead through before a tree opens it."""

from __future__ import annotations

import errno
import json
import os
import pathlib
import sqlite3
from contextlib import closing
from typing import Any

import pytest
import trio
import trio.testing

from treewarden.agents.errors import ConfigurationError, JournalDamaged, JournalError
from treewarden.supervisor.core.anchor import Sign, hmac_sign
from treewarden.supervisor.core.chain import Head
from treewarden.supervisor.journal.anchoring import Anchoring, anchored, key_from, load_anchors
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.journal.port import Commit
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.testing import inline_run_sync

from ...journals import WALL, WallClock, fact, on_disk

KEY = hmac_sign(b"k" * 32)


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "tree.db"


@pytest.fixture
def heads(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "heads.jsonl"


def one(number: int) -> Commit:
    return Commit(events=((WALL + number, fact(number)),))


def read(heads: pathlib.Path) -> str:
    return heads.read_text()


def write(heads: pathlib.Path, text: str) -> None:
    heads.write_text(text)


def lose(heads: pathlib.Path, left: str | None) -> None:
    if left is None:
        heads.unlink()
    else:
        heads.write_text(left)


async def run(
    file: pathlib.Path, heads: pathlib.Path, events: int, *, every: float = 10.0, sign: Sign | None = KEY
) -> None:
    """A life of a tree that commits one event in each second."""
    anchoring = Anchoring(file=heads, every=every, sign=sign)
    async with on_disk(file) as journal, anchored(journal, anchoring, WallClock(), run_sync=inline_run_sync):
        for number in range(events):
            await trio.sleep(1)
            await journal.commit(one(number))


async def test_heads_are_kept_now_and_then_and_at_the_end(
    file: pathlib.Path, heads: pathlib.Path, autojump_clock: trio.testing.MockClock
) -> None:
    await run(file, heads, 25)
    kept = load_anchors(heads, KEY)
    assert not kept.faults
    seqs = [anchor.head.seq for anchor in kept.anchors]
    assert seqs[-1] == 25
    assert len(seqs) == 3
    with JournalFile.open(file) as journal:
        assert kept.anchors[-1].head == journal.head
        assert journal.verify(anchors=[anchor.head for anchor in kept.anchors]).sound


async def test_nothing_is_kept_while_nothing_happens(
    file: pathlib.Path, heads: pathlib.Path, autojump_clock: trio.testing.MockClock
) -> None:
    anchoring = Anchoring(file=heads, every=1)
    async with on_disk(file) as journal, anchored(journal, anchoring, WallClock(), run_sync=inline_run_sync):
        await trio.sleep(100)
        await journal.commit(one(1))
        await trio.sleep(100)
    assert len(load_anchors(heads).anchors) == 1


async def test_the_next_life_goes_on_in_the_same_file(
    file: pathlib.Path, heads: pathlib.Path, autojump_clock: trio.testing.MockClock
) -> None:
    await run(file, heads, 3)
    await run(file, heads, 0)
    await run(file, heads, 3)
    kept = load_anchors(heads, KEY).anchors
    assert [(anchor.epoch, anchor.head.seq) for anchor in kept] == [(1, 3), (3, 6)]


async def test_a_tree_is_not_opened_on_a_journal_whose_end_was_cut(
    file: pathlib.Path, heads: pathlib.Path, autojump_clock: trio.testing.MockClock
) -> None:
    await run(file, heads, 5)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("DELETE FROM events WHERE seq > 3")
        connection.execute("UPDATE meta SET seq = 3, hash = (SELECT hash FROM events WHERE seq = 3)")
        connection.commit()
    with pytest.raises(JournalDamaged, match=r"does not lead to event 5 as .*heads\.jsonl has kept it"):
        await run(file, heads, 1)


@pytest.mark.parametrize("left", ["", None])
async def test_heads_that_are_gone_are_told_of(
    left: str | None,
    file: pathlib.Path,
    heads: pathlib.Path,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A crash may empty a file, and somebody remove it."""
    await run(file, heads, 2)
    await run(file, heads, 2)
    assert not caplog.records
    lose(heads, left)
    await run(file, heads, 1)
    (record,) = caplog.records
    assert f"{heads} holds no head, and the journal goes up to event 4:" in record.getMessage()
    assert [anchor.head.seq for anchor in load_anchors(heads, KEY).anchors] == [5]


async def test_heads_of_another_journal_or_key_are_refused(
    file: pathlib.Path, heads: pathlib.Path, autojump_clock: trio.testing.MockClock
) -> None:
    await run(file, heads, 2)
    with pytest.raises(ConfigurationError, match="holds the heads of another journal"):
        await run(file.with_name("other.db"), heads, 2)
    with pytest.raises(ConfigurationError, match="was not made with this key; give the key that it was begun with"):
        await run(file, heads, 1, sign=hmac_sign(b"x" * 32))
    write(heads, "nonsense\n")
    with pytest.raises(JournalDamaged, match="line 1 of the heads is none; begin another file"):
        await run(file, heads, 1)


async def test_signed_heads_are_not_gone_on_with_without_a_key(
    file: pathlib.Path, heads: pathlib.Path, autojump_clock: trio.testing.MockClock
) -> None:
    """No key would fit that file any more, and `verify` would call each of its own heads forged."""
    await run(file, heads, 3)
    before = read(heads)
    with pytest.raises(ConfigurationError, match=r": its heads are signed; give the key that it was begun with, or"):
        await run(file, heads, 3, sign=None)
    assert read(heads) == before
    await run(file, heads, 3)
    assert not load_anchors(heads, KEY).faults
    unsigned = heads.with_name("unsigned.jsonl")
    await run(file, unsigned, 3, sign=None)
    await run(file, unsigned, 3, sign=None)
    with pytest.raises(ConfigurationError, match=r"line 1 of the heads is not signed; give the key"):
        await run(file, unsigned, 3)


async def test_a_signature_that_nobody_gives_for_a_while_ends_nothing(
    file: pathlib.Path,
    heads: pathlib.Path,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tries: list[float] = []

    def sign(text: bytes) -> str:
        tries.append(trio.current_time())
        if len(tries) in (2, 3):
            raise RuntimeError("nobody answers")
        return KEY(text)

    await run(file, heads, 50, sign=sign)
    kept = load_anchors(heads, KEY)
    assert not kept.faults
    assert [anchor.head.seq for anchor in kept.anchors][-1] == 50
    assert len(kept.anchors) == len(tries) - 2 > 2
    assert [record.message for record in caplog.records] == [
        f"the head of the journal cannot be kept in {heads}: nobody answers"
    ]


async def test_heads_that_cannot_be_kept_are_said_before_it_begins(file: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with pytest.raises(JournalError, match=r"heads cannot be kept in .*: Is a directory"):
        await run(file, tmp_path, 0)
    with pytest.raises(JournalError, match=r"No such file or directory"):
        await run(file, tmp_path / "none" / "heads", 0)


async def test_a_disk_that_is_full_for_a_while_ends_nothing(
    file: pathlib.Path,
    heads: pathlib.Path,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    full = False

    async def run_sync(call: Any, /, *args: Any) -> Any:
        if full and call.__name__ == "_append":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return await inline_run_sync(call, *args)

    anchoring = Anchoring(file=heads, every=1)
    async with on_disk(file) as journal, anchored(journal, anchoring, WallClock(), run_sync=run_sync):
        for number in range(8):
            full = number in (1, 2, 3, 6)
            await journal.commit(one(number))
            await trio.sleep(1.4)
    assert [anchor.head.seq for anchor in load_anchors(heads).anchors] == [1, 5, 6, 8]
    assert [record.message for record in caplog.records] == [
        f"the head of the journal cannot be kept in {heads}: [Errno 28] No space left on device"
    ] * 2, "once each time"


async def test_a_head_that_the_disk_refuses_to_sync_is_written_again(
    file: pathlib.Path,
    heads: pathlib.Path,
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The system takes it for written then, and a power cut would leave a hole in its place."""
    sync, seen = os.fsync, list[str]()

    def refused(descriptor: int) -> None:
        seen.append(read(heads))
        if len(seen) in (2, 3):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(descriptor)

    anchoring = Anchoring(file=heads, every=1)
    async with on_disk(file) as journal, anchored(journal, anchoring, WallClock(), run_sync=inline_run_sync):
        monkeypatch.setattr(os, "fsync", refused)
        await journal.commit(one(1))
        await trio.sleep(1.5)
        whole = read(heads)
        for number in (2, 3):
            await journal.commit(one(number))
            await trio.sleep(1)
            assert read(heads) == whole
        await journal.commit(one(4))
    assert [anchor.head.seq for anchor in load_anchors(heads).anchors] == [1, 4]
    assert [text.count("\n") for text in seen] == [1, 2, 2, 2], "the lines that were to be synced"


async def test_the_name_of_a_new_file_of_heads_is_on_the_disk_before_anything_begins(
    file: pathlib.Path, heads: pathlib.Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync, synced = os.fsync, list[bool]()

    def noted(descriptor: int) -> None:
        synced.append(os.path.samestat(os.fstat(descriptor), os.stat(heads.parent)))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    await run(file, heads, 1)
    await run(file, heads, 1)
    assert synced == [True, False, False]


async def test_what_the_block_raises_comes_out_as_itself(
    file: pathlib.Path, heads: pathlib.Path, autojump_clock: trio.testing.MockClock
) -> None:
    async def fail() -> None:
        anchoring = Anchoring(file=heads)
        async with on_disk(file) as journal, anchored(journal, anchoring, WallClock(), run_sync=inline_run_sync):
            await journal.commit(one(1))
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await fail()
    assert [anchor.head.seq for anchor in load_anchors(heads).anchors] == [1]


async def test_a_journal_without_a_chain_is_told_of(heads: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    anchoring = Anchoring(file=heads)
    async with MemoryJournal() as journal, anchored(journal, anchoring, WallClock(), run_sync=inline_run_sync):
        await journal.commit(one(1))
    assert load_anchors(heads).anchors == ()
    assert "this kind of journal has no chain" in caplog.records[0].message


def test_a_key_in_a_file(tmp_path: pathlib.Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"k" * 32 + b"\n")
    assert key_from(key)(b"text") == KEY(b"text")
    key.write_bytes(b"k" * 16)
    assert key_from(key)(b"text") == hmac_sign(b"k" * 16)(b"text")
    key.write_bytes(b"k" * 15)
    with pytest.raises(ConfigurationError, match="has 15 bytes; give it 16 or more"):
        key_from(key)
    key.write_text("short")
    with pytest.raises(ConfigurationError, match="has 5 bytes; give it 16 or more"):
        key_from(key)
    key.write_text("s")
    with pytest.raises(ConfigurationError, match="has 1 byte; give it 16 or more"):
        key_from(key)
    with pytest.raises(ConfigurationError, match=r"the key .*none cannot be read: No such file"):
        key_from(tmp_path / "none")


@pytest.mark.parametrize("every", [0, -1, float("inf"), float("nan")])
def test_an_interval_that_is_none(every: float) -> None:
    with pytest.raises(ConfigurationError, match="give a positive number of seconds"):
        Anchoring(file="heads", every=every)


def test_what_signs_nothing_is_refused_and_not_shown() -> None:
    """It may be the key itself."""
    with pytest.raises(ConfigurationError, match=r"^sign is of type str; give key_from\(file\)"):
        Anchoring(file="heads.jsonl", sign="0123456789abcdef")  # pyright: ignore[reportArgumentType]


def test_the_key_is_not_shown() -> None:
    assert "sign" not in repr(Anchoring(file="heads", sign=KEY))


async def test_a_head_is_that_of_the_moment(
    file: pathlib.Path, heads: pathlib.Path, autojump_clock: trio.testing.MockClock
) -> None:
    await run(file, heads, 12, every=5)
    for line in read(heads).splitlines():
        fields = json.loads(line)
        with JournalFile.open(file) as journal:
            (record,) = journal.records(fields["seq"] - 1, 1)
            assert Head(record.seq, bytes.fromhex(record.hash)) == Head(fields["seq"], bytes.fromhex(fields["hash"]))
