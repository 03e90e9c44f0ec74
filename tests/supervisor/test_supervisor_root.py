"""The root: what comes out of `open_tree` when it ends, and that nothing stays behind."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from treewarden.agents.core.exit import Failed, Failure, Finished
from treewarden.agents.errors import Stop, SupervisorGone, TreeFailed
from treewarden.supervisor.core.event import SupervisorEnded, TreeClosed
from treewarden.supervisor.core.spec import AutoShutdown, Intensity, RestartPolicy
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree

from .puppets import crash, end_of, events, fail, lives, puppet, quiet, running, states, tell, under


def tasks() -> set[str]:
    """The tasks of this run by name."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    found: set[str] = set()
    waiting = [root]
    while waiting:
        task = waiting.pop()
        found.add(task.name)
        for nursery in task.child_nurseries:
            waiting.extend(nursery.child_tasks)
    return found


def told(failed: TreeFailed) -> list[str]:
    """What the exceptions say that led there."""
    assert failed.group is not None
    return [str(error) for error in failed.group.exceptions]


async def test_a_tree_stops_in_reverse_order_and_leaves_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    log: list[str] = []
    before = tasks()
    async with running(under(puppet("a", log), under(puppet("b", log), puppet("c", log), id="s"), puppet("d", log))):
        assert log == ["+a", "+s/b", "+s/c", "+d"]
        log.clear()
    assert log == ["-d", "-s/c", "-s/b", "-a"]
    assert tasks() == before


async def test_the_root_gives_up_with_the_exceptions_that_led_there(autojump_clock: trio.testing.MockClock) -> None:
    journal = MemoryJournal()

    async def script(tree: Tree) -> None:
        await crash(tree, "a", "first")
        assert lives(tree)["a"] == 2
        await crash(tree, "b", "second")

    failed = await end_of(under(puppet("a"), puppet("b"), restarts=Intensity(1, 5)), script, journal)
    assert failed.reason == (
        "the root gave up (intensity) over b: 2 restarts within 5 s, and the limit is 1;"
        " raise `restarts`, or mend what failed"
    )
    assert told(failed) == ["first", "second"]
    async with journal:
        (closed,) = await events(journal, TreeClosed)
        assert isinstance(closed, TreeClosed)
        assert closed.failed


async def test_what_led_there_comes_up_from_below(autojump_clock: trio.testing.MockClock) -> None:
    inner = under(puppet("a"), id="inner", restarts=Intensity(0, 5))

    async def script(tree: Tree) -> None:
        await crash(tree, "inner/a", "first")
        assert lives(tree) == {"inner": 2, "inner/a": 2}
        await crash(tree, "inner/a", "second")

    assert told(await end_of(under(inner, restarts=Intensity(1, 5)), script)) == ["first", "second"]


async def test_a_root_that_does_not_start_undoes_what_it_had_started(autojump_clock: trio.testing.MockClock) -> None:
    log: list[str] = []
    broken = puppet("c", log, args={"starting": fail(OSError("no disk"))})

    async def script(tree: Tree) -> None:
        pytest.fail("it was entered")

    failed = await end_of(under(puppet("a", log), puppet("b", log), broken, puppet("d", log)), script)
    assert log == ["+a", "+b", "-b", "-a"]
    assert told(failed) == ["no disk"]


async def test_a_root_whose_work_is_done_has_not_failed(autojump_clock: trio.testing.MockClock) -> None:
    done = puppet("a", restart=RestartPolicy.TRANSIENT, significant=True)
    async with running(under(done, puppet("b"), auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)) as tree:
        await tell(tree, "a", fail(Stop()))
        await tree.wait_ended()


@pytest.mark.parametrize("way", ["tree.stop", "supervisor.stop"])
async def test_a_root_that_was_asked_to_end_has_not_failed(way: str, autojump_clock: trio.testing.MockClock) -> None:
    async with running(under(puppet("a"))) as tree:
        if way == "tree.stop":
            tree.stop()
        else:
            await tree.supervisor().stop(Finished())
        await tree.wait_ended()
        with pytest.raises(SupervisorGone):
            await tree.supervisor().count()


async def test_a_root_that_was_told_to_fail_has_failed(autojump_clock: trio.testing.MockClock) -> None:
    async def script(tree: Tree) -> None:
        await tree.supervisor().stop(Failed(Failure("Test", "told to")))

    assert "told to" in (await end_of(under(puppet("a")), script)).reason


async def test_an_exception_of_the_block_comes_out_as_itself(
    autojump_clock: trio.testing.MockClock,
) -> None:
    log: list[str] = []
    with pytest.raises(KeyError):
        async with running(under(puppet("a", log), puppet("b", log))):
            raise KeyError("of the block")
    assert log == ["+a", "+b", "-b", "-a"]


async def test_cancellation_from_outside_ends_everybody_at_once(autojump_clock: trio.testing.MockClock) -> None:
    log: list[str] = []
    before = tasks()
    journal = MemoryJournal()
    with trio.move_on_after(3) as outside:
        async with running(under(puppet("a", log), under(puppet("b", log), id="s")), journal) as tree:
            log.clear()
            await tree.wait_ended()
    assert outside.cancelled_caught
    assert log == []  # nobody was asked
    assert trio.current_time() == outside.deadline
    assert tasks() == before
    async with journal:
        assert not [event for event in await events(journal, SupervisorEnded) if "intensity" in repr(event)]


async def test_force_ends_everybody_at_once(autojump_clock: trio.testing.MockClock) -> None:
    async def never(_: object) -> None:
        await trio.sleep_forever()

    journal = MemoryJournal()
    async with open_tree(under(puppet("a", args={"stopping": never})), journal=journal) as tree:
        tree.force()
        await trio.sleep_forever()
    assert trio.current_time() == 0
    async with journal:
        assert await events(journal, TreeClosed) == [TreeClosed(reason="ended by force")]


async def test_others_go_on_while_one_is_restarted(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running(under(puppet("a"), puppet("b"))) as tree:
        await crash(tree, "a")
        assert lives(tree) == {"a": 2, "b": 1}
        assert states(tree) == {"a": "up", "b": "up"}
        await quiet()
