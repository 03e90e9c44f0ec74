"""Children that are added and do not start, under an id that somebody had before: what is on disk of that one stays."""

from __future__ import annotations

import pathlib

import pytest
import trio
import trio.testing

from treewarden.agents.errors import AgentStopped, NoSuchSlot, StartFailed
from treewarden.supervisor import Strategy
from treewarden.topologies.child import child, supervisor
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

from ..journals import on_disk
from .test_left_behind import Add, Book, Numbers

CLOCK = trio.testing.MockClock


class Fragile(Book):
    down = False

    async def on_start(self) -> None:
        if self.down:
            raise OSError("the service is down")


SPEC = child(Fragile, id="a")
TREE = tree(supervisor("shelf", strategy=Strategy.DYNAMIC, children=(SPEC,)), supervisor("desk", children=()))
both = pytest.mark.parametrize("above", ["shelf", "desk"])


async def begin(running: Tree, above: str) -> None:
    if above == "shelf":
        await running.supervisor(above).start_dynamic(id="a")
    else:
        await running.supervisor(above).start_child(SPEC)


async def fail_once(running: Tree, above: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(Fragile, "down", True)
        with pytest.raises(StartFailed):
            await begin(running, above)


@both
@pytest.mark.parametrize("same_process", [True, False])
async def test_what_it_had_waits_for_the_next_start(
    above: str,
    same_process: bool,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: CLOCK,
) -> None:
    async with open_tree(TREE, journal=on_disk(tmp_path / "file.db")) as running:
        await begin(running, above)
        book = running.ref(f"{above}/a")
        await book.tell(Add(1))
        await trio.sleep(1)
        running.hold(f"{above}/a")
        await trio.sleep(1)
        await book.tell(Add(2))
        assert running.kill(above)
        await trio.sleep(10)
        if same_process:
            await fail_once(running, above, monkeypatch)
            with pytest.raises(AgentStopped, match="it did not start"):
                await book.tell(Add(3))
            await begin(running, above)
            assert await book.ask(Numbers()) == (1, 2)
    async with open_tree(TREE, journal=on_disk(tmp_path / "file.db")) as running:
        await fail_once(running, above, monkeypatch)
        assert not await running.dead_letters()
        await begin(running, above)
        assert await running.ref(f"{above}/a").ask(Numbers()) == (1, 2)


@both
async def test_nothing_is_remembered_of_one_that_had_nothing(
    above: str, monkeypatch: pytest.MonkeyPatch, autojump_clock: CLOCK
) -> None:
    async with open_tree(TREE) as running:
        await fail_once(running, above, monkeypatch)
        with pytest.raises(NoSuchSlot):
            await running.ref(f"{above}/a").tell(Add(1))
