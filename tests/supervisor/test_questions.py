"""What a person was asked about a slot is asked by the next process too, until somebody answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents import Agent, Request, handles
from treewarden.agents.core.durability import MailboxSpec
from treewarden.agents.core.lifecycle import SlotState
from treewarden.supervisor import MemoryLimit, QueueLimit, Rule, table
from treewarden.supervisor.core.event import IncidentClosed, QuestionAnswered, QuestionAsked
from treewarden.supervisor.core.measures import Limit
from treewarden.supervisor.core.retention import EventRetention
from treewarden.supervisor.journal.port import Journal
from treewarden.supervisor.views.tree_status import TreeStatus, fold
from treewarden.topologies import Blueprint, Tree, child, open_tree, tree

from ..journals import on_disk

CLOCK = trio.testing.MockClock
ONCE = MailboxSpec(deliveries=1)
RULES = [
    Rule("reported:poor", "hold"),
    Rule("reported:sad", "hold"),
    Rule("reported:memory", "hold"),
    Rule("crash", "hold"),
]


@frozen
class Fail: ...


@frozen
class Get(Request[int]): ...


class Desk(Agent[int]):
    state = 7

    @handles
    def get(self, message: Get) -> int:
        return self.state

    @handles
    async def fail(self, message: Fail) -> None:
        raise ValueError("told to")


def desk(*more: str, limits: tuple[Limit, ...] = ()) -> Blueprint:
    children = [child(Desk, id=id, mailbox=ONCE, limits=limits) for id in ("a", *more)]
    return tree(*children, policy=table(RULES))


@pytest.fixture
def processes(tmp_path: Path) -> Callable[[], Journal]:
    """Each call is the next process."""
    return lambda: on_disk(tmp_path / "tree.db")


async def settled() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def crash(running: Tree, id: str = "a") -> None:
    await running.ref(id).tell(Fail())
    await settled()
    assert status(running, id)[0] is SlotState.HELD


def is_held(running: Tree, id: str = "a") -> bool:
    return next(slot.held for slot in running.snapshot() if slot.path == running.ref(id).path)


def status(running: Tree, id: str = "a") -> tuple[SlotState, str]:
    return next((slot.state, slot.note) for slot in running.snapshot() if slot.path == running.ref(id).path)


async def paused(running: Tree) -> tuple[str, ...]:
    await settled()
    return running.ref("a").statistics().paused


async def facts(journal: Journal) -> list[object]:
    kinds = (QuestionAsked, QuestionAnswered, IncidentClosed)
    return [each.event for each in await journal.read(limit=10_000) if isinstance(each.event, kinds)]


async def test_one_that_is_down_stays_down_until_somebody_answers(
    processes: Callable[[], Journal], autojump_clock: CLOCK
) -> None:
    async with open_tree(desk("b"), journal=processes()) as running:
        await crash(running)
        question = status(running)
    for _ in range(2):
        async with open_tree(desk("b"), journal=processes()) as running:
            await settled()
            assert status(running) == question, "and with the same words"
            assert is_held(running)
            assert not is_held(running, "b")
            assert await running.ref("b").ask(Get()) == 7, "it concerns nobody else"
            await trio.sleep(100)
    async with open_tree(desk("b"), journal=processes()) as running:
        await settled()
        running.resume("a", by="ada")
        assert await running.ref("a").ask(Get()) == 7
    journal = processes()
    async with open_tree(desk("b"), journal=journal) as running:
        assert status(running) == (SlotState.UP, "")
        told = await facts(journal)
    answers = [each.how for each in told if isinstance(each, QuestionAnswered)]
    assert answers == ["ada asked for resume"]
    asked = [each for each in told if isinstance(each, QuestionAsked)]
    assert len({each.since for each in asked}) == 1, "it was asked once, and again"


async def test_one_that_lives_is_handed_nothing_until_it_is_over(
    processes: Callable[[], Journal], autojump_clock: CLOCK
) -> None:
    async with open_tree(desk(), journal=processes()) as running:
        running.signal("a", {"kind": "poor", "severity": 0.2})
        assert await paused(running) == ("held",)
    async with open_tree(desk(), journal=processes()) as running:
        assert await paused(running) == ("held",)
        assert status(running)[0] is SlotState.UP
        assert status(running)[1].startswith("held: ")
        assert is_held(running)
        running.recovered("a", "something else")
        assert await paused(running) == ("held",)
        running.recovered("a", "poor")
        assert await paused(running) == ()
        assert not is_held(running)
        await trio.sleep(100)
    journal = processes()
    async with open_tree(desk(), journal=journal) as running:
        assert await paused(running) == ()
        *_, answer, closed = await facts(journal)
    assert answer == QuestionAnswered(slot=running.ref("a").path, how="recovered from poor")
    assert isinstance(closed, IncidentClosed)


async def test_nothing_is_handed_out_between_the_start_and_the_question(
    processes: Callable[[], Journal], autojump_clock: CLOCK
) -> None:
    async with open_tree(desk(), journal=processes()) as running:
        running.signal("a", {"kind": "poor", "severity": 0.2})
        await settled()
        await running.ref("a").tell(Fail())
    async with open_tree(desk(), journal=processes()) as running:
        await trio.sleep(100)
        assert running.ref("a").statistics().depth == 1, "it waits still"
        assert status(running)[0] is SlotState.UP


async def test_a_limit_that_is_kept_again_answers(processes: Callable[[], Journal], autojump_clock: CLOCK) -> None:
    bytes_in_use = 500.0
    limit = MemoryLimit(most=100.0, meter=lambda: bytes_in_use, every=1.0)
    async with open_tree(desk(limits=(limit,)), journal=processes()) as running:
        await trio.sleep(5)
        assert await paused(running) == ("held",)
    async with open_tree(desk(limits=(limit,)), journal=processes()) as running:
        await trio.sleep(5)
        assert await paused(running) == ("held",)
        bytes_in_use = 50.0
        await trio.sleep(5)
        assert await paused(running) == ()
    bytes_in_use = 50.0
    async with open_tree(desk(limits=(limit,)), journal=processes()) as running:
        assert await paused(running) == ()


async def test_a_mailbox_that_has_emptied_answers(processes: Callable[[], Journal], autojump_clock: CLOCK) -> None:
    def full() -> Blueprint:
        one = child(Desk, id="a", overload=QueueLimit(high=0.5, low=0.2))
        return tree(one, policy=table([Rule("overloaded", "hold")]))

    async with open_tree(full(), journal=processes()) as running:
        slot = running._common.registry.get(running.ref("a").path)  # pyright: ignore[reportPrivateUsage]
        assert slot is not None
        slot.pause("by hand")
        for _ in range(40):
            await running.ref("a").tell(Get())
        await trio.sleep(60)
        assert "held" in await paused(running)
    async with open_tree(full(), journal=processes()) as running:
        assert await paused(running) == ("held",)
        running.resume("a")
        await trio.sleep(60)
        assert await paused(running) == ()
        assert running.ref("a").statistics().depth == 0


async def _terminated(running: Tree) -> None:
    await running.supervisor().terminate_child("a")


async def _deleted(running: Tree) -> None:
    await running.supervisor().terminate_child("a")
    await running.supervisor().delete_child("a")


async def _restarted(running: Tree) -> None:
    await running.supervisor().restart_child("a")


@pytest.mark.parametrize("answer", [_terminated, _deleted, _restarted])
async def test_whatever_a_person_does_about_it_answers(
    answer: Callable[[Tree], Awaitable[None]], processes: Callable[[], Journal], autojump_clock: CLOCK
) -> None:
    async with open_tree(desk(), journal=processes()) as running:
        await crash(running)
    async with open_tree(desk(), journal=processes()) as running:
        await settled()
        await answer(running)
    async with open_tree(desk(), journal=processes()) as running:
        await settled()
        assert status(running) == (SlotState.UP, "")
        assert await running.ref("a").ask(Get()) == 7


async def test_a_supervisor_that_begins_anew_begins_with_all_of_them(
    processes: Callable[[], Journal], autojump_clock: CLOCK
) -> None:
    group = tree(child(Desk, id="a", mailbox=ONCE), id="group", policy=table([Rule("crash", "hold")]))
    async with open_tree(tree(group), journal=processes()) as running:
        await running.ref("group/a").tell(Fail())
        await settled()
        assert running.kill("group")
        await trio.sleep(10)
        assert await running.ref("group/a").ask(Get()) == 7
    async with open_tree(tree(group), journal=processes()) as running:
        assert await running.ref("group/a").ask(Get()) == 7


async def test_its_event_is_kept_as_long_as_it_is_open(processes: Callable[[], Journal], autojump_clock: CLOCK) -> None:
    async with open_tree(desk(), journal=processes()) as running:
        await crash(running)
    async with open_tree(desk(), journal=processes(), events=EventRetention(last=1)) as running:
        await trio.sleep(7200)
        assert status(running)[0] is SlotState.HELD
    async with open_tree(desk(), journal=processes()) as running:
        await settled()
        assert status(running)[0] is SlotState.HELD


@pytest.mark.parametrize("lives", [True, False])
async def test_who_is_stopped_is_not_held_any_more(
    lives: bool, processes: Callable[[], Journal], autojump_clock: CLOCK
) -> None:
    journal = processes()
    async with open_tree(desk(), journal=journal) as running:
        if lives:
            running.signal("a", {"kind": "poor", "severity": 0.2})
            assert await paused(running) == ("held",)
        else:
            await crash(running)
        await running.supervisor().terminate_child("a")
        assert status(running) == (SlotState.DOWN, "")
        await settled()
        told = fold(TreeStatus(), await journal.read(limit=10_000)).slots
    assert [(slot.state, slot.note) for path, slot in told.items() if path == "a"] == [(SlotState.DOWN, "")]


async def test_a_person_who_lets_it_go_on_has_answered_what_was_reported(
    processes: Callable[[], Journal], autojump_clock: CLOCK
) -> None:
    journal = processes()
    async with open_tree(desk(), journal=journal) as running:
        running.signal("a", {"kind": "poor", "severity": 0.2})
        assert await paused(running) == ("held",)
        running.resume("a")
        await trio.sleep(60)
        assert [each.outcome for each in await facts(journal) if isinstance(each, IncidentClosed)] == ["fixed"]
