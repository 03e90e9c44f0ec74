"""Exceptions that cannot even be looked at: they end whoever raised them, and nobody else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing

from treewarden.agents.agent import Agent
from treewarden.agents.core.exit import describe
from treewarden.agents.errors import StartFailed, TreeFailed
from treewarden.supervisor.core.event import ChildEnded
from treewarden.supervisor.core.spec import ChildSpec, Intensity
from treewarden.supervisor.journal.memory import MemoryJournal

from .puppets import IN_MEMORY, events, lives, puppet, quiet, running, tell, under

OFTEN = Intensity(100, 1000)


class Odd(BaseException):
    """Neither an Exception nor anything that Python knows."""


class Wordless(Exception):
    """It has no text, and says so in its own way."""

    def __str__(self) -> str:
        raise Odd("no text")

    __repr__ = __str__


class WordlessBase(BaseException):
    def __str__(self) -> str:
        raise Odd("no text")

    __repr__ = __str__


class Untouchable(Exception):
    """It shows nothing, not even what every exception has."""

    def __getattribute__(self, name: str) -> Any:
        raise Odd(name)


class Classless(Exception):
    """It does not say what it is."""

    @property
    def __class__(self) -> Any:
        raise Odd("no class")

    @__class__.setter
    def __class__(self, value: Any) -> None: ...


class Patient(Exception):
    """Its wait cannot be read."""

    @property
    def after(self) -> float:
        raise Odd("no wait")


class UntouchableBase(BaseException):
    def __getattribute__(self, name: str) -> Any:
        raise Odd(name)


class ClasslessBase(BaseException):
    @property
    def __class__(self) -> Any:
        raise Odd("no class")

    @__class__.setter
    def __class__(self, value: Any) -> None: ...


class Secret(type):
    """A class whose errors cannot be named, nor told from others."""

    def __getattribute__(cls, name: str) -> Any:
        if name in ("__name__", "__qualname__", "__module__"):
            raise Odd(name)
        return super().__getattribute__(name)

    def __hash__(cls) -> int:
        raise Odd("no hash")

    def __eq__(cls, other: object) -> bool:
        raise Odd("not comparable")


class Nameless(Exception, metaclass=Secret): ...


NAMELESS = pytest.param(Nameless, id="Nameless")
KINDS = pytest.mark.parametrize(
    "kind", [Wordless, WordlessBase, Untouchable, UntouchableBase, Classless, ClasslessBase, Patient, NAMELESS]
)


class Body(Agent[None]):
    def __init__(self, work: Callable[[], Awaitable[Any]], beside: bool = False) -> None:
        self.work = work
        self.beside = beside

    async def run(self) -> None:
        if self.beside:
            self.start_soon(self.work)
            await trio.sleep_forever()
        await self.work()


def name_of(kind: type) -> str:
    return "Nameless" if type(kind) is Secret else kind.__name__


def once(kind: Any, group: bool = False) -> Callable[..., Awaitable[None]]:
    left = [kind]

    async def work(_: object = None) -> None:
        if not left:
            await trio.sleep_forever()
        error = left.pop()()
        if group:
            raise ExceptionGroup("two", [error, ValueError()])
        raise error

    return work


@KINDS
@pytest.mark.parametrize("where", ["handler", "body", "beside the body"])
async def test_it_ends_its_agent_alone(kind: Any, where: str, autojump_clock: trio.testing.MockClock) -> None:
    work = once(kind)
    bad = puppet("bad")
    if where != "handler":
        beside = where == "beside the body"
        bad = ChildSpec(id="bad", agent=Body, args={"work": work, "beside": beside}, mailbox=IN_MEMORY)
    journal = MemoryJournal()
    async with running(under(bad, puppet("good"), restarts=OFTEN), journal) as tree:
        if where == "handler":
            await tell(tree, "bad", work)
        await quiet()
        assert lives(tree) == {"bad": 2, "good": 1}
        (ended,) = await events(journal, ChildEnded)
        assert isinstance(ended, ChildEnded)
        assert ended.failure is not None
        assert ended.failure.type.rpartition(".")[2] == name_of(kind)
        assert "in work" in ended.failure.where


@pytest.mark.parametrize("kind", [Wordless, Untouchable, Classless, Patient, NAMELESS])
async def test_nor_does_one_of_a_group(kind: Any, autojump_clock: trio.testing.MockClock) -> None:
    journal = MemoryJournal()
    async with running(under(puppet("bad"), puppet("good"), restarts=OFTEN), journal) as tree:
        await tell(tree, "bad", once(kind, group=True))
        await quiet()
        assert lives(tree) == {"bad": 2, "good": 1}
        (ended,) = await events(journal, ChildEnded)
        assert isinstance(ended, ChildEnded)
        assert ended.failure is not None
        assert [part.type.rpartition(".")[2] for part in ended.failure.parts] == [name_of(kind), "ValueError"]


class Unread(str):
    """It is a text to those who do not look at it."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        raise Odd("not comparable")

    def __format__(self, spec: str) -> str:
        raise Odd("no text")


class NoText:
    """What should be a text."""

    def __eq__(self, other: object) -> bool:
        raise Odd("not comparable")

    def __repr__(self) -> str:
        raise Odd("no text")


@pytest.mark.parametrize(
    ("module", "named"),
    [("caf\udce9.work", "caf\\udce9.work"), (Unread("work"), "work"), (NoText(), "<unknown>"), (None, "<unknown>")],
    ids=["of a file name that is no UTF-8", "no plain text", "no text", "nothing"],
)
async def test_nor_does_one_of_a_module_that_has_no_name(
    module: object, named: str, autojump_clock: trio.testing.MockClock
) -> None:
    kind = type("Lost", (Exception,), {"__module__": module})
    journal = MemoryJournal()
    async with running(under(puppet("bad"), puppet("good"), restarts=OFTEN), journal) as tree:
        await tell(tree, "bad", once(kind))
        await quiet()
        assert lives(tree) == {"bad": 2, "good": 1}
        (ended,) = await events(journal, ChildEnded)
        assert isinstance(ended, ChildEnded)
        assert ended.failure is not None
        assert ended.failure.type == f"{named}.Lost"


@KINDS
async def test_nor_does_it_where_an_agent_starts_or_stops(kind: Any, autojump_clock: trio.testing.MockClock) -> None:
    async with running(under(puppet("good"), restarts=OFTEN)) as tree:
        with pytest.raises(StartFailed, match=name_of(kind)):
            await tree.supervisor().start_child(puppet("bad", args={"starting": once(kind)}))
        await tree.supervisor().start_child(puppet("bad", args={"stopping": once(kind)}))
        await tree.supervisor().terminate_child("bad")
        assert lives(tree)["good"] == 1


@KINDS
async def test_a_tree_that_gives_up_over_it_says_so(kind: Any, autojump_clock: trio.testing.MockClock) -> None:
    with pytest.raises(TreeFailed, match="gave up") as failed:
        await _give_up(kind)
    assert failed.value.group is not None
    assert len(failed.value.group.exceptions) == 1


async def _give_up(kind: Any) -> None:
    async with running(under(puppet("bad"), restarts=Intensity(0, 1))) as tree:
        await tell(tree, "bad", once(kind))
        await trio.sleep_forever()


class Interrupted(Exception):
    """Ctrl-C meets its text being made."""

    def __str__(self) -> str:
        raise KeyboardInterrupt


async def test_ctrl_c_meanwhile_is_ctrl_c(autojump_clock: trio.testing.MockClock) -> None:
    with pytest.raises(KeyboardInterrupt):
        describe(Interrupted())
    with pytest.raises(KeyboardInterrupt):
        await _give_up(Interrupted)
