"""The stage on which a race is run: agents that really fail, and the hidden truth about why."""

from __future__ import annotations

from typing import NoReturn

import trio
from attrs import define, evolve, field, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.message import Request
from treewarden.agents.errors import RateLimited

from .incidents import Trouble

__all__ = ["Fault", "Poison", "Spoil", "Stage", "Use", "Worker"]

START = 2.0
"""Seconds that a start takes while there is trouble."""
PAUSE = 20.0
"""Seconds for which a life that does not fail at once still works."""
RETRY_AFTER = 20.0
"""Seconds that the other side asks for."""
LEAST = 0.05
"""Seconds that a handler works before it fails."""


@frozen
class Use(Request[bool]):
    """What the service is there for."""


@frozen
class Poison:
    """A message that may be the trouble itself, or only be in hand while there is some."""


@frozen
class Spoil:
    """Make the state a bad one, or make it anew, and keep it."""

    bad: bool


@frozen
class Ledger:
    serial: int = 0
    bad: bool = False


class CorruptLedgerError(Exception):
    """The state does not hold together."""


class ServiceOverloaded(Exception):
    """Somebody has too much to do."""


@define(eq=False)
class Fault:
    """One incident while it lasts."""

    trouble: Trouble
    began: float
    members: tuple[str, ...]
    """The paths that are in it; the first one is what is measured."""
    ends: float
    dormant: bool = True
    """What meters show can be seen, and nobody fails yet."""
    cleared: bool = False
    by: str = ""
    """What ended it."""
    residual: float = 0.0
    """What is missing of the service until it ends, once it is mitigated."""
    tries: dict[str, int] = field(factory=dict[str, int])
    signs: int = 0
    by_chance: set[str] = field(factory=set[str])
    """Members that only looked like it, once, and have."""
    recovered: float | None = None

    def over(self, now: float) -> bool:
        return self.cleared or (now >= self.ends and not self.dormant)

    @property
    def shared(self) -> bool:
        """It is outside of whoever is in it, or in the code of all."""
        return self.trouble.nature.lasts is not None or self.trouble.cause == "bad_version"

    def concerns(self, path: str) -> bool:
        """Whether an action on this member is one against this fault."""
        return path == self.members[0] or self.shared

    def tried(self, action: str, now: float, *, gently: bool = False) -> bool:
        """An action was taken. Returns whether this is over with it, or was; `gently` prolongs nothing."""
        nth = self.tries[action] = self.tries.get(action, 0) + 1
        if self.over(now):
            return True
        nature = self.trouble.nature
        if self.trouble.helps(action, nth):
            self.cleared, self.by = True, action
            self.residual = nature.mitigated.get(action, 0.0)
            return True
        if not gently:
            self.ends += nature.prolonged.get(action, 0.0)
        return False


@define(eq=False)
class Stage:
    """What is true, for the agents to ask. One for each race."""

    fault: Fault | None = None

    def about(self, path: str) -> Fault | None:
        """The fault that `path` is in, while it lasts."""
        fault = self.fault
        if fault is None or fault.dormant or path not in fault.members or fault.over(trio.current_time()):
            return None
        if not fault.concerns(path):
            if path in fault.by_chance:
                return None
            fault.by_chance.add(path)
        return fault


class Worker(Agent[Ledger]):
    """Works for whoever asks, and fails as the stage has it."""

    state = Ledger()

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.fresh = False
        """It was started while there was trouble, and has not worked yet."""

    async def on_start(self) -> None:
        if self.stage.fault is not None:
            await trio.sleep(START)
            self.fresh = True

    @handles
    async def use(self, message: Use) -> bool:
        fault = self.stage.about(self.path)
        if fault is None or self._is_well(fault, poison=False):
            return True
        fresh, self.fresh = self.fresh, False
        if fresh and "refails" not in fault.trouble.circumstances:
            return False
        await _fail(fault)
        return False

    @handles
    async def poison(self, message: Poison) -> None:
        fault = self.stage.about(self.path)
        if fault is not None and not self._is_well(fault, poison=True):
            await _fail(fault)

    @handles
    async def spoil(self, message: Spoil) -> None:
        self.state = evolve(self.state, serial=self.state.serial + 1, bad=message.bad)
        self.checkpoint()

    def _is_well(self, fault: Fault, *, poison: bool) -> bool:
        """Whether the fault is not about this: its state is a good one, or the message another one."""
        match fault.trouble.cause:
            case "bad_state":
                return not self.state.bad
            case "poison_message":
                return not poison
            case _:
                return False


async def _fail(fault: Fault) -> None:
    await trio.sleep(LEAST)
    sign = fault.trouble.sign(fault.signs)
    fault.signs += 1
    match sign:
        case "stalled":
            await trio.sleep_forever()
        case "rate_limited":
            raise RateLimited(RETRY_AFTER)
        case _:
            _crash(sign)


def _crash(sign: str) -> NoReturn:
    match sign:
        case "connection":
            raise ConnectionResetError("the other side is gone")
        case "timeout":
            raise TimeoutError("no answer in time")
        case "code_error":
            raise TypeError("that does not fit")
        case "bad_state":
            raise CorruptLedgerError("this ledger does not add up")
        case "out_of_memory":
            raise MemoryError("nothing left")
        case "overloaded":
            raise ServiceOverloaded("too much to do")
        case _:
            raise RuntimeError("something went wrong")
