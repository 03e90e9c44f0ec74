"""An effect whose process, or whose life, is cancelled at every step of its tasks: it is done once, in the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from treewarden.agents import Done, NotDone
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.journal.port import Journal
from treewarden.topologies.chaos.determinism import ordered_by
from treewarden.topologies.running import Tree

from ..journals import on_disk
from .effects_desk import Bank, Pay, Receipt, desk, left, opened
from .trees import slot_of


class Slow(Bank):
    """A step before it is done, and one after."""

    async def charge(self, amount: int, key: str) -> Receipt:
        await trio.lowlevel.checkpoint()
        got = await super().charge(amount, key)
        await trio.lowlevel.checkpoint()
        return got


class AtStep(trio.abc.Instrument):
    """Does something after so many steps of tasks, of all together, from when it is told what."""

    def __init__(self, step: int | None) -> None:
        self.step = step
        self.steps = 0
        self.act: Callable[[], object] | None = None

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.act is not None:
            self.steps += 1
            if self.steps == self.step:
                self.act()


async def answered(running: Tree, bank: Bank) -> None:
    """A person looks for each key outside, and says what is there."""
    await trio.sleep(5)
    for doubt in await running.effects():
        done = doubt.key in bank.done
        await running.answer(doubt.path, Done({"key": doubt.key, "amount": 7}) if done else NotDone())
        await trio.sleep(5)


async def scene(says: str, what: str, journals: Callable[[], Journal], at: AtStep) -> None:
    bank = Slow()
    with trio.CancelScope() as power:
        async with opened(desk(bank), journal=journals()) as running:
            await running.ref("desk").tell(Pay(7, says))
            at.act = power.cancel if what == "process" else lambda: running.kill("desk")
            await trio.sleep(5)
            at.act = None
    at.act = None
    async with opened(desk(bank), journal=journals()) as running:
        await answered(running, bank)
        assert slot_of(running, "desk").state == (Receipt(bank.done[0], 7),)
        assert len(set(bank.done)) == 1
        assert len(bank.done) == 1 or says == "idempotent"
        assert (left(running), await running.dead_letters()) == (0, ())


def run(says: str, what: str, journals: Callable[[], Journal], step: int | None) -> int:
    at = AtStep(step)
    with ordered_by(step or 0):
        trio.run(scene, says, what, journals, at, clock=MockClock(autojump_threshold=0), instruments=[at])
    return at.steps


@pytest.mark.parametrize("what", ["process", "life"])
@pytest.mark.parametrize("says", ["", "verify", "idempotent"])
@pytest.mark.parametrize("where", ["memory", "disk"])
def test_it_is_done_once_in_the_end(where: str, says: str, what: str, tmp_path: Any) -> None:
    def journals(number: int) -> Callable[[], Journal]:
        memory = MemoryJournal()
        return lambda: memory if where == "memory" else on_disk(tmp_path / f"{number}.db")

    steps = run(says, what, journals(0), None)
    assert steps >= 9
    for step in range(1, steps + 1):
        run(says, what, journals(step), step)
