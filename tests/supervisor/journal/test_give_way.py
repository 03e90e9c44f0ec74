"""A loop that is never idle, and a call in another thread that wants the interpreter back now and then."""

from __future__ import annotations

import gc
import pathlib
import sys

import pytest
import trio
import trio.testing
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from treewarden.supervisor.journal.give_way import Breaks, GiveWay
from treewarden.supervisor.journal.seams import in_thread
from treewarden.supervisor.loop_watch import Blocked, where
from treewarden.supervisor.testing import inline_run_sync

from ...journals import Told, WallClock, on_disk, settle


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
class Running(WallClock):
    """Each look at it takes a millisecond."""

    looks: int = 0

    def now(self) -> float:
        self.looks += 1
        return self.looks / 1000


def rounds(give_way: GiveWay, seconds: Seconds, count: int, each: float, timeout: float = 0.0) -> int:
    """How many pauses so many rounds have."""
    before = len(seconds.paused)
    for _ in range(count):
        give_way.before_io_wait(timeout)
        seconds.at += each
    return len(seconds.paused) - before


def alone(seconds: Seconds) -> GiveWay:
    """Of the only journal of a loop."""
    return GiveWay(seconds.now, seconds.rest, Breaks(), unexpected)


def unexpected(error: BaseException) -> None:
    raise AssertionError("nothing was raised here") from error


def test_it_pauses_only_while_a_call_is_away() -> None:
    seconds = Seconds()
    give_way = alone(seconds)
    assert rounds(give_way, seconds, 100, 0.01) == 0
    give_way.begin()
    assert rounds(give_way, seconds, 1, 0.01) == 1
    give_way.end()
    assert rounds(give_way, seconds, 100, 0.01) == 0


def test_a_loop_that_waits_itself_is_not_paused() -> None:
    seconds = Seconds()
    give_way = alone(seconds)
    give_way.begin()
    assert rounds(give_way, seconds, 100, 0.01, timeout=0.001) == 0


def test_a_call_that_waits_for_the_disk_gets_ever_fewer_pauses() -> None:
    seconds = Seconds()
    give_way = alone(seconds)
    give_way.begin()
    first, _, third = (rounds(give_way, seconds, 1000, 1e-5) for _ in range(3))
    assert 20 <= first <= 60
    assert third <= first / 3


@given(st.floats(1e-6, 1e-3), st.integers(100, 2000))
def test_most_of_the_time_stays_with_the_loop(each: float, count: int) -> None:
    seconds = Seconds()
    give_way = alone(seconds)
    give_way.begin()
    begin, pauses = seconds.at, rounds(give_way, seconds, count, each)
    assert pauses * 150e-6 <= seconds.at - begin + 150e-6, "0.1 ms after each, whatever a round takes"


@given(st.integers(2, 5), st.floats(1e-6, 1e-3), st.integers(100, 500))
def test_several_journals_leave_a_loop_as_much_time_as_one(journals: int, each: float, count: int) -> None:
    seconds, breaks = Seconds(), Breaks()
    ways = [GiveWay(seconds.now, seconds.rest, breaks, unexpected) for _ in range(journals)]
    for way in ways:
        way.begin()
    begin = seconds.at
    for _ in range(count):
        for way in ways:
            way.before_io_wait(0.0)
        seconds.at += each
    assert len(seconds.paused) * 150e-6 <= seconds.at - begin + 250e-6
    assert seconds.paused


def test_the_next_call_of_the_same_journal_gets_a_pause_at_once() -> None:
    seconds = Seconds()
    give_way = alone(seconds)
    for _ in range(10):
        give_way.begin()
        assert rounds(give_way, seconds, 1, 1e-6) == 1
        give_way.end()


@pytest.mark.parametrize(("run_sync", "gives"), [(in_thread, True), (inline_run_sync, False)])
async def test_a_journal_asks_a_busy_loop_for_way(run_sync: object, gives: bool, tmp_path: pathlib.Path) -> None:
    paused, told, others = list[float](), Told(), instruments()
    options = {"run_sync": run_sync, "rest": paused.append, "clock": Running(), "lease": 1e9}
    async with on_disk(tmp_path / "tree.db", **options) as journal:
        journal.submit(settle(1), told.of("1"))
        while not told.news:
            await trio.lowlevel.checkpoint()
        assert bool(paused) is gives
        paused.clear()
        await some_rounds()
        assert not paused, "nothing is away"
        journal.submit(settle(2), told.of("2"))
    assert told.kept == ["1", "2"]
    del journal
    assert instruments() <= others, "trio still has it"


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
    seen, told = list[Blocked | None](), Told()

    def rest(_: float) -> None:
        seen.append(where(sys._getframe(1), 1.0))  # pyright: ignore[reportPrivateUsage]

    async with on_disk(tmp_path / "tree.db", run_sync=in_thread, rest=rest) as journal:
        journal.submit(settle(1), told.of("1"))
        while not told.news:
            await trio.lowlevel.checkpoint()
    assert seen
    assert set(seen) == {None}
