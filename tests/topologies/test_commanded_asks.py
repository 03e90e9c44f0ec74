"""An ask from another process: its answer is the reply as JSON, once, and no event holds it."""

from __future__ import annotations

from functools import partial
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
from treewarden.supervisor.core.event import CommandAnswered
from treewarden.supervisor.journal.sending import Outcome
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.tree import tree

from ..journals import on_disk
from .commanded import events, order, status

CLOCK = trio.testing.MockClock


@frozen
class Taken:
    by: str
    so_far: tuple[int, ...] = ()


@frozen
class Take(Request[Taken]):
    number: int


@frozen
class Copies(Request[str]):
    number: int


@frozen
class Many(Request[tuple[int, ...]]):
    number: int


@frozen
class Loose(Request[object]): ...


@frozen
class Half(Request[Taken]): ...


@frozen
class Sleep(Request[None]):
    seconds: float


@frozen
class Note: ...


class Clerk(Agent[tuple[int, ...]]):
    state = ()

    @handles
    async def take(self, message: Take) -> Taken:
        if message.number == 13:
            raise ValueError("unlucky")
        self.state = (*self.state, message.number)
        return Taken(str(self.path), self.state)

    @handles
    def copies(self, message: Copies) -> str:
        return "x" * message.number

    @handles
    def many(self, message: Many) -> tuple[int, ...]:
        return tuple(range(message.number))

    @handles
    def loose(self, message: Loose) -> object:
        return object()

    @handles
    def half(self, message: Half) -> Taken:
        return object.__new__(Taken)

    @handles
    async def sleep(self, message: Sleep) -> None:
        await trio.sleep(message.seconds)

    @handles
    def note(self, message: Note) -> None: ...


SHAPE = tree(
    Clerk,
    child(Clerk, id="light", mailbox=MailboxSpec(durability=VOLATILE)),
    pool(Clerk, id="pool", size=2),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tree.db"


async def ask(file: Path, path: str, kind: str, id: str = "a1", **data: Any) -> Outcome:
    return await order(file, "ask", path, id, within=40.0, kind=kind, data=data)


@pytest.mark.parametrize(("path", "by"), [("clerk", "clerk"), ("light", "light"), ("pool", "pool/0")])
async def test_the_answer_is_the_reply_as_json(path: str, by: str, file: Path, autojump_clock: CLOCK) -> None:
    async with open_tree(SHAPE, journal=on_disk(file)) as running:
        outcome = await ask(file, path, "Take", number=7)
        assert outcome == Outcome("a1", "applied", f'{{"by":"{by}","so_far":[7]}}')
        (event,) = await events(running, CommandAnswered)
        assert (event.what, event.applied, event.text) == ("ask", True, f"{path} has replied to Take")


async def test_the_same_id_gets_the_same_reply_and_counts_once(file: Path, autojump_clock: CLOCK) -> None:
    async with open_tree(SHAPE, journal=on_disk(file)) as running:
        first = await ask(file, "clerk", "Take", number=7)
        again = await ask(file, "clerk", "Take", number=7)
        assert (again.text, again.duplicate) == (first.text, True)
        assert await running.ref("clerk").ask(Take(8)) == Taken("clerk", (7, 8))
    async with open_tree(SHAPE, journal=on_disk(file)):
        after = await ask(file, "clerk", "Take", number=7)
        assert (after.text, after.duplicate) == (first.text, True)


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [
        ("Take", {"number": 13}, "clerk: ValueError: unlucky"),
        ("Take", {"number": "7"}, "clerk: this is no tests.topologies.test_commanded_asks:Take: '7' (str) is not int"),
        ("Note", {}, "clerk: Note is no Request, and has no reply; send it"),
        (
            "Copies",
            {"number": 65_535},
            "clerk has handled Copies, but its reply has more than 65,536 characters as JSON",
        ),
        ("Many", {"number": 13_000}, "clerk has handled Many, but its reply has more than 65,536 characters as JSON"),
        ("Loose", {}, "clerk has handled Loose, but its reply cannot be written: "),
    ],
)
async def test_what_has_no_reply_says_why(
    kind: str, data: dict[str, Any], text: str, file: Path, autojump_clock: CLOCK
) -> None:
    shape = tree(child(Clerk, mailbox=MailboxSpec(durability=VOLATILE)))
    async with open_tree(shape, journal=on_disk(file)):
        outcome = await ask(file, "clerk", kind, **data)
        assert outcome.state == "refused"
        assert outcome.text.startswith(text)


async def test_a_limit_that_is_reached_says_what_was_in_the_way(file: Path, autojump_clock: CLOCK) -> None:
    async with open_tree(SHAPE, journal=on_disk(file)):
        outcome = await ask(file, "clerk", "Sleep", seconds=3600.0)
        late = "clerk: no reply to Sleep within 30 s: its handler is still running"
        assert (outcome.state, outcome.text) == ("refused", late)


async def test_a_long_reply_still_fits(file: Path, autojump_clock: CLOCK) -> None:
    async with open_tree(SHAPE, journal=on_disk(file)):
        assert len((await ask(file, "clerk", "Copies", number=65_534)).text) == 65_536


async def test_others_have_turns_while_a_reply_is_made_that_is_too_long(file: Path, autojump_clock: CLOCK) -> None:
    outcomes: list[Outcome] = []
    turns = 0

    async def asked() -> None:
        outcomes.append(await ask(file, "light", "Many", number=200_000))

    async with open_tree(SHAPE, journal=on_disk(file)) as running, trio.open_nursery() as nursery:
        nursery.start_soon(asked)
        while running.ref("light").statistics().accepted < 1:
            autojump_clock.jump(0.1)  # so that the command is seen
            await trio.lowlevel.checkpoint()
        head = running.head
        while running.head == head:  # its answer is an event
            turns += 1
            await trio.lowlevel.checkpoint()
    assert outcomes[0].state == "refused"
    assert turns > 220, "to make it takes some forty, and to free it two hundred"


async def test_many_asks_that_wait_keep_no_other_command_waiting(file: Path, autojump_clock: CLOCK) -> None:
    async with open_tree(SHAPE, journal=on_disk(file)) as running, trio.open_nursery() as nursery:
        for number in range(17):
            nursery.start_soon(partial(ask, file, "clerk", "Sleep", f"s{number}", seconds=3600.0))
        await trio.sleep(1)
        assert (await ask(file, "light", "Take", number=7)).state == "applied"
        stopped = await order(file, "stop", "clerk", "stop", within=20.0)
        assert stopped == Outcome("stop", "applied", "clerk is stopped")
        assert status(running, "clerk") is SlotState.DOWN


async def test_a_reply_that_breaks_whoever_looks_at_it_ends_its_command_and_not_the_tree(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_tree(SHAPE, journal=file) as running:
        outcome = await ask(file, "light", "Half")
        assert (outcome.state, "AttributeError" in outcome.text) == ("unknown", True)
        assert "before you ask" in outcome.text
        assert (await ask(file, "light", "Take", "a2", number=1)).state == "applied"
        assert status(running, "light") is SlotState.UP
    (said,) = [record for record in caplog.records if record.name == "treewarden"]
    assert said.getMessage() == "the command ask for light failed"
    assert said.exc_info is not None
