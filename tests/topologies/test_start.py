"""What a process imports before its first message has settled: counted, for the time of it is another one each day."""

from __future__ import annotations

import pathlib
import subprocess
import sys

PROGRAM = """
import sys
import trio
from attrs import frozen
from treewarden.agents import Agent, Request, handles
from treewarden.topologies import open_tree, tree

@frozen
class Put(Request[int]):
    text: str

@frozen
class Box:
    count: int = 0
    text: str = ""

class Keeper(Agent[Box]):
    state = Box()

    @handles
    async def put(self, message: Put) -> int:
        self.state = Box(self.state.count + 1, message.text)
        return self.state.count

async def main() -> None:
    async with open_tree(tree(Keeper), journal=sys.argv[1]) as running:
        print(await running.ref("keeper").ask(Put("x"), within=60))
        print(*sorted(sys.modules))

trio.run(main)
"""
MOST = 130
"""Modules of this project, and a few more. Each costs 0.2 ms: see whether a start needs the new one."""
NOT_FOR_A_START = {
    "cattrs", "dataclasses", "decimal", "difflib", "trio_util", "uuid",
    "treewarden.agents.core.retry_after", "treewarden.agents.forwarding", "treewarden.agents.process",
    "treewarden.agents.worker",
    "treewarden.supervisor.judge", "treewarden.topologies.core.flow",
    "treewarden.supervisor.keeping", "treewarden.supervisor.performing", "treewarden.supervisor.topics",
    "treewarden.supervisor.views", "treewarden.supervisor.core.believer", "treewarden.supervisor.core.case",
    "treewarden.supervisor.core.challenger", "treewarden.supervisor.core.context",
    "treewarden.supervisor.core.decision", "treewarden.supervisor.core.incident",
    "treewarden.supervisor.core.ladder", "treewarden.supervisor.core.outcomes",
    "treewarden.supervisor.core.symptom", "treewarden.topologies.commanding", "treewarden.topologies.toml",
}  # fmt: skip
"""What judges, what other processes ask for, and libraries for what few trees store."""


def test_a_start_imports_what_it_needs(tmp_path: pathlib.Path) -> None:
    file = str(tmp_path / "journal.db")
    for count in ("1", "2"):  # the second one finds a state, and events of the first one
        begin = [sys.executable, "-c", PROGRAM, file]
        printed = subprocess.run(begin, capture_output=True, text=True, check=True).stdout.splitlines()
        assert printed[0] == count
        modules = printed[1].split()
        assert sorted(NOT_FOR_A_START.intersection(modules)) == []
        ours = [name for name in modules if name.startswith("treewarden")]
        assert len(ours) <= MOST
        assert "treewarden.supervisor.supervisor" in ours
