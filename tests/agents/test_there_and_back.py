"""A state that is set to what it was before: the same value again, and not the last one that was written."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, Checkpointed, Durability

from ..journals import on_disk
from .trees import kept, opened, slot_of


@frozen
class Lamp:
    lit: bool


@frozen
class Switch:
    lit: bool
    noted: bool = False
    """Recorded as well."""


ON, OFF = Lamp(True), Lamp(False)


class Room(Agent[Lamp]):
    """Knows two states only, and puts one of them in the place of the other."""

    state = OFF

    @handles
    def switch(self, message: Switch) -> None:
        self.state = ON if message.lit else OFF
        if message.noted:
            self.record(message)


class LitAtFirst(Room):
    """Lit by whoever begins to live there."""

    async def on_start(self) -> None:
        self.state = ON


@pytest.mark.parametrize("durability", [MESSAGE, Checkpointed(messages=1)])
@pytest.mark.parametrize("noted", [False, True])
@pytest.mark.parametrize(
    ("agent", "messages"), [(Room, (True, False)), (LitAtFirst, (False,)), (LitAtFirst, (False, True, False))]
)
async def test_it_is_stored_again(
    agent: type[Room],
    messages: tuple[bool, ...],
    noted: bool,
    durability: Durability,
    tmp_path: Path,
    autojump_clock: MockClock,
) -> None:
    file = tmp_path / "tree.db"
    async with opened(kept(agent, durability, id="room"), journal=on_disk(file)) as running:
        for lit in messages:
            await running.ref("room").tell(Switch(lit, noted))
            await trio.sleep(1)
        assert slot_of(running, "room").state is OFF
    async with opened(kept(Room, durability, id="room"), journal=on_disk(file)) as running:
        await trio.sleep(1)
        assert slot_of(running, "room").state == OFF
