"""What a mailbox can say about itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import field

from .core.values import frozen

if TYPE_CHECKING:
    from .core.parked import ParkedMessages

__all__ = ["MailboxStatistics", "set_aside", "together"]


@frozen
class MailboxStatistics:
    """A mailbox at one moment."""

    depth: int
    """Messages that wait; the one in hand and ticks that are due do not count."""
    capacity: int
    reserved: int
    """Room promised to messages that are still on their way to the disk."""
    senders_waiting: int
    oldest: float
    """Seconds that the oldest message has waited, at most; 0 if none does."""
    accepted: int
    """Messages queued so far, those included that were dropped later to make room."""
    dropped: int
    """Messages that the overflow policy has made dead letters."""
    paused: tuple[str, ...]
    """Why nothing is taken at present; empty if it is."""
    stashed: int = 0
    """Messages that its agent has put aside."""
    parked: int = 0
    """Messages whose handlers wait (`sleep_until`)."""
    events: int = 0
    """Events that have come, and for which no handler waits yet (`Happened`)."""
    waiting: Mapping[str, int] = field(factory=dict[str, int])
    """How many wait, by the name of their type."""
    dropped_kinds: Mapping[str, int] = field(factory=dict[str, int])
    """How many the policy has dropped, by the name of their type."""


def set_aside(parked: ParkedMessages | None) -> dict[str, int]:
    """What a mailbox holds besides what waits for its turn."""
    return {} if parked is None else {"parked": len(parked), "events": len(parked.events)}


def together(parts: Sequence[MailboxStatistics]) -> MailboxStatistics:
    """The mailboxes of a pool's workers as if they were one; a pause that only some have does not pause it."""
    return MailboxStatistics(
        depth=sum(each.depth for each in parts),
        capacity=sum(each.capacity for each in parts),
        reserved=sum(each.reserved for each in parts),
        senders_waiting=sum(each.senders_waiting for each in parts),
        oldest=max((each.oldest for each in parts), default=0.0),
        accepted=sum(each.accepted for each in parts),
        dropped=sum(each.dropped for each in parts),
        paused=parts[0].paused if parts and all(each.paused for each in parts) else (),
        stashed=sum(each.stashed for each in parts),
        parked=sum(each.parked for each in parts),
        events=sum(each.events for each in parts),
        waiting=sum((Counter(each.waiting) for each in parts), Counter[str]()),
        dropped_kinds=sum((Counter(each.dropped_kinds) for each in parts), Counter[str]()),
    )
