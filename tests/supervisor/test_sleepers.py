"""Children that sleep: what is made of them, and when."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from attrs import evolve, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability, MailboxSpec
from treewarden.agents.core.exit import Exit, Stopped
from treewarden.agents.core.message import Request
from treewarden.agents.core.path import Path
from treewarden.agents.errors import AgentStopped, IntakeClosed, NoSuchSlot, TreeFailed
from treewarden.agents.worker import worker
from treewarden.supervisor import ChildSpec, Strategy, SupervisorSpec
from treewarden.supervisor.core.signal import Stalled
from treewarden.supervisor.core.spec import RestartPolicy
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies import Tree, child, open_tree, tree

CLOCK = trio.testing.MockClock


@frozen
class Say(Request[int]):
    word: str


@frozen
class Tell:
    """Tell somebody else."""

    to: str


class Sleepy(Agent[int]):
    state = 0

    @handles
    async def say(self, message: Say) -> int:
        if message.word == "slowly":
            await trio.sleep(10)
        self.state += 1
        return self.state

    @handles
    async def pass_on(self, message: Tell) -> None:
        await trio.sleep(1)
        await self.ref(message.to).tell(Say("on"))


class Broken(Sleepy):
    def __init__(self) -> None:
        raise RuntimeError("not today")


def leaf(id: str, kind: type[Sleepy] = Sleepy, durability: Durability = VOLATILE) -> ChildSpec:
    return child(kind, id=id, mailbox=MailboxSpec(durability=durability))


def group(durability: Durability = VOLATILE) -> SupervisorSpec:
    return tree(*(leaf(f"n{n}", durability=durability) for n in range(10)), id="g")


def made(running: Tree) -> list[str]:
    """The paths of the slots that exist."""
    return [slot.path for slot in running._common.registry]  # pyright: ignore[reportPrivateUsage]


async def test_nothing_is_made_of_a_child_before_somebody_needs_it(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(group(), leaf("a"))) as running:
        assert {(status.state, status.incarnation) for status in running.snapshot()} == {("up", 1)}
        assert len(await running.supervisor("g").children()) == 10
        assert (await running.supervisor("g").count()).active == 10
        refs = [running.ref(f"g/n{n}") for n in range(10)]
        assert running.handled == 0
        assert made(running) == [], "looking needs none"
        assert await refs[3].ask(Say("hello")) == 1
        refs[5].tell_nowait(Say("hello"))
        assert made(running) == ["g/n3", "g/n5"]
        assert await refs[3].ask(Say("hello")) == 2
    assert made(running) == ["g/n3", "g/n5"], "their end needs none either"
    for ref in refs:
        with pytest.raises(AgentStopped, match="the tree has ended"):
            ref.tell_nowait(Say("hello"))


async def test_one_that_cannot_be_made_is_found_out_at_its_start(autojump_clock: CLOCK) -> None:
    with pytest.raises(TreeFailed, match="not today"):
        async with open_tree(tree(leaf("a"), leaf("b", Broken))):
            pass


async def test_a_wrong_address_is_compared_with_those_who_sleep(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(group())) as running:
        with pytest.raises(NoSuchSlot, match="did you mean g/n"):
            running.ref("g/m1")
        assert made(running) == []


async def test_who_wakes_while_its_supervisor_starts_or_is_down_begins_with_what_it_was_told(
    autojump_clock: CLOCK,
) -> None:
    async def poll() -> None:
        await trio.sleep_forever()

    async def tell(path: Path) -> object:
        starts.append(path)
        for running in opened:
            running.ref("g/n1").tell_nowait(Say("while it is down"))
        return None

    opened: list[Tree] = []
    starts: list[Path] = []
    members = (leaf("n0"), child(worker(poll), id="w"), leaf("n1"))
    async with open_tree(tree(tree(*members, id="g", on_start=tell))) as running:
        opened.append(running)
        assert running.kill("g")
        await trio.testing.wait_all_tasks_blocked()
        assert await running.ref("g/n1").ask(Say("now")) == 2
        assert starts == ["g", "g"], "it did not fail because of what it told"
        status = {str(status.path): status.incarnation for status in running.snapshot()}
        assert status == {"g": 2, "g/n0": 2, "g/w": 2, "g/n1": 2}


class Slow(Sleepy):
    async def on_stop(self, exit: Exit) -> None:
        await trio.sleep(3)


async def test_the_end_of_one_who_slept_is_told_while_its_siblings_are_stopped(autojump_clock: CLOCK) -> None:
    group = tree(leaf("slow", Slow), leaf("n0"), leaf("n1"), id="g")
    async with open_tree(tree(group)) as running, trio.open_nursery() as nursery:
        await trio.sleep(2)
        nursery.start_soon(running.supervisor("g").stop)
        await trio.testing.wait_all_tasks_blocked()
        async with running.watch("g/n1") as ends:
            with trio.fail_after(2):
                end = await anext(ends)
        assert (end.exit, end.expected, end.uptime) == (Stopped("shutdown"), True, 2.0)
        assert {str(status.path): status.state for status in running.snapshot()}["g/n0"] == "down"


async def test_who_wakes_while_its_tree_is_drained_takes_nothing_from_outside(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(group(), leaf("a"))) as running, trio.open_nursery() as nursery:
        inside, outside = running.ref("g/n1"), running.ref("g/n2")
        running.ref("g/n0").tell_nowait(Tell("g/n1"))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(running.drain, "g")
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(IntakeClosed):
            outside.tell_nowait(Say("from outside"))
        with pytest.raises(IntakeClosed):
            inside.tell_nowait(Say("from outside"))
        assert await running.ref("a").ask(Say("beside")) == 1
        await trio.sleep(3)
        assert sum(status.handled for status in running.snapshot()) == 1, "'a', for those drained are gone"
        assert running.handled == 3, "and those drained had handled two"
        with pytest.raises(AgentStopped):
            running.ref("g/n7").tell_nowait(Say("afterwards"))
        await running.supervisor().restart_child("g")
        assert await running.ref("g/n7").ask(Say("again")) == 1


@pytest.mark.parametrize("left", [(leaf("a"),), (tree(*(leaf(f"n{n}") for n in range(9)), id="g"), leaf("a"))])
async def test_what_the_journal_holds_of_one_who_is_gone_goes_too(
    autojump_clock: CLOCK, left: tuple[ChildSpec | SupervisorSpec, ...]
) -> None:
    journal = MemoryJournal()
    async with open_tree(tree(group(MESSAGE)), journal=journal) as running:
        await running.ref("g/n9").ask(Say("to be kept"))
        await running.ref("g/n2").ask(Say("to be kept"))
    async with open_tree(tree(group(), leaf("a")), journal=journal) as running:
        await running.reload(tree(*left))
        assert made(running) == []
        assert (await journal.recover(Path("g/n9"))).state is None
        assert ((await journal.recover(Path("g/n2"))).state is None) is (len(left) == 1)


async def test_who_has_been_woken_is_watched_for_progress(autojump_clock: CLOCK) -> None:
    slow = child(Sleepy, id="slow", mailbox=MailboxSpec(durability=VOLATILE), progress_within=2.0)
    async with open_tree(tree(slow)) as running, running.watch("slow") as ends:
        await trio.sleep(20)
        began = trio.current_time()
        running.ref("slow").tell_nowait(Say("slowly"))
        end = await anext(ends)
        assert Stalled.__name__ in str(end.exit)
        assert trio.current_time() - began <= 2.0 + 0.5, "four looks within its limit"


async def test_a_dynamic_supervisor_forgets_those_who_slept(autojump_clock: CLOCK) -> None:
    pool = tree(leaf("job"), id="d", strategy=Strategy.DYNAMIC)
    async with open_tree(tree(pool)) as running:
        supervisor = running.supervisor("d")
        started = [await supervisor.start_dynamic() for _ in range(3)]
        assert [str(each.path) for each in started] == ["d/job-1", "d/job-2", "d/job-3"]
        assert made(running) == []
        await supervisor.terminate_dynamic("job-2")
        assert running.kill("d")
        await trio.testing.wait_all_tasks_blocked()
        assert (await supervisor.children(), made(running)) == ((), [])
        with pytest.raises(NoSuchSlot):
            running.ref("d/job-1")


async def test_a_new_template_wakes_nobody_for_whom_it_is_the_old_one(autojump_clock: CLOCK) -> None:
    def pool(template: ChildSpec) -> SupervisorSpec:
        return tree(template, id="d", strategy=Strategy.DYNAMIC)

    async with open_tree(tree(pool(leaf("job")))) as running:
        supervisor = running.supervisor("d")
        started = [await supervisor.start_dynamic() for _ in range(3)]
        await supervisor.replace(pool(leaf("job")))
        assert made(running) == []
        await supervisor.replace(pool(evolve(leaf("job"), restart=RestartPolicy.TEMPORARY)))
        assert [view.path for view in await supervisor.children()] == [each.path for each in started]
        assert running.kill("d/job-2")
        await trio.sleep(1)
        assert [view.id for view in await supervisor.children()] == ["job-1", "job-3"], "it was temporary by then"
