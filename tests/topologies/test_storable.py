"""What an agent keeps or gets cannot be stored: its tree is refused whole, by place, before anything starts."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.calls import SupervisorRef
from treewarden.supervisor.core.spec import ChildSpec, Strategy
from treewarden.topologies.child import child
from treewarden.topologies.cli import main
from treewarden.topologies.errors import BlueprintError
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.tree import tree

CLOCK = trio.testing.MockClock
IN_MEMORY = MailboxSpec(durability=VOLATILE)


@frozen
class Turn:
    by: complex


@frozen
class Where(Request[complex]):
    """Ask for a number that no handler stores."""


class Turned(Agent[int]):
    state = 0

    @handles
    def turn(self, message: Turn) -> None: ...


class Kept(Agent[complex]):
    state = 1j


class Told(Agent[int]):
    state = 0

    @handles
    def where(self, message: Where) -> complex:
        return 1j


def made() -> Agent[Any]:
    return Kept()


def test_it_is_refused_before_anything_starts(tmp_path: Path) -> None:
    file = tmp_path / "turned.db"

    async def opened() -> None:
        async with open_tree(tree(Told, tree(Turned, pool(Kept), child(Turned, id="again"), id="deep")), journal=file):
            raise AssertionError("it is open")

    with pytest.raises(BlueprintError) as refused:
        trio.run(opened)
    first, second = refused.value.problems
    assert (first.path, first.value) == ("tree.children[deep].children[turned]", "'turned'")
    assert ":Turn.by: builtins:complex cannot be stored: use attrs classes" in first.fault
    assert first.remedy == "or make its mailbox volatile, which stores nothing"
    assert second.path == "tree.children[deep].children[kept].workers"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "blueprint",
    [
        tree(child(Kept), strategy=Strategy.DYNAMIC),
        tree(child(Told, variants={"second": Kept})),
    ],
    ids=["template", "variant"],
)
def test_who_starts_later_is_looked_at_too(blueprint: Any) -> None:
    with pytest.raises(BlueprintError, match="builtins:complex cannot be stored"):
        trio.run(_open, blueprint)


def test_in_memory_nothing_is_stored() -> None:
    trio.run(_open, tree(child(Kept, mailbox=IN_MEMORY), child(Turned, mailbox=IN_MEMORY)))


async def _open(blueprint: Any) -> None:
    async with open_tree(blueprint):
        pass


def test_a_child_that_is_added_is_refused_by_its_path() -> None:
    async def added() -> None:
        async with open_tree(tree(Told, tree(Told, id="deep"))) as running:
            with pytest.raises(ConfigurationError, match=r"^deep/made: builtins:complex cannot be stored.* volatile"):
                await running.supervisor("deep").start_child(child(made))
            assert len(await running.supervisor("deep").children()) == 1

    trio.run(added, clock=CLOCK(autojump_threshold=0))


@pytest.mark.parametrize("call", ["start_child", "start_child below", "reload", "replace"])
@pytest.mark.parametrize(
    "wrong", [child(Kept, id="told"), child(Told, variants={"second": Kept})], ids=["it", "variant"]
)
async def test_what_comes_to_a_tree_that_runs_is_refused_whole(
    wrong: ChildSpec, call: str, autojump_clock: CLOCK
) -> None:
    """A variant passed, and failed when it was needed; a reload ended the agent that it was to change."""
    calls: dict[str, Callable[[SupervisorRef], Awaitable[object]]] = {
        "start_child": lambda supervisor: supervisor.start_child(evolve(wrong, id="new")),
        "start_child below": lambda supervisor: supervisor.start_child(tree(wrong, id="new")),
        "reload": lambda supervisor: supervisor.reload(tree(wrong)),
        "replace": lambda supervisor: supervisor.replace(tree(wrong)),
    }
    where = {"start_child": "new", "start_child below": "new/told"}.get(call, "told")
    async with open_tree(tree(Told)) as running:
        with pytest.raises(ConfigurationError, match=rf"^{where}: builtins:complex cannot be stored.* volatile"):
            await calls[call](running.supervisor())
        (view,) = await running.supervisor().children()
        assert (view.id, view.incarnation) == ("told", 1)


def test_check_says_it_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "turning.py").write_text(
        "from treewarden.agents import Agent\nclass Wheel(Agent[complex]):\n    state = 1j\n"
    )
    (tmp_path / "t.toml").write_text('children = [{ id = "a", agent = "turning:Wheel" }]')
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    assert main(["check", str(tmp_path / "t.toml")]) == 2
    said = capsys.readouterr().err
    assert "t.children[0]: 'a' keeps what it gets on disk, and builtins:complex cannot be stored: use attrs" in said
