"""A limit of memory without a meter: what the process of an agent has in use is read where the system tells."""

from __future__ import annotations

import os
import pathlib
import sys

import pytest
import trio

from treewarden.agents.process import Call, process
from treewarden.supervisor.core.event import SignalNoted
from treewarden.supervisor.core.measures import MemoryLimit
from treewarden.supervisor.core.rule_table import Rule
from treewarden.supervisor.core.table import table
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

LONG = 30.0


async def first_noted(running: Tree) -> SignalNoted:
    async with running.events() as records:
        async for record in records:
            if isinstance(record.event, SignalNoted):
                return record.event
    raise AssertionError("the tree ended")


async def test_the_memory_of_a_process_is_that_of_the_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(pathlib.Path(__file__).parent.parent / "agents"), *sys.path])
    limit = MemoryLimit(most=1000.0, every=0.05)
    agent = child(process("in_process:pid", id="worker"), limits=(limit,))
    async with open_tree(tree(agent, policy=table([Rule("reported:memory", "resume")]))) as running:
        with trio.fail_after(LONG):
            assert await running.ref("worker").ask(Call()) != os.getpid()
            noted = await first_noted(running)
    assert (noted.path, noted.kind) == ("worker", "memory")
    assert float(noted.text.removesuffix(" bytes")) > 1000
