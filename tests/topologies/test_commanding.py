"""Commands from another process: carried out once, and answered; the sender here is a second connection."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from treewarden.agents.core.durability import MailboxSpec
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.errors import JournalError
from treewarden.supervisor import Rule, table
from treewarden.supervisor.core.event import CommandAnswered, IncidentClosed, SignalNoted
from treewarden.supervisor.core.spec import Intensity
from treewarden.supervisor.journal.sending import Outcome
from treewarden.supervisor.performing import Occasion
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

from ..journals import on_disk
from .commanded import SHAPE, Add, Counter, Total, events, order, status, tell

CLOCK = trio.testing.MockClock


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tree.db"


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


async def test_what_the_disk_refuses_takes_no_room(file: Path, autojump_clock: CLOCK) -> None:
    """However often it is tried: a mailbox without room would stay so when the disk works again."""
    async with open_tree(tree(child(Counter, mailbox=MailboxSpec(capacity=2))), journal=on_disk(file)) as running:
        with closing(sqlite3.connect(file)) as database:
            database.execute("CREATE TRIGGER no BEFORE INSERT ON mailbox BEGIN SELECT RAISE(ABORT, 'refused'); END")
            for number in range(3):
                assert (await tell(file, "counter", 1, f"c{number}")).state == "withdrawn"
            database.execute("DROP TRIGGER no")
        assert running.ref("counter").statistics().reserved == 0
        await running.ref("counter").tell(Add(2), within=5)
        assert await running.ref("counter").ask(Total()) == 2


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
        ("counter", "Add", {"amount": "2"}, "this is no tests.topologies.commanded:Add: '2' (str) is not int @ "),
        ("counter", "Add", {}, "a required field is missing"),
        ("counter", "Add", [], "; its fields are amount, note (may be left out)"),
        ("counter", "Total", [], "; it has no fields: give {}"),
        (
            "counter",
            "Happened",
            {"event": ""},
            "counter: this is no treewarden.agents.core.message:Happened: the class refused it: the event is ''; give "
            "a name of at most 100 characters that can be printed",
        ),
        (
            "counter",
            "Happened",
            {},
            "a required field is missing @ treewarden.agents.core.message:Happened.event; its fields "
            "are event, value (may be left out)",
        ),
        ("counter", "Add", {"amount": 1, "more": 1}, "extra"),
        ("counter", "Nope", {}, "counter: it does not handle 'Nope'; it handles Add, Total"),
        ("counter", "os:system", {}, "it does not handle 'os:system'"),
        ("cuonter", "Add", {"amount": 1}, "cuonter: the tree has no such slot; did you mean counter?"),
        (
            "below",
            "Add",
            {"amount": 1},
            "below is a supervisor, which takes no messages; tell one of those below it: below/inner",
        ),
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


async def test_a_held_supervisor_goes_on_and_ends_nobody(file: Path, autojump_clock: CLOCK) -> None:
    rules = table([Rule("reported:poor", "hold")])
    async with open_tree(tree(tree(child(Counter), id="shop"), policy=rules), journal=on_disk(file)) as running:
        await order(file, "signal", "shop", "c1", kind="poor", severity=0.3)
        await trio.sleep(1)
        assert running.snapshot()[0].held
        outcome = await order(file, "resume", "shop", "c2")
        assert (outcome.state, outcome.text) == ("applied", "shop runs again, in life 1")
        assert [(slot.held, slot.incarnation) for slot in running.snapshot()] == [(False, 1), (False, 1)]


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
