"""Whoever was held over an effect goes on once it is known what came of it, whatever happens to the process then."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from treewarden.agents import Done, GiveUp, NotDone
from treewarden.supervisor.answering import Said
from treewarden.supervisor.core.event import DeadLettered, EffectNoted, QuestionAnswered
from treewarden.supervisor.journal.port import Commit

from .effects_desk import Bank, Pay, Receipt, desk, opened
from .trees import Disk

SAID: dict[str, Callable[[str], Said]] = {
    "done": lambda key: Done(Receipt(key, 7)),
    "not done": lambda key: NotDone(),
    "given up": lambda key: GiveUp(),
}


@pytest.mark.parametrize("what", SAID)
async def test_a_process_that_dies_behind_an_answer_leaves_nobody_held(what: str, autojump_clock: MockClock) -> None:
    """Whoever starts next is held while the question stands, so it goes with the answer, and not in a later commit."""
    bank, disk = Bank(), Disk()
    bank.raises = [ConnectionError("the line went dead")]
    commits: list[Commit] = []

    def seen(commit: Commit) -> bool:
        commits.append(commit)
        return False

    async with opened(desk(bank), journal=disk) as running:
        await running.ref("desk").tell(Pay(7))
        await trio.sleep(1)
        (doubt,) = await running.effects()
        disk.broken, before = seen, len(disk.seen)
        await running.answer("desk", SAID[what](doubt.key), by="ada")
        await trio.sleep(1)
        assert not running.snapshot()[0].held
    if what == "given up":  # which nobody waits for
        commits = disk.seen[before:]
    kinds = [[type(event) for _, event in commit.events] for commit in commits]
    (answered,) = [each for each in kinds if QuestionAnswered in each]
    assert EffectNoted in answered
    assert sum(each.count(QuestionAnswered) for each in kinds) == 1
    letters = [place for place, each in enumerate(kinds) if DeadLettered in each]
    assert all(place > kinds.index(answered) for place in letters)
    assert bool(letters) == (what == "given up")
