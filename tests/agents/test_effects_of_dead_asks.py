"""An ask from outside whose process died does not come again: with its last doubt goes all that was done for it."""

from __future__ import annotations

import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents import Agent, Done, GiveUp, NotDone, Request, handles
from treewarden.agents.core.path import ROOT
from treewarden.supervisor.answering import answer_at_rest, open_in
from treewarden.supervisor.common import Common, LoopClock
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.supervisor.journal.forking import fork
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.topologies import child

from ..journals import on_disk
from .effects_desk import Bank, Paid, desk, left, opened


@frozen
class Sum(Request[int]):
    """Paid for in two or three steps."""


class Shop(Agent[int]):
    state = 0

    def __init__(self, bank: Bank, doubt: str) -> None:
        self.bank = bank
        self.doubt = doubt

    @handles
    async def sum(self, message: Sum) -> int:
        await self.effect("charge", partial(self.bank.charge, 1))
        if self.doubt == "both":
            self.bank.raises = [ConnectionError("the line went dead")]
            with pytest.raises(ConnectionError):
                await self.effect("deliver", partial(self.bank.charge, 1))
        self.bank.gate = trio.Event()
        if self.doubt == "own":
            await self.effect("deliver", partial(self.bank.charge, 1))
        else:
            await self.ref("../desk").ask(Paid(1), within=3600)
        return 1


def _no_time(_common: Common, _message: str) -> None:
    """What a process does that dies."""


def _kept(file: Path) -> int:
    with sqlite3.connect(file) as connection:
        (count,) = connection.execute("SELECT count(*) FROM replies").fetchone()
    connection.close()
    return count


@pytest.mark.parametrize("said", [Done({"key": "k", "amount": 1}), NotDone(), GiveUp()], ids=["done", "not", "up"])
@pytest.mark.parametrize("doubt", ["own", "asked", "both"])
@pytest.mark.parametrize("at_rest", [False, True], ids=["running", "at rest"])
async def test_nothing_is_left_of_it_in_a_fork(
    tmp_path: Path, at_rest: bool, doubt: str, said: Any, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Where it looks like what the handler of another journal may still ask for."""
    bank, file = Bank(), tmp_path / "fork.db"
    kinds = desk(bank), child(Shop, args={"bank": bank, "doubt": doubt}, backoff=NO_BACKOFF)
    with trio.CancelScope() as power:
        async with opened(*kinds, journal=on_disk(tmp_path / "tree.db")) as running, trio.open_nursery() as nursery:
            nursery.start_soon(running.ref("shop").traced("order-17").ask, Sum())
            await trio.sleep(1)
            monkeypatch.setattr(Common, "forget_replies", _no_time)
            power.cancel()
            await trio.sleep_forever()
    monkeypatch.undo()
    fork(tmp_path / "tree.db", file, new_tree=lambda: "f0")
    if at_rest:
        while doubts := _doubts(file):
            async with on_disk(file) as journal:
                await answer_at_rest(journal, LoopClock(trio.current_time), ROOT, said, doubts[0], "ada")
    else:
        async with opened(*kinds, journal=on_disk(file)) as running:
            await trio.sleep(1)
            while doubts := await running.effects():
                assert _kept(file) > 2
                await running.answer(str(doubts[0].path), said, key=doubts[0].key)
            assert left(running) == 0
    assert _kept(file) == 0


def _doubts(file: Path) -> list[str]:
    with JournalFile.open(file) as journal:
        return [each.key for each in open_in(journal.effects(), ROOT)]
