"""Who waits for somebody who has been stopped: nobody will take what it has sent before it is stopped itself."""

from __future__ import annotations

from typing import TypeAlias

from treewarden.agents.asking import Answer, answer_of
from treewarden.agents.core.message import Envelope
from treewarden.agents.room import Place
from treewarden.agents.slot import Slot, current_turn

__all__ = ["Stranded"]

_Wait: TypeAlias = tuple[Slot, int, Place | Answer, float]
"""Where somebody waits, which lives there had been, in what, and since when nobody lives there."""


class Stranded:
    """The handlers of a tree that wait for room or for a reply where somebody was stopped, each since when.

    Whoever is stopped while its handler waits so has its grace from then on, and not from when its turn comes: the
    graces of twenty senders to one who has gone are over together, and not one after the other.
    """

    def __init__(self) -> None:
        self._waits: dict[Slot, list[_Wait]] = {}

    def leave(self, slot: Slot, now: float) -> None:
        """Whoever lived here was stopped at `now`."""
        mail = slot.mail
        if mail.inhabited or not (mail.line or len(mail)):
            return
        asked = [answer_of(item.reply) for item in mail if type(item) is Envelope and item.reply is not None]
        self._waits = {
            who: waits for who, waits in self._waits.items() if any(_waiter(each) is who for _, _, each, _ in waits)
        }
        for wait in (*mail.line, *asked):
            who = None if wait is None else _waiter(wait)
            if wait is not None and who is not None:
                self._waits.setdefault(who, []).append((mail, _lives(mail), wait, now))

    def since(self, slot: Slot, now: float) -> float:
        """Since when the handler of whoever lives here, and is to be stopped, has waited for nobody but such who are
        gone; `now` if it has not."""
        waits = self._waits.pop(slot, ())
        if any(asked.mail.inhabited for asked in slot.waiting_on or ()):
            return now
        gone = [at for mail, lives, each, at in waits if _waiter(each) is slot and _lives(mail) == lives]
        return min(gone, default=now)


def _lives(mail: Slot) -> int:
    """Another number as soon as somebody lives there again."""
    return mail.generation + sum(worker.generation for worker in mail.workers)


def _waiter(wait: Place | Answer) -> Slot | None:
    """The slot whose handler waits; None if it does not any more, or it is none."""
    if isinstance(wait, Answer):
        return None if wait.known else wait.asking
    turn = None if wait.task is None else wait.task.context.get(current_turn)
    return None if turn is None or turn.void or not turn.in_handler else turn.slot
