"""Calls to a supervisor: what they do, what they refuse, and what becomes of them when it ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve

from treewarden.agents.core.durability import Checkpointed, MailboxSpec
from treewarden.agents.core.exit import Exit, Failed, Failure, Finished, Stopped
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.path import Path
from treewarden.agents.errors import (
    AgentStopped,
    AlreadyPresent,
    AlreadyStarted,
    ConfigurationError,
    IsDynamic,
    NoSuchSlot,
    NotFound,
    StartFailed,
    StillRunning,
    Stop,
    SupervisorGone,
)
from treewarden.supervisor.calls import Counts, Started
from treewarden.supervisor.core.event import ChildStartFailed
from treewarden.supervisor.core.spec import (
    AutoShutdown,
    Intensity,
    RestartPolicy,
    Strategy,
)
from treewarden.supervisor.journal.memory import MemoryJournal

from .puppets import Add, Total, crash, dynamic, events, fail, lives, puppet, quiet, running, states, tell, under

OFTEN = Intensity(100, 1000)


async def test_the_life_of_a_child_by_calls(autojump_clock: trio.testing.MockClock) -> None:
    log: list[str] = []
    async with running(under(puppet("a", log))) as tree:
        ref = tree.supervisor()
        begun = await ref.start_child(puppet("b", log))
        assert begun == Started(Path("b"), 1, begun.life, None)
        assert await ref.count() == Counts(specs=2, active=2, supervisors=0, workers=2)
        await tree.ref("b").tell(Add(4))
        await quiet()
        await ref.terminate_child("b")
        await ref.terminate_child("b")  # no error: it is down
        assert await ref.count() == Counts(specs=2, active=1, supervisors=0, workers=2)
        with pytest.raises(AgentStopped):
            await tree.ref("b").ask(Total())
        assert (await ref.restart_child("b")).incarnation == 2
        assert await tree.ref("b").ask(Total()) == 4
        await ref.terminate_child("b")
        await ref.delete_child("b")
        with pytest.raises(NoSuchSlot):
            tree.ref("b")
        assert await ref.count() == Counts(specs=1, active=1, supervisors=0, workers=1)
        assert log == ["+a", "+b", "-b", "+b", "-b"]


async def test_children_are_shown_in_start_order(autojump_clock: trio.testing.MockClock) -> None:
    async with running(under(puppet("b"), under(puppet("x"), id="s"), restarts=OFTEN)) as tree:
        await tree.supervisor().start_child(puppet("a"))
        await crash(tree, "b")
        await tree.supervisor().terminate_child("a")
        views = await tree.supervisor().children()
        assert [(view.id, view.state, view.incarnation, view.supervisor) for view in views] == [
            ("b", SlotState.UP, 2, False),
            ("s", SlotState.UP, 1, True),
            ("a", SlotState.DOWN, 1, False),
        ]
        assert len({view.life for view in views}) == 3
        assert await tree.supervisor().count() == Counts(specs=3, active=2, supervisors=1, workers=2)
        assert await tree.supervisor("s").count() == Counts(specs=1, active=1, supervisors=0, workers=1)


Ask = Callable[[Any], Awaitable[Any]]

REFUSED: dict[str, tuple[Ask, type[Exception]]] = {
    "start a child that runs": (lambda ref: ref.start_child(puppet("a")), AlreadyStarted),
    "start one that is down": (lambda ref: ref.start_child(puppet("down")), AlreadyPresent),
    "start what is no spec": (lambda ref: ref.start_child("puppet"), ConfigurationError),
    "start one that counts for nothing": (
        lambda ref: ref.start_child(puppet("b", significant=True, restart=RestartPolicy.TRANSIENT)),
        ConfigurationError,
    ),
    "start without an agent": (lambda ref: ref.start_child(evolve(puppet("b"), agent="puppet")), ConfigurationError),
    "start one that fails": (
        lambda ref: ref.start_child(puppet("b", args={"starting": fail(OSError("no"))})),
        StartFailed,
    ),
    "start from a template": (lambda ref: ref.start_dynamic(), IsDynamic),
    "terminate a stranger": (lambda ref: ref.terminate_child("nobody"), NotFound),
    "terminate as dynamic": (lambda ref: ref.terminate_dynamic("a"), IsDynamic),
    "restart one that runs": (lambda ref: ref.restart_child("a"), StillRunning),
    "restart a stranger": (lambda ref: ref.restart_child("nobody"), NotFound),
    "restart one that fails": (lambda ref: ref.restart_child("broken"), StartFailed),
    "delete one that runs": (lambda ref: ref.delete_child("a"), StillRunning),
    "delete a stranger": (lambda ref: ref.delete_child("nobody"), NotFound),
    "show a stranger": (lambda ref: ref.spec("nobody"), NotFound),
    "replace by no spec": (lambda ref: ref.replace("spec"), ConfigurationError),
    "become dynamic": (lambda ref: ref.replace(dynamic(puppet("a"))), ConfigurationError),
    "replace by twins": (lambda ref: ref.replace(under(puppet("x"), puppet("x"))), ConfigurationError),
    "reload twins": (lambda ref: ref.reload(under(puppet("x"), puppet("x"))), ConfigurationError),
    "another durability": (
        lambda ref: ref.reload(under(puppet("a", mailbox=MailboxSpec(durability=Checkpointed(messages=1))))),
        ConfigurationError,
    ),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_a_refusal_is_typed_and_changes_nothing(what: str, autojump_clock: trio.testing.MockClock) -> None:
    ask, error = REFUSED[what]
    alive = [True]

    async def start(_: object) -> None:
        if not alive:
            raise OSError("no")

    children = puppet("a"), puppet("down"), puppet("broken", args={"starting": start})
    async with running(under(*children)) as tree:
        ref = tree.supervisor()
        await ref.terminate_child("down")
        await ref.terminate_child("broken")
        alive.clear()
        before = await ref.children()
        with pytest.raises(error) as caught:
            await ask(ref)
        assert type(caught.value) is error
        assert await ref.children() == before
        assert [await ref.spec(view.id) for view in before] == list(children)


async def test_only_a_start_that_the_supervisor_wanted_is_its_trouble(autojump_clock: trio.testing.MockClock) -> None:
    journal = MemoryJournal()
    async with running(under(puppet("a")), journal) as tree:
        with pytest.raises(StartFailed):
            await tree.supervisor().start_child(puppet("b", args={"starting": fail(OSError("no"))}))
        (failed,) = await events(journal, ChildStartFailed)
        assert isinstance(failed, ChildStartFailed)
        assert failed.asked


# -- dynamic children


async def test_the_life_of_dynamic_children(autojump_clock: trio.testing.MockClock) -> None:
    log: list[str] = []
    async with running(dynamic(puppet("job", restart=RestartPolicy.TRANSIENT), max_children=3, restarts=OFTEN)) as tree:
        ref = tree.supervisor()
        one = await ref.start_dynamic({"log": log})
        two = await ref.start_dynamic({"log": log})
        named = await ref.start_dynamic({"log": log}, id="mine")
        assert [one.path, two.path, named.path] == ["job-1", "job-2", "mine"]
        with pytest.raises(ConfigurationError, match="it has 3 children, and max_children is 3"):
            await ref.start_dynamic()
        for wrong in (5, "log", [1]):
            with pytest.raises(ConfigurationError, match="give a mapping, by the names of the arguments"):
                await ref.start_dynamic(wrong)  # type: ignore[arg-type]
        await ref.terminate_dynamic("job-2")
        with pytest.raises(AlreadyStarted):
            await ref.start_dynamic(id="mine")
        await crash(tree, "mine")  # with the arguments that it was given
        assert log == ["+job-1", "+job-2", "+mine", "-job-2", "-mine", "+mine"]
        assert await ref.count() == Counts(specs=1, active=2, supervisors=0, workers=2)
        assert (await ref.start_dynamic()).path == "job-3"


async def test_a_life_is_terminated_and_not_its_successor(autojump_clock: trio.testing.MockClock) -> None:
    async with running(dynamic(puppet("job"), restarts=OFTEN)) as tree:
        ref = tree.supervisor()
        first = await ref.start_dynamic(id="a")
        await crash(tree, "a")
        await ref.terminate_dynamic("a", life=first.life)  # that one has ended: nothing to do
        assert lives(tree) == {"a": 2}
        (view,) = await ref.children()
        await ref.terminate_dynamic("a", life=view.life)
        assert lives(tree) == {}
        await ref.terminate_dynamic("a", life=view.life)
        with pytest.raises(NotFound):
            await ref.terminate_dynamic("a")


STATIC: dict[str, Ask] = {
    "start": lambda ref: ref.start_child(puppet("b")),
    "terminate": lambda ref: ref.terminate_child("a"),
    "restart": lambda ref: ref.restart_child("a"),
    "delete": lambda ref: ref.delete_child("a"),
}


@pytest.mark.parametrize("what", STATIC)
async def test_a_dynamic_supervisor_has_no_specs_of_single_children(
    what: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with running(dynamic(puppet("job"))) as tree:
        await tree.supervisor().start_dynamic(id="a")
        with pytest.raises(IsDynamic):
            await STATIC[what](tree.supervisor())
        assert lives(tree) == {"a": 1}


async def test_all_dynamic_children_have_the_template(autojump_clock: trio.testing.MockClock) -> None:
    template = puppet("job")
    async with running(dynamic(template)) as tree:
        await tree.supervisor().start_dynamic(id="a")
        assert await tree.supervisor().spec("job") == template
        assert await tree.supervisor().spec("a") == template
        with pytest.raises(NotFound):
            await tree.supervisor().spec("b")


async def test_a_dynamic_supervisor_stops_all_at_once(autojump_clock: trio.testing.MockClock) -> None:
    async def slow(_: object) -> None:
        await trio.sleep(3)

    async with running(dynamic(puppet("job", args={"stopping": slow}))) as tree:
        for _ in range(4):
            await tree.supervisor().start_dynamic()
    assert trio.current_time() == 3


# -- ends


async def test_nobody_there_to_call(autojump_clock: trio.testing.MockClock) -> None:
    async with running(under(puppet("a"), under(id="s"))) as tree:
        for path in ("nowhere", "a"):
            with pytest.raises(SupervisorGone) as caught:
                await tree.supervisor(path).count()
            assert caught.value.exit is None
        ref = tree.supervisor("s")
        await tree.supervisor().terminate_child("s")
        with pytest.raises(SupervisorGone):
            await ref.count()
        assert not ref.busy
        await tree.supervisor().restart_child("s")
        assert (await ref.count()).specs == 0  # a ref stays good


@pytest.mark.parametrize("way", ["killed", "stopped"])
async def test_calls_that_wait_are_refused_at_the_end(way: str, autojump_clock: trio.testing.MockClock) -> None:
    """The one in hand too, if the supervisor is killed."""
    gate = trio.Event()

    async def start(_: object) -> None:
        await gate.wait()

    exits: dict[str, Exit | None] = {}
    async with running(under(under(id="s"), restarts=OFTEN)) as tree:
        ref = tree.supervisor("s")

        async def ask(name: str, call: Awaitable[object]) -> None:
            try:
                await call
            except SupervisorGone as gone:
                exits[name] = gone.exit

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, "in hand", ref.start_child(puppet("x", args={"starting": start})))
            await quiet()
            assert ref.busy
            nursery.start_soon(ask, "stop", ref.stop())
            await quiet()
            nursery.start_soon(ask, "queued", ref.count())
            await quiet()
            assert not exits
            if way == "killed":
                tree.kill("s")
            else:
                gate.set()
        if way == "killed":
            assert set(exits) == {"in hand", "queued"}
            assert all(isinstance(exit, Failed) for exit in exits.values())
        else:
            assert exits == {"queued": Stopped("shutdown")}
        await quiet()
        assert lives(tree) == {"s": 2}


@pytest.mark.parametrize(
    ("exit", "restart", "back"),
    [
        (Stopped(), RestartPolicy.PERMANENT, True),
        (Stopped(), RestartPolicy.TRANSIENT, False),
        (Finished(), RestartPolicy.TRANSIENT, False),
        (Failed(Failure("Test", "asked to")), RestartPolicy.TRANSIENT, True),
        (Failed(Failure("Test", "asked to")), RestartPolicy.TEMPORARY, False),
    ],
)
async def test_a_supervisor_that_is_asked_to_end_is_a_child_like_others(
    exit: Exit, restart: RestartPolicy, back: bool, autojump_clock: trio.testing.MockClock
) -> None:
    log: list[str] = []
    inner = under(puppet("x", log), puppet("y", log), id="s", restart=restart)
    async with running(under(inner, puppet("b", log), restarts=OFTEN)) as tree:
        log.clear()
        await tree.supervisor("s").stop(exit)
        assert log[:2] == ["-s/y", "-s/x"]
        await quiet()
        assert log[2:] == (["+s/x", "+s/y"] if back else [])
        assert lives(tree).get("b") == 1
        assert ("s" in states(tree)) is (restart is not RestartPolicy.TEMPORARY)


# -- several things before it reacts


async def test_a_suspended_supervisor_reacts_to_nothing(autojump_clock: trio.testing.MockClock) -> None:
    spec = under(puppet("a"), puppet("b"), strategy=Strategy.ONE_FOR_ALL, restarts=Intensity(1, 1000))
    async with running(spec) as tree:
        async with tree.supervisor().suspended():
            assert tree.supervisor().busy
            await crash(tree, "a")
            await crash(tree, "b")
            await trio.sleep(10)
            assert lives(tree) == {"a": 1, "b": 1}
        await quiet()
        assert lives(tree) == {"a": 2, "b": 2}  # both ends are one restart: the second was taken in by the group's stop
        assert not tree.supervisor().busy


async def test_who_gives_up_waiting_for_it_suspends_nothing(autojump_clock: trio.testing.MockClock) -> None:
    async with running(under(puppet("a"))) as tree:
        ref = tree.supervisor()
        async with ref.suspended():
            with trio.move_on_after(1):
                async with ref.suspended():
                    pytest.fail("it was suspended twice")
        assert (await ref.count()).specs == 1


async def test_a_suspended_supervisor_can_be_killed(autojump_clock: trio.testing.MockClock) -> None:
    async with running(under(under(puppet("x"), id="s"), restarts=OFTEN)) as tree, tree.supervisor("s").suspended():
        tree.kill("s")
        await quiet()
        assert lives(tree) == {"s": 2, "s/x": 2}


# -- code change


async def test_new_flags_and_specs_without_a_restart(autojump_clock: trio.testing.MockClock) -> None:
    log: list[str] = []
    old = under(puppet("a", log), puppet("b", log), puppet("c", log), restarts=Intensity(0, 1000))
    new = under(
        puppet("c", log, restart=RestartPolicy.TEMPORARY),
        puppet("new", log),
        puppet("a", log),
        restarts=OFTEN,
        strategy=Strategy.REST_FOR_ONE,
    )
    async with running(old) as tree:
        log.clear()
        ref = tree.supervisor()
        assert await ref.replace(new) == ("new",)
        assert log == []
        assert [view.id for view in await ref.children()] == ["c", "new", "a", "b"]
        assert states(tree) == {"c": "up", "new": "down", "a": "up", "b": "up"}
        await crash(tree, "a")
        assert log == ["-a", "-b", "+a", "+b"]
        await crash(tree, "c")
        assert list(states(tree)) == ["new", "a", "b"]


async def test_a_new_template_counts_from_the_next_start(autojump_clock: trio.testing.MockClock) -> None:
    old, new = [list[str]() for _ in range(2)]
    template = puppet("job", args={"log": old})
    async with running(dynamic(template, restarts=OFTEN)) as tree:
        await tree.supervisor().start_dynamic(id="a")
        changed = puppet("job", restart=RestartPolicy.TEMPORARY, args={"log": new})
        await tree.supervisor().replace(dynamic(changed, restarts=OFTEN))
        await tree.supervisor().start_dynamic(id="b")
        assert (old, new) == (["+a"], ["+b"])
        await crash(tree, "a")  # temporary by now
        assert states(tree) == {"b": "up"}


async def test_auto_shutdown_can_come_later(autojump_clock: trio.testing.MockClock) -> None:
    inner = under(puppet("x", restart=RestartPolicy.TRANSIENT), id="s", restart=RestartPolicy.TRANSIENT)
    async with running(under(inner)) as tree:
        wanted = under(
            puppet("x", restart=RestartPolicy.TRANSIENT, significant=True),
            id="s",
            auto_shutdown=AutoShutdown.ANY_SIGNIFICANT,
        )
        await tree.supervisor("s").replace(wanted)
        await tell(tree, "s/x", _finish)
        assert states(tree) == {"s": "down"}


async def _finish(_: object) -> None:
    raise Stop
