"""A tree whose process is killed between a decision and its action: `python decision_victim.py FILE WHAT MOMENT`.

MOMENT names a fact. As soon as the first one of it is on disk the process stands still, so that nothing that would
come after it gets there, and says `now` for whoever is to kill it; `run` lets it go on until it has answered, and
prints what there is to be seen; `stay` says `now` at that time, and lets it run. WHAT is the trouble: `poison`,
`state`, `start` (the same, which kills in `on_start` already), `cache`, `person`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import trio
from attrs import evolve, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MailboxSpec
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.message import Request
from treewarden.supervisor import Occasion
from treewarden.supervisor.common import LoopClock
from treewarden.supervisor.core.event import DeadLettered, Decided, RolledBack
from treewarden.supervisor.core.named import NamedAction
from treewarden.supervisor.core.rule_table import Rule
from treewarden.supervisor.core.spec import NO_BACKOFF, Intensity, SupervisorSpec
from treewarden.supervisor.core.table import table
from treewarden.supervisor.journal.port import Commit, Record, Seq
from treewarden.supervisor.journal.sqlite import SqliteJournal
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

FILE, WHAT, MOMENT = sys.argv[1:4]
REMEDIES = {
    "poison": "set_aside",
    "state": "roll_back",
    "start": "roll_back",
    "cache": "cache_warmup",
    "person": "hold",
}


class Standing(SqliteJournal):
    """Holds the process at the moment at which a fact is on disk, with nothing after it."""

    held = False

    def submit(self, commit: Commit, then: Callable[[BaseException | None], None]) -> None:
        if not self.held:
            self.held = _has_come(commit)
            super().submit(evolve(commit, quiet=False), stand_still if self.held else then)

    async def commit(self, commit: Commit) -> Seq:
        seq = await super().commit(commit)
        if _has_come(commit):
            stand_still()
        return seq


def _has_come(commit: Commit) -> bool:
    return any(type(fact).__name__ == MOMENT and _is_remedy(fact) for _, fact in commit.events)


def _is_remedy(fact: object) -> bool:
    return not isinstance(fact, Decided) or fact.action == REMEDIES[WHAT]


def stand_still(_: object = None) -> None:
    sys.stdout.write("now\n")
    sys.stdout.flush()
    time.sleep(600)


@frozen
class Put:
    n: int


@frozen
class Get(Request[int]):
    pass


class Number(Agent[int]):
    """Dies of 13, of whatever comes while its state is above 99, and of 7 unless it is warm."""

    state = 0

    async def on_start(self) -> None:
        if WHAT == "start" and self.state > 99:
            raise ValueError("I cannot begin with this")

    @handles
    async def put(self, message: Put) -> None:
        if self.state > 99:
            raise ValueError("this is no number for me")
        self.state += message.n
        if message.n == 13 or (message.n == 7 and not is_warm()):
            raise ValueError("not this one")

    @handles
    def get(self, message: Get) -> int:
        return self.state


def is_warm() -> bool:
    return Path(FILE + ".warm").exists()


async def warm_up(occasion: Occasion) -> str:
    with Path(FILE + ".calls").open("a") as calls:  # noqa: ASYNC230
        calls.write("x")
    if MOMENT == "performing":
        stand_still()
    Path(FILE + ".warm").touch()  # noqa: ASYNC240
    return "warm"


def blueprint() -> SupervisorSpec:
    rules = {"cache": [Rule("crash", "perform:cache_warmup")], "person": [Rule("crash", "hold")]}.get(WHAT)
    number = child(
        Number,
        id="number",
        backoff=NO_BACKOFF,
        mailbox=MailboxSpec(deliveries=3 if WHAT == "cache" else 2),
        actions={"cache_warmup": NamedAction(warm_up, within=60)},
    )
    return tree(number, policy=None if rules is None else table(rules), restarts=Intensity(100, 1.0))


async def seen(running: Tree) -> dict[str, object]:
    facts = [record.event for record in await records(running)]
    return {
        "dead": sum(isinstance(fact, DeadLettered) for fact in facts),
        "rolled_back": sum(isinstance(fact, RolledBack) for fact in facts),
        "decided": [fact.action for fact in facts if isinstance(fact, Decided)],
        "state": str(running.snapshot()[0].state),
        "value": await running.ref("number").ask(Get(), within=60)
        if running.snapshot()[0].state is not SlotState.HELD
        else None,
    }


async def records(running: Tree) -> list[Record]:
    found: list[Record] = []
    head = running.head
    async with running.events() as told:
        async for record in told:
            found.append(record)
            if record.seq >= head:
                return found
    return found


async def trouble(running: Tree) -> None:
    number = running.ref("number")
    match WHAT:
        case "poison":
            for n in (1, 13, 2):
                await number.tell(Put(n))
        case "state" | "start":
            for n in (1, 2, 3, 100, 1, 1, 1, 1):
                await number.tell(Put(n))
        case _:
            for n in (1, 7, 2):
                await number.tell(Put(n))
    with trio.move_on_after(60):
        while running.snapshot()[0].state is not SlotState.HELD:  # noqa: ASYNC110
            await trio.sleep(0.05)


def at_rest(running: Tree) -> bool:
    state = running.snapshot()[0].state
    waiting = running.ref("number").statistics()
    return state is SlotState.HELD or (state is SlotState.UP and not waiting.depth and waiting.oldest == 0)


async def main() -> None:
    journal = Standing(FILE, clock=LoopClock(time.time))
    async with open_tree(blueprint(), journal=journal, seed=1) as running:
        if MOMENT not in ("run", "stay"):
            await trouble(running)
            return
        with trio.move_on_after(60):
            while not at_rest(running):  # noqa: ASYNC110
                await trio.sleep(0.02)
        await journal.commit(Commit())  # what was noted before it is on disk as well
        if MOMENT == "stay":
            sys.stdout.write("now\n")
            sys.stdout.flush()
            await trio.sleep_forever()
        sys.stdout.write(json.dumps(await seen(running)))


if __name__ == "__main__":
    trio.run(main)
