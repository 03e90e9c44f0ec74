"""An idle agent handles an ask at once, in its asker's task. Nobody should notice but by the clock."""

from __future__ import annotations

import pathlib
import sqlite3
from contextlib import closing
from typing import Any

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Checkpointed, Durability
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AgentFailed, AgentStopped, AskTimeout
from treewarden.agents.slot import current_turn
from treewarden.supervisor.core.event import Recorded
from treewarden.supervisor.core.spec import NO_BACKOFF, RestartPolicy

from ..journals import on_disk
from .desks import DEEDS, Desk, Do, do, do_and_wait, fail, request_id, total
from .trees import Add, Tally, happened, kept, opened, slot_of


@frozen
class Where(Request[int]):
    pass


class Owner(Agent[Tally]):
    state = Tally()

    async def on_start(self) -> None:
        """It has a task from the beginning."""

    @handles
    def where(self, message: Where) -> int:
        return id(trio.lowlevel.current_task())


@pytest.fixture(params=[VOLATILE, MESSAGE])
def durability(request: pytest.FixtureRequest) -> Durability:
    """Those of which an idle agent handles an ask at once."""
    return request.param


def running_task(_: Any) -> Any:
    return trio.lowlevel.current_task()


async def test_it_runs_in_the_askers_task_and_takes_no_turn_of_the_scheduler(autojump_clock: MockClock) -> None:
    async with opened(kept(Desk, VOLATILE)) as running:
        desk, me = running.ref("desk"), trio.lowlevel.current_task()
        await wait_all_tasks_blocked()
        assert await desk.ask(do(running_task)) is me
        assert await desk.ask(do_and_wait(running_task)) is not me


async def test_where_a_checkpoint_may_be_due_it_runs_in_its_own_task(autojump_clock: MockClock) -> None:
    async with opened(kept(Owner, Checkpointed(messages=1))) as running:
        await wait_all_tasks_blocked()
        assert await running.ref("owner").ask(Where()) != id(trio.lowlevel.current_task())


def add(desk: Desk) -> int:
    desk.state = Tally(desk.state.total + 1)
    return desk.state.total


async def test_the_reply_of_a_durable_agent_comes_behind_the_disk(
    tmp_path: pathlib.Path, autojump_clock: MockClock
) -> None:
    async with opened(kept(Desk, MESSAGE), journal=on_disk(tmp_path / "tree.db")) as running:
        desk = running.ref("desk")
        await wait_all_tasks_blocked()
        for count in range(1, 4):
            assert await desk.ask(do(add)) == count
            with closing(sqlite3.connect(tmp_path / "tree.db")) as connection:
                assert connection.execute("SELECT settled, body FROM states").fetchall() == [
                    (count, f'{{"total":{count},"seen":[]}}')
                ]


async def test_while_the_disk_is_behind_it_runs_in_its_own_task(autojump_clock: MockClock) -> None:
    """Or nothing would bound how much of what was settled is on its way."""
    tasks: list[Any] = []

    def who(desk: Desk) -> int:
        tasks.append(trio.lowlevel.current_task())
        return add(desk)

    async with opened(kept(Desk, MESSAGE)) as running, trio.open_nursery() as nursery:
        desk = running.ref("desk")
        await wait_all_tasks_blocked()
        for _ in range(3):
            nursery.start_soon(desk.ask, do(who))
        await wait_all_tasks_blocked()
    assert tasks[1] is tasks[2] is not tasks[0]


class Caller(Agent[Tally]):
    state = Tally()

    @handles
    async def add(self, message: Add) -> None:
        self.state = Tally(await self.ref("owner").ask(Where()))

    @handles
    def do(self, message: Do) -> Any:
        return DEEDS[message.deed](self)


async def test_what_a_durable_handler_asks_is_for_the_task_that_knows_whether_it_was_asked_before(
    autojump_clock: MockClock,
) -> None:
    async with opened(kept(Owner, MESSAGE), kept(Caller, MESSAGE)) as running:
        await wait_all_tasks_blocked()
        assert await running.ref("owner").ask(Where()) == id(trio.lowlevel.current_task())
        await running.ref("caller").tell(Add())
        await wait_all_tasks_blocked()
        assert await running.ref("caller").ask(do(total)) == id(slot_of(running, "owner").reader)


async def test_what_waits_comes_first(autojump_clock: MockClock) -> None:
    async with opened(kept(Desk, VOLATILE)) as running:
        desk, me = running.ref("desk"), trio.lowlevel.current_task()
        await wait_all_tasks_blocked()
        for _ in range(3):
            await desk.tell(Add(1))
        assert await desk.ask(do(total)) == 3
        desk.tell_nowait(Add(1))
        assert await desk.ask(do(running_task)) is not me


async def test_it_runs_in_the_context_of_the_agent(durability: Durability, autojump_clock: MockClock) -> None:
    def look(desk: Desk) -> Any:
        turn = current_turn.get()
        assert turn is not None
        return turn.path, request_id.get()

    async with opened(kept(Desk, durability)) as running:
        await wait_all_tasks_blocked()
        request_id.set("the asker's")
        assert await running.ref("desk").ask(do(look)) == ("desk", "the agent's")
        assert (current_turn.get(), request_id.get()) == (None, "the asker's")


async def test_whoever_needs_its_own_task_gets_it(durability: Durability, autojump_clock: MockClock) -> None:
    class Keeper(Desk):
        keeps_task = True

    async with opened(kept(Keeper, durability)) as running:
        await wait_all_tasks_blocked()
        assert await running.ref("keeper").ask(do(running_task)) is not trio.lowlevel.current_task()


@pytest.mark.parametrize("within", [0.0, -1.0])
async def test_what_nobody_waits_for_any_more_is_not_handled(
    within: float, durability: Durability, autojump_clock: MockClock
) -> None:
    handled: list[Any] = []
    async with opened(kept(Desk, durability)) as running:
        await wait_all_tasks_blocked()
        with pytest.raises(AskTimeout) as late:
            await running.ref("desk").ask(do(handled.append), within=within)
        assert late.value.retry_safe
        await wait_all_tasks_blocked()
    assert not handled


async def test_it_may_hand_over_what_has_to_be_awaited(durability: Durability, autojump_clock: MockClock) -> None:
    """A plain function that returns a coroutine: that runs in the agent's task, and cannot be overtaken."""
    log: list[Any] = []

    async def later(desk: Desk) -> Any:
        log.append(trio.lowlevel.current_task())
        await trio.sleep(1)
        desk.state = Tally(7)
        return desk.state.total

    async with opened(kept(Desk, durability)) as running:
        desk = running.ref("desk")
        await wait_all_tasks_blocked()
        replies: list[Any] = []

        async def ask(message: Request[Any]) -> None:
            replies.append(await desk.ask(message))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, do(later))
            await trio.sleep(0.5)
            nursery.start_soon(ask, do(total))
        assert replies == [7, 7]
        assert log[0] is not trio.lowlevel.current_task()


async def test_what_was_handed_over_is_closed_with_the_life(durability: Durability, autojump_clock: MockClock) -> None:
    async def later() -> None:
        raise AssertionError("it must not run")

    async with opened(kept(Desk, durability, restart=RestartPolicy.TEMPORARY)) as running:
        desk = running.ref("desk")
        await wait_all_tasks_blocked()

        def kill(_: Desk) -> Any:
            running.kill("desk")
            return later()

        with pytest.raises((AgentFailed, AgentStopped)):
            await desk.ask(do(kill))


async def test_the_others_have_their_turn(durability: Durability, autojump_clock: MockClock) -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with opened(kept(Desk, durability)) as running, trio.open_nursery() as nursery:
        desk = running.ref("desk")
        await wait_all_tasks_blocked()
        nursery.start_soon(other)
        for _ in range(3200):
            await desk.ask(do(total))
        assert turns >= 98
        with trio.CancelScope() as scope:
            scope.cancel()
            await desk.ask(do(total))
        assert scope.cancelled_caught
        nursery.cancel_scope.cancel()


async def test_it_counts_as_any_other(durability: Durability, autojump_clock: MockClock) -> None:
    async with opened(kept(Desk, durability)) as running:
        await wait_all_tasks_blocked()
        for _ in range(5):
            await running.ref("desk").ask(do(total))
        assert slot_of(running, "desk").handled == 5
        assert running.ref("desk").statistics().accepted == 5


async def test_a_helper_that_it_starts_is_the_agents(durability: Durability, autojump_clock: MockClock) -> None:
    log: list[str] = []

    async def helper() -> None:
        turn = current_turn.get()
        assert turn is not None
        log.append(turn.path)
        try:
            await trio.sleep_forever()
        finally:
            log.append("ended")

    async with opened(kept(Desk, durability, backoff=NO_BACKOFF)) as running:
        await wait_all_tasks_blocked()
        await running.ref("desk").ask(do(lambda desk: desk.start_soon(helper)))
        await wait_all_tasks_blocked()
        assert log == ["desk"]
        with pytest.raises(AgentFailed):
            await running.ref("desk").ask(do(fail))
        await wait_all_tasks_blocked()
        assert log == ["desk", "ended"]


@frozen
class Said:
    what: str


async def test_a_fact_that_it_records_is_kept_although_no_state_changes(
    durability: Durability, autojump_clock: MockClock
) -> None:
    class Scribe(Agent[None]):
        async def on_start(self) -> None:
            """It has a task from the beginning."""

        @handles
        def do(self, message: Do) -> Any:
            return DEEDS[message.deed](self)

        @handles
        def add(self, message: Add) -> None:
            self.record(Said("told"))

    async with opened(kept(Scribe, durability)) as running:
        scribe = running.ref("scribe")
        await wait_all_tasks_blocked()
        await scribe.ask(do(lambda agent: agent.record(Said("asked"))))
        await scribe.tell(Add())
        assert [dict(fact.facts) for fact in await happened(running, Recorded, 2)] == [
            {"what": "asked"},
            {"what": "told"},
        ]
