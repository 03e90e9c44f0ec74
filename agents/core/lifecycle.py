"""The states of a slot and the one function that moves between them."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = ["NEXT", "SlotEvent", "SlotState", "advance"]


class SlotState(StrEnum):
    """Where a slot is. OTP shows DOWN and HELD as `undefined`, RESTARTING as `restarting`, the rest as a pid."""

    DOWN = "down"
    """No incarnation and none wanted: never started, ignored, finished, or terminated."""
    STARTING = "starting"
    """`on_start` runs; the supervisor waits for it."""
    UP = "up"
    """An incarnation is current; hibernated ones count, they only have no task."""
    STOPPING = "stopping"
    """Asked to end; the supervisor waits for it."""
    RESTARTING = "restarting"
    """A restart failed or is delayed, or a dependency is down; the next attempt is queued or on a timer."""
    HELD = "held"
    """Waits for a human, or a new version."""


class SlotEvent(StrEnum):
    """What may happen to a slot."""

    START = "start"
    STARTED = "started"
    START_FAILED = "start failed"
    IGNORED = "ignored"
    EXITED = "exited"
    STOP = "stop"
    DELAY = "delay"
    HOLD = "hold"
    ABANDON = "abandon"


_S: Final = SlotState
_E: Final = SlotEvent
NEXT: Final[dict[tuple[SlotState, SlotEvent], SlotState]] = {
    (_S.DOWN, _E.START): _S.STARTING,
    (_S.DOWN, _E.DELAY): _S.RESTARTING,
    (_S.DOWN, _E.HOLD): _S.HELD,
    (_S.DOWN, _E.STOP): _S.DOWN,
    (_S.STARTING, _E.STARTED): _S.UP,
    (_S.STARTING, _E.START_FAILED): _S.DOWN,
    (_S.STARTING, _E.IGNORED): _S.DOWN,
    (_S.STARTING, _E.EXITED): _S.DOWN,
    (_S.UP, _E.STOP): _S.STOPPING,
    (_S.UP, _E.EXITED): _S.DOWN,
    (_S.STOPPING, _E.EXITED): _S.DOWN,
    (_S.RESTARTING, _E.START): _S.STARTING,
    (_S.RESTARTING, _E.STOP): _S.DOWN,
    (_S.RESTARTING, _E.DELAY): _S.RESTARTING,
    (_S.RESTARTING, _E.HOLD): _S.HELD,
    (_S.RESTARTING, _E.ABANDON): _S.DOWN,
    (_S.HELD, _E.START): _S.STARTING,
    (_S.HELD, _E.STOP): _S.DOWN,
    (_S.HELD, _E.HOLD): _S.HELD,
    (_S.HELD, _E.DELAY): _S.RESTARTING,
}
"""What `advance` goes by."""


def advance(state: SlotState, event: SlotEvent) -> SlotState:
    """The state after `event`. Raises `ValueError` for an event that cannot happen there: that is a bug of ours."""
    try:
        return NEXT[state, event]
    except KeyError:
        raise ValueError(f"a slot that is {state.value} cannot see '{event.value}'") from None
