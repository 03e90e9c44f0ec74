"""Agents that misbehave where only some of them can: in a tick, in a timer, at once for an asker, at a shared queue."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, every, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability, MailboxSpec, Overflow
from treewarden.agents.core.exit import leaves
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AgentFailed, AgentStopped, AskTimeout, MailboxFull
from treewarden.supervisor.core.event import ChildEnded
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.spec import NO_BACKOFF, Intensity
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.running import Tree
from treewarden.topologies.topic import topic
from treewarden.topologies.tree import tree

CLOCK = trio.testing.MockClock
OFTEN = Intensity(100, 1)


class Odd(BaseException):
    pass


@frozen
class Hit:
    pass


@frozen
class Knock(Request[str]):
    pass


@frozen
class Dig:
    seconds: float = 30.0


@frozen
class Seen(Request[tuple[str, ...]]):
    pass


class Once:
    """Raises what it was given the first time; in a plain function no `Cancelled` can be raised by hand."""

    def __init__(self, error: BaseException) -> None:
        self.left = [error]

    def __call__(self) -> None:
        if self.left:
            raise self.left.pop()


class Later:
    """Lets the body of the first life go by."""

    def __init__(self, once: Callable[[], None]) -> None:
        self.once = once
        self.passed = 0

    def __call__(self) -> None:
        self.passed += 1
        if self.passed > 1:
            self.once()


class Unreadable(Exception):
    """What trio, which puts exceptions into words where they leave a nursery, would break on."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not to be compared")


class Bad(Agent[tuple[str, ...]]):
    state = ()

    def __init__(self, once: Callable[[], None]) -> None:
        self.once = once

    @handles
    def hit(self, message: Hit) -> None:
        self.once()

    @handles
    def knock(self, message: Knock) -> str:
        self.once()
        return "come in"


class Ticking(Bad):
    @every(1000)
    def tick(self) -> None:
        self.once()


class Bodied(Bad):
    async def run(self) -> None:
        self.once()
        await trio.sleep_forever()


class Helped(Bad):
    @handles
    async def hit(self, message: Hit) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        async def help() -> None:
            self.once()

        self.start_soon(help)
        await trio.sleep(1)


class Timed(Bad):
    async def on_start(self) -> None:
        self.after(1, Hit())


def in_memory(agent: Any, once: Callable[[], None]) -> Any:
    mailbox = MailboxSpec(durability=VOLATILE)
    return child(agent, id="bad", args={"once": once}, mailbox=mailbox, backoff=NO_BACKOFF)


def shared(once: Callable[[], None]) -> Any:
    return pool(in_memory(Bad, once), size=1, route="shared", restarts=OFTEN)


async def hit(running: Tree) -> None:
    await running.ref("bad").tell(Hit())


async def knock(running: Tree) -> None:
    with pytest.raises(AgentFailed):
        await running.ref("bad").ask(Knock())


async def wait(_running: Tree) -> None:
    """It comes by itself."""


PLACES: dict[str, tuple[Callable[[Callable[[], None]], Any], Callable[[Tree], Any]]] = {
    "a plain handler": (lambda once: in_memory(Bad, once), hit),
    "at once, for an asker": (lambda once: in_memory(Bad, once), knock),
    "a body": (lambda once: in_memory(Bodied, once), wait),
    "a handler beside a body": (lambda once: in_memory(Bodied, Later(once)), hit),
    "a helper": (lambda once: in_memory(Helped, once), hit),
    "a tick": (lambda once: in_memory(Ticking, once), wait),
    "a timer": (lambda once: in_memory(Timed, once), wait),
    "a shared queue": (lambda once: pool(in_memory(Bad, once), size=1, route="shared", restarts=OFTEN), hit),
    "an ask of a shared queue": (
        lambda once: pool(in_memory(Bad, once), size=1, route="shared", restarts=OFTEN),
        knock,
    ),
}

ERRORS: dict[str, Callable[[], BaseException]] = {
    "an exception": lambda: RuntimeError("plain"),
    "a BaseException": lambda: Odd("odd"),
    "a group": lambda: ExceptionGroup("two", [OSError("a"), KeyError("b")]),
    "one that cannot be read": Unreadable,
    "a group with one that cannot be read": lambda: ExceptionGroup("two", [OSError("a"), Unreadable()]),
    "StopAsyncIteration": StopAsyncIteration,
    "GeneratorExit": GeneratorExit,
    "a group of BaseExceptions": lambda: BaseExceptionGroup("odd ones", [Odd("a"), Odd("b")]),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("error", ERRORS)
async def test_whatever_is_raised_ends_that_agent_alone(autojump_clock: CLOCK, place: str, error: str) -> None:
    make, script = PLACES[place]
    journal = MemoryJournal()
    spec = tree(make(Once(ERRORS[error]())), in_memory_bystander(), restarts=OFTEN, policy=otp())
    async with open_tree(spec, journal=journal) as running:
        await trio.testing.wait_all_tasks_blocked()
        await script(running)
        await trio.sleep(5)
        ended = [r.event for r in await journal.read(limit=1000) if isinstance(r.event, ChildEnded)]
        assert [event.path for event in ended] == ["bad/0" if "queue" in place else "bad"]
        assert await running.ref("bad").ask(Knock()) == "come in"
        assert {str(slot.path): slot.incarnation for slot in running.snapshot()}["bystander"] == 1


def in_memory_bystander() -> Any:
    return child(Bad, id="bystander", args={"once": lambda: None}, mailbox=MailboxSpec(durability=VOLATILE))


@pytest.mark.parametrize("place", PLACES)
async def test_ctrl_c_there_ends_the_tree_and_comes_out_as_itself(autojump_clock: CLOCK, place: str) -> None:
    make, script = PLACES[place]
    journal = MemoryJournal()

    async def live() -> None:
        async with open_tree(tree(make(Once(KeyboardInterrupt())), policy=otp()), journal=journal) as running:
            await trio.testing.wait_all_tasks_blocked()
            if script is knock:
                await running.ref("bad").ask(Knock())
            else:
                await script(running)
            await trio.sleep(100)

    with pytest.raises(BaseException) as caught:  # noqa: PT011 (it may come alone or in a group)
        await live()
    assert any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves(caught.value))


# -- messages that nothing can be done with


class Untouchable:
    """What it is cannot be compared, hashed or put into words."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not to be compared")

    def __hash__(self) -> int:
        raise RuntimeError("not to be hashed")

    def __repr__(self) -> str:
        raise RuntimeError("not to be read")


class UntouchableAsk(Untouchable, Request[str]):
    pass


class Takes(Bad):
    @handles
    async def take(self, message: Untouchable) -> None:
        self.once()

    @handles
    async def answer(self, message: UntouchableAsk) -> str:
        await trio.sleep(1)
        self.once()
        return "well"


@pytest.mark.parametrize("overflow", list(Overflow))
async def test_a_message_need_not_be_more_than_handled(autojump_clock: CLOCK, overflow: Overflow) -> None:
    once = Once(RuntimeError("plain"))
    mailbox = MailboxSpec(capacity=1, overflow=overflow, durability=VOLATILE)
    takes = child(Takes, id="takes", args={"once": once}, mailbox=mailbox, backoff=NO_BACKOFF)
    async with open_tree(tree(takes, policy=otp(), restarts=OFTEN)) as running:
        ref = running.ref("takes")
        with pytest.raises(AskTimeout, match="UntouchableAsk"):
            await ref.ask(UntouchableAsk(), within=0.5)
        await trio.sleep(2)
        for _ in range(5):
            with suppress(MailboxFull):
                ref.tell_nowait(Untouchable())
        await trio.sleep(2)
        assert await ref.ask(UntouchableAsk(), within=5) == "well"
        assert {str(slot.path): slot.incarnation for slot in running.snapshot()} == {"takes": 2}


# -- zombies


class Stubborn(Agent[tuple[str, ...]]):
    """Shields itself from being cancelled, and does everything that it can think of afterwards."""

    state = ()

    def __init__(self, late: list[str]) -> None:
        self.late = late

    @handles
    async def dig(self, message: Dig) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(message.seconds)
            self.state = (*self.state, "late")
            for name, act in {
                "tell": lambda: self.ref("../other").tell(Hit()),
                "publish": lambda: self.ref("../news").tell(Hit()),
                "forward": lambda: self.forward("../other", Hit()),
                "timer": self._timer,
            }.items():
                try:
                    await act()
                except Exception as error:
                    self.late.append(f"{name}: {type(error).__name__}")
                else:
                    self.late.append(f"{name} went through")

    async def _timer(self) -> None:
        self.after(1, Dig())

    @handles
    def hit(self, message: Hit) -> None:
        self.state = (*self.state, "hit")

    @handles
    def seen(self, message: Seen) -> tuple[str, ...]:
        return self.state


class Other(Stubborn):
    pass


@pytest.mark.parametrize("durability", [VOLATILE, MESSAGE], ids=["volatile", "message"])
async def test_nothing_that_a_zombie_does_counts(autojump_clock: CLOCK, durability: Durability) -> None:
    late: list[str] = []
    mailbox = MailboxSpec(durability=durability, deliveries=1)
    digger = child(Stubborn, args={"late": late}, mailbox=mailbox, backoff=NO_BACKOFF)
    other = child(Other, args={"late": []}, mailbox=mailbox)
    async with open_tree(tree(other, topic("../other", id="news"), digger, policy=otp())) as running:
        await running.ref("stubborn").tell(Dig())
        await trio.sleep(1)
        assert running.kill("stubborn")
        await trio.sleep(5)
        assert running.zombies == ("stubborn",)
        await running.ref("stubborn").tell(Hit())
        await trio.sleep(100)
        assert late == [
            "tell: AgentStopped",
            "publish: AgentStopped",
            "forward: AgentStopped",
            "timer: AgentStopped",
        ]
        assert running.zombies == ()
        assert await running.ref("stubborn").ask(Seen()) == ("hit",)
        assert await running.ref("other").ask(Seen()) == ()


async def test_a_zombie_at_a_shared_queue_takes_nothing_more(autojump_clock: CLOCK) -> None:
    late: list[str] = []
    mailbox = MailboxSpec(durability=VOLATILE)
    digger = child(Stubborn, args={"late": late}, mailbox=mailbox, backoff=NO_BACKOFF)
    spec = tree(pool(digger, size=1, route="shared", restarts=OFTEN), policy=otp())
    async with open_tree(spec) as running:
        await running.ref("stubborn").tell(Dig())
        await trio.sleep(1)
        assert running.kill("stubborn/0")
        await trio.sleep(5)
        assert running.zombies == ("stubborn/0",)
        for _ in range(3):
            await running.ref("stubborn").tell(Hit())
        assert await running.ref("stubborn").ask(Seen()) == ("hit",) * 3
        await trio.sleep(100)
        assert await running.ref("stubborn").ask(Seen()) == ("hit",) * 3


async def test_an_ask_that_a_zombie_has_in_hand_is_answered_at_once(autojump_clock: CLOCK) -> None:
    class Digs(Stubborn):
        @handles
        async def knock(self, message: Knock) -> str:
            with trio.CancelScope(shield=True):
                await trio.sleep(30)
            return "much too late"

    digger = child(Digs, id="digs", args={"late": []}, mailbox=MailboxSpec(durability=VOLATILE))
    async with open_tree(tree(pool(digger, size=2, route="shared", restarts=OFTEN), policy=otp())) as running:
        begun = trio.current_time()

        async def ask() -> None:
            with pytest.raises((AgentFailed, AgentStopped)):
                await running.ref("digs").ask(Knock(), within=200)
            assert trio.current_time() - begun < 5

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            assert running.kill("digs/0")
            assert running.kill("digs/1")
