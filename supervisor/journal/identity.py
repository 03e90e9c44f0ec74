"""Which journal a file is, and since when: what its chain says of that. Nothing else of it is chained."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

from treewarden.agents.errors import JournalError

from ..core.chain import Fault, FaultKind
from ..core.event import TreeForked, TreeOpened
from .event_codec import decode_event

__all__ = ["TELLING", "Said", "contradictions", "read", "said"]

TELLING: Final = ("TreeOpened", "TreeForked")
"""The kinds of event that say it."""
Said: TypeAlias = tuple[int, str, int, str]
"""One of them as it is stored: seq, kind, version, body."""


def read(identity: str) -> tuple[str, float] | None:
    """The id and the time; None for a text that `written_identity` has not made, as of a secret that was left out."""
    tree, _, created = identity.partition("@")
    try:
        return (tree, float(created)) if tree.isalnum() else None
    except ValueError:
        return None


def said(rows: Iterable[Said]) -> tuple[str, int, tuple[Fault, ...]]:
    """What the last of `rows`, in the order of their numbers, says, its number, and those that contradict one before.
    Nothing and 0 if none says it: an older treewarden wrote it, or it was left out of a bundle as a secret.

    A fork is another journal from there on.
    """
    known, number, faults = "", 0, list[Fault]()
    for seq, kind, version, body in rows:
        try:
            event = decode_event(kind, version, body)
        except JournalError:
            continue
        if not isinstance(event, TreeOpened | TreeForked):
            continue
        told = event.journal if read(event.journal) is not None else ""
        if isinstance(event, TreeForked):
            known, number = told, seq if told else 0
        elif told:
            if known not in ("", told):
                faults.append(_contradiction(seq, f"it says that this is {told}, and event {number} said {known}"))
            known, number = told, seq
    return known, number, tuple(faults)


def contradictions(rows: Iterable[Said], found: str) -> tuple[Fault, ...]:
    """What of `rows` is not said of `found`, which the file is by itself, or of one another. One that says nothing is
    empty."""
    known, seq, faults = said(rows)
    if known not in ("", found):
        file = f"that it is {found}" if found else "nothing"
        faults += (_contradiction(seq, f"it says that this is {known}, and the file {file}"),)
    return faults


def _contradiction(seq: int, text: str) -> Fault:
    return Fault(seq, FaultKind.CHANGED, f"the journal's id or date: {text}")
