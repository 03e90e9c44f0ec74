"""trio's order of tasks under a seed: the same for ever, as far as this trio goes, and as it was before afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from treewarden.topologies.chaos import determinism
from treewarden.topologies.chaos.determinism import missing_names, ordered_by, simulated_clock
from treewarden.topologies.chaos.escapes import escapes_told


def order_of(seed: int, clock: Callable[[], trio.abc.Clock] = simulated_clock) -> str:
    """Who comes when, of twenty tasks that give way, sleep and wait for each other."""
    seen: list[str] = []

    async def one(number: int, opened: trio.Event) -> None:
        for step in range(5):
            await trio.sleep(0.1 * (number % 3))
            seen.append(f"{number}.{step}")
            await trio.lowlevel.checkpoint()
        opened.set()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            opened = trio.Event()
            for number in range(20):
                nursery.start_soon(one, number, opened)
            await opened.wait()

    with ordered_by(seed):
        trio.run(main, clock=clock())
    return hashlib.blake2b(" ".join(seen).encode(), digest_size=8).hexdigest()


def test_a_seed_is_an_order() -> None:
    """If this fails after a new trio, its scheduler has changed: every seed that is written down means another run."""
    assert order_of(1) == "7d93193e57554bf8"
    assert order_of(1) == order_of(1)
    assert len({order_of(seed) for seed in range(20)}) == 20


def test_time_is_that_of_trios_own_clock() -> None:
    def own() -> trio.abc.Clock:
        return trio.testing.MockClock(autojump_threshold=0)

    assert [order_of(seed) for seed in range(10)] == [order_of(seed, own) for seed in range(10)]


def test_a_trio_that_runs_in_another_way_has_its_own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(determinism, "_LOOP", "trio._core._gone")
    assert "current_time" not in vars(simulated_clock())


def test_a_trio_without_these_names_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing_names() == ()
    monkeypatch.setattr(determinism, "_SWITCH", "_GONE")
    assert missing_names() == ("trio._core._run._GONE",)
    told: list[str] = []
    with escapes_told(told.append):
        assert len({order_of(1) for _ in range(2)}) >= 1
    assert told == ["this trio has no trio._core._run._GONE"]


def test_everything_is_as_it_was_afterwards() -> None:
    loop: Any = determinism._module("trio._core._run")  # pyright: ignore[reportPrivateUsage]
    before = (loop._r, loop._ALLOW_DETERMINISTIC_SCHEDULING)
    order_of(1)
    assert (loop._r, loop._ALLOW_DETERMINISTIC_SCHEDULING) == before
