"""Classes of states, messages and what stands in them that have other names than when they were stored."""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
import trio
import trio.testing

from treewarden.agents.core.approval import Approved
from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.journal.codec import Codec
from treewarden.topologies.cli import main
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

from ..journals import on_disk
from .generations import code

CLOCK = trio.testing.MockClock

FIRST: Final = """
from enum import Enum
from attrs import evolve, frozen
from treewarden.agents import Agent, Request, handles

class How(Enum):
    PAID = 1

@frozen
class Item:
    cents: int

@frozen
class Voucher:
    code: str

@frozen
class Apply:
    id: str
    what: Item | Voucher

@frozen
class Book:
    lent: dict[str, tuple[Item | Voucher, How]] = {}

@frozen
class Rate(Request[int]):
    id: str

class Risk(Agent[dict[str, Item]]):
    state: dict[str, Item] = {}

    @handles
    async def rate(self, message: Rate) -> int:
        self.state = {**self.state, f"{message.id}{len(self.state)}": Item(1)}
        return len(self.state)

class Desk(Agent[Book]):
    state = Book()

    @handles
    async def apply(self, message: Apply) -> None:
        rated = await self.ref("../risk").ask(Rate(message.id))
        ruling = await self.approval("lend", about=message.what)
        assert ruling.approved
        self.state = evolve(self.state, lent={**self.state.lent, f"{message.id}{rated}": (message.what, How.PAID)})
"""
NAMES: Final = {
    "Apply": "Loan",
    "Item": "Article",
    "Book": "Lending",
    "Rate": "Rating",
    "How": "Outcome",
    "Voucher": "Voucher",
}


def _renamed(text: str) -> str:
    for old, new in NAMES.items():
        text = re.sub(rf"\b{old}\b", new, text)
        text = re.sub(rf"(class {new}\b.*:)", rf"\1\n    __formerly__ = ('loans:{old}',)", text)
    return text


SECOND: Final = _renamed(FIRST)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "loans.db"


@pytest.fixture(autouse=True)
def credit(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Both releases; what their classes name is looked for where modules are."""
    for name, text in (("loans", FIRST), ("credit", SECOND)):
        monkeypatch.setitem(sys.modules, name, code(text, name))
    return sys.modules["credit"]


async def first(file: Path) -> None:
    """A loan that was lent by the first release, and one that waits for a person."""
    old: Any = sys.modules["loans"]
    async with open_tree(tree(old.Risk, old.Desk), journal=on_disk(file)) as running:
        for id, what in (("a", old.Item(5)), ("b", old.Voucher("x"))):
            await running.ref("desk").tell(old.Apply(id, what))
        await trio.testing.wait_all_tasks_blocked()
        (of_a, _) = await running.waits()
        await running.rule("desk", Approved(by="eve"), key=of_a.key)
        await trio.testing.wait_all_tasks_blocked()


async def test_what_waits_for_a_person_goes_on_in_a_release_whose_classes_have_other_names(
    file: Path, credit: Any, autojump_clock: CLOCK
) -> None:
    await first(file)
    new = credit
    async with open_tree(tree(new.Risk, new.Desk), journal=on_disk(file)) as running:
        await trio.testing.wait_all_tasks_blocked()
        assert [slot.note for slot in running.snapshot() if slot.held] == []
        (of_b,) = await running.waits()
        await running.rule("desk", Approved(by="eve"), key=of_b.key)
        await running.ref("desk").tell(new.Loan("c", new.Article(7)))
        await trio.testing.wait_all_tasks_blocked()
        (of_c,) = await running.waits()
        await running.rule("desk", Approved(by="eve"), key=of_c.key)
        await trio.testing.wait_all_tasks_blocked()
        with closing(sqlite3.connect(file)) as connection:
            states = dict(connection.execute("SELECT path, body FROM states").fetchall())
    lent = json.loads(states["desk"])["lent"]
    assert sorted(lent) == ["a1", "b2", "c3"]
    assert [what[0] for what, _ in lent.values()] == [
        "credit:Article",
        "credit:Voucher",
        "credit:Article",
    ]
    assert sorted(json.loads(states["risk"])) == ["a0", "b1", "c2"]


def test_check_code_reads_what_has_another_name_now(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(file.parent)
    trio.run(first, file, clock=trio.testing.MockClock(autojump_threshold=0))
    del sys.modules["loans"], sys.modules["credit"]
    Path("credit_of_today.py").write_text(SECOND)
    Path("credit.toml").write_text(
        'children = [{ id = "risk", agent = "credit_of_today:Risk" }, { id = "desk", agent = "credit_of_today:Desk" }]'
    )
    try:
        assert main(["journal", "check-code", "loans.db", "--topology", "credit.toml"]) == 0
        capsys.readouterr()
        Path("credit_of_today.py").write_text(FIRST)
        sys.modules.pop("credit_of_today")
        assert main(["journal", "check-code", "loans.db", "--topology", "credit.toml"]) == 1
        assert """or one that says that it was: __formerly__ = ("loans:Apply",)""" in capsys.readouterr().out
    finally:
        sys.modules.pop("credit_of_today", None)


def test_only_one_class_was_that_one() -> None:
    module = code(SECOND + "\n@frozen\nclass Other:\n    __formerly__ = ('loans:Item',)\n    cents: int\n", "credit")
    with pytest.raises(ConfigurationError, match="credit:Article and credit:Other both say that they were loans:Item"):
        Codec((module.Article, module.Other))


@pytest.mark.parametrize("said", ["loans:Item", ("Item",), (3,)], ids=["a text", "no module", "a number"])
def test_what_is_no_name_is_refused(said: object) -> None:
    module = code(FIRST, "loans")
    module.Item.__formerly__ = said
    with pytest.raises(ConfigurationError, match=r"loans:Item.__formerly__ is .* it must be a tuple of names"):
        Codec((module.Item,))


def test_who_inherits_from_a_renamed_class_is_none_itself() -> None:
    module = code(SECOND + "\n@frozen\nclass More(Article):\n    more: int = 0\n", "credit")
    assert Codec((module.Article, module.More)).decode("loans:Item", 1, '{"cents":5}') == module.Article(5)
