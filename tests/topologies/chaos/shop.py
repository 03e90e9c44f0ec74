"""What tests of the chaos kit are made of: a till that books orders outside, and keeps count of them."""

from __future__ import annotations

from contextlib import suppress

import trio
from attrs import evolve, frozen

from treewarden.agents import Agent, handles
from treewarden.agents.core.durability import Durability, MailboxSpec, Message
from treewarden.agents.core.message import Request
from treewarden.agents.errors import TreewardenError
from treewarden.supervisor.core.spec import Intensity
from treewarden.topologies import Blueprint, child, tree
from treewarden.topologies.chaos.lost import Lost
from treewarden.topologies.chaos.outside import Outside
from treewarden.topologies.chaos.world import World

__all__ = ["Book", "Booked", "Books", "Till", "booked", "sell", "shop"]


@frozen
class Book:
    order: int


@frozen
class Booked(Request[tuple[int, ...]]):
    pass


@frozen
class Books:
    orders: tuple[int, ...] = ()


class Till(Agent[Books]):
    """Books each order outside, by its key, and then in its own state."""

    state = Books()

    def __init__(self, outside: Outside, knows_keys: bool = True) -> None:
        self.outside = outside
        self.knows_keys = knows_keys

    @handles
    async def book(self, message: Book) -> None:
        await self.outside.effect(f"order {message.order}", idempotent=self.knows_keys)
        self.state = evolve(self.state, orders=(*self.state.orders, message.order))

    @handles
    def booked(self, _: Booked) -> tuple[int, ...]:
        return self.state.orders


def shop(world: World, durability: Durability | None = None, *, knows_keys: bool = True) -> Blueprint:
    mailbox = MailboxSpec(durability=durability or Message(), deliveries=50)
    till = child(Till, args={"outside": world.outside, "knows_keys": knows_keys}, mailbox=mailbox)
    return tree(till, restarts=Intensity(1000, 1.0))


async def booked(world: World) -> tuple[int, ...]:
    """What is booked, asked until somebody lives to answer."""
    while True:
        with suppress(Lost, TreewardenError):
            return await world.ask("till", Booked())
        await trio.sleep(0.1)


async def sell(world: World) -> list[int]:
    """Tell the till of 20 orders, and return those that were acknowledged."""
    told: list[int] = []
    for number in range(world.some(20)):
        if await world.tell("till", Book(number)):
            told.append(number)
        await trio.sleep(0.1)
    return told
