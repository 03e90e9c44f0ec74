"""What was kept for a handler whose process died is forgotten with it, or with its settle: nothing of it stays."""

from __future__ import annotations

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents import Agent, Request, handles
from treewarden.agents.core.path import Path
from treewarden.supervisor.common import Common
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.topologies import child

from .effects_desk import Processes, left, opened
from .effects_desk import processes as processes
from .trees import slot_of


@frozen
class Order:
    """Priced by somebody else, in the first delivery."""


@frozen
class Quote(Request[int]):
    """The same, asked from outside."""


@frozen
class Price(Request[int]): ...


class Clerk(Agent[int]):
    state = 0

    @handles
    def price(self, message: Price) -> int:
        self.state += 1
        return self.state


class Desk(Agent[int]):
    state = 0

    def __init__(self, priced: trio.Event) -> None:
        self.priced = priced

    @handles
    async def order(self, message: Order) -> None:
        if not self.priced.is_set():
            await self._price()
        self.state += 1

    @handles
    async def quote(self, message: Quote) -> int:
        return await self._price()

    async def _price(self) -> int:
        await self.ref("../clerk").ask(Price())
        self.priced.set()
        await trio.sleep_forever()
        return 0


def _no_time(_common: Common, _message: str) -> None:
    """What a process does that dies."""


@pytest.mark.parametrize("order", [["desk", "clerk"], ["clerk", "desk"]], ids=" ".join)
@pytest.mark.parametrize("by", ["told", "asked", "asked in a trace"])
async def test_a_process_died_behind_an_ask_of_a_handler(
    processes: Processes, by: str, order: list[str], monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    priced = trio.Event()
    kinds = {"desk": child(Desk, args={"priced": priced}, backoff=NO_BACKOFF), "clerk": child(Clerk)}
    children = [kinds[name] for name in order]
    with trio.CancelScope() as power:
        async with opened(*children, journal=processes()) as running, trio.open_nursery() as nursery:
            desk = running.ref("desk")
            if by == "told":
                await desk.tell(Order())
            elif by == "asked":
                nursery.start_soon(desk.ask, Quote())
            else:
                nursery.start_soon(desk.traced("order-17").ask, Quote())
            await priced.wait()
            monkeypatch.setattr(Common, "forget_replies", _no_time)
            power.cancel()
            await trio.sleep_forever()
    monkeypatch.undo()
    async with opened(*children, journal=processes()) as running:
        await trio.sleep(1)
        assert left(running) == 0
        assert slot_of(running, "desk").state == (by == "told")
        assert slot_of(running, "clerk").state == 1
    async with processes() as journal:
        assert (await journal.recover(Path("clerk"))).replies == ()
