"""The process that is killed while a large state is being taken, and the one after it:
`python large_victim.py FILE LEVEL MESSAGE TURN`, then `... FILE LEVEL`.

The first prints the number of each message that it need not tell again, the second what was added in the end.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import trio
import trio.lowlevel
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, Checkpointed, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.supervisor.core.spec import ChildSpec
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

LINES = 40_000
"""In a book: to take them takes ten turns at least."""
TOLD = 4


@frozen
class Add:
    number: int


@frozen
class Sum(Request[tuple[int, ...]]): ...


@frozen
class Line:
    number: int
    text: str


@frozen
class Book:
    added: tuple[int, ...] = ()
    lines: tuple[Line, ...] = ()


class Clerk(Agent[Book]):
    """Adds up in a large book."""

    state = Book()
    added = 0

    @handles
    def add(self, message: Add) -> None:
        lines = tuple([Line(number, f"{message.number} and {number}") for number in range(LINES)])
        self.state = Book((*self.state.added, message.number), lines)
        Clerk.added = message.number

    @handles
    def sum(self, message: Sum) -> tuple[int, ...]:
        assert all(line.text == f"{self.state.added[-1]} and {line.number}" for line in self.state.lines)
        return self.state.added


def clerk(level: str) -> ChildSpec:
    durability = MESSAGE if level == "message" else Checkpointed(messages=1)
    return child(Clerk, mailbox=MailboxSpec(durability=durability))


async def die(message: int, turn: int) -> None:
    """In this turn after this message was handled, and before the next one can be."""
    while Clerk.added < message:
        await trio.lowlevel.checkpoint()
    for _ in range(turn):
        await trio.lowlevel.checkpoint()
    assert Clerk.added == message
    os.kill(os.getpid(), signal.SIGKILL)


async def work(file: str, level: str, message: int, turn: int) -> None:
    async with open_tree(tree(clerk(level)), journal=Path(file)) as running, trio.open_nursery() as nursery:
        nursery.start_soon(die, message, turn)
        for number in range(1, TOLD + 1):
            await running.ref("clerk").tell(Add(number))
            os.write(1, b"%d " % number)
        await trio.sleep_forever()


async def report(file: str, level: str) -> None:
    async with open_tree(tree(clerk(level)), journal=Path(file)) as running:
        os.write(1, " ".join(map(str, await running.ref("clerk").ask(Sum(), within=60))).encode())


if __name__ == "__main__":
    if len(sys.argv) > 3:
        trio.run(work, sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        trio.run(report, sys.argv[1], sys.argv[2])
