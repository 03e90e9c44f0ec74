"""What is given with calls. A text that is none is refused, for an event that holds it could never be read again; what
nothing can be looked for by is, too, for it would end the supervisor that looks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from treewarden.agents.agent import Agent
from treewarden.agents.errors import ConfigurationError, TreewardenError
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


ODD: list[Any] = [["desk"], {"desk": 1}, object(), "\ud800", 1.5, 10**400]
LOOKING: list[Callable[[Tree, Any], Awaitable[object]]] = [
    lambda running, what: running.supervisor().terminate_child(what),
    lambda running, what: running.supervisor().restart_child(what),
    lambda running, what: running.supervisor().delete_child(what),
    lambda running, what: running.supervisor().spec(what),
    lambda running, what: running.supervisor().terminate_dynamic(what),
    lambda running, what: running.supervisor().start_dynamic(id=what),
    lambda running, what: running.supervisor().perform("desk", what),
    lambda running, what: running.supervisor().perform(what, "warm_up"),
    lambda running, what: running.supervisor().roll_back(what, to=None),
    lambda running, what: running.roll_back("desk", to=what),
    lambda running, what: running.replay(what),
    lambda running, what: running.diff(what),
    lambda running, what: running.checkpoint(what),
    lambda running, what: running.checkpoints(what),
    lambda running, what: running.checkpoints(name=what),
    lambda running, what: running.checkpoints(text=what),
    lambda running, what: running.dead_letters(what),
]


async def test_what_nothing_can_be_looked_for_by_ends_nobody(tmp_path: Path) -> None:
    async with open_tree(tree(child(Desk, actions={"warm_up": warm_up})), journal=tmp_path / "desk.db") as running:
        for call in LOOKING:
            for what in ODD:
                with pytest.raises(TreewardenError):
                    await call(running, what)
        assert await running.roll_back("desk", to=None) is None


@pytest.mark.parametrize("tags", ["stable", None, 5])
async def test_tags_are_several(tags: Any, autojump_clock: trio.testing.MockClock) -> None:
    async with open_tree(tree(Desk)) as running:
        for call in (running.checkpoint, running.checkpoints):
            with pytest.raises(ConfigurationError, match="give several texts"):
                await call("desk", tags=tags)


@pytest.mark.parametrize("limit", ["5", None, 1.5, 0, True])
async def test_a_limit_is_a_number(limit: Any, tmp_path: Path) -> None:
    async with open_tree(tree(Desk), journal=tmp_path / "desk.db") as running:
        for call in (running.dead_letters, running.checkpoints):
            with pytest.raises(ConfigurationError, match="give 1 or more"):
                await call(limit=limit)
            assert await call(limit=10**400) == ()


async def test_times_that_cannot_be_counted_with(autojump_clock: trio.testing.MockClock) -> None:
    async with open_tree(tree(Desk)) as running:
        for when in ("now", True, 10**400):
            with pytest.raises(ConfigurationError, match="seconds since 1970"):
                await running.checkpoints(since=when)  # pyright: ignore[reportArgumentType]
        with pytest.raises(ConfigurationError, match="within is"):
            await running.prune(within=10**400)
        with pytest.raises(ConfigurationError, match="lasts is 10000"):
            running.signal("desk", {"kind": "slow", "severity": 0.5}, lasts=10**400)
