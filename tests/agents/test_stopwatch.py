"""What measures waiting tells the same as the loop's clock, whatever clock that is."""

from __future__ import annotations

import time

import trio
import trio.testing

from treewarden.agents.stopwatch import is_mocked, stopwatch


class Slow(trio.abc.Clock):
    """A user's own: a tenth of the real time."""

    def start_clock(self) -> None:
        self.began = time.perf_counter()

    def current_time(self) -> float:
        return (time.perf_counter() - self.began) / 10

    def deadline_to_sleep_time(self, deadline: float) -> float:
        return (deadline - self.current_time()) * 10


async def both() -> tuple[bool, bool, bool]:
    """Of the loop that runs: whether it is mocked, reads Python's own, and reads the loop's."""
    now = trio.lowlevel.current_clock().current_time
    watch = stopwatch(now)
    return is_mocked(trio.lowlevel.current_clock()), watch is time.perf_counter, watch == now


def test_the_real_clock_is_read_where_trio_reads_it() -> None:
    assert trio.run(both) == (False, True, False)


def test_simulated_time_stays_simulated() -> None:
    assert trio.run(both, clock=trio.testing.MockClock(rate=2.0)) == (True, False, True)


def test_a_clock_of_somebody_else_is_asked_itself() -> None:
    assert trio.run(both, clock=Slow()) == (False, False, True)
    assert stopwatch(time.monotonic) is time.monotonic


async def test_the_same_differences(autojump_clock: trio.testing.MockClock) -> None:
    watch = stopwatch(trio.lowlevel.current_clock().current_time)
    began = watch()
    await trio.sleep(2.5)
    assert watch() - began == 2.5
