"""What else may come while a large state is being taken: steps, commands of another process, a drain, a hold, a stop, a
disk that is full. What is in hand settles once, and what waits behind it is neither lost nor handled twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw
import pytest
import trio
from trio.testing import MockClock

from treewarden.agents import MESSAGE, Checkpointed, Durability
from treewarden.agents.errors import CheckpointRefused, NoSuchSlot
from treewarden.supervisor.core.event import DeadLettered, Recorded, SignalNoted
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.rule_table import Rule
from treewarden.supervisor.core.spec import BRUTAL_KILL, Strategy
from treewarden.supervisor.core.table import table
from treewarden.supervisor.journal.sending import Outcome
from treewarden.topologies import child, open_tree, tree
from treewarden.topologies.running import Tree

from ..agents.trees import Disk, events
from ..crash.explorer.adapter import Database
from ..crash.explorer.vfs import Disk as Sectors
from ..crash.explorer.vfs import Vfs, mounted
from ..crash.explorer.workload import Processes, journal_on
from ..journals import WALL, on_disk
from ..topologies.commanded import order
from .clerks import FEW, MANY, TURNS, Add, Buyer, Clerk, Slow, clerk, short_slices, sums, turns

__all__ = ["short_slices"]

pytestmark = pytest.mark.usefixtures("short_slices")

LEVELS = (MESSAGE, Checkpointed(messages=1))


@pytest.fixture
def vfs() -> Iterator[Vfs]:
    with mounted() as vfs:
        vfs.disk = Sectors(wall=lambda: WALL + trio.current_time())
        yield vfs


def full(call: str) -> int:
    return apsw.SQLITE_FULL if call == "write" else 0


async def told(running: Tree, *numbers: int) -> None:
    """The first of them is being taken when this returns."""
    for number in numbers:
        await running.ref("clerk").tell(Add(number))
    await turns(FEW)
    assert running.ref("clerk").statistics().depth >= len(numbers) - 1


@pytest.mark.parametrize("after", range(1, 2 * TURNS, 9))
@pytest.mark.parametrize("killed", ["clerk", "copy"])
async def test_a_step_counts_once_whoever_is_killed(after: int, killed: str, autojump_clock: MockClock) -> None:
    journal = Disk()
    two = tree(clerk(Buyer), child(Clerk, id="copy"), policy=otp(), restarts=MANY)
    async with open_tree(two, journal=journal) as running:
        for number in (1, 2, 3):
            await running.ref("clerk").tell(Add(number))
        await turns(after)
        running.kill(killed)
        assert await sums(running) == (6, 3)
        assert await sums(running, "copy") == (6, 3)
    assert [each.facts for each in await events(journal, Recorded)] == [{"number": total} for total in (1, 3, 6)]


@pytest.mark.parametrize("durability", LEVELS)
@pytest.mark.parametrize(
    ("what", "fields", "comes_to"),
    [
        ("tell", {"kind": "Add", "data": {"number": 4}}, (7, 3)),
        ("checkpoint", {"name": "good"}, (3, 2)),
        ("stop", {}, None),
        ("drain", {}, None),
        ("roll_back", {"to": None}, None),
    ],
)
async def test_a_command_of_another_process_counts_once(
    what: str,
    fields: dict[str, Any],
    comes_to: tuple[int, int] | None,
    durability: Durability,
    tmp_path: Path,
    autojump_clock: MockClock,
) -> None:
    file = tmp_path / "tree.db"
    outcomes: list[Outcome] = []

    async def commanded() -> None:
        outcomes.append(await order(file, what, "clerk", **fields))

    async with open_tree(tree(clerk(durability=durability)), journal=on_disk(file)) as running:
        await told(running, 1, 2)
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(commanded)
            await turns(1)
            autojump_clock.jump(1.0)  # so that it is seen while the first one is being taken
            await turns(FEW)
        assert [outcome.state for outcome in outcomes] == ["applied", "applied"]
        if comes_to is not None:
            assert await sums(running) == comes_to
        elif what == "roll_back":
            total, count = await sums(running)
            assert (total, count) in ((0, 0), (2, 1))  # what was in hand may settle before it, and not twice
        elif what == "drain":
            await running.supervisor().restart_child("clerk")
            assert await sums(running) == (3, 2)
    async with open_tree(tree(clerk(durability=durability)), journal=on_disk(file)) as running:
        total, count = await sums(running)
        assert what == "roll_back" or (total, count) in ((3, 2), (7, 3))


@pytest.mark.parametrize("after", range(0, 2 * TURNS, 8))
async def test_a_slot_that_is_gone_when_its_state_was_taken_leaves_none(
    after: int, tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Whoever comes to that path later begins with the state that its class declares."""
    shape = tree(clerk(durability=Checkpointed(messages=100)), strategy=Strategy.DYNAMIC)
    async with open_tree(shape, journal=on_disk(tmp_path / "tree.db")) as running:
        await running.supervisor().start_dynamic(id="clerk")
        await running.ref("clerk").tell(Add(1))
        assert await sums(running) == (1, 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.supervisor().terminate_dynamic, "clerk")
            await turns(after)  # it is being kept at its end, and from here on a second time
            with suppress(NoSuchSlot, CheckpointRefused):
                await running.checkpoint("clerk", name="good")
        await running.supervisor().start_dynamic(id="clerk")
        assert await sums(running) == (0, 0)
        assert await running.checkpoints("clerk", name="good") == ()


@pytest.mark.parametrize("durability", LEVELS)
@pytest.mark.parametrize("kind", [Clerk, Slow])
async def test_nobody_is_slow_meanwhile(kind: type[Clerk], durability: Durability, autojump_clock: MockClock) -> None:
    """A handler that has returned is not what takes long, whatever `progress_within` says of handlers."""
    journal = Disk()
    async with open_tree(tree(clerk(kind, durability, progress_within=1.0)), journal=journal) as running:
        await told(running, 1, 2)
        for _ in range(12):
            autojump_clock.jump(0.25)  # as often as somebody looks
            await turns(2)
        assert running.ref("clerk").statistics().depth == 1
        assert await sums(running) == (3, 2)
    assert not await events(journal, SignalNoted)


@pytest.mark.parametrize("durability", LEVELS)
async def test_a_drain_waits_for_it(durability: Durability, autojump_clock: MockClock) -> None:
    async with open_tree(tree(clerk(durability=durability)), journal=Disk()) as running:
        await told(running, 1, 2)
        assert (await running.drain("clerk")).complete
        await running.supervisor().restart_child("clerk")
        assert await sums(running) == (3, 2)


@pytest.mark.parametrize("durability", LEVELS)
async def test_a_hold_lets_it_settle_and_keeps_what_waits_behind_it(
    durability: Durability, autojump_clock: MockClock
) -> None:
    journal = Disk()
    async with open_tree(
        tree(clerk(durability=durability), policy=table([Rule("reported:odd", "hold")])), journal=journal
    ) as running:
        await told(running, 1, 2)
        running.signal("clerk", {"kind": "odd", "severity": 0.9})
        await trio.sleep(60)
        assert running.ref("clerk").statistics().depth == 1
        assert [each.facts for each in await events(journal, Recorded)] == [{"number": 1}]
        running.resume("clerk")
        assert await sums(running) == (3, 2)


@pytest.mark.parametrize("durability", LEVELS)
@pytest.mark.parametrize("after", range(0, TURNS, 12))
async def test_a_stop_waits_for_it_or_leaves_the_message_to_the_next_process(
    after: int, durability: Durability, tmp_path: Path, autojump_clock: MockClock
) -> None:
    """A stop in order waits; one that does not wait cuts it short, and then `message` handles it again."""
    file = tmp_path / "tree.db"
    impatient = clerk(durability=durability, shutdown=BRUTAL_KILL)
    async with open_tree(tree(impatient), journal=on_disk(file)) as running:
        await told(running, 1, 2)
        await turns(after)
    async with open_tree(tree(impatient), journal=on_disk(file)) as running:
        total, count = await sums(running)
        if durability is MESSAGE:
            assert (total, count) == (3, 2)
        else:  # its mailbox is in memory
            assert (total, count) in ((0, 0), (1, 1), (3, 2))


@pytest.mark.parametrize("durability", LEVELS)
@pytest.mark.parametrize("after", range(0, TURNS, 12))
async def test_it_settles_once_when_a_full_disk_has_room_again(
    after: int, durability: Durability, vfs: Vfs, autojump_clock: MockClock
) -> None:
    journal = journal_on(Database(vfs=vfs.name), Processes(1))
    shape = tree(clerk(durability=durability), policy=otp(), restarts=MANY)
    async with open_tree(shape, journal=journal, wall=lambda: WALL + trio.current_time()) as running:
        await told(running, 1, 2, 3)
        await turns(after)
        vfs.disk.fault = full
        await trio.sleep(60)
        vfs.disk.fault = None
        assert await sums(running) == (6, 3)
        found = [record.event for record in await journal.read(limit=10_000)]
    recorded = [event.facts["number"] for event in found if isinstance(event, Recorded)]
    assert recorded == [1, 2, 3]
    assert not [event for event in found if isinstance(event, DeadLettered)]
