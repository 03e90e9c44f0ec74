"""Decisions say that the code of an agent has changed where it has, however many of it there are, and long after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents import Agent, Job, handles, worker
from treewarden.agents.core.path import Path as Slot
from treewarden.supervisor import Strategy
from treewarden.supervisor.core.event import Decided, Recorded
from treewarden.supervisor.journal.port import Journal
from treewarden.topologies import Blueprint, Tree, child, open_tree, tree

from ..journals import on_disk

CLOCK = trio.testing.MockClock


@frozen
class Poll:
    host: str = ""


class Poller(Agent[int]):
    state = 0

    def __init__(self, period: float = 1.0) -> None:
        self.period = period

    @handles
    def poll(self, message: Poll) -> None:
        raise ConnectionError(message.host)


class Newer(Poller):
    @handles
    def poll(self, message: Poll) -> None:
        raise ConnectionError("newer")


async def one(job: Job) -> None:
    await trio.sleep_forever()


async def other(job: Job) -> None:
    await trio.sleep_forever()


BEFORE = tree(child(Poller, id="a"), child(Poller, id="b", args={"period": 2.0}), child(worker(one), id="one"))
SAME_CODE = {
    "the same": BEFORE,
    "one more": tree(*BEFORE.children, child(Poller, id="c")),
    "one less": tree(child(Poller, id="a"), child(worker(one), id="one")),
    "another argument": tree(child(Poller, id="a", args={"period": 9.0}), child(worker(one), id="one")),
    "another strategy": tree(*BEFORE.children, strategy=Strategy.REST_FOR_ONE),
}
OTHER_CODE = {
    "another class": tree(child(Newer, id="a"), child(Poller, id="b"), child(worker(one), id="one")),
    "another function": tree(child(Poller, id="a"), child(worker(other), id="one")),
}


@pytest.fixture
def processes(tmp_path: Path) -> Callable[[], Journal]:
    """Each call is the next process."""
    return lambda: on_disk(tmp_path / "tree.db")


async def is_new(running: Tree) -> bool:
    """Whether the next decision about `a` sees code that has changed."""
    async with running.events(running.head) as events:
        await running.ref("a").tell(Poll("down"))
        async for record in events:
            if isinstance(record.event, Decided):
                return any("code_changed" in symptom for symptom in record.event.symptoms)
    raise AssertionError


@pytest.mark.parametrize(
    ("after", "new"),
    [(each, False) for each in SAME_CODE.values()] + [(each, True) for each in OTHER_CODE.values()],
    ids=[*SAME_CODE, *OTHER_CODE],
)
async def test_of_the_next_process(
    processes: Callable[[], Journal], after: Blueprint, new: bool, autojump_clock: CLOCK
) -> None:
    async with open_tree(BEFORE, journal=processes()) as running:
        assert not await is_new(running)
    async with open_tree(after, journal=processes()) as running:
        assert await is_new(running) is new


async def test_it_is_seen_however_much_has_happened_since(
    processes: Callable[[], Journal], autojump_clock: CLOCK
) -> None:
    """Few events are looked at when a tree opens, and a fleet has as many in minutes."""
    async with open_tree(BEFORE, journal=processes()) as running:
        running.note(*[Recorded(path=Slot("b"), kind="Polled", facts={}) for _ in range(6000)])
    async with open_tree(OTHER_CODE["another class"], journal=processes()) as running:
        assert await is_new(running)


async def test_what_was_reloaded_is_not_new_in_the_next_process(
    processes: Callable[[], Journal], autojump_clock: CLOCK
) -> None:
    after = OTHER_CODE["another class"]
    async with open_tree(BEFORE, journal=processes()) as running:
        await running.reload(after)
        assert await is_new(running), "of what a reload has changed it is"
    async with open_tree(after, journal=processes()) as running:
        assert not await is_new(running)
    async with open_tree(BEFORE, journal=processes()) as running:
        assert await is_new(running)
