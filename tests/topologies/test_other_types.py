"""Stored states and messages of a type that the code at hand knows, and that its agent does not have any more."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.exit import Failed
from treewarden.topologies.cli import main
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

from ..journals import on_disk
from .generations import code

CLOCK = trio.testing.MockClock

DESK = """
from attrs import evolve, frozen
from treewarden.agents import Agent, Request, handles

@frozen
class Add:
    amount: int

@frozen
class Look(Request[int]): ...

@frozen
class Book:
    total: int = 0

"""
NUMBER = (
    DESK
    + """
class Desk(Agent[int]):
    state = 0

    @handles
    async def add(self, message: Add) -> None:
        self.state += message.amount

    @handles
    async def text(self, message: str) -> None:
        await self.sleep_until(self.now() + 60)
        self.state += len(message)

    @handles
    def look(self, message: Look) -> int:
        return self.state
"""
)
RECORD = (
    DESK
    + """
class Desk(Agent[Book]):
    state = Book()

    @handles
    async def add(self, message: Add) -> None:
        self.state = evolve(self.state, total=self.state.total + message.amount)

    @handles
    async def text(self, message: str) -> None:
        pass

    @handles
    def look(self, message: Look) -> int:
        return self.state.total
"""
)
BOTH = RECORD.replace("Agent[Book]", "Agent[Book | int]").replace(
    "self.state = evolve(",
    "self.state = self.state if isinstance(self.state, Book) else Book(self.state)\n        self.state = evolve(",
)
NO_TEXT = NUMBER.replace("    async def text", "    async def other").replace("message: str", "message: bytes")


def note(running: Tree) -> str:
    (slot,) = running.snapshot()
    return slot.note if slot.held else ""


async def first(file: Path, *texts: str) -> Any:
    """A state of 5 that another release has settled, and texts that are parked."""
    old = code(NUMBER)
    async with open_tree(tree(old.Desk), journal=on_disk(file)) as running:
        await running.ref("desk").tell(old.Add(5))
        for text in texts:
            await running.ref("desk").tell(text)
        assert await running.ref("desk").ask(old.Look()) == 5
        await trio.testing.wait_all_tasks_blocked()
        assert len(await running.waits()) == len(texts)
    return old


async def test_a_state_of_another_type_holds_its_agent(tmp_path: Path, autojump_clock: CLOCK) -> None:
    await first(tmp_path / "desk.db")
    new, both = code(RECORD), code(BOTH)
    async with open_tree(tree(new.Desk), journal=on_disk(tmp_path / "desk.db")) as running:
        await trio.testing.wait_all_tasks_blocked()
        assert "its state: it is stored as int, and here it is desk:Book. Start the code" in note(running)
        await running.ref("desk").tell(new.Add(2))
        await trio.sleep(5)
        assert not await running.dead_letters()
    async with open_tree(tree(both.Desk), journal=on_disk(tmp_path / "desk.db")) as running:
        assert await running.ref("desk").ask(both.Look()) == 7


async def test_a_reload_to_a_class_with_a_state_of_another_type_holds_it(tmp_path: Path, autojump_clock: CLOCK) -> None:
    old, new = code(NUMBER), code(RECORD)
    async with open_tree(tree(old.Desk), journal=on_disk(tmp_path / "desk.db")) as running:
        await running.ref("desk").tell(old.Add(5))
        assert await running.ref("desk").ask(old.Look()) == 5
        await running.reload(tree(new.Desk))
        await trio.sleep(1)
        assert "it is stored as int, and here it is desk:Book" in note(running)
        await running.reload(tree(old.Desk))
        assert await running.ref("desk").ask(old.Look()) == 5


async def test_a_message_that_no_handler_takes_any_more_holds_its_agent(tmp_path: Path, autojump_clock: CLOCK) -> None:
    old = await first(tmp_path / "desk.db", "tea")
    new = code(NO_TEXT)
    async with open_tree(tree(new.Desk), journal=on_disk(tmp_path / "desk.db")) as running:
        await trio.sleep(120)
        assert "no handler takes str here" in note(running)
        assert not await running.dead_letters()
    tomorrow = 86_400 + time.time()
    async with open_tree(tree(old.Desk), journal=on_disk(tmp_path / "desk.db"), wall=lambda: tomorrow) as running:
        await trio.testing.wait_all_tasks_blocked()
        assert await running.ref("desk").ask(old.Look()) == 8


async def test_a_checkpoint_of_another_type_is_not_gone_back_to(tmp_path: Path, autojump_clock: CLOCK) -> None:
    old, both, new = code(NUMBER), code(BOTH), code(RECORD)
    async with open_tree(tree(old.Desk), journal=on_disk(tmp_path / "desk.db")) as running:
        await running.ref("desk").tell(old.Add(5))
        await running.ref("desk").ask(old.Look())
        await running.checkpoint("desk", name="number")
    async with open_tree(tree(both.Desk), journal=on_disk(tmp_path / "desk.db")) as running:
        await running.ref("desk").tell(both.Add(1))
        await running.ref("desk").ask(both.Look())
    async with open_tree(tree(new.Desk), journal=on_disk(tmp_path / "desk.db")) as running:
        with pytest.raises(Exception, match="it is stored as int"):
            await running.roll_back("desk", to="number", by="ada")
        assert await running.ref("desk").ask(new.Look()) == 6


async def test_a_state_that_is_not_what_was_declared_is_refused_where_it_settles(autojump_clock: CLOCK) -> None:
    class Loose(Agent[int]):
        state = 0

        @handles
        async def text(self, message: str) -> None:
            self.state = json.loads(message)

    async with open_tree(tree(Loose)) as running, running.watch("loose") as ends:
        await running.ref("loose").tell('"tea"')
        exit = (await anext(ends)).exit
    assert isinstance(exit, Failed)
    assert "its state is str, and bool or int was declared" in exit.failure.text


async def test_numbers_that_are_others_as_well_stay_what_they_are(tmp_path: Path, autojump_clock: CLOCK) -> None:
    class Mean(Agent[float]):
        state = 0

        @handles
        async def number(self, message: str) -> None:
            self.state = json.loads(message)

    for number in (1.5, 2, True):
        async with open_tree(tree(Mean), journal=on_disk(tmp_path / "mean.db")) as running:
            await running.ref("mean").tell(json.dumps(number))
            drained = await running.drain("mean")
            assert drained.complete
            assert not await running.dead_letters()


def test_check_code_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    trio.run(first, tmp_path / "desk.db", clock=trio.testing.MockClock(autojump_threshold=0))
    Path("other.py").write_text(RECORD)
    Path("other.toml").write_text('children = [{ id = "desk", agent = "other:Desk" }]')
    assert main(["journal", "check-code", "desk.db", "--topology", "other.toml", "--json"]) == 1
    unread = json.loads(capsys.readouterr().out)["unread"]
    assert {each["what"] for each in unread} == {"state", "checkpoint"}
    assert all("it is stored as int, and here it is other:Book" in each["why"] for each in unread)
