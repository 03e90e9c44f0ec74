"""Handing on the message in hand: who answers, who waits for whom, and what happens if it cannot leave."""

from __future__ import annotations

from pathlib import Path as File

import pytest
import trio
import trio.testing

from treewarden.agents.agent import Agent, every, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability, MailboxSpec, Overflow
from treewarden.agents.core.message import Priority, Request
from treewarden.agents.errors import AgentFailed, AgentStopped, AskTimeout
from treewarden.supervisor.core.event import ChildEnded, DeadLettered
from treewarden.topologies.child import child
from treewarden.topologies.pool import pool
from treewarden.topologies.topic import topic

from ..journals import on_disk
from .forwarders import LEVELS, PAIRS, Back, Front, Note, Notes, Through, What, at, notes
from .trees import Disk, happened, opened, slot_of

CLOCK = trio.testing.MockClock


@PAIRS
@LEVELS
async def test_the_asker_gets_its_reply_from_there(
    autojump_clock: CLOCK, front: Durability, durability: Durability
) -> None:
    async with opened(at(Back, durability, "back"), at(Front, front, "front")) as tree:
        assert await tree.ref("front").ask(What("hello")) == "back: hello"
        assert await tree.ref("front").ask(What("up")) == "back: UP"
        with pytest.raises(AgentFailed, match="back"):
            await tree.ref("front").ask(What("bad"))


class Takes(Back):
    """Handles nothing as well as something."""

    @handles
    def nothing(self, message: None) -> str:
        self.state = (*self.state, "nothing")
        return "nothing"


async def test_nothing_is_handed_on_in_the_place_of_something(autojump_clock: CLOCK) -> None:
    async with opened(at(Takes, VOLATILE, "back"), at(Front, VOLATILE, "front")) as tree:
        assert await tree.ref("front").ask(What("nothing")) == "nothing"
        await tree.ref("front").tell(Note("nothing"))
        await trio.sleep(1)
        assert await notes(tree) == ("nothing", "nothing")


async def test_whoever_does_not_handle_it_is_handed_nothing(autojump_clock: CLOCK) -> None:
    """And not what it was handed in the place of."""
    async with opened(at(Back, VOLATILE, "back"), at(Front, VOLATILE, "front")) as tree:
        with pytest.raises(AgentFailed, match="back: it does not handle NoneType"):
            await tree.ref("front").ask(What("nothing"))
        assert await notes(tree) == ()


@PAIRS
@LEVELS
async def test_nobody_waits_in_between(autojump_clock: CLOCK, front: Durability, durability: Durability) -> None:
    backs = pool(at(Back, durability, "back"), size=3)
    async with opened(backs, at(Front, front, "front")) as tree:
        begun = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(lambda: tree.ref("front").ask(What("slow"), within=20))
        assert trio.current_time() - begun == pytest.approx(10, abs=0.5)


async def test_the_limit_of_the_asker_goes_with_it(autojump_clock: CLOCK) -> None:
    async with opened(at(Back, VOLATILE, "back"), at(Front, VOLATILE, "front")) as tree:
        with pytest.raises(AskTimeout, match=r"^back: no reply to What within 2 s"):
            await tree.ref("front").ask(What("slow"), within=2)


@PAIRS
@LEVELS
async def test_a_told_message_is_told_on(autojump_clock: CLOCK, front: Durability, durability: Durability) -> None:
    async with opened(at(Back, durability, "back"), at(Front, front, "front")) as tree:
        for n in range(3):
            await tree.ref("front").tell(Note(str(n)))
        await trio.sleep(1)
        assert await notes(tree) == ("0", "1", "2")


async def test_from_a_durable_agent_nothing_leaves_if_its_handler_raises(autojump_clock: CLOCK) -> None:
    async with opened(at(Back, MESSAGE, "back"), at(Front, MESSAGE, "front", then="raise")) as tree:
        with pytest.raises(AgentFailed, match="after it"):
            await tree.ref("front").ask(What("hello"))
        await tree.ref("front").tell(Note("n"))
        await trio.sleep(60)
        assert await notes(tree) == ()
        assert tree.ref("back").statistics().reserved == 0
        assert [dead.path for dead in await happened(tree, DeadLettered)] == ["front"]


async def test_from_one_in_memory_it_has_left(autojump_clock: CLOCK) -> None:
    async with opened(at(Back, VOLATILE, "back"), at(Front, VOLATILE, "front", then="raise")) as tree:
        assert await tree.ref("front").ask(What("hello")) == "back: hello"
        await trio.sleep(1)
        (ended,) = await happened(tree, ChildEnded)
        assert ended.path == "front"


async def test_a_commit_that_fails_tells_the_asker(autojump_clock: CLOCK) -> None:
    disk = Disk()
    async with opened(at(Back, MESSAGE, "back"), at(Front, MESSAGE, "front"), journal=disk) as tree:
        disk.broken = lambda commit: commit.by == "front"
        with pytest.raises(AgentFailed):
            await tree.ref("front").ask(What("hello"))
        disk.broken = lambda _commit: False
        await trio.sleep(60)
        assert await notes(tree) == ()
        assert await tree.ref("front").ask(What("again")) == "back: again"


async def test_an_asker_that_would_wait_for_itself_is_told_so(autojump_clock: CLOCK) -> None:
    async with opened(at(Front, VOLATILE, "asker"), at(Front, VOLATILE, "front", to="../asker")) as tree:
        with pytest.raises(AgentFailed, match="AskCycle"):
            await tree.ref("asker").ask(Through("../front"))


async def test_the_asker_waits_for_the_one_it_was_handed_to(autojump_clock: CLOCK) -> None:
    """`back` is busy with what others asked, and asks the agent that by now waits for `back`."""
    async with opened(at(Back, VOLATILE, "back"), at(Front, VOLATILE, "front"), at(Front, VOLATILE, "asker")) as tree:
        found: dict[str, str] = {}

        async def ask(path: str, message: Request[str]) -> None:
            try:
                found[path] = await tree.ref(path).ask(message, within=60)
            except AgentFailed as error:
                found[path] = error.failure.type

        async with trio.open_nursery() as nursery:
            nursery.start_soon(tree.ref("back").tell, Note("slow"))
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(ask, "back", What("ask ../asker"))
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(ask, "asker", Through("../front"))
        assert found == {"back": "treewarden.agents.errors.AskCycle", "asker": "back: x"}


class AskingBack(Agent[str]):
    """Hands on what it is asked, and has a question for whoever asked."""

    state = ""

    @handles
    async def what(self, message: What) -> str:
        await self.forward("../back")
        self.state = str(await self.ref("../asker").ask(Notes()))
        return "nobody gets this"

    @handles
    def notes(self, message: Notes) -> tuple[str, ...]:
        return (self.state,)


class Asker(Front):
    @handles
    def notes(self, message: Notes) -> tuple[str, ...]:
        return ("asked",)


async def test_whoever_handed_an_ask_on_may_ask_its_asker(autojump_clock: CLOCK) -> None:
    """In memory it has left by then, so the asker waits for `back` alone. From a durable agent it leaves later."""
    for durability, answer in (VOLATILE, "('asked',)"), (MESSAGE, ""):
        front = at(AskingBack, durability, "front")
        async with opened(at(Back, VOLATILE, "back"), front, at(Asker, VOLATILE, "asker")) as tree:
            asked = tree.ref("asker").ask(Through("../front"))
            if answer:
                assert await asked == "back: x"
            else:
                with pytest.raises(AgentFailed, match="AskCycle"):
                    await asked
            assert await notes(tree, "front") == (answer,)


async def test_what_cannot_be_handed_on_stays_with_its_handler(autojump_clock: CLOCK) -> None:
    full = MailboxSpec(capacity=1, overflow=Overflow.REFUSE, durability=VOLATILE)
    async with opened(
        child(Back, mailbox=full),
        topic("../back", id="news"),
        at(Front, VOLATILE, "front"),
        at(Front, VOLATILE, "lost", to="../nowhere"),
        at(Front, VOLATILE, "late", to="../news"),
        at(Front, VOLATILE, "twice", then="twice"),
    ) as tree:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: tree.ref("back").ask(What("slow"), within=30))
            await trio.testing.wait_all_tasks_blocked()
            await tree.ref("back").tell(Note("waits"))
            with pytest.raises(AgentFailed, match="MailboxFull"):
                await tree.ref("front").ask(What("hello"))
        with pytest.raises(AgentFailed, match="NoSuchSlot"):
            await tree.ref("lost").ask(What("hello"))
        with pytest.raises(AgentFailed, match="it is a topic"):
            await tree.ref("late").ask(What("hello"))
        assert await tree.ref("twice").ask(What("hello")) == "back: hello"
        await trio.sleep(1)
        ended = [event for event in await happened(tree, ChildEnded, 4) if event.path == "twice"]
        assert ended[0].failure is not None
        assert "handed on before" in ended[0].failure.text


async def test_only_a_handler_has_something_in_hand(autojump_clock: CLOCK) -> None:
    class Ticking(Front):
        @every(1000)
        async def tick(self) -> None:
            await self.forward("../back")

    async with opened(at(Back, VOLATILE, "back"), at(Ticking, VOLATILE, "front")) as tree:
        await trio.sleep(1)
        ended = await happened(tree, ChildEnded)
        assert ended[0].failure is not None
        assert "call it in its handler" in ended[0].failure.text


async def test_a_receiver_that_ends_before_the_commit_answers_with_its_end(autojump_clock: CLOCK) -> None:
    disk = Disk()
    async with opened(at(Back, VOLATILE, "back"), at(Front, MESSAGE, "front"), journal=disk) as tree:
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                with pytest.raises(AgentStopped, match="handed on to it"):
                    await tree.ref("front").ask(What("hello"), within=30)

            await trio.testing.wait_all_tasks_blocked()
            disk.slow = True
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            await tree.supervisor().terminate_child("back")
            disk.slow = False
            disk.go()
        assert slot_of(tree, "front").inflight == 0


async def test_a_durable_asker_gets_the_same_reply_when_it_asks_again(autojump_clock: CLOCK, tmp_path: File) -> None:
    class Asker(Front):
        tries = 0

        @handles
        async def note(self, message: Note) -> None:
            reply = await self.ref("../front").ask(What(message.text))
            Asker.tries += 1
            if Asker.tries == 1:
                raise RuntimeError("once")
            await self.ref("../back").tell(Note(reply))

    spec = (at(Back, MESSAGE, "back"), at(Front, MESSAGE, "front"), at(Asker, MESSAGE, "asker"))
    async with opened(*spec, journal=on_disk(tmp_path / "steps.db")) as tree:
        await tree.ref("asker").tell(Note("hello"))
        await trio.sleep(60)
        assert await notes(tree) == ("hello", "back: hello"), "asked twice, answered from there once"


async def test_a_handler_cannot_hand_on_what_the_receiver_does_not_handle(autojump_clock: CLOCK) -> None:
    class Odd(Agent[None]):
        @handles
        async def note(self, message: Note) -> None:
            pass

    async with opened(at(Odd, VOLATILE, "back"), at(Front, VOLATILE, "front")) as tree:
        with pytest.raises(AgentFailed, match="NotHandled"):
            await tree.ref("front").ask(What("hello"))


@PAIRS
@LEVELS
@pytest.mark.parametrize("shared", [False, True], ids=["to-one", "to-a-topic"])
async def test_what_is_handed_on_keeps_its_priority(
    front: Durability, durability: Durability, shared: bool, autojump_clock: CLOCK
) -> None:
    back = at(Back, durability, "back")
    async with opened(
        at(Front, front, "front", to="../all" if shared else "../back"),
        topic(back, id="all") if shared else back,
        journal=Disk(),
    ) as running:
        path = "all/back" if shared else "back"
        await running.ref(path).tell(Note("slow"))
        await trio.sleep(0.1)
        for text, priority in (("low", Priority.LOW), ("normal", Priority.NORMAL), ("high", Priority.HIGH)):
            await running.ref("front").tell(Note(text), priority=priority)
            await trio.testing.wait_all_tasks_blocked()
        assert await notes(running, path) == ("slow", "high", "normal")
        await trio.sleep(2)
        assert await notes(running, path) == ("slow", "high", "normal", "low")
