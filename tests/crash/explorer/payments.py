"""Trees that pay: their handlers act on the world outside, and what has to hold of that and of their journal."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from attrs import evolve

from treewarden.agents.core.step import MARK, key_of, step_of
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.topologies import Blueprint, child, tree
from treewarden.topologies.running import Tree

from .checks import Kind, Violation
from .desk import SAYS, Clerk, Desk, Pay, Settled
from .lives import WITHIN, Life, Lives, Living
from .world import Outside, Tables, World

__all__ = ["acted", "payments", "twice"]


def payments(seed: int) -> list[Lives]:
    """Another seed: other payments, orders and deaths."""
    chance = random.Random(f"{seed} lives")
    says = [*SAYS, *chance.choices(SAYS, k=2)]
    chance.shuffle(says)
    pays = tuple(Pay(number, each) for number, each in enumerate(says, 1))
    two = (Life(pays[:5], dies_at=chance.randint(2, 4)), Life(pays[5:]))
    others = tuple(Pay(number, each) for number, each in enumerate(chance.sample(SAYS, len(SAYS)), 1))
    return [
        Lives(name="effects", of=_Paying, lives=(Life(others),)),
        Lives(name="effects of two", of=_Paying, lives=two, autocheckpoint=12),
    ]


class _Paying(Living):
    def blueprint(self) -> Blueprint:
        args = {"bank": self.bank}
        return tree(child(Clerk, args=args, backoff=NO_BACKOFF), child(Desk, args=args, backoff=NO_BACKOFF))

    async def work(self, running: Tree, life: Life) -> None:
        for pay in life.pays:
            await running.ref("desk").tell(pay, within=WITHIN)
            if pay.number % 2:
                await self._look(running)
        await self._look(running)

    async def _look(self, running: Tree) -> None:
        """Ask behind all that waits, for what has settled."""
        settled = await running.ref("desk").ask(Settled(), within=WITHIN)
        self.outside(evolve(self.bank.outside, settled=settled))

    @staticmethod
    def faults(tables: Tables, outside: Outside) -> Iterator[Violation]:
        yield from acted(tables, outside)
        desk = [act["number"] for act in _acts(tables).get("desk", ())]
        for number in outside.settled:
            if number not in desk:
                yield _broken(f"payment {number} has settled, and is not there")
        for number, n in Counter(desk).items():
            if n > 1:
                yield _broken(f"payment {number} is there {n} times")

    def undone(self, world: World) -> Iterator[Violation]:
        tables = self.worlds[self.now].tables()
        for name in ("mailbox", "dead letters", "replies"):
            if tables[name]:
                yield _broken(f"something is left over: {name} {tables[name]}")
        waited = [json.loads(row[5])["number"] for row in world.tables()["mailbox"] if row[1] == "desk"]
        had = [act["number"] for act in _acts(world.tables()).get("desk", ())]
        has = [act["number"] for act in _acts(tables).get("desk", ())]
        if sorted(has) != sorted([*had, *waited]):
            yield _broken(f"payments {had} had settled, {waited} waited, and now there are {has}")
        yield from twice(self.bank.outside)


def acted(tables: Tables, outside: Outside) -> Iterator[Violation]:
    """What is wrong between the effects that the tables know of, and what was done outside."""
    numbers = {path: [act["number"] for act in acts] for path, acts in _acts(tables).items()}
    begun = {key_of(step_of(id)) for id, *_ in tables["replies"] if MARK in id}
    for call in outside.calls:
        if call.key not in begun and call.number not in numbers.get(call.path, ()):
            yield _broken(f"what was done for {call.path} {call.number} is neither settled nor known to have begun")
    for act in (act for each in _acts(tables).values() for act in each):
        if outside.done.get(act["key"]) != act["nth"]:
            yield _broken(f"what is remembered is not what was done: {act}")
    waiting = {row[2] for row in tables["mailbox"]}
    for id, *_ in tables["replies"]:
        if id.partition(">")[0] not in waiting:
            yield _broken(f"{id} is kept, and its message is gone")
    results = [(id, key_of(step_of(id))) for id, *_ in tables["replies"] if MARK in id and id.endswith(">done")]
    for id, key in results:
        if key not in outside.done:
            yield _broken(f"{id} is a result of nothing that was done")
    known = {key for _, key in results}
    for call, after in combinations(outside.calls, 2):
        of_one = (call.path, call.number) == (after.path, after.number)
        if of_one and call.key not in {after.key, *known} and call.number not in numbers.get(call.path, ()):
            yield _broken(
                f"{after.path} {after.number} went on to {after.key}, and what came of {call.key} is not on disk"
            )


def twice(outside: Outside) -> Iterator[Violation]:
    """What was done again, which none may be that is neither idempotent nor was said to be undone."""
    for key, n in Counter(call.key for call in outside.calls).items():
        if n > 1:
            yield _broken(f"{key} was done {n} times, and nobody has said that it may be")


def _acts(tables: Tables) -> dict[str, list[dict[str, Any]]]:
    return {row[0]: acts for row in tables["states"] if (acts := json.loads(row[3]).get("acts")) is not None}


def _broken(text: str) -> Violation:
    return Violation(Kind.EFFECT, text)
