"""Handlers that wait for room which only their settles would make: each holds what another one waits for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set

from attrs import frozen

from .ports import Outgoing
from .slot import Slot, Turn, current_turn

__all__ = ["Dropped", "standstill"]


@frozen
class Dropped(Outgoing):
    """A message that leaves, with the settle of the handler that told it, to be given up: it holds no room."""


def standstill(slot: Slot, turn: Turn) -> Mapping[Turn, Set[Slot]]:
    """Who would wait for one another, and where, once `turn` waits for room in `slot`, itself among them; nobody if
    there may be room, because some of it is held by somebody who goes on.

    What a handler has told leaves when it settles, and holds room until then.
    """
    waits = _waiting_for(turn)
    waits.setdefault(turn, set()).add(slot)
    while turn in waits:
        held = Counter(each.target for one in waits for each in one.outgoing if type(each) is not Dropped)
        able = [one for one, slots in waits.items() if all(held[each] < each.most for each in slots)]
        if not able:
            return waits
        for one in able:
            del waits[one]
    return {}


def _waiting_for(turn: Turn) -> dict[Turn, set[Slot]]:
    """Who waits for room, and where, that `turn` holds, or that one of these holds."""
    waits: dict[Turn, set[Slot]] = {}
    ahead = [turn]
    while ahead:
        for slot in {each.target for each in ahead.pop().outgoing}:
            for one in _in_line(slot):
                if one not in waits:
                    ahead.append(one)
                waits.setdefault(one, set()).add(slot)
    return waits


def _in_line(slot: Slot) -> set[Turn]:
    """Whose handlers wait there for room."""
    found = {each.task.context.get(current_turn) for each in slot.line if each.task is not None}
    return {one for one in found if one is not None and not one.void}
