"""Watching a slot: every end of its incarnations, also the one before it was watched."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability, MailboxSpec
from treewarden.agents.core.ended import Ended
from treewarden.agents.core.exit import Failed, Finished, Stopped
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AgentStopped, NoSuchSlot, Stop
from treewarden.agents.testing import run_handler
from treewarden.supervisor.core.spec import Intensity, RestartPolicy, Strategy
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

CLOCK = trio.testing.MockClock


@frozen
class End(Request[None]):
    """End in the way that is named."""

    how: str


class Mortal(Agent[None]):
    @handles
    async def end(self, message: End) -> None:
        match message.how:
            case "finished":
                raise Stop
            case "stopped":
                raise Stop("enough")
            case how:
                raise ValueError(how)


class Helpless(Agent[None]):
    async def run(self) -> None:
        await trio.sleep_forever()


async def ends(running: Tree, path: str, count: int, within: float = 60) -> list[Ended]:
    """The first `count` ends that are told."""
    found: list[Ended] = []
    with trio.fail_after(within):
        async with running.watch(path) as watched:
            while len(found) < count:
                found.append(await anext(watched))
    return found


async def nothing_more(watched: AsyncIterator[Ended]) -> bool:
    with trio.move_on_after(60) as limit:
        await anext(watched)
    return limit.cancelled_caught


async def test_every_end_is_told_with_its_reason(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(Mortal)) as running:
        ref = running.ref("mortal")
        async with running.watch("mortal") as watched:
            for how in ("finished", "stopped", "unlucky"):
                await ref.tell(End(how))
                await trio.sleep(20)
            first, second, third, fourth = [await anext(watched) for _ in range(4)]
            assert (first.incarnation, first.exit, first.expected, first.path) == (1, Finished(), False, "mortal")
            assert (second.incarnation, second.exit) == (2, Stopped("enough"))
            assert (third.incarnation, fourth.incarnation) == (3, 4)
            assert isinstance(third.exit, Failed)
            assert third.exit.failure.text == "unlucky"
            assert fourth.exit == third.exit, "the message was tried twice"
            assert first.uptime < 1
            assert second.uptime == pytest.approx(20, abs=1)
            assert await nothing_more(watched)
            await running.supervisor().terminate_child("mortal")
            asked = await anext(watched)
            assert (asked.exit, asked.expected) == (Stopped("shutdown"), True)


async def test_a_slot_that_is_down_tells_its_last_end_at_once_and_only_once(autojump_clock: CLOCK) -> None:
    spec = tree(child(Mortal, restart=RestartPolicy.TRANSIENT))
    async with open_tree(spec) as running, trio.open_nursery() as nursery:
        await running.ref("mortal").tell(End("finished"))
        await trio.sleep(1)
        for _ in range(10):
            nursery.start_soon(ends, running, "mortal", 1, 0.1)
        await trio.sleep(1)
        async with running.watch("mortal") as watched:
            assert (await anext(watched)).exit == Finished()
            assert await nothing_more(watched)
        async with running.watch("mortal") as watched:
            assert (await anext(watched)).exit == Finished()
            await running.supervisor().restart_child("mortal")
            await running.ref("mortal").tell(End("stopped"))
            assert (await anext(watched)).exit == Stopped("enough")


@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "file"])
async def test_an_end_that_is_not_on_disk_yet_is_not_told_twice(on_disk: bool, tmp_path: Path) -> None:
    journal = tmp_path / "tree.db" if on_disk else None
    spec = tree(child(Mortal, restart=RestartPolicy.TRANSIENT), child(Mortal, id="other"))
    async with open_tree(spec, journal=journal) as running:
        for _ in range(5):
            await running.supervisor().terminate_child("mortal")
            async with running.watch("mortal") as watched:
                first = await anext(watched)
                await running.supervisor().restart_child("mortal")
                await running.supervisor().terminate_child("mortal")
                with trio.fail_after(10):
                    second = await anext(watched)
                assert second.incarnation == first.incarnation + 1
            await running.supervisor().restart_child("mortal")


async def test_a_slot_that_is_alive_tells_nothing_of_the_past(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(Mortal)) as running:
        await running.ref("mortal").tell(End("finished"))
        await trio.sleep(20)
        async with running.watch("mortal") as watched:
            assert await nothing_more(watched)


async def test_a_slow_watcher_misses_nothing(autojump_clock: CLOCK) -> None:
    spec = tree(child(Mortal, restarts=Intensity(1000, within=1)), restarts=Intensity(1000, within=1))
    async with open_tree(spec) as running, running.watch("mortal") as watched:
        for _ in range(50):
            await running.ref("mortal").tell(End("finished"))
            await trio.sleep(60)
        told = [(await anext(watched)).incarnation for _ in range(50)]
        assert told == list(range(1, 51))


async def test_a_child_that_was_forgotten_is_still_found(autojump_clock: CLOCK) -> None:
    workers = tree(Mortal, id="workers", strategy=Strategy.DYNAMIC)
    once = child(Mortal, id="once", restart=RestartPolicy.TEMPORARY)
    async with open_tree(tree(workers, once)) as running:
        for seconds in (1, 2, 3):
            await running.supervisor("workers").start_dynamic(id="a")
            await trio.sleep(seconds)
            await running.supervisor("workers").terminate_dynamic("a")
        await running.ref("once").tell(End("stopped"))
        await trio.sleep(1)
        async with running.watch("once") as watched:
            assert (await anext(watched)).exit == Stopped("enough")
            assert await nothing_more(watched)
        async with running.watch("workers/a") as watched:
            assert (await anext(watched)).exit == Stopped("shutdown")
            assert await nothing_more(watched), "those before the last one are past"


async def test_a_supervisor_is_watched_as_an_agent_is(autojump_clock: CLOCK) -> None:
    desk = tree(Mortal, id="desk", restarts=Intensity(0, within=5))
    async with open_tree(tree(desk)) as running, running.watch("desk") as watched:
        await running.ref("desk/mortal").tell(End("unlucky"))
        end = await anext(watched)
        assert isinstance(end.exit, Stopped)
        assert "intensity" in end.exit.reason


async def test_those_who_end_with_their_killed_supervisor_are_told(autojump_clock: CLOCK) -> None:
    below = tree(child(Mortal, id="below"), id="inner")
    async with open_tree(tree(tree(Mortal, Helpless, below, id="desk"))) as running:
        paths = ("desk/mortal", "desk/helpless", "desk/inner", "desk/inner/below")
        async with AsyncExitStack() as stack:
            watched = [await stack.enter_async_context(running.watch(path)) for path in paths]
            running.kill("desk")
            with trio.fail_after(60):
                told = [await anext(each) for each in watched]
            assert [(end.path, end.incarnation, type(end.exit)) for end in told] == [
                ("desk/mortal", 1, Failed),
                ("desk/helpless", 1, Failed),
                ("desk/inner", 1, Failed),
                ("desk/inner/below", 1, Stopped),
            ]
            await trio.testing.wait_all_tasks_blocked()
            assert [slot.incarnation for slot in running.snapshot()] == [2] * 5
            for each in watched:
                assert await nothing_more(each), "every end is told once"


async def test_what_was_never_there_is_refused(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(Mortal)) as running:
        for path in ("nobody", "mortal/below", "/"):
            with pytest.raises(NoSuchSlot):
                async with running.watch(path):
                    raise AssertionError("the block must not begin")


# -- by an agent


@frozen
class Mourn:
    whom: str


@frozen
class Mourned(Request[tuple[str, ...]]):
    pass


@frozen
class Seen:
    what: str


class Widow(Agent[tuple[str, ...]]):
    """Watches from a helper, which tells it what it sees."""

    state = ()

    @handles
    def mourn(self, message: Mourn) -> None:
        self.start_soon(self.look, message.whom)

    async def look(self, whom: str) -> None:
        async with self.watch(whom) as watched:
            async for ended in watched:
                await self.ref(self.path).tell(Seen(f"{ended.path} {ended.incarnation} {type(ended.exit).__name__}"))

    @handles
    def seen(self, message: Seen) -> None:
        self.state = (*self.state, message.what)

    @handles
    def mourned(self, message: Mourned) -> tuple[str, ...]:
        return self.state

    @handles
    async def end(self, message: End) -> None:
        raise Stop(message.how)


@pytest.mark.parametrize("durability", [VOLATILE, MESSAGE], ids=["in memory", "on disk"])
async def test_an_agent_watches_another(durability: Durability, autojump_clock: CLOCK) -> None:
    mailbox = MailboxSpec(durability=durability)
    mortals = [child(Mortal, id=id, restart=restart) for id, restart in KINDS.items()]
    async with open_tree(tree(child(Widow, mailbox=mailbox), *mortals)) as running:
        widow = running.ref("widow")
        await running.ref("gone").tell(End("before anybody looked"))
        await trio.sleep(1)
        for whom in ("../lives", "/gone"):
            await widow.tell(Mourn(whom))
        await trio.sleep(1)
        await running.ref("lives").tell(End("finished"))
        await trio.sleep(1)
        assert sorted(await widow.ask(Mourned())) == ["gone 1 Failed", "lives 1 Finished"]
        with pytest.raises(AgentStopped):
            await widow.ask(End("a new life"))
        await running.ref("lives").tell(End("finished"))
        await trio.sleep(1)
        assert len(await widow.ask(Mourned())) == 2, "who watched is no more"


KINDS = {"lives": RestartPolicy.PERMANENT, "gone": RestartPolicy.TEMPORARY}


async def test_an_agent_that_watches_nobody_fails(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(Widow, Mortal)) as running:
        for whom in ("../nobody", "no path"):
            await running.ref("widow").tell(Mourn(whom))
            async with running.watch(running.ref("widow")) as watched:
                ended = await anext(watched)
                assert isinstance(ended.exit, Failed)
                assert ended.exit.failure.type.endswith(("NoSuchSlot", "ConfigurationError"))


async def test_one_handler_by_itself_has_nobody_to_watch() -> None:
    class Alone(Widow):
        @handles
        async def mourn(self, message: Mourn) -> None:  # type: ignore[override]
            async with self.watch(message.whom):
                raise AssertionError

    run = await run_handler(Alone(), Mourn("../other"))
    assert "no tree in which anybody could end" in str(run.error)
