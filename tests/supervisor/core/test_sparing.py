"""Which attempts at a message are counted: where others work, and after some time, all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.supervisor.core.sparing import LONGEST, Spared, has_worked, spares
from treewarden.supervisor.core.window import ENOUGH, Work


@pytest.mark.parametrize(
    ("first", "proofs", "now", "spared"),
    [
        (None, 0, 0.0, True),
        (None, 7, 1e9, True),
        (Spared(0, 10.0), 0, 10.0, True),
        (Spared(0, 10.0), 0, 9.9 + LONGEST, True),
        (Spared(0, 10.0), 0, 10.0 + LONGEST, False),
        (Spared(0, 10.0), 1, 10.0, False),
        (Spared(3, 10.0), 3, 11.0, True),
    ],
)
def test_spares(first: Spared | None, proofs: int, now: float, spared: bool) -> None:
    assert spares(first, proofs, now) is spared


@given(
    attempts=st.lists(st.tuples(st.floats(0.0, 1000.0), st.booleans()), min_size=1, max_size=50),
)
def test_no_message_is_spared_for_longer_or_when_others_have_worked(attempts: list[tuple[float, bool]]) -> None:
    first: Spared | None = None
    now, proofs, ended = 0.0, 0, False
    for pause, worked in attempts:
        now, proofs = now + pause, proofs + worked
        spared = spares(first, proofs, now)
        assert not (ended and spared), "once it counts, it counts on"
        ended = not spared
        if first is None:
            first = Spared(proofs, now)
        if spared:
            assert proofs == first.proofs
            assert now - first.since < LONGEST


@pytest.mark.parametrize(
    ("now", "before", "worked"),
    [
        (Work(3), Work(3), False),
        (Work(4), Work(3), True),
        (Work(3, 1, {"every": 9}), Work(3), False),
        (Work(3 + 2 * ENOUGH - 1, 2), Work(3, 2), False),
        (Work(3 + 2 * ENOUGH, 2), Work(3, 2), True),
        (Work(4, 0), Work(3, 0), False),
    ],
)
def test_has_worked(now: Work, before: Work, worked: bool) -> None:
    assert has_worked(now, before) is worked
