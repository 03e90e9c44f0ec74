"""One agent of each durability, which counts what it is told; and one of each that gets stuck with work waiting."""

from __future__ import annotations

import trio
from attrs import evolve, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Checkpointed, Durability, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.supervisor.core.spec import ChildSpec
from treewarden.topologies.child import child
from treewarden.topologies.core.blueprint import Blueprint
from treewarden.topologies.tree import tree

__all__ = ["EVERY", "LEVELS", "Look", "Put", "Seen", "levels"]

EVERY = 10
"""Messages from one checkpoint to the next."""
LEVELS: dict[str, Durability] = {
    "volatile": VOLATILE,
    "checkpoint": Checkpointed(messages=EVERY),
    "timed": Checkpointed(seconds=0.05),
    "message": MESSAGE,
}


@frozen
class Put:
    n: int


@frozen
class Seen:
    numbers: tuple[int, ...] = ()


@frozen
class Look(Request[Seen]): ...


class Counter(Agent[Seen]):
    state = Seen()

    def __init__(self, stuck: bool = False) -> None:
        self.stuck = stuck

    @handles
    async def put(self, message: Put) -> None:
        if self.stuck:
            await trio.sleep_forever()
        self.state = evolve(self.state, numbers=(*self.state.numbers, message.n))

    @handles
    async def look(self, _: Look) -> Seen:
        return self.state


def levels(*, stuck: bool) -> Blueprint:
    """With `stuck`, the second agent of each level never ends its first message."""
    made: list[ChildSpec] = []
    for name, durability in LEVELS.items():
        mailbox = MailboxSpec(durability=durability)
        made.append(child(Counter, id=name, mailbox=mailbox))
        made.append(child(Counter, id=f"{name}-waiting", mailbox=mailbox, args={"stuck": stuck}))
    return tree(*made)
