"""A person has a slot wait: nobody lives there, what it is told waits, and the next process keeps to it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents import VOLATILE, Agent, Exit, Job, MailboxSpec, Request, Stop, Stopped, handles, worker
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.errors import AlreadyPresent, MailboxFull
from treewarden.supervisor import Policy, RestartPolicy, Strategy, belief, kubernetes, ladder, otp
from treewarden.supervisor.journal.holder import Fate
from treewarden.supervisor.journal.port import Journal
from treewarden.topologies import Blueprint, SlotStatus, Tree, child, open_tree, tree

from ..journals import on_disk
from .journal.owners import Machine

CLOCK = trio.testing.MockClock


@frozen
class Add:
    amount: int


@frozen
class Total(Request[int]): ...


class Counter(Agent[int]):
    state = 0

    def __init__(self, ends: list[Exit] | None = None) -> None:
        self.ends = ends

    async def on_stop(self, exit: Exit) -> None:
        if self.ends is not None:
            self.ends.append(exit)

    @handles
    async def add(self, message: Add) -> None:
        await trio.sleep(1)
        if message.amount == 13:
            raise ValueError("unlucky")
        if message.amount == 0:
            raise Stop("enough")
        self.state += message.amount

    @handles
    def total(self, message: Total) -> int:
        return self.state


@pytest.fixture
def processes(tmp_path: Path) -> Callable[[], Journal]:
    """Each call is the next process."""
    return lambda: on_disk(tmp_path / "tree.db")


def slot(running: Tree, path: str) -> SlotStatus:
    (found,) = [each for each in running.snapshot() if each.path == path]
    return found


@pytest.mark.parametrize("policy", [ladder(), belief(), otp(), kubernetes()], ids=lambda policy: policy.name)
async def test_what_is_in_hand_is_finished_and_what_comes_waits(policy: Policy, autojump_clock: CLOCK) -> None:
    ends: list[Exit] = []
    async with open_tree(tree(child(Counter, id="a", args={"ends": ends}), policy=policy)) as running:
        a = running.ref("a")
        await a.tell(Add(1))
        await a.tell(Add(2))
        await trio.sleep(0.5)
        running.hold("a", by="ada", text="the printer is being moved")
        await trio.sleep(10)
        assert ends == [Stopped("ada asked for hold")], "it ended in order"
        found = slot(running, "a")
        assert (found.state, found.held, found.handled, found.mailbox) == (SlotState.HELD, True, 1, 1)
        assert found.note == "held: ada holds a: the printer is being moved. Start it?"
        await a.tell(Add(4))
        await trio.sleep(3600)
        assert slot(running, "a").handled == 1
        running.resume("a")
        assert await a.ask(Total(), within=10) == 7
        found = slot(running, "a")
        assert (found.state, found.held, found.note, found.incarnation) == (SlotState.UP, False, "", 2)


async def test_the_next_process_keeps_to_it(processes: Callable[[], Journal], autojump_clock: CLOCK) -> None:
    async with open_tree(tree(Counter), journal=processes()) as running:
        running.hold("counter", by="ada", text="until noon")
        await trio.sleep(10)
    async with open_tree(tree(Counter), journal=processes()) as running:
        await trio.sleep(10)
        found = slot(running, "counter")
        assert (found.state, found.note) == (SlotState.HELD, "held: ada holds counter: until noon. Start it?")
        await running.ref("counter").tell(Add(4))
        running.resume("counter")
        assert await running.ref("counter").ask(Total()) == 4
    async with open_tree(tree(Counter), journal=processes()) as running:
        assert await running.ref("counter").ask(Total()) == 4, "it was answered"


async def test_its_mailbox_is_as_full_in_the_next_process(
    processes: Callable[[], Journal], autojump_clock: CLOCK
) -> None:
    """Each had room for as many again, and said that no more waited."""
    for waits in (0, 2, 3):
        counter = child(Counter, id="a", mailbox=MailboxSpec(capacity=3))
        async with open_tree(tree(counter), journal=processes()) as running:
            a = running.ref("a")
            if not waits:
                running.hold("a")
                await trio.sleep(1)
                await a.tell(Add(1))
            assert (slot(running, "a").held, a.statistics().depth) == (True, waits or 1)
            if waits < 3:
                await a.tell(Add(2))
                continue
            with pytest.raises(MailboxFull):
                await a.tell(Add(8), within=1)
            running.resume("a")
            assert await a.ask(Total(), within=10) == 5


async def test_what_waits_is_not_to_blame_for_the_deaths_of_processes_in_which_it_did(
    tmp_path: Path, autojump_clock: CLOCK
) -> None:
    files = [tmp_path / f"{number}.db" for number in range(6)]
    for number, file in enumerate(files):
        dead = dict.fromkeys(range(number), Fate.GONE)
        async with open_tree(tree(Counter), journal=on_disk(file, processes=Machine(number, dead))) as running:
            a = running.ref("counter")
            if not number:
                running.hold("counter")
                await trio.sleep(1)
                await a.tell(Add(7))
            await trio.sleep(1)
            if file is not files[-1]:
                for end in ("", "-wal"):  # as the next one finds it if this one is killed now
                    shutil.copy(f"{file}{end}", f"{files[number + 1]}{end}")
                continue
            running.resume("counter")
            assert await a.ask(Total(), within=10) == 7
            assert not await running.dead_letters()


async def test_what_cannot_be_read_waits_on_disk(tmp_path: Path, autojump_clock: CLOCK) -> None:
    async with open_tree(tree(Counter), journal=on_disk(tmp_path / "tree.db")) as running:
        running.hold("counter")
        await trio.sleep(1)
        await running.ref("counter").tell(Add(7))
    with closing(sqlite3.connect(tmp_path / "tree.db")) as file, file:
        (kind,) = file.execute("SELECT kind FROM mailbox").fetchone()
        file.execute("UPDATE mailbox SET kind = 'gone:Gone'")
    async with open_tree(tree(Counter), journal=on_disk(tmp_path / "tree.db")) as running:
        assert (slot(running, "counter").held, running.ref("counter").statistics().depth) == (True, 0)
        running.resume("counter")
        await trio.sleep(1)
        assert "is damaged" in slot(running, "counter").note
    with closing(sqlite3.connect(tmp_path / "tree.db")) as file, file:
        file.execute("UPDATE mailbox SET kind = ?", (kind,))
    async with open_tree(tree(Counter), journal=on_disk(tmp_path / "tree.db")) as running:
        running.resume("counter")
        assert await running.ref("counter").ask(Total(), within=10) == 7


async def test_a_body_ends_and_begins_again(autojump_clock: CLOCK) -> None:
    ran: list[float] = []

    async def look(job: Job) -> None:
        while True:
            ran.append(trio.current_time())
            await trio.sleep(1)

    async with open_tree(tree(worker(look))) as running:
        await trio.sleep(5.5)
        running.hold("look")
        await trio.sleep(20)
        assert len(ran) == 6
        running.resume("look")
        await trio.sleep(5)
        assert len(ran) > 6


async def test_below_a_supervisor_nobody_is_handed_anything_and_nobody_is_ended(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(tree(child(Counter, id="x"), id="sub"))) as running:
        running.hold("sub")
        await running.ref("sub/x").tell(Add(1))
        await trio.sleep(60)
        assert [(each.held, each.handled) for each in running.snapshot()] == [(True, 0), (False, 0)]
        running.resume("sub")
        assert await running.ref("sub/x").ask(Total()) == 1
        assert slot(running, "sub/x").incarnation == 1


async def test_one_that_waits_for_its_backoff_is_held_and_not_started_by_it(autojump_clock: CLOCK) -> None:
    once = MailboxSpec(deliveries=1)
    async with open_tree(tree(child(Counter, id="a", mailbox=once), policy=kubernetes())) as running:
        await running.ref("a").tell(Add(13))
        await trio.sleep(2)
        assert slot(running, "a").state is SlotState.RESTARTING
        running.hold("a")
        await trio.sleep(600)
        assert slot(running, "a").state is SlotState.HELD
        running.resume("a")
        assert await running.ref("a").ask(Total()) == 0


@pytest.mark.parametrize("memory", [False, True], ids=["on disk", "in memory"])
@pytest.mark.parametrize("ended", ["by itself", "by a person"])
async def test_one_that_is_down_for_good_is_told_what_waits_too(
    ended: str, memory: bool, autojump_clock: CLOCK
) -> None:
    mailbox = MailboxSpec(durability=VOLATILE) if memory else MailboxSpec()
    a = child(Counter, id="a", mailbox=mailbox, restart=RestartPolicy.TRANSIENT)
    async with open_tree(tree(a)) as running:
        ref = running.ref("a")
        await ref.tell(Add(1) if ended == "by a person" else Add(0))
        await trio.sleep(2)
        if ended == "by a person":
            await running.supervisor().terminate_child("a")
        assert slot(running, "a").state is SlotState.DOWN
        running.hold("a")
        await trio.sleep(1)
        await ref.tell(Add(4))
        await trio.sleep(60)
        assert (slot(running, "a").state, slot(running, "a").mailbox) == (SlotState.HELD, 1)
        running.resume("a")
        assert await ref.ask(Total(), within=10) == (5 if ended == "by a person" else 4)


async def test_a_second_person_who_holds_it_says_why(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(Counter)) as running:
        running.hold("counter", by="ada")
        running.hold("counter", by="bob", text="me too")
        await trio.sleep(1)
        assert slot(running, "counter").note == "held: bob holds counter: me too. Start it?"
        running.resume("counter")
        assert await running.ref("counter").ask(Total()) == 0


async def test_a_message_in_memory_waits_too(autojump_clock: CLOCK) -> None:
    memory = MailboxSpec(durability=VOLATILE)
    shape: Blueprint = tree(child(Counter, id="a", mailbox=memory), strategy=Strategy.ONE_FOR_ALL)
    async with open_tree(shape) as running:
        await running.ref("a").tell(Add(3))
        running.hold("a")
        await running.ref("a").tell(Add(4))
        await trio.sleep(60)
        running.resume("a")
        assert await running.ref("a").ask(Total(), within=20) == 7


async def test_a_group_that_is_restarted_leaves_it_alone(autojump_clock: CLOCK) -> None:
    children = [child(Counter, id=id) for id in "abc"]
    async with open_tree(tree(*children, strategy=Strategy.ONE_FOR_ALL, policy=otp())) as running:
        running.hold("b")
        await trio.sleep(1)
        running.kill("a")
        await trio.sleep(60)
        assert [(each.incarnation, each.held) for each in running.snapshot()] == [(2, False), (1, True), (2, False)]


@pytest.mark.parametrize("what", ["a", "in"])
async def test_it_waits_also_when_those_above_are_started_anew(
    what: str, processes: Callable[[], Journal], autojump_clock: CLOCK
) -> None:
    inner = tree(child(Counter, id="a"), tree(child(Counter, id="x"), id="in"), child(Counter, id="b"), id="s")
    shape = tree(inner, policy=otp())
    path, below = f"s/{what}", "s/a" if what == "a" else "s/in/x"
    async with open_tree(shape, journal=processes()) as running:
        running.hold(path, by="ada", text="until noon")
        await trio.sleep(1)
        held = slot(running, path).note
        for _ in range(2):
            running.kill("s")
            await trio.sleep(2)
            await running.ref(below).tell(Add(2))
            assert (slot(running, path).held, slot(running, path).note) == (True, held)
            assert slot(running, below).handled == 0
    async with open_tree(shape, journal=processes()) as running:
        running.kill("s")
        await trio.sleep(2)
        assert (slot(running, path).held, slot(running, path).note) == (True, held), "the next process knows it too"
        assert await running.ref("s/b").ask(Total()) == 0
        running.resume(path)
        assert await running.ref(below).ask(Total(), within=20) == 4
        running.kill("s")
        await trio.sleep(2)
        assert not slot(running, path).held, "it was answered"


async def test_who_starts_a_dynamic_child_that_is_held_is_told_what_can_be_done(autojump_clock: CLOCK) -> None:
    jobs = tree(child(Counter), id="jobs", strategy=Strategy.DYNAMIC)
    async with open_tree(tree(jobs)) as running:
        above = running.supervisor("jobs")
        await above.start_dynamic(id="one")
        running.hold("jobs/one")
        await trio.sleep(1)
        with pytest.raises(AlreadyPresent, match=r"jobs/one exists and is held; resume it, or terminate it first"):
            await above.start_dynamic(id="one")
        await above.terminate_dynamic("one")
        assert (await above.start_dynamic(id="one")).incarnation == 1


async def test_nothing_is_asked_about_one_that_is_gone_with_its_supervisor(
    processes: Callable[[], Journal], autojump_clock: CLOCK
) -> None:
    above = tree(child(Counter, id="a"), id="s")
    async with open_tree(tree(above, policy=otp()), journal=processes()) as running:
        await running.supervisor("s").start_child(child(Counter, id="late"))
        running.hold("s/late")
        await trio.sleep(1)
        running.kill("s")
        await trio.sleep(2)
        assert [each.path for each in running.snapshot()] == ["s", "s/a"]
    with_late = tree(child(Counter, id="a"), child(Counter, id="late"), id="s")
    async with open_tree(tree(with_late, policy=otp()), journal=processes()) as running:
        await trio.sleep(2)
        assert not slot(running, "s/late").held, "it is another one"


class Fragile(Agent[None]):
    def __init__(self, lasts: list[float]) -> None:
        self.lasts = lasts

    async def run(self) -> None:
        await trio.sleep(self.lasts.pop(0))
        raise ValueError("too hot")


class Slow(Agent[None]):
    async def on_start(self) -> None:
        await trio.sleep(3)


async def test_a_sibling_that_dies_before_everybody_has_begun_answers_nothing(autojump_clock: CLOCK) -> None:
    lasts = [1000.0, 0.5, 1000.0]  # of its lives, the second while the slow one begins
    above = tree(child(Fragile, args={"lasts": lasts}), Slow, Counter, id="s", strategy=Strategy.ONE_FOR_ALL)
    async with open_tree(tree(above, policy=otp())) as running:
        running.hold("s/counter")
        await trio.sleep(1)
        running.kill("s")
        await trio.sleep(20)
        assert [(each.path, each.state, each.incarnation) for each in running.snapshot()][1:] == [
            ("s/fragile", SlotState.UP, 3),
            ("s/slow", SlotState.UP, 3),
            ("s/counter", SlotState.HELD, 1),
        ]
