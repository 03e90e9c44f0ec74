"""The end of a tree: nobody lives there any more, and all its mailboxes are closed."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

import trio

from treewarden.agents.core.durability import Message
from treewarden.agents.core.message import Envelope
from treewarden.agents.core.path import ROOT
from treewarden.agents.errors import AgentStopped
from treewarden.supervisor.unsettled import give_up_all

if TYPE_CHECKING:
    from treewarden.agents.slot import Slot
    from treewarden.supervisor.common import Common
    from treewarden.supervisor.journal.slices import Slices

__all__ = ["closing"]

_AT_ONCE: Final = 400
"""Slots that are closed at a time: in two milliseconds."""


def closing(common: Common) -> Slices[None]:
    """Nobody will handle anything any more: asks are told so, and what was only in memory is given up by name.

    With pauses, if there are many slots. Begun again, it does the rest.
    """
    common.over = True
    slots = iter(list(common.registry))
    while run := list(islice(slots, _AT_ONCE)):
        for slot in run:
            if not slot.ended:
                _close(slot, common)
        if len(run) == _AT_ONCE:
            yield
    common.registry.close_asleep(ROOT, "the tree has ended", None)


@trio.lowlevel.enable_ki_protection  # as `close_slot`
def _close(slot: Slot, common: Common) -> None:
    left = slot.close(AgentStopped(f"{slot.path}: the tree has ended", path=slot.path))
    if isinstance(slot.spec.durability, Message):  # what is on disk is for the next process
        left = [item for item in left if isinstance(item, Envelope) and item.reply is not None]
    give_up_all(slot, left, "the tree was stopped before its turn", common)
