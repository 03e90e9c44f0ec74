"""The process that is killed, and the one after it: `python levels_victim.py FILE COUNT`, then `... FILE`.

The first tells each agent COUNT messages and kills itself when all is settled that can be, and what is kept because of
the time has been kept once. The second prints, as JSON, what each agent has when it has handled what was left for it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import trio
from levels_tree import LEVELS, Look, Put, levels  # its folder is the script's own

from treewarden.supervisor.journal.reading import JournalFile
from treewarden.topologies.open import open_tree


def stored(file: str) -> set[str]:
    """Whose state is on disk."""
    with JournalFile.open(file) as reading:
        return {str(row.path) for row in reading.states()}


async def work(file: str, count: int) -> None:
    async with open_tree(levels(stuck=True), journal=Path(file)) as tree:
        for name in LEVELS:
            for n in range(1, count + 1):
                await tree.ref(name).tell(Put(n))
                await tree.ref(f"{name}-waiting").tell(Put(n))
            assert len((await tree.ref(name).ask(Look(), within=60)).numbers) == count
        while "timed" not in stored(file):
            await tree.ref("message").tell(Put(0))
        await tree.ref("timed").tell(Put(count + 1))
        await tree.ref("timed").ask(Look(), within=60)
        os.kill(os.getpid(), signal.SIGKILL)


async def report(file: str) -> None:
    found: dict[str, tuple[int, ...]] = {}
    async with open_tree(levels(stuck=False), journal=Path(file)) as tree:
        assert tree.opened.after_crash
        for name in LEVELS:
            for path in (name, f"{name}-waiting"):
                found[path] = (await tree.ref(path).ask(Look(), within=60)).numbers
    os.write(1, json.dumps(found).encode())


if __name__ == "__main__":
    if len(sys.argv) > 2:
        trio.run(work, sys.argv[1], int(sys.argv[2]))
    else:
        trio.run(report, sys.argv[1])
