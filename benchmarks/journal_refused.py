"""A process that wants a journal which another one owns: `journal_refused.py FILE`.

Prints how many milliseconds passed from the call that opens the tree until it was refused, and what it was told.
"""

from __future__ import annotations

import sys
import time

import trio
from journal_start import Keeper

from treewarden.agents.errors import JournalOwned
from treewarden.topologies import open_tree, tree


async def main() -> None:
    begin = time.perf_counter()
    try:
        async with open_tree(tree(Keeper), journal=sys.argv[1]):
            raise AssertionError("two processes have it")
    except JournalOwned as error:
        print((time.perf_counter() - begin) * 1000, error, flush=True)


if __name__ == "__main__":
    trio.run(main)
