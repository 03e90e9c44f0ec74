"""A desk whose handlers wait, and who looks at it, for the tests of waits."""

from __future__ import annotations

from typing import Any

import trio
from attrs import evolve, frozen

from treewarden.agents import Agent, MailboxSpec, Path, Request, handles
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.topologies import child
from treewarden.topologies.running import Tree

from .effects_desk import left as left
from .effects_desk import opened as opened
from .effects_desk import processes as processes
from .trees import Disk, slot_of

__all__ = [
    "Later",
    "Note",
    "Remind",
    "Seen",
    "Slip",
    "desk",
    "killed_on_its_way",
    "left",
    "opened",
    "parked",
    "processes",
    "seen",
]


@frozen
class Remind:
    number: int = 1
    at: tuple[float, ...] = (10.0,)
    """One wait after the other."""
    fails: int = 0
    """How often its handler fails after the last one."""
    tells: bool = True


@frozen
class Note:
    number: int = 0


@frozen
class Later:
    """Told by the handler before it waits."""

    number: int


@frozen
class Slip:
    """Recorded by the handler before it waits."""

    number: int


@frozen
class Seen:
    numbers: tuple[int, ...] = ()
    begun: int = 0


@frozen
class Which(Request[Seen]):
    pass


class Desk(Agent[Seen]):
    state = Seen()

    def __init__(self, log: list[Any]) -> None:
        self.log = log

    @handles
    async def remind(self, message: Remind) -> None:
        self.log.append(("begun", message.number, trio.current_time()))
        self.state = evolve(self.state, begun=self.state.begun + 1)
        if message.tells:
            await self.ref(".").tell(Later(message.number))
        self.record(Slip(message.number))
        for at in message.at:
            await self.sleep_until(at)
            self.log.append(("slept", message.number, trio.current_time()))
        if sum(each[0] == "slept" for each in self.log) <= message.fails:
            raise ValueError("after it had slept")
        self.state = evolve(self.state, numbers=(*self.state.numbers, message.number))

    @handles
    async def note(self, message: Note) -> None:
        self.log.append(("note", message.number, trio.current_time()))

    @handles
    def later(self, message: Later) -> None:
        self.log.append(("later", message.number, trio.current_time()))

    @handles
    def which(self, message: Which) -> Seen:
        return self.state


def desk(log: list[Any] | None = None, *, deliveries: int = 2, **options: Any) -> Any:
    mailbox = MailboxSpec(deliveries=deliveries, **options)
    return child(Desk, args={"log": [] if log is None else log}, backoff=NO_BACKOFF, mailbox=mailbox)


def parked(running: Tree, path: str = "desk") -> int:
    slot = running._common.registry.get(Path(path))  # pyright: ignore[reportPrivateUsage]
    return 0 if slot is None else len(slot.parked or ())


def seen(running: Tree, path: str = "desk") -> Seen:
    state = slot_of(running, path).state
    assert isinstance(state, Seen)
    return state


async def killed_on_its_way(running: Tree, disk: Disk, *, fails: bool = False) -> None:
    """Tell the desk, whose handler makes the disk slow; kill it, and let the disk go on long after that.

    What it was on its way with is refused then, if it `fails`.
    """
    await running.ref("desk").tell(Remind())
    await trio.sleep(1)
    running.kill("desk")
    await trio.sleep(60)
    disk.slow = False
    if fails:
        disk.fail("desk", 1)
    disk.go()
