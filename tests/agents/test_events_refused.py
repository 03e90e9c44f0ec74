"""What is no event, where nobody can wait for one, and what becomes of events that nobody waits for."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents import (
    VOLATILE,
    Agent,
    ConfigurationError,
    Done,
    Expired,
    Happened,
    MailboxSpec,
    NotHandled,
    Request,
    WaitExpired,
    handles,
)
from treewarden.agents.testing import run_handler
from treewarden.topologies import child, open_tree, tree

from .effects_desk import Processes, left, opened
from .effects_desk import processes as processes
from .events_desk import Got, Order, Shipped, desk, got, kept
from .waits_desk import parked


@frozen
class Ask(Request[None]):
    pass


class Whatever(Agent[None]):
    """Handles all that comes."""

    def __init__(self, log: list[Any]) -> None:
        self.log = log

    @handles
    async def come(self, message: object) -> None:
        self.log.append(message)


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 101, 7], ids=["none", "blank", "lines", "long", "number"])
async def test_an_event_has_a_name(name: Any) -> None:
    with pytest.raises(ValueError, match="give a name of at most 100 characters"):
        Happened(name)

    class Waits(Agent[None]):
        @handles
        async def order(self, message: Order) -> None:
            await self.wait_event(name)

    run = await run_handler(Waits(), Order())
    assert isinstance(run.error, ConfigurationError)
    assert "give a name of at most 100 characters" in str(run.error)


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"returns": Any}, "say what it is"),
        ({"returns": object()}, ""),
        ({"until": math.nan}, "give a datetime with a zone"),
        ({"name": "two words"}, "give letters, digits and _"),
    ],
    ids=["any", "no type", "no time", "no name"],
)
async def test_what_cannot_be_waited_for(
    options: dict[str, Any], remedy: str, processes: Processes, autojump_clock: MockClock
) -> None:
    errors = list[ConfigurationError]()

    class Waits(Agent[None]):
        @handles
        async def order(self, message: Order) -> None:
            try:
                await self.wait_event("shipped", **options)
            except ConfigurationError as error:
                errors.append(error)

    async with opened(child(Waits, id="desk"), journal=processes()) as running:
        await running.ref("desk").tell(Order())
        await trio.sleep(1)
        (error,) = errors
        assert str(error).startswith("desk: wait_event")
        assert remedy in str(error)
        assert (await running.waits(), left(running)) == ((), 0)


def test_nobody_else_handles_them() -> None:
    with pytest.raises(ConfigurationError, match=r"Mine.come: Happened ends a wait_event, and no handler gets it"):

        class Mine(Agent[None]):  # pyright: ignore[reportUnusedClass]
            @handles
            async def come(self, message: Happened | int) -> None: ...


async def test_one_who_handles_all_gets_none_of_them(processes: Processes, autojump_clock: MockClock) -> None:
    log = list[Any]()
    async with opened(child(Whatever, id="desk", args={"log": log}), journal=processes()) as running:
        await running.ref("desk").tell(Happened("shipped"))
        await trio.sleep(1)
        assert (log, kept(running)) == ([], ["shipped"])
        with pytest.raises(ConfigurationError):
            await running.ref("desk").ask(Happened("shipped"))


async def test_an_agent_in_memory_takes_none(autojump_clock: MockClock) -> None:
    log = list[Any]()
    volatile = MailboxSpec(durability=VOLATILE)
    asked = child(Whatever, id="all", args={"log": log}, mailbox=volatile)
    async with open_tree(tree(desk(durability=VOLATILE), asked)) as running:
        with pytest.raises(NotHandled, match="give its mailbox the durability 'message'"):
            await running.ref("desk").tell(Happened("shipped"))
        await running.ref("all").tell(Happened("shipped"))
        await trio.sleep(1)
        assert log == [Happened("shipped")], "who handles all gets that, too"


async def test_a_value_that_is_no_json_is_refused(processes: Processes, autojump_clock: MockClock) -> None:
    async with opened(desk(), journal=processes()) as running:
        with pytest.raises(ConfigurationError, match="value"):
            await running.ref("desk").tell(Happened("shipped", {1, 2}))
        assert left(running) == 0


async def test_the_oldest_of_too_many_is_a_dead_letter(processes: Processes, autojump_clock: MockClock) -> None:
    async with opened(desk(), journal=processes()) as running:
        for number in range(1003):
            await running.ref("desk").tell(Happened(f"e{number}"))
        await trio.sleep(1)
        letters = [each.reason for each in reversed(await running.dead_letters())]
        assert letters == [f"nobody waited for 'e{n}', and 1,000 later events wait" for n in range(3)]
        assert kept(running) == [f"e{number}" for number in range(3, 1003)]
    async with opened(desk(), journal=processes()) as running:
        await trio.sleep(1)
        assert (len(kept(running)), len(await running.dead_letters())) == (1000, 3)


async def test_a_slot_that_ends_for_good_makes_dead_letters(processes: Processes, autojump_clock: MockClock) -> None:
    async with opened(desk(), journal=processes()) as running:
        await running.ref("desk").tell(Order())
        await running.ref("desk").tell(Happened("paid"))
        await trio.sleep(1)
        await running.supervisor().terminate_child("desk")
        event, waited = await running.dead_letters()
        assert waited.reason.endswith("; it waited for 'shipped'")
        assert (event.kind.endswith(":Happened"), event.body) == (True, '{"event":"paid","value":null}')
        await running.supervisor().restart_child("desk")
        await running.replay(event.id)
        await running.replay(waited.id)
        await running.ref("desk").tell(Happened("shipped", {"by": "ups"}))
        await trio.sleep(1)
        assert (got(running), kept(running), left(running)) == (((1, "ups"),), ["paid"], 0)


async def test_a_drain_leaves_them_where_they_are(processes: Processes, autojump_clock: MockClock) -> None:
    async with opened(desk(), journal=processes()) as running:
        await running.ref("desk").tell(Order())
        await running.ref("desk").tell(Happened("paid"))
        drained = await running.drain("desk")
        assert (drained.complete, trio.current_time() < 1, parked(running)) == (True, True, 1)
        await running.supervisor().restart_child("desk")
        await running.ref("desk").tell(Happened("shipped", {"by": "ups"}))
        await trio.sleep(1)
        assert (got(running), kept(running)) == (((1, "ups"),), ["paid"])


async def test_a_restart_in_between_keeps_them(processes: Processes, autojump_clock: MockClock) -> None:
    async with opened(desk(), journal=processes()) as running:
        await running.ref("desk").tell(Order(1))
        await running.ref("desk").tell(Order(2, "paid", fails=1))
        await running.ref("desk").tell(Happened("delivered", {"by": "kept"}))
        await trio.sleep(1)
        await running.ref("desk").tell(Happened("paid", {"by": "visa"}))
        await running.ref("desk").tell(Happened("shipped", {"by": "ups"}))
        await running.ref("desk").tell(Order(3, "delivered"))
        await trio.sleep(5)
        assert sorted(got(running)) == [(1, "ups"), (2, "visa"), (3, "kept")]
        assert (left(running), parked(running), kept(running)) == (0, 0, [])


class Plain(Agent[Got]):
    state = Got()

    @handles
    async def order(self, message: Order) -> None:
        came = await self.wait_event(message.event, returns=Shipped, until=5.0, name="parcel")
        self.state = Got(((message.number, came.by),))


async def test_run_handler_parks_it_and_goes_on() -> None:
    run = await run_handler(Plain(), Order())
    assert run.parked is not None
    assert (run.parked.name, run.parked.what, run.parked.about, run.parked.until) == (
        "parcel", "event", "shipped", 5.0,
    )  # fmt: skip
    assert (await run_handler(Plain(), Order(), waits={"parcel": None})).parked is not None
    done = await run_handler(Plain(), Order(), waits={"parcel": Done(Shipped("dhl"))})
    assert (done.parked, done.state) == (None, Got(((1, "dhl"),)))
    late = await run_handler(Plain(), Order(), waits={"parcel": Expired(5.0)})
    assert isinstance(late.error, WaitExpired)
    assert (late.error.event, late.error.path, late.state) == ("shipped", "agent", Got())
    told = await run_handler(Plain(), Happened("shipped"))
    assert (told.error, told.state) == (None, Got())
