"""The results of a stage: handed on to those after it, who may have no room."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING

from .errors import TreewardenError
from .orders import StopOrder
from .slot import current_turn

if TYPE_CHECKING:
    from .life import Life

__all__ = ["hand_on", "hurry"]


async def hand_on(life: Life, result: object) -> None:
    """Tell `result` to everybody in the outlet, one after the other, and wait for room.

    Whoever is to stop waits for none: its last results are taken beyond the capacity (`Intake.takes_beyond`).
    """
    for ref in life.outlet:
        if life.slot.has_control and any(type(order) is StopOrder for order in life.slot.orders):
            await ref.hand_over(result, life.turn)
        else:
            await ref.tell(result, within=math.inf)


def hurry(life: Life) -> None:
    """It is to stop: if it waits for room for a result, let it have that at once."""
    for ref in life.outlet:
        with suppress(TreewardenError):  # nobody is there: so it does not wait there
            for slot in ref.slots:
                slot.let_in(life.slot.path, lambda task: task.context.get(current_turn) is life.turn)
