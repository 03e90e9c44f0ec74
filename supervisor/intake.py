"""The intake of agents that have a limit for how long messages may wait: fewer are admitted, then slowly more."""

from __future__ import annotations

from typing import Final

from treewarden.agents.core.limiter import Limiter, adapt, cut
from treewarden.agents.slot import Slot

from .child import Child
from .common import Common
from .core.event import IntakeChanged
from .core.spec import ChildSpec

__all__ = ["close_by_half", "look_at_intakes"]

_WAIT_LONG: Final = "messages wait too long"
_ASKED: Final = "it was throttled"
_OPEN: Final = "none waits too long any more"


def look_at_intakes(common: Common) -> None:
    """Let each admit as many as its oldest message says. Workers that share a queue speak through the first of them."""
    seen: set[Slot] = set()
    for life in list(common.intakes):
        limit, mail, child = life.spec.intake, life.slot.mail, life.child
        if limit is None or mail in seen or life.exit is not None or mail.paused:
            continue
        seen.add(mail)
        most = life.spec.mailbox.capacity
        before = child.limiter or _first(mail, most, limit.least)
        oldest = mail.oldest
        state = adapt(limit, before, most, oldest, common.clock.now(), len(mail))
        _set(child, mail, state, most, common, oldest, _WAIT_LONG if state.admits < before.admits else _OPEN)


def close_by_half(child: Child, common: Common, hold: float) -> bool:
    """Admit half as many, and no more before `hold` seconds have passed. False for one whose intake has no limit."""
    spec, slot = child.spec, child.slot
    if not isinstance(spec, ChildSpec) or spec.intake is None or slot is None:
        return False
    mail, most = slot.mail, spec.mailbox.capacity
    before = child.limiter or _first(mail, most, spec.intake.least)
    state = cut(spec.intake, before, most, common.clock.now(), hold)
    _set(child, mail, state, most, common, mail.oldest, _ASKED)
    return True


def _first(mail: Slot, most: int, least: int) -> Limiter:
    """A process that finds more than half of what may wait begins slowly: that may be what ended the one before."""
    found = len(mail) - mail.accepted
    return Limiter(max(min(least, most), most // 2) if found * 2 > most else most)


def _set(child: Child, mail: Slot, state: Limiter, most: int, common: Common, oldest: float, why: str) -> None:
    before = mail.spec.capacity
    child.limiter = state
    if state.admits == before:
        return
    mail.admit(state.admits)
    if state.admits < before or state.admits == most:
        common.note(IntakeChanged(path=mail.path, admits=state.admits, of=most, oldest=oldest, why=why))
