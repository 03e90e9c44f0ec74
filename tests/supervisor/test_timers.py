"""Delays as callbacks: each comes once, in order of the times, and none that was called off takes place for long."""

from __future__ import annotations

import gc
from functools import partial

import pytest
import trio
import trio.testing
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents import VOLATILE, Agent, MailboxSpec, Request, handles
from treewarden.agents.ports import Alarm
from treewarden.supervisor.timers import Timers
from treewarden.topologies import child, open_tree, tree

pytestmark = pytest.mark.usefixtures("frozen")

MEMORY = MailboxSpec(durability=VOLATILE)
HOUR = 3600.0


@frozen
class Seen:
    pass


@frozen
class Asked(Request[int]):
    pass


class Idle(Agent[int]):
    """Notices when nobody has written for an hour."""

    state = 0

    @handles
    def seen(self, _: Seen) -> None:
        self.after(HOUR, Seen(), key="idle")

    @handles
    async def asked(self, _: Asked) -> int:
        await trio.lowlevel.checkpoint()
        return 0


def alive() -> int:
    gc.collect()
    return len(gc.get_objects())


async def test_a_delay_that_is_set_anew_with_each_message_is_kept_once() -> None:
    async with open_tree(tree(child(Idle, mailbox=MEMORY))) as running:
        idle = running.ref("idle")
        await idle.tell(Seen())
        await idle.ask(Asked())
        before = alive()
        for _ in range(2000):
            await idle.tell(Seen())
        await idle.ask(Asked())
        assert alive() - before < 600


async def test_limits_of_an_hour_are_not_kept_for_an_hour(autojump_clock: trio.testing.MockClock) -> None:
    async with open_tree(tree(child(Idle, mailbox=MEMORY))) as running:
        idle = running.ref("idle")
        await idle.ask(Asked(), within=HOUR)
        before = alive()
        for _ in range(2000):
            await trio.sleep(0.02)
            await idle.ask(Asked(), within=HOUR)
        assert alive() - before < 600


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("at"), st.integers(1, 90), st.integers(0, 9)),
            st.tuples(st.just("off"), st.integers(1, 3), st.integers(0, 2)),
            st.tuples(st.just("on"), st.integers(1, 4), st.just(0)),
        ),
        max_size=12,
    )
)
def test_who_was_not_called_off_comes_in_order(steps: list[tuple[str, int, int]]) -> None:
    """`at`: so many, due from then on; `off`: every n-th from the m-th on; `on`: the clock. Each fifth ends one."""
    came: list[int] = []
    expected: list[int] = []
    alarms: list[Alarm] = []
    due: dict[int, float] = {}

    def comes(number: int) -> None:
        came.append(number)
        alarms[number].cancel()  # does nothing: it has come
        if number % 5 == 0:
            alarms[-1 - number // 2].cancel()

    async def main() -> None:
        timers = Timers()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(timers.run)
            for what, count, first in steps:
                if what == "at":
                    for each in range(count):
                        number, when = len(alarms), trio.current_time() + (first + each) % 10
                        alarms.append(timers.at(when, partial(comes, number)))
                        due[number] = when
                elif what == "off":
                    for number in range(first, len(alarms), count):
                        alarms[number].cancel()
                        due.pop(number, None)
                else:
                    ahead(trio.current_time() + count)
                    await trio.sleep(count)
                    await trio.testing.wait_all_tasks_blocked()
                assert came == expected
            nursery.cancel_scope.cancel()

    def ahead(until: float) -> None:
        while due:
            number = min(due, key=lambda each: (due[each], each))
            if due[number] > until:
                return
            del due[number]
            expected.append(number)
            if number % 5 == 0:
                due.pop(len(alarms) - 1 - number // 2, None)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def test_what_is_to_come_soon_comes_when_the_others_have_had_a_turn() -> None:
    seen = list[str]()
    timers = Timers()

    async def other() -> None:
        for _ in range(6):
            await trio.lowlevel.checkpoint()
            seen.append("other")

    def again() -> None:
        seen.append("soon")
        if seen.count("soon") < 3:
            timers.soon(again)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(other)
        timers.soon(again)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert seen.count("soon") == 3
    assert "soon,soon,soon" not in ",".join(seen)


async def test_what_is_to_come_soon_keeps_no_limit_waiting(autojump_clock: trio.testing.MockClock) -> None:
    timers, seen = Timers(), list[str]()

    def again() -> None:
        seen.append("soon")
        timers.soon(again)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        timers.at(trio.current_time(), partial(seen.append, "due"))
        timers.soon(again)
        while "due" not in seen:
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert seen.count("soon") <= 2
