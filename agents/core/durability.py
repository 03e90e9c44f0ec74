"""What a slot's mailbox holds, what it does when it is full, and what survives which crash."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Final, TypeAlias

from attrs import Attribute, field

from .said import is_count, is_number, shown
from .values import frozen

__all__ = ["MESSAGE", "VOLATILE", "Checkpointed", "Durability", "MailboxSpec", "Message", "Overflow", "Volatile"]


@frozen
class Volatile:
    """State and mailbox are in memory: `kill -9` loses both, a crash of the actor loses the message in hand."""


def _is_time(value: object) -> bool:
    return is_number(value) and 0 < value < math.inf


@frozen
class Checkpointed:
    """As `Volatile`, but the state is kept every `messages` settles or `seconds`, whichever comes first."""

    messages: int | None = None
    seconds: float | None = None

    def __attrs_post_init__(self) -> None:
        if self.messages is None and self.seconds is None:
            raise ValueError("checkpoint every what? give messages or seconds")
        if self.messages is not None and not is_count(self.messages):
            raise ValueError(f"messages is {shown(self.messages)}; it must be a whole number, 1 or more")
        if self.seconds is not None and not _is_time(self.seconds):
            raise ValueError(f"seconds is {shown(self.seconds)}; it must be positive and finite")


@frozen
class Message:
    """State and mailbox are on disk with every message: nothing acknowledged is lost, whatever dies."""


Durability: TypeAlias = Volatile | Checkpointed | Message
VOLATILE: Final = Volatile()
MESSAGE: Final = Message()


class Overflow(StrEnum):
    """What a full mailbox does with the next message of a user. Control traffic is never refused or dropped."""

    WAIT = "wait"
    """`tell` waits for room; `tell_nowait` raises `MailboxFull`."""
    DROP_OLDEST = "drop_oldest"
    """The oldest waiting tell becomes a dead letter; `tell` waits where all room is on its way to the disk. Asks are
    never dropped: their askers get `MailboxFull`."""
    DROP_NEWEST = "drop_newest"
    """The new message becomes a dead letter, which is on disk, where the mailbox is, when `tell` returns; an ask gets
    `MailboxFull`."""
    COALESCE = "coalesce"
    """The last waiting message of the same type and priority is replaced by the new one, at its place; else as `wait`.
    So the messages of one type are handled in their order, and may come before older ones of another."""
    REFUSE = "refuse"
    """`MailboxFull` at once, for `tell` too."""


def _positive(_instance: object, attribute: Attribute[int], value: object) -> None:
    if not is_count(value):
        raise ValueError(f"{attribute.name} is {shown(value)}; it must be a whole number, 1 or more")


@frozen(kw_only=True)
class MailboxSpec:
    """The mailbox of one slot."""

    capacity: int = field(default=64, validator=_positive)
    """How many messages of users may wait; the one in hand does not count."""
    overflow: Overflow = Overflow.WAIT
    durability: Durability = MESSAGE
    deliveries: int = field(default=2, validator=_positive)
    """Attempts in all before a message that ends its agent is set aside."""
