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

from .effects_desk import Bank, Pay, Processes, Receipt, desk, left, note, opened
from .effects_desk import processes as processes
from .trees import Disk, slot_of

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


@pytest.mark.parametrize(
    ("says", "end", "calls"),
    [
        ("", None, 1),
        ("", NotDone("the line was busy"), 2),
        ("verify", None, 1),
        ("verify", ConnectionError("the line went dead"), 1),
        ("idempotent", ConnectionError("the line went dead"), 2),
    ],
    ids=str,
)
async def test_who_waits_for_a_call_of_an_earlier_life_goes_on_when_that_ends(
    processes: Processes, says: str, end: Exception | None, calls: int, autojump_clock: MockClock
) -> None:
    running_on = await stubborn(processes, Pay(7, says), end)
    assert running_on == (calls, 0, "")


async def test_who_waits_for_a_call_that_says_nothing_in_the_end_is_held(
    processes: Processes, autojump_clock: MockClock
) -> None:
    calls, waiting, why = await stubborn(processes, Pay(7), ConnectionError("the line went dead"))
    assert (calls, waiting) == (1, 1)
    assert "is still running in an earlier life" in why


async def stubborn(processes: Processes, pay: Pay, end: Exception | None) -> tuple[int, int, str]:
    """A call shields itself from its cancellation, and ends so when the next life is held over it."""
    bank, gate = Bank(), trio.Event()

    async def charge(amount: int, key: str) -> Receipt:
        bank.calls += 1
        if not isinstance(end, NotDone) or gate.is_set():
            bank.done.append(key)
        with trio.CancelScope(shield=True):
            if not gate.is_set():
                await gate.wait()
                if end is not None:
                    raise end
        return Receipt(key, amount)

    bank.charge = charge
    async with opened(desk(bank), journal=processes()) as running:
        await running.ref("desk").tell(pay)
        await trio.sleep(1)
        running.kill("desk")
        await trio.sleep(60)
        assert running.snapshot()[0].held
        gate.set()
        await trio.sleep(5)
        assert not await running.effects() or running.snapshot()[0].held
        if not running.snapshot()[0].held:
            assert slot_of(running, "desk").state == (Receipt(bank.done[0], 7),)
            assert left(running) == 0
        return bank.calls, running.snapshot()[0].mailbox, note(running)
