"""Messages that few would send on purpose: nothing, and a class in the place of a message."""

from __future__ import annotations

import pytest
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents.agent import Agent, handles
from treewarden.agents.errors import NotHandled
from treewarden.topologies.child import child
from treewarden.topologies.pool import pool

from .trees import Add, Counter, Total, opened, slot_of, volatile


class Whatever(Agent[tuple[str, ...]]):
    """Handles what is of any type, nothing included."""

    state: tuple[str, ...] = ()

    @handles
    def one(self, message: object) -> None:
        self.state = (*self.state, repr(message))


class Perhaps(Whatever):
    @handles
    def another(self, message: int | None) -> None:
        self.one(message)


@pytest.mark.parametrize("agent", [Whatever, Perhaps])
@pytest.mark.parametrize("shared", [False, True])
async def test_nothing_is_a_message_like_any_other(
    agent: type[Whatever], shared: bool, autojump_clock: MockClock
) -> None:
    alone = volatile(agent, id="taker")
    async with opened(pool(alone, size=1, route="shared") if shared else alone) as running:
        taker = running.ref("taker")
        for message in (1, None, 2):
            taker.tell_nowait(message)
        await taker.tell(None)
        await wait_all_tasks_blocked()
        assert slot_of(running, "taker/0" if shared else "taker").state == ("1", "None", "2", "None")
        assert taker.statistics().depth == 0


@pytest.mark.parametrize("durable", [False, True])
async def test_a_class_in_the_place_of_a_message_is_called_that(durable: bool, autojump_clock: MockClock) -> None:
    async with opened(child(Counter) if durable else volatile(Counter)) as running:
        counter = running.ref("counter")
        with pytest.raises(NotHandled, match=r"counter: Add is a class, and no message; send what Add\(\.\.\.\) makes"):
            await counter.tell(Add)
        with pytest.raises(NotHandled, match=r"Total is a class, and no message; send what Total"):
            await counter.ask(Total)  # type: ignore[type-var]
        with pytest.raises(NotHandled, match="it does not handle type; it handles Add"):
            counter.tell_nowait(str)
