"""Which questions to people are open, of the events that tell of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from treewarden.agents.core.path import Path

from ..core.event import QuestionAnswered, QuestionAsked
from .port import Record

__all__ = ["QUESTIONS", "unanswered"]

QUESTIONS: Final = frozenset({QuestionAsked.__name__, QuestionAnswered.__name__})
"""The events that tell of them."""


def unanswered(records: Iterable[Record]) -> Sequence[Record]:
    """The last question about each slot that nobody has answered, oldest first."""
    found: dict[Path, Record] = {}
    for record in records:
        if isinstance(record.event, (QuestionAsked, QuestionAnswered)):
            found.pop(record.event.slot, None)
        if isinstance(record.event, QuestionAsked):
            found[record.event.slot] = record
    return list(found.values())
