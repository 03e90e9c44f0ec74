"""When a state is kept unasked, what stays, and what is no retention."""

from __future__ import annotations

import math
from typing import Any

import pytest

from treewarden.agents.core.label import Label
from treewarden.supervisor.core.checkpoint import Retention


@pytest.mark.parametrize(
    ("every", "due"),
    [
        (16, [1, 2, 4, 8, 16, 32, 48]),
        (1, list(range(1, 50))),
        (20, [1, 2, 4, 8, 16, 20, 40]),
        (3, [1, 2, *range(3, 50, 3)]),
        (0, []),
    ],
)
def test_a_young_agent_is_kept_more_often(every: int, due: list[int]) -> None:
    assert [settles for settles in range(1, 50) if Retention(every=every).is_due(settles)] == due


def test_what_stays_for_good() -> None:
    labels = (Label(), Label("a"), Label(tags=("good",)), Label("a", tags=("bad",)))
    assert [Retention().pins(label) for label in labels] == [False, True, True, True]
    assert [Retention(tagged=("good",)).pins(label) for label in labels] == [False, False, True, False]
    assert not any(Retention(tagged=()).pins(label) for label in labels)


def test_what_is_young() -> None:
    assert Retention().before(1000.0) == math.inf
    assert Retention(within=60).before(1000.0) == 940.0


@pytest.mark.parametrize(
    "options",
    [
        {"every": -1},
        {"every": True},
        {"last": -1},
        {"last": 1.5},
        {"within": -1},
        {"within": math.nan},
        {"tagged": "night"},
        {"tagged": 3},
        {"tagged": (3,)},
    ],  # one text has no tag but its letters
)
def test_what_is_no_retention(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Retention(**options)


@pytest.mark.parametrize(
    "fields", [{"name": "two\nlines"}, {"name": "x" * 201}, {"tags": ("",)}, {"tags": ("a\nb",)}, {"description": 1}]
)
def test_what_is_no_label(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        Label(**fields)
