"""An operator keeps, compares and goes back to states of a running tree."""

from __future__ import annotations

import pathlib
from typing import Any, ClassVar

import pytest
import trio
from attrs import evolve, frozen
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents import Agent, Upcasts, handles
from treewarden.agents.core.durability import MESSAGE, Checkpointed, Durability, MailboxSpec
from treewarden.agents.core.path import Path
from treewarden.agents.errors import CheckpointRefused, ConfigurationError, NoSuchSlot, StartFailed, UnknownKind
from treewarden.supervisor import Rule, table
from treewarden.supervisor.core.checkpoint import Retention
from treewarden.supervisor.core.diff import ABSENT, Change
from treewarden.supervisor.core.event import CheckpointKept, ChildStarted, RolledBack
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.journal.port import Commit, Kept
from treewarden.topologies.child import child
from treewarden.topologies.running import Tree

from ..agents.trees import Add, Bad, Counter, Gate, Held, Total, events, kept, opened, volatile
from ..journals import checkpoint, on_disk


async def add(running: Tree, *amounts: int) -> int:
    for amount in amounts:
        await running.ref("counter").tell(Add(amount))
    return await running.ref("counter").ask(Total())


@pytest.mark.parametrize("durability", [MESSAGE, Checkpointed(messages=100)])
async def test_a_state_is_kept_by_name_and_gone_back_to(durability: Durability, autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    async with opened(kept(Counter, durability, id="counter"), journal=journal) as running:
        await add(running, 1, 2)
        good = await running.checkpoint("counter", name="good", description="by hand", tags=["v1"])
        assert (good.path, good.name, good.tags, good.pinned) == ("counter", "good", ("v1",), True)
        assert await add(running, 4) == 7
        assert await running.roll_back("counter", to="good", by="ada") == good
        assert await running.ref("counter").ask(Total()) == 3
        assert await add(running, 10) == 13
        (told,) = await events(journal, RolledBack)
        assert (told.to, told.checkpoint, told.name, told.by) == (good.seq, good.number, "good", "ada")
        assert [each.checkpoint for each in await events(journal, CheckpointKept)] == [good.number]
        assert running.snapshot()[0].restarts == 1
        # What it had left can be gone back to as well.
        assert await running.roll_back("counter", to="before rolling back") is not None
        assert await running.ref("counter").ask(Total()) == 7


async def test_an_operators_rollback_begins_anew_what_a_policy_looks_back_from(autojump_clock: MockClock) -> None:
    """In the same incident: what came after it is as good as what had been there before."""
    back = table([Rule("crash", "roll_back")])
    mailbox = MailboxSpec(deliveries=1)
    counter = child(Counter, mailbox=mailbox, retention=Retention(every=1), backoff=NO_BACKOFF)
    async with opened(counter, policy=back) as running:
        await add(running, 1, 2, 4)
        await running.ref("counter").tell(Bad())
        await trio.sleep(1)
        assert await running.ref("counter").ask(Total()) == 3
        await running.roll_back("counter", to=None)
        assert await add(running, 10, 20, 40) == 70
        await running.ref("counter").tell(Bad())
        await trio.sleep(1)
        assert await running.ref("counter").ask(Total()) == 10, "the second time it goes two steps"


@frozen
class Score:
    __version__: ClassVar[int] = 2
    __upcasts__: ClassVar[Upcasts] = {1: lambda old: old}
    total: int = 0


class Scorer(Agent[Score]):
    state = Score()

    @handles
    def add(self, message: Add) -> None:
        self.state = Score(self.state.total + message.amount)
        if message.amount == 2:
            self.checkpoint("by itself")


@pytest.mark.parametrize("durability", [MESSAGE, Checkpointed(messages=1)])
async def test_whoever_keeps_a_state_keeps_the_version_of_its_class(
    durability: Durability, autojump_clock: MockClock
) -> None:
    journal = MemoryJournal()
    async with opened(kept(Scorer, durability, retention=Retention(every=1)), journal=journal) as running:
        for amount in (1, 2):
            await running.ref("scorer").tell(Add(amount))
            await wait_all_tasks_blocked()
        await running.checkpoint("scorer", name="by hand")
        found = await journal.checkpoints(running.ref("scorer").path)
        assert [each.name for each in found] == ["by hand", "by itself", ""]
        for each in found:
            held = await journal.checkpoint(each.number)
            assert held is not None
            assert (held.state.version, held.state.settled) == (2, 2 if each.name else 1)


async def test_the_next_process_goes_on_from_there(autojump_clock: MockClock, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "tree.db"
    async with opened(child(Counter), journal=on_disk(file)) as running:
        await add(running, 1, 2)
        good = await running.checkpoint("counter", tags=["good"])
        await add(running, 4)
        await running.roll_back("counter", to=good.number)
    async with opened(child(Counter), journal=on_disk(file)) as running:
        assert await running.ref("counter").ask(Total()) == 3
        assert [each.number for each in await running.checkpoints("counter", tags=["good"])] == [good.number]
        assert await running.roll_back("counter", to=None) is None
        assert await running.ref("counter").ask(Total()) == 0


async def test_what_is_gone_back_to_is_read_once(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, reads = MemoryJournal(), list[int]()
    read = journal.checkpoint

    async def counted(number: int) -> Kept | None:
        reads.append(number)
        return await read(number)

    async with opened(kept(Counter, MESSAGE, id="counter"), journal=journal) as running:
        assert await add(running, 1) == 1
        good = await running.checkpoint("counter", name="good")
        assert await add(running, 2) == 3
        monkeypatch.setattr(journal, "checkpoint", counted)
        await running.roll_back("counter", to=good.number)
        assert reads == [good.number]
        assert await running.ref("counter").ask(Total()) == 1


async def test_what_is_kept_is_not_read_again(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be ten megabytes, and who keeps it is told about it only."""

    async def refuse(number: int) -> None:
        raise AssertionError(f"the state of checkpoint {number} was read")

    journal = MemoryJournal()
    async with opened(kept(Counter, MESSAGE, id="counter"), journal=journal) as running:
        await add(running, 1, 2)
        monkeypatch.setattr(journal, "checkpoint", refuse)
        good = await running.checkpoint("counter", name="good")
        assert (good.name, good.settled) == ("good", 2)


async def test_what_waits_is_handled_afterwards(autojump_clock: MockClock) -> None:
    gate = Gate(shut=True)
    async with opened(child(Counter, args={"gate": gate})) as running:
        await add(running, 1)
        good = await running.checkpoint("counter", name="good")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.ref("counter").ask, Held("x"))
            await wait_all_tasks_blocked()
            await running.ref("counter").tell(Add(5))
            nursery.start_soon(lambda: running.roll_back("counter", to=good.number))
            await wait_all_tasks_blocked()
            gate.open()
        assert await running.ref("counter").ask(Total()) == 6


async def test_checkpoints_are_searched_in_the_whole_tree(autojump_clock: MockClock) -> None:
    async with opened(child(Counter, id="a"), child(Counter, id="b")) as running:
        for name in ("a", "b"):
            await running.ref(name).tell(Add(1))
            await wait_all_tasks_blocked()
            await running.checkpoint(name, name="nightly", description=f"of {name}")
        assert [each.path for each in await running.checkpoints(name="nightly")] == ["b", "a"]
        assert [each.path for each in await running.checkpoints(text="OF A")] == ["a"]
        assert len(await running.checkpoints("a")) == 2
        assert len(await running.checkpoints(limit=1)) == 1
        with pytest.raises(ConfigurationError, match="limit"):
            await running.checkpoints(limit=0)


async def test_two_states_are_compared(autojump_clock: MockClock) -> None:
    async with opened(child(Counter)) as running:
        await add(running, 1)
        before = await running.checkpoint("counter", name="one")
        await add(running, 4)
        after = await running.checkpoint("counter", name="two")
        expected = (Change("/total", 1, 5), Change("/seen/1", ABSENT, 4))
        assert await running.diff(before.number, after.number) == expected
        assert await running.diff(before.number) == expected
        assert await running.diff(after.number) == ()
        with pytest.raises(CheckpointRefused, match="no checkpoint 99"):
            await running.diff(99)


async def test_a_retention_of_ones_own(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    every = child(Counter, retention=Retention(every=1, last=3))
    async with opened(every, journal=journal) as running:
        await add(running, *range(1, 9))
        assert [each.settled for each in await running.checkpoints("counter")] == [8, 7, 6]
        old = (await running.checkpoints("counter"))[-1]
        await add(running, 1)
        with pytest.raises(CheckpointRefused, match=f"no checkpoint {old.number}; the newest are"):
            await running.roll_back("counter", to=old.number)
        assert await events(journal, RolledBack) == []
        assert len(await events(journal, ChildStarted)) == 1


async def test_a_target_that_is_pruned_while_its_agent_stops_is_none(autojump_clock: MockClock) -> None:
    gate = Gate(shut=True)

    class Slow(Counter):
        async def on_stop(self, exit: Any) -> None:
            await running.checkpoint("slow")

    async with opened(child(Slow, args={"gate": gate}, retention=Retention(every=0, last=1))) as running:
        await running.ref("slow").tell(Add(1))
        await wait_all_tasks_blocked()
        old = await running.checkpoint("slow")
        with pytest.raises(CheckpointRefused, match=f"checkpoint {old.number} was pruned; nothing was rolled back"):
            await running.roll_back("slow", to=old.number)
        assert await running.ref("slow").ask(Total()) == 1


async def test_what_cannot_be_kept(autojump_clock: MockClock) -> None:
    none = child(Counter, id="none", retention=Retention(last=0, tagged=()))
    async with opened(volatile(Counter, id="light"), child(Counter, id="new"), none) as running:
        with pytest.raises(CheckpointRefused, match="only in memory"):
            await running.checkpoint("light", name="x")
        with pytest.raises(CheckpointRefused, match="nothing of it has settled yet"):
            await running.checkpoint("new", name="x")
        with pytest.raises(ConfigurationError, match="name is"):
            await running.checkpoint("new", name="two\nlines")
        with pytest.raises(NoSuchSlot):
            await running.checkpoint("nobody")
        await running.ref("none").tell(Add(1))
        await wait_all_tasks_blocked()
        with pytest.raises(CheckpointRefused, match="by its retention this checkpoint goes at once"):
            await running.checkpoint("none", name="x")


async def test_where_nobody_can_go_back(autojump_clock: MockClock) -> None:
    async with opened(volatile(Counter, id="light"), child(Counter), child(Counter, id="other")) as running:
        await add(running, 1)
        mine = await running.checkpoint("counter", name="mine")
        for path, to in (("counter", "theirs"), ("counter", 99), ("other", mine.number), ("light", "mine")):
            with pytest.raises(CheckpointRefused, match="there is no checkpoint"):
                await running.roll_back(path, to=to)
        with pytest.raises(NoSuchSlot):
            await running.roll_back("nobody", to=None)
        await running.ref("light").ask(Total())
        assert await running.roll_back("light", to=None) is None


async def test_one_that_is_down_stays_down(autojump_clock: MockClock) -> None:
    async with opened(child(Counter)) as running:
        await add(running, 1)
        await running.checkpoint("counter", name="good")
        await add(running, 1)
        await running.supervisor().terminate_child("counter")
        await running.roll_back("counter", to="good")
        assert running.snapshot()[0].state == "down"
        await running.supervisor().restart_child("counter")
        assert await running.ref("counter").ask(Total()) == 1


async def test_one_without_a_name_is_not_called_by_none(autojump_clock: MockClock) -> None:
    """As by a variable of the shell that was not set."""
    async with opened(child(Counter)) as running:
        await add(running, 1)
        await running.checkpoint("counter")
        await add(running, 1)
        with pytest.raises(CheckpointRefused, match="there is no checkpoint ''; the newest are"):
            await running.roll_back("counter", to="")
        assert await running.ref("counter").ask(Total()) == 2


async def test_a_state_that_the_code_cannot_read_is_no_target(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    async with opened(child(Counter), journal=journal) as running:
        await add(running, 1)
        other = evolve(checkpoint(1, "other", Path("counter")), number=10_000)
        await journal.commit(Commit(checkpoints=(other,)))
        with pytest.raises(UnknownKind, match="desk:Tally"):
            await running.roll_back("counter", to="other")
        assert len(await events(journal, ChildStarted)) == 1
        assert await running.ref("counter").ask(Total()) == 1


async def test_one_that_does_not_start_with_that_state(autojump_clock: MockClock) -> None:
    class Picky(Counter):
        async def on_start(self) -> None:
            if self.state.total == 1:
                raise ValueError("not with one")

    async with opened(child(Picky, id="counter")) as running:
        await add(running, 1)
        await running.checkpoint("counter", name="one")
        await add(running, 1)
        with pytest.raises(StartFailed, match="not with one"):
            await running.roll_back("counter", to="one")
        assert await running.roll_back("counter", to="before rolling back") is not None
        await running.supervisor().restart_child("counter")
        assert await running.ref("counter").ask(Total()) == 2
