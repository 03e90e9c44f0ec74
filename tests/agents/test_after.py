"""Messages that an agent sets for itself: when they come, how often, and that they end with the incarnation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, every, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.agents.core.path import Path
from treewarden.agents.errors import AgentStopped, ConfigurationError, NotHandled, RateLimited
from treewarden.agents.slot import Slot
from treewarden.agents.testing import ManualClock
from treewarden.agents.ticks import Afters, Grid
from treewarden.supervisor.core.event import ChildEnded
from treewarden.topologies.child import child

from .trees import happened, opened

CLOCK = trio.testing.MockClock
LEVELS = pytest.mark.parametrize("durability", [VOLATILE, MESSAGE], ids=["volatile", "message"])


@frozen
class Do:
    """Run this with the agent, in its handler."""

    what: int


@frozen
class Ping:
    name: str = ""


@frozen
class Unhashable:
    items: list[int]


@frozen
class Seen(Request[tuple[tuple[str, float], ...]]):
    pass


class Timely(Agent[tuple[tuple[str, float], ...]]):
    """Runs what it is given, and keeps when which ping came."""

    state = ()
    todo: ClassVar[list[Callable[[Any], Any]]] = []

    @handles
    async def do(self, message: Do) -> None:
        result = Timely.todo[message.what](self)
        if result is not None:
            await result

    @handles
    async def ping(self, message: Ping) -> None:
        if message.name == "bad":
            raise RuntimeError("bad ping")
        self.state = (*self.state, (message.name, trio.current_time()))

    @handles
    def unhashable(self, message: Unhashable) -> None:
        self.state = (*self.state, ("unhashable", trio.current_time()))

    @handles
    def seen(self, message: Seen) -> tuple[tuple[str, float], ...]:
        return self.state


def timely(durability: Durability, *todo: Callable[[Any], Any]) -> Any:
    Timely.todo[:] = todo
    return opened(child(Timely, mailbox=MailboxSpec(durability=durability)))


@LEVELS
async def test_once_and_at_its_time(autojump_clock: CLOCK, durability: Durability) -> None:
    async with timely(durability, lambda self: self.after(5, Ping("a"))) as tree:
        start = trio.current_time()
        await tree.ref("timely").tell(Do(0))
        await trio.sleep(60)
        assert await tree.ref("timely").ask(Seen()) == (("a", start + 5),)


@LEVELS
async def test_repeated_on_a_grid_without_drift(autojump_clock: CLOCK, durability: Durability) -> None:
    async with timely(durability, lambda self: self.after(1, Ping("a"), every=10)) as tree:
        start = trio.current_time()
        await tree.ref("timely").tell(Do(0))
        await trio.sleep(45)
        assert [at - start for _, at in await tree.ref("timely").ask(Seen())] == [1, 11, 21, 31, 41]


def test_a_long_row_does_not_add_up_what_each_step_rounds_off() -> None:
    grid, seen = Grid(first=0.1, period=0.1), 0
    while seen < 100_000:
        grid.go_past(grid.due)
        seen += 1
    assert grid.due == pytest.approx(10_000.1, abs=1e-11)


async def test_what_comes_due_meanwhile_becomes_one(autojump_clock: CLOCK) -> None:
    async def slow(self: Timely) -> None:
        self.after(1, Ping("a"), every=1)
        await trio.sleep(10.5)

    async with timely(VOLATILE, slow) as tree:
        start = trio.current_time()
        await tree.ref("timely").tell(Do(0))
        await trio.sleep(12.8)
        assert [at - start for _, at in await tree.ref("timely").ask(Seen())] == [10.5, 11, 12]


async def test_set_again_it_replaces_what_was_set(autojump_clock: CLOCK) -> None:
    def twice(self: Timely) -> None:
        self.after(1, Ping("a"))
        self.after(2, Ping("a"))
        self.after(3, Ping("b"), key="b")
        self.after(4, Ping("c"), key="b")
        self.after(9, Ping("a"), key="another")

    async with timely(VOLATILE, twice) as tree:
        start = trio.current_time()
        await tree.ref("timely").tell(Do(0))
        await trio.sleep(60)
        found = [(name, at - start) for name, at in await tree.ref("timely").ask(Seen())]
        assert found == [("a", 2), ("c", 4), ("a", 9)]


async def test_called_off_it_does_not_come_even_if_it_is_due(autojump_clock: CLOCK) -> None:
    said: list[bool] = []

    async def off(self: Timely) -> None:
        self.after(1, Ping("a"), key="k")
        self.after(1, Ping("b"))
        self.after(1, Ping("c"), every=1)
        await trio.sleep(5)
        said.extend([self.call_off("k"), self.call_off("k"), self.call_off(Ping("b")), self.call_off(Ping("c"))])
        self.after(1, Ping("d"), key="k")

    async with timely(VOLATILE, off) as tree:
        start = trio.current_time()
        await tree.ref("timely").tell(Do(0))
        await trio.sleep(60)
        assert said == [True, False, True, True]
        assert await tree.ref("timely").ask(Seen()) == (("d", start + 6),)


@LEVELS
async def test_all_end_with_the_incarnation(autojump_clock: CLOCK, durability: Durability) -> None:
    def fail(_self: Timely) -> None:
        raise RuntimeError("no")

    async with timely(durability, lambda self: self.after(50, Ping("a"), every=1), fail) as tree:
        await tree.ref("timely").tell(Do(0))
        await tree.ref("timely").tell(Do(1))
        await trio.sleep(500)
        assert await tree.ref("timely").ask(Seen()) == ()


async def test_what_raises_in_it_is_named_and_does_not_come_again(autojump_clock: CLOCK) -> None:
    async with timely(MESSAGE, lambda self: self.after(1, Ping("bad"))) as tree:
        await tree.ref("timely").tell(Do(0))
        await trio.sleep(100)
        ended = await happened(tree, ChildEnded)
        assert [event.failure.message_kind for event in ended if event.failure is not None] == ["after:Ping"]
        assert tree.snapshot()[0].incarnation == 2


async def test_a_rate_limit_keeps_it(autojump_clock: CLOCK) -> None:
    class Limited(Timely):
        tries = 0

        @handles
        async def ping(self, message: Ping) -> None:
            self.tries += 1
            if self.tries == 1:
                raise RateLimited(7)
            await super().ping(message)

    Timely.todo[:] = [lambda self: self.after(1, Ping("a"))]
    async with opened(child(Limited, id="timely", mailbox=MailboxSpec(durability=VOLATILE))) as tree:
        await tree.ref("timely").tell(Do(0))
        await trio.sleep(100)
        seen = await tree.ref("timely").ask(Seen())
        assert [name for name, _ in seen] == ["a"]
        assert tree.snapshot()[0].incarnation == 1


async def test_it_goes_before_messages_and_takes_no_room(autojump_clock: CLOCK) -> None:
    async def busy(self: Timely) -> None:
        self.after(1, Ping("timer"))
        await trio.sleep(5)

    Timely.todo[:] = [busy]
    full = MailboxSpec(capacity=2, durability=VOLATILE)
    async with opened(child(Timely, mailbox=full)) as tree:
        ref = tree.ref("timely")
        await ref.tell(Do(0))
        await trio.sleep(0.5)
        await ref.tell(Ping("1"))
        await ref.tell(Ping("2"))
        await trio.sleep(30)
        assert [name for name, _ in await ref.ask(Seen())] == ["timer", "1", "2"]


async def test_from_on_start_a_helper_and_after_the_end(autojump_clock: CLOCK) -> None:
    kept: list[Timely] = []

    class Starts(Timely):
        async def on_start(self) -> None:
            kept.append(self)
            self.after(2, Ping("started"))
            self.start_soon(self.help)

        async def help(self) -> None:
            await trio.sleep(1)
            self.after(0, Ping("helped"))

    async with opened(child(Starts, id="timely")) as tree:
        await trio.sleep(10)
        assert [name for name, _ in await tree.ref("timely").ask(Seen())] == ["helped", "started"]
        tree.kill("timely")
        await trio.sleep(30)
        assert len(kept) == 2
        with pytest.raises(AgentStopped):
            kept[0].after(1, Ping("late"))


@pytest.mark.parametrize("change", ["called off", "set again", "ended"])
def test_what_was_set_before_the_life_goes_on_is_set_once(change: str) -> None:
    """What `on_start` has set: nothing of it is left to wake the agent for."""
    clock = ManualClock()
    slot = Slot(Path("timely"), MailboxSpec(durability=VOLATILE), clock.now, None)
    afters = Afters(slot, clock, clock)
    afters.set(1, Ping(), "ping", 1.0)
    afters.go_on()
    if change == "called off":
        assert afters.call_off("ping")
    elif change == "set again":
        afters.set(1000, Ping(), "ping", None)
    else:
        afters.silence()
    clock.advance(10)
    assert not slot.has_work


async def test_draining_lets_nothing_come_due(autojump_clock: CLOCK) -> None:
    def endless(self: Timely) -> None:
        self.after(0, Ping("a"), every=0.001)

    async with timely(VOLATILE, endless) as tree:
        await tree.ref("timely").tell(Do(0))
        await trio.sleep(0.01)
        assert (await tree.drain("timely", within=5)).complete


@pytest.mark.parametrize("cancelled", [False, True])
async def test_nor_does_it_for_a_life_that_begins_meanwhile(autojump_clock: CLOCK, cancelled: bool) -> None:
    """Whose `on_start` takes longer than the drain looks away; nor for one that sets its first timer then."""
    came: list[str] = []

    class Slow(Agent[None]):
        async def on_start(self) -> None:
            self.after(1, Ping("started"))
            await trio.sleep(2)
            self.period = 1.5

        @every("period")
        def tick(self) -> None:
            came.append("tick")

        @handles
        async def ping(self, message: Ping) -> None:
            came.append(message.name)
            if message.name == "told":
                await trio.sleep(3)
                self.after(0, Ping("set"))
                await trio.sleep(3)

    async with opened(child(Slow, id="slow"), child(Slow, id="sets")) as tree:
        tree.kill("slow")
        for id in ("slow", "sets"):
            await tree.ref(id).tell(Ping("told"))
        await trio.sleep(0.5)
        came.clear()
        with trio.move_on_after(5 if cancelled else 60) as limit:
            async with trio.open_nursery() as nursery:
                for id in ("slow", "sets"):
                    nursery.start_soon(tree.drain, id)
        assert limit.cancelled_caught == cancelled
        assert came == ["told"]
        if cancelled:
            await trio.sleep(5)
            assert came.count("set") == 2
            assert {"started", "tick"} < set(came)


async def test_a_drain_that_is_cancelled_lets_come_what_came_due(autojump_clock: CLOCK) -> None:
    async def slow(self: Timely) -> None:
        self.after(1, Ping("once"))
        self.after(1, Ping("often"), every=100)
        await trio.sleep(30)

    async with timely(VOLATILE, slow) as tree:
        await tree.ref("timely").tell(Do(0))
        with trio.move_on_after(5):
            await tree.drain("timely", within=20)
        await trio.sleep(60)
        assert sorted(name for name, _ in await tree.ref("timely").ask(Seen())) == ["often", "once"]


@pytest.mark.parametrize(
    ("seconds", "message", "every", "error", "text"),
    [
        (-1, Ping(), None, ConfigurationError, "-1 is no delay"),
        (float("inf"), Ping(), None, ConfigurationError, "inf is no delay"),
        (True, Ping(), None, ConfigurationError, "True is no delay"),
        (1, Ping(), 0, ConfigurationError, "timely: after"),
        (1, "text", None, NotHandled, "does not handle str"),
        (1, Unhashable([1]), None, ConfigurationError, "hashable"),
    ],
)
async def test_what_cannot_be_set_is_refused(
    autojump_clock: CLOCK, seconds: float, message: object, every: float | None, error: type[Exception], text: str
) -> None:
    found: list[Exception] = []

    def attempt(self: Timely) -> None:
        try:
            self.after(seconds, message, every=every)
        except Exception as raised:
            found.append(raised)

    def keyed(self: Timely) -> None:
        self.after(1, Unhashable([1]), key="u")

    async with timely(VOLATILE, attempt, keyed) as tree:
        await tree.ref("timely").tell(Do(0))
        await tree.ref("timely").tell(Do(1))
        await trio.sleep(5)
        assert isinstance(found[0], error)
        assert text in str(found[0])
        assert [name for name, _ in await tree.ref("timely").ask(Seen())] == ["unhashable"]
