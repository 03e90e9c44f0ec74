"""Kept states: what people see of them, how they are searched, and how long they stay."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any, Final, cast

from attrs import Attribute, field

from treewarden.agents.core.label import Label
from treewarden.agents.core.path import Path
from treewarden.agents.core.said import is_count, is_number, shown
from treewarden.agents.core.values import frozen

__all__ = ["EVERYTHING", "Checkpoint", "Retention", "Search"]


def _count(_instance: object, attribute: Attribute[int], value: Any) -> None:
    if not is_count(value, 0):
        raise ValueError(f"{attribute.name} is {shown(value)}; it must be a whole number, 0 or more")


def _seconds(_instance: object, attribute: Attribute[float | None], value: Any) -> None:
    if value is not None and (not is_number(value) or not value >= 0):
        raise ValueError(f"{attribute.name} is {shown(value)}; it must be a number of seconds, 0 or more")


def _texts(_instance: object, attribute: Attribute[Any], value: Any) -> None:
    several = isinstance(value, Collection) and not isinstance(value, (str, bytes))
    if value is not None and not (several and all(isinstance(each, str) for each in cast("Collection[Any]", value))):
        raise ValueError(f"{attribute.name} is {shown(cast('object', value))}; give several texts, as in ('stable',)")


@frozen(kw_only=True)
class Retention:
    """When an agent's state is kept unasked, and which of its checkpoints stay. One stays if any rule says so.

    A checkpoint that no rule holds is pruned when the next one of its agent is kept, in the same transaction. From then
    on it is not listed, and nothing can be rolled back to it.
    """

    every: int = field(default=16, validator=_count)
    """An agent of durability `message` is kept at every so many settles that leave another state, and on the way to the
    first such settle at the 1st, 2nd, 4th, 8th and so on. 0: only when somebody asks for it."""
    last: int = field(default=10, validator=_count)
    """The newest so many stay."""
    within: float | None = field(default=None, validator=_seconds)
    """Those younger than this many seconds stay."""
    tagged: tuple[str, ...] | None = field(default=None, validator=_texts)
    """Those with one of these tags stay for good; None: all that have a name or a tag. The other rules are about the
    rest."""

    def is_due(self, settles: int) -> bool:
        """Whether the settle of this number, counted from 1, keeps its state unasked."""
        every = self.every
        if settles >= every:  # asked with each settle, and most are behind the first few
            return every > 0 and not settles % every
        return settles & (settles - 1) == 0

    def pins(self, label: Label) -> bool:
        """Whether a checkpoint with this label stays for good."""
        if self.tagged is None:
            return bool(label.name or label.tags)
        return not set(self.tagged).isdisjoint(label.tags)

    def before(self, wall: float) -> float:
        """Until when (wall seconds) a checkpoint has to be kept to be old enough to go."""
        return math.inf if self.within is None else wall - self.within


@frozen(kw_only=True)
class Checkpoint:
    """A state that is kept, without the state."""

    number: int
    """Of all checkpoints of a journal no two have the same, ever."""
    path: Path
    kind: str
    version: int
    settled: int
    """How many messages its slot had settled."""
    seq: int
    """The journal's last event when the state was settled."""
    at: float
    """Wall seconds at which it was kept."""
    label: Label = Label()
    pinned: bool = False
    """It stays for good."""
    size: int = 0
    """Characters of its state as JSON."""

    @property
    def name(self) -> str:
        """What somebody called it; empty: nobody did."""
        return self.label.name

    @property
    def description(self) -> str:
        return self.label.description

    @property
    def tags(self) -> tuple[str, ...]:
        return self.label.tags


@frozen(kw_only=True)
class Search:
    """Which checkpoints are meant: those that fit everything that is said here."""

    name: str | None = None
    text: str = ""
    """Somewhere in the name or the description; small and capital letters are the same."""
    tags: tuple[str, ...] = ()
    """All of these."""
    since: float | None = None
    """Kept at this time (wall seconds) or later."""
    until: float | None = None
    """Kept before this time."""
    number: int | None = None
    """This one, if it is there."""

    def finds(self, checkpoint: Checkpoint) -> bool:
        label, wanted = checkpoint.label, self.text.casefold()
        return (
            (self.name is None or label.name == self.name)
            and (wanted in label.name.casefold() or wanted in label.description.casefold())
            and set(self.tags) <= set(label.tags)
            and (self.since is None or checkpoint.at >= self.since)
            and (self.until is None or checkpoint.at < self.until)
            and self.number in (None, checkpoint.number)
        )


EVERYTHING: Final = Search()
