"""What a mailbox can say about itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from attrs import field

from .core.values import frozen

__all__ = ["MailboxStatistics", "together"]


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
    waiting: Mapping[str, int] = field(factory=dict[str, int])
    """How many wait, by the name of their type."""
    dropped_kinds: Mapping[str, int] = field(factory=dict[str, int])
    """How many the policy has dropped, by the name of their type."""


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
        waiting=sum((Counter(each.waiting) for each in parts), Counter[str]()),
        dropped_kinds=sum((Counter(each.dropped_kinds) for each in parts), Counter[str]()),
    )
