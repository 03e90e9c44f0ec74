"""The writer with a thread: every batch is answered, in order, however its answers and the end of the journal meet."""

from __future__ import annotations

import pathlib
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from contextvars import ContextVar
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from treewarden.agents.errors import JournalError
from treewarden.supervisor.journal import writer
from treewarden.supervisor.journal.port import Commit
from treewarden.supervisor.journal.seams import begin_in_thread, in_thread
from treewarden.supervisor.journal.sqlite import SqliteJournal

from ...interrupting import InterruptLine
from ...journals import DESK, Told, WallClock, on_disk, settle, state
from .limited import limited

MARK: ContextVar[str] = ContextVar("MARK", default="nobody's")


class Slow:
    """Connections whose COMMITs wait in their thread, and are counted."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.may.set()
        self.commits = 0
        self.inside = 0
        self.entered = threading.Event()
        self.threads: list[int] = []
        """How many were in a transaction, whenever that has changed; without repetitions."""

    def enter(self, by: int) -> None:
        self.inside += by
        self.entered.set()
        self.threads = sorted({*self.threads, self.inside})

    def connect(self, *args: Any, **options: Any) -> sqlite3.Connection:
        slow = self

        class Held(sqlite3.Connection):
            def execute(self, sql: str, /, *parameters: Any) -> sqlite3.Cursor:
                if sql == "BEGIN IMMEDIATE":
                    slow.enter(1)
                if sql == "COMMIT":
                    slow.commits += 1
                    assert slow.may.wait(30)
                    slow.enter(-1)
                return super().execute(sql, *parameters)

        return sqlite3.connect(*args, factory=Held, **options)


async def test_one_after_the_other_each_is_a_transaction(tmp_path: pathlib.Path) -> None:
    slow = Slow()
    async with on_disk(tmp_path / "tree.db", run_sync=in_thread, connect=slow.connect) as journal:
        before = slow.commits
        for number in range(1, 21):
            await journal.commit(settle(number))
        assert slow.commits == before + 20
        assert (await journal.recover(DESK)).state == state(20)


async def test_what_comes_while_one_is_away_goes_together(tmp_path: pathlib.Path) -> None:
    slow, told, last = Slow(), Told(), trio.Event()
    async with on_disk(tmp_path / "tree.db", run_sync=in_thread, connect=slow.connect) as journal:
        await journal.commit(settle(1))
        before = slow.commits
        slow.may.clear()
        for number in range(2, 51):
            journal.submit(settle(number), told.of(str(number)))
        journal.submit(settle(51), lambda _: last.set())
        slow.may.set()
        await last.wait()
        assert told.kept == [str(number) for number in range(2, 51)]
        assert slow.commits == before + 2
        assert (await journal.recover(DESK)).state == state(51)


async def test_what_is_submitted_by_who_is_told_waits_its_turn(tmp_path: pathlib.Path) -> None:
    """Two transactions at once on one connection: the second one would roll back the first, and go on in its rest."""
    slow, told, answered, last = Slow(), Told(), trio.Event(), trio.Event()
    async with on_disk(tmp_path / "tree.db", run_sync=in_thread, connect=slow.connect) as journal:
        await journal.commit(settle(1))  # alone: the next one is sent without waiting for others

        def then(_: BaseException | None) -> None:
            slow.may.clear()
            for number in range(3, 6):
                journal.submit(settle(number), told.of(str(number)))
            journal.submit(settle(6), lambda _: last.set())
            answered.set()

        before = slow.commits
        journal.submit(settle(2), then)
        await answered.wait()
        await trio.testing.wait_all_tasks_blocked(0.05)
        slow.may.set()
        await last.wait()
        assert told.kept == ["3", "4", "5"]
        assert slow.threads == [0, 1]
        assert slow.commits == before + 2
        assert (await journal.recover(DESK)).state == state(6)


async def test_closing_waits_for_what_is_away_and_for_what_is_queued(tmp_path: pathlib.Path) -> None:
    slow, told = Slow(), Told()

    async def let_go() -> None:
        await trio.testing.wait_all_tasks_blocked()  # the journal is closing
        assert told.news == []
        slow.may.set()

    away = on_disk(tmp_path / "tree.db", run_sync=in_thread, connect=slow.connect)
    async with trio.open_nursery() as nursery, away as journal:
        await journal.commit(settle(1))
        slow.may.clear()
        journal.submit(settle(2), told.of("2"))
        journal.submit(settle(3), told.of("3"))
        nursery.start_soon(let_go)
    assert told.kept == ["2", "3"]
    async with on_disk(tmp_path / "tree.db") as journal:
        assert (await journal.recover(DESK)).state == state(3)


@pytest.mark.parametrize("told", ["before it is told", "when it is told"])
async def test_a_signal_while_the_thread_is_told_loses_no_batch(
    told: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its handler raises goes up, and the batch is written all the same, and once."""
    armed, begun = False, threading.Event()

    def begin(call: Callable[[], Any], *rest: Any) -> None:
        nonlocal armed
        if not armed:
            begin_in_thread(call, *rest)
            return
        armed = False
        if told == "when it is told":

            def work() -> Any:
                try:
                    return call()
                finally:
                    begun.set()

            begin_in_thread(work, *rest)
            assert begun.wait(30)
        raise SystemExit(7)

    monkeypatch.setattr(writer, "begin_in_thread", begin)
    slow, answers = Slow(), Told()
    disk = on_disk(tmp_path / "tree.db", run_sync=in_thread, connect=slow.connect)
    async with limited(), disk as journal:
        await journal.commit(settle(1))  # alone: the next one is sent at once, by who submits it
        armed, before = True, slow.commits
        with pytest.raises(SystemExit):
            journal.submit(settle(2), answers.of("2"))
        await journal.commit(settle(3))
        assert answers.news == [("2", None)]
        assert slow.commits == before + (1 if told == "before it is told" else 2)
        assert slow.threads == [0, 1]
        assert (await journal.recover(DESK)).state == state(3)


async def test_who_closes_the_file_waits_for_the_thread_that_writes(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the writer's task ends by what a signal's handler raises in it."""
    begun, slow, answers = trio.Event(), Slow(), Told()
    armed = False

    def begin(call: Callable[[], Any], *rest: Any) -> None:
        begin_in_thread(call, *rest)
        if armed:
            assert slow.entered.wait(30)
            raise SystemExit(7)

    async def let_go() -> None:
        await begun.wait()
        await trio.testing.wait_all_tasks_blocked(0.05)
        slow.may.set()

    async def work() -> None:
        nonlocal armed
        async with on_disk(tmp_path / "tree.db", run_sync=in_thread, connect=slow.connect) as journal:
            slow.may.clear()
            slow.entered.clear()
            armed = True
            journal.submit(settle(1), answers.of("1"))  # not alone as far as is known: sent by the writer's task
            begun.set()
            await trio.sleep_forever()

    monkeypatch.setattr(writer, "begin_in_thread", begin)
    async with limited(), trio.open_nursery() as nursery:
        nursery.start_soon(let_go)
        with pytest.RaisesGroup(SystemExit, flatten_subgroups=True):
            await work()
    assert answers.news == [("1", None)]
    async with on_disk(tmp_path / "tree.db") as journal:
        assert not journal.opened.after_crash
        assert (await journal.recover(DESK)).state == state(1)


async def test_whoever_is_told_runs_in_the_context_of_the_writer(tmp_path: pathlib.Path) -> None:
    found: list[str] = []
    done = trio.Event()

    def then(_: BaseException | None) -> None:
        found.append(MARK.get())
        done.set()

    MARK.set("of the journal")
    async with on_disk(tmp_path / "tree.db", run_sync=in_thread) as journal:
        MARK.set("of whoever commits")
        journal.submit(Commit(), then)
        await done.wait()
    assert found == ["of the journal"]


async def test_what_somebody_raises_who_is_told_ends_the_journal(tmp_path: pathlib.Path) -> None:
    def then(_: BaseException | None) -> None:
        raise LookupError("told too much")

    with pytest.RaisesGroup(LookupError):
        async with on_disk(tmp_path / "tree.db", run_sync=in_thread) as journal:
            journal.submit(Commit(), then)
            await trio.sleep_forever()


async def test_who_asks_a_journal_that_ends_is_told_so(tmp_path: pathlib.Path) -> None:
    """Also from outside of what its end cancels."""
    slow, told = Slow(), list[str]()

    def then(_: BaseException | None) -> None:
        raise LookupError("told too much")

    async def ask(journal: SqliteJournal) -> None:
        with trio.fail_after(30), pytest.raises(JournalError) as error:
            await journal.recover(DESK)
        told.append(str(error.value))

    async with trio.open_nursery() as nursery:
        with pytest.RaisesGroup(LookupError):
            async with on_disk(tmp_path / "tree.db", run_sync=in_thread, connect=slow.connect) as journal:
                await journal.commit(settle(1))
                slow.may.clear()
                journal.submit(settle(2), then)
                nursery.start_soon(ask, journal)
                await trio.testing.wait_all_tasks_blocked()
                slow.may.set()
                await trio.sleep_forever()
    (text,) = told
    assert "is closed" in text


@pytest.mark.parametrize("number", range(3))
async def test_the_others_of_a_batch_are_told_whatever_one_raises_who_is(number: int, tmp_path: pathlib.Path) -> None:
    """As a signal's handler does: some of those who wait cannot be cancelled, so that nobody could end them."""
    slow, told = Slow(), Told()

    def then(_: BaseException | None) -> None:
        raise LookupError(f"told too much: {number}")

    async def run() -> None:
        async with on_disk(tmp_path / "tree.db", run_sync=in_thread, connect=slow.connect) as journal:
            await journal.commit(settle(1))
            slow.may.clear()
            journal.submit(settle(2), told.of("before"))
            for each in range(3):
                journal.submit(settle(3 + each), then if each == number else told.of(str(each)))
            journal.submit(Commit(), then)
            slow.may.set()
            await trio.sleep_forever()

    with pytest.RaisesGroup(pytest.RaisesExc(LookupError, match=str(number))):
        await run()
    assert told.kept == ["before", *(str(each) for each in range(3) if each != number)]
    assert told.failed == []


class Interrupting(WallClock):
    """Ctrl-C is pressed when somebody next looks at it."""

    armed = False

    def now(self) -> float:
        if self.armed:
            self.armed = False
            signal.raise_signal(signal.SIGINT)
        return super().now()


@pytest.mark.parametrize("before", [0, 1], ids=["in the writer's turn", "by who submits it"])
def test_ctrl_c_loses_nothing_that_is_taken_out_of_the_queue(before: int, tmp_path: pathlib.Path) -> None:
    clock, told = Interrupting(), Told()

    async def main() -> None:
        async with on_disk(tmp_path / "tree.db", run_sync=in_thread, clock=clock) as journal:
            for number in range(before):
                await journal.commit(settle(number))
            await trio.testing.wait_all_tasks_blocked()
            clock.armed = True  # it is looked at when a batch has been put together
            journal.submit(settle(before), told.of("the last"))
            await trio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    assert told.kept == ["the last"]


@pytest.mark.parametrize("how_often", [1, 2], ids=["once", "again"])
def test_ctrl_c_while_it_closes_is_no_group(how_often: int, tmp_path: pathlib.Path) -> None:
    told = Told()

    def pressed(error: BaseException | None) -> None:
        told.of("the last")(error)
        signal.raise_signal(signal.SIGINT)

    async def main() -> None:
        async with on_disk(tmp_path / "tree.db", run_sync=in_thread) as journal:
            for number in range(how_often):
                journal.submit(settle(number), pressed)

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    assert told.kept == ["the last"] * how_often


def test_ctrl_c_leaves_no_file_open_that_is_being_opened(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "tree.db"

    async def main() -> None:
        async with on_disk(file, run_sync=in_thread):
            pass

    line = 0
    while True:
        line += 1
        before = sys.gettrace()
        sys.settrace(InterruptLine(line, in_thread, begin_in_thread, vars(SqliteJournal)["__aenter__"]))
        try:
            trio.run(main)
        except KeyboardInterrupt:
            sys.settrace(before)
            trio.run(main)  # refused, if this process owned it still
        else:
            break
        finally:
            sys.settrace(before)
    assert line > 10


def test_the_lease_is_kept_while_nobody_writes(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "tree.db"

    def lease_until() -> float:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            return connection.execute("SELECT lease_until FROM owner").fetchone()[0]

    def let_the_clock_of_the_database_move() -> None:
        """It counts milliseconds, and may take two renewals for one moment."""
        with closing(sqlite3.connect(":memory:")) as connection:
            now = "SELECT julianday('now')"
            (began,) = connection.execute(now).fetchone()
            while connection.execute(now).fetchone() == (began,):
                pass

    async def main() -> None:
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, MockClock)
        async with on_disk(file, run_sync=in_thread) as journal:
            for _ in range(3):
                before = lease_until()
                let_the_clock_of_the_database_move()
                clock.jump(4)
                await trio.testing.wait_all_tasks_blocked()  # the writer has begun
                await journal.blobs()  # answered behind it
                assert lease_until() > before

    trio.run(main, clock=MockClock())
