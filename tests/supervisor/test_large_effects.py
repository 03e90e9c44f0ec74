"""What an effect returns may be large: others have turns before it is stored, and before it is read again; and it was
done once, whoever is cut short meanwhile."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents import Agent, Done, NotDone, handles
from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor import effects
from treewarden.supervisor.core.event import EffectNoted
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.supervisor.journal import codec, in_slices, slices
from treewarden.topologies import child, open_tree, tree
from treewarden.topologies.running import Tree

from ..agents.trees import happened, slot_of
from ..journals import on_disk
from .clerks import FEW, MANY, short_slices, turns

__all__ = ["short_slices"]

pytestmark = pytest.mark.usefixtures("short_slices")

LINES: tuple[Any, ...] = tuple((n,) * 7 for n in range(50))
ENOUGH = len(LINES) // 2
"""Turns that others have at least while that is encoded: about one for each line."""


@frozen
class Page:
    lines: tuple[tuple[int, ...], ...] = ()


@frozen
class Fetch:
    says: str = ""
    """`verify`, or nothing."""
    fails: int = 0
    """How often its handler fails after it has the page."""


class Web(trio.abc.Instrument):
    """The world outside, and what was seen there."""

    def __init__(self, lines: tuple[Any, ...] = LINES) -> None:
        self.page = Page(lines)
        self.calls = 0
        self.loses = 0
        """How many calls raise when they have done it."""
        self.turn = 0
        """How many turns everybody has had."""
        self.done_at = 0
        self.turns: list[int] = []
        """How many of them each handler had to wait for its page since it was fetched, or asked for."""

    async def get(self, key: str) -> Page:
        await trio.lowlevel.checkpoint()
        self.calls += 1
        self.done_at = self.turn
        if self.calls <= self.loses:
            raise OSError("the line is dead")
        return self.page

    async def look(self, key: str) -> Done[Page] | NotDone:
        self.done_at = self.turn
        return Done(self.page)

    def before_io_wait(self, timeout: float) -> None:
        self.turn += 1


class Reader(Agent[int]):
    """How many lines it has read."""

    state = 0

    def __init__(self, web: Web) -> None:
        self.web = web

    @handles
    async def fetch(self, message: Fetch) -> None:
        self.web.done_at = self.web.turn
        page = await self.effect("get", self.web.get, verify=self.web.look if message.says else None)
        self.web.turns.append(self.web.turn - self.web.done_at)
        if len(self.web.turns) <= message.fails:
            raise ValueError("after it had the page")
        self.state += len(page.lines)


@asynccontextmanager
async def opened(file: Path, web: Web) -> AsyncGenerator[Tree]:
    reader = child(Reader, args={"web": web}, backoff=NO_BACKOFF)
    trio.lowlevel.add_instrument(web)
    try:
        async with open_tree(tree(reader, restarts=MANY), journal=on_disk(file), wall=trio.current_time) as running:
            yield running
    finally:
        trio.lowlevel.remove_instrument(web)


def lines(running: Tree) -> Any:
    return slot_of(running, "reader").state


async def test_others_have_turns_before_it_is_stored(tmp_path: Path, autojump_clock: MockClock) -> None:
    web = Web()
    async with opened(tmp_path / "tree.db", web) as running:
        await running.ref("reader").tell(Fetch(fails=1))
        await trio.sleep(1)
        assert (web.calls, len(web.turns), lines(running)) == (1, 2, len(LINES))
    assert web.turns[0] > ENOUGH
    assert web.turns[1] <= FEW, "it is in memory: another delivery does not read it"


async def test_others_have_turns_before_one_is_stored_that_was_verified(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    web = Web()
    web.loses = 1
    async with opened(tmp_path / "tree.db", web) as running:
        await running.ref("reader").tell(Fetch("verify"))
        await trio.sleep(1)
        assert (web.calls, lines(running)) == (1, len(LINES))
    assert web.turns[0] > ENOUGH


async def test_others_have_turns_before_the_next_process_reads_it(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tree that reads it in slices has the same as one that reads it at once."""
    web = Web()
    with trio.CancelScope() as power:
        async with opened(tmp_path / "tree.db", web) as running:
            await running.ref("reader").tell(Fetch(fails=100))
            while not web.turns:
                await trio.lowlevel.checkpoint()
            power.cancel()
    web.turns = [0] * 100
    for module in (effects, codec):
        monkeypatch.setattr(module, "LIMIT", 100)
    for name in ("SLICE", "_SHORT"):
        monkeypatch.setattr(slices, name, 16)
    monkeypatch.setattr(in_slices, "_SLICE", 16)
    async with opened(tmp_path / "tree.db", web) as running:
        await trio.sleep(1)
        assert (web.calls, lines(running)) == (1, len(LINES))
    assert web.turns[-1] > ENOUGH


@pytest.mark.parametrize("after", range(0, ENOUGH, 3))
@pytest.mark.parametrize("cut", ["life", "process"])
async def test_whoever_is_cut_short_meanwhile_has_done_it(
    after: int, cut: str, tmp_path: Path, autojump_clock: MockClock
) -> None:
    web = Web()
    with trio.CancelScope() as power:
        async with opened(tmp_path / "tree.db", web) as running:
            await running.ref("reader").tell(Fetch())
            while not web.calls:
                await trio.lowlevel.checkpoint()
            await turns(after)
            assert not web.turns
            if cut == "process":
                power.cancel()
            else:
                assert running.kill("reader")
            await trio.sleep(1)
            assert lines(running) == len(LINES)
    async with opened(tmp_path / "tree.db", web) as running:
        await trio.sleep(1)
        assert (web.calls, lines(running)) == (1, len(LINES))
        assert (await running.effects(), await running.dead_letters()) == ((), ())


@pytest.mark.parametrize("short", [True, False])
async def test_one_that_cannot_be_stored_is_in_doubt_as_a_small_one_is(
    short: bool, tmp_path: Path, autojump_clock: MockClock
) -> None:
    web = Web((("no number",),) if short else (*LINES, ("no number",)))
    async with opened(tmp_path / "tree.db", web) as running:
        await running.ref("reader").tell(Fetch())
        await trio.sleep(1)
        (found,) = [each.note for each in running.snapshot() if each.path == "reader"]
        place = 0 if short else len(LINES)
        assert "what it returned cannot be stored: " in found
        assert f"lines[{place}][0] cannot be stored: 'no number' (str) is not int" in found
        assert [each.under_way for each in await running.effects()] == [False]


async def test_one_that_cannot_be_stored_is_in_doubt_where_its_life_is_cut_short(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    web = Web((*LINES, ("no number",)))
    async with opened(tmp_path / "tree.db", web) as running:
        await running.ref("reader").tell(Fetch())
        while not web.calls:
            await trio.lowlevel.checkpoint()
        await turns(FEW)
        assert running.kill("reader")
        await trio.sleep(1)
        assert (web.calls, [each.under_way for each in await running.effects()]) == (1, [False])
        why = [each.text for each in await happened(running, EffectNoted, 2) if each.what == "in doubt"]
        assert len(why) == 1
        assert "was done, and what it returned cannot be stored: " in why[0]


@asynccontextmanager
async def asked(file: Path, web: Web) -> AsyncGenerator[Tree]:
    """Of a tree in which a person is asked what came of it."""
    web.loses = 1
    async with opened(file, web) as running:
        await running.ref("reader").tell(Fetch())
        await trio.sleep(1)
        yield running


async def test_others_have_turns_before_one_is_stored_that_a_person_gives(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    web = Web()
    async with asked(tmp_path / "tree.db", web) as running:
        before = web.turn
        await running.answer("reader", Done(web.page), by="ada")
        assert web.turn - before > ENOUGH
        await trio.sleep(1)
        assert (web.calls, lines(running)) == (1, len(LINES))


async def test_of_two_who_give_one_the_first_is_heard(tmp_path: Path, autojump_clock: MockClock) -> None:
    web = Web()
    async with asked(tmp_path / "tree.db", web) as running, trio.open_nursery() as nursery:
        (doubt,) = await running.effects()

        async def gives() -> None:
            with pytest.raises(ConfigurationError, match=f"reader: no effect has the key {doubt.key} there"):
                await running.answer("reader", Done(web.page), by="eve")

        nursery.start_soon(gives)
        await turns(ENOUGH // 2)
        await running.answer("reader", Done(Page(LINES[:1])), by="ada")
        await trio.sleep(1)
        assert lines(running) == 1
    async with opened(tmp_path / "tree.db", web) as running:
        assert (web.calls, lines(running)) == (1, 1)


async def test_who_gives_one_and_is_cancelled_has_said_nothing(tmp_path: Path, autojump_clock: MockClock) -> None:
    web = Web()
    async with asked(tmp_path / "tree.db", web) as running:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.answer, "reader", Done(web.page))
            await turns(ENOUGH // 2)
            nursery.cancel_scope.cancel()
        assert [each.under_way for each in await running.effects()] == [False]
        await running.answer("reader", Done(Page(LINES[:2])), by="ada")
        await trio.sleep(1)
        assert lines(running) == 2
