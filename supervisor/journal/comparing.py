"""What differs between two stored states."""

from __future__ import annotations

from ..core.diff import Change, diff
from .canonical import load
from .port import StateRow

__all__ = ["compare"]


def compare(before: StateRow, after: StateRow) -> tuple[Change, ...]:
    """The differences between two states as they are stored, whatever the code at hand makes of them.

    A class or a version that is another one is the first of them, at `kind` and `version`.
    """
    found: list[Change] = []
    if before.kind != after.kind:
        found.append(Change("kind", before.kind, after.kind))
    if before.version != after.version:
        found.append(Change("version", before.version, after.version))
    return (*found, *diff(load(before.body), load(after.body)))
