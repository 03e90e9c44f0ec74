"""A process that works on a journal until it is killed. Whatever it prints was acknowledged before.

Run as `python journal_child.py FILE LEASE`. Each of four agents tells itself messages and settles them, as an agent
does: one commit with the new state, the acknowledgement, an event, and sometimes a checkpoint.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections import deque

import trio

from treewarden.agents.core.path import Path
from treewarden.agents.errors import EpochLost
from treewarden.supervisor.core.event import Recorded
from treewarden.supervisor.journal.port import CheckpointRow, Commit, Journal, MessageRow, PruneRow, StateRow
from treewarden.supervisor.journal.sqlite import SqliteJournal

AGENTS = 4


class SystemClock:
    def now(self) -> float:
        return trio.current_time()

    def wall(self) -> float:
        return time.time()


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())  # at once: what a buffer held would be lost with the process


async def agent(path: Path, journal: Journal, rows: itertools.count[int]) -> None:
    held = await journal.recover(path)
    waiting = deque(row.row for row in held.messages)
    settled = held.state.settled if held.state else 0
    while True:
        if len(waiting) < 3:
            row = next(rows)
            await journal.commit(Commit(accepted=(MessageRow(path, row, f"t-{row}", "m:Add", f'{{"row":{row}}}'),)))
            say(f"told {path} {row}")
            waiting.append(row)
        row = waiting.popleft()
        settled += 1
        state = StateRow(path, "m:Tally", f'{{"settled":{settled}}}', 1, settled)
        kept = CheckpointRow(path, next(rows), state.kind, state.body, 1, settled)
        done = Recorded(path=path, kind="settled", facts={"settled": settled, "row": row})
        await journal.commit(
            Commit(
                by=path,
                states=(state,),
                acked=(row,),
                events=((time.time(), done),),
                checkpoints=(kept,) if settled % 7 == 0 else (),
                prunes=(PruneRow(path, 10),),
            )
        )
        say(f"settled {path} {settled}")


async def main(file: str, lease: float) -> None:
    try:
        async with SqliteJournal(file, clock=SystemClock(), lease=lease) as journal:
            say(f"open {journal.opened.epoch} {journal.opened.after_crash}")
            rows = itertools.count(journal.opened.last_row + 1)
            async with trio.open_nursery() as nursery:
                for number in range(AGENTS):
                    nursery.start_soon(agent, Path(f"agent/{number}"), journal, rows)
    except* EpochLost as group:
        say(f"lost {group.exceptions[0]}")


if __name__ == "__main__":
    trio.run(main, sys.argv[1], float(sys.argv[2]))
