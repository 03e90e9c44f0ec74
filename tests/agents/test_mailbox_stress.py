"""All rules of the mailbox at once, for each overflow policy: 100 seeds of cancellation, crashes, kills, orders,
pauses, priorities, messages that are put aside, and ends, in slots that hibernate, keep their mail over lives, or
share it."""

from __future__ import annotations

import pytest

from treewarden.agents.core.durability import Overflow

from .stress_rules import broken
from .stress_world import course_of


@pytest.mark.parametrize("seed", range(100))
@pytest.mark.parametrize("overflow", list(Overflow))
def test_every_rule_holds_whatever_happens(overflow: Overflow, seed: int) -> None:
    assert broken(*course_of(seed, overflow)) == []
