"""A path that leads nowhere: every call says what could have been meant, and does nothing."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, cast

import pytest
from trio.testing import MockClock

from treewarden.agents.agent import Agent
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.errors import CheckpointRefused, NoSuchSlot
from treewarden.supervisor.core.spec import RestartPolicy, Strategy
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.running import Tree
from treewarden.topologies.topic import topic
from treewarden.topologies.tree import tree


class Desk(Agent[int]):
    state = 0


CALLS: dict[str, Callable[[Tree, str], Any]] = {
    "kill": lambda running, path: running.kill(path),
    "resume": lambda running, path: running.resume(path),
    "hold": lambda running, path: running.hold(path),
    "run_now": lambda running, path: running.run_now(path),
    "signal": lambda running, path: running.signal(path, {"kind": "slow", "severity": 0.5}),
    "recovered": lambda running, path: running.recovered(path, "slow"),
    "deployed": lambda running, path: running.deployed(path),
    "process_of": lambda running, path: running.process_of(path),
    "checkpoint": lambda running, path: running.checkpoint(path, name="now"),
    "roll_back": lambda running, path: running.roll_back(path, to=None),
    "perform": lambda running, path: running.perform(path, "warm"),
    "drain": lambda running, path: running.drain(path),
    "watch": lambda running, path: cast("AbstractAsyncContextManager[Any]", running.watch(path)).__aenter__(),
    "effects": lambda running, path: running.effects(path),
    "waits": lambda running, path: running.waits(path),
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


async def test_what_is_gone_may_have_left_something(autojump_clock: MockClock) -> None:
    async with open_tree(tree(child(Desk, restart=RestartPolicy.TEMPORARY), child(Desk, id="other"))) as running:
        await running.supervisor().terminate_child("desk")
        assert (await running.dead_letters("desk"), await running.checkpoints("desk")) == ((), ())


@pytest.mark.parametrize("name", ["effects", "waits"])
@pytest.mark.parametrize(
    "path", ["/", "desk", "yard", "yard/gate", "yard/gate/desk", "pool", "pool/1", "hosts", "hall"]
)
async def test_a_list_is_empty_where_there_is_somebody(name: str, path: str, autojump_clock: MockClock) -> None:
    hosts = tree(child(Desk, id="template"), id="hosts", strategy=Strategy.DYNAMIC)
    shape = tree(Desk, tree(tree(Desk, id="gate"), id="yard"), pool(Desk, size=2, id="pool"), hosts, topic(id="hall"))
    async with open_tree(shape) as running:
        assert await CALLS[name](running, path) == ()


@pytest.mark.parametrize("name", ["kill", "signal", "watch"])
async def test_a_supervisor_is_near_too(name: str, autojump_clock: MockClock) -> None:
    async with open_tree(tree(Desk, tree(Desk, id="yard"))) as running:
        with pytest.raises(NoSuchSlot, match="did you mean yard"):
            await _done(CALLS[name](running, "yrad"))


@pytest.mark.parametrize("name", ["kill", "resume", "hold", "run_now", "signal", "recovered", "perform", "process_of"])
async def test_one_whose_supervisor_does_not_run_is_not_said_to_be_nowhere(
    name: str, autojump_clock: MockClock
) -> None:
    async with open_tree(tree(Desk, tree(Desk, id="yard"))) as running:
        assert running.ref("yard/desk").statistics().depth == 0
        await running.supervisor().terminate_child("yard")
        with pytest.raises(NoSuchSlot, match=r"^yard/desk: its supervisor yard does not run, so .*; start yard, or "):
            await _done(CALLS[name](running, "yard/desk"))


@pytest.mark.parametrize("name", ["resume", "hold", "run_now", "signal", "perform", "watch", "process_of"])
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


class Host(Agent[int]):
    state = 0


def calls_in(work: Callable[[], object]) -> int:
    """How many functions `work` calls, Python's own among them; what it raises is not asked for."""
    count = 0

    def counted(*_: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(counted)
    try:
        with suppress(NoSuchSlot):
            work()
    finally:
        sys.setprofile(None)
    return count


async def test_of_many_the_near_ones_are_found_without_keeping_everybody(autojump_clock: MockClock) -> None:
    host = child(Host, mailbox=MailboxSpec(durability=VOLATILE))
    async with open_tree(tree(tree(host, id="hosts", strategy=Strategy.DYNAMIC))) as running:
        for number in range(3000):
            await running.supervisor("hosts").start_dynamic(id=f"{number:04}.example.org")
        with pytest.raises(NoSuchSlot, match=r"did you mean hosts/0815\.example\.org"):
            running.ref("hosts/0815.exmaple.org").tell_nowait("hello")
        gone = "hosts/9999.example.org"
        for work in (lambda: running.ref(gone).tell_nowait("hello"), lambda: running.kill(gone)):
            assert calls_in(work) < 100_000, "each tell to one that has gone took a second of everybody's"
        with pytest.raises(NoSuchSlot, match="did you mean hosts"):
            running.kill("hots")
