"""However an agent ends: what is its own failure, and what is not its affair."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path as File
from typing import Any, ClassVar, cast

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent
from treewarden.agents.core.exit import Exit, Failed, Stopped
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AgentFailed, Stop
from treewarden.supervisor.core.event import ChildEnded
from treewarden.supervisor.core.spec import (
    BRUTAL_KILL,
    ChildSpec,
    Grace,
    Intensity,
    RestartPolicy,
    Spec,
    SupervisorSpec,
)
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.running import Tree

from ..journals import on_disk
from .puppets import (
    IN_MEMORY,
    Do,
    Puppet,
    crash,
    events,
    fail,
    lives,
    nothing,
    puppet,
    quiet,
    running,
    states,
    tell,
    under,
)

OFTEN = Intensity(100, 1000)


class Odd(BaseException):
    """Neither an Exception nor anything that Python knows."""


async def cancelled_by_hand(_: object = None) -> None:
    """Raise a `Cancelled` that no scope is waiting for."""
    caught: BaseException | None = None
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as error:
            caught = error
            raise
    assert caught is not None
    raise caught


class Body(Agent[None]):
    """Its work is its body, or something that it starts beside it."""

    drains_body: ClassVar[bool] = False

    def __init__(self, work: Callable[[], Awaitable[Any]], beside: bool = False) -> None:
        self.work = work
        self.beside = beside

    async def run(self) -> None:
        if self.beside:
            self.start_soon(self.work)
            await trio.sleep_forever()
        await self.work()


def body(id: str, work: Callable[[], Awaitable[Any]], *, beside: bool = False) -> ChildSpec:
    return ChildSpec(id=id, agent=Body, args={"work": work, "beside": beside}, mailbox=IN_MEMORY)


def once(error: BaseException | None) -> Callable[..., Awaitable[None]]:
    """Raise once; `None` stands for a `Cancelled` by hand. After that, wait."""
    left = [error]

    async def work(_: object = None) -> None:
        if not left:
            await trio.sleep_forever()
        error = left.pop()
        if error is None:
            await cancelled_by_hand()
        else:
            raise error

    return work


ERRORS = [
    pytest.param(RuntimeError("plain"), "RuntimeError", id="an exception"),
    pytest.param(Odd("odd"), "Odd", id="a BaseException"),
    pytest.param(ExceptionGroup("two", [OSError("a"), KeyError("b")]), "ExceptionGroup", id="a group"),
    pytest.param(BaseExceptionGroup("odd ones", [Odd("a"), Odd("b")]), "Odd", id="a group of BaseExceptions"),
    pytest.param(None, "Cancelled", id="Cancelled by hand"),
]


@pytest.mark.parametrize("where", ["handler", "body", "beside the body"])
@pytest.mark.parametrize(("error", "kind"), ERRORS)
async def test_whatever_an_agent_raises_ends_it_alone(
    where: str, error: BaseException | None, kind: str, autojump_clock: trio.testing.MockClock
) -> None:
    journal = MemoryJournal()
    work = once(error)
    bad = puppet("bad") if where == "handler" else body("bad", work, beside=where == "beside the body")
    async with running(under(bad, puppet("good"), restarts=OFTEN), journal) as tree:
        if where == "handler":
            await tell(tree, "bad", work)
        await quiet()
        assert lives(tree) == {"bad": 2, "good": 1}
        (ended,) = await events(journal, ChildEnded)
        assert isinstance(ended, ChildEnded)
        assert ended.failure is not None
        if where == "body" and error is None:
            assert "although nobody had cancelled it" in ended.failure.text
        else:
            assert ended.failure.type.rpartition(".")[2] == kind
        assert not ended.expected


@frozen
class Question(Do, Request[None]):
    """Something to do, and the asker waits for it."""


@pytest.mark.parametrize("error", [ValueError("no \udcff"), Stop("bye \udcff")])
async def test_an_end_is_kept_whatever_its_text(
    error: Exception, tmp_path: File, autojump_clock: trio.testing.MockClock
) -> None:
    """Half a character, as of a file name that is no UTF-8: no encoding has a word for it."""
    journal = on_disk(tmp_path / "run.db")
    async with running(under(puppet("a"), restarts=OFTEN), journal) as tree:
        await tell(tree, "a", fail(error))
        await quiet()
        (ended,) = await events(journal, ChildEnded)
        assert isinstance(ended, ChildEnded)
        told = ended.reason if ended.failure is None else ended.failure.text
        assert told == str(error).replace("\udcff", "\\udcff")


async def test_an_asker_is_told_of_an_odd_end_too(autojump_clock: trio.testing.MockClock) -> None:
    async with running(under(puppet("a"), restarts=OFTEN)) as tree:
        for error in (Odd("odd"), RuntimeError("plain")):
            with pytest.raises(AgentFailed, match=r"odd|plain"):
                await tree.ref("a").ask(Question(fail(error)))
            await quiet()
        assert lives(tree) == {"a": 3}


@pytest.mark.parametrize(("error", "kind"), ERRORS)
async def test_what_on_stop_raises_does_not_keep_anybody_from_stopping(
    error: BaseException | None, kind: str, autojump_clock: trio.testing.MockClock
) -> None:
    log: list[str] = []
    journal = MemoryJournal()
    children = puppet("a", log), puppet("b", log, args={"stopping": once(error)}), puppet("c", log)
    async with running(under(*children), journal) as tree:
        log.clear()
        await tree.supervisor().terminate_child("b")
        assert states(tree) == {"a": "up", "b": "down", "c": "up"}
        (ended,) = await events(journal, ChildEnded)
        assert isinstance(ended, ChildEnded)
        assert ended.expected
        assert ended.failure is not None
        assert ended.failure.type.rpartition(".")[2] == kind
    assert log == ["-b", "-c", "-a"]


async def test_on_stop_that_raises_after_a_failure_does_not_hide_it(autojump_clock: trio.testing.MockClock) -> None:
    journal = MemoryJournal()
    async with running(under(puppet("a", args={"stopping": fail(OSError("late"))})), journal) as tree:
        await crash(tree, "a", "first")
        (ended,) = await events(journal, ChildEnded)
        assert isinstance(ended, ChildEnded)
        assert ended.failure is not None
        assert ended.failure.text == "first"


async def test_who_does_not_stop_in_time_is_killed(autojump_clock: trio.testing.MockClock) -> None:
    log: list[str] = []
    journal = MemoryJournal()

    async def never(_: object) -> None:
        await trio.sleep_forever()

    slow = puppet("a", log, args={"stopping": never}, shutdown=Grace(3))
    async with running(under(slow), journal) as tree:
        await tree.supervisor().terminate_child("a")
        assert trio.current_time() == 3
        (ended,) = await events(journal, ChildEnded)
        assert isinstance(ended, ChildEnded)
        assert ended.failure is not None


async def test_a_brutal_kill_asks_nothing(autojump_clock: trio.testing.MockClock) -> None:
    log: list[str] = []
    async with running(under(puppet("a", log, shutdown=BRUTAL_KILL))) as tree:
        await tree.supervisor().terminate_child("a")
        assert log == ["+a"]
    assert trio.current_time() == 0


async def test_a_temporary_child_that_fails_is_gone(autojump_clock: trio.testing.MockClock) -> None:
    async with running(under(puppet("a", restart=RestartPolicy.TEMPORARY), puppet("b"))) as tree:
        await crash(tree, "a")
        assert lives(tree) == {"b": 1}


class Drained(Agent[None]):
    """Waits until it is asked, and then ends in a way of its own."""

    drains_body: ClassVar[bool] = True

    def __init__(self, last: Callable[..., Awaitable[Any]]) -> None:
        self.last = last

    async def run(self) -> None:
        await self.stop_requested.wait()
        await self.last()


@pytest.mark.parametrize(
    ("last", "exit", "reason"),
    [
        pytest.param(nothing, "stopped", "shutdown", id="it returns"),
        pytest.param(fail(Stop()), "finished", "", id="it says that it has finished"),
        pytest.param(fail(Stop("enough")), "stopped", "enough", id="it gives a reason"),
        pytest.param(fail(OSError("late")), "failed", "", id="it fails"),
    ],
)
async def test_a_body_that_is_asked_to_end_says_how(
    last: Callable[..., Awaitable[Any]], exit: str, reason: str, autojump_clock: trio.testing.MockClock
) -> None:
    async def say(_: object = None) -> None:
        await last(cast("Puppet", None))

    journal = MemoryJournal()
    spec = ChildSpec(id="a", agent=Drained, args={"last": say}, mailbox=IN_MEMORY)
    async with running(under(spec), journal) as tree:
        await tree.supervisor().terminate_child("a")
        (ended,) = await events(journal, ChildEnded)
        assert isinstance(ended, ChildEnded)
        assert (ended.exit, ended.reason, ended.expected) == (exit, reason, True)


# -- Ctrl-C: not the agent's affair


Script = Callable[[Tree], Awaitable[Any]]


PLACES: dict[str, Callable[[BaseException], Spec]] = {
    "handler": lambda _: puppet("bad"),
    "body": lambda error: body("bad", once(error)),
    "beside the body": lambda error: body("bad", once(error), beside=True),
    "on_stop": lambda error: puppet("bad", args={"stopping": once(error)}),
    "on_start": lambda error: puppet("bad", args={"starting": once(error)}),
    "on_start of a supervisor": lambda error: under(puppet("x"), id="bad", on_start=once(error)),
}


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("place", PLACES)
async def test_ctrl_c_anywhere_ends_the_tree_and_comes_out_as_itself(
    place: str, nested: bool, autojump_clock: trio.testing.MockClock
) -> None:
    bad = PLACES[place](KeyboardInterrupt())

    async def script(tree: Tree) -> None:
        if place == "handler":
            await tree.ref("s/bad" if nested else "bad").tell(Do(fail(KeyboardInterrupt())))

    with pytest.raises(KeyboardInterrupt):
        await _run(under(puppet("a"), under(bad, id="s") if nested else bad), script)
    assert trio.current_time() == 0


async def _run(blueprint: SupervisorSpec, script: Script) -> None:
    async with running(blueprint) as tree:
        await script(tree)
        await quiet()


async def _pressed(_: object) -> None:
    raise KeyboardInterrupt


async def test_ctrl_c_once_more_while_the_tree_stops_comes_out_as_one(autojump_clock: trio.testing.MockClock) -> None:
    with pytest.raises(KeyboardInterrupt):
        await _run(under(*(puppet(id, args={"stopping": _pressed}) for id in "ab")), _pressed)


async def test_ctrl_c_is_no_failure_of_the_agent(autojump_clock: trio.testing.MockClock) -> None:
    journal = MemoryJournal()
    with pytest.raises(KeyboardInterrupt):
        await _run_with(journal)
    async with journal:
        ends = [event for event in await events(journal, ChildEnded) if isinstance(event, ChildEnded)]
        assert not [end for end in ends if end.failure is not None and "Keyboard" in end.failure.type]


async def _run_with(journal: MemoryJournal) -> None:
    async with running(under(puppet("a"), puppet("b")), journal) as tree:
        await tree.ref("a").tell(Do(fail(KeyboardInterrupt())))
        await trio.sleep_forever()


async def test_system_exit_ends_the_tree(autojump_clock: trio.testing.MockClock) -> None:
    async def leave(tree: Tree) -> None:
        await tree.ref("a").tell(Do(fail(SystemExit(3))))

    with pytest.raises(SystemExit) as caught:
        await _run(under(puppet("a")), leave)
    assert caught.value.code == 3


# -- what an exit is told


class Told(Puppet):
    """Keeps what `on_stop` is told."""

    exits: ClassVar[list[Exit]] = []

    async def on_stop(self, exit: Exit) -> None:
        self.exits.append(exit)


async def test_on_stop_is_told_how_it_ends(autojump_clock: trio.testing.MockClock) -> None:
    Told.exits.clear()
    spec = ChildSpec(id="a", agent=Told, args={"log": [], "starting": nothing}, mailbox=IN_MEMORY)
    async with running(under(spec, restarts=OFTEN)) as tree:
        await crash(tree, "a", "why")
        tree.kill("a")
        await quiet()
    failed, stopped = Told.exits  # who is killed is told nothing
    assert isinstance(failed, Failed)
    assert failed.failure.text == "why"
    assert stopped == Stopped("shutdown")
