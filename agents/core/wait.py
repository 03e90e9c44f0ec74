"""Waits of handlers: what is known of one, which of them are over, and what that means for the messages that wait for
them. Nobody here acts, or has a clock."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from .message import MessageId
from .path import Path
from .said import is_number, shown
from .step import check_name, message_of
from .values import frozen

__all__ = [
    "EVENT",
    "MARK",
    "TIME",
    "WAITS",
    "Sorted",
    "Wait",
    "check_name",
    "is_over",
    "open_waits",
    "replaced_by",
    "sort_out",
    "wait_name",
    "wall_seconds",
]

MARK: Final = "~"
"""What stands between path and name of a wait. No path has it, and no effect."""
WAITS: Final = "waits"
"""The kind of what is stored when a wait begins: no value of a user's is stored under it."""
TIME: Final = "time"
"""What is waited for by `sleep_until`."""
EVENT: Final = "event"
"""What is waited for by `wait_event`."""


@frozen(kw_only=True)
class Wait:
    """A wait of a handler that has begun."""

    step: MessageId
    name: str
    what: str
    """Of which kind it is: `time`, `event`, `approval`; empty in a test that does not say."""
    about: Any = ""
    """What is waited for, besides the time: JSON data."""
    place: int
    """How many waits its handler had come to by then, with this one."""
    path: Path
    """Whose handler waits."""
    mail: Path
    """Where its message stands: there, or in a queue that it shares with others."""
    kind: str
    """Of the message in hand."""
    since: float
    """Wall seconds."""
    until: float | None = None
    """Wall seconds; None: for as long as it takes."""
    over: bool = False
    """This process has found that it is, whatever the clock says later."""

    @property
    def message(self) -> MessageId:
        return message_of(self.step)


def wait_name(mail: Path, name: str) -> str:
    """What waits called `name` of the agents that take from the mailbox at `mail` are numbered by."""
    return f"{mail}{MARK}{name}"


def wall_seconds(when: object) -> float:
    """`when` in seconds since 1970. Raises `ValueError` with the remedy."""
    if isinstance(when, datetime):
        if when.utcoffset() is None:
            raise ValueError(f"{when} names no zone; give one, as in datetime.now(UTC) + timedelta(hours=1)")
        return when.timestamp()
    if not is_number(when) or not -math.inf < when < math.inf:
        raise ValueError(
            f"when is {shown(when)}; give a datetime with a zone, or seconds since 1970, as in now() + 3600"
        )
    return float(when)


def is_over(wait: Wait, wall: float) -> bool:
    """Whether nothing keeps its handler any more, as far as time goes."""
    return wait.over or (wait.until is not None and wait.until <= wall)


def replaced_by(wait: Wait, others: Iterable[Wait]) -> list[Wait]:
    """Those of the same message that an earlier delivery came to where this one begins, or later: their handler takes
    another way now."""
    return [each for each in others if each.step != wait.step and each.place >= wait.place]


def open_waits(waits: Iterable[Wait], done: Collection[MessageId] = ()) -> dict[MessageId, Wait]:
    """For which wait each message waits, over or not: the last one that its handler came to, unless that is `done`; but
    where one for an event, or a person, is not, the first of these. Its event was turned down when the handler ran
    again, or it is asked for anew, and all that the handler had come to behind it stands."""
    last: dict[MessageId, Wait] = {}
    first: dict[MessageId, Wait] = {}
    for each in waits:
        known = last.get(each.message)
        if known is None or known.place < each.place:
            last[each.message] = each
        before = first.get(each.message)
        if each.what not in (TIME, "") and each.step not in done and (before is None or each.place < before.place):
            first[each.message] = each
    return {message: wait for message, wait in last.items() if wait.step not in done} | first


@frozen
class Sorted:
    """What a mailbox holds when a process begins."""

    back: tuple[int, ...] = ()
    """Places of messages whose wait is over, in the order in which they come back, before all others."""
    rest: tuple[int, ...] = ()
    """Of those that wait for their turn."""
    parked: tuple[int, ...] = ()
    first: int | None = None
    """Of the message that was first when the process before this one died, as far as anybody knows."""


def sort_out(
    messages: Sequence[MessageId],
    waiting: Mapping[MessageId, Wait],
    wall: float,
    known: Collection[MessageId] = (),
) -> Sorted:
    """Which of these messages come back, wait for their turn, or stay parked.

    `waiting`: the open waits. `known`: messages whose wait was over before the last process died. One whose time has
    come since somebody looked may have come back before that or not: it is not the one to blame.

    >>> sort_out(["a", "b"], {}, 0.0).first
    0
    """
    back: list[tuple[float, int]] = []
    rest: list[int] = []
    parked: list[int] = []
    for place, message in enumerate(messages):
        wait = waiting.get(message)
        if message in known:
            back.append((-math.inf if wait is None or wait.until is None else wait.until, place))
        elif wait is None:
            rest.append(place)
        elif is_over(wait, wall):
            back.append((math.inf if wait.until is None else wait.until, place))
        else:
            parked.append(place)
    back.sort()
    order = [place for _, place in back]
    came = [place for place in order if messages[place] in known]
    first = came[0] if came else rest[0] if rest else None
    return Sorted(tuple(order), tuple(rest), tuple(parked), first)
