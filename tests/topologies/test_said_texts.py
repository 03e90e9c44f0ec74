"""Texts given with calls: what is none is refused, for an event that holds it could never be read again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from treewarden.agents.agent import Agent
from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.performing import Occasion
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree


class Desk(Agent[int]):
    state = 0


async def warm_up(occasion: Occasion) -> None:
    await trio.lowlevel.checkpoint()


async def deployed(running: Tree, text: Any) -> None:
    running.deployed("desk", version=text)


async def resumed(running: Tree, text: Any) -> None:
    running.resume("desk", by=text)


async def stopped(running: Tree, text: Any) -> None:
    running.stop(text)


CALLS: list[Callable[[Tree, Any], Awaitable[object]]] = [
    deployed,
    resumed,
    stopped,
    lambda running, text: running.perform("desk", "warm_up", by=text),
    lambda running, text: running.roll_back("desk", to=None, by=text),
    lambda running, text: running.prune(last=1, by=text),
]


@pytest.mark.parametrize("text", [5, None, b"ada", "\ud800", "x" * 5000])
async def test_what_is_no_text_is_refused_by_name(text: Any, tmp_path: Path) -> None:
    file = tmp_path / "desk.db"
    async with open_tree(tree(child(Desk, actions={"warm_up": warm_up})), journal=file) as running:
        for call in CALLS:
            with pytest.raises(ConfigurationError, match=r"^(version|by|reason) (is|has) "):
                await call(running, text)
    with JournalFile.open(file) as journal:
        assert journal.records(limit=-1)[-1].event, "all of it can be read"


@pytest.mark.parametrize("path", [5, None, "a b"])
async def test_what_is_no_path_is_one_error_everywhere(path: Any, autojump_clock: trio.testing.MockClock) -> None:
    async with open_tree(tree(Desk)) as running:
        with pytest.raises(ConfigurationError):
            running.deployed(path)
        with pytest.raises(ConfigurationError):
            await running.roll_back(path, to=None)
