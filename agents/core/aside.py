"""What an agent has put aside of its mailbox, until it wants it."""

from __future__ import annotations

from attrs import field

from .message import Envelope
from .values import define

__all__ = ["Aside"]


@define(eq=False)
class Aside:
    """The messages that were put aside, in that order, and the types that are put aside as they come."""

    items: list[object] = field(factory=list[object])
    kinds: tuple[type, ...] = ()

    def wants(self, item: object) -> bool:
        """Whether this message is put aside as it comes."""
        return _is_one(item, self.kinds)

    def release(self, kinds: tuple[type, ...]) -> list[object]:
        """Give up what is of these types, or everything, and put no more of it aside."""
        released = [item for item in self.items if not kinds or _is_one(item, kinds)]
        self.items = [item for item in self.items if kinds and not _is_one(item, kinds)]
        self.kinds = tuple(kind for kind in self.kinds if kinds and kind not in kinds)
        return released


def _is_one(item: object, kinds: tuple[type, ...]) -> bool:
    return isinstance(item.body if isinstance(item, Envelope) else item, kinds)
