"""A tree that is killed over a command: `python inbox_victim.py FILE MOMENT`.

MOMENT is `taken` (it has begun with the command, and no more is on disk), `done` (all is on disk but the answer, if
that is a commit of its own) or `answered`. At that moment it stands still and says `now`, as it does before, when
the tree is open. With `run` it prints, as JSON, what there is to be seen once its input has ended.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import trio
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.supervisor.common import LoopClock
from treewarden.supervisor.core.event import CheckpointKept, CommandAnswered
from treewarden.supervisor.journal.port import Commit, Record, Seq
from treewarden.supervisor.journal.sqlite import SqliteJournal
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree


@frozen
class Add:
    amount: int


@frozen
class Total(Request[int]): ...


class Counter(Agent[int]):
    state = 0

    @handles
    def add(self, message: Add) -> None:
        self.state += message.amount

    @handles
    def total(self, _: Total) -> int:
        return self.state


SHAPE = tree(Counter, child(Counter, id="light", mailbox=MailboxSpec(durability=VOLATILE)))
FILE, MOMENT = sys.argv[1:3]


class Standing(SqliteJournal):
    """Holds the process at the moment."""

    def submit(self, commit: Commit, then: Callable[[BaseException | None], None]) -> None:
        _before(commit)

        def kept(error: BaseException | None) -> None:
            _behind(commit)
            then(error)

        super().submit(commit, kept if commit.answers else then)

    async def commit(self, commit: Commit) -> Seq:
        _before(commit)
        seq = await super().commit(commit)
        _behind(commit)
        return seq


def _before(commit: Commit) -> None:
    if MOMENT == "done" and any(answer.state == "applied" for answer in commit.answers):
        now()
        time.sleep(600)


def _behind(commit: Commit) -> None:
    wanted = {"taken": "taken", "answered": "applied"}.get(MOMENT)
    if any(answer.state == wanted for answer in commit.answers):
        now()
        time.sleep(600)


def now() -> None:
    sys.stdout.write("now\n")
    sys.stdout.flush()


async def records(running: Tree) -> list[Record]:
    found: list[Record] = []
    head = running.head
    async with running.events() as told:
        async for record in told:
            found.append(record)
            if record.seq >= head:
                break
    return found


async def main() -> None:
    journal = Standing(FILE, clock=LoopClock(time.time))
    async with open_tree(SHAPE, journal=journal, seed=1) as running:
        await running.ref("counter").tell(Add(1))
        now()
        if MOMENT != "run":
            await trio.sleep_forever()
        await trio.to_thread.run_sync(sys.stdin.read)
        total = await running.ref("counter").ask(Total(), within=60)
        facts = [record.event for record in await records(running)]
        kept = sum(isinstance(fact, CheckpointKept) for fact in facts)
        answered = [fact.applied for fact in facts if isinstance(fact, CommandAnswered)]
        sys.stdout.write(json.dumps([total, kept, answered]))


if __name__ == "__main__":
    trio.run(main)
