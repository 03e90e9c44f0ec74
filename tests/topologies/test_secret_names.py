"""Names under which treewarden stores something of its own are no keys of secrets: what is exported without values
under them is a journal, and its next process goes on. What somebody has said under such a name is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents import Agent, Answered, Approved, Happened, handles
from treewarden.supervisor.core.event import EVENTS
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.topologies.child import child
from treewarden.topologies.cli import main
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

from ..journals import WALL, on_disk

OF_STEPS: Final = {"about", "alone", "at", "by_message", "digest", "mail", "of", "place", "row", "since", "waits"}
SAID: Final = {"by", "reason", "text", "value"}
KEYS: Final = {field.name for event in EVENTS.values() for field in attrs.fields(event)} | OF_STEPS
SECRET: Final = "the k3y of the user"


@frozen
class Order:
    key: str = SECRET
    digest: str = ""


class Desk(Agent[tuple[str, ...]]):
    state = ()

    @handles
    async def order(self, message: Order) -> None:
        number = await self.effect("number", self._numbered, returns=int)
        came = await self.wait_event("came", returns=str)
        ruling = await self.approval("pay", about="for all", within=1e6)
        size = await self.ask_person("size", "How large?", returns=int, within=1e6)
        assert isinstance(ruling, Approved)
        assert isinstance(size, Answered)
        self.state = (str(number), came, ruling.by, str(size.value + 1))

    async def _numbered(self, key: str) -> int:
        return 7


async def life(file: Path, told: bool = False) -> str:
    """A process in which the approval is ruled, and nothing else is said. Returns how its desk stands at the end."""
    async with open_tree(tree(child(Desk)), journal=on_disk(file), wall=lambda: WALL + trio.current_time()) as running:
        if told:
            await running.ref("desk").tell(Happened("came", "what came"))
            await running.ref("desk").tell(Order())
        await trio.sleep(10)
        for wait in await running.waits():
            if wait.what == "approval":
                await running.rule("desk", Approved("ada"), key=wait.key)
        await trio.sleep(10)
        return running.snapshot()[0].note


def lived(file: Path, told: bool = False) -> str:
    return trio.run(life, file, told, clock=MockClock(autojump_threshold=0))


def states(file: Path) -> list[object]:
    with JournalFile.open(file) as journal:
        return [json.loads(row.body) for row in journal.states()]


@pytest.fixture
def file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Of a desk whose last question was answered when nobody lived."""
    file = tmp_path / "tree.db"
    lived(file, told=True)
    assert main(["waits", str(file), "--json"]) == 0
    (wait,) = json.loads(capsys.readouterr().out)["waits"]
    assert main(["answer", str(file), "desk", "--key", wait["key"], "--by", "eve", "--say", "41"]) == 0
    return file


def imported(file: Path, *keys: str) -> Path:
    bundle, copy = file.with_name("bundle.jsonl"), file.with_name("copy.db")
    words = [word for key in keys for word in ("--secret", key)]
    assert main(["journal", "export", str(file), "-o", str(bundle), *words]) == 0
    assert SECRET not in bundle.read_text("utf-8")
    assert main(["journal", "import", str(bundle), str(copy)]) == 0
    assert main(["journal", "verify", str(copy)]) == 0
    return copy


def test_names_of_ours_are_no_keys(file: Path) -> None:
    copy = imported(file, *sorted(KEYS - SAID))
    assert main(["tree", str(copy)]) == 0
    assert lived(copy) == ""
    assert states(copy) == [["7", "what came", "ada", "42"]]


def test_what_somebody_has_said_is_left_out(file: Path) -> None:
    copy = imported(file, "key", "by")
    lived(copy)
    assert states(copy) == [["7", "what came", "[redacted]", "42"]]


def test_what_an_event_has_brought_is_left_out_also_when_it_has_ended_a_wait(file: Path) -> None:
    """It was while the event waited, and stood there when somebody had got it."""
    imported(file, "key", "value")
    bundle = file.with_name("bundle.jsonl").read_text("utf-8")
    assert "what came" not in bundle
    assert '\\"event\\":\\"came\\"' in bundle


def test_an_answer_that_was_left_out_is_none(file: Path) -> None:
    copy = imported(file, "key", "value")
    note = lived(copy)
    assert note.startswith("held: desk has stored what this code cannot read: the end of the approval ")
    assert "the answer is '[redacted]'; give a whole number of at most 64 bits; answer it anew, by its key " in note
    assert states(copy) == []
    assert main(["tree", str(copy)]) == 0


def unread(file: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The only wait of this file: with an answer that does not fit."""
    capsys.readouterr()
    assert main(["journal", "check-code", str(file)]) == 1
    assert "the answer is '[redacted]'" in capsys.readouterr().out
    assert main(["waits", str(file)]) == 0
    assert "How large?  a whole number of at most 64 bits  the end of the approval " in capsys.readouterr().out
    assert main(["waits", str(file), "--json"]) == 0
    (wait,) = json.loads(capsys.readouterr().out)["waits"]
    assert wait["unread"].endswith(f"; answer it anew, by its key {wait['key']}")
    return wait


@pytest.mark.parametrize("held", [False, True], ids=["new", "held before"])
def test_it_is_given_anew_where_no_tree_runs(held: bool, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = imported(file, "key", "value")
    if held:
        lived(copy)
    words = ["answer", str(copy), "desk", "--key", unread(copy, capsys)["key"], "--by", "ann", "--say"]
    assert main([*words, "many"]) == 1
    assert unread(copy, capsys)
    assert main([*words, "6"]) == 0
    assert main([*words, "7"]) == 1
    assert "was answered by ann at " in capsys.readouterr().out
    assert main(["journal", "check-code", str(copy)]) == 0
    assert lived(copy) == ""
    assert states(copy) == [["7", "[redacted]", "ada", "7"]]


def test_whoever_is_held_over_it_goes_on(file: Path) -> None:
    copy = imported(file, "key", "value")

    async def answered() -> tuple[str, str]:
        later = WALL + 2e6  # when its time is over: somebody has answered in time
        async with open_tree(tree(child(Desk)), journal=on_disk(copy), wall=lambda: later) as running:
            await trio.sleep(10)
            before = running.snapshot()[0].note
            (wait,) = await running.waits()
            assert wait.unread in before
            await running.rule("desk", Answered("ann", 6), key=wait.key)
            await trio.sleep(10)
            assert await running.waits() == ()
            return before, running.snapshot()[0].note

    before, after = trio.run(answered, clock=MockClock(autojump_threshold=0))
    assert (before[:5], after) == ("held:", "")
    assert states(copy) == [["7", "[redacted]", "ada", "7"]]


class Chooser(Agent[tuple[str, ...]]):
    state = ()

    @handles
    async def order(self, message: Order) -> None:
        which = await self.ask_person("which", "Which supplier?", choices=("alpha", "beta"), within=1e6)
        size = await self.ask_person("size", "How large?", returns=int, within=1e6)
        ruling = await self.approval("pay", about={"choices": "one of a user's", "returns": "no form"}, within=1e6)
        assert isinstance(which, Answered)
        assert isinstance(size, Answered)
        self.state = (which.value, str(size.value), type(ruling).__name__)


def test_the_form_of_a_question_is_no_secret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without its choices any part of `[redacted]` was an answer, and without its type nobody could list it."""
    file = tmp_path / "tree.db"

    async def choose(tells: bool) -> None:
        async with open_tree(tree(child(Chooser, id="desk")), journal=on_disk(file)) as running:
            if tells:
                await running.ref("desk").tell(Order())
            await trio.sleep(10)

    def waits(how: str) -> str:
        capsys.readouterr()
        assert main(["waits", str(file)]) == 0
        text = capsys.readouterr().out
        assert how in text
        return text.partition("key ")[2][:12]

    def goes_on(tells: bool = False) -> None:
        trio.run(choose, tells, clock=MockClock(autojump_threshold=0))

    def again(*keys: str) -> Path:
        (tmp_path / "bundle.jsonl").unlink()
        return imported(file.rename(tmp_path / "tree.db"), "key", *keys)

    goes_on(tells=True)
    file = imported(file, "key", "choices", "returns", "prompt")
    key = waits("[redacted]  alpha | beta\n")
    assert main(["answer", str(file), "desk", "--key", key, "--by", "eve", "--say", "[redacted]"]) == 1
    assert main(["answer", str(file), "desk", "--key", key, "--by", "eve", "--say", "beta"]) == 0
    goes_on()
    file = again("choices", "returns")
    key = waits("How large?  a whole number of at most 64 bits\n")
    assert main(["answer", str(file), "desk", "--key", key, "--by", "eve", "--say", "41"]) == 0
    goes_on()
    file = again("choices", "returns", "value")
    for how, say in (("alpha | beta  the end", "beta"), ("at most 64 bits  the end", "41")):
        assert main(["answer", str(file), "desk", "--key", waits(how), "--by", "eve", "--say", say]) == 0
    waits('data {"choices":"[redacted]","returns":"[redacted]"}\n')
