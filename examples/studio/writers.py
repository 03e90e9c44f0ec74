"""Writers who ask before they spend, and post in the morning. `studio.py` runs them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import trio
from attrs import frozen

from treewarden.agents import Agent, Done, NotDone, handles

__all__ = ["Dropped", "Intake", "Order", "Writer"]

FREE: Final = 1_000
"""Cents that a writer may spend without asking anybody."""
WEEK: Final = 7 * 86_400
BILL: Final = Path("bill.txt")
"""The world outside: what the model charges for, by key."""
POSTED: Final = Path("posted.txt")
"""And what everybody can read, by key."""


@frozen
class Order:
    number: int
    topic: str
    cents: int
    """That the model charges for it."""


@frozen
class Dropped:
    """A fact: nobody writes this one, and why."""

    number: int
    why: str


class Intake(Agent[frozenset[int]]):
    """A webhook is delivered once or more: each order begins once, in a trace of its own name."""

    state = frozenset[int]()

    @handles
    async def order(self, order: Order) -> None:
        if order.number not in self.state:
            self.state |= {order.number}
            await self.ref("../writers").traced(f"order-{order.number}").tell(order)


class Writer(Agent[int]):
    """Its state says how many it has posted."""

    state = 0

    def __init__(self, thinks: float) -> None:
        self.thinks = thinks
        """Seconds that the model takes."""

    @handles
    async def order(self, order: Order) -> None:
        if order.cents > FREE:
            ruling = await self.approval("spend", about=order, within=WEEK)
            if not ruling.approved:
                self.record(Dropped(order.number, type(ruling).__name__))
                return
        text = await self.effect("draft", partial(self.draft, order), verify=partial(self.drafted, order))
        await self.sleep_until(next_morning(self.now()), name="morning")
        await self.effect("post", partial(self.post, order, text), idempotent=True)
        self.state += 1

    async def draft(self, order: Order, key: str) -> str:
        note(BILL, key, f"{order.number} {order.cents}")  # from here on it is paid for
        await trio.sleep(self.thinks)
        return about(order)

    async def drafted(self, order: Order, key: str) -> Done[str] | NotDone:
        """The process died in the call: the model knows by the key whether it was made."""
        return Done(about(order)) if key in noted(BILL) else NotDone()

    async def post(self, order: Order, text: str, key: str) -> None:
        if key not in noted(POSTED):  # the other side does a key once
            note(POSTED, key, f"{order.number} {text}")


def about(order: Order) -> str:
    return f"all about {order.topic}"


def next_morning(now: float) -> datetime:
    """Eight o'clock of the next day."""
    return datetime.fromtimestamp(now, UTC).replace(hour=8, minute=0, second=0, microsecond=0) + timedelta(days=1)


def note(file: Path, key: str, text: str) -> None:
    with file.open("a") as lines:
        lines.write(f"{key} {text}\n")


def noted(file: Path) -> set[str]:
    return {line.partition(" ")[0] for line in file.read_text().splitlines()} if file.exists() else set()
