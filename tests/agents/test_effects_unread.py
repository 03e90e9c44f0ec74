"""An effect whose result the code at hand cannot read: it is listed, and a person says anew what came of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents import MESSAGE, ConfigurationError, Done, GiveUp, MailboxSpec, NotDone, handles
from treewarden.supervisor.answering import Said
from treewarden.supervisor.core.event import EffectNoted
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.topologies import child
from treewarden.topologies.cli import main

from ..journals import on_disk
from .effects_desk import Bank, Desk, Pay, Processes, Receipt, left, note, opened
from .effects_desk import processes as processes
from .trees import happened, slot_of


@frozen
class Slip:
    """What receipts have become."""

    text: str


class Stuck(Desk):
    @handles
    async def pay(self, message: Pay) -> None:
        await self.charge(message.amount)
        await trio.sleep_forever()


class Newer(Desk):
    @handles
    async def pay(self, message: Pay) -> None:
        call: Any = partial(self.bank.charge, message.amount)
        self.log.append(await self.effect("charge", call, returns=Slip))


def made(agent: type[Desk], bank: Bank, log: list[Any]) -> Any:
    mailbox = MailboxSpec(durability=MESSAGE)
    return child(agent, id="desk", args={"bank": bank, "log": log}, backoff=NO_BACKOFF, mailbox=mailbox)


async def left_behind(processes: Callable[[], Any], bank: Bank) -> None:
    """A process has done it, and was ended before its message settled."""
    with trio.CancelScope() as power:
        async with opened(made(Stuck, bank, []), journal=processes()) as running:
            await running.ref("desk").tell(Pay(7))
            await trio.sleep(1)
            power.cancel()
    assert bank.calls == 1


ANSWERS: dict[str, tuple[Said, list[Any], int]] = {
    "done": (Done({"text": "seven"}), [Slip("seven")], 1),
    "not done": (NotDone(), [], 2),
    "given up": (GiveUp(), [], 1),
}


@pytest.mark.parametrize("what", ANSWERS)
async def test_a_person_says_anew_what_came_of_it(processes: Processes, what: str, autojump_clock: MockClock) -> None:
    said, logged, calls = ANSWERS[what]
    bank, log = Bank(), list[Any]()
    await left_behind(processes, bank)
    async with opened(made(Newer, bank, log), journal=processes()) as running:
        await trio.sleep(1)
        assert "was done, and its result cannot be read" in note(running)
        (found,) = await running.effects()
        assert (found.unread, found.effect, found.key) == (True, "charge", bank.done[0])
        await running.answer("desk", said, by="ada")
        await trio.sleep(1)
        assert (log, bank.calls) == (logged, calls)
        if what != "not done":  # where it is done again, and returns what it returned
            assert (left(running), await running.effects(), running.snapshot()[0].held) == (0, (), False)
            with pytest.raises(ConfigurationError, match="no effect is in doubt there"):
                await running.answer("desk", said)
        assert len(await running.dead_letters()) == (what == "given up")


@pytest.mark.parametrize("what", ANSWERS)
async def test_what_a_person_says_anew_outlives_the_process(
    processes: Processes, what: str, autojump_clock: MockClock
) -> None:
    """A result is stored once: the one that nobody can read goes first, or the next process would find it again."""
    said, logged, calls = ANSWERS[what]
    bank, log = Bank(), list[Any]()
    await left_behind(processes, bank)
    with trio.CancelScope() as power:
        async with opened(made(Newer, bank, []), journal=processes()) as running:
            await trio.sleep(1)
            running.hold("desk", text="until tomorrow")
            await running.answer("desk", said, by="ada")
            noted = [each.what for each in await happened(running, EffectNoted, 4)]
            assert noted == ["begun", "done", "in doubt", what]
            power.cancel()
    async with opened(made(Newer, bank, log), journal=processes()) as running:
        running.resume("desk")
        await trio.sleep(1)
        assert (log, bank.calls) == (logged, calls)
        assert len(await running.dead_letters()) == (what == "given up")


async def test_code_that_reads_it_goes_on(processes: Processes, autojump_clock: MockClock) -> None:
    bank = Bank()
    await left_behind(processes, bank)
    async with opened(made(Newer, bank, []), journal=processes()) as running:
        await trio.sleep(1)
        assert running.snapshot()[0].held
    async with opened(made(Desk, bank, []), journal=processes()) as running:
        running.resume("desk")
        await trio.sleep(1)
        assert slot_of(running, "desk").state == (Receipt(bank.done[0], 7),)
        assert (bank.calls, left(running), await running.effects()) == (1, 0, ())


async def test_it_is_listed_and_answered_in_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], autojump_clock: MockClock
) -> None:
    file, bank, log = tmp_path / "tree.db", Bank(), list[Any]()
    await left_behind(lambda: on_disk(file), bank)
    async with opened(made(Newer, bank, log), journal=on_disk(file)):
        await trio.sleep(1)
    run = partial(trio.to_thread.run_sync, main)
    assert await run(["effects", str(file)]) == 0
    listed = capsys.readouterr().out
    assert "charge of Pay" in listed
    assert "done, and its result cannot be read" in listed
    assert await run(["answer", str(file), "desk", "--done", '{"text": "seven"}']) == 0
    assert await run(["effects", str(file)]) == 0
    assert "no effect is in doubt" in capsys.readouterr().out
    async with opened(made(Newer, bank, log), journal=on_disk(file)) as running:
        await trio.sleep(1)
        assert (log, bank.calls, left(running)) == ([Slip("seven")], 1, 0)
