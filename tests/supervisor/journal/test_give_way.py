"""A loop that is never idle, and a call in another thread that wants the interpreter back now and then."""

from __future__ import annotations

import gc
import pathlib
import sqlite3
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.errors import CommitFailed
from treewarden.supervisor.journal import give_way
from treewarden.supervisor.journal.commit import Commit
from treewarden.supervisor.journal.give_way import Breaks, GiveWay
from treewarden.supervisor.journal.seams import in_thread
from treewarden.supervisor.loop_watch import Blocked, where
from treewarden.supervisor.testing import inline_run_sync

from ...journals import DESK, Told, WallClock, on_disk, settle

pytestmark = pytest.mark.usefixtures("frozen")


@define
class Seconds:
    """A clock that only pauses and rounds move."""

    at: float = 100.0
    paused: list[float] = field(factory=list[float])

    def now(self) -> float:
        return self.at

    def rest(self, seconds: float) -> None:
        self.paused.append(self.at)
        self.at += seconds


@define
class Pauses:
    """Whether there was one."""

    made: threading.Event = field(factory=threading.Event)
    armed: bool = False

    def rest(self, _: float) -> None:
        self.made.set()


@define
class Running(WallClock):
    """Each look at it takes a millisecond."""

    looks: int = 0

    def now(self) -> float:
        self.looks += 1
        return self.looks / 1000


def rounds(way: GiveWay, seconds: Seconds, count: int, each: float, timeout: float = 0.0) -> int:
    """How many pauses so many rounds have."""
    before = len(seconds.paused)
    for _ in range(count):
        way.before_io_wait(timeout)
        seconds.at += each
    return len(seconds.paused) - before


def alone(seconds: Seconds) -> GiveWay:
    """Of the only journal of a loop."""
    return GiveWay(seconds.now, seconds.rest, Breaks(), unexpected)


def at_once(_: float) -> bool:
    """A call that has only the disk to wait for from its beginning."""
    return True


@define
class Preparing:
    """Calls that take so long until they have only the disk to wait for."""

    seconds: Seconds
    takes: float
    waited: list[float] = field(factory=list[float])

    def ready(self, most: float) -> bool:
        waits = min(self.takes, most)
        self.waited.append(waits)
        self.seconds.at += waits
        return self.takes <= most


def unexpected(error: BaseException) -> None:
    raise AssertionError("nothing was raised here") from error


def test_it_pauses_only_while_a_call_is_away() -> None:
    seconds = Seconds()
    way = alone(seconds)
    assert rounds(way, seconds, 100, 0.01) == 0
    way.begin(at_once, 1)
    assert rounds(way, seconds, 2, 0.01) == 1, "the first time it waits for the call"
    way.end()
    assert rounds(way, seconds, 100, 0.01) == 0


def test_a_loop_that_waits_itself_is_not_paused() -> None:
    seconds = Seconds()
    way = alone(seconds)
    way.begin(at_once, 1)
    assert rounds(way, seconds, 100, 0.01, timeout=0.001) == 0


def test_a_call_that_waits_for_the_disk_gets_ever_fewer_pauses() -> None:
    seconds = Seconds()
    way = alone(seconds)
    way.begin(at_once, 1)
    first, _, third = (rounds(way, seconds, 1000, 1e-5) for _ in range(3))
    assert 20 <= first <= 60
    assert third <= first / 3


@given(st.floats(1e-6, 1e-3), st.integers(100, 2000))
def test_most_of_the_time_stays_with_the_loop(each: float, count: int) -> None:
    seconds = Seconds()
    way = alone(seconds)
    way.begin(at_once, 1)
    begin, pauses = seconds.at, rounds(way, seconds, count, each)
    assert pauses * 150e-6 <= seconds.at - begin + 150e-6, "0.1 ms after each, whatever a round takes"


@given(st.integers(2, 5), st.floats(1e-6, 1e-3), st.integers(400, 800))
def test_several_journals_leave_a_loop_as_much_time_as_one(journals: int, each: float, count: int) -> None:
    seconds, breaks = Seconds(), Breaks()
    ways = [GiveWay(seconds.now, seconds.rest, breaks, unexpected) for _ in range(journals)]
    for way in ways:
        way.begin(at_once, 1)
    begin = seconds.at
    for _ in range(count):
        for way in ways:
            way.before_io_wait(0.0)
        seconds.at += each
    assert len(seconds.paused) * 150e-6 <= seconds.at - begin + 250e-6
    assert seconds.paused


def test_the_next_call_of_the_same_journal_gets_a_pause_at_once() -> None:
    seconds = Seconds()
    way, calls = alone(seconds), Preparing(seconds, 1e-3)
    pauses = list[float]()
    for _ in range(10):
        way.begin(calls.ready, 0)
        begin = seconds.at
        rounds(way, seconds, 1, 1e-6)
        pauses.append(seconds.at - begin)
        way.end()
    assert calls.waited == [1e-3], "the loop has had no time for itself since"
    assert pauses == pytest.approx([1e-3 + 1e-6] + [50e-6 + 1e-6] * 9)


def test_a_loop_waits_once_for_a_call_until_only_the_disk_is_left() -> None:
    seconds = Seconds()
    way, calls = alone(seconds), Preparing(seconds, 1e-3)
    for call in range(1, 4):
        way.begin(calls.ready, 0)
        assert rounds(way, seconds, 20, 1e-4) > 0
        assert calls.waited == [1e-3] * call
        way.end()
        rounds(way, seconds, 1, 0.01)


def test_for_calls_that_do_not_get_ready_it_seldom_waits() -> None:
    seconds = Seconds()
    way, calls = alone(seconds), Preparing(seconds, 1.0)
    begin = seconds.at
    for _ in range(1000):
        way.begin(calls.ready, 0)
        assert rounds(way, seconds, 4, 1e-4) >= 1, "they get the short pauses all the same"
        way.end()
    assert set(calls.waited) == {2e-3}
    assert 8 <= len(calls.waited) <= (seconds.at - begin) / 40e-3 + 5


def test_one_call_that_does_not_get_ready_puts_the_next_off_for_no_longer_than_it_took() -> None:
    seconds = Seconds()
    way, calls = alone(seconds), Preparing(seconds, 1.0)
    for _ in range(3):  # each as if the one before it had never been
        begin = seconds.at
        calls.takes = 1.0
        way.begin(calls.ready, 0)
        rounds(way, seconds, 30, 1e-4)
        way.end()
        calls.takes = 1e-3
        way.begin(calls.ready, 0)
        rounds(way, seconds, 1, 0.01)
        way.end()
        assert calls.waited[-2:] == [2e-3, 1e-3]
        assert seconds.at - begin < 0.02


def test_for_a_call_of_many_commits_it_waits_longer() -> None:
    seconds = Seconds()
    way, calls = alone(seconds), Preparing(seconds, 1.0)
    for commits in (1, 128):
        way.begin(calls.ready, commits)
        rounds(way, seconds, 1, 0.1)
        way.end()
    assert calls.waited == pytest.approx([2.06e-3, 9.68e-3])


@given(st.lists(st.floats(1e-6, 5e-3), min_size=20, max_size=100), st.floats(1e-6, 1e-3), st.integers(1, 4))
def test_no_more_time_goes_to_waiting_for_calls_than_the_loop_has_for_itself(
    takes: list[float], each: float, journals: int
) -> None:
    seconds, breaks = Seconds(), Breaks()
    ways = [GiveWay(seconds.now, seconds.rest, breaks, unexpected) for _ in range(journals)]
    waited, begin = 0.0, seconds.at
    for number, taking in enumerate(takes):
        way, call = ways[number % journals], Preparing(seconds, taking)
        way.begin(call.ready, 0)
        rounds(way, seconds, 3, each)
        way.end()
        waited += sum(call.waited)
    assert waited <= (seconds.at - begin) / 2 + 2e-3


def holding(before_commit: Callable[[], object]) -> Callable[..., sqlite3.Connection]:
    """What makes connections that call something in the writer's thread before each COMMIT."""

    class Held(sqlite3.Connection):
        def execute(self, sql: str, /, *parameters: Any) -> sqlite3.Cursor:
            if sql == "COMMIT":
                before_commit()
            return super().execute(sql, *parameters)

    def connect(*args: Any, **options: Any) -> sqlite3.Connection:
        return sqlite3.connect(*args, factory=Held, **options)

    return connect


async def test_a_journal_asks_a_busy_loop_for_way(tmp_path: pathlib.Path) -> None:
    pauses, told, others = Pauses(), Told(), instruments()
    connect = holding(lambda: pauses.armed and pauses.made.wait(10))
    async with on_disk(
        tmp_path / "tree.db", run_sync=in_thread, rest=pauses.rest, clock=Running(), lease=1e9, connect=connect
    ) as journal:
        pauses.armed = True
        journal.submit(settle(1), told.of("1"))
        while not told.news:
            await trio.lowlevel.checkpoint()
        assert pauses.made.is_set()
        pauses.made.clear()
        pauses.armed = False
        await some_rounds()
        assert not pauses.made.is_set(), "nothing is away"
        journal.submit(settle(2), told.of("2"))
    assert told.kept == ["1", "2"]
    del journal
    assert instruments() <= others, "trio still has it"


async def test_a_journal_without_a_thread_has_nobody_to_give_way_to(tmp_path: pathlib.Path) -> None:
    pauses, told = Pauses(), Told()
    async with on_disk(
        tmp_path / "tree.db", run_sync=inline_run_sync, rest=pauses.rest, clock=Running(), lease=1e9
    ) as journal:
        journal.submit(settle(1), told.of("1"))
        while not told.news:
            await trio.lowlevel.checkpoint()
    assert not pauses.made.is_set()


async def test_the_loop_goes_on_while_a_transaction_waits_for_the_disk(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would stand still for a minute if it waited for more than that."""
    monkeypatch.setattr(give_way, "_PREPARES", 60.0)
    went_on, waited, told = threading.Event(), list[bool](), Told()
    went_on.set()
    connect = holding(lambda: waited.append(went_on.wait(10)))
    async with on_disk(tmp_path / "tree.db", run_sync=in_thread, connect=connect) as journal:
        went_on.clear()
        del waited[:]
        journal.submit(settle(1), told.of("1"))
        await some_rounds()
        went_on.set()
        while not told.news:
            await trio.lowlevel.checkpoint()
        assert waited == [True]


@pytest.mark.parametrize("commit", [None, settle(1), Commit(revived=("nobody",))], ids=["read", "written", "refused"])
async def test_the_loop_waits_for_no_call_that_is_over(
    commit: Commit | None, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(give_way, "_PREPARES", 60.0)
    with trio.fail_after(30):
        async with on_disk(tmp_path / "tree.db", run_sync=in_thread) as journal, trio.open_nursery() as nursery:
            nursery.start_soon(busy, nursery.cancel_scope)
            if commit is None:
                await journal.recover(DESK)
            elif commit.revived:
                with pytest.raises(CommitFailed, match="puts back"):
                    await journal.commit(commit)
            else:
                await journal.commit(commit)
            nursery.cancel_scope.cancel()


async def busy(until: trio.CancelScope) -> None:
    """Something to do in every round."""
    while not until.cancel_called:
        await trio.lowlevel.checkpoint()


def instruments() -> set[GiveWay]:
    gc.collect()
    return {each for each in gc.get_objects() if isinstance(each, GiveWay)}


async def some_rounds() -> None:
    for _ in range(10):
        await trio.lowlevel.checkpoint()


class Ended(Exception):
    """What a signal's handler raises."""


@define
class Interrupted:
    """Pauses, of which one is ended by such a handler."""

    pauses: int = 0

    def rest(self, seconds: float) -> None:
        self.pauses += 1
        if self.pauses == 2:
            raise Ended


def test_what_a_signal_raises_in_a_pause_ends_the_loop_and_loses_no_answer(tmp_path: pathlib.Path) -> None:
    signal, told, submitted = Interrupted(), Told(), 0

    async def main() -> None:
        nonlocal submitted
        async with on_disk(
            tmp_path / "tree.db", run_sync=in_thread, rest=signal.rest, clock=Running(), lease=1e9
        ) as journal:
            for submitted in range(1, 100):
                journal.submit(settle(submitted), told.of(str(submitted)))
                while len(told.news) < submitted:
                    await trio.lowlevel.checkpoint()

    with pytest.raises(trio.TrioInternalError) as caught:
        trio.run(main)
    assert pytest.RaisesGroup(Ended, flatten_subgroups=True).matches(caught.value.__cause__)
    assert submitted < 99
    assert told.kept == [str(number + 1) for number in range(submitted)]


async def test_a_journal_whose_instrument_trio_has_dropped_ends_in_order(tmp_path: pathlib.Path) -> None:
    told, others = Told(), instruments()
    async with on_disk(tmp_path / "tree.db", run_sync=in_thread) as journal:
        await trio.testing.wait_all_tasks_blocked()
        (dropped,) = instruments() - others
        trio.lowlevel.remove_instrument(dropped)
        journal.submit(settle(1), told.of("1"))
    assert told.kept == ["1"]


async def test_a_loop_in_a_pause_is_not_called_blocked(tmp_path: pathlib.Path) -> None:
    seen, told, pauses = list[Blocked | None](), Told(), Pauses()

    def rest(seconds: float) -> None:
        seen.append(where(sys._getframe(1), 1.0))  # pyright: ignore[reportPrivateUsage]
        pauses.rest(seconds)

    connect = holding(lambda: pauses.armed and pauses.made.wait(10))
    async with on_disk(tmp_path / "tree.db", run_sync=in_thread, rest=rest, connect=connect) as journal:
        pauses.armed = True
        journal.submit(settle(1), told.of("1"))
        while not told.news:
            await trio.lowlevel.checkpoint()
    assert seen
    assert set(seen) == {None}
