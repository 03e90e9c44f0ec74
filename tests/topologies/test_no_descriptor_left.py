"""A process that has run out of file descriptors, and what judges a failure is imported with the first one."""

from __future__ import annotations

import pathlib
import subprocess
import sys
from typing import Final

import pytest

PROGRAM: Final = """
import os, resource, sys
from contextlib import suppress

import trio
from attrs import frozen
from treewarden.agents import Agent, AgentFailed, Request, handles
from treewarden.topologies import open_tree, tree

@frozen
class Open(Request[int]):
    files: int

files = []

class Leaky(Agent[int]):
    state = 0

    @handles
    async def open(self, message: Open) -> int:
        for _ in range(message.files):
            files.append(os.open(os.devnull, os.O_RDONLY))
        return message.files

async def main() -> None:
    async with open_tree(tree(Leaky), journal=sys.argv[1] if sys.argv[1:] else None) as running:
        leaky = running.ref("leaky")
        print(await leaky.ask(Open(0), within=60))
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        assert "treewarden.supervisor.restarts" not in sys.modules
        with suppress(AgentFailed):
            await leaky.ask(Open(1000), within=60)
        print(await leaky.ask(Open(0), within=60))
        print(*(slot.restarts for slot in running.snapshot()))
        while files:
            os.close(files.pop())
    assert not any(type(each).__module__.startswith("treewarden") for each in sys.meta_path)

trio.run(main)
"""
"""Where the last descriptor of the process has gone, the agent fails for want of one more."""


@pytest.mark.parametrize("journal", [[], ["leaky.db"]])
def test_an_agent_that_leaks_descriptors_fails_alone(journal: list[str], tmp_path: pathlib.Path) -> None:
    begin = [sys.executable, "-c", PROGRAM, *journal]
    done = subprocess.run(begin, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60)
    assert (done.stdout.split(), done.stderr) == (["0", "0", "1"], "")
