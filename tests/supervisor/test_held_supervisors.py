"""A supervisor that is held or throttled: whoever lives below it is handed nothing, and nobody is ended for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing
from attrs import evolve, frozen

from treewarden.agents import Agent, Request, every, handles
from treewarden.agents.core.exit import Failed, Failure
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.errors import AskTimeout
from treewarden.supervisor import Rule, Strategy, kubernetes, table
from treewarden.supervisor.core.event import IncidentClosed
from treewarden.supervisor.core.spec import ChildSpec
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.journal.port import Journal
from treewarden.supervisor.views.tree_status import TreeStatus, fold
from treewarden.topologies import Blueprint, SlotStatus, Tree, child, open_tree, pool, tree

from ..journals import on_disk

CLOCK = trio.testing.MockClock
RULES = [
    Rule("reported:poor", "hold"),
    Rule("reported:sad", "hold"),
    Rule("reported:hot", "throttle"),
    Rule("crash", "restart"),
]


@frozen
class Get(Request[int]):
    """How many ticks have come in this life."""


@frozen
class Fail: ...


class Desk(Agent[None]):
    state = None
    ticks = 0

    @every(1.0)
    def tick(self) -> None:
        self.ticks += 1

    @handles
    def get(self, message: Get) -> int:
        return self.ticks

    @handles
    def fail(self, message: Fail) -> None:
        raise ValueError("told to")


class Falls(Agent[None]):
    """Whose body fails after ten seconds."""

    async def run(self) -> None:
        await trio.sleep(10)
        raise ValueError("it always does")

    @handles
    def get(self, message: Get) -> int:
        return 0


def shop(*below: ChildSpec) -> Blueprint:
    return tree(
        tree(child(Desk, id="a"), tree(child(Desk, id="deep"), id="in"), *below, id="s"),
        child(Desk, id="beside"),
        policy=table(RULES),
    )


async def say(running: Tree, kind: str, path: str = "s") -> None:
    running.signal(path, {"kind": kind, "severity": 0.2})
    await trio.testing.wait_all_tasks_blocked()


def at(running: Tree, path: str = "s") -> SlotStatus:
    return next(slot for slot in running.snapshot() if str(slot.path) == path)


def lives(running: Tree) -> list[int]:
    return [slot.incarnation for slot in running.snapshot()]


async def works(running: Tree, path: str) -> bool:
    with trio.move_on_after(0.25):
        await running.ref(path).ask(Get(), within=100)
        return True
    return False


@pytest.fixture
def processes(tmp_path: Path) -> Callable[[], Journal]:
    """Each call is the next process."""
    return lambda: on_disk(tmp_path / "tree.db")


async def test_nobody_below_is_handed_anything_until_it_is_over(autojump_clock: CLOCK) -> None:
    async with open_tree(shop()) as running:
        await say(running, "poor")
        assert (at(running).state, at(running).held) == (SlotState.UP, True)
        assert at(running).note.startswith("held: s: reported poor")
        for path in ("s/a", "s/in/deep"):
            assert running.ref(path).statistics().paused == ("s is held",)
            assert not await works(running, path)
        assert await works(running, "beside")
        await say(running, "sad")
        running.recovered("s", "sad")
        await trio.sleep(10)
        assert at(running).held, "one of two reasons is over"
        running.recovered("s", "poor")
        await trio.sleep(0.5)
        assert (at(running).held, at(running).note) == (False, "")
        assert await works(running, "s/a")
        assert await works(running, "s/in/deep")
        assert set(lives(running)) == {1}


async def test_ticks_wait_too(autojump_clock: CLOCK) -> None:
    async with open_tree(shop()) as running:
        await trio.sleep(2.5)
        before = await running.ref("s/a").ask(Get())
        await say(running, "poor")
        await trio.sleep(10)
        running.resume("s")
        await trio.sleep(0.25)
        assert await running.ref("s/a").ask(Get()) == before + 1, "those that were missed have become one"


async def test_to_resume_it_ends_nobody(autojump_clock: CLOCK) -> None:
    async with open_tree(shop()) as running:
        await say(running, "poor")
        running.resume("s")
        await trio.testing.wait_all_tasks_blocked()
        assert not at(running).held
        assert await works(running, "s/in/deep")
        assert set(lives(running)) == {1}


async def test_a_restart_of_it_lets_go(autojump_clock: CLOCK) -> None:
    async with open_tree(shop()) as running:
        await say(running, "poor")
        running.kill("s")
        await trio.sleep(30)
        assert at(running).incarnation == 2
        assert not at(running).held
        assert await works(running, "s/in/deep")


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ONE, Strategy.ONE_FOR_ALL])
async def test_what_a_person_holds_stays_held_when_it_crashes(strategy: Strategy, autojump_clock: CLOCK) -> None:
    async with open_tree(evolve(shop(), strategy=strategy)) as running:
        running.hold("s", by="ada", text="the stock is counted")
        await trio.testing.wait_all_tasks_blocked()
        held = at(running).note
        assert held == "held: ada holds s: the stock is counted. Let it go on?"
        running.kill("s" if strategy is Strategy.ONE_FOR_ONE else "beside")
        await trio.sleep(30)
        found = at(running)
        assert (found.incarnation, found.held, found.note) == (2, True, held)
        assert not await works(running, "s/in/deep")
        running.resume("s")
        await trio.testing.wait_all_tasks_blocked()
        assert (at(running).incarnation, at(running).held, at(running).note) == (2, False, "")
        assert await works(running, "s/in/deep")


async def test_one_held_while_it_waits_for_its_restart_waits_on_when_the_one_above_restarts(
    processes: Callable[[], Journal], autojump_clock: CLOCK
) -> None:
    blueprint = tree(tree(tree(Desk, id="in"), id="s"), policy=kubernetes())
    async with open_tree(blueprint, journal=processes()) as running:
        running.kill("s/in")
        await trio.sleep(1)
        running.hold("s/in", by="ada")
        await trio.testing.wait_all_tasks_blocked()
        assert at(running, "s/in").state is SlotState.HELD
        running.kill("s")
        await trio.sleep(120)
        assert at(running, "s").incarnation == 2
        assert (at(running, "s/in").state, at(running, "s/in").incarnation) == (SlotState.HELD, 1)
        assert at(running, "s/in").note == "held: ada holds s/in. Start it?"
    async with open_tree(blueprint, journal=processes()) as running:
        await trio.sleep(120)
        assert at(running, "s/in").state is SlotState.HELD
        running.resume("s/in")
        await trio.sleep(1)
        assert at(running, "s/in").state is SlotState.UP
        assert await works(running, "s/in/desk")


async def test_a_person_who_starts_it_anew_lets_it_go(autojump_clock: CLOCK) -> None:
    async with open_tree(shop()) as running:
        running.hold("s")
        await trio.testing.wait_all_tasks_blocked()
        await running.supervisor().terminate_child("s")
        await running.supervisor().restart_child("s")
        assert (at(running).incarnation, at(running).held, at(running).note) == (2, False, "")
        assert await works(running, "s/in/deep")


async def test_what_a_person_holds_is_held_in_the_next_process_after_a_crash_too(
    processes: Callable[[], Journal], autojump_clock: CLOCK
) -> None:
    async with open_tree(shop(), journal=processes()) as running:
        running.hold("s", by="ada")
        await trio.testing.wait_all_tasks_blocked()
        held = at(running).note
        running.kill("s")
        await trio.sleep(30)
    async with open_tree(shop(), journal=processes()) as running:
        assert not await works(running, "s/in/deep")
        assert (at(running).held, at(running).note) == (True, held)


async def test_whoever_begins_below_is_handed_nothing_either(autojump_clock: CLOCK) -> None:
    falls, late = child(Falls, id="falls"), child(Desk, id="late")
    async with open_tree(shop(falls)) as running:
        await trio.sleep(5)
        await say(running, "poor")
        await running.supervisor("s").start_child(late)
        await trio.sleep(20)
        assert at(running, "s/falls").incarnation > 1
        assert not await works(running, "s/falls")
        assert not await works(running, "s/late")
        running.recovered("s", "poor")
        assert await works(running, "s/late")


async def test_a_pool_that_shares_a_queue_waits(autojump_clock: CLOCK) -> None:
    blueprint = tree(pool(child(Desk, id="s"), size=2, route="shared"), policy=table(RULES))
    async with open_tree(blueprint) as running:
        await say(running, "poor")
        assert at(running).held
        assert not await works(running, "s")
        running.resume("s")
        assert await works(running, "s")


async def test_a_throttle_is_over_when_its_time_is(autojump_clock: CLOCK) -> None:
    async with open_tree(shop()) as running:
        await say(running, "hot")
        assert at(running).note.startswith("throttled for")
        seconds = float(at(running).note.split()[2])
        assert not at(running).held
        assert running.ref("s/a").statistics().paused == ("s is throttled",)
        await trio.sleep(seconds - 0.01)
        assert running.ref("s/a").statistics().paused
        await trio.sleep(0.02)
        assert running.ref("s/a").statistics().paused == ()
        assert at(running).note == ""


async def test_being_throttled_is_no_proof_that_all_is_well(autojump_clock: CLOCK) -> None:
    journal, throttles = MemoryJournal(), table([Rule("crash", "throttle")])
    blueprint = tree(tree(child(Desk, id="a"), id="s", stable_after=0.25), policy=throttles)
    async with open_tree(blueprint, journal=journal) as running:
        await running.supervisor("s").stop(Failed(Failure("ValueError", "told to")))
        await trio.testing.wait_all_tasks_blocked()
        assert at(running).incarnation == 2
        assert running.ref("s/a").statistics().paused == ("s is throttled",)
        for after, closed in ((0.9, False), (5.0, True)):
            await trio.sleep(after)
            told = [type(record.event) for record in await journal.read(limit=10_000)]
            assert (IncidentClosed in told) is closed


async def test_an_asker_is_told_who_is_held(autojump_clock: CLOCK) -> None:
    async with open_tree(shop()) as running:
        await say(running, "poor")
        with pytest.raises(AskTimeout, match=r"s is held until a person decides: .*`treewarden resume FILE.db s`"):
            await running.ref("s/a").ask(Get(), within=1)


async def test_another_supervisor_in_its_place_is_not_held(autojump_clock: CLOCK) -> None:
    async with open_tree(shop()) as running:
        await say(running, "poor")
        (spec,) = [each for each in running.blueprint.children if each.id == "s"]
        root = running.supervisor()
        await root.terminate_child("s")
        await root.delete_child("s")
        await root.start_child(spec)
        assert not at(running).held
        assert await works(running, "s/a")


@pytest.mark.parametrize("held", ["s/in", "s/a"])
async def test_what_was_asked_below_is_forgotten_with_the_supervisor(
    held: str, processes: Callable[[], Journal], autojump_clock: CLOCK
) -> None:
    async with open_tree(shop(), journal=processes()) as running:
        await say(running, "poor", held)
        (spec,) = [each for each in running.blueprint.children if each.id == "s"]
        root = running.supervisor()
        await root.terminate_child("s")
        await root.delete_child("s")
        await root.start_child(spec)
        assert not at(running, held).held
    async with open_tree(shop(), journal=processes()) as running:
        await trio.sleep(1)
        assert not at(running, held).held
        assert await works(running, "s/in/deep")


@pytest.mark.parametrize("held", ["in", "a"])
async def test_one_that_is_ended_waits_for_nobody(held: str, autojump_clock: CLOCK) -> None:
    async with open_tree(shop()) as running:
        await say(running, "poor", f"s/{held}")
        above = running.supervisor("s")
        await above.terminate_child(held)
        slot = at(running, f"s/{held}")
        assert (slot.state, slot.held, slot.note) == (SlotState.DOWN, False, "")
        await above.restart_child(held)
        assert not at(running, f"s/{held}").held
        assert await works(running, "s/in/deep")


async def throttled(running: Tree, *paths: str) -> float:
    """Have these throttled, each for as long as chance says; the seconds until none of them is any more."""
    for path in paths:
        await say(running, "hot", path)
    return max(float(at(running, path).note.split()[2]) for path in paths)


async def test_a_throttle_opens_nothing_of_another_supervisor_in_its_place(autojump_clock: CLOCK) -> None:
    async with open_tree(shop()) as running:
        (spec,) = [each for each in running.blueprint.children if each.id == "s"]
        await trio.sleep(0.75 * await throttled(running, "s"))
        root = running.supervisor()
        await root.terminate_child("s")
        await root.delete_child("s")
        await root.start_child(spec)
        seconds = await throttled(running, "s")
        await trio.sleep(0.5 * seconds)
        assert running.ref("s/a").statistics().paused == ("s is throttled",)
        await trio.sleep(0.625 * seconds)
        assert running.ref("s/a").statistics().paused == ()


async def test_a_throttle_opens_nothing_of_the_next_life_of_the_supervisor_above(autojump_clock: CLOCK) -> None:
    above = tree(tree(child(Desk, id="a"), id="s"), child(Desk, id="b"), id="up")
    async with open_tree(tree(above, policy=table(RULES))) as running:
        await trio.sleep(0.75 * await throttled(running, "up/s", "up/b"))
        await running.supervisor().terminate_child("up")
        await running.supervisor().restart_child("up")
        assert at(running, "up/b").incarnation == 2
        seconds = await throttled(running, "up/s", "up/b")
        await trio.sleep(0.5 * seconds)
        assert running.ref("up/s/a").statistics().paused == ("up/s is throttled",)
        assert running.ref("up/b").statistics().paused == ("throttled",)
        await trio.sleep(0.625 * seconds)
        assert running.ref("up/s/a").statistics().paused == running.ref("up/b").statistics().paused == ()


async def test_the_next_process_begins_with_it(processes: Callable[[], Journal], autojump_clock: CLOCK) -> None:
    async with open_tree(shop(), journal=processes()) as running:
        await say(running, "poor")
        question = at(running).note
    async with open_tree(shop(), journal=processes()) as running:
        assert not await works(running, "s/in/deep"), "from the beginning on"
        assert (at(running).held, at(running).note) == (True, question)
        await trio.sleep(100)
        running.recovered("s", "poor")
        await trio.sleep(1)
        assert await works(running, "s/in/deep")
    journal = processes()
    async with open_tree(shop(), journal=journal) as running:
        assert not at(running).held
        assert await works(running, "s/a")
        slots = fold(TreeStatus(), await journal.read(limit=10_000)).slots
        assert slots[at(running).path].state is SlotState.UP
