"""Calls to a supervisor that are refused: because of what they ask, and because it ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve

from treewarden.agents.core.durability import Checkpointed, MailboxSpec
from treewarden.agents.core.exit import Exit, Failed, Stopped
from treewarden.agents.errors import (
    AlreadyPresent,
    AlreadyStarted,
    ConfigurationError,
    IsDynamic,
    NotFound,
    StartFailed,
    StillRunning,
    SupervisorGone,
)
from treewarden.supervisor.core.spec import (
    Intensity,
    RestartPolicy,
)

from .puppets import dynamic, fail, lives, puppet, quiet, running, under

OFTEN = Intensity(100, 1000)


async def test_a_strategy_that_cannot_change_is_named_with_what_to_do(autojump_clock: trio.testing.MockClock) -> None:
    why = "s: its strategy cannot change while it runs, from one_for_one to simple_one_for_one; stop the tree and start"
    async with running(under(under(puppet("a"), id="s"))) as tree:
        with pytest.raises(ConfigurationError, match=why):
            await tree.supervisor().reload(under(dynamic(puppet("a"), id="s")))


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
    "an id that is none": (lambda ref: ref.terminate_child(["a"]), ConfigurationError),
    "restart what is no id": (lambda ref: ref.restart_child({}), ConfigurationError),
    "delete what is no id": (lambda ref: ref.delete_child(["a"]), ConfigurationError),
    "show what is no id": (lambda ref: ref.spec(["a"]), ConfigurationError),
    "roll back what is no id": (lambda ref: ref.roll_back(["a"], None), ConfigurationError),
    "roll back to nothing": (lambda ref: ref.roll_back("a", ["first"]), ConfigurationError),
    "perform for what is no id": (lambda ref: ref.perform(["a"], "x"), ConfigurationError),
    "perform what has no name": (lambda ref: ref.perform("a", ["x"]), ConfigurationError),
    "name a dynamic child by no id": (lambda ref: ref.start_dynamic(id=["a"]), ConfigurationError),
    "terminate what is no id": (lambda ref: ref.terminate_dynamic(["a"]), ConfigurationError),
    "end by no exit": (lambda ref: ref.stop(None), ConfigurationError),
    "end by a word": (lambda ref: ref.stop("shutdown"), ConfigurationError),
    "end for no reason": (lambda ref: ref.stop(Stopped(3)), ConfigurationError),  # pyright: ignore[reportArgumentType]
    "end for half a character": (lambda ref: ref.stop(Stopped("\udcff")), ConfigurationError),
    "end by no failure": (lambda ref: ref.stop(Failed("no")), ConfigurationError),  # pyright: ignore[reportArgumentType]
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
