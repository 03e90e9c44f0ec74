"""Specs are checked where they are made."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from treewarden.agents.core.durability import Checkpointed
from treewarden.agents.core.limiter import IntakeLimit
from treewarden.agents.core.path import Path
from treewarden.supervisor.core.checkpoint import Retention
from treewarden.supervisor.core.limits import QueueLimit
from treewarden.supervisor.core.measures import MemoryLimit
from treewarden.supervisor.core.signal import Stalled, check_lasts
from treewarden.supervisor.core.spec import (
    Backoff,
    ChildSpec,
    Grace,
    Intensity,
    RestartPolicy,
    SupervisorSpec,
)


def child(**given: Any) -> ChildSpec:
    defaults: dict[str, Any] = {"id": "a", "agent": object}
    return ChildSpec(**{**defaults, **given})


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Intensity(-1), "max_restarts is -1; it must be a whole number, 0 or more"),
        (lambda: Intensity(True), "max_restarts is True"),
        (lambda: Intensity(1, 0), "within is 0; it must be more than 0"),
        (lambda: Intensity(1, math.nan), "within is nan; it must be a number"),
        (lambda: Backoff(first=-1), "first is -1; it must be 0 or more"),
        (lambda: Backoff(factor=0.5), "factor is 0.5; it must be 1 or more"),
        (lambda: Backoff(most=math.inf), "most is inf; it must be 0 or more and finite"),
        (lambda: Backoff(jitter=1.5), "jitter is 1.5; it is a share, from 0 to 1"),
        (lambda: Grace(-0.1), "seconds is -0.1"),
        (lambda: Intensity(1, 10**400), "within is 10000"),
        (lambda: Backoff(first=10**400), "...; it must be at most 1.8e+308"),
        (lambda: Backoff(most=10**5000), "most is a whole number of 16,610 bits; it must be at most 1.8e+308"),
        (lambda: Grace(10**400), "seconds is 10000"),
        (lambda: Grace(-(10**400)), "...; it must be 0 or more"),
        (lambda: child(start_within=10**400), "start_within is 10000"),
        (lambda: child(retention=Retention(within=10**400)), "within is 10000"),
        (lambda: QueueLimit(oldest=10**400), "oldest is 10000"),
        (lambda: MemoryLimit(most=1, within=10**400), "within is 10000"),
        (lambda: IntakeLimit(oldest=10**400), "oldest is 10000"),
        (lambda: Checkpointed(seconds=10**400), "seconds is 10000"),
        (lambda: check_lasts(10**400), "lasts is 10000"),
        (lambda: Stalled(path=Path("a"), at=10**400, idle=1.0, limit=1.0), "at is 10000"),
        (lambda: child(id="a b"), "'a b' cannot name a slot"),
        (lambda: child(id=""), "'' cannot name a slot"),
        (lambda: child(start_within=0), "start_within is 0; it must be more than 0"),
        (lambda: child(progress_within=-3), "progress_within is -3"),
        (lambda: child(stable_after="10"), "stable_after is '10'; it must be a number"),
        (lambda: child(significant=True), "a: a permanent child cannot be significant"),
        (lambda: SupervisorSpec(id="s", significant=True), "s: a permanent child cannot be significant"),
        (lambda: SupervisorSpec(id="/"), "'/' cannot name a slot"),
    ],
)
def test_a_bad_value_is_refused_by_name(make: Callable[[], object], says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        make()


def test_what_may_be_infinite() -> None:
    assert Grace(math.inf).seconds == math.inf
    assert Intensity(1, math.inf).within == math.inf


def test_significant_children_may_stay_down() -> None:
    assert child(significant=True, restart=RestartPolicy.TRANSIENT).significant
    assert SupervisorSpec(significant=True, restart=RestartPolicy.TEMPORARY).significant


def test_defaults_are_those_of_elixir() -> None:
    assert Intensity() == Intensity(3, 5.0)
    assert (child().restart, child().shutdown) == (RestartPolicy.PERMANENT, Grace(5.0))
    assert SupervisorSpec().shutdown == Grace(math.inf)
