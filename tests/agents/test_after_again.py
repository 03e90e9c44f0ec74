"""A message that an agent has set for itself is due, and could not be handled: it comes again, once."""

from __future__ import annotations

from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.path import Path
from treewarden.agents.slot import Slot
from treewarden.agents.testing import ManualClock
from treewarden.agents.ticks import Afters, Timed


class Alone:
    """The timers of one life, taken by hand."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.slot = Slot(Path("timely"), MailboxSpec(durability=VOLATILE), self.clock.now, None)
        self.afters = Afters(self.slot, self.clock, self.clock)

    def take(self) -> list[Timed]:
        """What is due and not called off, as a runner takes it."""
        found: list[Timed] = []
        while isinstance(tick := self.slot.take(), Timed):
            if self.afters.take(tick):
                found.append(tick)
        return found

    def come(self, seconds: float) -> list[object]:
        """What comes in this time."""
        self.clock.advance(seconds)
        return [each.message for each in self.take()]


def test_it_is_due_at_once_and_no_more_behind_that() -> None:
    alone = Alone()
    alone.afters.set(1, "a", "key", None)
    alone.clock.advance(1)
    (tick,) = alone.take()
    alone.afters.again(tick)
    alone.afters.again(tick)
    assert alone.come(0) == ["a"]
    assert alone.come(100) == []


def test_one_that_has_come_due_meanwhile_is_one_with_it() -> None:
    alone = Alone()
    alone.afters.set(1, "a", "key", 10.0)
    alone.clock.advance(1)
    (tick,) = alone.take()
    alone.clock.advance(10)
    alone.afters.again(tick)
    assert [alone.come(0), alone.come(9), alone.come(1)] == [["a"], [], ["a"]]
    alone.clock.advance(5)
    alone.afters.again(tick)
    alone.clock.advance(5)
    assert [alone.come(0), alone.come(9), alone.come(1)] == [["a"], [], ["a"]]


def test_one_that_was_set_anew_meanwhile_comes_in_its_place() -> None:
    alone = Alone()
    alone.afters.set(1, "a", "key", None)
    alone.clock.advance(1)
    (tick,) = alone.take()
    alone.afters.set(5, "b", "key", None)
    alone.afters.again(tick)
    assert [alone.come(4.5), alone.come(0.5), alone.come(100)] == [[], ["b"], []]


def test_called_off_it_does_not_come() -> None:
    alone = Alone()
    alone.afters.set(1, "a", "key", None)
    alone.clock.advance(1)
    (tick,) = alone.take()
    alone.afters.again(tick)
    assert alone.afters.call_off("key")
    assert alone.come(100) == []


def test_while_nothing_is_to_come_due_it_waits_for_that_to_end() -> None:
    for period in (None, 10.0):
        alone = Alone()
        alone.afters.set(1, "a", "key", period)
        alone.clock.advance(1)
        (tick,) = alone.take()
        alone.afters.silence()
        alone.afters.again(tick)
        assert not alone.slot.has_work
        alone.clock.advance(3)
        alone.afters.go_on()
        assert alone.come(0) == ["a"]
        assert [alone.come(6.9), alone.come(0.1), alone.come(9.9)] == [[], ["a"] if period else [], []]
