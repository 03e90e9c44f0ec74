"""A large message that is given up is not encoded once more: its row in the mailbox has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents import Agent, Request, handles
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.supervisor.journal.codec import Codec
from treewarden.topologies import child, open_tree, tree

from ..agents.trees import Disk
from ..journals import on_disk
from .clerks import MANY, short_slices

__all__ = ["short_slices"]

pytestmark = pytest.mark.usefixtures("short_slices")

LINES = tuple((n,) * 7 for n in range(50))


@frozen
class Parcel:
    lines: tuple[tuple[int, ...], ...] = ()


@frozen
class Heal:
    pass


@frozen
class Count(Request[int]):
    pass


class Desk(Agent[int]):
    """Fails over parcels until it is healed."""

    state = 0

    def __init__(self, well: list[bool]) -> None:
        self.well = well

    @handles
    def parcel(self, message: Parcel) -> None:
        if not self.well:
            raise ValueError("too heavy")
        self.state += len(message.lines)

    @handles
    def count(self, _: Count) -> int:
        return self.state


@pytest.mark.parametrize("disk", [False, True])
async def test_it_is_given_up_as_it_is_stored_and_put_back(
    disk: bool, tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once: list[Any] = []
    encode = Codec.encode_row

    def noted(codec: Codec, value: object) -> Any:
        at_once.append(value)
        return encode(codec, value)

    monkeypatch.setattr(Codec, "encode_row", noted)
    well: list[bool] = []
    journal = on_disk(tmp_path / "tree.db") if disk else Disk()
    desk = child(Desk, args={"well": well}, backoff=NO_BACKOFF)
    async with open_tree(tree(desk, restarts=MANY), journal=journal) as running:
        parcels = Parcel(), Parcel(LINES)
        for parcel in parcels:
            await running.ref("desk").tell(parcel)
        await trio.sleep(1)
        large, small = await running.dead_letters()
        assert [large.kind, small.kind] == [f"{__name__}:Parcel"] * 2
        assert parcels[1] not in at_once
        assert at_once.count(parcels[0]) == 2, "with its mailbox, and as a dead letter"
        well.append(True)
        await running.replay(large.id)
        assert await running.ref("desk").ask(Count()) == len(LINES)
        assert [each.id for each in await running.dead_letters()] == [small.id]
