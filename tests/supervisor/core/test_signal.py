"""Signals are checked at the edge: what cannot be true is refused by its field."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from treewarden.agents.core.path import Path
from treewarden.supervisor.core.signal import OperatorAsked, Overloaded, Recovered, Reported, Stalled, check_lasts

from .cases import PATH, exited


def odd(value: Any) -> Any:
    """What no type checker lets through."""
    return value


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: exited(at=math.nan), "at is nan; it must be a finite number"),
        (lambda: exited(uptime=-1.0), "uptime is -1.0; it must be 0 or more"),
        (lambda: Reported(path=PATH, at=0.0, kind="slow", severity=-5.0), "severity is -5.0; it must be from 0 to 1"),
        (lambda: Reported(path=PATH, at=0.0, kind="slow", severity=1.01), "severity is 1.01"),
        (lambda: Reported(path=PATH, at=0.0, kind="slow", severity=math.nan), "severity is nan"),
        (lambda: Reported(path=PATH, at=0.0, kind="slow", severity=True), "severity is True"),
        (lambda: Reported(path=PATH, at=0.0, kind="", severity=0.5), "kind is ''; it must name what was noticed"),
        (lambda: Recovered(path=PATH, at=0.0, kind=""), "kind is ''"),
        (lambda: OperatorAsked(path=PATH, at=0.0, what=""), "what is ''"),
        (lambda: Stalled(path=PATH, at=0.0, idle=math.inf, limit=1.0), "idle is inf"),
        (lambda: Stalled(path=PATH, at=0.0, idle=1.0, limit=-1.0), "limit is -1.0"),
        (lambda: Overloaded(path=PATH, at=0.0, oldest=-0.5), "oldest is -0.5"),
        (lambda: Recovered(path=PATH, at=odd("now"), kind="slow"), "at is 'now'; it must be a finite number"),
        (lambda: Recovered(path=PATH, at=10**400, kind="slow"), "at is 1000"),
        (lambda: Recovered(path=PATH, at=0.0, kind="slow", text=odd(0)), "text is 0; it must be a text"),
        (
            lambda: Reported(path=PATH, at=0.0, kind="slow", severity=0.5, facts=odd([])),
            "what was said is []; give a mapping",
        ),
        *((lambda lasts=lasts: check_lasts(lasts), "lasts is ") for lasts in (0, -1.0, math.nan, True, "1")),
    ],
)
def test_a_bad_value_is_refused_by_name(make: Callable[[], object], says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        make()


def test_the_bounds_are_allowed() -> None:
    assert [Recovered(path=PATH, at=at, kind="slow").at for at in (0, -3, 2.5)] == [0, -3, 2.5]
    check_lasts(0.5)
    assert [Reported(path=Path("a"), at=0.0, kind="slow", severity=share).severity for share in (0, 1)] == [0, 1]
