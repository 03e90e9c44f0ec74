"""A desk that pays, the bank outside, and who looks at both, for the tests of effects."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import frozen

from treewarden.agents import (
    MESSAGE,
    Agent,
    AgentFailed,
    Done,
    Durability,
    MailboxSpec,
    NotDone,
    Request,
    handles,
)
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.supervisor.journal.port import Journal
from treewarden.supervisor.settling import SlotStore
from treewarden.topologies import child, tree
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree

from ..journals import on_disk
from .trees import Disk, slot_of

__all__ = [
    "Bank",
    "Desk",
    "Order",
    "Paid",
    "Pay",
    "Processes",
    "Receipt",
    "Shop",
    "desk",
    "left",
    "note",
    "opened",
    "processes",
]


class Bank:
    """The world outside: what was done stays done."""

    def __init__(self) -> None:
        self.done: list[str] = []
        """The key of each charge."""
        self.calls = 0
        self.raises: list[BaseException] = []
        """What the next calls raise, after they were done or before."""
        self.before: list[BaseException] = []
        self.asked = 0
        self.gate: trio.Event | None = None

    async def charge(self, amount: int, key: str) -> Receipt:
        self.calls += 1
        if self.before:
            raise self.before.pop(0)
        self.done.append(key)
        if self.gate is not None:
            await self.gate.wait()
        if self.raises:
            raise self.raises.pop(0)
        return Receipt(key, amount)

    async def look(self, amount: int, key: str) -> Done[Receipt] | NotDone:
        self.asked += 1
        return Done(Receipt(key, amount)) if key in self.done else NotDone("never heard of it")


@frozen
class Receipt:
    key: str
    amount: int


@frozen
class Pay:
    amount: int = 1
    says: str = ""
    """`verify`, `idempotent`, or nothing."""
    times: int = 1
    fails: int = 0
    """How often its handler fails after it has paid."""


@frozen
class Paid(Request[Receipt]):
    amount: int = 1


@frozen
class Order:
    amount: int = 1


class Desk(Agent[tuple[Receipt, ...]]):
    state = ()

    def __init__(self, bank: Bank, log: list[Any]) -> None:
        self.bank = bank
        self.log = log

    async def charge(self, amount: int, says: str = "") -> Receipt:
        return await self.effect(
            "charge",
            partial(self.bank.charge, amount),
            idempotent=says == "idempotent",
            verify=partial(self.bank.look, amount) if says == "verify" else None,
        )

    @handles
    async def pay(self, message: Pay) -> None:
        got = [await self.charge(message.amount, message.says) for _ in range(message.times)]
        self.log.append(got)
        if len(self.log) <= message.fails:
            raise ValueError("after it had paid")
        self.state = (*self.state, *got)

    @handles
    async def paid(self, message: Paid) -> Receipt:
        got = await self.charge(message.amount)
        self.state = (*self.state, got)
        return got


class Shop(Agent[int]):
    state = 0

    def __init__(self, log: list[Any]) -> None:
        self.log = log

    @handles
    async def order(self, message: Order) -> None:
        try:
            got = await self.ref("desk").ask(Paid(message.amount), within=3600)
        except AgentFailed as failed:
            self.log.append(failed)
            raise
        self.log.append(got)
        self.state += 1


@pytest.fixture(params=["memory", "disk"])
def processes(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Journal]:
    """Each call is the next process."""
    memory = Disk()
    return lambda: memory if request.param == "memory" else on_disk(tmp_path / "tree.db")


Processes = Callable[[], Journal]


def opened(*children: Any, journal: Journal | None = None, **options: Any) -> Any:
    return open_tree(tree(*children, **options), journal=journal, wall=trio.current_time)


def desk(bank: Bank, log: list[Any] | None = None, *, deliveries: int = 2, durability: Durability = MESSAGE) -> Any:
    mailbox = MailboxSpec(deliveries=deliveries, durability=durability)
    return child(Desk, args={"bank": bank, "log": [] if log is None else log}, backoff=NO_BACKOFF, mailbox=mailbox)


def left(running: Tree) -> int:
    """How much is kept of steps; nothing should be, when all is done."""
    store = slot_of(running, "desk").store
    assert isinstance(store, SlotStore)
    return len(store._common.replies)  # pyright: ignore[reportPrivateUsage]


def note(running: Tree, path: str = "desk") -> str:
    (found,) = [each.note for each in running.snapshot() if each.path == path]
    return found
