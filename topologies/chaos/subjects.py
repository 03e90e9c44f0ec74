"""treewarden's own trees under test: every shape, strategy and durability, doing work whose end can be checked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

import trio
from attrs import evolve, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Checkpointed, Durability, MailboxSpec, Message
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.loops import LoopLimit
from treewarden.agents.core.message import Request
from treewarden.agents.errors import TreewardenError
from treewarden.supervisor.core.event import RolledBack
from treewarden.supervisor.core.spec import ChildSpec, Intensity, Strategy

from ..child import child
from ..core.blueprint import Blueprint
from ..core.faults import Fault
from ..core.routing import ROUTES, Route
from ..gather import gather
from ..partition import partitions
from ..pipeline import pipeline
from ..pool import pool
from ..running import Tree
from ..topic import topic
from ..tree import tree
from . import faults
from .determinism import sleep
from .lost import Lost
from .outside import Outside
from .promises import no_acknowledged_message_lost, no_duplicate_effects, order_per_sender
from .run import Setting
from .world import Check, World

__all__ = ["SUBJECTS", "Clerk", "Job", "Jobs", "Subject", "Work"]

_DURABILITIES: Final[dict[str, Durability]] = {
    "message": MESSAGE,
    "checkpoint": Checkpointed(messages=2),
    "volatile": VOLATILE,
}
_PATIENT: Final = Intensity(100_000, 1.0)
_JOBS: Final = 8
"""How many come in each second in which there may be faults: nothing is shown by those that strike when all is done."""
_READERS: Final = ("one", "two", "three")
_QUORUM: Final = 2


@frozen
class Job:
    """One piece of work."""

    number: int


@frozen
class Work(Request[tuple[int, ...]]):
    """Asks for the numbers of the jobs that were done."""


@frozen
class Jobs:
    """What a clerk has done."""

    done: tuple[int, ...] = ()


class Clerk(Agent[Jobs]):
    """Does each job outside, by its key, keeps its number, and hands it on."""

    state = Jobs()

    def __init__(self, outside: Outside, to: str = "", returns: bool = False) -> None:
        self.outside = outside
        self.to = to
        self.returns = returns

    async def on_start(self) -> None:
        await sleep(0.001)

    @handles
    async def job(self, message: Job) -> Job | None:
        await self.outside.effect(f"{self.path}: {message.number}", idempotent=True)
        self.state = evolve(self.state, done=(*self.state.done, message.number))
        if self.to:
            await self.ref(self.to).tell(message)
        return message if self.returns else None

    @handles
    def work(self, _: Work) -> tuple[int, ...]:
        return self.state.done


@frozen
class Opinion(Request[bool]):
    """Asks whether a job may be done."""

    number: int


class Reader(Clerk):
    """Reads each job outside, by its key, and agrees."""

    @handles
    async def opinion(self, message: Opinion) -> bool:
        await self.outside.effect(f"{self.path}: {message.number}", idempotent=True)
        return True


class Careful(Clerk):
    """Does what enough readers agree to."""

    @handles
    async def job(self, message: Job) -> None:
        readers = [self.ref(f"../{reader}") for reader in _READERS]
        gathered = await gather(readers, Opinion(message.number), quorum=_QUORUM, within=20.0)
        if all(gathered.replies.values()):
            await super().job(message)


@frozen
class Subject:
    """One tree, where its work goes in, and where each job comes out once."""

    name: str
    make: Callable[[World], Blueprint]
    entry: str
    exits: tuple[tuple[str, ...], ...]
    """Slots that take every job: of each group one of its members."""
    durability: Durability = MESSAGE
    ordered: bool = True
    """Whether jobs of one sender are done in their order; not by workers that share a queue."""
    children: int = 0
    """Children to be started at run time."""
    leaves_out: bool = False
    """Whether who is stopped or being drained gets nothing of what is told meanwhile, as with topics and broadcasts."""
    check: Check = lambda world: None
    """What else holds, always."""

    async def run(self, world: World) -> None:
        """The test: whatever happens, no job that was acknowledged is lost, and none is done twice."""
        if self.ordered:
            world.always(order_per_sender)
        world.always(no_acknowledged_message_lost)
        world.always(no_duplicate_effects)
        world.always(self.check)
        await world.start(self.make(world))
        for _ in range(self.children):
            await self._start_one(world)
        told: list[int] = []
        for number in range(world.some(round(_JOBS * max(1.0, world.within)))):
            if await world.tell(self.entry, Job(number)):
                told.append(number)
            await sleep(0.05 + 0.1 * world.draws.share())
        await world.calm()
        await _set_going(world)
        safe = isinstance(self.durability, Message) and not self.children
        for group in self.exits:
            await self._settle(world, group, set(told) if safe else set())
        world.sometimes("an agent was killed", world.faults["kill"] > 0)
        world.sometimes("the process died", world.process.crashes > 0)

    def _excused(self, world: World) -> bool:
        """Whether jobs may be missing: what was settled since a checkpoint is undone by going back to it, and topics
        and broadcasts leave out who is stopped or being drained."""
        undone = any(isinstance(event, RolledBack) for _, event in world.history.events)
        return undone or (self.leaves_out and any(world.faults[kind] for kind in ("drain", "cancel")))

    async def _start_one(self, world: World) -> None:
        try:
            await world.process.serve(lambda tree: tree.supervisor("/").start_dynamic())
        except (TreewardenError, Lost) as error:
            world.note(f"no child was started: {type(error).__name__}")

    async def _settle(self, world: World, group: Sequence[str], wanted: set[int]) -> None:
        deadline = trio.current_time() + 600.0
        while True:
            done = Counter([number for path in group for number in await self._done(world, path)])
            excused = self._excused(world)  # anew: a decision of the last fault may come after it
            missing = set[int]() if excused else wanted - done.keys() - _given_up(world, group)
            if not missing or trio.current_time() > deadline:
                break
            await _set_going(world)
            await sleep(1.0)
        twice = [number for number, times in done.items() if times > 1]
        if missing:
            world.fail("every acknowledged job is done", f"{'/'.join(group)} has not done {sorted(missing)}")
        if twice:
            world.fail("no job is done twice", f"{'/'.join(group)} has done {twice} more than once")

    async def _done(self, world: World, path: str) -> tuple[int, ...]:
        if not self.ordered:  # its workers are asked for nothing by themselves: what they did outside tells
            return tuple({int(effect.key.rpartition(" ")[2]) for effect in world.outside.effects})
        try:
            done = await world.ask(path, Work(), within=60.0)
        except (TreewardenError, Lost) as error:
            world.note(f"{type(error).__name__}: {error}", path)
            return ()
        outside = {effect.key for effect in world.outside.effects}
        only_said = [number for number in done if f"{path}: {number}" not in outside]
        if only_said:
            world.fail("what is said to be done is done", f"{path} only says so of {only_said}")
        return done


def _given_up(world: World, group: Sequence[str]) -> set[int]:
    """Jobs that became dead letters, at this exit or before it."""
    rows = world.disk.query("SELECT body FROM dead_letters")
    return {json.loads(body)["number"] for (body,) in rows}


async def _set_going(world: World) -> None:
    """What an operator does when it is calm again: whoever is held, or was stopped, goes on."""
    tree = await world.process.wait_up()
    for slot in tree.snapshot():
        above, id = str(slot.path.parent), slot.path.name
        try:
            if slot.state is SlotState.HELD:
                tree.resume(str(slot.path))
            elif slot.state is SlotState.DOWN:
                await world.process.serve(_restarting(above, id))
        except (TreewardenError, Lost) as error:
            world.note(f"{type(error).__name__}: {error}", str(slot.path))


def _restarting(above: str, id: str) -> Callable[[Tree], Awaitable[object]]:
    return lambda tree: tree.supervisor(above).restart_child(id)


def _clerk(world: World, durability: Durability, id: str, to: str = "", *, returns: bool = False) -> ChildSpec:
    mailbox = MailboxSpec(durability=durability, deliveries=1000)
    args = {"outside": world.outside, "to": to, "returns": returns}
    return child(Clerk, id=id, args=args, mailbox=mailbox, loops=LoopLimit())


def _plain(name: str, strategy: Strategy, durability: Durability) -> Subject:
    def make(world: World) -> Blueprint:
        auditor, clerk = _clerk(world, durability, "auditor"), _clerk(world, durability, "clerk", "../auditor")
        return tree(auditor, clerk, strategy=strategy, restarts=_PATIENT)

    return Subject(name, make, "clerk", (("clerk",), ("auditor",)), durability)


def _nested(name: str, durability: Durability) -> Subject:
    def make(world: World) -> Blueprint:
        desk = tree(
            _clerk(world, durability, "clerk", "archive/auditor"),
            id="desk", strategy=Strategy.ONE_FOR_ALL, restarts=_PATIENT,
        )  # fmt: skip
        archive = tree(_clerk(world, durability, "auditor"), id="archive", restarts=_PATIENT)
        return tree(archive, desk, strategy=Strategy.REST_FOR_ONE, restarts=_PATIENT)

    return Subject(name, make, "desk/clerk", (("desk/clerk",), ("archive/auditor",)), durability)


def _pooled(name: str, durability: Durability, route: Route) -> Subject:
    def make(world: World) -> Blueprint:
        key = "number" if route == "by_key" else None
        workers = pool(_clerk(world, durability, "clerk"), size=3, route=route, key=key, id="pool", restarts=_PATIENT)
        return tree(workers, restarts=_PATIENT)

    workers = tuple(f"pool/{number}" for number in range(3))
    exits = (("pool",),) if route == "shared" else (workers,)
    if route == "broadcast":
        exits = tuple((worker,) for worker in workers)
    ordered, leaves_out = route != "shared", route == "broadcast"
    return Subject(name, make, "pool", exits, durability, ordered=ordered, leaves_out=leaves_out)


def _partitioned(name: str, durability: Durability) -> Subject:
    def make(world: World) -> Blueprint:
        auditor, clerk = _clerk(world, durability, "auditor"), _clerk(world, durability, "clerk", "../auditor")
        desk = tree(auditor, clerk, id="desk", strategy=Strategy.ONE_FOR_ALL, restarts=_PATIENT)
        return tree(partitions(desk, 3, key="number", entry="clerk", id="desks", restarts=_PATIENT), restarts=_PATIENT)

    exits = tuple(tuple(f"desks/{number}/{slot}" for number in range(3)) for slot in ("clerk", "auditor"))
    return Subject(name, make, "desks", exits, durability)


def _gathering(name: str, durability: Durability) -> Subject:
    def make(world: World) -> Blueprint:
        mailbox = MailboxSpec(durability=durability, deliveries=1000)
        args = {"outside": world.outside}
        readers = [child(Reader, id=id, args=args, mailbox=mailbox) for id in _READERS]
        clerk = child(Careful, id="clerk", args=args, mailbox=mailbox, loops=LoopLimit())
        return tree(*readers, clerk, restarts=_PATIENT)

    return Subject(name, make, "clerk", (("clerk",),), durability, check=_read_by_enough)


def _read_by_enough(world: World) -> str:
    """What is wrong with jobs that were done although too few have agreed."""
    done = {effect.key for effect in world.outside.effects}
    jobs = [key.removeprefix("clerk: ") for key in done if key.startswith("clerk: ")]
    alone = [job for job in jobs if sum(f"{reader}: {job}" in done for reader in _READERS) < _QUORUM]
    return f"{sorted(alone)} were done, and fewer than {_QUORUM} had read them" if alone else ""


def _piped(name: str, durability: Durability) -> Subject:
    def make(world: World) -> Blueprint:
        stages = [_clerk(world, durability, id, returns=id != "out") for id in ("into", "middle", "out")]
        return tree(pipeline(*stages, id="line", restarts=_PATIENT), restarts=_PATIENT)

    return Subject(name, make, "line/into", (("line/into",), ("line/middle",), ("line/out",)), durability)


def _published(name: str, durability: Durability) -> Subject:
    def make(world: World) -> Blueprint:
        news = topic(_clerk(world, durability, "one"), _clerk(world, durability, "two"), id="news", restarts=_PATIENT)
        return tree(news, restarts=_PATIENT)

    return Subject(name, make, "news", (("news/one",), ("news/two",)), durability, leaves_out=True)


def _dynamic(name: str, durability: Durability) -> Subject:
    def make(world: World) -> Blueprint:
        return tree(_clerk(world, durability, "clerk"), strategy=Strategy.DYNAMIC, restarts=_PATIENT)

    return Subject(name, make, "clerk-1", (("clerk-1",),), durability, children=1)


def _all() -> Iterator[Subject]:
    for level, durability in _DURABILITIES.items():
        for strategy in (Strategy.ONE_FOR_ONE, Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE):
            yield _plain(f"tree/{strategy}/{level}", strategy, durability)
        yield _nested(f"nested/{level}", durability)
        for route in ROUTES:
            yield _pooled(f"pool/{route}/{level}", durability, route)
        yield _partitioned(f"partitions/{level}", durability)
        yield _gathering(f"gather/{level}", durability)
        yield _piped(f"pipeline/{level}", durability)
        yield _published(f"topic/{level}", durability)
        yield _dynamic(f"dynamic/{level}", durability)


SUBJECTS: Final[dict[str, Subject]] = {subject.name: subject for subject in _all()}
"""By name: `pool/shared/message`."""


def hardships() -> tuple[Fault, ...]:
    """What treewarden's own trees have to bear."""
    return (
        *(faults.kill(rate=1.5, budget=5), faults.crash(rate=0.3, budget=2), faults.slow(1.0, rate=0.5)),
        *(faults.stubborn(rate=0.1, budget=1), faults.disk_full(rate=0.2), faults.disk_locked(rate=0.2)),
        *(faults.io_error(rate=0.3), faults.lost_ack(rate=0.5), faults.torn_write(rate=0.2, budget=2)),
        *(faults.clock_jump(-600.0, rate=0.1), faults.clock_jump(rate=0.1), faults.clock_skew(rate=0.1, budget=1)),
        *(faults.suspend(30.0, rate=0.1, budget=1), faults.kill_supervisor(rate=0.5), faults.kill_in_mid_restart()),
        *(faults.cancel(rate=0.2, budget=1), faults.drain(rate=0.2, budget=1), faults.double_approval(rate=0.1)),
        *(
            faults.leak(rate=0.1, budget=1, grows=256.0),
            faults.tool_loop(rate=0.1, budget=1),
            faults.bad_version(rate=0.1),
        ),
    )


def hard(within: float = 4.0) -> Setting:
    """All hardships within so many seconds."""
    return Setting(faults=hardships(), within=within)
