"""Trees whose handlers wait, and the people outside who tell them things, rule, and remember what was acknowledged."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import Any, Final

import trio
from attrs import evolve

from treewarden.agents import AlreadyRuled, Approved, Happened, Refused
from treewarden.agents.core.approval import APPROVAL
from treewarden.agents.core.wait import EVENT, WAITS
from treewarden.supervisor.approvals import RULED
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.supervisor.events import HAPPENED
from treewarden.supervisor.open_waits import OpenWait
from treewarden.topologies import Blueprint, child, tree
from treewarden.topologies.running import Tree

from .checks import Kind, Violation
from .desk import Pay
from .lives import WITHIN, Life, Lives, Living
from .payments import acted, twice
from .shop import LATE, PARCEL, STEPS, Shop, approval_said, event_said
from .world import Outside, Tables, World

__all__ = ["orders"]

_TICK: Final = 0.5
_LATER: Final = (0.0, 30.0, 0.0, 5_000.0)
"""Seconds that the clock of who goes on after a power cut is ahead: it was set back, or some waits are over, or all."""


def orders(seed: int) -> list[Lives]:
    """Another seed: other orders, events, rulings and deaths."""
    chance = random.Random(f"{seed} orders")
    kinds = list(STEPS)
    one = _numbered(["late", *chance.sample(kinds, 2)])
    more = _numbered(chance.sample(kinds, len(kinds)))
    lives = (
        Life(more[:4], ticks=chance.randint(2, 8), killed=True),
        Life(more[4:6], dies_at=chance.randint(4, 6), later=3.0, ticks=12),
        Life(more[6:7], ticks=chance.randint(2, 6), later=20.0),
        Life(more[7:], later=60.0),
    )
    return [
        Lives(name="waits", of=_Waiting, lives=(Life(one),)),
        Lives(name="waits of four", of=_Waiting, lives=lives, autocheckpoint=12),
    ]


def _numbered(kinds: list[str]) -> tuple[Pay, ...]:
    return tuple(Pay(number, kind) for number, kind in enumerate(kinds, 1))


class _Waiting(Living):
    def blueprint(self) -> Blueprint:
        return tree(child(Shop, args={"bank": self.bank, "process": self.owners}, backoff=NO_BACKOFF))

    async def work(self, running: Tree, life: Life) -> None:
        chance = random.Random(f"{self.owners} {len(life.pays)}")
        shop = running.ref("shop")
        if life.ticks is not None or life.pays:  # it is faster than who waits for it
            await self._tell(running, PARCEL)
        for pay in life.pays:
            await shop.tell(pay, within=WITHIN)
            self.outside(evolve(self.bank.outside, told=(*self.bank.outside.told, pay.number)))
        for tick in count():
            if tick == life.ticks or (life.ticks is None and not _numbers(self.worlds[self.now].tables())):
                break
            await trio.sleep(_TICK)
            await self._look(running, chance, all=not life.pays)

    async def _look(self, running: Tree, chance: random.Random, *, all: bool) -> None:
        """See who waits, when nothing else is under way, and answer some of them, or all."""
        waits = await running.waits()
        kept = {name for name, _ in _kept(self.worlds[self.now].tables())}
        lost = [wait.about for wait in waits if wait.what == EVENT and wait.about in kept]
        self.problems += [f"{name} is kept, and a handler waits for it" for name in lost]
        async with trio.open_nursery() as nursery:
            for wait in waits:
                if all or (chance.random() < 0.4 and not wait.wait.startswith(LATE)):
                    if wait.what == EVENT:
                        nursery.start_soon(self._tell, running, str(wait.about))
                    elif wait.what == APPROVAL:
                        for people in range(chance.randint(1, 2)):
                            nursery.start_soon(self._rule, running, wait, people)
        if not all and chance.random() < 0.1:
            await self._tell(running, PARCEL)

    def _token(self) -> int:
        outside = self.bank.outside
        self.outside(evolve(outside, tokens=outside.tokens + 1))
        return outside.tokens + 1

    def _acknowledged(self, text: str) -> None:
        self.outside(evolve(self.bank.outside, said=(*self.bank.outside.said, text)))

    async def _tell(self, running: Tree, event: str) -> None:
        """Tell it that something has happened; of some that its value is none."""
        token = self._token()
        value = f"bad {token}" if token % 5 == 0 else token
        await running.ref("shop").tell(Happened(event, value), within=WITHIN)
        self._acknowledged(event_said(value))

    async def _rule(self, running: Tree, wait: OpenWait, people: int) -> None:
        by = f"ada {self._token()}"
        verdict = Refused(by) if people else Approved(by)
        try:
            await running.rule("shop", verdict, key=wait.key)
        except AlreadyRuled:
            return
        self._acknowledged(approval_said(type(verdict).__name__, by))

    @staticmethod
    def faults(tables: Tables, outside: Outside) -> Iterator[Violation]:
        yield from acted(tables, outside)
        yield from map(_broken, _waited(tables, outside))

    def undone(self, world: World) -> Iterator[Violation]:
        tables, before = self.worlds[self.now].tables(), world.tables()
        if tables["replies"]:
            yield _broken(f"something is left over: replies {tables['replies']}")
        should, have = [*_numbers(before).values(), *_ends(before)], [*_ends(tables)]
        if sorted(should) != sorted(have):
            yield _broken(f"orders {should} had settled or waited, and now there are {have}")
        yield from twice(self.bank.outside)

    @staticmethod
    def last(world: World) -> Life:
        return Life(later=_LATER[world.seq % len(_LATER)])


def _waited(tables: Tables, outside: Outside) -> Iterator[str]:
    """What is wrong between the waits that the tables know of, and what people told, said and heard."""
    waiting, ends = _numbers(tables), _ends(tables)
    orders = Counter([*waiting.values(), *ends])
    yield from (f"order {number} is there {n} times" for number, n in orders.items() if n > 1)
    yield from (f"order {number} was acknowledged, and is gone" for number in outside.told if not orders[number])
    said = Counter(_said(tables))
    yield from (f"{text!r} is there {n} times" for text, n in said.items() if n > 1)
    yield from (f"{text!r} was acknowledged, and is gone" for text in outside.said if not said[text])
    begun = {(waiting.get(message), place) for message, place in _begun(tables)}
    for number, place in outside.parked:
        if number not in ends and (number, place) not in begun:
            yield f"order {number} was unwound for its wait {place}, which is not on disk"
    heard: dict[tuple[int, int], str] = {}
    for number, nth, text in outside.heard:
        first = heard.setdefault((number, nth), text)
        if first != text:
            yield f"order {number} was told {first!r} by step {nth}, and {text!r} when it ran again"
        if number in ends and ends[number][nth] != text:
            yield f"order {number} was told {text!r} by step {nth}, and settled with {ends[number][nth]!r}"


def _numbers(tables: Tables) -> dict[str, int]:
    """The orders that are not settled, by the id of their message."""
    return {row[2]: body["number"] for row in tables["mailbox"] if "number" in (body := json.loads(row[5]))}


def _ends(tables: Tables) -> dict[int, list[str]]:
    found = [json.loads(row[3]) for row in tables["states"] if row[0] == "shop"]
    return {end["number"]: end["told"] for body in found for end in body["ends"]}


def _kept(tables: Tables) -> Iterator[tuple[str, Any]]:
    """Name and value of the events for which nobody has waited yet."""
    bodies = (json.loads(row[5]) for row in tables["mailbox"])
    yield from ((body["event"], body["value"]) for body in bodies if "event" in body)


def _begun(tables: Tables) -> Iterator[tuple[str, int]]:
    """The waits that have begun: their messages, and their places."""
    for id, _, kind, _, body, *_ in tables["replies"]:
        if kind == WAITS and id.endswith(">begun"):
            yield id.partition(">")[0], json.loads(body)["place"]


def _said(tables: Tables) -> Iterator[str]:
    """Events and rulings, wherever they are."""
    yield from (event_said(value) for _, value in _kept(tables))
    for _, _, kind, _, body, *_ in tables["replies"]:
        data: Any = json.loads(body)
        if kind == HAPPENED and "value" in data:
            yield event_said(data["value"])
        elif kind == RULED and "by" in data:
            yield approval_said(data["what"], data["by"])
    letters = (json.loads(row[4]) for row in tables["dead letters"])
    yield from (event_said(body["value"]) for body in letters if "event" in body)
    unsaid = {approval_said(what, "") for what in ("expired", "superseded")} | {"act", "short", "long", "nothing"}
    yield from (text for told in _ends(tables).values() for text in told if text not in unsaid)


def _broken(text: str) -> Violation:
    return Violation(Kind.WAIT, text)
