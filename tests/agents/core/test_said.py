"""What may be said, checked where it comes in."""

from __future__ import annotations

import math

import pytest

from treewarden.agents.core.said import is_number


@pytest.mark.parametrize("value", [0, -1, 0.5, -0.0, 1e300, 10**308, math.inf, -math.inf])
def test_what_can_be_reckoned_with_is_a_number(value: object) -> None:
    assert is_number(value)


@pytest.mark.parametrize("value", [True, False, math.nan, "1", None, [], 1j, 10**309, -(10**309)])
def test_what_cannot_is_none(value: object) -> None:
    assert not is_number(value)
