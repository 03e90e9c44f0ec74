"""Many children at once: the same order and the same facts, and the collector as it was."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Generator
from pathlib import Path

import pytest
import trio
import trio.testing

from treewarden.agents.agent import Agent
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.errors import TreeFailed
from treewarden.supervisor import ChildSpec
from treewarden.supervisor.bulk import collector_at_rest
from treewarden.supervisor.core.event import ChildEnded, ChildStarted
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies import child, open_tree, tree

LOG: list[bool] = []


class Asleep(Agent[None]):
    """Has nothing to do before its first message."""


class Awake(Agent[None]):
    async def on_start(self) -> None:
        LOG.append(gc.isenabled())


class Broken(Agent[None]):
    def __init__(self) -> None:
        raise RuntimeError("not today")


@pytest.fixture(autouse=True)
def collector() -> Generator[None]:
    del LOG[:]
    gc.collect()  # in which CPython 3.12 freezes what is immortal
    before, frozen = gc.isenabled(), gc.get_freeze_count()
    yield
    assert gc.isenabled() is before
    assert gc.get_freeze_count() <= frozen


def some(number: int, broken: int = -1) -> list[ChildSpec]:
    """Every third is awake, and the rest asleep."""
    kinds = [Broken if n == broken else Awake if n % 3 == 0 else Asleep for n in range(number)]
    box = MailboxSpec(durability=VOLATILE)
    return [child(kind, id=f"n{n}", mailbox=box) for n, kind in enumerate(kinds)]


async def facts(journal: MemoryJournal) -> tuple[list[str], list[str]]:
    """Who started and who ended, in order."""
    events = [record.event for record in await journal.read(limit=10_000)]
    return (
        [event.path for event in events if isinstance(event, ChildStarted)],
        [event.path for event in events if isinstance(event, ChildEnded)],
    )


@pytest.mark.parametrize("number", [1, 10, 1100])
async def test_all_start_in_order_and_stop_in_the_reverse_one(
    autojump_clock: trio.testing.MockClock, number: int
) -> None:
    journal = MemoryJournal()
    async with open_tree(tree(*some(number)), journal=journal) as running:
        assert {status.state for status in running.snapshot()} == {"up"}
    assert [number < 1000] * len(LOG) == LOG
    started, ended = await facts(journal)
    assert started == [f"n{n}" for n in range(number)]
    assert ended == started[::-1]


async def test_one_that_does_not_start_takes_those_before_it_down(autojump_clock: trio.testing.MockClock) -> None:
    for broken in (7, 9, 300):
        journal = MemoryJournal()
        with pytest.raises(TreeFailed, match=r"its child did not start.*not today"):
            async with open_tree(tree(*some(400, broken)), journal=journal):
                pass
        started, ended = await facts(journal)
        assert started == [f"n{n}" for n in range(broken)]
        assert ended == started[::-1]


class Garbage:
    """Only the collector can end it."""

    def __init__(self) -> None:
        self.own = self


def test_a_collector_that_somebody_else_has_set_up_is_left_alone() -> None:
    with collector_at_rest(999):
        assert gc.isenabled()
    gc.disable()
    try:
        with collector_at_rest(1000):
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with collector_at_rest(1000):
            assert not gc.isenabled()
        assert gc.get_freeze_count() > frozen / 2, "some may have ended meanwhile, as everywhere"
    finally:
        gc.unfreeze()


def test_the_collector_comes_back_after_a_fault() -> None:
    with pytest.raises(LookupError), collector_at_rest(1000):
        raise LookupError


def test_little_is_left_to_the_collector_and_much_is_not() -> None:
    kept: list[list[int]] = []
    gc.collect()
    with collector_at_rest(1000):
        kept += [[] for _ in range(200)]
    assert gc.get_count()[0] > 150
    with collector_at_rest(1000):
        kept += [[] for _ in range(2000)]
    assert gc.get_count()[0] < 150 or gc.get_freeze_count(), "3.12 has frozen some itself"


async def test_a_process_that_opens_one_tree_after_the_other_keeps_no_garbage_of_earlier_ones(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    garbage = weakref.WeakSet[Garbage]()
    for _ in range(40):
        garbage.add(Garbage())
        async with open_tree(tree(*some(1)), journal=tmp_path / "desk.db"):
            pass
    assert len(garbage) < 20
