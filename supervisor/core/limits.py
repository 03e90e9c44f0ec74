"""Thresholds that turn measurements into signals: progress and queues."""

from __future__ import annotations

from attrs import Attribute, field

from treewarden.agents.core.path import Path
from treewarden.agents.core.said import is_number, shown
from treewarden.agents.core.values import frozen

from .signal import Overloaded, Recovered, Stalled

__all__ = ["QueueLimit", "check_progress", "check_queue", "progress_due"]


def progress_due(since: float | None, last_new: float, limit: float | None) -> float | None:
    """When a slot is stalled unless something new comes before: `limit` seconds after it took the work in hand
    (`since`) or after the last new progress token, whichever is later. None without work in hand, or without a limit.
    """
    return None if since is None or limit is None else max(since, last_new) + limit


def check_progress(
    path: Path, now: float, *, since: float | None, last_new: float, limit: float | None, doing: str = ""
) -> Stalled | None:
    """Whether the work in hand has brought nothing new for too long. Silence without work in hand is no hang."""
    due = progress_due(since, last_new, limit)
    if due is None or limit is None or now < due:
        return None
    return Stalled(path=path, at=now, idle=now - due + limit, limit=limit, doing=doing)


def _share(_instance: object, attribute: Attribute[float], value: object) -> None:
    if not is_number(value) or not 0.0 <= value <= 1.0:
        raise ValueError(f"{attribute.name} is {shown(value)}; it is a share of the capacity, from 0 to 1")


def _seconds(_instance: object, attribute: Attribute[float | None], value: object) -> None:
    if value is not None and (not is_number(value) or not value > 0):
        raise ValueError(f"{attribute.name} is {shown(value)}; it must be more than 0 seconds, or None")


@frozen(kw_only=True)
class QueueLimit:
    """When a mailbox is overloaded, and when it no longer is. Two marks, so that a queue at the mark does not flap."""

    high: float = field(default=0.9, validator=_share)
    """Share of the capacity from which it is overloaded."""
    low: float = field(default=0.5, validator=_share)
    """Share of the capacity down to which it stays so."""
    oldest: float | None = field(default=None, validator=_seconds)
    """Seconds that a message may wait; it is no longer overloaded at half of that. None: any time."""

    def __attrs_post_init__(self) -> None:
        if self.low >= self.high:
            raise ValueError(f"low is {self.low!r} and high {self.high!r}; low must be below high")


def check_queue(
    path: Path, now: float, limit: QueueLimit, *, over: bool, depth: int, capacity: int, oldest: float = 0.0
) -> tuple[bool, Overloaded | Recovered | None]:
    """Whether a mailbox is overloaded now, and the signal if that has changed since `over`.

    `oldest` is the age in seconds of the message that has waited longest; 0 for an empty mailbox.
    """
    fill = depth / capacity if capacity > 0 else 0.0
    if not over:
        if fill >= limit.high or (limit.oldest is not None and oldest >= limit.oldest):
            return True, Overloaded(path=path, at=now, depth=depth, capacity=capacity, oldest=oldest)
        return False, None
    if fill <= limit.low and (limit.oldest is None or oldest <= limit.oldest / 2):
        return False, Recovered(path=path, at=now, kind="overloaded", text=f"{depth} of {capacity} messages wait")
    return True, None
