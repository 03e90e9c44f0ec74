"""The colony as it is written in an afternoon: a queue, a task for each place, and jobs tried again from their start.

It knows after a `kill -9` which jobs have ended, from a file, and nothing else: budgets begin anew.
"""

from __future__ import annotations

from pathlib import Path

import trio
from colony_arguments import Colony, parsed, tells_end
from colony_fate import JOBS, PLACES, STAGES
from colony_process import WorkerLost, WorkerProcess

__all__ = ["main"]


async def main(colony: Colony) -> None:
    notes = colony.folder / "ended.txt"
    ended = _read(notes)
    losses = dict.fromkeys(range(JOBS), 0)
    put, take = trio.open_memory_channel[int](JOBS)
    for job in range(JOBS):
        if job not in ended:
            put.send_nowait(job)
    complete = trio.Event()

    def end(job: int, how: str) -> None:
        ended[job] = how
        with notes.open("a") as file:
            file.write(f"{job} {how}\n")

    async def place(number: int) -> None:
        worker = await WorkerProcess.opened(number, colony.folder)
        try:
            async for job in take:
                try:
                    for stage, seconds in STAGES:
                        await worker.work(job, stage, seconds / colony.speed)
                except WorkerLost:
                    losses[job] += 1
                    if losses[job] > colony.retries:
                        end(job, "given-up")
                    else:
                        put.send_nowait(job)
                    await worker.end()
                    worker = await WorkerProcess.opened(number, colony.folder)
                else:
                    end(job, "done")
                if len(ended) == JOBS:
                    complete.set()
        finally:
            await worker.end()

    async with trio.open_nursery() as nursery:
        if len(ended) < JOBS:
            for number in range(PLACES):
                nursery.start_soon(place, number)
            await complete.wait()
        nursery.cancel_scope.cancel()
    tells_end(sum(how == "done" for how in ended.values()), sum(how != "done" for how in ended.values()))


def _read(notes: Path) -> dict[int, str]:
    if not notes.exists():
        return {}
    lines = notes.read_text().splitlines()
    return {int(job): how for job, how in (line.split() for line in lines)}


if __name__ == "__main__":
    trio.run(main, parsed("The colony without a supervisor."))
