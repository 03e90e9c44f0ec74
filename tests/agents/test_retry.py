"""What is tried again, how often and when, and what is a failure at once."""

from __future__ import annotations

import math
import re
from typing import Any, Final

import pytest
import trio
from attrs import define, field
from trio.testing import MockClock

from treewarden.agents.core.path import Path
from treewarden.agents.errors import AskTimeout, ConfigurationError, DeliveryError, NotDone, RateLimited, Stop
from treewarden.agents.retry import retry


@define
class Service:
    """It does these things, one for each call, and notes when it was called."""

    deeds: list[Exception | float | str]
    called: list[float] = field(factory=list[float])

    async def __call__(self) -> str:
        self.called.append(trio.current_time())
        deed = self.deeds.pop(0)
        if isinstance(deed, Exception):
            raise deed
        if isinstance(deed, str):
            return deed
        await trio.sleep(deed)
        return "late"

    @property
    def pauses(self) -> list[float]:
        return [later - before for before, later in zip(self.called, self.called[1:], strict=False)]


class Response:
    status_code = 429


class Limited(Exception):
    """As httpx raises it."""

    response = Response()


OUT: Final[list[Exception]] = [
    RateLimited(after=3),
    Limited(),
    ValueError("ours"),
    ExceptionGroup("two", [OSError(), ValueError()]),
]


async def test_what_passes_by_itself_is_tried_again(autojump_clock: MockClock) -> None:
    service = Service([ConnectionError("1"), 5.0, "page"])
    assert await retry(service, within=1.0, first=0.5, factor=4) == "page"
    first, second = service.pauses
    assert 0.25 <= first <= 0.75
    assert 1.0 + 1.0 <= second <= 1.0 + 3.0  # the try that was too slow, and the pause


async def test_the_last_failure_is_raised_as_it_is_and_at_once(autojump_clock: MockClock) -> None:
    last = ConnectionError("2")
    service = Service([ConnectionError("1"), last])
    with pytest.raises(ConnectionError) as found:
        await retry(service, within=1.0, times=2, first=0.0)
    assert found.value is last
    assert service.pauses == [0.0]
    assert trio.current_time() == service.called[-1]


async def test_one_that_is_too_slow_for_the_last_time_says_so(autojump_clock: MockClock) -> None:
    with pytest.raises(trio.TooSlowError):
        await retry(Service([math.inf]), within=2.0, times=1)
    assert trio.current_time() == 2.0


@pytest.mark.parametrize("error", OUT, ids=["ours", "429", "another", "two"])
async def test_what_is_for_the_supervisor_goes_out(error: Exception, autojump_clock: MockClock) -> None:
    service = Service([error, "page"])
    with pytest.raises(type(error)) as found:
        await retry(service, within=1.0, on=(OSError, Limited))
    assert found.value is error
    assert len(service.called) == 1


OURS: Final[list[Exception]] = [AskTimeout("late", path=Path("a")), Stop(), NotDone(), ExceptionGroup("", [Stop()])]


@pytest.mark.parametrize("error", OURS, ids=["an ask", "stop", "not done", "in a group"])
async def test_what_is_said_in_an_agent_goes_out_unless_it_is_named(
    error: Exception, autojump_clock: MockClock
) -> None:
    service = Service([error, "page"])
    with pytest.raises(type(error)) as found:
        await retry(service, within=1.0, on=(OSError, Exception))
    assert found.value is error
    assert len(service.called) == 1
    service.deeds[:] = [error, "page"]
    assert await retry(service, within=1.0, on=(DeliveryError, Stop, NotDone)) == "page"


async def test_one_failure_in_a_group_is_that_failure(autojump_clock: MockClock) -> None:
    service = Service([ExceptionGroup("nursery", [ConnectionError("1")]), "page"])
    assert await retry(service, within=1.0) == "page"


async def test_pauses_grow_up_to_the_most(autojump_clock: MockClock) -> None:
    service = Service([*(OSError() for _ in range(6)), "page"])
    await retry(service, within=1.0, times=7, first=1.0, factor=10.0, most=20.0)
    longest = [1.5, 15.0, 30.0, 30.0, 30.0, 30.0]
    assert all(most / 3 <= pause <= most for pause, most in zip(service.pauses, longest, strict=True))
    assert len(set(service.pauses[2:])) == 4  # by chance: many who lost the same service do not come back at once


async def test_cancelled_it_ends_at_once(autojump_clock: MockClock) -> None:
    service = Service([10.0])
    with trio.move_on_after(1.0) as scope:
        await retry(service, within=5.0)
    assert scope.cancelled_caught
    assert (len(service.called), trio.current_time()) == (1, 1.0)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"within": 0}, "retry: within is 0; give a positive number of seconds"),
        ({"within": math.inf}, "retry: within is inf; give a positive number of seconds"),
        ({"within": 1, "times": 0}, "retry: times is 0; give a whole number, 1 or more"),
        ({"within": 1, "times": 2.0}, "retry: times is 2.0; give a whole number, 1 or more"),
        ({"within": 1, "first": -1}, "retry: first is -1; give seconds, 0 or more"),
        ({"within": 1, "most": "x"}, "retry: most is 'x'; give seconds, 0 or more"),
        ({"within": 1, "factor": 0.5}, "retry: factor is 0.5; give 1 or more"),
        ({"within": 1, "on": trio.Cancelled}, "in on is no class of exceptions"),
        ({"within": 1, "on": (OSError, "x")}, "retry: 'x' in on is no class of exceptions"),
    ],
)
async def test_what_cannot_work_is_refused_before_the_first_try(options: dict[str, Any], text: str) -> None:
    service = Service([])
    with pytest.raises(ConfigurationError, match=re.escape(text)):
        await retry(service, **options)
    assert not service.called
