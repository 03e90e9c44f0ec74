"""An agent that others ask before they spend something."""

from __future__ import annotations

import math
from typing import Any

from attrs import Attribute, field

from .agent import Agent, handles
from .core.budget import POSITIVE, Budget, Exceeded, Spent, is_positive
from .core.message import Request
from .core.said import is_number, shown
from .core.values import frozen
from .errors import ConfigurationError, RateLimited

__all__ = ["Correct", "Left", "Purse", "Spend", "spend"]


def _amount(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not is_number(value) or not 0 <= value < math.inf:
        raise ValueError(f"{attribute.name} is {shown(value)}; give a finite number, 0 or more")


def _finite(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not is_number(value) or not math.isfinite(value):
        raise ValueError(f"{attribute.name} is {shown(value)}; give a finite number")


@frozen
class Spend(Request[Exceeded | None]):
    """May this be spent? None: yes, and it counts as spent."""

    amount: float = field(validator=_amount)


@frozen
class Correct:
    """It was more than was asked for, by so much; below 0, less."""

    by: float = field(validator=_finite)


@frozen
class Left(Request[float]):
    """How much may still be spent now?"""


class Purse(Agent[Spent]):
    """At most `most` in any `within` seconds (a day), for all who ask it before they spend.

    What it grants is on disk before its asker hears of it, in a purse of durability `message`; so no crash and no
    `kill -9` has anything granted twice. A durable handler that runs again after a crash gets the answer that it got
    before, and nothing more is counted. One in memory asks anew, and it counts again: too much, and never too little.

    Not promised: anything of what is spent without asking, or beyond what was asked for until `Correct` arrives; what
    was spent, after the purse was rolled back; and that what is granted is spent.
    """

    state = Spent()

    def __init__(self, most: float, within: float = 86400.0) -> None:
        try:
            self.budget = Budget(most=most, within=within)
        except ValueError as error:
            raise ConfigurationError(f"Purse: {error}") from None

    @staticmethod
    def __refuses__(value: object) -> str:
        """What to give instead of an argument's value with which no purse can be made; "" if one can."""
        return "" if is_positive(value) else POSITIVE

    @handles
    def spend(self, message: Spend) -> Exceeded | None:
        now = self.now()
        charged = self.budget.charge(self.state, message.amount, now)
        if isinstance(charged, Exceeded):
            spent = self.budget.as_of(self.state, now)
            if spent != self.state:  # or what a clock that was ahead has noted would count until then
                self.state = spent
            return charged
        self.state = charged
        return None

    @handles
    def correct(self, message: Correct) -> None:
        self.state = self.budget.correct(self.state, message.by, self.now())

    @handles
    def left(self, message: Left) -> float:
        return self.budget.left(self.state, self.now())


async def spend(agent: Agent[Any], purse: str, amount: float) -> None:
    """Ask the purse at the path `purse`, from a handler of `agent`, and return when `amount` may be spent.

    Where it may not, yet, it raises `RateLimited` until it may: the agent waits, and its message is handled again. A
    handler of durability `message` that runs again after a crash does not ask anew for what it was granted. Raises
    `ConfigurationError` for more than the purse ever has, `ValueError` for what is no amount, and as `Ref.ask`.
    Cancelled: it may have been granted.
    """
    asked = Spend(amount)
    while (refused := await agent.ref(purse).ask(asked)) is not None:
        if refused.until is None:
            raise ConfigurationError(f"{agent.path}: {shown(amount)} is more than {purse} has in all; ask for less")
        wait = refused.until - agent.now()
        if wait > 0:
            raise RateLimited(wait, f"{purse} has {refused.left:g} left, and not {amount:g}")
        # else that is what it was told when it was handled before: each ask of a handler is kept, with its reply
