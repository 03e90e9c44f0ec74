"""Commands from another process: carried out once, answered, or taken back; the sender here is a second connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.message import Request
from treewarden.agents.core.path import Path as Slot
from treewarden.agents.errors import JournalError
from treewarden.supervisor.core.command import Command
from treewarden.supervisor.core.event import CommandAnswered, IncidentClosed, SignalNoted
from treewarden.supervisor.core.spec import Intensity
from treewarden.supervisor.journal.canonical import dump
from treewarden.supervisor.journal.sending import Outcome, send
from treewarden.supervisor.performing import Occasion
from treewarden.supervisor.testing import inline_run_sync
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

from ..journals import on_disk

CLOCK = trio.testing.MockClock


@frozen
class Add:
    amount: int
    note: str = ""


@frozen
class Total(Request[int]): ...


class Counter(Agent[int]):
    state = 0

    @handles
    def add(self, message: Add) -> None:
        if message.amount == 13:
            raise ValueError("unlucky")
        self.state += message.amount

    @handles
    def total(self, message: Total) -> int:
        return self.state


class Light(Counter):
    pass


SHAPE = tree(
    Counter,
    child(Light, mailbox=MailboxSpec(durability=VOLATILE)),
    pool(Counter, id="pool", size=2),
    tree(child(Counter, id="inner"), id="below"),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tree.db"


async def order(file: Path, what: str, path: str, id: str = "c1", within: float = 20.0, **fields: Any) -> Outcome:
    command = Command(what=what, path=Slot(path), fields=fields, by="ann")
    return await send(file, command, id, within=within, run_sync=inline_run_sync)


async def tell(file: Path, path: str, amount: Any, id: str = "c1") -> Outcome:
    return await order(file, "tell", path, id, kind="Add", data={"amount": amount})


def status(running: Tree, path: str) -> SlotState:
    (found,) = [slot for slot in running.snapshot() if slot.path == path]
    return found.state


async def events(running: Tree, kind: type[Any]) -> list[Any]:
    found: list[Any] = []
    async with running.events() as records:
        async for record in records:
            if isinstance(record.event, kind):
                found.append(record.event)
            if record.seq >= running.head:
                break
    return found


@pytest.mark.parametrize("path", ["counter", "light", "below/inner"])
async def test_a_message_by_the_name_of_its_class(path: str, file: Path, autojump_clock: CLOCK) -> None:
    async with open_tree(SHAPE, journal=on_disk(file)) as running:
        outcome = await tell(file, path, 2)
        assert outcome == Outcome("c1", "applied", f"{path} was told Add")
        assert await running.ref(path).ask(Total()) == 2
        (event,) = await events(running, CommandAnswered)
        assert (event.path, event.command, event.what, event.by, event.applied) == (path, "c1", "tell", "ann", True)


async def test_who_is_held_before_its_first_life_takes_messages(file: Path, autojump_clock: CLOCK) -> None:
    async with open_tree(tree(Counter), journal=on_disk(file)):
        await tell(file, "counter", 2)
    with closing(sqlite3.connect(file)) as database:
        database.execute("UPDATE states SET version = 9")
        database.commit()
    async with open_tree(tree(Counter), journal=on_disk(file)) as running:
        await trio.sleep(1)
        assert status(running, "counter") is SlotState.HELD
        assert (await tell(file, "counter", 3, "c2")) == Outcome("c2", "applied", "counter was told Add")
        assert running.ref("counter").statistics().depth == 1


async def test_a_pool_is_told_as_any_slot(file: Path, autojump_clock: CLOCK) -> None:
    async with open_tree(SHAPE, journal=on_disk(file)) as running:
        for number in range(4):
            assert (await tell(file, "pool", 1, f"c{number}")).state == "applied"
        workers = [slot.path for slot in running.snapshot() if slot.path.startswith("pool/")]
        assert sum([await running.ref(path).ask(Total()) for path in workers]) == 4


@pytest.mark.parametrize("path", ["counter", "light"])
async def test_the_same_id_counts_once(path: str, file: Path, autojump_clock: CLOCK) -> None:
    async with open_tree(SHAPE, journal=on_disk(file)) as running:
        first = await tell(file, path, 2)
        again = await tell(file, path, 2)
        assert (again.state, again.text, again.duplicate) == ("applied", first.text, True)
        assert await running.ref(path).ask(Total()) == 2
        with pytest.raises(JournalError, match="the id c1 belongs to another command; take a new one"):
            await tell(file, path, 3)
    async with open_tree(SHAPE, journal=on_disk(file)) as running:
        assert (await tell(file, path, 2)).duplicate
        assert await running.ref("counter").ask(Total()) == (2 if path == "counter" else 0)


async def test_two_senders_of_one_id_at_once(file: Path, autojump_clock: CLOCK) -> None:
    found: list[Outcome] = []

    async def one() -> None:
        found.append(await tell(file, "counter", 2))

    async with open_tree(SHAPE, journal=on_disk(file)) as running:
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(one)
        assert {outcome.state for outcome in found} == {"applied"}
        assert sorted(outcome.duplicate for outcome in found) == [False, True, True, True, True]
        assert await running.ref("counter").ask(Total()) == 2


@pytest.mark.parametrize(
    ("path", "kind", "data", "why"),
    [
        ("counter", "Add", {"amount": "2"}, "this is no tests.topologies.test_commanding:Add: '2' (str) is not int @ "),
        ("counter", "Add", {}, "a required field is missing"),
        ("counter", "Add", {"amount": 1, "more": 1}, "extra"),
        ("counter", "Nope", {}, "counter: it does not handle 'Nope'; it handles Add, Total"),
        ("counter", "os:system", {}, "it does not handle 'os:system'"),
        ("cuonter", "Add", {"amount": 1}, "cuonter: the tree has no such slot; did you mean counter?"),
        ("below", "Add", {"amount": 1}, "below is no agent and no pool; tell one of those below it"),
    ],
)
async def test_what_cannot_be_told(
    path: str, kind: str, data: Any, why: str, file: Path, autojump_clock: CLOCK
) -> None:
    async with open_tree(SHAPE, journal=on_disk(file)) as running:
        outcome = await order(file, "tell", path, kind=kind, data=data)
        assert outcome.state == "refused"
        assert why in outcome.text
        assert await running.ref("counter").ask(Total()) == 0
        (event,) = await events(running, CommandAnswered)
        assert (event.applied, event.text) == (False, outcome.text)


async def test_a_signal(file: Path, autojump_clock: CLOCK) -> None:
    async with open_tree(SHAPE, journal=on_disk(file)) as running:
        outcome = await order(file, "signal", "counter", kind="slow", severity=0.3, text="42 s")
        assert (outcome.state, outcome.text) == ("applied", "counter: its supervisor has been told of slow")
        await trio.sleep(1)
        (event,) = await events(running, SignalNoted)
        assert (event.path, event.kind, event.severity, event.text) == ("counter", "slow", 0.3, "42 s")
        refused = await order(file, "signal", "counter", "c2", kind="slow", severity=3)
        assert (refused.state, refused.text) == ("refused", "counter: severity is 3; it must be from 0 to 1")


async def test_a_signal_ends_by_a_word_or_by_itself(file: Path, autojump_clock: CLOCK) -> None:
    async with open_tree(SHAPE, journal=on_disk(file)) as running:
        await order(file, "signal", "counter", kind="slow", severity=0.3)
        await trio.sleep(1000)
        assert not await events(running, IncidentClosed), "nobody has said that it is over"
        over = await order(file, "recovered", "counter", "c2", kind="slow")
        assert (over.state, over.text) == ("applied", "counter: its supervisor has been told that slow is over")
        await trio.sleep(1)
        assert len(await events(running, IncidentClosed)) == 1
        await order(file, "signal", "counter", "c3", kind="hot", severity=0.3, lasts=60)
        await trio.sleep(50)
        assert len(await events(running, IncidentClosed)) == 1
        await trio.sleep(20)
        assert len(await events(running, IncidentClosed)) == 2
        refused = await order(file, "signal", "counter", "c4", kind="hot", severity=0.3, lasts=-1)
        assert refused.state == "refused"
        assert refused.text.startswith("counter: lasts is -1; give seconds, more than 0")


async def test_one_slot_is_stopped_and_started_again(file: Path, autojump_clock: CLOCK) -> None:
    async with open_tree(SHAPE, journal=on_disk(file)) as running:
        await tell(file, "counter", 5)
        assert (await order(file, "stop", "counter", "c2")).text == "counter is stopped"
        assert status(running, "counter") is SlotState.DOWN
        assert (await order(file, "resume", "counter", "c3")).text == "counter runs again, in life 2"
        assert await running.ref("counter").ask(Total()) == 5
        nothing = await order(file, "resume", "counter", "c4")
        assert (nothing.state, nothing.text) == ("refused", "counter runs: there is nothing to resume")


async def test_a_held_slot_goes_on(file: Path, autojump_clock: CLOCK) -> None:
    held = child(Counter, mailbox=MailboxSpec(deliveries=1), restarts=Intensity(0, 60))
    async with open_tree(tree(held), journal=on_disk(file)) as running:
        await tell(file, "counter", 13)
        await trio.sleep(5)
        assert status(running, "counter") is SlotState.HELD
        outcome = await order(file, "resume", "counter", "c2")
        assert (outcome.state, outcome.text) == ("applied", "counter runs again, in life 2")


async def test_the_whole_tree_stops(file: Path, autojump_clock: CLOCK) -> None:
    async with open_tree(SHAPE, journal=on_disk(file)) as running:
        outcome = await order(file, "stop", "/")
        assert (outcome.state, outcome.text) == ("applied", "the tree stops")
        await running.wait_ended()


async def test_a_part_is_drained(file: Path, autojump_clock: CLOCK) -> None:
    async with open_tree(SHAPE, journal=on_disk(file)) as running:
        outcome = await order(file, "drain", "below")
        assert (outcome.state, outcome.text) == ("applied", "below is drained")
        assert status(running, "below") is SlotState.DOWN


async def test_a_checkpoint_and_the_way_back(file: Path, autojump_clock: CLOCK) -> None:
    async with open_tree(SHAPE, journal=on_disk(file)) as running:
        await tell(file, "counter", 5)
        await running.ref("counter").ask(Total())
        kept = await order(file, "checkpoint", "counter", "c2", name="good")
        assert kept.text.startswith("counter: its state is kept as checkpoint ")
        await tell(file, "counter", 7, "c3")
        assert await running.ref("counter").ask(Total()) == 12
        back = await order(file, "roll_back", "counter", "c4", to="good")
        assert back.text == f"counter is back at checkpoint {kept.text.rpartition(' ')[2]}"
        assert await running.ref("counter").ask(Total()) == 5
        refused = await order(file, "roll_back", "counter", "c5", to="bad")
        assert refused.state == "refused"
        assert "there is no checkpoint 'bad'" in refused.text


async def test_what_takes_too_long_is_refused(file: Path, autojump_clock: CLOCK) -> None:
    class Busy(Agent[None]):
        @handles
        async def add(self, message: Add) -> None:
            await trio.sleep(1000)

    shape = tree(child(Busy, mailbox=MailboxSpec(capacity=1)))
    async with open_tree(shape, journal=on_disk(file)) as running:
        await running.ref("busy").tell(Add(1))
        await trio.sleep(1)
        await running.ref("busy").tell(Add(2))
        command = Command(what="tell", path=Slot("busy"), fields={"kind": "Add", "data": {"amount": 1}}, within=3.0)
        outcome = await send(file, command, "c1", within=60.0, run_sync=inline_run_sync)
        assert (outcome.state, outcome.text) == ("refused", "it took longer than 3 s; what it began may go on")
        running.kill("busy")


async def test_what_nobody_answers_is_taken_back(file: Path, autojump_clock: CLOCK) -> None:
    async with on_disk(file):
        outcome = await tell(file, "counter", 2)
        assert (outcome.state, outcome.text) == ("withdrawn", "its owner did not answer in time, and nothing was done")
    async with open_tree(SHAPE, journal=on_disk(file)) as running:
        await trio.sleep(60)
        assert await running.ref("counter").ask(Total()) == 0


async def test_a_command_for_an_owner_that_has_gone_is_refused(file: Path, autojump_clock: CLOCK) -> None:
    async with on_disk(file):
        pass
    with closing(sqlite3.connect(file)) as connection:
        body = '{"v":1,"what":"stop","path":"/","by":"ann","within":30,"fields":{}}'
        connection.execute("INSERT INTO commands VALUES ('old', ?, 0.0, 'waiting', '', 1)", (body,))
        connection.commit()
    async with open_tree(SHAPE, journal=on_disk(file)) as running:
        await trio.sleep(60)
        assert status(running, "counter") is SlotState.UP
        (event,) = await events(running, CommandAnswered)
        assert event.text == "it was meant for the owner of epoch 1, which has gone"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("nonsense", "Expecting value"),
        ("[]", "a command is an object"),
        ('{"v":2}', "this command is of version 2, and this treewarden reads 1"),
        ('{"v":1,"what":"fly"}', "there is no command 'fly'; there is tell, signal, stop"),
        ("[" * 100_000, "it is nested too deeply"),
        (b'"\xff"', "a command is an object"),
    ],
    ids=range(6),
)
async def test_what_is_no_command_is_refused(body: str | bytes, why: str, file: Path, autojump_clock: CLOCK) -> None:
    async with open_tree(SHAPE, journal=on_disk(file)) as running:
        with closing(sqlite3.connect(file)) as connection:
            # Of whoever has no text for an id nobody is answered, and nobody is disturbed.
            connection.execute("INSERT INTO commands VALUES (CAST(X'FF' AS TEXT), '{}', 0.0, 'waiting', '', 1)")
            connection.execute("INSERT INTO commands VALUES ('c1', CAST(? AS TEXT), 0.0, 'waiting', '', 1)", (body,))
            connection.commit()
        await trio.sleep(30)
        (event,) = await events(running, CommandAnswered)
        assert not event.applied
        assert why in event.text


async def test_nobody_is_there(file: Path, autojump_clock: CLOCK) -> None:
    with pytest.raises(JournalError, match="there is no journal"):
        await tell(file, "counter", 2)
    async with on_disk(file):
        pass
    with pytest.raises(JournalError, match=r"nobody runs a tree on .* \(closed in order by .*\): start it first"):
        await tell(file, "counter", 2)


async def test_a_commit_that_fails_leaves_no_half_of_it(
    file: Path, autojump_clock: CLOCK, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sender takes it back just before the owner commits: then the message is not there either."""
    from treewarden.supervisor.settling import SlotStore

    obey: Callable[..., Any] = SlotStore.obey

    async def late(self: SlotStore, *args: Any) -> None:
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("DELETE FROM commands")
            connection.commit()
        await obey(self, *args)

    monkeypatch.setattr(SlotStore, "obey", late)
    async with open_tree(SHAPE, journal=on_disk(file)) as running:
        assert (await tell(file, "counter", 2)).state == "withdrawn"
        assert await running.ref("counter").ask(Total()) == 0
        assert await events(running, CommandAnswered) == []


async def test_an_action_is_performed_and_what_came_of_it_is_the_answer(autojump_clock: CLOCK, file: Path) -> None:
    async def look(occasion: Occasion) -> str:
        if not await occasion.ref().ask(Total()):
            raise ValueError("it is empty")
        return "it counts"

    async with open_tree(tree(child(Counter, actions={"look": look})), journal=on_disk(file)) as running:
        before = await order(file, "perform", "counter", "c1", name="look")
        assert (before.state, before.text.partition(" (")[0]) == (
            "refused",
            "counter: look failed: ValueError: it is empty",
        )
        await running.ref("counter").tell(Add(2))
        assert await order(file, "perform", "counter", "c2", name="look") == Outcome(
            "c2", "applied", "counter: look succeeded: it counts"
        )
        nobody = await order(file, "perform", "counter", "c3", name="lok")
        assert (nobody.state, nobody.text) == ("refused", "counter: no action is called 'lok'; there is look")


@pytest.mark.parametrize(
    ("what", "path", "fields", "advice"),
    [
        ("drain", "counter", {}, "Ask for it again if you still want it"),
        ("roll_back", "counter", {"to": None}, "Look whether it was done"),
        ("stop", "light", {}, "Ask for it again"),
    ],
)
async def test_what_an_owner_died_over_is_answered_by_the_next_and_not_done_again(
    what: str, path: str, fields: dict[str, Any], advice: str, file: Path, autojump_clock: CLOCK
) -> None:
    async with open_tree(SHAPE, journal=on_disk(file)):
        await tell(file, "counter", 2, "c0")
    body = dump(Command(what=what, path=Slot(path), fields=fields, by="ann").as_data())
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("INSERT INTO commands VALUES ('c1', ?, 0, 'taken', '', 1)", (body,))
    async with open_tree(SHAPE, journal=on_disk(file)) as running:
        outcome = await order(file, what, path, **fields)
        assert (outcome.state, outcome.duplicate) == ("unknown", True)
        assert outcome.text.startswith("the owner of epoch 1 died over it. ")
        assert advice in outcome.text
        assert status(running, path) is SlotState.UP
        assert await running.ref("counter").ask(Total()) == 2
        told = [event for event in await events(running, CommandAnswered) if event.command == "c1"]
        assert [(event.what, event.applied) for event in told] == [(what, False)]
    async with open_tree(SHAPE, journal=on_disk(file)):
        assert (await order(file, what, path, **fields)).text == outcome.text
