"""What differs between two stored states."""

from __future__ import annotations

from typing import Any

from treewarden.agents.errors import JournalDamaged

from ..core.diff import Change, diff
from .canonical import load
from .port import StateRow

__all__ = ["compare", "data_of"]


def data_of(state: StateRow) -> Any:
    """What is stored, as JSON data. Raises `JournalDamaged` if it is none."""
    try:
        return load(state.body)
    except ValueError as error:
        text = f"the stored {state.kind} of {state.path} is not JSON: {error}. Restore the file from a copy"
        raise JournalDamaged(text) from error


def compare(before: StateRow, after: StateRow) -> tuple[Change, ...]:
    """The differences between two states as they are stored, whatever the code at hand makes of them.

    A class or a version that is another one is the first of them, at `kind` and `version`. Raises as `data_of`.
    """
    found: list[Change] = []
    if before.kind != after.kind:
        found.append(Change("kind", before.kind, after.kind))
    if before.version != after.version:
        found.append(Change("version", before.version, after.version))
    return (*found, *diff(data_of(before), data_of(after)))
