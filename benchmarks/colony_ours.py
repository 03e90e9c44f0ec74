"""The colony under treewarden. Started again after a `kill -9`, it goes on where it was."""

from __future__ import annotations

from pathlib import Path

import trio
from attrs import evolve, frozen
from colony_arguments import Colony, parsed, tells_end
from colony_fate import JOBS, PLACES, STAGES
from colony_process import WorkerLost, WorkerProcess

from treewarden.agents import Agent, AgentFailed, Request, handles
from treewarden.supervisor import NO_BACKOFF, Intensity, otp
from treewarden.topologies import child, open_tree, pool, tree

__all__ = ["main"]

_PATIENCE = 600.0
"""Seconds that a job waits for a place and its stage."""


@frozen
class Work(Request[bool]):
    job: int
    stage: str
    seconds: float


@frozen
class Advance:
    """Do this stage, for which so many workers have been lost before: one that was sent twice counts once."""

    stage: int
    losses: int


@frozen
class Ended:
    job: int
    done: bool


@frozen
class Nothing:
    pass


class Place(Agent[Nothing]):
    """Holds the worker process of one place; its loss is a crash, also while nothing is to be done."""

    state = Nothing()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.worker: WorkerProcess | None = None

    async def on_start(self) -> None:
        self.worker = await WorkerProcess.opened(int(self.path.name), self.folder)
        self.start_soon(self._watch)

    async def _watch(self) -> None:
        assert self.worker is not None
        try:
            raise WorkerLost(f"exit status {await self.worker.wait()}")
        finally:
            await self.worker.end()

    @handles
    async def work(self, message: Work) -> bool:
        assert self.worker is not None
        await self.worker.work(message.job, message.stage, message.seconds)
        return True


@frozen
class Progress:
    stage: int = 0
    losses: int = 0


class Job(Agent[Progress]):
    """Goes from stage to stage; each settles with the order for the next one, so neither is lost nor done alone."""

    state = Progress()

    def __init__(self, colony: Colony) -> None:
        self.colony = colony

    @handles
    async def advance(self, message: Advance) -> None:
        if message != Advance(self.state.stage, self.state.losses):
            return
        name, seconds = STAGES[self.state.stage]
        try:
            work = Work(int(self.path.name), name, seconds / self.colony.speed)
            await self.ref("places").ask(work, within=_PATIENCE)
            self.state = evolve(self.state, stage=self.state.stage + 1)
        except AgentFailed:
            self.state = evolve(self.state, losses=self.state.losses + 1)
        done, given_up = self.state.stage == len(STAGES), self.state.losses > self.colony.retries
        if done or given_up:
            await self.ref("board").tell(Ended(int(self.path.name), done))
        else:
            await self.ref(f"jobs/{self.path.name}").tell(Advance(self.state.stage, self.state.losses))


@frozen
class Board:
    ended: tuple[Ended, ...] = ()


@frozen
class Ends(Request[tuple[Ended, ...]]):
    pass


class Noting(Agent[Board]):
    """Where jobs say that they have ended."""

    state = Board()

    def __init__(self, complete: trio.Event) -> None:
        self.complete = complete

    async def on_start(self) -> None:
        self._look()

    @handles
    def ended(self, message: Ended) -> None:
        self.state = Board((*self.state.ended, message))
        self._look()

    @handles
    def ends(self, _: Ends) -> tuple[Ended, ...]:
        return self.state.ended

    def _look(self) -> None:
        if len(self.state.ended) == JOBS:
            self.complete.set()


async def main(colony: Colony) -> None:
    complete = trio.Event()
    often = Intensity(1_000, 5.0)  # losing workers is this business, not a reason to give up
    blueprint = tree(
        child(Noting, id="board", args={"complete": complete}),
        pool(
            child(Place, args={"folder": colony.folder}, backoff=NO_BACKOFF),
            size=PLACES,
            route="shared",
            id="places",
            restarts=often,
        ),
        pool(child(Job, args={"colony": colony}), size=JOBS, id="jobs"),
        policy=otp(),
    )
    async with open_tree(blueprint, journal=colony.folder / "colony.db") as running:
        for number in range(JOBS):
            await running.ref(f"jobs/{number}").tell(Advance(0, 0))
        await complete.wait()
        ends = await running.ref("board").ask(Ends())
    tells_end(sum(end.done for end in ends), sum(not end.done for end in ends))


if __name__ == "__main__":
    trio.run(main, parsed("The colony under treewarden."))
