"""Calls that cannot work say what to give instead; errors say truly whether it is safe to try again."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path as File
from typing import Any

import pytest
import trio
import trio.testing
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability, MailboxSpec, Overflow
from treewarden.agents.core.message import Priority, Request
from treewarden.agents.errors import (
    AgentStopped,
    AskTimeout,
    ConfigurationError,
    DeliveryError,
    NotHandled,
    Stash,
    Stop,
)
from treewarden.topologies.child import child
from treewarden.topologies.gather import gather
from treewarden.topologies.open import open_tree
from treewarden.topologies.partition import partitions
from treewarden.topologies.pool import pool
from treewarden.topologies.portal import open_portal
from treewarden.topologies.topic import topic
from treewarden.topologies.tree import tree

from .trees import Add, Counter, Gate, Held, Total, kept, opened, volatile


@frozen
class Keyless:
    pass


@frozen
class Other:
    pass


class Keyed(Agent[None]):
    """Takes what has a key and what has none."""

    def __init__(self, got: list[object]) -> None:
        self.got = got

    @handles
    def add(self, message: Add) -> None:
        self.got.append(message)

    @handles
    def keyless(self, message: Keyless) -> None:
        self.got.append(message)


class All(Keyed):
    @handles
    def other(self, message: Other) -> None:
        self.got.append(message)


# -- limits that are none


def repr_of(within: object) -> str:
    return repr(within)[:20]


@pytest.mark.parametrize("durability", [VOLATILE, MESSAGE], ids=["in memory", "on disk"])
@pytest.mark.parametrize("within", [None, "5", math.nan, -math.inf, 1j, 10**400], ids=repr_of)
async def test_a_limit_that_is_no_number_of_seconds(
    durability: Durability, within: Any, autojump_clock: MockClock
) -> None:
    gate = Gate(shut=True)
    mailbox = MailboxSpec(capacity=1, durability=durability)
    counter = child(Counter, mailbox=mailbox, args={"gate": gate})
    prices = topic("../counter", id="prices")
    async with opened(counter, prices) as running:
        ref = running.ref("counter")
        ways: list[Callable[[], Any]] = [
            lambda: ref.ask(Total(), within=within),
            lambda: running.ref("prices").tell(Add(), within=within),
            lambda: gather([ref], Total(), within=within),
            lambda: running.drain("counter", within=within),
        ]
        if durability == MESSAGE:
            ways.append(lambda: ref.tell(Add(), priority=Priority.HIGH, within=within))
        for way in ways:
            with pytest.raises(ConfigurationError, match="within is"):
                await way()
        await ref.tell(Held())
        await trio.testing.wait_all_tasks_blocked()
        await ref.tell(Add())
        for late in (lambda: ref.tell(Add(), within=within), lambda: ref.ask(Total(), within=within)):
            with pytest.raises(ConfigurationError, match=r"counter: within is .*; give seconds, or math.inf"):
                await late()
        assert ref.statistics().depth == 1
        gate.open()


class Setting(Agent[None]):
    def __init__(self, seconds: Any) -> None:
        self.seconds = seconds

    @handles
    async def held(self, message: Held) -> str:
        try:
            self.after(self.seconds, message)
        except ConfigurationError as error:
            return str(error)
        return ""


@pytest.mark.parametrize("within", [1e300, 1e307, 1.7e308, math.inf])
async def test_a_limit_that_never_comes(within: float, autojump_clock: MockClock) -> None:
    gate = Gate(shut=True)
    mailbox = MailboxSpec(capacity=1, durability=VOLATILE)
    async with opened(child(Counter, mailbox=mailbox, args={"gate": gate})) as running, trio.open_nursery() as nursery:
        ref = running.ref("counter")
        await ref.tell(Held())
        await trio.testing.wait_all_tasks_blocked()
        await ref.tell(Add(2))
        nursery.start_soon(lambda: ref.tell(Add(3), within=within))
        await trio.testing.wait_all_tasks_blocked()

        async def open_late() -> None:
            await trio.sleep(1_000)
            gate.open()

        nursery.start_soon(open_late)
        assert await ref.ask(Total(), within=within) == 5


@pytest.mark.parametrize("seconds", [None, "5", math.nan, -1, True])
async def test_a_timer_that_is_none_says_why(seconds: Any, autojump_clock: MockClock) -> None:
    async with opened(volatile(Setting, args={"seconds": seconds})) as running:
        told = await running.ref("setting").ask(Held())
        assert told == f"setting: after: {seconds!r} is no delay; give a finite number of seconds, 0 or more"


# -- messages that a router cannot choose by


async def test_a_message_without_the_key_is_refused_as_what_nobody_handles(autojump_clock: MockClock) -> None:
    got: list[object] = []
    keyed = pool(volatile(Keyed, args={"got": got}), 2, "by_key", id="keyed", key="amount")
    parts = partitions(tree(volatile(Keyed, id="book", args={"got": got}), id="part"), 2, key="amount", entry="book")
    async with opened(keyed, parts) as running:
        for path in ("keyed", "part"):
            ref = running.ref(path)
            for way in (lambda ref=ref: ref.tell_nowait(Keyless()), lambda ref=ref: ref.tell_nowait(Add(1.5))):  # type: ignore[arg-type]
                with pytest.raises(NotHandled, match=f"{path}: .*(by which the pool|a pool chooses by)") as refused:
                    way()
                assert refused.value.retry_safe
        assert got == []


async def test_a_pool_that_cannot_choose_keeps_a_publication_from_nobody_else(autojump_clock: MockClock) -> None:
    got: list[object] = []
    keyed = pool(volatile(Keyed, args={"got": []}), 2, "by_key", id="keyed", key="amount")
    prices = topic(volatile(All, id="all", args={"got": got}), keyed, id="prices")
    async with opened(prices) as running:
        with pytest.raises(DeliveryError, match=r"prices: 1 of 2 .* prices/keyed: Keyless has no 'amount'"):
            await running.ref("prices").tell(Keyless())
        await running.ref("prices").tell(Other())  # nobody in the pool handles it, so it is not asked
        await trio.testing.wait_all_tasks_blocked()
        assert got == [Keyless(), Other()]


# -- subscribers that are none


async def test_a_subscriber_may_be_named_by_its_path(autojump_clock: MockClock) -> None:
    async with opened(volatile(Counter), topic(id="prices")) as running:
        prices = running.ref("prices")
        prices.subscribe("/counter", overflow="wait")  # type: ignore[arg-type]  # as it stands in a file
        await prices.tell(Add(3))
        assert await running.ref("counter").ask(Total()) == 3
        assert prices.unsubscribe("counter")
        assert not prices.unsubscribe("counter")


@pytest.mark.parametrize("named", ["a b", 7, None])
async def test_a_subscriber_that_is_none_breaks_no_publication(named: Any, autojump_clock: MockClock) -> None:
    async with opened(volatile(Counter), topic("../counter", id="prices")) as running:
        prices = running.ref("prices")
        with pytest.raises(ConfigurationError, match=r"prices: .* names no subscriber; give a ref, or a path from the"):
            prices.subscribe(named)
        with pytest.raises(ConfigurationError, match="prices: overflow is 'away'; take one of wait, "):
            prices.subscribe("counter", overflow="away")  # type: ignore[arg-type]
        await prices.tell(Add())
        assert await running.ref("counter").ask(Total()) == 1
        assert Overflow.WAIT == "wait"


# -- asks that were put aside


class Later(Agent[None]):
    @handles
    async def held(self, message: Held) -> str:
        raise Stash


@pytest.mark.parametrize("route", [None, "shared"])
async def test_an_ask_that_was_put_aside_says_so(route: Any, autojump_clock: MockClock) -> None:
    later = volatile(Later)
    async with opened(later if route is None else pool(later, 2, route, id="later")) as running:
        with pytest.raises(AskTimeout, match="later: no reply to Held within 1 s: it was put aside"):
            await running.ref("later").ask(Held(), within=1)


# -- whether it is safe to ask again


class Ending(Counter):
    @handles
    async def held(self, message: Held) -> str:
        self.state = type(self.state)(total=7)
        if message.text == "stop":
            raise Stop
        return await super().held(message)


@pytest.mark.parametrize("durability", [VOLATILE, MESSAGE], ids=["in memory", "on disk"])
async def test_an_ask_whose_handler_has_settled_is_not_safe_to_ask_again(
    durability: Durability, autojump_clock: MockClock
) -> None:
    async with opened(kept(Ending, durability, id="ending")) as running:
        with pytest.raises(AgentStopped, match="it ended while it handled this ask") as ended:
            await running.ref("ending").ask(Held("stop"))
        assert not ended.value.retry_safe
        assert await running.ref("ending").ask(Total()) == 7


async def test_an_ask_whose_handler_was_stopped_is_not_safe_to_ask_again(autojump_clock: MockClock) -> None:
    gate = Gate(shut=True)
    async with opened(volatile(Counter, args={"gate": gate})) as running, trio.open_nursery() as nursery:

        async def ask(message: Request[Any], *, safe: bool) -> None:
            with pytest.raises(DeliveryError) as ended:
                await running.ref("counter").ask(message, within=60)
            assert ended.value.retry_safe == safe, str(ended.value)

        nursery.start_soon(lambda: ask(Held(), safe=False))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(lambda: ask(Total(), safe=True))
        await trio.testing.wait_all_tasks_blocked()
        await running.supervisor().terminate_child("counter")


async def test_a_call_that_a_closed_portal_has_begun_is_not_safe_to_make_again() -> None:
    gate = Gate(shut=True)
    async with opened(volatile(Counter, args={"gate": gate})) as running:
        async with open_portal(running) as portal:
            begun = portal.ask_soon("counter", Held())
            await trio.testing.wait_all_tasks_blocked()
            portal.close()
            late = portal.ask_soon("counter", Total())
            await trio.testing.wait_all_tasks_blocked()
        errors = [future.exception(timeout=0) for future in (begun, late)]
        assert [error.retry_safe for error in errors if isinstance(error, AgentStopped)] == [False, True]
        gate.open()


# -- what cannot be said inside of a handler


@frozen
class Told(Request[str]):
    pass


class Says(Agent[int]):
    """Calls what it is told, and goes on; the error is what it replies with next."""

    state = 0

    def __init__(self, calls: list[Callable[[Any], Any]]) -> None:
        self.calls = calls
        self.told = "nothing was refused"

    @handles
    async def add(self, message: Add) -> None:
        try:
            result = self.calls[0](self)
            if result is not None:
                await result
        except ConfigurationError as error:
            self.told = str(error)
        self.state += 1

    @handles
    def tally(self, message: Told) -> str:
        return self.told


REFUSED: list[tuple[Callable[[Any], Any], str]] = [
    (
        lambda self: self.stash(),
        "stash() names no type of messages; name those to put aside as they come, or raise Stash",
    ),
    (lambda self: self.stash("Add"), "'Add' is no type of messages; stash takes classes"),
    (lambda self: self.stash(list[int]), "list[int] is no type of messages; stash takes classes"),
    (lambda self: self.after(10**400, Add(1)), "after: 1000000000000000"),
    (lambda self: self.after(1, Add(1), every=10**400), "after: its period is 1000000000000000"),
    (lambda self: self.after(1, Add(1), every=5e-324), "give a positive number of seconds, a nanosecond or more"),
    (lambda self: self.checkpoint(description="\ud800"), "it must be a text, without half a character"),
    (lambda self: self.checkpoint(tags="stable"), "tags are 'stable'; give several texts"),
    (lambda self: self.checkpoint(tags=5), "tags are 5; give several texts"),
    (lambda self: self.ref(None), "None is no path; give a text"),
    (lambda self: self.ref(["../b"]), "['../b'] is no path; give a text"),
    (lambda self: self.watch(5), "5 is no path; give a text"),
    (lambda self: self.forward(None), "None is no path; give a text"),
]


@pytest.mark.parametrize(("call", "text"), REFUSED)
async def test_what_cannot_be_is_refused_where_it_is_said(
    call: Callable[[Any], Any], text: str, tmp_path: File
) -> None:
    """Later it would cost the message that is taken then, or the settle."""
    spec = child(Says, id="a", args={"calls": [call]}, mailbox=MailboxSpec(durability=MESSAGE))
    async with open_tree(tree(spec), journal=tmp_path / "a.db") as running:
        await running.ref("a").tell(Add(1))
        assert text in await running.ref("a").ask(Told())
        assert running.snapshot()[0].incarnation == 1
