"""Delays of restarts, limits of single children, and what makes a pending restart void."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from treewarden.agents.agent import Agent, every
from treewarden.agents.errors import AlreadyPresent, NotFound, RateLimited, StillRestarting
from treewarden.supervisor.core.action import Restart, Scope
from treewarden.supervisor.core.case import Case
from treewarden.supervisor.core.guards import Declined, Option
from treewarden.supervisor.core.history import delay
from treewarden.supervisor.core.spec import Backoff, ChildSpec, Intensity, Strategy
from treewarden.topologies.running import Tree

from .puppets import IN_MEMORY, Add, Total, crash, end_of, lives, puppet, quiet, running, states, tell, under


class Waiting:
    """Restarts after the spec's backoff, with a scope of its own."""

    name = "waiting"
    counts_alike = False
    escalates = True
    stable_after = None

    def __init__(self, scope: Scope = Scope.ONE) -> None:
        self.scope = scope

    def propose(self, case: Case) -> tuple[Option, ...]:
        assert isinstance(case.spec, ChildSpec)
        wait = delay(case.spec.backoff, case.incident.failed + 1, case.spread)
        return (Option(Restart(self.scope, wait), "wait", "the backoff says so"),)

    def declined(self, case: Case) -> tuple[Declined, ...]:
        return ()


GROWING = Backoff(first=1, factor=2, most=5, jitter=0)
OFTEN = Intensity(100, 1000)


async def test_delays_grow_up_to_the_most_and_begin_anew_after_a_stable_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    began: list[float] = []

    async def start(_: object) -> None:
        began.append(trio.current_time())

    child = puppet("a", backoff=GROWING, stable_after=10, args={"starting": start})
    async with running(under(child, policy=Waiting(), restarts=OFTEN)) as tree:

        async def waits() -> float:
            crashed = trio.current_time()
            await crash(tree, "a")
            assert states(tree) == {"a": "restarting"}
            await trio.sleep(5.5)
            assert states(tree) == {"a": "up"}
            return began[-1] - crashed

        assert [await waits() for _ in range(5)] == [1, 2, 4, 5, 5]
        await trio.sleep(5)  # it has lived for 5.5 s by now
        assert await waits() == 5
        await trio.sleep(10)
        assert await waits() == 1


async def test_the_loop_goes_on_while_a_restart_waits(autojump_clock: trio.testing.MockClock) -> None:
    children = (puppet("a", backoff=GROWING), puppet("b"))
    async with running(under(*children, policy=Waiting(), restarts=OFTEN)) as tree:
        await tree.ref("a").tell(Add(3))
        await crash(tree, "a")
        await tree.ref("a").tell(Add(4))  # its mailbox waits with it
        assert not tree.supervisor().busy
        assert (await tree.supervisor().count()).active == 1
        with pytest.raises(StillRestarting):
            await tree.supervisor().restart_child("a")
        with pytest.raises(AlreadyPresent):
            await tree.supervisor().start_child(puppet("a"))
        assert trio.current_time() == 0
        assert await tree.ref("a").ask(Total()) == 7
        assert trio.current_time() == pytest.approx(1, abs=0.1)


async def test_jitter_takes_a_share_off_and_follows_the_seed(autojump_clock: trio.testing.MockClock) -> None:
    spread = Backoff(first=10, factor=1, most=10, jitter=0.5)
    waited: list[tuple[float, ...]] = []
    began: list[float] = []

    async def start(_: object) -> None:
        began.append(trio.current_time())

    for _ in range(2):
        found: list[float] = []
        child = puppet("a", backoff=spread, args={"starting": start})
        async with running(under(child, policy=Waiting(), restarts=OFTEN)) as tree:
            for _ in range(4):
                crashed = trio.current_time()
                await crash(tree, "a")
                await trio.sleep(10.5)
                found.append(began[-1] - crashed)
        waited.append(tuple(found))
    assert waited[0] == pytest.approx(waited[1])
    assert len(set(waited[0])) > 1
    assert all(5 <= each <= 10 for each in waited[0])


async def test_a_terminated_child_does_not_come_back(autojump_clock: trio.testing.MockClock) -> None:
    async with running(under(puppet("a", backoff=GROWING), policy=Waiting(), restarts=OFTEN)) as tree:
        await crash(tree, "a")
        await tree.supervisor().terminate_child("a")
        await trio.sleep(20)
        assert states(tree) == {"a": "down"}
        await tree.supervisor().delete_child("a")
        with pytest.raises(NotFound):
            await tree.supervisor().spec("a")


async def test_a_child_that_was_started_meanwhile_is_not_started_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running(under(puppet("a", backoff=GROWING), policy=Waiting(), restarts=OFTEN)) as tree:
        await crash(tree, "a")
        await tree.supervisor().terminate_child("a")
        await tree.supervisor().restart_child("a")
        await trio.sleep(20)
        assert lives(tree) == {"a": 2}


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.ONE_FOR_ONE])
async def test_a_group_that_waits_comes_back_whole(strategy: Strategy, autojump_clock: trio.testing.MockClock) -> None:
    """Also one that is wider than the declared strategy: the policy may take siblings along."""
    log: list[str] = []
    children = [puppet(id, log, backoff=GROWING) for id in "abc"]
    async with running(under(*children, policy=_Widening(), restarts=OFTEN, strategy=strategy)) as tree:
        if strategy is Strategy.ONE_FOR_ONE:
            for wait in (1.5, 2.5):  # a policy may widen the scope by one level for each attempt that failed
                await crash(tree, "b")
                await trio.sleep(wait)
        log.clear()
        await crash(tree, "b")
        assert log == ["-b", "-c", "-a"]
        assert states(tree) == {"a": "down", "b": "restarting", "c": "down"}
        await trio.sleep(10)
        assert log == ["-b", "-c", "-a", "+a", "+b", "+c"]


class _Widening(Waiting):
    def propose(self, case: Case) -> tuple[Option, ...]:
        (option,) = super().propose(case)
        assert isinstance(option.action, Restart)
        wide = Scope.ALL if case.incident.failed > 1 else Scope.REST if case.incident.failed else Scope.ONE
        return (Option(Restart(max(wide, self.scope), option.action.after), option.rule, option.reason),)


async def test_a_stop_does_not_wait_for_a_delay(autojump_clock: trio.testing.MockClock) -> None:
    slow = Backoff(first=1000, factor=1, most=1000, jitter=0)
    async with running(under(puppet("a", backoff=slow), policy=Waiting(), restarts=OFTEN)) as tree:
        await crash(tree, "a")
    assert trio.current_time() == 0


# -- a child's own limit


async def test_a_child_beyond_its_own_limit_is_held_alone(autojump_clock: trio.testing.MockClock) -> None:
    children = (puppet("a", restarts=Intensity(2, 10)), puppet("b"))
    async with running(under(*children, restarts=Intensity(3, 10))) as tree:
        for _ in range(2):
            await crash(tree, "a")
        assert states(tree) == {"a": "up", "b": "up"}
        await crash(tree, "a")
        assert states(tree) == {"a": "held", "b": "up"}
        (note,) = [slot.note for slot in tree.snapshot() if slot.path == "a"]
        assert note.startswith("held: a has used up its own 2 restarts")
        await crash(tree, "b")  # the third that counts for the supervisor: the one that was not made does not
        assert states(tree) == {"a": "held", "b": "up"}
        tree.resume("a")
        await quiet()
        assert states(tree) == {"a": "up", "b": "up"}
        assert [slot.note for slot in tree.snapshot()] == ["", ""]


async def test_a_held_child_is_not_revived_with_its_group(autojump_clock: trio.testing.MockClock) -> None:
    children = (puppet("a", restarts=Intensity(0, 10)), puppet("b"))
    tree_of = under(*children, strategy=Strategy.ONE_FOR_ALL, restarts=OFTEN)
    async with running(tree_of) as tree:
        await crash(tree, "a")
        assert states(tree) == {"a": "held", "b": "up"}
        await crash(tree, "b")
        assert states(tree) == {"a": "held", "b": "up"}
        assert lives(tree) == {"a": 1, "b": 2}


async def test_the_window_forgets_what_is_older_and_keeps_what_is_as_old(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running(under(puppet("a"), restarts=Intensity(1, 5))) as tree:
        for _ in range(4):
            await crash(tree, "a")
            await trio.sleep(5.5)
        assert lives(tree) == {"a": 5}

    async def script(tree: Tree) -> None:
        await crash(tree, "a")
        await trio.sleep(5)
        await crash(tree, "a")

    await end_of(under(puppet("a"), restarts=Intensity(1, 5)), script)


# -- a throttle is no restart


class Ticking(Agent[int]):
    """Has nothing but ticks."""

    state = 0

    @every(1)
    async def tick(self) -> None:
        self.state += 1


async def test_a_throttle_does_not_lose_a_restart(autojump_clock: trio.testing.MockClock) -> None:
    limits = [RateLimited(2.0)]

    async def limited(_: object) -> None:
        if limits:
            raise limits.pop()

    async with running(under(puppet("a", backoff=GROWING), policy=Waiting(), restarts=OFTEN)) as tree:
        async with tree.supervisor().suspended():
            await tell(tree, "a", limited)
            tree.kill("a")
            await quiet()
        await quiet()
        assert states(tree) == {"a": "restarting"}
        await trio.sleep(5)
        assert states(tree) == {"a": "up"}
        await tree.ref("a").tell(Add(1))
        assert await tree.ref("a").ask(Total()) == 1


async def test_an_agent_of_ticks_goes_on_after_a_restart(autojump_clock: trio.testing.MockClock) -> None:
    spec = ChildSpec(id="t", agent=Ticking, mailbox=IN_MEMORY)
    async with running(under(spec)) as tree:
        await trio.sleep(2.5)
        tree.kill("t")
        await trio.sleep(2)
        (slot,) = tree.snapshot()
        assert slot.incarnation == 2
        assert slot.handled >= 4
