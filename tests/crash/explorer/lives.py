"""Runs trees whose handlers act on the world outside, through the real journal, and what has to hold of both."""

from __future__ import annotations

import pathlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Final, cast

import trio
import trio.testing
from attrs import evolve, frozen

from treewarden.agents.errors import TreewardenError
from treewarden.supervisor.journal.port import Commit, Seq
from treewarden.supervisor.journal.sqlite import SqliteJournal
from treewarden.supervisor.testing import inline_run_sync
from treewarden.topologies import Blueprint
from treewarden.topologies.chaos.determinism import ordered_by
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree

from ...journals import WALL, WallClock
from .adapter import Connection, Database
from .checks import Kind, Violation
from .desk import Bank, Pay
from .reopening import Reopened
from .scribe import Session, Workload
from .vfs import Disk, Op, Vfs, seed_sqlite
from .workload import FILE, Processes, Recorder, Recording
from .world import Expected, Outside, Tables, World

__all__ = ["WITHIN", "Foreseen", "Life", "Lives", "Living", "go_on", "live"]

_LEASE: Final = 1e9
"""Seconds: renewing it is for other workloads."""
WITHIN: Final = 60.0


@frozen
class Life:
    """One process: what its tree is told, and how it ends."""

    pays: tuple[Pay, ...] = ()
    dies_at: int = 0
    """The call of the bank in which it dies, if it does."""
    killed: bool = False
    """It dies when it has done all that it is to do."""
    later: float = 0.0
    """Seconds that its clock is ahead of the first one's."""
    ticks: int | None = None
    """Half seconds that it lives, of what waits for the time; None: until nothing is left to do."""


@frozen(kw_only=True)
class Lives(Workload):
    """Processes on one file, one after the other."""

    sessions: tuple[Session, ...] = ()
    of: type[Living]
    lives: tuple[Life, ...]


class Foreseen(SqliteJournal):
    """The real journal. What each commit makes of the tables may be there from when it is queued, and has to be from
    when somebody is told so. A mutant overrides `commit` or `submit`."""

    def __init__(self, recorder: Living, database: Database, processes: Processes) -> None:
        super().__init__(
            pathlib.Path(FILE),
            clock=WallClock(),
            run_sync=inline_run_sync,
            lease=_LEASE,
            processes=processes,
            connect=database.connect,
            new_tree=lambda: "t",
        )
        self._recorder = recorder

    async def __aenter__(self) -> Foreseen:
        await super().__aenter__()
        self._recorder.opened(self)
        return self

    def submit(self, commit: Commit, then: Callable[[BaseException | None], None]) -> None:
        def told(error: BaseException | None) -> None:
            self._recorder.told(place, error)
            then(error)

        super().submit(commit, told)
        place = self._recorder.foresee(commit, self.opened.epoch)

    async def commit(self, commit: Commit) -> Seq:
        place = self._recorder.foresee(commit, self.opened.epoch)
        head = await super().commit(commit)
        self._recorder.told(place, None)
        return head


class Living(Recorder, ABC):
    """Runs the lives of a workload; `begins` says which world the disk holds, in which epoch, and how it is outside."""

    def __init__(
        self, workload: Lives, database: Database, disk: Disk, kind: type[Foreseen], begins: tuple[World, int, Outside]
    ) -> None:
        super().__init__(workload, database, disk)
        world, epoch, outside = begins
        self.worlds, self.owners = [world], epoch
        self.expected = Expected((0,), (epoch, epoch), outside=outside)
        self.bank = Bank(self.outside, outside)
        self.lives = workload.lives
        self._kind = kind

    async def run(self) -> None:
        self.disk.note(self.expected)
        for life in self.lives:
            try:
                with trio.fail_after(WITHIN * 10):
                    await self._live(life)
            except* (TreewardenError, trio.TooSlowError) as group:
                if not self.disk.dead:  # nobody hears what a process says that is gone
                    self.problems.extend(f"{type(error).__name__}: {error}" for error in _alone(group))
            if self.problems:
                break
            self.disk.dead = False

    async def _live(self, life: Life) -> None:
        self.owners += 1
        self._expect(epochs=(self.expected.epochs[0], self.owners), closed=False)
        journal = self._kind(self, self.database, Processes(self.owners))
        self.bank = Bank(self.outside, self.bank.outside)
        self.bank.dies_at = life.dies_at
        async with (
            open_tree(
                self.blueprint(), journal=journal, wall=lambda: WALL + life.later + trio.current_time(), seed=0
            ) as running,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(self._die, nursery.cancel_scope)
            nursery.start_soon(_person, running, self.bank)
            await self.work(running, life)
            if life.killed:
                self.bank.died.set()
                await trio.sleep_forever()
            nursery.cancel_scope.cancel()
        if not self.disk.dead:
            self._expect(closed=True)

    async def _die(self, work: trio.CancelScope) -> None:
        await self.bank.died.wait()
        self.disk.dead = True
        work.cancel()

    @abstractmethod
    def blueprint(self) -> Blueprint:
        """The tree of one life."""

    @abstractmethod
    async def work(self, running: Tree, life: Life) -> None:
        """Tell it what it is to be told, and hear what it says."""

    @staticmethod
    @abstractmethod
    def faults(tables: Tables, outside: Outside) -> Iterator[Violation]:
        """What is wrong between the tables that a power cut has left, and the world outside."""

    @abstractmethod
    def undone(self, world: World) -> Iterator[Violation]:
        """What is wrong when all has been done that waited in `world`, besides `faults`."""

    @staticmethod
    def last(world: World) -> Life:
        """The one that goes on with `world` after a power cut."""
        return Life()

    def outside(self, outside: Outside) -> None:
        if not self.disk.dead:
            self.bank.outside = outside
            self._expect(outside=outside)

    def opened(self, journal: Foreseen) -> None:
        """It has the file."""
        self._opened(journal)

    def foresee(self, commit: Commit, epoch: int) -> int:
        """The number of the world that `commit` makes."""
        if self.disk.dead:
            return 0
        after = self.worlds[-1 if len(self.expected.worlds) > 1 else self.now].after(commit, epoch)
        if after is None:
            self.problems.append(f"a commit that has to be refused: {commit}")
            return 0
        self.worlds.append(after)
        self._expect(worlds=(*self.expected.worlds, len(self.worlds) - 1))
        return len(self.worlds) - 1

    def told(self, place: int, error: BaseException | None) -> None:
        """Somebody was told what became of the commit that makes this world."""
        if self.disk.dead:
            return
        if error is not None:
            self.problems.append(f"a commit was refused: {type(error).__name__}: {error}")
        elif place in self.expected.worlds:
            self.now = place
            self._expect(worlds=self.expected.worlds[self.expected.worlds.index(place) :])


async def _person(running: Tree, bank: Bank) -> None:
    """Says of each effect over which somebody is held what the bank knows of it."""
    while True:
        if any(slot.held for slot in running.snapshot()):
            for doubt in await running.effects():
                if not doubt.under_way:
                    await running.answer(str(doubt.path), bank.told(doubt.key), key=doubt.key, by="ada")
        await trio.sleep(0.5)


def live(
    workload: Lives, vfs: Vfs, *, seed: int = 0, connection: type[Connection] = Connection,
    lies: Callable[[str], bool] | None = None, journal: type[Foreseen] = Foreseen,
) -> Recording:  # fmt: skip
    """As `record`, of trees: run `workload` from an empty disk. The same arguments give the same recording."""
    disk = Disk(wall=lambda: WALL + trio.current_time())
    if lies is not None:
        disk.lies = lies
    recorder, log = _run(workload, vfs, disk, seed, connection, journal, (World(), 0, Outside()))
    return Recording(workload, tuple(log), tuple(recorder.worlds), tuple(recorder.problems))


def go_on(
    vfs: Vfs, files: Mapping[str, bytes], workload: Lives, epoch: int, world: World, outside: Outside
) -> Reopened | Violation:
    """Open a tree on `files`, let it do what waits, and compare what comes of it with the world `outside`."""
    disk = Disk(files, wall=lambda: WALL + 3600 + trio.current_time())
    next_one = evolve(workload, lives=(workload.of.last(world),))
    recorder, log = _run(next_one, vfs, disk, 0, Connection, Foreseen, (world, epoch, outside))
    if recorder.problems:
        return Violation(Kind.REOPENED, "; ".join(recorder.problems))
    tables, outside = recorder.worlds[recorder.now].tables(), recorder.bank.outside
    for fault in (*workload.of.faults(tables, outside), *recorder.undone(world)):
        return fault
    return Reopened(tuple(log), tuple(recorder.worlds))


def _run(
    workload: Lives, vfs: Vfs, disk: Disk, seed: int, connection: type[Connection], journal: type[Foreseen],
    begins: tuple[World, int, Outside],
) -> tuple[Living, list[Op]]:  # fmt: skip
    log: list[Op] = []
    disk.log, disk.ahead, vfs.disk = log, workload.ahead, disk
    seed_sqlite(seed)
    database = Database(
        vfs=vfs.name, page_size=workload.page_size, autocheckpoint=workload.autocheckpoint, kind=connection
    )
    recorder = workload.of(workload, database, disk, journal, begins)
    with ordered_by(seed):
        trio.run(recorder.run, clock=trio.testing.MockClock(autojump_threshold=0))
    return recorder, log


def _alone(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _alone(cast("BaseExceptionGroup[BaseException]", error))
        else:
            yield error
