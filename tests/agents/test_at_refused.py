"""`@at` and `worker(at=...)` that cannot be: refused with their class, or when their agent starts."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

from treewarden.agents.agent import Agent, at, every, handles
from treewarden.agents.core.durability import VOLATILE
from treewarden.agents.errors import ConfigurationError
from treewarden.agents.worker import worker
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

from .trees import Add, kept


@pytest.mark.parametrize(
    ("times", "options", "text"),
    [
        ("25:00", {}, r"Odd\.report: its time is '25:00'; write hours and minutes"),
        (
            "09:00",
            {"zone": "Europe/Berln"},
            r"Odd\.report: its zone is 'Europe/Berln', which is none that is known here",
        ),
        ("09:00", {"days": "workdays"}, r"Odd\.report: its days are 'workdays'; write days of the week"),
        ("noon", {"zone": "Nowhere"}, r"Odd\.report: its zone is 'Nowhere'"),
    ],
)
def test_a_timetable_that_is_none_is_refused_with_the_class(times: Any, options: Any, text: str) -> None:
    def report(self: object) -> None: ...

    with pytest.raises(ConfigurationError, match=text):
        type("Odd", (Agent,), {"report": at(times, **options)(report)})


async def test_one_that_an_attribute_has_is_a_start_that_fails(autojump_clock: MockClock) -> None:
    class Named(Agent[None]):
        when = "9"

        @at("when")
        def report(self) -> None: ...

    class Nobody(Agent[None]):
        @at("noon")
        def report(self) -> None: ...

    for agent, text in (
        (Named, "Named.report: its time is '9'; write hours"),
        (Nobody, "Nobody.report: @at names 'noon', which is no time, and the agent has no such attribute"),
    ):
        with pytest.raises(Exception, match="did not last") as failed:
            async with open_tree(tree(kept(agent, VOLATILE)), journal=None):
                pass
        assert text in str(failed.value)


def test_what_is_marked_twice_or_takes_more_or_has_no_times_is_refused() -> None:
    def twice(self: object) -> None: ...
    def takes(self: object, more: int) -> None: ...
    def message(self: object, more: Add) -> None: ...

    with pytest.raises(ConfigurationError, match=r"A\.twice: it is marked as a tick of both kinds: write two"):
        type("A", (Agent,), {"twice": at("09:00")(every(3)(twice))})
    with pytest.raises(ConfigurationError, match=r"A\.message: it is marked as a handler and as a tick"):
        type("A", (Agent,), {"message": at("09:00")(handles(message))})
    with pytest.raises(ConfigurationError, match=r"A\.takes: an @at method takes nothing but self"):
        type("A", (Agent,), {"takes": at("09:00")(takes)})
    with pytest.raises(ConfigurationError, match=r"twice: @at needs its times; @at\('09:00'\)"):
        at(twice)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"at": "9"}, "nightly: its time is '9'"),
        ({"at": "09:00", "zone": "X"}, "nightly: its zone is 'X'"),
        ({"at": "09:00", "every": 5}, "nightly: every and at exclude each other"),
        ({"at": "09:00", "spread": 5}, "nightly: every and at exclude each other, and spread is for every"),
        ({"days": "mon"}, "nightly: zone and days are for a worker that comes at times of day; say at, too"),
        ({"every": 5, "zone": "UTC+1"}, "nightly: zone and days are for a worker"),
    ],
)
def test_a_worker_that_cannot_be(options: Any, text: str) -> None:
    async def nightly() -> None: ...

    with pytest.raises(ConfigurationError, match=text):
        worker(nightly, **options)
