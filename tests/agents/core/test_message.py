from __future__ import annotations

import pytest

from treewarden.agents.core.message import Envelope, asks_itself, derived_id
from treewarden.agents.core.path import Path

A, B, C = Path("a"), Path("b"), Path("c")


@pytest.mark.parametrize(
    ("target", "askers", "cycle"),
    [
        (A, (A,), (A, A)),
        (A, (A, B), (A, B, A)),
        (B, (A, B, C), (B, C, B)),
        (C, (A, B), None),
        (A, (), None),
    ],
)
def test_a_chain_of_asks_that_comes_back(
    target: Path, askers: tuple[Path, ...], cycle: tuple[Path, ...] | None
) -> None:
    assert asks_itself(target, askers) == cycle


def test_each_step_of_a_message_has_an_id_of_its_own_and_the_same_one_next_time() -> None:
    ids = [derived_id("m7", name, n) for name in ("b:Total", "c:Total") for n in (1, 2)]
    assert len(set(ids)) == 4
    assert ids == [derived_id("m7", name, n) for name in ("b:Total", "c:Total") for n in (1, 2)]
    assert all(id.startswith("m7>") for id in ids)


def test_no_message_has_the_id_of_the_step_of_another() -> None:
    assert not derived_id("m71", "b", 1).startswith("m7>")


def test_envelopes_are_told_apart_by_what_they_are_and_not_by_what_they_hold() -> None:
    one, other = Envelope("same"), Envelope("same")
    assert one != other
    assert one in [other, one]
    assert [other, one].index(one) == 1
