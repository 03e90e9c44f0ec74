"""Waits and events in any order, with failures, stops and power cuts between them: each event ends one wait at most, a
wait takes one event at most, and nothing is lost."""

from __future__ import annotations

from typing import Any, Final

import trio
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents import Happened
from treewarden.supervisor.core.spec import Intensity

from .effects_desk import left, opened
from .events_desk import Order, desk, got, kept
from .trees import Disk

NAMES: Final = ("shipped", "paid")


@frozen
class Wait:
    event: str
    within: float | None
    fails: int


@frozen
class Tell:
    event: str
    fits: bool


@frozen
class Pass:
    seconds: float


@frozen
class End:
    """Of the process."""

    in_order: bool


@frozen
class Fault:
    """Of the disk, from the next commit on that ends a wait, for so many."""

    commits: int


ACTIONS = st.one_of(
    st.builds(Wait, st.sampled_from(NAMES), st.sampled_from([None, None, 1.0, 3.0]), st.sampled_from([0, 0, 1])),
    st.builds(Tell, st.sampled_from(NAMES), st.sampled_from([True, True, True, False])),
    st.builds(Pass, st.sampled_from([0.0, 0.0, 0.5, 1.0, 2.0])),
    st.builds(End, st.booleans()),
    st.builds(Fault, st.integers(1, 3)),
)


async def play(actions: list[Any]) -> None:
    disk, told, orders, left_to_fail = Disk(), dict[str, Tell](), dict[int, Wait](), [0]

    def broken(commit: Any) -> bool:
        if left_to_fail[0] and any(each.kind in ("waits", "happened") for each in commit.replies):
            left_to_fail[0] -= 1
            return True
        return False

    disk.broken = broken
    actions = [*actions, End(in_order=True), Pass(1.0)]
    while actions:
        with trio.CancelScope() as power:
            async with opened(desk(deliveries=9), journal=disk, restarts=Intensity(1000, 1.0)) as running:
                ref = running.ref("desk")
                while actions:
                    match actions.pop(0):
                        case Wait() as wait:
                            number, until = len(orders), wait.within and trio.current_time() + wait.within
                            orders[number] = wait
                            await ref.tell(Order(number, wait.event, until, wait.fails))
                        case Tell() as tell:
                            by = f"event {len(told)}"
                            told[by] = tell
                            await ref.tell(Happened(tell.event, {"by": by} if tell.fits else {"of": by}))
                        case Pass(seconds):
                            await trio.sleep(seconds) if seconds else await wait_all_tasks_blocked()
                        case Fault(commits):
                            left_to_fail[0] += commits
                        case End(in_order):
                            if not in_order:
                                power.cancel()
                                await trio.lowlevel.checkpoint()
                            break
                        case _:
                            raise AssertionError
                else:
                    left_to_fail[0] = 0
                    await trio.sleep(100)
                    await check(running, told, orders)


async def check(running: Any, told: dict[str, Tell], orders: dict[int, Wait]) -> None:
    values = dict(got(running))
    assert len(values) == len(got(running)), "no order went on twice"
    taken = [value for value in values.values() if value.startswith("event")]
    letters = [each.body for each in await running.dead_letters() if each.kind.endswith(":Happened")]
    stored = running._common.registry.find("desk").parked
    here = [] if stored is None else [str(each.body.value) for each in stored.events.values()]
    for by, tell in told.items():
        places = taken.count(by), sum(f'"{by}"' in each for each in letters), sum(f"'{by}'" in each for each in here)
        assert sum(places) == 1, f"{by} is in one place: {places}"
        assert not (places[0] and not tell.fits)
        assert not (places[1] and tell.fits)
    waiting = await running.waits()
    assert len(values) + len(waiting) == len(orders), "each has gone on, or waits"
    assert not {each.about for each in waiting} & set(kept(running)), "none waits for what has happened"
    for number, value in values.items():
        if value.startswith("expired"):
            assert orders[number].within is not None
        else:
            assert told[value].event == orders[number].event
    if not waiting:
        assert left(running) == 0


@settings(max_examples=150, deadline=None)
@given(st.lists(ACTIONS, max_size=25))
def test_each_event_ends_one_wait(actions: list[Any]) -> None:
    trio.run(play, actions, clock=MockClock(autojump_threshold=0))
