"""`treewarden trace`: which message led to which, and what is left of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents import Approved
from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MailboxSpec
from treewarden.agents.core.message import trace_of
from treewarden.agents.core.path import Path as Place
from treewarden.agents.errors import Stash
from treewarden.supervisor.core.event import DeadLettered
from treewarden.supervisor.journal.port import DeadRow, MessageRow, Record
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.journal.traced import Left, left_of
from treewarden.supervisor.traces import traced
from treewarden.topologies.child import child
from treewarden.topologies.cli import main
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree


@frozen
class Order:
    of: str


@frozen
class Sold:
    of: str
    said: str = ""


class Desk(Agent[None]):
    """Sells, and tells the yard; what it was told first is only handed on."""

    @handles
    async def order(self, message: Order) -> None:
        if message.of == "first":
            await self.ref("../desk").tell(Order("glass"))
            return
        await self.effect("charge", self.charge)
        self.record(Sold(message.of, said=f"of {self.trace}"))
        await self.ref("../yard").tell(message)
        await self.ref("../van").tell(message)

    async def charge(self, key: str) -> int:
        return len(key)


class Yard(Agent[None]):
    broken = True

    @handles
    def order(self, message: Order) -> None:
        if Yard.broken:
            raise RuntimeError("it broke")
        self.record(Sold(message.of))


class Van(Agent[None]):
    @handles
    def order(self, message: Order) -> None:
        raise Stash


class Clerk(Agent[None]):
    """Sleeps, asks a person, and tells the van."""

    @handles
    async def order(self, message: Order) -> None:
        await self.sleep_until(1_000.0, name="think")
        if (await self.approval("sell", about=message.of)).approved:
            await self.ref("../van").tell(message)


async def sold(running: Tree, *of: str) -> str:
    """The trace of the last of these orders, when the yard has given it up."""
    for each in of:
        await running.ref("desk").tell(Order(each))
    with trio.fail_after(60):
        while len(letters := await running.dead_letters("yard")) < len(of):
            await trio.lowlevel.checkpoint()
    return trace_of(letters[0].id)


def opened(file: Path) -> Any:
    yard = child(Yard, mailbox=MailboxSpec(deliveries=1))
    return open_tree(tree(Desk, yard, Van), journal=file)


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(["trace", *words]) == 0
    return capsys.readouterr().out


def messages(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    return json.loads(said(capsys, *words, "--json"))["messages"]


@pytest.fixture(autouse=True)
def broken() -> None:
    Yard.broken = True


async def test_it_shows_of_each_message_what_is_left_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "tree.db"
    async with opened(file) as running:
        trace = await sold(running, "glass")
        await sold(running, "wood", "sand")  # of other traces
        live = messages(capsys, str(file), trace)
    assert messages(capsys, str(file), trace) == live, "of a file at rest the same"
    desk, yard, van = live
    assert [each["path"] for each in live] == ["desk", "yard", "van"]
    assert desk["message"] == trace
    assert [(each["told_by"], each["sender"], each["kind"]) for each in (yard, van)] == [(trace, "desk", "Order")] * 2
    assert [each["state"] for each in live] == ["settled", "dead letter", "waits"]
    assert "RuntimeError: it broke" in yard["text"]
    kinds = [[event["kind"] for event in each["events"]] for each in live]
    assert kinds[0] == ["EffectNoted", "EffectNoted", "Recorded"]
    assert kinds[1][0] == "ChildEnded"
    assert {"IncidentOpened", "Decided", "DeadLettered"} <= set(kinds[1])
    assert kinds[2] == []
    assert messages(capsys, str(file), van["message"]) == live, "any message of it will do"


async def test_one_that_left_nothing_is_known_by_what_it_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tree.db"
    async with opened(file) as running:
        trace = await sold(running, "first")
        (dead,) = await running.dead_letters("yard")
        Yard.broken = False
        again = await running.replay(dead.id)
        await running.drain("yard")
    first, desk, yard, replayed, van = messages(capsys, str(file), trace)
    assert (first["message"], first["state"], first["events"]) == (trace, "settled", [])
    assert (desk["path"], desk["told_by"]) == ("desk", trace)
    assert (yard["state"], yard["text"], yard["told_by"]) == ("put back", again, desk["message"])
    assert (replayed["message"], replayed["state"], replayed["told_by"]) == (again, "settled", yard["message"])
    assert [event["kind"] for event in replayed["events"]] == ["Recorded"]
    assert van["told_by"] == desk["message"]
    lines = said(capsys, str(file), trace).splitlines()
    assert lines[0] == f"{trace}  settled"
    assert lines[1] == f"  {desk['message']}  desk  settled"
    assert f"    {yard['message']}  Order  yard  put back as {again}" in lines
    assert sum("Recorded" in line for line in lines) == 2


async def test_a_fork_and_an_import_have_it_and_go_on_in_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, fork, bundle, copy = (str(tmp_path / name) for name in ("tree.db", "fork.db", "tree.jsonl", "copy.db"))
    async with opened(Path(file)) as running:
        trace = await sold(running, "first")
    whole = messages(capsys, file, trace)
    assert main(["journal", "fork", file, fork]) == 0
    assert main(["journal", "export", file, "-o", bundle]) == 0
    assert main(["journal", "import", bundle, copy]) == 0
    Yard.broken = False
    for other in (fork, copy):
        assert messages(capsys, other, trace) == whole
        async with opened(Path(other)) as running:
            (dead,) = await running.dead_letters("yard")
            again = await running.replay(dead.id)
            await running.drain("yard")
        (replayed,) = (each for each in messages(capsys, other, trace) if each["message"] == again)
        assert (replayed["told_by"], trace_of(again)) == (dead.id, trace)
        assert again not in {each["message"] for each in whole}


async def test_of_what_was_all_handled_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "tree.db"
    async with open_tree(tree(Van), journal=file):
        pass
    for id in ("9f-12", "9f-1/2.3>x>y", '"', "%", "van", "\x1b[31m"):
        assert "nothing is left of" in said(capsys, str(file), id)
        assert messages(capsys, str(file), id) == []
    assert main(["trace", str(tmp_path / "other.db"), "9f-12"]) == 2
    for id in ("", "/", ">x"):
        assert main(["trace", str(file), id]) == 2
        assert "is no id of a message" in capsys.readouterr().err


async def test_the_newest_events_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "tree.db"
    async with opened(file) as running:
        trace = await sold(running, "glass")
    whole = json.loads(said(capsys, str(file), trace, "--json"))
    last = json.loads(said(capsys, str(file), trace, "--last", "2", "--json"))
    assert (whole["earlier"], last["earlier"]) == (False, True)
    assert "earlier events are not shown" in said(capsys, str(file), trace, "--last", "2")


async def test_names_that_begin_alike_or_are_words_of_events_hide_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tree.db"
    names = ["a", "message", "Recorded", *(f"a{n}" for n in range(9)), *(f"message.{n}" for n in range(9))]
    Yard.broken = False
    async with opened(file) as running:
        for name in names:
            await running.ref("desk").traced(name).tell(Order(name))
        await running.drain("desk")
        await running.drain("yard")
    for name in names:
        whole = json.loads(said(capsys, str(file), name, "--json"))
        few = json.loads(said(capsys, str(file), name, "--last", "20", "--json"))
        assert few["messages"] == whole["messages"]
        assert not few["earlier"]
        assert [each["path"] for each in whole["messages"] if each["path"]] == ["desk", "yard", "van"]


async def test_dead_letters_are_read_at_once(tmp_path: Path) -> None:
    """One by one each was looked for among all of them: 25,000 took 46 s."""
    file = tmp_path / "tree.db"
    async with open_tree(tree(child(Van, mailbox=MailboxSpec(capacity=1))), journal=file) as running:
        for name in ("first", "few", *["many"] * 20):  # more than it can put aside, from the second on
            await running.ref("van").traced(name).tell(Order(name))
        with trio.fail_after(60):
            while len(await running.dead_letters("van")) < 21:
                await trio.lowlevel.checkpoint()
    asked: dict[str, int] = {}
    with JournalFile.open(str(file)) as journal, journal.moment() as connection:
        for name, letters in (("few", 1), ("many", 20)):
            said = list[str]()
            connection.set_trace_callback(said.append)
            assert len(left_of(connection, name, 0).letters) == letters
            asked[name] = len(said)
    assert asked["few"] == asked["many"]


async def test_it_shows_what_a_message_has_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "tree.db"

    def clerk() -> dict[str, Any]:
        (found,) = [each for each in messages(capsys, str(file), "order-17") if each["path"] == "clerk"]
        return found

    async def waits(running: Tree, name: str) -> str:
        with trio.fail_after(60):
            while not (found := [each.key for each in await running.waits() if each.wait == name]):
                await trio.lowlevel.checkpoint()
        return found[0]

    async with open_tree(tree(Clerk, Van), journal=file, wall=lambda: 10.0) as running:
        await running.ref("clerk").traced("order-17").tell(Order("glass"))
        await waits(running, "think")
    asleep = clerk()
    assert (asleep["state"], [event["kind"] for event in asleep["events"]]) == ("waits", ["WaitNoted"])
    async with open_tree(tree(Clerk, Van), journal=file, wall=lambda: 2_000.0) as running:
        key = await waits(running, "sell")
        await running.rule("clerk", Approved(by="ann"), key=key)
        await running.drain("clerk")
    settled = clerk()
    assert settled["state"] == "settled"
    assert {event["data"]["wait"] for event in settled["events"] if event["kind"] == "WaitNoted"} == {"think"}
    said = [event["data"] for event in settled["events"] if event["kind"] == "ApprovalNoted"]
    assert [(each["what"], each["by"]) for each in said] == [("asked", ""), ("approved", "ann")]


PARTS = st.text("0123.-/>ab", max_size=6)


@given(st.lists(st.tuples(st.sampled_from("wde"), PARTS), max_size=12))
def test_whatever_the_ids_are_each_message_stands_there_once(given: list[tuple[str, str]]) -> None:
    """An id of an import may be any text."""
    ids = {what: dict.fromkeys(f"t-1{rest}" for kind, rest in given if kind == what) for what in "wde"}
    left = Left(
        messages=[MessageRow(Place("desk"), 1, id, "m:Order", "") for id in ids["w"] if trace_of(id) == "t-1"],
        letters=[DeadRow(Place("desk"), id, "m:Order", "", "why", 0.0) for id in ids["d"] if trace_of(id) == "t-1"],
        records=[
            Record(seq, 0.0, DeadLettered(path=Place("desk"), message=id, kind="Order", reason=""))
            for seq, id in enumerate(ids["e"], 1)
        ],
    )
    known = {id for each in ids.values() for id in each if trace_of(id) == "t-1"}
    top = traced("t-1", left)
    assert (top is None) == (not known)
    if top is not None:
        shown = [each.id for _, each in top.walk() if each.id]
        assert sorted(shown) == sorted(known | {"t-1"})
