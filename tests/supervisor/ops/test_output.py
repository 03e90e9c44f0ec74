"""Writing to streams that are slow, broken, or cannot express what is written."""

from __future__ import annotations

import errno
import io
import os
import threading
from typing import TextIO

import pytest
import trio

from treewarden.supervisor.ops.output import Output, paint_for, width_of, writer


def test_everything_is_written_to_a_pipe() -> None:
    reads, writes = os.pipe()
    read: list[str] = []
    with open(reads, encoding="ascii") as other:
        reader = threading.Thread(target=lambda: read.append(other.read()))
        reader.start()
        with open(writes, "w", encoding="ascii") as stream:
            writer(stream)("aé" * 100_000)
        reader.join()
    assert read == ["a?" * 100_000]


def test_a_stream_in_memory() -> None:
    stream = io.StringIO()
    writer(stream)("é\n")
    assert stream.getvalue() == "é\n"
    assert width_of(stream) is None
    assert not paint_for(stream, None).on


@pytest.mark.parametrize(("no_color", "on"), [(None, True), ("", True), ("1", False)])
def test_colours_are_for_terminals_that_want_them(no_color: str | None, on: bool) -> None:
    main, terminal = os.openpty()
    with open(terminal, "w", encoding="utf-8") as stream:
        os.set_blocking(main, False)
        assert paint_for(stream, no_color).on is on
        assert width_of(stream)
    os.close(main)


def pipe_without_a_reader() -> TextIO:
    reads, writes = os.pipe()
    os.close(reads)
    return open(writes, "w", encoding="utf-8")


async def test_a_reader_that_has_gone_is_noticed_once() -> None:
    complaints: list[str] = []
    with pipe_without_a_reader() as stream:
        output = Output(writer(stream), complaints.append)
        await output.write("")
        assert not output.gone.is_set()
        await output.write("lost")
        assert output.gone.is_set()
        await output.write("lost too")
    assert complaints == []


async def test_a_full_disk_is_complained_of_once_and_is_no_end() -> None:
    complaints: list[str] = []
    written: list[str] = []
    full = [True, True, False]

    def write(text: str) -> None:
        if full.pop(0):
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(text)

    output = Output(write, complaints.append)
    for text in ("one", "two", "three"):
        await output.write(text)
    assert written == ["three"]
    assert len(complaints) == 1
    assert "No space left on device" in complaints[0]
    assert not output.gone.is_set()


def test_a_pipe_that_does_not_block_is_waited_for() -> None:
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    read: list[str] = []
    with open(reads, encoding="utf-8") as other:
        with open(writes, "w", encoding="utf-8") as stream:
            reader = threading.Thread(target=lambda: read.append(other.read()))
            reader.start()
            writer(stream)("x" * 1_000_000)
        reader.join()
    assert read == ["x" * 1_000_000]


async def test_a_reader_that_does_not_read_delays_nothing_else(autojump_clock: trio.testing.MockClock) -> None:
    free = threading.Event()
    written: list[str] = []

    def write(text: str) -> None:
        free.wait()
        written.append(text)

    output = Output(write, print)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(output.write, "first")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(output.write, "second")
        await trio.testing.wait_all_tasks_blocked()
        assert written == []
        free.set()
    assert written == ["first", "second"]


async def test_what_is_cancelled_lets_go_at_once() -> None:
    free = threading.Event()

    def write(_: str) -> None:
        free.wait()

    output = Output(write, print)
    with trio.CancelScope() as scope:
        scope.cancel()
        await output.write("never waited for")
    assert scope.cancelled_caught
    free.set()
