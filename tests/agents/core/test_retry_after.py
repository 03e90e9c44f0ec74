"""How long the other side wants to be left alone."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from treewarden.agents.core.retry_after import retry_after

NOW = "Fri, 20 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": " 7.5 "}, 7.5),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": "1e9"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Fri, 20 Nov 2026 10:01:30 GMT", "Date": NOW}, 90.0),
        ({"retry-after": "Fri, 20 Nov 2026 10:01:30 GMT", "date": NOW}, 90.0),
        ({"Retry-After": "Fri, 20 Nov 2026 09:00:00 GMT", "Date": NOW}, 0.0),
        ({"Retry-After": "Fri, 20 Nov 2026 10:01:30 GMT"}, None),
        ({"Retry-After": "Fri, 20 Nov 2026 10:01:30 GMT", "Date": "today"}, None),
    ],
)
def test_what_is_said(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


@pytest.mark.parametrize("date", [{}, {"Date": "today"}])
def test_a_date_counts_from_now_where_the_answer_has_none(date: dict[str, str]) -> None:
    headers = {"Retry-After": "Fri, 20 Nov 2026 10:01:30 GMT", **date}
    assert retry_after(headers, 1795168800.0) == 90.0
    assert retry_after(headers, 1795168800.0 + 1000) == 0.0
    assert retry_after({"Retry-After": "soon", **date}, 1795168800.0) is None
    assert retry_after({"Retry-After": "Fri, 20 Nov 99999 10:01:30 GMT", **date}, 1795168800.0) is None


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine is five hours behind Greenwich."""
    with monkeypatch.context() as far:
        far.setenv("TZ", "XYZ+5")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    "then",
    ["Fri Nov 20 10:01:30 2026", "Fri, 20 Nov 2026 10:01:30 -0000", "Fri, 20 Nov 2026 11:01:30 +0100"],
)
@pytest.mark.usefixtures("elsewhere")
def test_a_date_is_in_greenwich_time_wherever_this_machine_is(then: str) -> None:
    assert retry_after({"Retry-After": then, "Date": NOW}) == 90.0
