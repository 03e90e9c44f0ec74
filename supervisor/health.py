"""Progress, not liveness: whoever has work in hand and brings forth nothing new is a hang. And whose mailbox fills."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from treewarden.agents.slot import Slot

from .common import Common
from .fence import AgentLife

__all__ = ["watch_progress"]

_SHORTEST: Final = 0.05
_LONGEST: Final = 5.0
_NOBODY: Final = 1.0
"""How often to look whether somebody with a limit has come."""
_QUEUE: Final = 1.0
"""How long a mailbox may be nearly full before that is sure to be seen, if no limit of its own says how old is old."""
_LATE: Final = 0.5
"""A sweep that comes later than this share of its interval says more about the loop than about the agents."""


async def watch_progress(common: Common) -> None:
    """Look at every life that has a limit of progress, of its mailbox or of what is measured, four times within the
    shortest limit and every 5 s at least, until cancelled. Somebody with a shorter limit than all others may have to
    wait so long for the first look.

    A sweep that comes late is left out: a loop that lags must not take its own lag for theirs.
    """
    sleep_until: Callable[[float], Awaitable[object]]
    # A clock that is simulated may know a cheaper way: nothing else happens as often in a tree that has little to do.
    sleep_until = getattr(trio.lowlevel.current_clock(), "sleep_until", trio.sleep_until)
    while True:
        interval = _interval(common)
        due = common.clock.now() + interval
        await sleep_until(due)
        if common.clock.now() - due > _LATE * interval:
            continue
        watched, common.watched = common.watched, dict(common.watched)  # which is as small as it can be by now
        for life in watched:
            _look(life, common.clock.now())
        if common.queues:
            _look_at_queues(common)
        if common.intakes:
            from .intake import look_at_intakes  # here and below: few agents have limits of these kinds

            look_at_intakes(common)
        if common.measures:
            common.gauges.look()


def _interval(common: Common) -> float:
    limits = [common.shortest_limit] if common.shortest_limit < math.inf else []
    limits += [4 * common.gauges.interval] if common.measures and common.gauges.interval < math.inf else []
    limits += [_QUEUE if life.spec.overload is None else life.spec.overload.oldest or _QUEUE for life in common.queues]
    limits += [
        4 * min(intake.every, intake.oldest) for intake in (life.spec.intake for life in common.intakes) if intake
    ]
    return min(_LONGEST, max(_SHORTEST, min(limits) / 4)) if limits else _NOBODY


def _look(life: AgentLife, now: float) -> None:
    slot = life.slot
    if slot.busy is None or slot.busy is life.stalled_on or life.exit is not None:
        return
    from .core.limits import check_progress

    signal = check_progress(
        slot.path, now, since=slot.busy_since, last_new=slot.progress_at, limit=life.limit, doing=life.doing
    )
    if signal is None:
        return
    if slot.agent is not None and slot.agent.life.turn.waits:
        slot.progress_at = now  # whoever has no room for what it tells may hang, and it begins anew when it has some
        return
    life.stalled_on = slot.busy
    life.parent.post(signal)


def _look_at_queues(common: Common) -> None:
    """One signal when a mailbox becomes overloaded, and one when it is no longer. Workers that share a queue speak
    through the first of them."""
    from .core.limits import check_queue

    now = common.clock.now()
    seen: set[Slot] = set()
    for life in list(common.queues):
        mail, limit = life.slot.mail, life.spec.overload
        if limit is None or mail in seen or life.exit is not None:
            continue
        seen.add(mail)
        life.child.overloaded, signal = check_queue(
            life.slot.path,
            now,
            limit,
            over=life.child.overloaded,
            depth=len(mail),
            capacity=life.spec.mailbox.capacity,
            oldest=mail.oldest,
        )
        if signal is not None:
            life.parent.post(signal)
