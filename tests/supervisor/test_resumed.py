"""What was held back is handed out again when that is over for which it was held back, and at nothing else."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.exit import Exit, Stopped
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.errors import RateLimited
from treewarden.supervisor import Grace, Rule, table
from treewarden.topologies import Blueprint, Tree, child, open_tree, tree

RULES = [
    Rule("reported:hot", "throttle"),
    Rule("reported:wet", "throttle"),
    Rule("reported:poor", "hold"),
    Rule("reported:sad", "hold"),
    Rule("crash", "restart"),
]


@frozen
class Call: ...


@frozen
class Fail: ...


class Caller(Agent[None]):
    state = None

    def __init__(self, waits: list[float]) -> None:
        self.waits = waits

    @handles
    def call(self, message: Call) -> None:
        if self.waits:
            raise RateLimited(after=self.waits.pop())

    @handles
    async def fail(self, message: Fail) -> None:
        await trio.sleep(5)
        raise ValueError("told to")


def desk(*waits: float) -> Blueprint:
    caller = child(Caller, id="a", args={"waits": list(waits)}, mailbox=MailboxSpec(durability=VOLATILE))
    return tree(caller, policy=table(RULES))


async def say(running: Tree, kind: str, severity: float = 0.2, *, over: bool = False) -> tuple[str, ...]:
    """Say it, or that it is over; returns why no messages are handed out."""
    if over:
        running.recovered("/a", kind)
    else:
        running.signal("/a", {"kind": kind, "severity": severity})
    await trio.testing.wait_all_tasks_blocked()
    return running.ref("a").statistics().paused


@pytest.mark.parametrize(("kind", "why"), [("hot", "throttled"), ("poor", "held")])
async def test_only_by_the_end_of_what_it_was_for(kind: str, why: str, autojump_clock: trio.testing.MockClock) -> None:
    async with open_tree(desk()) as running:
        assert await say(running, "slow") == ()
        assert await say(running, kind) == (why,)
        assert await say(running, "slow") == (why,), "good to know is no reason to begin again"
        assert await say(running, "slow", over=True) == (why,)
        assert await say(running, "nothing", over=True) == (why,)
        assert await say(running, kind, over=True) == ()


async def test_by_the_end_of_all_that_it_was_for(autojump_clock: trio.testing.MockClock) -> None:
    async with open_tree(desk()) as running:
        await say(running, "poor")
        await say(running, "sad")
        assert await say(running, "poor", over=True) == ("held",)
        assert await say(running, "sad", over=True) == ()


async def test_a_rate_limit_is_over_when_its_time_is(autojump_clock: trio.testing.MockClock) -> None:
    async with open_tree(desk(60.0)) as running:
        running.ref("a").tell_nowait(Call())
        await trio.sleep(1)
        for over in (False, True):
            for kind in ("slow", "hot", "rate_limited"):
                assert await say(running, kind, over=over) == ("throttled",)
        await trio.sleep(58)
        assert running.ref("a").statistics().paused == ("throttled",)
        await trio.sleep(2)
        assert running.ref("a").statistics().paused == ()


async def test_of_two_throttles_the_longer_one_counts(autojump_clock: trio.testing.MockClock) -> None:
    async with open_tree(desk(60.0)) as running:
        running.ref("a").tell_nowait(Call())
        await trio.sleep(1)
        assert await say(running, "wet") == ("throttled",)  # for a second or so
        await trio.sleep(57)
        assert running.ref("a").statistics().paused == ("throttled",)
        await trio.sleep(3)
        assert running.ref("a").statistics().paused == ()


async def test_a_person_may_at_any_time(autojump_clock: trio.testing.MockClock) -> None:
    async with open_tree(desk()) as running:
        for kind in ("hot", "poor"):
            await say(running, kind)
        assert set(running.ref("a").statistics().paused) == {"throttled", "held"}
        running.resume("a")
        await trio.sleep(1)
        assert running.ref("a").statistics().paused == ()


async def test_what_a_person_is_asked_stays_to_be_read_until_it_is_answered(
    autojump_clock: trio.testing.MockClock,
) -> None:
    def note(running: Tree) -> str:
        return running.snapshot()[0].note

    async with open_tree(desk(5.0)) as running:
        await say(running, "poor")
        asked = note(running)
        assert asked.startswith("held: ")
        await say(running, "hot")
        assert note(running) == asked, "that it is throttled as well is not what somebody has to do something about"
        await trio.sleep(120)
        assert running.ref("a").statistics().paused == ("held",)
        assert note(running) == asked, "the throttle is over, and the question is not"
        running.resume("a")
        await trio.sleep(1)
        assert note(running) == ""
        running.ref("a").tell_nowait(Call())
        await trio.sleep(1)
        assert note(running).startswith("throttled for 5 s"), "from then on it says what it did before"


async def test_a_new_life_is_not_held_and_says_what_is_to_be_said(autojump_clock: trio.testing.MockClock) -> None:
    async with open_tree(desk(5.0)) as running:
        running.ref("a").tell_nowait(Fail())
        await trio.sleep(1)
        await say(running, "poor")
        await trio.sleep(10)
        assert running.ref("a").statistics().paused == ()
        assert running.snapshot()[0].note == ""
        running.ref("a").tell_nowait(Call())
        await trio.sleep(1)
        assert running.snapshot()[0].note.startswith("throttled for 5 s")


class Keeper(Agent[int]):
    state = 0

    def __init__(self, stopped: list[Exit]) -> None:
        self.stopped = stopped

    async def on_stop(self, exit: Exit) -> None:
        self.stopped.append(exit)

    @handles
    async def call(self, message: Call) -> None:
        await trio.sleep(2)
        self.state += 1


async def test_who_lives_when_a_person_resumes_it_is_stopped_and_has_not_failed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    stopped: list[Exit] = []
    async with open_tree(tree(child(Keeper, id="a", args={"stopped": stopped}), policy=table(RULES))) as running:
        await running.ref("a").tell(Call())
        await trio.sleep(1)
        await say(running, "poor")
        async with running.watch("a") as ends:
            running.resume("a", by="ada")
            end = await anext(ends)
        assert end.exit == Stopped("ada asked for resume")
        assert stopped == [end.exit], "on_stop has run"
        await trio.sleep(5)
        (now,) = running.snapshot()
        assert (now.incarnation, now.handled, now.restarts) == (2, 1, 1), "what it had in hand is handled, and once"
        assert await running.dead_letters("a") == ()
        assert now.state is SlotState.UP
        assert not now.held


async def test_who_does_not_end_for_a_person_within_its_grace_is_killed_and_begins_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    once = MailboxSpec(deliveries=1)
    keeper = child(Keeper, id="a", args={"stopped": []}, shutdown=Grace(1), mailbox=once)
    async with open_tree(tree(keeper, policy=table(RULES))) as running:
        await running.ref("a").tell(Call())
        await trio.testing.wait_all_tasks_blocked()
        running.resume("a", by="ada")
        await trio.sleep(5)
        (now,) = running.snapshot()
        assert (now.incarnation, now.handled) == (2, 1), "no attempt of it has failed: the next life has it"
        assert await running.dead_letters("a") == ()
