"""A told message that is on disk, and its mailbox that has ended meanwhile, or whose end goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.errors import AgentStopped
from treewarden.agents.slot import Slot
from treewarden.supervisor.core.event import DeadLettered
from treewarden.supervisor.journal.port import Commit
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.journal.sqlite import SqliteJournal
from treewarden.supervisor.testing import inline_run_sync
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

from ..journals import WallClock


@frozen
class Letter: ...


class Desk(Agent[int]):
    state = 0

    @handles
    def take(self, _: Letter) -> None:
        self.state += 1


class Slow(SqliteJournal):
    """Whoever accepts a message is told that it is on disk only after something else has happened."""

    meanwhile: Callable[[], object] | None = None

    def submit(self, commit: Commit, then: Callable[[BaseException | None], None]) -> None:
        def kept(error: BaseException | None) -> None:
            if self.meanwhile is not None:
                self.meanwhile()
            then(error)

        super().submit(commit, kept if commit.accepted else then)


@pytest.fixture
def journal(tmp_path: Path) -> Slow:
    return Slow(tmp_path / "tree.db", clock=WallClock(), run_sync=inline_run_sync)


def slot_of(running: Tree) -> Slot:
    slot = running._common.registry.get(running.ref("desk").path)  # pyright: ignore[reportPrivateUsage]
    assert slot is not None
    return slot


async def test_the_slot_has_ended_before_it_arrives(
    autojump_clock: trio.testing.MockClock, journal: Slow, tmp_path: Path
) -> None:
    async with open_tree(tree(Desk), journal=journal) as running:
        slot = slot_of(running)
        journal.meanwhile = lambda: slot.close(AgentStopped("desk: it is over", path=slot.path))
        await running.ref("desk").tell(Letter())
    with JournalFile.open(tmp_path / "tree.db") as reading:
        told = [record.event for record in reading.records(kinds=[DeadLettered.__name__])]
    assert [event.reason for event in told if isinstance(event, DeadLettered)] == [
        "the slot ended before the message arrived"
    ]


async def test_who_waits_for_it_is_told_although_that_goes_wrong(
    autojump_clock: trio.testing.MockClock, journal: Slow
) -> None:
    """Its wait cannot be cancelled, so nothing else would end it: the tree never ended then."""

    def refuse(*_: object) -> None:
        raise ZeroDivisionError

    sent: list[bool] = []

    async def work() -> None:
        async with open_tree(tree(Desk), journal=journal) as running:
            slot = slot_of(running)
            slot.on_drop = refuse
            journal.meanwhile = lambda: slot.close(AgentStopped("desk: it is over", path=slot.path))
            try:
                await running.ref("desk").tell(Letter())
            finally:
                sent.append(True)

    with pytest.raises(ExceptionGroup) as ended:
        await work()
    assert ended.value.subgroup(ZeroDivisionError) is not None
    assert sent
