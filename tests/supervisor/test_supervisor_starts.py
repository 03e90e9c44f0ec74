"""Starts that take too long, fail, or choose to stay away: of agents and of supervisors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing

from treewarden.agents.core.exit import Failure
from treewarden.agents.core.path import Path
from treewarden.agents.errors import Ignore, StartFailed
from treewarden.supervisor.core.event import ChildStartFailed
from treewarden.supervisor.core.spec import Intensity, RestartPolicy
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.running import Tree

from .puppets import (
    Add,
    Puppet,
    Total,
    crash,
    dynamic,
    end_of,
    events,
    fail,
    lives,
    puppet,
    quiet,
    running,
    states,
    under,
)


async def for_ever(_: object) -> None:
    await trio.sleep_forever()


async def slow(_: object) -> None:
    await trio.sleep(2)


async def shielded(_: object) -> None:
    with trio.CancelScope(shield=True):
        await trio.sleep(100)


def once_more(*attempts: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    """The first start does the first, the second the second, and so on; then all is well."""
    waiting = list(attempts)

    async def start(puppet: object) -> Any:
        return await waiting.pop(0)(puppet) if waiting else None

    return start


async def well(_: object) -> None:
    """A start that works."""


async def test_a_start_that_takes_too_long_fails(autojump_clock: trio.testing.MockClock) -> None:
    async with running(under()) as tree:
        with pytest.raises(StartFailed, match=r"longer than 3 s \(start_within\)"):
            await tree.supervisor().start_child(puppet("a", args={"starting": for_ever}, start_within=3))
        assert trio.current_time() == 3
        assert not tree.snapshot()
        assert not tree.zombies


async def test_a_start_that_cannot_be_cancelled_is_left_behind(autojump_clock: trio.testing.MockClock) -> None:
    log: list[str] = []
    starting = once_more(shielded)
    async with running(under()) as tree:
        spec = puppet("a", log, args={"starting": starting}, start_within=3)
        with pytest.raises(StartFailed, match="does not end"):
            await tree.supervisor().start_child(spec)
        assert trio.current_time() == 4
        assert tree.zombies == ("a",)
        await tree.supervisor().start_child(spec)
        await tree.ref("a").tell(Add(2))
        await trio.sleep(200)  # the zombie's start is over by now, and it must not begin to live
        assert await tree.ref("a").ask(Total()) == 2
        assert not tree.zombies
        assert log == ["+a", "+a"]  # the new one, and the word that the zombie had left to say
    assert log == ["+a", "+a", "-a"]


async def test_a_supervisor_is_not_stuck_while_a_child_starts(autojump_clock: trio.testing.MockClock) -> None:
    async with running(under(puppet("a"))) as tree:
        ref = tree.supervisor()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ref.start_child, puppet("b", args={"starting": slow}))
            await quiet()
            assert ref.busy
            assert states(tree) == {"a": "up", "b": "starting"}
            assert (await ref.count()).active == 2  # answered when the start is over
            assert trio.current_time() == 2
        assert not ref.busy


async def test_a_restart_that_fails_is_tried_again_behind_what_waits(autojump_clock: trio.testing.MockClock) -> None:
    journal = MemoryJournal()
    starting = once_more(well, fail(OSError("first")), fail(OSError("second")))
    async with running(under(puppet("a", args={"starting": starting}), restarts=Intensity(5, 5)), journal) as tree:
        await crash(tree, "a")
        assert lives(tree) == {"a": 2}
        failed = await events(journal, ChildStartFailed)
        assert [event.failure.text for event in failed if isinstance(event, ChildStartFailed)] == ["first", "second"]
        assert not any(event.asked for event in failed if isinstance(event, ChildStartFailed))


async def test_failed_restarts_count(autojump_clock: trio.testing.MockClock) -> None:
    attempts: list[int] = []

    async def start(_: object) -> None:
        attempts.append(1)
        if len(attempts) > 1:
            raise OSError("no")

    async def script(tree: Tree) -> None:
        await crash(tree, "a")

    failed = await end_of(under(puppet("a", args={"starting": start}), restarts=Intensity(3, 5)), script)
    assert len(attempts) == 1 + 3
    assert failed.group is not None
    assert [str(error) for error in failed.group.exceptions] == ["crash", "no", "no", "no"]


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(OSError("no disk"), id="an exception"),
        pytest.param(BaseException("outside of all"), id="a BaseException"),
        pytest.param(ExceptionGroup("two", [OSError("a"), KeyError("b")]), id="a group"),
        pytest.param(GeneratorExit("odd"), id="GeneratorExit"),
    ],
)
async def test_whatever_on_start_raises_is_a_failed_start(
    error: BaseException, autojump_clock: trio.testing.MockClock
) -> None:
    log: list[str] = []
    async with running(under(puppet("a", log))) as tree:
        with pytest.raises(StartFailed) as caught:
            await tree.supervisor().start_child(puppet("b", log, args={"starting": fail(error)}))
        assert caught.value.path == "b"
        with pytest.raises(StartFailed):
            await tree.supervisor().start_child(under(puppet("x", log), id="s", on_start=fail(error)))
        assert lives(tree) == {"a": 1}
        await tree.supervisor().start_child(puppet("b", log))
    assert log == ["+a", "+b", "-b", "-a"]


async def test_what_on_start_returns_goes_to_whoever_asked(autojump_clock: trio.testing.MockClock) -> None:
    async def start(me: Puppet) -> str:
        return f"I am {me.path}"

    async with running(under()) as tree:
        begun = await tree.supervisor().start_child(puppet("a", args={"starting": start}))
        assert (begun.path, begun.incarnation, begun.info) == ("a", 1, "I am a")
        await tree.supervisor().terminate_child("a")
        again = await tree.supervisor().restart_child("a")
        assert (again.incarnation, again.info) == (2, "I am a")
        assert again.life != begun.life


@pytest.mark.parametrize(("restart", "kept"), [(RestartPolicy.PERMANENT, True), (RestartPolicy.TEMPORARY, False)])
async def test_who_stays_away_is_no_failure(
    restart: RestartPolicy, kept: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with running(under(puppet("a", restart=restart, args={"starting": fail(Ignore())}), puppet("b"))) as tree:
        assert lives(tree) == ({"a": 0, "b": 1} if kept else {"b": 1})
        begun = await tree.supervisor().start_child(puppet("c", restart=restart, args={"starting": fail(Ignore())}))
        assert (begun.incarnation, begun.life, begun.info) == (None, None, None)


# -- a supervisor's own start


async def test_a_supervisor_asks_first_whether_it_is_needed(autojump_clock: trio.testing.MockClock) -> None:
    log: list[str] = []
    asked: list[Path] = []

    async def needed(path: Path) -> str:
        asked.append(path)
        return "ready"

    async def away(path: Path) -> None:
        raise Ignore

    quietly = under(puppet("x", log), id="s", on_start=away)
    async with running(under(quietly, puppet("b", log))) as tree:
        assert log == ["+b"]
        assert states(tree) == {"s": "down", "b": "up"}
        begun = await tree.supervisor().start_child(under(puppet("x", log), id="t", on_start=needed))
        assert (begun.path, begun.info, asked) == ("t", "ready", ["t"])
        assert log == ["+b", "+t/x"]


async def test_a_supervisor_whose_on_start_fails_or_hangs_starts_no_child(
    autojump_clock: trio.testing.MockClock,
) -> None:
    log: list[str] = []
    async with running(under()) as tree:
        for on_start, said in ((fail(OSError("no net")), "no net"), (for_ever, "longer than 2 s")):
            spec = under(puppet("x", log), id="s", on_start=on_start, start_within=2)
            with pytest.raises(StartFailed, match=said):
                await tree.supervisor().start_child(spec)
        assert not log
        assert trio.current_time() == 2


async def test_a_failed_start_names_the_way_down(autojump_clock: trio.testing.MockClock) -> None:
    log: list[str] = []
    inner = under(puppet("a", log), puppet("b", log, args={"starting": fail(OSError("no"))}), id="inner")
    async with running(under(puppet("first", log))) as tree:
        with pytest.raises(StartFailed) as caught:
            await tree.supervisor().start_child(under(puppet("c", log), inner, id="outer"))
        failure = caught.value.failure
        ways: list[str] = []
        while failure.type == "StartFailed":
            ways.append(failure.where)
            failure = failure.parts[0]
        assert ways == ["outer/inner", "outer/inner/b"]
        assert isinstance(failure, Failure)
        assert failure.type == "OSError"
        assert log == ["+first", "+outer/c", "+outer/inner/a", "-outer/inner/a", "-outer/c"]
        assert lives(tree) == {"first": 1}


async def test_a_supervisor_that_cannot_work_does_not_start(autojump_clock: trio.testing.MockClock) -> None:
    twins = under(puppet("x"), puppet("x"), id="s")
    two = dynamic(puppet("x"), id="d", max_children=3)
    async with running(under()) as tree:
        with pytest.raises(StartFailed, match="two children are called 'x'"):
            await tree.supervisor().start_child(twins)
        await tree.supervisor().start_child(two)
        assert lives(tree) == {"d": 1}
