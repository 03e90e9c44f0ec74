"""Runs trees whose handlers act on the world outside, through the real journal, and what has to hold of both."""

from __future__ import annotations

import json
import pathlib
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from typing import Any, Final, cast

import trio
import trio.testing
from attrs import evolve, frozen

from treewarden.agents.core.step import MARK, key_of, step_of
from treewarden.agents.errors import TreewardenError
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.supervisor.journal.port import Commit, Seq
from treewarden.supervisor.journal.sqlite import SqliteJournal
from treewarden.supervisor.testing import inline_run_sync
from treewarden.topologies import child, tree
from treewarden.topologies.chaos.determinism import ordered_by
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree

from ...journals import WALL, WallClock
from .adapter import Connection, Database
from .checks import Kind, Violation
from .desk import SAYS, Bank, Clerk, Desk, Pay, Settled
from .reopening import Reopened
from .scribe import Workload
from .vfs import Disk, Op, Vfs, seed_sqlite
from .workload import FILE, Processes, Recorder, Recording
from .world import Expected, Outside, Tables, World

__all__ = ["Foreseen", "Lives", "acted", "go_on", "live", "lives"]

_LEASE: Final = 1e9
"""Seconds: renewing it is for other workloads."""
_WITHIN: Final = 60.0


@frozen
class Life:
    """One process: what its desk is to pay, and in which call of the bank it dies, if it does."""

    pays: tuple[Pay, ...] = ()
    dies_at: int = 0


@frozen(kw_only=True)
class Lives(Workload):
    """Processes on one file, one after the other."""

    lives: tuple[Life, ...]


def lives(seed: int) -> list[Lives]:
    """Another seed: other payments, orders and deaths."""
    chance = random.Random(f"{seed} lives")
    says = [*SAYS, *chance.choices(SAYS, k=2)]
    chance.shuffle(says)
    pays = tuple(Pay(number, each) for number, each in enumerate(says, 1))
    two = (Life(pays[:5], chance.randint(2, 4)), Life(pays[5:]))
    others = tuple(Pay(number, each) for number, each in enumerate(chance.sample(SAYS, len(SAYS)), 1))
    return [
        Lives(name="effects", sessions=(), lives=(Life(others),)),
        Lives(name="effects of two", sessions=(), lives=two, autocheckpoint=12),
    ]


class Foreseen(SqliteJournal):
    """The real journal. What each commit makes of the tables may be there from when it is queued, and has to be from
    when somebody is told so. A mutant overrides `commit` or `submit`."""

    def __init__(self, recorder: _Living, database: Database, processes: Processes) -> None:
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


class _Living(Recorder):
    """Runs the lives of a workload; `begins` says which world the disk holds, in which epoch, and how it is outside."""

    def __init__(
        self, workload: Lives, database: Database, disk: Disk, kind: type[Foreseen], begins: tuple[World, int, Outside]
    ) -> None:
        super().__init__(workload, database, disk)
        world, epoch, outside = begins
        self.worlds, self.owners = [world], epoch
        self.expected = Expected((0,), (epoch, epoch), outside=outside)
        self.bank = Bank(self._outside, outside)
        self.lives = workload.lives
        self._kind = kind

    async def run(self) -> None:
        self.disk.note(self.expected)
        for life in self.lives:
            try:
                with trio.fail_after(_WITHIN * 10):
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
        bank = self.bank = Bank(self._outside, self.bank.outside)
        bank.dies_at = life.dies_at
        args = {"bank": bank}
        blueprint = tree(child(Clerk, args=args, backoff=NO_BACKOFF), child(Desk, args=args, backoff=NO_BACKOFF))
        async with (
            open_tree(blueprint, journal=journal, wall=WallClock().wall, seed=0) as running,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(self._die, nursery.cancel_scope)
            nursery.start_soon(_person, running, bank)
            await self._work(running, life)
            nursery.cancel_scope.cancel()
        if not self.disk.dead:
            self._expect(closed=True)

    async def _die(self, work: trio.CancelScope) -> None:
        await self.bank.died.wait()
        self.disk.dead = True
        work.cancel()

    async def _work(self, running: Tree, life: Life) -> None:
        for pay in life.pays:
            await running.ref("desk").tell(pay, within=_WITHIN)
            if pay.number % 2:
                await self._look(running)
        await self._look(running)

    async def _look(self, running: Tree) -> None:
        """Ask behind all that waits, for what has settled."""
        settled = await running.ref("desk").ask(Settled(), within=_WITHIN)
        self._outside(evolve(self.bank.outside, settled=settled))

    def _outside(self, outside: Outside) -> None:
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
        await trio.sleep(0.05)


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
    next_one = evolve(workload, lives=(Life(),))
    recorder, log = _run(next_one, vfs, disk, 0, Connection, Foreseen, (world, epoch, outside))
    faults = [*recorder.problems, *_undone(recorder, world)]
    if faults:
        return Violation(Kind.EFFECT if not recorder.problems else Kind.REOPENED, "; ".join(faults))
    return Reopened(tuple(log), tuple(recorder.worlds))


def _run(
    workload: Lives, vfs: Vfs, disk: Disk, seed: int, connection: type[Connection], journal: type[Foreseen],
    begins: tuple[World, int, Outside],
) -> tuple[_Living, list[Op]]:  # fmt: skip
    log: list[Op] = []
    disk.log, disk.ahead, vfs.disk = log, workload.ahead, disk
    seed_sqlite(seed)
    database = Database(
        vfs=vfs.name, page_size=workload.page_size, autocheckpoint=workload.autocheckpoint, kind=connection
    )
    recorder = _Living(workload, database, disk, journal, begins)
    with ordered_by(seed):
        trio.run(recorder.run, clock=trio.testing.MockClock(autojump_threshold=0))
    return recorder, log


def acted(tables: Tables, outside: Outside) -> list[str]:
    """What is wrong between the tables that a power cut has left, and the world outside."""
    numbers = {path: [act["number"] for act in acts] for path, acts in _acts(tables).items()}
    begun = {key_of(step_of(id)) for id, *_ in tables["replies"] if MARK in id}
    faults = [
        f"what was done for {call.path} {call.number} is neither settled nor known to have begun"
        for call in outside.calls
        if call.key not in begun and call.number not in numbers.get(call.path, ())
    ]
    desk = numbers.get("desk", [])
    faults += [f"payment {number} has settled, and is not there" for number in outside.settled if number not in desk]
    faults += [f"payment {number} is there {n} times" for number, n in Counter(desk).items() if n > 1]
    faults += [f"what is remembered is not what was done: {act}" for act in _misremembered(tables, outside)]
    waiting = {row[2] for row in tables["mailbox"]}
    faults += [f"{id} is kept, and its message is gone" for id, *_ in tables["replies"] if _root(id) not in waiting]
    results = [(id, key_of(step_of(id))) for id, *_ in tables["replies"] if id.endswith(">done")]
    faults += [f"{id} is a result of nothing that was done" for id, key in results if key not in outside.done]
    known = {key for _, key in results}
    faults += [
        f"{after.path} {after.number} went on to {after.key}, and what came of {call.key} is not on disk"
        for call, after in combinations(outside.calls, 2)
        if (call.path, call.number) == (after.path, after.number) and call.key not in {after.key, *known}
        if call.number not in numbers.get(call.path, ())
    ]
    return faults


def _undone(recorder: _Living, world: World) -> Iterator[str]:
    """What is wrong when everything that waited has been done."""
    tables, outside = recorder.worlds[recorder.now].tables(), recorder.bank.outside
    yield from acted(tables, outside)
    for name in ("mailbox", "dead letters", "replies"):
        if tables[name]:
            yield f"something is left over: {name} {tables[name]}"
    waited = [json.loads(row[5])["number"] for row in world.tables()["mailbox"] if row[1] == "desk"]
    had = [act["number"] for act in _acts(world.tables()).get("desk", ())]
    has = [act["number"] for act in _acts(tables).get("desk", ())]
    if sorted(has) != sorted([*had, *waited]):
        yield f"payments {had} had settled, {waited} waited, and now there are {has}"
    times = Counter(call.key for call in outside.calls)
    yield from (f"{key} was done {n} times, and nobody has said that it may be" for key, n in times.items() if n > 1)


def _acts(tables: Tables) -> dict[str, list[dict[str, Any]]]:
    return {row[0]: json.loads(row[3])["acts"] for row in tables["states"] if row[0] in ("desk", "clerk")}


def _misremembered(tables: Tables, outside: Outside) -> list[dict[str, Any]]:
    acts = [act for each in _acts(tables).values() for act in each]
    return [act for act in acts if outside.done.get(act["key"]) != act["nth"]]


def _root(id: str) -> str:
    return id.partition(">")[0]


def _alone(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _alone(cast("BaseExceptionGroup[BaseException]", error))
        else:
            yield error
