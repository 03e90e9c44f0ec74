"""An agent whose handlers act, and wait: for the time, for events, for what a person rules."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from attrs import evolve, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.approval import Approved, Refused
from treewarden.agents.errors import Parked
from treewarden.agents.events import WaitExpired

from .desk import Act, Bank, Pay

__all__ = ["CHANGING", "LATE", "PARCEL", "STEPS", "Shop", "approval_said", "event_said"]

PARCEL: Final = "parcel"
"""The event for which more than one order waits."""
LATE: Final = "late"
"""How what begins for which nobody answers in time."""
CHANGING: Final = "changing"
STEPS: Final[Mapping[str, tuple[str, ...]]] = {
    "sleeps": ("act", "short", "act", "long"),
    "an event": ("act", PARCEL, "act"),
    "two events": (PARCEL, "act", "own", PARCEL),
    "late": ("act", "late_event", "act", "late_approval"),
    "asks": ("act", "approval", "act"),
    "one of many": ("subject", "act"),
    "changes": (CHANGING, "act"),
    "all": ("act", "short", PARCEL, "approval", "late_event", "act"),
}
"""What an order comes to, one after the other, by its kind."""
_SHORT, _LONG = 2.0, 6.0
"""Seconds."""


@frozen
class End:
    """An order that has settled, and what it was told by each of its steps."""

    number: int
    told: tuple[str, ...]


@frozen
class Shelf:
    acts: tuple[Act, ...] = ()
    ends: tuple[End, ...] = ()


class Shop(Agent[Shelf]):
    """`process` is the number of that: in each, an order that changes waits for another event."""

    state = Shelf()

    def __init__(self, bank: Bank, process: int) -> None:
        self.bank = bank
        self.process = process

    @handles
    async def order(self, message: Pay) -> None:
        acts: list[Act] = []
        told: list[str] = []
        waits = 0
        for nth, step in enumerate(STEPS[message.says]):
            if step == "act":
                acts.append(await self._act(message.number))
                told.append(step)
                continue
            waits += 1
            try:
                told.append(await self._wait(step, message))
            except Parked:
                if step != CHANGING:
                    self.bank.parks(message.number, waits)
                raise
            if step != CHANGING:
                self.bank.hears(message.number, nth, told[-1])
        self.state = evolve(
            self.state,
            acts=(*self.state.acts, *acts),
            ends=(*self.state.ends, End(message.number, tuple(told))),
        )

    async def _act(self, number: int) -> Act:
        """Of every other order only a person can say whether it was done."""
        verify = partial(self.bank.look, number) if number % 2 else None
        return await self.effect(
            "act", partial(self.bank.charge, str(self.path), number, "nothing"), returns=Act, verify=verify
        )

    async def _wait(self, step: str, message: Pay) -> str:
        match step:
            case "short" | "long":
                await self.sleep_until(self.now() + (_SHORT if step == "short" else _LONG), name=step)
                return step
            case "approval" | "late_approval" | "subject":
                within, subject = _SHORT if step.startswith(LATE) else 600.0, step if step == "subject" else ""
                ruling = await self.approval(step, about=message, within=within, subject=subject)
                by = ruling.by if isinstance(ruling, (Approved, Refused)) else ""
                return approval_said(type(ruling).__name__, by)
            case _:
                name = {PARCEL: PARCEL, CHANGING: f"{step} {message.number} {self.process}"}.get(
                    step, f"{step} {message.number}"
                )
                until = self.now() + _SHORT if step.startswith(LATE) else None
                try:
                    return event_said(await self.wait_event(name, returns=int, until=until, name=step))
                except WaitExpired:
                    return "nothing"


def event_said(value: object) -> str:
    """What an event of this value tells an order that has waited for it."""
    return f"event {value}"


def approval_said(what: str, by: str) -> str:
    """What a ruling tells an order."""
    return f"{what} {by}".lower()
