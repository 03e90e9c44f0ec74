"""Runs a workload through the real journal, and keeps what the disk saw and what may be expected at each moment."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import trio
import trio.testing
from attrs import evolve, frozen

from treewarden.agents.core.path import Path
from treewarden.agents.errors import EpochLost, JournalError
from treewarden.supervisor.journal.holder import Fate, Process
from treewarden.supervisor.journal.port import Commit
from treewarden.supervisor.journal.sqlite import SqliteJournal
from treewarden.supervisor.testing import inline_run_sync

from ...journals import WALL, WallClock
from .adapter import Connection, Database
from .scribe import Asked, Batch, Fault, Session, Step, Workload
from .vfs import Disk, Op, Vfs, seed_sqlite
from .world import QUERIES, Expected, World, ask

__all__ = ["FILE", "LEASE", "Processes", "Recorder", "Recording", "journal_on", "record"]

FILE: Final = "/tree.db"
LEASE: Final = 10.0
_ATTEMPTS: Final = 5
_LIMIT: Final = 600.0
"""Seconds of the simulated clock that a workload may take."""


@frozen
class Processes:
    """A process table of one machine, on which every earlier owner is gone, or nobody can say."""

    number: int
    of_others: Fate = Fate.GONE

    def me(self) -> Process:
        return Process("here", self.number, "boot", "namespace", str(self.number))

    def fate(self, process: Process) -> Fate:
        return self.of_others

    def has_left(self, process: Process, file: pathlib.Path) -> bool:
        return False


@frozen
class Recording:
    """A workload as the disk saw it."""

    workload: Workload
    log: tuple[Op, ...]
    worlds: tuple[World, ...]
    """What the tables may hold, by number, as the log's marks name them."""
    problems: tuple[str, ...]
    """What the journal answered and should not have."""
    failed: int = 0
    """Times that commits were said not to be kept although they could have been."""
    given_up: int = 0
    """Journals that ended because nobody could say whether a commit was kept."""
    refused: int = 0
    """Calls that the disk has refused."""


class _Trouble:
    """A fault on its way: counts the calls that it is about, until somebody mends the disk."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._calls = 0
        self.refused = 0

    def __call__(self, call: str) -> int:
        if call not in self._fault.errors:
            return 0
        self._calls += 1
        if not self._fault.hits(self._calls - 1):
            return 0
        self.refused += 1
        return self._fault.errors[call]


class Recorder:
    """Runs the sessions of a workload, and notes what may be expected meanwhile."""

    def __init__(self, workload: Workload, database: Database, disk: Disk) -> None:
        self.workload = workload
        self.database = database
        self.disk = disk
        self.worlds = [World()]
        self.now = 0
        """The world that everything acknowledged so far adds up to."""
        self.expected = Expected()
        self.problems: list[str] = []
        self.owners = 0
        self.failed = 0
        self.given_up = 0
        self.refused = 0

    async def run(self) -> None:
        self.disk.note(self.expected)
        try:
            with trio.fail_after(_LIMIT):
                if self.workload.overlap:
                    await self._overlapping(*self.workload.sessions)
                else:
                    for session in self.workload.sessions:
                        await self._session(session)
        except* (JournalError, trio.TooSlowError) as group:
            self.problems.extend(f"{type(error).__name__}: {error}" for error in group.exceptions)

    def _journal(self, of_others: Fate = Fate.GONE) -> SqliteJournal:
        """The next owner, which will ask for the file at once."""
        self.owners += 1
        self._expect(epochs=(self.expected.epochs[0], self.owners), closed=False)
        return journal_on(self.database, Processes(self.owners, of_others))

    async def _session(self, session: Session) -> None:
        fault = self.workload.fault
        trouble = self.disk.fault = None if fault is None else _Trouble(fault)
        for attempt in range(_ATTEMPTS):
            opened = False
            try:
                async with self._journal() as journal:
                    opened = True
                    self._opened(journal)
                    await self._steps(journal, session.steps)
                    self.disk.dead = session.killed
                break
            except JournalError as error:
                if self.disk.fault is None or (opened and "nobody can say" not in str(error)):
                    raise
                if opened:
                    self.given_up += 1
                    break
                self._mend(attempt)
        else:
            self.problems.append("the file cannot be opened, again and again")
        self.disk.dead = False
        if not session.killed and self.disk.fault is None:
            self._expect(closed=True)
        self.disk.fault = None
        self.refused += 0 if trouble is None else trouble.refused

    def _mend(self, attempt: int) -> None:
        """Space has returned, and the disk works again: the second time that something is tried in vain."""
        if attempt and self.workload.fault is not None and not self.workload.fault.every:
            self.disk.fault = None

    async def _overlapping(self, first: Session, second: Session) -> None:
        """The first owner sleeps through its lease, comes back while the second works, and tries to go on."""
        slept, taken, tried = trio.Event(), trio.Event(), trio.Event()
        *before, after = first.steps
        assert isinstance(after, Batch)

        async def sleeper() -> None:
            try:
                async with self._journal() as journal:
                    self._opened(journal)
                    await self._steps(journal, before)
                    slept.set()
                    await taken.wait()
                    await journal.commit(after.commits[0])
                    self.problems.append("an owner's commit was acknowledged after another one had taken the file")
            except EpochLost:
                if not taken.is_set():
                    self.problems.append("an owner has lost the file to nobody")
            finally:
                slept.set()
                tried.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(sleeper)
            await slept.wait()
            self.disk.wall = lambda: WALL + trio.current_time() + LEASE + 1
            async with self._journal(Fate.UNKNOWN) as journal:
                self._opened(journal)
                await self._steps(journal, second.steps[:2])
                taken.set()
                await tried.wait()
                await self._steps(journal, second.steps[2:])
            self._expect(closed=True)

    def _opened(self, journal: SqliteJournal) -> None:
        epoch = journal.opened.epoch
        if not self.expected.epochs[0] < epoch <= self.owners:
            self.problems.append(f"owner {self.owners} was given epoch {epoch}")
        self.owners = epoch  # of those before it, some may have failed before they had the file
        self._expect(epochs=(epoch, epoch))
        if len(self.expected.worlds) > 1:  # the one before gave up, because it could not say which of them it is
            self.now = self._standing()
            self._expect(worlds=(self.now,))

    def _standing(self) -> int:
        """The number of the world that the file holds, of those that it may."""
        fault, self.disk.fault = self.disk.fault, None
        found = {name: ask(self.database.shared.inner, name) for name in QUERIES}
        self.disk.fault = fault
        standing = [number for number in self.expected.worlds if self.worlds[number].tables() == found]
        if not standing:
            self.problems.append("what nobody could say of a commit is neither that it was kept nor that it was not")
        return standing[0] if standing else self.now

    async def _steps(self, journal: SqliteJournal, steps: Sequence[Step]) -> None:
        for step in steps:
            if isinstance(step, Batch):
                await self._batch(journal, step.commits)
            elif isinstance(step, Asked):
                self._asked(step, journal.opened.epoch)
            else:
                await trio.sleep(step.seconds)

    def _asked(self, step: Asked, epoch: int) -> None:
        """As `sending` does it, from another process; here there is one connection for all."""
        self.worlds.append(self.worlds[self.now].asked(step.id, step.body, epoch))
        self._expect(worlds=(self.now, len(self.worlds) - 1))
        insert = "INSERT INTO commands VALUES (?,?,?,'waiting','',?)"
        self.database.shared.inner.execute(insert, (step.id, step.body, WALL, epoch)).fetchall()
        self.now = len(self.worlds) - 1
        self._expect(worlds=(self.now,))

    async def _batch(self, journal: SqliteJournal, commits: Sequence[Commit]) -> None:
        """Submit until everything is kept that can be: what a failing disk refused is tried again, as an agent does."""
        left = commits
        for attempt in range(_ATTEMPTS):
            left = await self._attempt(journal, left)
            if not left:
                return
            self._mend(attempt)
        self.problems.append("a commit is refused again and again")

    async def _attempt(self, journal: SqliteJournal, commits: Sequence[Commit]) -> Sequence[Commit]:
        """Submit `commits` together. Returns those that have to be tried again."""
        fits = self._foresee(commits, journal.opened.epoch)
        if self.disk.fault is not None and not all(fits):
            return await self._piecemeal(journal, commits, fits)
        coming = iter(self.expected.worlds[1:])
        answers: list[bool] = []
        done = trio.Event()

        def then(error: BaseException | None) -> None:
            answers.append(error is None)
            if answers == fits[: len(answers)] and error is None:
                self.now = next(coming)
                self._expect(worlds=self.expected.worlds[self.expected.worlds.index(self.now) :])
            if len(answers) == len(commits):
                done.set()

        for commit in commits:
            journal.submit(commit, then)
        await done.wait()
        self._expect(worlds=(self.now,))
        if answers == fits:
            return ()
        self.failed += 1
        if any(answers) or self.disk.fault is None:
            self.problems.append(f"of commits that should have ended so: {fits}, the journal said: {answers}")
            return ()
        return [commit for commit, fit in zip(commits, fits, strict=True) if fit]

    async def _piecemeal(self, journal: SqliteJournal, commits: Sequence[Commit], fits: Sequence[bool]) -> list[Commit]:
        """As `_attempt`, where the journal looks for those that cannot be kept, and the disk refuses it some of the
        others meanwhile: any of them may stand then, but for those that rest on one that does not."""
        worlds: dict[frozenset[int], int] = {frozenset(): self.now}
        for number, (commit, fit) in enumerate(zip(commits, fits, strict=True)):
            for before, at in [*worlds.items()] if fit else ():
                after = self.worlds[at].after(commit, journal.opened.epoch)
                if after is not None:
                    worlds[before | {number}] = len(self.worlds)
                    self.worlds.append(after)
        self._expect(worlds=tuple(worlds.values()))
        kept: set[int] = set()
        answered = 0
        done = trio.Event()

        def told(number: int, error: BaseException | None) -> None:
            nonlocal answered
            answered += 1
            if error is None:
                kept.add(number)
                self._expect(worlds=tuple(world for those, world in worlds.items() if kept <= those))
            if answered == len(commits):
                done.set()

        for number, commit in enumerate(commits):
            journal.submit(commit, partial(told, number))
        await done.wait()
        lost = [number for number, fit in enumerate(fits) if fit and number not in kept]
        rests = [number for number in kept for before in lost if before < number and _rests(commits, number, before)]
        if frozenset(kept) not in worlds or rests:
            self.problems.append(f"of commits of which these could be kept: {fits}, the journal kept {sorted(kept)}")
            return []
        self.now = worlds[frozenset(kept)]
        self._expect(worlds=(self.now,))
        self.failed += bool(lost)
        return [commits[number] for number in lost]

    def _foresee(self, commits: Sequence[Commit], epoch: int) -> list[bool]:
        """Which of `commits` are to be kept; what the tables may hold meanwhile is expected from here on."""
        fits: list[bool] = []
        may, world = [self.now], self.worlds[self.now]
        fallen: set[Path] = set()
        for commit in commits:
            after = world.after(commit, epoch) if commit.by not in fallen else None
            fits.append(after is not None)
            if after is not None:
                world = after
                may.append(len(self.worlds))
                self.worlds.append(after)
            elif commit.by is not None:
                fallen.add(commit.by)
        self._expect(worlds=tuple(may))
        return fits

    def _expect(self, **changes: Any) -> None:
        self.expected = evolve(self.expected, **changes)
        self.disk.note(self.expected)


def _rests(commits: Sequence[Commit], number: int, before: int) -> bool:
    by = commits[number].by
    return by is not None and by == commits[before].by


def journal_on(database: Database, processes: Processes) -> SqliteJournal:
    """The real journal, with everything of the outside put in its place."""
    return SqliteJournal(
        pathlib.Path(FILE),
        clock=WallClock(),
        run_sync=inline_run_sync,
        lease=LEASE,
        processes=processes,
        connect=database.connect,
        new_tree=lambda: "t",
    )


def record(
    workload: Workload,
    vfs: Vfs,
    *,
    seed: int = 0,
    connection: type[Connection] = Connection,
    lies: Callable[[str], bool] | None = None,
) -> Recording:
    """Run `workload` from an empty disk. The same arguments give the same recording."""
    disk = Disk(wall=lambda: WALL + trio.current_time())
    log: list[Op] = []
    disk.log, disk.ahead = log, workload.ahead
    if lies is not None:
        disk.lies = lies
    vfs.disk = disk
    seed_sqlite(seed)
    database = Database(
        vfs=vfs.name, page_size=workload.page_size, autocheckpoint=workload.autocheckpoint, kind=connection
    )
    recorder = Recorder(workload, database, disk)
    trio.run(recorder.run, clock=trio.testing.MockClock(autojump_threshold=0))
    return Recording(
        workload,
        tuple(log),
        tuple(recorder.worlds),
        tuple(recorder.problems),
        failed=recorder.failed,
        given_up=recorder.given_up,
        refused=recorder.refused,
    )
