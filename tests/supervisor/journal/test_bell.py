"""The bell by which the writer's thread is heard: each call once, in order, and nothing after the end."""

from __future__ import annotations

import os
import pathlib
import sqlite3
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import trio

from treewarden.supervisor.journal.bell import Bell
from treewarden.supervisor.journal.seams import in_thread

from ...journals import DESK, Told, on_disk, settle, state
from .limited import limited


def open_files() -> set[str]:
    folder = "/proc/self/fd"
    return {number for number in os.listdir(folder) if os.path.lexists(f"{folder}/{number}")}  # not that of the folder


async def test_each_call_runs_once_in_order_in_the_loop() -> None:
    bell, heard, done = Bell(), list[tuple[int, int]](), trio.Event()

    def say(of: int) -> None:
        for number in range(200):
            bell.ring(hear, of, number)

    def hear(of: int, number: int) -> None:
        assert threading.get_ident() == loop
        heard.append((of, number))
        if len(heard) == 600:
            done.set()

    loop = threading.get_ident()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bell.listen)
        for of in range(3):
            nursery.start_soon(trio.to_thread.run_sync, say, of)
        with trio.fail_after(30):
            await done.wait()
        bell.close()
    for of in range(3):
        assert [number for by, number in heard if by == of] == [*range(200)]


async def test_who_rings_again_each_time_lets_others_run() -> None:
    bell, turns = Bell(), 0

    def again() -> None:
        bell.ring(again)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(bell.listen)
        bell.ring(again)
        for _ in range(10):
            await trio.lowlevel.checkpoint()
            turns += 1
        bell.close()
    assert turns == 10


async def test_it_listens_until_it_is_closed(tmp_path: pathlib.Path) -> None:
    bell, heard = Bell(), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bell.listen)
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True), trio.fail_after(30):
            bell.ring(heard.set)
            await heard.wait()
        bell.close()


async def test_what_is_said_after_the_end_is_heard_as_from_any_thread(tmp_path: pathlib.Path) -> None:
    """And does not go into the file that has got its number since."""
    before, bell, heard = open_files(), Bell(), trio.Event()
    (number,) = open_files() - before
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bell.listen)
        await trio.testing.wait_all_tasks_blocked()
        bell.close()
    next_one = os.open(tmp_path / "next", os.O_CREAT | os.O_WRONLY)
    try:
        assert next_one == int(number)
        bell.ring(heard.set)
        assert os.fstat(next_one).st_size == 0
    finally:
        os.close(next_one)
    with trio.fail_after(30):
        await heard.wait()


@pytest.mark.parametrize("raised", ["before the calls", "behind a call"])
async def test_what_a_handler_of_a_signal_raises_in_it_loses_nothing(
    raised: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is to end; the writer is waited for, and waits for its thread."""
    told, read, ring = Told(), os.eventfd_read, Bell.ring
    armed, may = False, threading.Event()
    may.set()

    class Held(sqlite3.Connection):
        def execute(self, sql: str, /, *parameters: Any) -> sqlite3.Cursor:
            assert sql != "COMMIT" or may.wait(30)
            return super().execute(sql, *parameters)

    def interrupted(fd: int) -> int:
        nonlocal armed
        if armed and raised == "before the calls":
            armed = False
            raise SystemExit(7)
        return read(fd)

    def exiting(bell: Bell, call: Callable[..., object], *args: Any) -> None:
        nonlocal armed
        if not armed or raised == "before the calls":
            ring(bell, call, *args)
            return
        armed = False
        codes = [7]

        def then_exit() -> None:
            if codes:
                may.clear()  # the next transaction is away when this is called again
                call(*args)
                raise SystemExit(codes.pop())
            call(*args)
            trio.lowlevel.spawn_system_task(go_on)

        ring(bell, then_exit)

    async def go_on() -> None:
        await trio.testing.wait_all_tasks_blocked(0.05)
        may.set()

    monkeypatch.setattr(os, "eventfd_read", interrupted)
    monkeypatch.setattr(Bell, "ring", exiting)

    async def work() -> None:
        nonlocal armed
        connect = partial(sqlite3.connect, factory=Held)
        async with on_disk(tmp_path / "tree.db", run_sync=in_thread, connect=connect) as journal:
            await journal.commit(settle(1))
            armed = True
            for number in range(2, 5):
                journal.submit(settle(number), told.of(str(number)))
            await trio.sleep_forever()

    async with limited():
        with pytest.RaisesGroup(SystemExit, flatten_subgroups=True):
            await work()
    assert told.kept == ["2", "3", "4"]
    async with on_disk(tmp_path / "tree.db") as journal:
        assert (await journal.recover(DESK)).state == state(4)


async def test_a_journal_leaves_no_file_open(tmp_path: pathlib.Path) -> None:
    before = open_files()
    async with on_disk(tmp_path / "tree.db", run_sync=in_thread) as journal:
        await journal.commit(settle(1))
        assert len(open_files() - before) > 3
    assert open_files() == before


@pytest.mark.parametrize("why", ["the system has none", "no more files may be opened"])
async def test_without_one_the_loop_hears_as_from_any_thread(
    why: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(value: int, flags: int) -> int:
        raise OSError(24, "Too many open files")

    if why == "the system has none":
        monkeypatch.delattr(os, "eventfd")
    else:
        monkeypatch.setattr(os, "eventfd", refuse)
    assert Bell.made() is None
    async with on_disk(tmp_path / "tree.db", run_sync=in_thread) as journal:
        for number in range(1, 4):
            await journal.commit(settle(number))
        assert (await journal.recover(DESK)).state == state(3)
