"""The results of a stage: handed on to those after it, who may have no room."""

from __future__ import annotations

import math
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from .core.path import Path
from .errors import TreewardenError
from .intake import Beyond, Intake
from .orders import StopOrder
from .slot import current_turn

if TYPE_CHECKING:
    from .life import Life

__all__ = ["hand_on", "hurry"]


async def hand_on(life: Life, result: object) -> None:
    """Tell `result` to everybody in the outlet, one after the other, and wait for room.

    Whoever is to stop waits for none: its last result is taken beyond the capacity (`Intake.takes_beyond`). At the end
    of the tree so are those of all that it drains: there are no more of these than had waited for it, and whoever gets
    them is stopped after it, with a grace of its own to handle them.
    """
    for ref in life.outlet:
        beyond = _beyond(life)
        if beyond is not None:
            await ref.hand_over(result, life.turn, beyond)
        else:
            await ref.tell(result, within=math.inf)


def hurry(life: Life) -> None:
    """It is to stop: if it waits for room for a result, let it have that at once."""
    beyond = _beyond(life)
    assert beyond is not None
    for ref in life.outlet:
        with suppress(TreewardenError):  # nobody is there: so it does not wait there
            for slot in ref.slots:
                slot.let_in(beyond, lambda task: task.context.get(current_turn) is life.turn)


def _beyond(life: Life) -> Beyond | None:
    """Which full mailboxes take a result all the same; None: it is not to stop, and waits for room as others do."""
    if life.drains:
        return _in_any_case
    orders = life.slot.orders if life.slot.has_control else ()
    order = next((each for each in orders if type(each) is StopOrder), None)
    if order is None:
        return None
    return _in_any_case if order.drain else partial(_as_one_of, life.slot.path)


def _in_any_case(_: Intake) -> bool:
    return True


def _as_one_of(sender: Path, slot: Intake) -> bool:
    return slot.takes_beyond(sender)
