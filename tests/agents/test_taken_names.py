"""Names that an agent has already: a subclass that takes one for something else is refused when it is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from trio.testing import MockClock

from treewarden.agents.agent import Agent, every, handles
from treewarden.agents.errors import ConfigurationError
from treewarden.agents.handlers import TAKEN, TO_DEFINE
from treewarden.agents.own_steps import OwnSteps

from .trees import Add, Total, opened, volatile


def body_that_handles() -> type:
    class Wrong(Agent[None]):
        @handles
        async def run(self, message: Add) -> None: ...  # type: ignore[override]

    return Wrong


def start_that_ticks() -> type:
    class Wrong(Agent[None]):
        @every(1)
        async def on_start(self) -> None: ...

    return Wrong


def state_that_handles() -> type:
    class Wrong(Agent[None]):
        @handles
        def state(self, message: Add) -> None: ...  # type: ignore[assignment]

    return Wrong


def state_that_is_computed() -> type:
    class Wrong(Agent[int]):
        @property
        def state(self) -> int:  # type: ignore[override]
            return 3

    return Wrong


def annotated_only() -> type:
    class Wrong(Agent[None]):
        path: str  # type: ignore[assignment]

    return Wrong


def of_a_mixin() -> type:
    class Bells:
        def signal(self) -> None: ...

    class Wrong(Bells, Agent[None]): ...  # type: ignore[misc]

    return Wrong


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (body_that_handles, "Wrong.run: 'run' is the body that runs beside the handlers, and no name for a handler"),
        (start_that_ticks, "Wrong.on_start: 'on_start' is what runs before the first message, and no name for a"),
        (state_that_handles, "Wrong.state: 'state' is what the agent knows, and no name for a handler; rename it"),
        (state_that_is_computed, "Wrong.state: 'state' is what the agent knows"),
        (annotated_only, "Wrong.path: every agent has 'path' already, for its address; rename yours"),
        (of_a_mixin, "Bells): every agent has 'signal' already, for telling its supervisor; rename yours"),
    ],
)
def test_a_name_for_something_else_is_refused(make: Callable[[], type], text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        make()
    assert text in str(refused.value)


@pytest.mark.parametrize("name", sorted(TAKEN))
def test_a_name_that_every_agent_has_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        type("Wrong", (Agent,), {name: 30})
    assert f"Wrong.{name}: every agent has '{name}' already, for " in str(refused.value)
    assert str(refused.value).endswith("; rename yours")

    def give(self: Any, message: Add) -> None: ...

    with pytest.raises(ConfigurationError, match=f"Wrong.{name}: "):
        type("Wrong", (Agent,), {name: handles(give)})


def test_every_name_that_an_agent_has_is_for_it_or_for_its_subclasses() -> None:
    """What is added to `Agent` has to be on one of the two lists, or a subclass may break it without a word."""
    owned = vars(OwnSteps) | vars(Agent) | Agent.__annotations__
    has = {name for name in owned if not name.startswith("_")}
    assert has == TAKEN.keys() | TO_DEFINE.keys()


async def test_what_is_set_on_an_agent_later_changes_nothing(
    autojump_clock: MockClock,
) -> None:
    class Careless(Agent[None]):
        def __init__(self) -> None:
            self.handlers = self.plain = self.handled = self.repeated = 3  # type: ignore[misc,assignment]

        @handles
        def add(self, message: Add) -> None: ...

        @handles
        def total(self, message: Total) -> int:
            return 7

    async with opened(volatile(Careless)) as running:
        await running.ref("careless").tell(Add())
        assert await running.ref("careless").ask(Total()) == 7
