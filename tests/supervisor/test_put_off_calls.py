"""Calls that wait for who lives still below a killed one: they hold up no loop, and come in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import combinations
from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.errors import NotFound, StartFailed, SupervisorGone
from treewarden.supervisor.core.spec import BRUTAL_KILL, Grace, SupervisorSpec
from treewarden.supervisor.orders import Call
from treewarden.supervisor.orphans import Emptied, Orphans
from treewarden.topologies.running import Tree

from .puppets import Puppet, dynamic, fail, puppet, quiet, running, states, under

CLOCK = trio.testing.MockClock


def emptied_after(seconds: float, log: list[str], id: str = "killed") -> SupervisorSpec:
    """A supervisor that is killed when it is to stop; below it somebody needs so long to end in order."""

    async def stopping(_: Puppet) -> None:
        await trio.sleep(seconds)

    slow = under(puppet("slow", log, args={"stopping": stopping}, shutdown=Grace(10)), id="below")
    return under(slow, id=id, shutdown=BRUTAL_KILL)


async def without(tree: Tree, *ids: str) -> None:
    """These are no children of the group any more, and somebody lives there still."""
    above = tree.supervisor("group")
    for id in ids:
        with trio.move_on_after(0):
            await above.terminate_child(id)
        await quiet()
        await above.delete_child(id)


def below(tree: Tree) -> list[str]:
    return [path.removeprefix("group/") for path in states(tree) if path.count("/") == 1]


async def test_a_reload_from_above_waits_in_no_loop(autojump_clock: CLOCK) -> None:
    log: list[str] = []
    group = under(emptied_after(4, log), puppet("other", log), id="group", shutdown=Grace(2))
    async with running(under(group, puppet("first", log))) as tree:
        await without(tree, "killed")
        again = evolve(tree.blueprint, children=(evolve(group, children=(puppet("killed", log), group.children[1])),))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tree.reload, again)
            await quiet()
            with trio.fail_after(0.1):
                assert [each.id for each in await tree.supervisor().children()] == ["group"]
            assert below(tree) == ["other"]
        assert trio.current_time() == 4, "it returns when it is done"
        assert below(tree) == ["killed", "other"]
        assert log.count("+group/killed") == 1


async def test_a_stop_does_not_wait_behind_a_reload(autojump_clock: CLOCK) -> None:
    log: list[str] = []
    group = under(emptied_after(4, log), puppet("other", log), id="group", shutdown=Grace(1))
    async with running(under(group, id="tree")) as tree:
        await without(tree, "killed")
        again = evolve(tree.blueprint, children=(evolve(group, children=(puppet("killed", log), group.children[1])),))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tree.reload, again)
            await quiet()
            log.clear()
            tree.stop()
            await quiet()
            assert log == ["-group/other"]
    assert "+group/killed" not in log


async def test_of_two_reloads_the_later_one_is_the_last_one(autojump_clock: CLOCK) -> None:
    log: list[str] = []
    group = under(emptied_after(4, log), puppet("other", log), id="group")
    async with running(under(group)) as tree:
        await without(tree, "killed")
        above = tree.supervisor()
        alone = under(evolve(group, children=(group.children[1],)))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(above.reload, under(evolve(group, children=(puppet("killed", log), group.children[1]))))
            await quiet()
            nursery.start_soon(above.reload, alone)
            await quiet()
        await quiet()
        assert below(tree) == ["other"]
        assert log[-2:] == ["+group/killed", "-group/killed"]


async def told(log: list[str], what: str, call: Callable[[], Awaitable[Any]]) -> None:
    """Make a call, and note how it went."""
    try:
        await call()
    except (NotFound, StartFailed) as error:
        log.append(f"{what}: {type(error).__name__}")
    else:
        log.append(what)


async def test_what_names_the_same_child_waits_behind_it(autojump_clock: CLOCK) -> None:
    log: list[str] = []
    async with running(under(under(emptied_after(4, log), puppet("other", log), id="group"))) as tree:
        await without(tree, "killed")
        above, calls = tree.supervisor("group"), list[str]()
        async with trio.open_nursery() as nursery:
            for what, call in (
                ("start", lambda: above.start_child(puppet("killed", log))),
                ("stop", lambda: above.terminate_child("killed")),
                ("begin", lambda: above.restart_child("killed")),
                ("other", lambda: above.terminate_child("other")),
                ("end", lambda: above.terminate_child("killed")),
                ("delete", lambda: above.delete_child("killed")),
                ("again", lambda: above.terminate_child("killed")),
            ):
                nursery.start_soon(told, calls, what, call)
                await quiet()
            assert calls == ["other"], "nobody else waits"
            assert [each.id for each in await above.children()] == ["other"]
        assert trio.current_time() == 4
        assert calls == ["other", "start", "stop", "begin", "end", "delete", "again: NotFound"]


async def test_an_order_over_two_that_are_emptied_one_after_the_other(autojump_clock: CLOCK) -> None:
    """A reload waits for both, and for neither alone: what came after it comes after it."""
    log: list[str] = []
    children = emptied_after(2, log, "soon"), emptied_after(4, log, "late")
    async with running(under(under(*children, puppet("other", log), id="group"))) as tree:
        await without(tree, "soon", "late")
        above, calls = tree.supervisor("group"), list[str]()
        both = under(puppet("soon", log), puppet("late", log), puppet("other", log), id="group")
        async with trio.open_nursery() as nursery:
            for what, call in (
                ("start", lambda: above.start_child(puppet("late", log))),
                ("reload", lambda: above.reload(both)),
                ("stop soon", lambda: above.terminate_child("soon")),
                ("stop late", lambda: above.terminate_child("late")),
            ):
                nursery.start_soon(told, calls, what, call)
                await quiet()
            await trio.sleep(3)
            assert calls == []
        assert calls == ["start", "reload", "stop soon", "stop late"]
        assert states(tree) == {"group": "up", "group/soon": "down", "group/late": "down", "group/other": "up"}


async def test_each_is_carried_out_once_though_both_are_emptied_at_once(autojump_clock: CLOCK) -> None:
    log: list[str] = []
    children = emptied_after(4, log, "a"), emptied_after(4, log, "b")
    async with running(under(under(*children, id="group"))) as tree:
        above, calls = tree.supervisor("group"), list[str]()
        async with trio.open_nursery() as nursery:  # so that both are told to stop in the same instant
            for id in ("b", "a"):
                nursery.start_soon(above.terminate_child, id)
            await quiet()
            for id in ("a", "b"):
                await above.delete_child(id)
                nursery.start_soon(told, calls, id, partial(above.start_child, puppet(id, log)))
                await quiet()
        assert sorted(calls) == ["a", "b"]
        assert [line for line in log if line in ("+group/a", "+group/b")] == ["+group/a", "+group/b"]


async def test_a_dynamic_one(autojump_clock: CLOCK) -> None:
    log: list[str] = []
    jobs = dynamic(emptied_after(4, log), id="group")
    async with running(under(jobs)) as tree:
        above, calls = tree.supervisor("group"), list[str]()
        await above.start_dynamic(id="a")
        with trio.move_on_after(0):
            await above.terminate_dynamic("a")
        await quiet()
        async with trio.open_nursery() as nursery:
            for what, call in (
                ("start", lambda: above.start_dynamic(id="a")),
                ("stop", lambda: above.terminate_dynamic("a")),
                ("another", above.start_dynamic),
            ):
                nursery.start_soon(told, calls, what, call)
                await quiet()
            assert calls == ["another"]
            await trio.sleep(4.5)
            assert calls == ["another", "start"]
        assert trio.current_time() == 8
        assert calls == ["another", "start", "stop"]


async def test_a_start_that_fails_answers_those_behind_it(autojump_clock: CLOCK) -> None:
    log: list[str] = []
    bad = puppet("killed", log, args={"starting": fail(RuntimeError("no"))})
    async with running(under(under(emptied_after(4, log), id="group"))) as tree:
        await without(tree, "killed")
        above, calls = tree.supervisor("group"), list[str]()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(told, calls, "start", lambda: above.start_child(bad))
            await quiet()
            nursery.start_soon(told, calls, "stop", lambda: above.terminate_child("killed"))
        assert calls == ["start: StartFailed", "stop: NotFound"]
        with pytest.raises(NotFound):
            await above.delete_child("killed")


async def test_its_supervisor_ends_and_they_are_told_at_once(autojump_clock: CLOCK) -> None:
    log: list[str] = []
    group = under(emptied_after(4, log), puppet("other", log), id="group")
    async with running(under(group, id="tree")) as tree:
        await without(tree, "killed")
        above = tree.supervisor("group")
        async with trio.open_nursery() as nursery:

            async def end() -> None:
                await quiet()
                await tree.supervisor().terminate_child("group")

            nursery.start_soon(end)
            with trio.fail_after(0.1), pytest.raises(SupervisorGone):
                await above.start_child(puppet("killed", log))
        assert trio.current_time() == 4, "somebody lives there until then"
        assert "+group/killed" not in log


NAMES = st.sets(st.sampled_from("abcd"), min_size=1)


@given(st.lists(st.one_of(st.sampled_from(["a", "b", "c", "d", "turn"]), st.tuples(NAMES, NAMES)), max_size=20))
def test_calls_that_name_the_same_child_keep_their_order(course: list[str | tuple[set[str], set[str]]]) -> None:
    """A letter: nobody lives there any more; names: a call of these, which begins those among the others, too."""
    orphans, queue, made, done = Orphans(), deque[object](), list[Call](), list[Call]()
    emptied = {name: Emptied() for name in "abcd"}
    for name, each in emptied.items():
        orphans.add(name, each)

    def turn() -> None:
        call = queue.popleft() if queue else None
        if isinstance(call, Call) and call not in done:
            names, begins = call.argument
            awaited = orphans.below_any(sorted(names & begins))
            if awaited is None and not orphans.is_behind(call, names):
                orphans.take(call, queue.append)
                done.append(call)
            else:
                orphans.put_off(call, names, awaited, queue.append)

    for step in (*course, *"abcd"):
        if isinstance(step, tuple):
            made.append(Call("start", step))
            queue.append(made[-1])
        elif step in emptied and not emptied[step].has_come:
            emptied[step].come()
        turn()
    while queue:
        turn()
    assert len(done) == len(made), "each is carried out, and once"
    for before, after in combinations(made, 2):
        if before.argument[0] & after.argument[0]:
            assert done.index(before) < done.index(after)
