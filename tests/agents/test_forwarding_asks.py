"""What goes with an ask that is handed on, and who may not be handed it."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from treewarden.agents.agent import handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability
from treewarden.agents.core.message import Priority
from treewarden.agents.errors import AgentFailed

from .forwarders import LEVELS, PAIRS, Back, Front, Note, Notes, Through, What, at, notes
from .trees import Disk, opened

CLOCK = trio.testing.MockClock


class Slow(Front):
    @handles
    async def what(self, message: What) -> str:
        await trio.sleep(1)
        await self.forward(self.to)
        return "nobody gets this"


class Replying(Front):
    @handles
    async def what(self, message: What) -> str:
        return "by the asker"


async def test_whoever_already_waits_for_the_asker_is_not_handed_what_it_asks(autojump_clock: CLOCK) -> None:
    """Nothing of that is seen in the message itself: `back` asks for somebody else."""
    async with (
        opened(at(Back, VOLATILE, "back"), at(Slow, VOLATILE, "front"), at(Replying, VOLATILE, "asker")) as tree,
        trio.open_nursery() as nursery,
    ):

        async def first() -> None:
            with pytest.raises(AgentFailed, match="AskCycle"):
                await tree.ref("asker").ask(Through("../front"), within=20)

        nursery.start_soon(first)
        await trio.testing.wait_all_tasks_blocked()
        assert await tree.ref("back").ask(What("ask ../asker"), within=20) == "by the asker"


class AsksFirst(Front):
    @handles
    async def what(self, message: What) -> str:
        await self.ref(self.to).ask(Notes())
        await self.forward(self.to)
        return "nobody gets this"


@PAIRS
@LEVELS
async def test_who_has_asked_something_for_it_hands_it_on_all_the_same(
    autojump_clock: CLOCK, front: Durability, durability: Durability
) -> None:
    """By an id, where it is one that a durable agent asks: as those of effects, which bind it to who has run them."""

    class Asker(Front):
        @handles
        async def note(self, message: Note) -> None:
            await self.ref("../back").tell(Note(await self.ref("../front").ask(What(message.text))))

    spec = (at(Back, durability, "back"), at(AsksFirst, front, "front"), at(Asker, MESSAGE, "asker"))
    async with opened(*spec, journal=Disk()) as tree:
        await tree.ref("asker").tell(Note("hello"))
        await trio.sleep(10)
        assert await notes(tree) == ("hello", "back: hello")


@PAIRS
@LEVELS
async def test_an_ask_that_is_handed_on_keeps_its_priority(
    front: Durability, durability: Durability, autojump_clock: CLOCK
) -> None:
    async with opened(at(Back, durability, "back"), at(Front, front, "front"), journal=Disk()) as running:

        async def ask(text: str, priority: int) -> None:
            assert await running.ref("front").ask(What(text), priority=priority) == f"back: {text}"

        await running.ref("back").tell(Note("slow"))
        await trio.sleep(0.1)
        async with trio.open_nursery() as nursery:
            for text, priority in (("low", Priority.LOW), ("normal", Priority.NORMAL), ("high", Priority.HIGH)):
                nursery.start_soon(ask, text, priority)
                await trio.testing.wait_all_tasks_blocked()
        assert await notes(running) == ("slow", "high", "normal", "low")
