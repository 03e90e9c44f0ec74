"""What a handler raises that runs in its asker's task is nothing of the asker's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability
from treewarden.agents.core.exit import Exit
from treewarden.agents.errors import AgentFailed
from treewarden.agents.slot import Slot
from treewarden.supervisor.core.event import ChildEnded
from treewarden.supervisor.core.spec import NO_BACKOFF

from .desks import Desk, do, fail, total
from .trees import Add, Tally, happened, kept, opened, slot_of


@pytest.fixture(params=[VOLATILE, MESSAGE])
def durability(request: pytest.FixtureRequest) -> Durability:
    """Those of which an idle agent handles an ask at once."""
    return request.param


class OwnKind(BaseException):
    """No `Exception`."""


def fail_badly(desk: Desk) -> None:
    raise OwnKind("unlucky")


@pytest.mark.parametrize("what", [fail, fail_badly])
async def test_what_it_raises_is_the_agents_failure_and_not_the_askers(
    what: Callable[[Desk], None], durability: Durability, autojump_clock: MockClock
) -> None:
    async with opened(kept(Desk, durability, backoff=NO_BACKOFF)) as running:
        desk = running.ref("desk")
        await wait_all_tasks_blocked()
        await desk.tell(Add(1))
        await wait_all_tasks_blocked()
        with pytest.raises(AgentFailed, match="unlucky") as failed:
            await desk.ask(do(what))
        assert failed.value.failure.type.endswith(("ValueError", "OwnKind"))
        (ended,) = await happened(running, ChildEnded)
        assert ended.failure is not None
        assert ended.failure.text == "unlucky"
        assert await desk.ask(do(total)) == 1


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
async def test_what_ends_the_process_is_not_the_askers_to_catch(
    kind: type[BaseException], durability: Durability, autojump_clock: MockClock
) -> None:
    caught: list[BaseException] = []

    def leave(desk: Desk) -> None:
        desk.state = Tally(100)
        raise kind("now")

    async def live() -> None:
        async with opened(kept(Desk, durability)) as running:
            await wait_all_tasks_blocked()
            try:
                await running.ref("desk").ask(do(leave))
            except kind as error:
                caught.append(error)
            await trio.sleep(1)

    with pytest.raises((kind, BaseExceptionGroup)) as ended:
        await live()
    assert not caught
    assert kind.__name__ in repr(ended.value)


class Between(trio.abc.Instrument):
    """What others may see who have their turn before the task of an agent that has failed."""

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.agent: Any = slot.agent
        self.seen: list[tuple[float, Any]] = []

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.slot.busy is not None and self.slot.agent is self.agent:
            self.seen.append((self.slot.busy_since, self.agent.state))


async def test_what_a_failed_handler_leaves_is_seen_by_nobody_before_its_end(
    durability: Durability, autojump_clock: MockClock
) -> None:
    ended: list[Any] = []

    class Watched(Desk):
        async def on_stop(self, exit: Exit) -> None:
            ended.append(self.state.total)

    async with opened(kept(Watched, durability, progress_within=2.0)) as running:
        slot = slot_of(running, "watched")
        await running.ref("watched").ask(do(total))
        await trio.sleep(60)
        between = Between(slot)
        trio.lowlevel.add_instrument(between)
        now = trio.current_time()
        with pytest.raises(AgentFailed, match="unlucky"):
            await running.ref("watched").ask(do(fail))
        trio.lowlevel.remove_instrument(between)
    assert between.seen
    assert set(between.seen) == {(now, Tally(0))}
    assert ended[0] == -1


async def test_what_its_asker_is_handling_is_nothing_of_its_failure(
    durability: Durability, autojump_clock: MockClock
) -> None:
    async with opened(kept(Desk, durability, backoff=NO_BACKOFF)) as running:
        desk = running.ref("desk")
        await wait_all_tasks_blocked()
        try:
            raise LookupError("of the asker")
        except LookupError:
            with pytest.raises(AgentFailed):
                await desk.ask(do(fail))
        (ended,) = await happened(running, ChildEnded)
        assert ended.failure is not None
        assert "of the asker" not in ended.failure.trace
