"""What differs between two stored states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from treewarden.agents.errors import JournalDamaged

from ..core.diff import Change, diff_in_slices
from .canonical import load
from .large import freed
from .port import StateRow

if TYPE_CHECKING:
    from .slices import Slices

__all__ = ["compare", "comparing", "data_of"]


def data_of(state: StateRow) -> Any:
    """What is stored, as JSON data. Raises `JournalDamaged` if it is none."""
    try:
        return load(state.body)
    except ValueError as error:
        raise _not_json(state, error) from error


def compare(before: StateRow, after: StateRow) -> tuple[Change, ...]:
    """The differences between two states as they are stored, whatever the code at hand makes of them.

    A class or a version that is another one is the first of them, at `kind` and `version`. Raises as `data_of`.
    """
    from .slices import at_once  # who compares states is seldom in a hurry

    return at_once(comparing(before, after))


def comparing(before: StateRow, after: StateRow) -> Slices[tuple[Change, ...]]:
    """As `compare`, in slices of some milliseconds. Whoever does not go on to the end frees at once what was read."""
    found: list[Change] = []
    if before.kind != after.kind:
        found.append(Change("kind", before.kind, after.kind))
    if before.version != after.version:
        found.append(Change("version", before.version, after.version))
    held = set[int]()
    old = yield from _data(before)
    new = yield from _data(after)
    for change in diff_in_slices(old, new):
        if change is None:
            yield
        else:
            found.append(change)
            held |= {id(change.before), id(change.after)}
    for data in (old, new):
        yield from freed(data, held)
    return tuple(found)


def _data(state: StateRow) -> Slices[Any]:
    """As `data_of`."""
    from .slices import loaded  # with the first comparison of a process

    try:
        return (yield from loaded(state.body))
    except ValueError as error:
        raise _not_json(state, error) from error


def _not_json(state: StateRow, error: ValueError) -> JournalDamaged:
    return JournalDamaged(f"the stored {state.kind} of {state.path} is not JSON: {error}. Restore the file from a copy")
