"""Where an effect has no place, and a disk that does not take one."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents import (
    VOLATILE,
    Agent,
    Checkpointed,
    ConfigurationError,
    Durability,
    MailboxSpec,
    every,
    handles,
)
from treewarden.supervisor.core.event import EffectNoted
from treewarden.topologies import child

from .effects_desk import Bank, Order, Paid, Pay, desk, left, opened
from .trees import Disk, happened, slot_of


class Refused(Agent[int]):
    """Where an effect has no place."""

    state = 0

    def __init__(self, said: list[str], where: str) -> None:
        self.said = said
        self.where = where

    async def act(self, call: Any = None, **options: Any) -> Any:
        async def plain(key: str) -> int:
            self.said.append("it ran")
            return 1

        try:
            return await self.effect(options.pop("name", "act"), call or plain, **options)
        except ConfigurationError as error:
            self.said.append(str(error))

    async def on_start(self) -> None:
        if self.where == "on_start":
            await self.act()
        if self.where == "helper":
            self.start_soon(self.act)

    @every(3600)
    async def tick(self) -> None:
        if self.where == "tick":
            await self.act()

    @handles
    async def order(self, message: Order) -> None:
        async def untold(key: str):  # noqa: ANN202
            self.said.append("it ran")

        async def odd(key: str) -> object:
            self.said.append("it ran")

        match self.where:
            case "handler" | "durability":
                await self.act()
            case "name":
                await self.act(name="two words")
            case "lambda":
                await self.act(lambda _key: untold(""))  # pyright: ignore[reportUnknownLambdaType]
            case "untold":
                await self.act(untold)
            case "odd":
                await self.act(odd)
            case "no call":
                await self.act(7)
            case "after":
                self.after(1, Pay())
            case "two":
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.act)
                    nursery.start_soon(partial(self.act, name="other"))
            case _:
                pass

    @handles
    async def pay(self, message: Pay) -> None:
        await self.act()


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("on_start", "no message is in hand here"),
        ("helper", "no message is in hand here"),
        ("tick", "every:tick is in hand, which does not come again after a crash; tell a message"),
        ("after", "after:Pay is in hand, which does not come again after a crash; tell a message"),
        ("name", "its name is 'two words'; give letters, digits and _"),
        ("lambda", "nothing says what it returns; annotate what the function returns, or give returns="),
        ("untold", "nothing says what it returns"),
        ("odd", "its result: .*; it was not run"),
        ("no call", "7 cannot be called; give an async function that takes the key"),
        ("two", "another effect of this handler is running; await them one after the other"),
    ],
)
async def test_where_it_has_no_place(where: str, text: str, autojump_clock: MockClock) -> None:
    said: list[str] = []
    async with opened(child(Refused, args={"said": said, "where": where})) as running:
        await running.ref("refused").tell(Order())
        await trio.sleep(2)
    refused = [each for each in said if each != "it ran"]
    assert len(refused) == 1
    assert refused[0].startswith("refused: effect(")
    assert re.search(text, refused[0])
    assert said.count("it ran") == (1 if where == "two" else 0)


@pytest.mark.parametrize("durability", [VOLATILE, Checkpointed(messages=5)], ids=["volatile", "checkpoint"])
async def test_it_needs_the_disk(durability: Durability, autojump_clock: MockClock) -> None:
    said: list[str] = []
    spec = child(Refused, args={"said": said, "where": "durability"}, mailbox=MailboxSpec(durability=durability))
    async with opened(spec) as running:
        await running.ref("refused").tell(Order())
        await trio.sleep(1)
    assert len(said) == 1
    assert "what its agent does is not on disk; give its mailbox the durability 'message'" in said[0]


class LateDisk(Disk):
    """That says what it is about."""

    def waits(self) -> list[str]:
        """What of steps and settles is on its way."""
        return [
            commit.replies[0].id.rpartition(">")[2] if commit.replies else "settle"
            for commit, _ in self._waiting
            if commit.by
        ]


async def test_it_runs_when_what_it_rests_on_is_on_disk(autojump_clock: MockClock) -> None:
    """Output commit: neither an earlier settle nor its own beginning may be lost behind it."""
    journal, bank = LateDisk(), Bank()
    async with opened(desk(bank), journal=journal) as running:
        slot_of(running, "desk").pause("held")
        await running.ref("desk").tell(Pay(1))
        await running.ref("desk").tell(Pay(2, times=2))
        journal.slow = True
        slot_of(running, "desk").resume("held")
        seen: list[tuple[int, list[str]]] = []
        for _ in range(7):
            await wait_all_tasks_blocked()
            seen.append((len(bank.done), journal.waits()))
            journal.go(1)
        journal.slow = False
        journal.go()
        await trio.sleep(1)
        assert seen == [
            (0, ["begun"]),
            (1, ["done", "settle", "begun"]),  # the second message is in hand, and its effect waits behind that
            (1, ["settle", "begun"]),
            (1, ["begun"]),
            (2, ["done", "begun"]),
            (2, ["begun"]),
            (3, ["done", "settle"]),
        ]
        assert [each.amount for each in slot_of(running, "desk").state] == [1, 2, 2]  # type: ignore[union-attr]


async def test_a_disk_that_takes_no_beginning_fails_nobody(autojump_clock: MockClock) -> None:
    journal, bank = Disk(), Bank()
    async with opened(desk(bank, deliveries=1), journal=journal) as running:
        await running.ref("desk").ask(Paid(1))
        journal.broken = lambda commit: any(row.kind == "begun" for row in commit.replies)
        await running.ref("desk").tell(Pay(2))
        await trio.sleep(5)
        assert bank.calls == 1
        journal.broken = lambda _: False
        await trio.sleep(30)
        assert (bank.calls, await running.dead_letters(), left(running)) == (2, (), 0)


async def test_a_result_that_the_disk_does_not_take_is_known_all_the_same(autojump_clock: MockClock) -> None:
    journal, bank, log = Disk(), Bank(), list[Any]()
    async with opened(desk(bank, log), journal=journal) as running:
        journal.broken = lambda commit: any(row.id.endswith(">done") for row in commit.replies)
        await running.ref("desk").tell(Pay(2))
        await trio.sleep(5)
        journal.broken = lambda _: False
        await trio.sleep(30)
        assert bank.calls == 1
        assert [each.amount for each in slot_of(running, "desk").state] == [2]  # type: ignore[union-attr]
        assert left(running) == 0
        assert (await journal.recover(running.ref("desk").path)).replies == ()


async def test_a_life_that_ends_before_it_begins_leaves_no_doubt(autojump_clock: MockClock) -> None:
    """That it begins is on its way to the disk by then, and comes there."""
    journal, bank = LateDisk(), Bank()
    async with opened(desk(bank), journal=journal) as running:
        slot_of(running, "desk").pause("test")
        await running.ref("desk").tell(Pay(1))
        journal.slow = True
        slot_of(running, "desk").resume("test")
        await wait_all_tasks_blocked()
        waits = journal.waits()
        running.kill("desk")
        await wait_all_tasks_blocked()
        journal.slow = False
        journal.go()
        await trio.sleep(5)
        assert waits == ["begun"]
        assert (bank.calls, running.snapshot()[0].held, left(running)) == (1, False, 0)
        said = [each.what for each in await happened(running, EffectNoted, 4)]
        assert said == ["begun", "not done", "begun", "done"]
