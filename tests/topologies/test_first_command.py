"""The first command to a tree, and its first cut: what carries them out is imported beside the loop, in which everybody
else has turns."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

PROGRAM: Final = """
import sys, threading
import trio
from treewarden.agents import Agent
from treewarden.agents.core.path import ROOT
from treewarden.supervisor.core.command import Command
from treewarden.supervisor.journal.sending import send
from treewarden.topologies import child, open_tree, tree

class Looking:
    found = None

    def find_spec(self, name, path=None, target=None):
        if name == "treewarden.topologies.commanding":
            self.found = threading.current_thread() is threading.main_thread()

class Desk(Agent[int]):
    state = 0

async def main():
    looking = Looking()
    sys.meta_path.insert(0, looking)
    async with open_tree(tree(child(Desk, id="desk")), journal=sys.argv[1]):
        assert looking.found is None, "most trees are never sent any"
        answer = await send(sys.argv[1], Command(what="compact", path=ROOT), "c-1")
        print(answer.state, looking.found)

trio.run(main)
"""


def test_it_is_not_imported_in_the_loop(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "desk.db")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == "applied False\n", done.stderr


PRUNING: Final = (
    PROGRAM.replace("treewarden.topologies.commanding", "treewarden.supervisor.pruning")
    .replace(
        """        answer = await send(sys.argv[1], Command(what="compact", path=ROOT), "c-1")
        print(answer.state, looking.found)
""",
        """        print(str(await running.prune(last=1)), looking.found)
""",
    )
    .replace("journal=sys.argv[1]):", "journal=sys.argv[1]) as running:")
)


def test_what_prunes_is_not_either(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRUNING, str(tmp_path / "desk.db")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == "events 1 to 2 are pruned False\n", done.stderr
