"""`@at` methods of one life that somebody wants run now, while another tick is in hand or nothing may come due."""

from __future__ import annotations

from treewarden.agents.ticks import Tick

from .test_dates import Alone


class Wanted(Alone):
    def takes(self) -> bool:
        """Whether a tick waits, which is in hand then."""
        tick = self.life.slot.take()
        if isinstance(tick, Tick):
            self.life.take_tick(tick.name)
        return isinstance(tick, Tick)

    def run_now(self) -> bool:
        assert self.life.repeats is not None
        return self.life.repeats.run_now("report")


def wanted_in_hand() -> Wanted:
    alone = Wanted("2026-05-05T08:00", "08:01,08:05,08:09")
    alone.clock.advance(60)
    assert alone.takes()
    assert [alone.run_now(), alone.run_now()] == [True, False]
    return alone


def test_what_comes_due_while_one_that_was_wanted_waits_is_done_with_it() -> None:
    """It came again when that was over, and what was due after that was left out."""
    alone = wanted_in_hand()
    alone.clock.advance(5 * 60)
    alone.dates.over("report")
    assert alone.takes()
    alone.clock.advance(0)
    alone.dates.over("report")
    assert not alone.takes()
    assert alone.log(5 * 60) == ["05 08:09"]


def test_what_comes_due_while_one_that_was_wanted_is_in_hand_is_done_once() -> None:
    alone = wanted_in_hand()
    alone.dates.over("report")
    assert alone.takes()
    alone.clock.advance(5 * 60)
    alone.dates.over("report")
    assert alone.log(7 * 60) == ["05 08:07", "05 08:09"]


def test_one_that_was_wanted_before_silence_comes_after_it() -> None:
    """It was forgotten, and nobody could want another one."""
    alone = wanted_in_hand()
    alone.life.silence()
    alone.dates.over("report")
    assert not alone.takes()
    alone.life.go_on()
    assert alone.takes()
    alone.dates.over("report")
    assert alone.log(10 * 60) == ["05 08:05", "05 08:09"]


def test_one_in_hand_over_the_whole_silence_is_followed_by_the_one_that_was_wanted() -> None:
    alone = wanted_in_hand()
    alone.life.silence()
    alone.life.go_on()
    alone.dates.over("report")
    assert alone.takes()
    alone.dates.over("report")
    assert alone.log(10 * 60) == ["05 08:05", "05 08:09"]


def test_what_is_put_off_in_silence_comes_after_it() -> None:
    alone = Wanted("2026-05-05T08:00", "08:01,08:05")
    alone.clock.advance(60)
    assert alone.takes()
    alone.life.silence()
    alone.dates.over("report")
    alone.dates.again("report")
    assert not alone.takes()
    alone.life.go_on()
    assert alone.log(10 * 60) == ["05 08:02", "05 08:05"]
