"""The latest events of a journal in memory, some of which are worked out when somebody reads them."""

from __future__ import annotations

from typing import TypeAlias, cast

from ..core.event import Event
from .port import Commit

__all__ = ["Told", "page"]

Told: TypeAlias = list[tuple[float, Event] | Commit]
"""Events with the time of each; and, as often as it has events, a commit that has not been read. From the front of such
a row some may be missing, for the oldest events are given up."""


def page(told: Told, first: int, stop: int) -> list[tuple[float, Event]]:
    """The events from place `first` to `stop`. What is read is worked out, and takes its place for good."""
    for place in range(first, min(stop, len(told))):
        commit = told[place]
        if isinstance(commit, Commit):
            begin = end = place
            while begin and told[begin - 1] is commit:
                begin -= 1
            while end < len(told) and told[end] is commit:
                end += 1
            told[begin:end] = commit.events[begin - end :]
    return cast("list[tuple[float, Event]]", told[first:stop])
