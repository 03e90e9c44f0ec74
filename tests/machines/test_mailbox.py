"""The mailbox against a model of it that is five lists, under every overflow policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import field, frozen
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from treewarden.agents.core.durability import VOLATILE, MailboxSpec, Overflow
from treewarden.agents.core.message import Envelope, Priority
from treewarden.agents.core.path import Path
from treewarden.agents.errors import AgentStopped, MailboxFull
from treewarden.agents.mailbox import Mailbox

HIGH, NORMAL, LOW = Priority.HIGH, Priority.NORMAL, Priority.LOW
WAITS = (Overflow.WAIT, Overflow.COALESCE)


@frozen(eq=False)
class Apple:
    number: int


@frozen(eq=False)
class Pear:
    number: int


@frozen
class Model:
    """What waits, as plain lists."""

    control: list[object] = field(factory=list[object])
    due: list[object] = field(factory=list[object])
    lanes: dict[int, list[object]] = field(factory=lambda: {HIGH: [], NORMAL: [], LOW: []})
    paused: list[str] = field(factory=list[str])
    dropped: list[object] = field(factory=list[object])

    def __len__(self) -> int:
        return sum(map(len, self.lanes.values()))

    @property
    def order(self) -> list[object]:
        return [item for priority in (HIGH, NORMAL, LOW) for item in self.lanes[priority]]

    def take(self) -> object | None:
        if self.control:
            return self.control.pop(0)
        if self.paused:
            return None
        for lane in (self.due, self.lanes[HIGH], self.lanes[NORMAL], self.lanes[LOW]):
            if lane:
                return lane.pop(0)
        return None

    def like(self, item: object, priority: int) -> int | None:
        """The place of the last waiting tell of its kind and priority."""
        if is_ask(item):
            return None
        for place, waiting in reversed(list(enumerate(self.lanes[priority]))):
            if not is_ask(waiting) and type(body(waiting)) is type(body(item)):
                return place
        return None

    def replace(self, item: object, priority: int) -> bool:
        place = self.like(item, priority)
        if place is None:
            return False
        self.dropped.append(self.lanes[priority][place])
        self.lanes[priority][place] = item
        return True

    def drop_oldest(self, priority: int) -> bool:
        for lane in [each for each in (LOW, NORMAL, HIGH) if each >= priority]:
            for waiting in self.lanes[lane]:
                if not is_ask(waiting):
                    self.lanes[lane].remove(waiting)
                    self.dropped.append(waiting)
                    return True
        return False


def is_ask(item: object) -> bool:
    return isinstance(item, Envelope) and item.reply is not None


def priority_of(item: object) -> int:
    return item.priority if isinstance(item, Envelope) else NORMAL


def body(item: object) -> object:
    return item.body if isinstance(item, Envelope) else item


kinds = st.sampled_from([Apple, Pear])
shapes = st.sampled_from(["raw", "raw", "tell", "ask"])
priorities = st.sampled_from([NORMAL, NORMAL, NORMAL, HIGH, LOW])


class MailboxMachine(RuleBasedStateMachine):
    overflow: Overflow

    @initialize(capacity=st.integers(1, 4))
    def begin(self, capacity: int) -> None:
        self.capacity = capacity
        self.time = 0.0
        self.model = Model()
        self.reserved: list[tuple[object, int]] = []
        self.numbers = 0
        self.accepted = 0
        self.woken = 0
        self.taken: list[object] = []
        self.dropped: list[object] = []
        spec = MailboxSpec(capacity=capacity, overflow=self.overflow, durability=VOLATILE)
        self.box = Mailbox(Path("a"), spec, self.now)
        self.next_ones = self.box.next_ones
        self.box.on_drop = lambda item, _why: self.dropped.append(item)

    def now(self) -> float:
        return self.time

    def item(self, kind: type[Apple | Pear], shape: str, priority: int = NORMAL) -> object:
        """As it is sent: only of normal priority without an envelope, which says where it goes if it comes back."""
        self.numbers += 1
        message = kind(self.numbers)
        if shape == "raw" and priority == NORMAL:
            return message
        return Envelope(message, reply=(lambda _value, _error: None) if shape == "ask" else None, priority=priority)

    @property
    def full(self) -> bool:
        return len(self.model) + len(self.reserved) >= self.capacity

    def queue(self, item: object, priority: int) -> None:
        self.model.lanes[priority].append(item)
        self.accepted += 1

    # -- putting

    @rule(kind=kinds, shape=shapes, priority=priorities)
    def put(self, kind: type[Apple | Pear], shape: str, priority: int) -> None:
        item = self.item(kind, shape, priority)
        outcome = self.policy(item, priority, merge=True)
        self.expect(outcome, lambda: self.box.put_nowait(item, priority))
        if outcome == "queue":
            self.queue(item, priority)

    @rule(kind=kinds, count=st.integers(1, 4))
    def put_plain(self, kind: type[Apple | Pear], count: int) -> None:
        """In one call, if there is room for sure."""
        assert self.box.look_for_room() == (not self.full)
        for _ in range(min(count, self.box.sure)):
            item = self.item(kind, "raw")
            self.box.put_plain(item)
            self.queue(item, NORMAL)

    @rule(kind=kinds, shape=shapes, priority=priorities)
    def reserve(self, kind: type[Apple | Pear], shape: str, priority: int) -> None:
        item = self.item(kind, shape, priority)
        outcome = self.policy(item, priority, merge=False)
        kept = self.expect(outcome, lambda: self.box.reserve_nowait(item, priority))
        if outcome == "queue":
            assert kept is True
            self.reserved.append((item, priority))
        elif outcome == "gone":
            assert kept is False

    def policy(self, item: object, priority: int, *, merge: bool) -> str:
        """What must happen to `item`: queue, gone (dropped or merged), or full."""
        if not self.full:
            return "queue"
        if self.overflow is Overflow.COALESCE and self.model.like(item, priority) is not None:
            if not merge:
                return "queue"  # at the place of the other one, when it is filled
            self.model.replace(item, priority)
            self.accepted += 1
            return "gone"
        if not is_ask(item):
            if self.overflow is Overflow.DROP_OLDEST and self.model.drop_oldest(priority):
                return "queue"
            if self.overflow is Overflow.DROP_NEWEST:
                self.model.dropped.append(item)
                return "gone"
        return "full"

    def expect(self, outcome: str, call: Callable[[], Any]) -> Any:
        if outcome == "full":
            with pytest.raises(MailboxFull, match=self.overflow.value) as refused:
                call()
            assert refused.value.retry_safe
            return None
        return call()

    @precondition(lambda self: self.reserved)
    @rule(data=st.data())
    def fill(self, data: st.DataObject) -> None:
        item, priority = self.reserved.pop(data.draw(st.integers(0, len(self.reserved) - 1)))
        self.box.fill(item, priority)
        if self.overflow is Overflow.COALESCE and self.full and self.model.replace(item, priority):
            self.accepted += 1
        else:
            self.queue(item, priority)

    @precondition(lambda self: self.reserved)
    @rule()
    def release(self) -> None:
        self.reserved.pop()
        self.box.release()

    @rule()
    def put_control(self) -> None:
        self.numbers += 1
        self.box.put_control(f"control {self.numbers}")
        self.model.control.append(f"control {self.numbers}")

    @rule()
    def put_due(self) -> None:
        self.numbers += 1
        self.box.put_due(f"tick {self.numbers}")
        self.model.due.append(f"tick {self.numbers}")

    @precondition(lambda self: self.taken)
    @rule(count=st.integers(1, 3))
    def put_back(self, count: int) -> None:
        back, self.taken = self.taken[-count:], self.taken[:-count]
        self.box.put_back(back)
        for priority, lane in self.model.lanes.items():
            lane[:0] = [item for item in back if priority_of(item) == priority]

    # -- taking

    @rule()
    def take(self) -> None:
        expected = self.model.take()
        found = self.box.take()
        assert found is expected or found == expected
        if not isinstance(found, str) and found is not None:
            self.taken.append(found)

    @rule()
    def take_directly(self) -> None:
        """As a reader may that holds on to the list."""
        if self.box.simple and self.next_ones:
            found = self.next_ones.pop()
            assert found is self.model.take()
            self.taken.append(found)

    @rule(why=st.sampled_from(["throttled", "held"]))
    def pause(self, why: str) -> None:
        self.box.pause(why)
        if why not in self.model.paused:
            self.model.paused.append(why)

    @rule(why=st.sampled_from(["throttled", "held"]))
    def resume(self, why: str) -> None:
        self.box.resume(why)
        if why in self.model.paused:
            self.model.paused.remove(why)

    @rule()
    def forget_orders(self) -> None:
        self.box.forget_orders()
        self.model.control.clear()
        self.model.due.clear()

    @rule(seconds=st.sampled_from([0.0, 1.0, 5.0]))
    def wait(self, seconds: float) -> None:
        self.time += seconds

    # -- the end

    @rule()
    def close_and_reopen(self) -> None:
        left = self.box.close(AgentStopped("a: it finished", path=Path("a")))
        assert left == self.model.order
        assert self.box.take() is None
        with pytest.raises(AgentStopped, match="a: it finished"):
            self.box.put_nowait(Apple(0))
        with pytest.raises(AgentStopped):
            self.box.reserve_nowait(Apple(0))
        if self.reserved:
            item, priority = self.reserved.pop()
            with pytest.raises(AgentStopped):
                self.box.fill(item, priority)
        assert not self.box.look_for_room()
        for lane in (self.model.control, self.model.due, *self.model.lanes.values()):
            lane.clear()
        self.box.reopen()

    # -- what always holds

    @invariant()
    def it_is_what_the_model_is(self) -> None:
        box, model = self.box, self.model
        assert list(box) == model.order
        assert len(box) == len(model)
        assert [list(box.of_priority(each)) for each in (HIGH, NORMAL, LOW)] == list(model.lanes.values())
        assert box.has_room == (not self.full)
        assert 0 <= box.sure <= max(0, self.capacity - len(model) - len(self.reserved))
        assert box.has_work == bool(model.control or (not model.paused and (model.due or len(model))))
        assert self.dropped == model.dropped

    @invariant()
    def its_numbers_are_right(self) -> None:
        numbers = self.box.statistics()
        assert (numbers.depth, numbers.capacity) == (len(self.model), self.capacity)
        assert (numbers.reserved, numbers.senders_waiting) == (len(self.reserved), 0)
        assert (numbers.accepted, numbers.dropped) == (self.accepted, len(self.dropped))
        assert numbers.paused == tuple(self.model.paused)
        assert numbers.oldest >= 0
        assert bool(len(self.model)) or numbers.oldest == 0


@pytest.mark.parametrize("overflow", list(Overflow))
def test_every_policy(overflow: Overflow) -> None:
    class Machine(MailboxMachine):
        pass

    Machine.overflow = overflow
    run_state_machine_as_test(Machine, settings=settings(max_examples=60, stateful_step_count=40))
