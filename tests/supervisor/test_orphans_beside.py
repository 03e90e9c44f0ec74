"""A supervisor does not wait for who is left below a killed one: only the start in its place does."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve

from treewarden.agents.errors import NotFound, StartFailed, StillRunning, SupervisorGone
from treewarden.supervisor.core.spec import BRUTAL_KILL, Grace, Intensity, RestartPolicy, Strategy, SupervisorSpec
from treewarden.topologies.running import Tree

from .puppets import Puppet, Total, crash, dynamic, fail, puppet, quiet, running, states, tell, under

OFTEN = Intensity(9, 99)
SLOW = "killed/below/slow"


async def four_seconds(_: Puppet) -> None:
    await trio.sleep(4)


def slowly_emptied(log: list[str], id: str = "killed", **fields: Any) -> SupervisorSpec:
    """A supervisor that is killed when it is to stop; below it somebody needs four seconds to end in order."""
    slow = under(puppet("slow", log, args={"stopping": four_seconds}, shutdown=Grace(10)), id="below")
    return under(slow, id=id, **{"shutdown": BRUTAL_KILL, **fields})


def group(log: list[str], **fields: Any) -> SupervisorSpec:
    """If `other` crashes, `killed` is stopped, and both are started when nobody lives below it any more."""
    children = slowly_emptied(log), puppet("other", log)
    return under(*children, id="group", strategy=Strategy.ONE_FOR_ALL, restarts=OFTEN, **fields)


def ups(tree: Tree) -> list[str]:
    """Who lives, which is everybody."""
    found = states(tree)
    assert set(found.values()) == {"up"}
    return list(found)


async def waits(tree: Tree, path: str = "group/other") -> None:
    """Have the group wait for the end of those below."""
    await crash(tree, path)
    assert states(tree) == {"group": "up", "group/killed": "restarting", "group/other": "down"}
    (note,) = [each.note for each in tree.snapshot() if each.note]
    assert "live still below" in note


async def test_a_stop_is_obeyed_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """It waited in the queue while its grace went by, and was killed over that: others ended without `on_stop`."""
    log: list[str] = []
    above = under(group(log, shutdown=Grace(math.inf)), puppet("first", log), id="above", shutdown=Grace(3))
    async with running(under(above)) as tree:
        await tell(tree, "above/group/other", fail(RuntimeError()))
        log.clear()
        await tree.supervisor().terminate_child("above")
        assert "-above/first" in log
        assert not [line for line in log if line[0] == "+"]
        assert trio.current_time() == 4, "nobody lives below it any more"


async def test_the_end_of_one_that_gives_up_counts_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """As in OTP: the next one is too many for the supervisor above, which ends too, and begins when all are gone."""
    log: list[str] = []
    ends = under(slowly_emptied(log), puppet("bad", log), id="ends", restarts=Intensity(0, 9))
    above = under(ends, puppet("bad", log), id="above", restarts=Intensity(1, 9), shutdown=Grace(1))
    async with running(under(above, puppet("beside", log), restarts=OFTEN)) as tree:
        await crash(tree, "above/ends/bad")
        assert states(tree)["above/bad"] == "up"
        await tell(tree, "above/bad", fail(RuntimeError()))
        log.clear()
        await trio.sleep(3.5)
        assert log == [], "nobody begins where somebody lives still"
        await trio.sleep(1)
        assert log == [f"-above/ends/{SLOW}", f"+above/ends/{SLOW}", "+above/ends/bad", "+above/bad"][1:]
        assert ups(tree)


async def test_calls_are_answered_and_a_terminated_child_keeps_nobody_waiting(
    autojump_clock: trio.testing.MockClock,
) -> None:
    log: list[str] = []
    async with running(under(group(log))) as tree:
        await waits(tree)
        above = tree.supervisor("group")
        with trio.fail_after(0.1):
            assert [str(each.state) for each in await above.children()] == ["restarting", "down"]
        log.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(above.terminate_child, "killed")
            await quiet()
            assert log == ["+group/other"], "its group is started without it, at once"
        assert trio.current_time() == 4, "it returns when nobody lives below it any more"
        assert states(tree)["group/killed"] == "down"
        assert (await above.restart_child("killed")).incarnation == 2


async def test_a_start_in_its_place_waits_and_holds_up_nobody(autojump_clock: trio.testing.MockClock) -> None:
    log: list[str] = []
    async with running(under(group(log))) as tree:
        await waits(tree)
        above = tree.supervisor("group")
        with pytest.raises(StillRunning):
            await above.restart_child("killed")
        assert trio.current_time() == 4
        assert ups(tree) == ["group", "group/killed", "group/killed/below", f"group/{SLOW}", "group/other"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(above.terminate_child, "killed")
            await quiet()
            nursery.start_soon(above.restart_child, "killed")
            await quiet()
            with trio.fail_after(0.1):
                assert (await above.count()).active == 1
        assert trio.current_time() == 8
        assert ups(tree)


async def test_who_waits_for_such_a_start_hears_of_the_end_of_the_supervisor(
    autojump_clock: trio.testing.MockClock,
) -> None:
    log: list[str] = []
    async with running(under(group(log))) as tree:
        above = tree.supervisor("group")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(above.terminate_child, "killed")
            await quiet()
            nursery.start_soon(tree.supervisor().terminate_child, "group")
            with pytest.raises(SupervisorGone):
                await above.restart_child("killed")


@pytest.mark.parametrize("by", ["start_child", "reload", "replace"])
async def test_another_one_of_its_name_begins_when_they_are_gone(
    by: str, autojump_clock: trio.testing.MockClock
) -> None:
    """And with nothing of theirs: what the old ones had goes when they do."""
    log: list[str] = []
    killed = slowly_emptied(log, restart=RestartPolicy.TEMPORARY)
    blueprint = under(puppet("other", log))
    async with running(under(evolve(blueprint, id="group", children=(*blueprint.children, killed)))) as tree:
        above = tree.supervisor("group")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(above.terminate_child, "killed")
            await quiet()
            with trio.fail_after(0.1), pytest.raises(NotFound):
                await above.spec("killed")
            again = puppet("killed", log)
            if by == "start_child":
                assert (await above.start_child(again)).incarnation == 1
            elif by == "reload":
                await above.reload(evolve(blueprint, id="group", children=(*blueprint.children, again)))
            else:
                await above.replace(evolve(blueprint, id="group", children=(*blueprint.children, again)))
                await above.restart_child("killed")
            assert trio.current_time() == 4
        assert ups(tree) == ["group", "group/other", "group/killed"]
        assert log.index(f"-group/{SLOW}") < log.index("+group/killed")


async def test_so_does_a_dynamic_one(autojump_clock: trio.testing.MockClock) -> None:
    log: list[str] = []
    async with running(under(dynamic(slowly_emptied(log), id="jobs"))) as tree:
        jobs = tree.supervisor("jobs")
        await jobs.start_dynamic(id="a")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(jobs.terminate_dynamic, "a")
            await quiet()
            nursery.start_soon(jobs.start_dynamic)
            await quiet()
            assert states(tree)["jobs/killed-1/below/slow"] == "up", "one of another name begins at once"
            started = await jobs.start_dynamic(id="a")
        assert (trio.current_time(), started.incarnation) == (4, 1)


async def test_nobody_is_given_the_name_of_who_has_left_orphans(autojump_clock: trio.testing.MockClock) -> None:
    """The new one had begun beside them, and lost its slots when they were gone."""
    log: list[str] = []
    async with running(under(dynamic(slowly_emptied(log), id="jobs"))) as tree:
        jobs = tree.supervisor("jobs")
        await jobs.start_dynamic(id="killed-1")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(jobs.terminate_dynamic, "killed-1")
            await quiet()
            assert (await jobs.start_dynamic()).path == "jobs/killed-2"
        assert (await jobs.start_dynamic(id="killed-1")).incarnation == 1
        assert trio.current_time() == 4
        assert await tree.ref("jobs/killed-1/below/slow").ask(Total(), within=1) == 0


async def test_a_reload_returns_when_they_are_gone_and_holds_up_nobody(autojump_clock: trio.testing.MockClock) -> None:
    log: list[str] = []
    before = under(slowly_emptied(log), slowly_emptied(log, "gone"), puppet("other", log), id="group")
    killed = puppet("killed", log, shutdown=BRUTAL_KILL)
    after = evolve(before, children=(killed, puppet("other", log), puppet("new", log)))
    async with running(under(before)) as tree:
        above = tree.supervisor("group")
        log.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(above.reload, after)
            await quiet()
            assert "+group/new" in log
            with trio.fail_after(0.1):
                assert [each.id for each in await above.children()] == ["killed", "other", "new"]
        assert trio.current_time() == 4
        await quiet()
        assert ups(tree) == ["group", "group/killed", "group/other", "group/new"]


async def test_a_start_that_failed_leaves_its_supervisor_free_meanwhile(autojump_clock: trio.testing.MockClock) -> None:
    """The one that was undone is no orphan of the one above."""
    log: list[str] = []
    bad = puppet("bad", log, args={"starting": fail(RuntimeError("no"))})
    async with running(under(under(puppet("other", log), id="group"))) as tree:
        above = tree.supervisor("group")
        with trio.fail_after(0.1), pytest.raises(StartFailed):
            await above.start_child(under(slowly_emptied(log), bad, id="undone"))
        assert (await above.start_child(under(puppet("a", log), id="undone"))).incarnation == 1
        assert trio.current_time() == 4
        assert ups(tree) == ["group", "group/other", "group/undone", "group/undone/a"]
