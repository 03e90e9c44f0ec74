"""Commands of other processes, from the journal's file, as long as a tree is open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from treewarden.supervisor.unhurried import imported

if TYPE_CHECKING:
    from treewarden.supervisor.common import Common

    from .commanding import Order
    from .running import Tree

__all__ = ["obey"]

_AT_ONCE: Final = 16
"""Commands of one kind that are carried out side by side. None waits for those of another kind: a resume may be what a
drain waits for, and a stop what all of them do."""
_MESSAGES: Final = 256
"""As many messages, which wait for agents."""


async def obey(tree: Tree, common: Common) -> None:
    """Carry out what other processes ask for, for as long as the tree is open. Each command has a task of its own."""
    under_way: set[str] = set()
    rooms = dict[str, trio.Semaphore]()
    async with trio.open_nursery() as nursery:

        async def carry_out(order: Order, id: str) -> None:
            if order.kind not in rooms:
                rooms[order.kind] = trio.Semaphore(_MESSAGES if order.is_message else _AT_ONCE)
            async with rooms[order.kind]:
                await order.carry_out()
            under_way.discard(id)

        rows = await common.journal.commands()
        make = await _order()
        while True:
            for row in rows:
                if row.id not in under_way:
                    under_way.add(row.id)
                    nursery.start_soon(carry_out, make(tree, common, row), row.id)
            rows = await common.journal.commands()


async def _order() -> type[Order]:
    """What carries out a command: imported with the first one, for most trees are never sent any."""
    await imported(f"{__package__}.commanding")
    from .commanding import Order

    return Order
