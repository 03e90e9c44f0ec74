"""A path that leads nowhere: every call says what could have been meant, and does nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, cast

import pytest
from trio.testing import MockClock

from treewarden.agents.agent import Agent
from treewarden.agents.errors import CheckpointRefused, NoSuchSlot
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree


class Desk(Agent[int]):
    state = 0


CALLS: dict[str, Callable[[Tree, str], Any]] = {
    "kill": lambda running, path: running.kill(path),
    "resume": lambda running, path: running.resume(path),
    "signal": lambda running, path: running.signal(path, {"kind": "slow", "severity": 0.5}),
    "recovered": lambda running, path: running.recovered(path, "slow"),
    "deployed": lambda running, path: running.deployed(path),
    "process_of": lambda running, path: running.process_of(path),
    "checkpoint": lambda running, path: running.checkpoint(path, name="now"),
    "roll_back": lambda running, path: running.roll_back(path, to=None),
    "perform": lambda running, path: running.perform(path, "warm"),
    "drain": lambda running, path: running.drain(path),
    "watch": lambda running, path: cast("AbstractAsyncContextManager[Any]", running.watch(path)).__aenter__(),
    "tell": lambda running, path: running.ref(path).tell("hello"),
    "statistics": lambda running, path: running.ref(path).statistics(),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("dekc", "did you mean desk?"),
        ("DESK", "did you mean desk?"),
        ("yard/gate/desk2", "did you mean yard/gate/desk"),
        ("nobody", "there is desk, "),
    ],
)
async def test_is_told_what_is_near(name: str, path: str, hint: str, autojump_clock: MockClock) -> None:
    async with open_tree(tree(Desk, tree(tree(Desk, id="gate"), id="yard"))) as running:
        with pytest.raises(NoSuchSlot) as refused:
            await _done(CALLS[name](running, path))
        assert str(refused.value).startswith(f"{path}: the tree has no such slot")
        assert f"; {hint}" in str(refused.value)
        assert refused.value.retry_safe


@pytest.mark.parametrize("name", ["kill", "signal", "watch"])
async def test_a_supervisor_is_near_too(name: str, autojump_clock: MockClock) -> None:
    async with open_tree(tree(Desk, tree(Desk, id="yard"))) as running:
        with pytest.raises(NoSuchSlot, match="did you mean yard"):
            await _done(CALLS[name](running, "yrad"))


@pytest.mark.parametrize("name", ["resume", "signal", "perform", "watch", "process_of"])
async def test_the_root_is_no_slot(name: str, autojump_clock: MockClock) -> None:
    async with open_tree(tree(Desk)) as running:
        with pytest.raises(NoSuchSlot, match=r"^/ is the whole tree, and no slot of it; there is desk$"):
            await _done(CALLS[name](running, "/"))


@pytest.mark.parametrize("path", ["/", "yard"])
async def test_a_supervisor_has_no_state_to_keep(path: str, autojump_clock: MockClock) -> None:
    async with open_tree(tree(Desk, tree(Desk, id="yard"))) as running:
        with pytest.raises(CheckpointRefused, match=f"^{path}: it is a supervisor; name an agent below it"):
            await running.checkpoint(path, name="now")


async def _done(said: Any) -> None:
    if isinstance(said, Awaitable):
        await said
