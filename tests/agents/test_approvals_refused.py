"""What cannot be asked of a person; and what a test says of one."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents import (
    Agent,
    Approved,
    ConfigurationError,
    Done,
    Expired,
    Request,
    handles,
)
from treewarden.agents.testing import run_handler
from treewarden.supervisor.approvals import what_is_shown
from treewarden.topologies import child

from .approvals_desk import Desk, Pay, left, opened
from .approvals_desk import processes as processes


async def test_a_test_says_what_a_person_said() -> None:
    log = list[Any]()
    run = await run_handler(Desk(log, {}), Pay())
    assert run.parked is not None
    assert (run.parked.name, run.parked.what, run.state) == ("pay", "approval", ())
    again = await run_handler(Desk(log, {}), Pay(), waits={"pay": Approved("ada")})
    assert (again.parked, again.state) == (None, (Approved("ada"),))
    late = await run_handler(Desk(log, {}), Pay(), waits={"pay": Expired(5.0)})
    assert late.state == (Expired(5.0),)
    still = await run_handler(Desk(log, {}), Pay(), waits={"pay": None})
    assert still.parked is not None
    assert still.parked.about == run.parked.about == {"to": "bob", "cents": 500}
    assert len(log) == 2


@pytest.mark.parametrize("said", ["yes", True, Approved])
async def test_what_no_delivery_leaves_is_refused(said: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"waits\['pay'\] is .*; give Done\(None\) if it is over"):
        await run_handler(Desk([], {}), Pay(), waits={"pay": said})
    with pytest.raises(ConfigurationError, match=r"effects\['pay'\] is .*; give Done\(value\), or None"):
        await run_handler(Desk([], {}), Pay(), effects={"pay": said})


async def test_an_approval_is_not_only_over() -> None:
    run = await run_handler(Desk([], {}), Pay(), waits={"pay": Done(True)})
    assert isinstance(run.error, ConfigurationError)
    assert "agent: approval('pay'): waits says Done(value=True) of it; say how it has ended" in str(run.error)


@frozen
class Order(Request[str]):
    pass


@frozen
class Ask:
    about: Any = None
    within: Any = 100.0
    subject: Any = ""
    name: Any = "pay"


class Odd(Agent[None]):
    @handles
    async def ask(self, message: Ask) -> None:
        await self.approval(message.name, about=message.about, within=message.within, subject=message.subject)

    @handles
    async def order(self, message: Order) -> str:
        return str(await self.approval("pay", about=1))


class Thing:
    pass


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (Ask(1, within=0), "within is 0; give the seconds"),
        (Ask(1, subject=5), "subject is 5; it must be a text"),
        (Ask(1, name="a b"), "'a b'"),
        (Order(), "an ask is in hand"),
    ],
    ids=["within", "subject", "name", "ask"],
)
async def test_what_cannot_be_asked(message: Any, text: str) -> None:
    run = await run_handler(Odd(), message)
    assert isinstance(run.error, ConfigurationError)
    assert text in str(run.error)


@pytest.mark.parametrize(
    ("about", "text"),
    [
        (Thing(), "Thing"),
        ({"a": (1, 2)}, "what is to be approved cannot be stored: "),
        ({1: 2}, "what is to be approved cannot be stored: "),
        (float("nan"), "what is to be approved cannot be stored: "),
        ("x" * 20_000, "has 20,002 characters as JSON, and a person is to read it: give at most 20,000"),
    ],
    ids=["class", "tuple", "numbers", "nan", "long"],
)
async def test_what_nobody_can_be_shown(about: Any, text: str, autojump_clock: MockClock) -> None:
    with pytest.raises(ConfigurationError, match=text):
        what_is_shown(about)
    said: list[str] = []

    class Catches(Agent[None]):
        @handles
        async def pay(self, message: Pay) -> None:
            try:
                await self.approval("pay", about=about)
            except ConfigurationError as error:
                said.append(str(error))

    async with opened(child(Catches, id="desk")) as running:
        await running.ref("desk").tell(Pay())
        await trio.sleep(1)
        assert await running.waits() == ()
        assert said[0].startswith("desk: approval('pay'): ")
        assert left(running) == 0


def test_what_a_person_is_shown() -> None:
    assert what_is_shown({"b": 1, "a": [None]})[:2] == ("data", {"a": [None], "b": 1})
    assert what_is_shown({"b": 1, "a": 2}) == what_is_shown({"a": 2, "b": 1}), "whatever the order is"
    kind, data, digest = what_is_shown(Pay("bob", 5))
    assert kind.endswith("approvals_desk:Pay")
    assert data["cents"] == 5
    others = [what_is_shown(each)[2] for each in (Pay("bob", 50), data, [5], "5", 5, None, True, 1.0)]
    assert len({digest, *others}) == 9
