"""Children that a restart of their supervisor left behind, and that are supervisors themselves, or come back as one."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.path import Path
from treewarden.supervisor import Strategy
from treewarden.supervisor.core.spec import Spec
from treewarden.topologies.child import child, supervisor
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

from .test_left_behind import Add, Book, Numbers

CLOCK = trio.testing.MockClock
DESK = tree(supervisor("desk", children=()))

KINDS: dict[str, tuple[Spec, str]] = {
    "agent": (child(Book, id="a"), "desk/a"),
    "supervisor": (supervisor("a", children=(child(Book, id="x"),)), "desk/a/x"),
    "own": (pool(child(Book, id="w"), 1, id="a"), "desk/a"),
    "shared": (pool(child(Book, id="w"), 1, "shared", id="a"), "desk/a"),
}
"""What can be added to the desk, and whom to tell then."""


async def restart(running: Tree, path: str) -> None:
    assert running.kill(path)
    await trio.sleep(10)


@pytest.mark.parametrize("kind", KINDS)
async def test_who_was_held_is_so_no_longer_when_it_is_started_again(kind: str, autojump_clock: CLOCK) -> None:
    spec, path = KINDS[kind]
    async with open_tree(DESK) as running:
        await running.supervisor("desk").start_child(spec)
        await running.ref(path).tell(Add(1))
        await trio.sleep(1)
        running.hold("desk/a")
        await trio.sleep(1)
        await running.ref(path).tell(Add(2))
        await restart(running, "desk")
        await running.supervisor("desk").start_child(spec)
        assert await running.ref(path).ask(Numbers()) == (1, 2)


@pytest.mark.parametrize("before", KINDS)
@pytest.mark.parametrize("then", KINDS)
async def test_what_was_left_goes_where_something_else_lives_now(before: str, then: str, autojump_clock: CLOCK) -> None:
    (spec, path), (other, address) = KINDS[before], KINDS[then]
    async with open_tree(DESK) as running:
        await running.supervisor("desk").start_child(spec)
        running.hold("desk/a")
        await trio.sleep(1)
        await running.ref(path).tell(Add(1))
        await restart(running, "desk")
        await running.supervisor("desk").start_child(other)
        await running.ref(address).tell(Add(2))
        kept = before == then
        assert await running.ref(address).ask(Numbers()) == ((1, 2) if kept else (2,))
        assert len(await running.dead_letters()) == (0 if kept else 1)
        await running.supervisor("desk").terminate_child("a")
        await running.supervisor("desk").delete_child("a")
        await running.supervisor("desk").start_child(spec)
        assert await running.ref(path).ask(Numbers()) == ()


async def test_nothing_is_remembered_of_who_was_in_memory_only(autojump_clock: CLOCK) -> None:
    worker = child(Book, mailbox=MailboxSpec(durability=VOLATILE))
    inner = supervisor("inner", strategy=Strategy.DYNAMIC, children=(worker,))
    template = supervisor("case", children=(worker, inner))
    async with open_tree(tree(supervisor("shelf", strategy=Strategy.DYNAMIC, children=(template,)))) as running:
        for number in range(3):
            case = f"shelf/{number}"
            await running.supervisor("shelf").start_dynamic(id=str(number))
            await running.supervisor(f"{case}/inner").start_dynamic(id="x")
            await running.ref(f"{case}/inner/x").tell(Add(1))
            await restart(running, "shelf")
            common = running._root.common  # pyright: ignore[reportPrivateUsage]
            assert not common.left
            assert not common.registry.knows(Path(case))
