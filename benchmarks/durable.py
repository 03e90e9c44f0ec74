"""Work for the journal's benchmark: whole trees on a file, agents of durability `message`, payloads of 300 bytes."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Final

import trio
from attrs import field, frozen
from attrs.validators import instance_of
from figures import Figures, Watch

from treewarden.agents import Agent, Ref, Request, handles
from treewarden.agents.core.path import Path as Slot
from treewarden.supervisor.common import LoopClock
from treewarden.supervisor.core.event import Recorded
from treewarden.supervisor.journal.port import Commit
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.journal.sqlite import SqliteJournal
from treewarden.topologies import open_tree, tree
from treewarden.topologies.child import child
from treewarden.topologies.running import Tree

__all__ = [
    "ASKERS",
    "TEXT",
    "ask_alone",
    "ask_at_a_rate",
    "ask_many",
    "at_a_rate",
    "bytes_each",
    "chain",
    "floor",
    "tell_many",
    "together",
    "verify",
]

TEXT: Final = "x" * 280
"""With its surroundings in JSON, about 300 bytes."""
_TELLERS: Final = 256
ASKERS: Final = 400
_SELDOM: Final = 0.02
"""Seconds between two looks at the loop, where no bar is about it: each wakes a loop that waits for the disk."""
_RAMP: Final = 0.1
"""Seconds over which the first asks are spread: else what is seen is how a starting gun sounds."""


@frozen
class Put(Request[int]):
    text: str = field(validator=instance_of(str))


@frozen
class Store:
    text: str


@frozen
class Count(Request[int]): ...


@frozen
class Nothing:
    """A message that changes nothing."""

    number: int


@frozen
class Seen:
    number: int
    text: str = ""


@frozen
class Box:
    count: int = 0
    text: str = ""


class Keeper(Agent[Box]):
    """Keeps the last text, in a state that is written with every settle."""

    state = Box()

    @handles
    def put(self, message: Put) -> int:
        self.state = Box(self.state.count + 1, message.text)
        return self.state.count

    @handles
    def store(self, message: Store) -> None:
        self.state = Box(self.state.count + 1, message.text)

    @handles
    def count(self, message: Count) -> int:
        return self.state.count


class Scribe(Agent[Box]):
    """Writes down what it is told: nothing of a message is left but its fact."""

    state = Box()

    @handles
    async def store(self, message: Store) -> None:
        self.record(Seen(0, message.text))

    @handles
    async def put(self, message: Put) -> int:
        self.state = Box(self.state.count, message.text)
        return 0

    @handles
    async def nothing(self, message: Nothing) -> None:
        """Settled all the same."""

    @handles
    async def count(self, message: Count) -> int:
        return self.state.count


# -- the floor


def floor(file: Path, seconds: float) -> float:
    """One-row commits per second of plain sqlite3: write-ahead log, `synchronous=EXTRA`."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = EXTRA")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, body TEXT)")
        count, begin = 0, time.perf_counter()
        while time.perf_counter() - begin < seconds:
            for _ in range(50):
                connection.execute("INSERT INTO rows VALUES (NULL, ?)", (TEXT,))
            count += 50
        return count / (time.perf_counter() - begin)


# -- settles


@asynccontextmanager
async def keepers(file: Path, count: int) -> AsyncGenerator[Tree]:
    async with open_tree(tree(*(child(Keeper, id=f"k{number}") for number in range(count))), journal=file) as running:
        yield running


async def ask_alone(file: Path, size: int) -> Figures:
    """One agent; the next ask when the last one was answered."""
    async with keepers(file, 1) as running:
        ref = running.ref("k0")
        await ref.ask(Put(TEXT))
        before = transactions(file)
        watch = Watch()
        async with watch.looking(_SELDOM):
            for _ in range(size):
                with watch.timed():
                    await ref.ask(Put(TEXT), within=60)
        return watch.figures(size, transactions(file) - before)


async def tell_many(file: Path, size: int) -> Figures:
    """One agent, told by many: each waits until its message is durable. A message counts when it has settled, too."""
    async with keepers(file, 1) as running:
        ref = running.ref("k0")
        await ref.ask(Put(TEXT))
        before, left = transactions(file), iter(range(size))
        watch = Watch()

        async def teller() -> None:
            for _ in left:
                with watch.timed():
                    await ref.tell(Store(TEXT), within=60)

        async with watch.looking(_SELDOM):
            await together([teller] * _TELLERS)
            assert await ref.ask(Count(), within=60) == size + 1
        return watch.figures(size, transactions(file) - before)


def ask_many(agents: int) -> Callable[[Path, int], Awaitable[Figures]]:
    """So many agents, each asked again as soon as it has answered."""

    async def case(file: Path, size: int) -> Figures:
        async with keepers(file, agents) as running:
            refs = [running.ref(f"k{number}") for number in range(agents)]
            await together([lambda ref=ref: _ask(ref) for ref in refs])
            before, watch = transactions(file), Watch()

            async def asker(number: int) -> None:
                await trio.sleep(number / agents * _RAMP)
                for _ in range(size // agents):
                    with watch.timed():
                        await refs[number].ask(Put(TEXT), within=60)

            async with watch.looking():
                await together([lambda number=number: asker(number) for number in range(agents)])
            return watch.figures(size // agents * agents, transactions(file) - before)

    return case


def ask_at_a_rate(agents: int, share: float) -> Callable[[Path, int, float], Awaitable[Figures]]:
    """So many agents, asked at `share` of the floor, whether they keep up or not: how long does an answer take?

    A time counts from when the ask was due, so that one that had to wait for its asker is not told as fast.
    """

    async def case(file: Path, size: int, floor: float) -> Figures:
        async with keepers(file, agents) as running:
            refs = [running.ref(f"k{number}") for number in range(agents)]
            await together([lambda ref=ref: _ask(ref) for ref in refs])
            watch, chance = Watch(), random.Random(0)

            async def ask() -> None:
                await refs[chance.randrange(agents)].ask(Put(TEXT), within=60)

            async with watch.looking():
                await at_a_rate(ask, share * floor, size, watch.times)
            return watch.figures(size // ASKERS * ASKERS, 0, of=watch.p99)

    return case


async def at_a_rate(work: Callable[[], Awaitable[None]], rate: float, size: int, times: list[float]) -> None:
    """`size` times `work`, due `rate` times a second, in turn by as many tasks as there are `ASKERS`.

    Into `times` goes how long after it was due each was done. One task wakes whoever is due, and who is late does not
    sleep: with a timer for each of them a third of the loop's time would go to the question what time it is.
    """
    begin, count = trio.current_time() + 0.01, size // ASKERS * ASKERS
    asleep: dict[int, trio.lowlevel.Task] = {}

    def due(turn: int) -> float:
        return begin + turn / rate

    def abort(turn: int, _: object) -> trio.lowlevel.Abort:
        del asleep[turn]
        return trio.lowlevel.Abort.SUCCEEDED

    async def asker(number: int) -> None:
        for turn in range(number, count, ASKERS):
            if due(turn) > trio.current_time():
                asleep[turn] = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(partial(abort, turn))
            await work()
            times.append(trio.current_time() - due(turn))

    async with trio.open_nursery() as nursery:
        for number in range(ASKERS):
            nursery.start_soon(asker, number)
        for turn in range(count):
            if due(turn) > trio.current_time():
                await trio.sleep_until(due(turn))
            sleeper = asleep.pop(turn, None)
            if sleeper is not None:
                trio.lowlevel.reschedule(sleeper)


async def _ask(ref: Ref) -> None:
    await ref.ask(Put(TEXT), within=60)


async def together(work: Sequence[Callable[[], Awaitable[None]]]) -> None:
    async with trio.open_nursery() as nursery:
        for each in work:
            nursery.start_soon(each)


# -- events


async def chain(file: Path, size: int) -> Figures:
    """Events, one to a commit, chained. As many are on their way as come while the disk is busy, 2,000 at most."""
    async with SqliteJournal(file, clock=LoopClock(time.time)) as journal:
        await journal.commit(Commit())
        left, watch, path = iter(range(size)), Watch(), Slot("desk")

        async def writer() -> None:
            for number in left:
                fact = Recorded(path=path, kind="bench:Seen", facts={"number": number, "text": TEXT})
                with watch.timed():
                    await journal.commit(Commit(events=((time.time(), fact),)))

        async with watch.looking():
            await together([writer] * 1000)
        return watch.figures(size, 0)


async def verify(file: Path, size: int) -> Figures:
    """The chain of a file checked from its first row to its last."""
    await chain(file, size)
    with JournalFile.open(file) as reading:
        begin = time.perf_counter()
        verdict = reading.verify()
        took = time.perf_counter() - begin
    assert verdict.sound
    assert verdict.head.seq == size
    return Figures(size / took)


# -- bytes


async def bytes_each(file: Path, size: int, *, unchanged: bool) -> Figures:
    """How much a settle adds to the file, closed and copied from its log.

    Either a message of 300 bytes whose fact is kept, or one that changes nothing beside a state of 100 kB.
    """
    lengths: list[int] = []
    for count in (0, size):
        async with open_tree(tree(Scribe), journal=file) as running:
            ref = running.ref("scribe")
            if unchanged and not count:
                await ref.ask(Put("x" * 100_000))
            for number in range(count):
                await ref.tell(Nothing(number) if unchanged else Store(TEXT))
            await ref.ask(Count(), within=60)
        lengths.append(await trio.to_thread.run_sync(_length, file))
    return Figures((lengths[1] - lengths[0]) / size)


def _length(file: Path) -> int:
    return file.stat().st_size


# -- watching


def transactions(file: Path) -> int:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        (count,) = connection.execute("SELECT commits FROM meta").fetchone()
        return count
