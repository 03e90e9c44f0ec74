"""Which events of a journal may be given up, and the record that stays of them.

Old events are cut off at a boundary: an event `EventsPruned` says up to which one they went and what hash that one had.
It stands in the chain itself, so what is left is proven as before: it begins at that hash, and leads to the head.
"""

from __future__ import annotations

from typing import Any, Final

from attrs import Attribute, field

from treewarden.agents.core.said import is_count, is_number, shown
from treewarden.agents.core.values import frozen

from .chain import GENESIS, Fault, FaultKind, Head
from .event import EventsPruned

__all__ = ["EventRetention", "boundary_faults", "boundary_text", "chain_start", "wanted_cut"]

_VERSION: Final = 1
_LONGEST: Final = 1e300
"""Seconds: as long as can be counted with."""


def _count(_instance: object, attribute: Attribute[int | None], value: Any) -> None:
    if value is not None and not is_count(value, 0):
        raise ValueError(f"{attribute.name} is {shown(value)}; it must be a whole number, 0 or more")


def _seconds(_instance: object, attribute: Attribute[float | None], value: Any) -> None:
    if value is not None and (not is_number(value) or not 0 <= value <= _LONGEST):
        raise ValueError(f"{attribute.name} is {shown(value)}; it must be a number of seconds, 0 or more")


@frozen(kw_only=True)
class EventRetention:
    """Which events of a journal stay. One stays if any rule says so; those before the first that stays may go.

    Besides, these stay: an incident that is open, from its beginning; the event of a checkpoint with a name or a tag,
    for a fork may begin there; and where heads are kept outside of the file, all that no head covers. What the events
    that go have taught, which forks they tell of, which checkpoints were given up by going back, and what every slot
    was then, is written down in the record of the cut.
    """

    last: int | None = field(default=None, validator=_count)
    """The newest so many stay."""
    within: float | None = field(default=None, validator=_seconds)
    """Those younger than this many seconds stay."""
    past_checkpoints: bool = False
    """Go past checkpoints with a name or a tag too: they stay, and a fork can no longer begin at them."""

    def __attrs_post_init__(self) -> None:
        if self.last is None and self.within is None:
            raise ValueError("a retention of events says how many stay (last), or for how many seconds (within)")


def wanted_cut(retention: EventRetention, head: int, before: int) -> int:
    """The last event that `retention` lets go, of `head`; `before` is the last one that is too old for `within`."""
    by_count = head if retention.last is None else head - retention.last
    by_age = head if retention.within is None else before
    return max(0, min(by_count, by_age))


def boundary_text(tree: str, through: int, hash: str, count: int) -> bytes:
    """What is signed of a cut."""
    return f"treewarden cut {_VERSION}\n{tree} {through} {hash} {count}".encode()


def chain_start(cut: EventsPruned | None, first: int | None, prev: object) -> tuple[Head | None, tuple[Head, ...]]:
    """Where the events that are there have to begin, and the heads that they have to lead through because of the cut.

    `first` is the number of the first one, None if there is none, and `prev` what it is chained to. Behind a cut rows
    may be left of those that were given up, if whoever deleted them was interrupted.
    """
    if cut is None or not cut.through:  # of a journal that was numbered anew it is only told what there was
        return None, ()
    try:
        end = Head(cut.through, bytes.fromhex(cut.hash))
    except ValueError:
        return None, ()
    if first is None or first > cut.through:
        return end, (end,)
    return (None if first == 1 else Head(first - 1, prev if isinstance(prev, bytes) else GENESIS)), (end,)


def boundary_faults(cut: EventsPruned | None, anchors: tuple[Head, ...], signed: bool | None) -> tuple[Fault, ...]:
    """What is wrong with a cut in the light of the heads that were kept outside of the file, if there are any.

    A head that covers the last event that went, or one behind it, proves that these were the true ones; so does the
    signature of the cut (`signed`; None: it was not checked). Without either, anybody may have cut off the past.
    """
    if cut is None or not anchors:
        return ()
    if signed is False:
        return (Fault(cut.through, FaultKind.FORGED, "the record of what was pruned was not made with this key"),)
    if not signed and max(anchor.seq for anchor in anchors) < cut.through:
        text = f"events up to {cut.through} are gone, and no head that was kept outside covers them"
        return (Fault(cut.through, FaultKind.CUT, text),)
    return ()
