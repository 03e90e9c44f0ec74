"""A tree in a scope of the user's that is cancelled, at every step of its tasks, one after the other."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

from treewarden.agents.errors import TreewardenError
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.chaos.determinism import ordered_by
from treewarden.topologies.open import open_tree

from .cancelled_tree import SCENES, Noted, states_of

EVERY = 5
"""Which steps are tried. All of them take too long for each run of the tests."""


class CancelAt(trio.abc.Instrument):
    """Cancels a scope after so many steps of tasks, of all together."""

    def __init__(self, step: int | None) -> None:
        self.step = step
        self.scope: trio.CancelScope | None = None
        self.steps = 0

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.scope is not None:
            self.steps += 1
            if self.steps == self.step:
                self.scope.cancel()


async def cancelled(name: str, at: CancelAt) -> None:
    make, work = SCENES[name]
    noted, journal = Noted(), MemoryJournal()
    tasks, began = trio.lowlevel.current_statistics().tasks_living, trio.current_time()
    with trio.CancelScope() as at.scope:
        async with open_tree(make(noted), journal=journal, seed=1) as running:
            await work(running, noted)
    ended = at.scope.cancelled_caught
    at.scope = None
    assert trio.lowlevel.current_statistics().tasks_living == tasks
    assert not ended or trio.current_time() - began < 1
    async with open_tree(make(noted), journal=journal, seed=1) as running:
        await trio.sleep(10)
        for status in running.snapshot():
            with suppress(TreewardenError):
                assert running.ref(str(status.path)).statistics().depth == 0, status.path
        paths = [status.path for status in running.snapshot()]
        letters = await running.dead_letters(limit=1000)
    states = await states_of(journal, paths)
    given_up = {json.loads(letter.body)["number"] for letter in letters}
    times = Counter(number for path, numbers in states.items() for number in numbers if path != "t/y")
    assert max(times.values(), default=1) == 1
    for path, numbers in noted.acknowledged.items():
        assert numbers <= {*times, *given_up}, path
    assert not noted.not_sent & {*times, *given_up}


def run(name: str, step: int | None) -> int:
    at = CancelAt(step)
    with ordered_by(step or 0):
        trio.run(cancelled, name, at, clock=MockClock(autojump_threshold=0), instruments=[at])
    return at.steps


@pytest.mark.parametrize("name", SCENES)
def test_it_ends_and_nothing_acknowledged_is_lost(name: str) -> None:
    steps = run(name, None)
    assert steps > 150
    for step in range(1, steps, EVERY):
        try:
            run(name, step)
        except BaseException as error:
            error.add_note(f"cancelled after step {step} of {steps}")
            raise
