"""`@every`: a fixed grid in wall time, over lateness, pauses, restarts and clocks that jump."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents.agent import Agent, every, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Checkpointed, Durability, MailboxSpec
from treewarden.agents.core.exit import Failure
from treewarden.agents.core.loops import Cycle
from treewarden.agents.core.path import Path
from treewarden.agents.errors import ConfigurationError, RateLimited, Stop
from treewarden.agents.life import Life
from treewarden.agents.ref import Ref
from treewarden.agents.slot import Slot
from treewarden.agents.testing import ManualClock, Tick
from treewarden.supervisor.core.event import ChildEnded
from treewarden.supervisor.core.spec import NO_BACKOFF, RestartPolicy
from treewarden.supervisor.journal.memory import MemoryJournal

from .trees import Add, Tally, happened, kept, opened, slot_of

START = 1_000_000.0
"""Wall seconds at the beginning."""


class Poller(Agent[Tally]):
    state = Tally()

    def __init__(self, log: list[float], period: Any = 10.0, takes: float = 0.0, errors: Any = ()) -> None:
        self.log = log
        self.period = period
        self.takes = takes
        self.errors = list(errors)

    @every("period")
    async def poll(self) -> None:
        self.log.append(self.now())
        self.state = evolve(self.state, total=self.state.total + 1)
        await trio.sleep(self.takes)
        if self.errors and (error := self.errors.pop(0)) is not None:
            raise error

    @handles
    def add(self, message: Add) -> None:
        self.state = evolve(self.state, seen=(*self.state.seen, message.amount))


class Watcher:
    """What a `Life` needs of a supervisor, if nothing goes wrong."""

    def reported(self, kind: str, severity: float, text: str, facts: Any) -> None: ...

    def recovered(self, kind: str, text: str) -> None: ...

    def recorded(self, facts: tuple[Any, ...]) -> None: ...

    def rate_limited(self, after: float | None, envelope: Any, failure: Failure) -> None: ...

    def measured(self, what: str, value: float) -> None: ...

    def looping(self, cycle: Cycle) -> None: ...

    def commit_failed(self, error: BaseException) -> None: ...

    def hibernates(self, context: Any) -> bool:
        return False

    def start_helper(self, work: Any, *args: Any) -> None: ...

    def ref(self, path: Path) -> Ref:
        raise NotImplementedError

    def watch(self, path: Path) -> Any:
        raise NotImplementedError


def life_of(agent: Agent[Any], clock: ManualClock, slot: Slot | None = None) -> Life:
    if slot is None:
        slot = Slot(Path("poller"), MailboxSpec(durability=VOLATILE), clock.now, None)
    life = Life(agent, slot, warden=Watcher(), clock=clock, alarms=clock)
    life.arm_timers()
    return life


def ticks(life: Life) -> list[str]:
    """Take what is due, as the runner does."""
    found: list[str] = []
    while isinstance(tick := life.slot.take(), Tick):
        life.take_tick(tick.name)
        found.append(tick.name)
    return found


def test_the_first_tick_comes_at_once_and_the_others_on_the_grid() -> None:
    clock = ManualClock(now=5.0, wall=START)
    life = life_of(Poller([]), clock)
    clock.advance(0)
    assert ticks(life) == ["poll"]
    clock.advance(9.999)
    assert ticks(life) == []
    clock.advance(0.001)
    assert ticks(life) == ["poll"]
    assert life.slot.due == {"poll": START + 20}


def test_ticks_that_nobody_takes_become_one() -> None:
    clock = ManualClock(wall=START)
    life = life_of(Poller([]), clock)
    clock.advance(95)
    assert ticks(life) == ["poll"]
    assert life.slot.due == {"poll": START + 100}
    clock.advance(5)
    assert ticks(life) == ["poll"]


@given(st.lists(st.floats(0.0, 40.0), max_size=30), st.floats(0.1, 30.0))
def test_a_loop_that_lags_never_shifts_the_grid(naps: list[float], period: float) -> None:
    """Whenever the loop finds the time to call what is due: due times are whole periods after the first."""
    clock = ManualClock(wall=START)
    life = life_of(Poller([], period), clock)
    clock.advance(0)
    for nap in naps:
        clock.advance(nap)
        ticks(life)
        since = life.slot.due["poll"] - START
        assert since == pytest.approx(round(since / period) * period, abs=1e-6)
        assert clock.wall() <= life.slot.due["poll"] <= clock.wall() + period + 1e-6


@pytest.mark.parametrize("away", [0.0, 3.0, 25.0, 1000.0])
def test_the_grid_goes_on_where_the_last_life_left_it(away: float) -> None:
    clock = ManualClock(wall=START)
    first = life_of(Poller([]), clock)
    clock.advance(12)  # due at 0 and 10, next at 20
    ticks(first)
    first.end()
    clock.advance(away)
    second = life_of(Poller([]), clock, first.slot)
    clock.advance(0)
    assert ticks(second) == (["poll"] if away >= 8 else [])
    due = second.slot.due["poll"]
    assert (due - START) % 10 == 0
    assert clock.wall() < due <= clock.wall() + 10


def test_what_was_due_for_a_life_that_has_ended_does_not_reach_the_next() -> None:
    clock = ManualClock(wall=START)
    first = life_of(Poller([]), clock)
    clock.advance(0)
    first.slot.put_control("order")
    first.end()
    assert first.slot.take() is None
    clock.advance(100)
    assert first.slot.take() is None


@pytest.mark.parametrize("due", [START + 3600.0, START + 1e9])
def test_a_due_time_from_another_period_or_a_wrong_clock_is_brought_back(due: float) -> None:
    clock = ManualClock(wall=START)
    slot = Slot(Path("poller"), MailboxSpec(durability=VOLATILE), clock.now, None)
    slot.due["poll"] = due
    life = life_of(Poller([]), clock, slot)
    clock.advance(10)
    assert ticks(life) == ["poll"]


def test_each_method_has_a_grid_of_its_own() -> None:
    class Two(Agent[None]):
        @every(3)
        def often(self) -> None: ...

        @every(10.0)
        def rarely(self) -> None: ...

    clock = ManualClock(wall=START)
    life = life_of(Two(), clock)
    clock.advance(0)
    assert ticks(life) == ["often", "rarely"]
    clock.advance(9)
    assert ticks(life) == ["often"]
    clock.advance(3)
    assert ticks(life) == ["rarely", "often"]


# -- in a tree


@pytest.fixture(params=[MESSAGE, VOLATILE, Checkpointed(messages=2)], ids=["message", "volatile", "checkpointed"])
def durability(request: pytest.FixtureRequest) -> Durability:
    return request.param


async def test_no_drift_and_no_pile(durability: Durability, autojump_clock: MockClock) -> None:
    log: list[float] = []
    begun = trio.current_time()
    async with opened(kept(Poller, durability, args={"log": log, "period": 1.0, "takes": 0.3})):
        await trio.sleep(1000.5)
    assert [at - begun for at in log] == pytest.approx([float(n) for n in range(1001)], abs=0.001)


async def test_a_slow_method_skips_what_it_missed(durability: Durability, autojump_clock: MockClock) -> None:
    log: list[float] = []
    begun = trio.current_time()
    async with opened(kept(Poller, durability, args={"log": log, "takes": 25.0})):
        await trio.sleep(101)
    # one tick waits while it works; it is taken as soon as it is done
    assert [at - begun for at in log] == pytest.approx([0, 25, 50, 75, 100], abs=0.001)


async def test_a_crash_does_not_move_the_grid(durability: Durability, autojump_clock: MockClock) -> None:
    log: list[float] = []
    begun = trio.current_time()
    args = {"log": log, "takes": 1.0, "errors": [None, ValueError("once")]}
    async with opened(kept(Poller, durability, args=args, backoff=NO_BACKOFF)) as running:
        await trio.sleep(40.5)
        assert [at - begun for at in log] == pytest.approx([0, 10, 20, 30, 40], abs=0.001)
        (ended,) = await happened(running, ChildEnded)
        assert ended.failure is not None
        assert ended.failure.message_kind == "every:poll"


async def test_the_grid_outlives_the_process(autojump_clock: MockClock) -> None:
    log: list[float] = []
    journal = MemoryJournal()
    begun = trio.current_time()
    spec = kept(Poller, MESSAGE, args={"log": log})
    async with opened(spec, journal=journal):
        await trio.sleep(12)
    await trio.sleep(20)  # 20 and 30 are missed
    async with opened(spec, journal=journal) as running:
        await trio.sleep(15)
        assert slot_of(running, "poller").state == Tally(4)
    assert [at - begun for at in log] == pytest.approx([0, 10, 32, 40], abs=0.1)


async def test_a_rate_limit_drops_the_tick_and_keeps_the_grid(
    durability: Durability, autojump_clock: MockClock
) -> None:
    log: list[float] = []
    begun = trio.current_time()
    args = {"log": log, "errors": [None, RateLimited(25.0)]}
    async with opened(kept(Poller, durability, args=args)) as running:
        await trio.sleep(51)
        assert running.snapshot()[0].restarts == 0
        assert slot_of(running, "poller").state == Tally(4)
    assert [at - begun for at in log] == pytest.approx([0, 10, 35, 40, 50], abs=0.1)


async def test_a_tick_that_ends_its_agent_settles(durability: Durability, autojump_clock: MockClock) -> None:
    args = {"log": list[float](), "errors": [Stop("done")]}
    async with opened(kept(Poller, durability, args=args, restart=RestartPolicy.TRANSIENT)) as running:
        slot = slot_of(running, "poller")
        (ended,) = await happened(running, ChildEnded)
        assert (ended.exit, ended.reason) == ("stopped", "done")
        assert slot.state == Tally(1)


@pytest.mark.parametrize("period", [0, -1.0, float("inf"), float("nan"), "soon", None, True])
async def test_a_period_that_is_none_is_a_start_that_fails(period: Any, autojump_clock: MockClock) -> None:
    with pytest.raises(Exception, match="did not last") as failed:
        async with opened(kept(Poller, VOLATILE, args={"log": [], "period": period})):
            pass
    assert f"Poller.poll: its period is {period!r}; give a positive number of seconds" in str(failed.value)


async def test_ticks_come_before_messages_and_take_no_room(autojump_clock: MockClock) -> None:
    log: list[float] = []
    async with opened(kept(Poller, VOLATILE, args={"log": log})) as running:
        await wait_all_tasks_blocked()
        slot = slot_of(running, "poller")
        slot.spec = MailboxSpec(capacity=1, durability=VOLATILE)
        slot.pause("held")
        await trio.sleep(10)
        running.ref("poller").tell_nowait(Add(1))
        assert len(slot) == 1
        slot.resume("held")
        await wait_all_tasks_blocked()
        assert len(log) == 2
        assert slot.state == Tally(2, (1,))


def test_a_period_may_be_a_property() -> None:
    class Doubled(Agent[None]):
        @property
        def twice(self) -> float:
            return 4.0

        @every("twice")
        def poll(self) -> None: ...

    clock = ManualClock(wall=START)
    life = life_of(Doubled(), clock)
    clock.advance(8)
    assert life.slot.due == {"poll": START + 12}


def test_a_period_that_nobody_has_is_named() -> None:
    class Lost(Agent[None]):
        @every("nowhere")
        def poll(self) -> None: ...

    with pytest.raises(
        ConfigurationError, match=r"Lost.poll: @every names 'nowhere', and the agent has no such attribute"
    ):
        life_of(Lost(), ManualClock())


class Spread(Agent[None]):
    def __init__(self, spread: Any = 10.0) -> None:
        self.spread = spread

    @every(10.0, spread="spread")
    def poll(self) -> None: ...


def spread_slot(number: int, clock: ManualClock) -> Slot:
    return Slot(Path(f"p{number}"), MailboxSpec(durability=VOLATILE), clock.now, None)


def test_ticks_of_many_come_apart_and_stay_so() -> None:
    clock = ManualClock(wall=START)
    lives = [life_of(Spread(), clock, spread_slot(number, clock)) for number in range(1000)]
    first = [life.slot.due["poll"] - START for life in lives]
    assert all(0 <= due < 10 for due in first)
    assert all(80 <= len([due for due in first if second <= due < second + 1]) <= 120 for second in range(10))
    clock.advance(25)
    later = [life.slot.due["poll"] - START for life in lives]
    assert later == pytest.approx([due + (30 if due <= 5 else 20) for due in first])


def test_where_a_tick_has_its_place_depends_on_its_path_only() -> None:
    clock, later = ManualClock(wall=START), ManualClock(wall=START + 1000)
    one = life_of(Spread(), clock, spread_slot(7, clock)).slot.due["poll"]
    assert life_of(Spread(), later, spread_slot(7, later)).slot.due["poll"] == pytest.approx(one + 1000)
    assert round(one - START, 3) == 6.123


def test_what_was_due_while_it_was_away_comes_within_the_spread() -> None:
    clock = ManualClock(wall=START)
    slot = spread_slot(7, clock)
    slot.due["poll"] = START - 400
    life = life_of(Spread(5.0), clock, slot)
    assert ticks(life) == []
    clock.advance(5)
    assert ticks(life) == ["poll"]


@pytest.mark.parametrize("kept", [None, START - 400])
def test_who_starts_again_before_its_first_tick_is_not_put_off(kept: float | None) -> None:
    clock, found = ManualClock(wall=START + 0.5), set[float]()
    for _ in range(6):  # processes that end before the tick, so that nothing of it is stored
        slot = spread_slot(7, clock)
        slot.due.update({} if kept is None else {"poll": kept})
        found.add(round(life_of(Spread(), clock, slot).slot.due["poll"] - START, 3))
        clock.advance(1)
    assert found == {6.123}


def test_those_whose_due_time_is_too_far_away_come_apart_again() -> None:
    clock, found = ManualClock(wall=START), list[float]()
    for number in range(100):
        slot = spread_slot(number, clock)
        slot.due["poll"] = START + 3600
        found.append(life_of(Spread(5.0), clock, slot).slot.due["poll"] - START)
    assert len(set(found)) == 100
    assert all(0 <= due < 5 for due in found)


def test_a_due_time_that_is_still_to_come_stays_where_it_is() -> None:
    clock = ManualClock(wall=START)
    slot = spread_slot(7, clock)
    slot.due["poll"] = START + 3
    assert life_of(Spread(), clock, slot).slot.due == {"poll": START + 3}


@pytest.mark.parametrize("spread", [-1, 10.1, "much", True, float("nan"), None])
def test_a_spread_that_is_none_is_refused(spread: Any) -> None:
    remedy = r"Spread\.poll: its spread is .*; give a number of seconds from 0 to its period \(10\)"
    with pytest.raises(ConfigurationError, match=remedy):
        life_of(Spread(spread), ManualClock())


def test_a_spread_that_can_be_seen_to_be_none_is_refused_with_the_class() -> None:
    def poll(self: object) -> None: ...

    with pytest.raises(ConfigurationError, match=r"Wide\.poll: its spread is 31; .* to its period \(30\)"):
        type("Wide", (Agent,), {"poll": every(30, spread=31)(poll)})
