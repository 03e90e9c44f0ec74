"""Who waits for somebody who has been stopped: nobody will take what it has sent before it is stopped itself."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, TypeAlias, cast

import trio
from trio.lowlevel import Task

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
        gone, in all of its tasks; `now` if it has not, or if one of them may do something else."""
        gone: dict[Task, float] = {}
        for mail, lives, each, at in self._waits.pop(slot, ()):
            if each.task is not None and _waiter(each) is slot and _lives(mail) == lives:
                gone.setdefault(each.task, at)
        if not gone or not _waits_in(_root(next(iter(gone))), gone):
            return now
        return max(gone.values())


def _root(task: Task) -> Task:
    """The one that runs the handler, of its tasks."""
    turn = task.context.get(current_turn)
    while (nursery := task.parent_nursery) is not None and nursery.parent_task.context.get(current_turn) is turn:
        task = nursery.parent_task
    return task


def _waits_in(task: Task, gone: Container[Task]) -> bool:
    """Whether `task`, and each that it has begun in nurseries of the handler, is one of `gone` or waits for those."""
    turn = task.context.get(current_turn)
    begun = [each for nursery in task.child_nurseries for each in nursery.child_tasks]
    if not all(_waits_in(each, gone) for each in begun if each.context.get(current_turn) is turn):  # a body has another
        return False
    if task in gone:
        return True
    waits_for_them = cast("Any", type(trio.open_nursery())).__aexit__.__code__  # here: there is none outside of a loop
    return any(frame.f_code is waits_for_them for frame, _ in task.iter_await_frames())


def _lives(mail: Slot) -> int:
    """Another number as soon as somebody lives there again."""
    return mail.generation + sum(worker.generation for worker in mail.workers)


def _waiter(wait: Place | Answer) -> Slot | None:
    """The slot whose handler waits; None if it does not any more, or it is none."""
    if isinstance(wait, Answer):
        return None if wait.known else wait.asking
    turn = None if wait.task is None else wait.task.context.get(current_turn)
    return None if turn is None or turn.void or not turn.in_handler else turn.slot
