"""One small tree in several versions of its code, as it would be installed one after the other."""

from __future__ import annotations

import types
from typing import Any, Final

__all__ = ["FIRST", "NEWER", "RENAMED", "WITHOUT_UPCAST", "WITH_UPCAST", "code"]

_AGENT: Final = """
from attrs import frozen
from treewarden.agents import Agent, Request, Stop, handles
{classes}

@frozen
class Look(Request[tuple]): ...

class Desk(Agent[Tally]):
    state = Tally()

    @handles
    async def add(self, message: Add) -> None:
        self.state = {step}

    @handles
    def look(self, message: Look) -> tuple:
        return (type(self.state).__name__, self.state.total)
"""

_CLASSES: Final = """
@frozen
class Add:
    amount: int

@frozen
class Tally:
    total: int = 0
"""
_CENTS: Final = """
@frozen
class Add:
    __version__ = 2
    {add_upcasts}
    cents: int

@frozen
class Tally:
    __version__ = 2
    {tally_upcasts}
    total: int = 0
"""
_STEP: Final = "Tally(self.state.total + message.amount)"
_CENTS_STEP: Final = "Tally(self.state.total + message.cents)"

FIRST: Final = _AGENT.format(classes=_CLASSES, step=_STEP)
"""Amounts are whole."""
WITHOUT_UPCAST: Final = _AGENT.format(classes=_CENTS.format(add_upcasts="", tally_upcasts=""), step=_CENTS_STEP)
"""Amounts are cents, and nobody has said how the old ones become new."""
WITH_UPCAST: Final = _AGENT.format(
    classes=_CENTS.format(
        add_upcasts='__upcasts__ = {1: lambda old: {"cents": 100 * old["amount"]}}',
        tally_upcasts='__upcasts__ = {1: lambda old: {"total": 100 * old["total"]}}',
    ),
    step=_CENTS_STEP,
)
RENAMED: Final = FIRST.replace("Tally", "Count")
"""The state is of another class."""
NEWER: Final = WITH_UPCAST.replace("__version__ = 2", "__version__ = 9")


def code(text: str, name: str = "desk") -> Any:
    """The module `name` with this text, without being imported."""
    module = types.ModuleType(name)
    exec(text, module.__dict__)
    return module
