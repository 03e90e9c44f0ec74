"""A real disk that is full: a small tmpfs, which only root may mount (`make soak`)."""

from __future__ import annotations

import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest
import trio
from attrs import evolve, frozen

from treewarden.agents import Agent, Request, handles
from treewarden.supervisor.core.event import ChildEnded, DeadLettered, JournalFailed, JournalRecovered, Recorded
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.topologies import open_tree, tree


@frozen
class Add:
    number: int
    text: str = "x" * 300


@frozen
class Total(Request[int]): ...


@frozen
class Added:
    number: int


@frozen
class Tally:
    total: int = 0


class Counter(Agent[Tally]):
    state = Tally()

    @handles
    async def add(self, message: Add) -> None:
        self.state = evolve(self.state, total=self.state.total + message.number)
        self.record(Added(message.number))

    @handles
    async def total(self, _: Total) -> int:
        return self.state.total


@pytest.fixture
def tiny(tmp_path: Path) -> Generator[Path]:
    folder = tmp_path / "tiny"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(512)):
                pass
        except OSError:
            return


def test_a_disk_that_fills_up_and_is_cleared_loses_nothing(tiny: Path) -> None:
    journal, ballast, count = tiny / "tree.db", tiny / "ballast", 300

    async def work() -> None:
        async with open_tree(tree(Counter), journal=journal) as running:
            counter = running.ref("counter")
            await counter.tell(Add(1))
            async with trio.open_nursery() as nursery:
                left = iter(range(2, count + 1))

                async def teller() -> None:
                    for number in left:
                        await counter.tell(Add(number), within=60)

                for _ in range(8):
                    nursery.start_soon(teller)
                for _ in range(3):
                    await trio.to_thread.run_sync(fill, ballast)
                    await trio.sleep(1)
                    await trio.to_thread.run_sync(ballast.unlink)
                    await trio.sleep(0.5)
            assert await counter.ask(Total(), within=60) == sum(range(count + 1))

    trio.run(work)
    with JournalFile.open(journal) as reading:
        assert reading.verify().sound
        events = [record.event for record in reading.records(limit=100_000)]
    assert sorted(event.facts["number"] for event in events if isinstance(event, Recorded)) == [*range(1, count + 1)]
    assert not [event for event in events if isinstance(event, DeadLettered)]
    assert {JournalFailed, JournalRecovered} <= {type(event) for event in events}
    ends = [event.failure.type for event in events if isinstance(event, ChildEnded) and event.failure is not None]
    assert set(ends) <= {"CommitFailed"}
