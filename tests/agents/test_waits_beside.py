"""What a handler that is unwound leaves: all that is no part of a settle, and comes anew when it runs again."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents import VOLATILE, Agent, MailboxSpec, Request, handles
from treewarden.supervisor.core.event import SignalNoted
from treewarden.topologies import child

from .trees import happened
from .waits_desk import opened


@frozen
class Go:
    what: str


@frozen
class Due:
    pass


@frozen
class Price(Request[int]):
    pass


class Desk(Agent[int]):
    state = 0

    def __init__(self, log: list[Any]) -> None:
        self.log = log

    @handles
    async def go(self, message: Go) -> None:
        match message.what:
            case "timer":
                self.after(2, Due())
            case "helper":
                self.start_soon(self.help)
            case "signal":
                self.signal("slow", 0.5)
            case "ask":
                await self.ref("../shop").ask(Price())
            case _:
                await self.ref("../store").ask(Price())
        await self.sleep_until(10.0)
        self.log.append("gone on")

    @handles
    def due(self, message: Due) -> None:
        self.log.append("due")

    async def help(self) -> None:
        self.log.append("helped")


class Shop(Agent[int]):
    state = 0

    def __init__(self, log: list[Any]) -> None:
        self.log = log

    @handles
    def price(self, message: Price) -> int:
        self.log.append("asked")
        return 5


@pytest.mark.parametrize(
    ("what", "left"),
    [
        ("timer", ["due", "gone on", "due"]),
        ("helper", ["helped", "gone on", "helped"]),
        ("signal", ["gone on"]),
        ("ask", ["asked", "asked", "gone on"]),
        ("durable ask", ["asked", "gone on"]),
    ],
)
async def test_it_comes_again(what: str, left: list[str], autojump_clock: MockClock) -> None:
    log = list[Any]()
    shop = child(Shop, id="shop", args={"log": log}, mailbox=MailboxSpec(durability=VOLATILE))
    store = child(Shop, id="store", args={"log": log})
    async with opened(child(Desk, args={"log": log}), shop, store) as running:
        await running.ref("desk").tell(Go(what))
        await trio.sleep(20)
        assert sorted(log) == sorted(left)
        if what == "signal":
            assert len(await happened(running, SignalNoted, 2)) == 2
