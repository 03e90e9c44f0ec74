"""A desk whose handlers wait for events, and who looks at it, for the tests of `wait_event`."""

from __future__ import annotations

from typing import Any

import trio
from attrs import evolve, frozen

from treewarden.agents import Agent, MailboxSpec, Request, WaitExpired, handles
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.topologies import child
from treewarden.topologies.running import Tree

from .trees import slot_of

__all__ = ["Got", "Order", "Shipped", "Which", "desk", "got", "kept"]


@frozen
class Shipped:
    by: str = "ups"


@frozen
class Order:
    number: int = 1
    event: str = "shipped"
    until: float | None = None
    fails: int = 0
    """How often its handler fails behind the wait."""


@frozen
class Got:
    values: tuple[tuple[int, str], ...] = ()


@frozen
class Which(Request[Got]):
    pass


class Desk(Agent[Got]):
    state = Got()

    def __init__(self, log: list[Any]) -> None:
        self.log = log

    @handles
    async def order(self, message: Order) -> None:
        self.log.append(("begun", message.number, trio.current_time()))
        try:
            came = await self.wait_event(message.event, returns=Shipped, until=message.until)
        except WaitExpired as error:
            said = f"expired {error.until}"
        else:
            said = came.by
        self.log.append((said, message.number, trio.current_time()))
        if sum(each[0] == said for each in self.log) <= message.fails:
            raise ValueError("behind the wait")
        self.state = evolve(self.state, values=(*self.state.values, (message.number, said)))

    @handles
    async def which(self, message: Which) -> Got:
        return self.state


def desk(log: list[Any] | None = None, *, deliveries: int = 2, **options: Any) -> Any:
    mailbox = MailboxSpec(deliveries=deliveries, **options)
    return child(Desk, args={"log": [] if log is None else log}, backoff=NO_BACKOFF, mailbox=mailbox)


def got(running: Tree, path: str = "desk") -> tuple[tuple[int, str], ...]:
    """What orders got, in the order in which they settled."""
    state = slot_of(running, path).state
    assert isinstance(state, Got)
    return state.values


def kept(running: Tree, path: str = "desk") -> list[str]:
    """The events for which nobody waits yet."""
    parked = slot_of(running, path).mail.parked
    bodies: list[Any] = [] if parked is None else [each.body for each in parked.events.values()]
    return [each.event for each in bodies]
