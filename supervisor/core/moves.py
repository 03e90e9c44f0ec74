"""What was moved to another path, and where that is then and now: events stay at the path at which they happened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from treewarden.agents.core.path import LONGEST_PATH, Path
from treewarden.agents.core.values import frozen

from .event import Event, SlotMoved

__all__ = [
    "Move",
    "carried",
    "is_nested",
    "move_of",
    "moves_of",
    "place_now",
    "place_then",
    "places_of",
    "rebased",
    "too_long",
]

V = TypeVar("V")


@frozen
class Move:
    """All that is stored at `old` and below it went to `new`."""

    seq: int
    """The event that says so at the new path."""
    old: Path
    new: Path


def move_of(seq: int, event: Event) -> Move | None:
    """What this event has moved; None for any other, and for the one that tells of a move at the path that was left."""
    if isinstance(event, SlotMoved) and event.path == event.new:
        return Move(seq, event.old, event.new)
    return None


def moves_of(events: Iterable[tuple[int, Event]]) -> list[Move]:
    """Those that these events, each with its place in the journal, tell of."""
    return [move for move in (move_of(seq, event) for seq, event in events) if move is not None]


def rebased(path: Path, old: Path, new: Path) -> Path:
    """Where `path`, which lies within `old`, lies within `new`."""
    return Path(f"{new}{path[len(old) :]}")


def carried(places: Mapping[Any, V], move: Move) -> dict[Any, V]:
    """What is known by path, after the move. What was known of the new path was about somebody else."""
    found: dict[Any, V] = {}
    for key, value in places.items():
        path = Path(key)
        if path.is_within(move.old):
            found[rebased(path, move.old, move.new)] = value
        elif not path.is_within(move.new):
            found[key] = value
    return found


def place_now(path: Path, since: int, moves: Iterable[Move]) -> Path | None:
    """Where that is now which was at `path` at event `since`; None if it was gone when somebody else came there."""
    for move in moves:
        if move.seq > since and path.is_within(move.old):
            path = rebased(path, move.old, move.new)
        elif move.seq > since and path.is_within(move.new):
            return None
    return path


def place_then(path: Path, at: int, moves: Sequence[Move]) -> Path | None:
    """Where that was at event `at` which is at `path` now; None if it has come to a path that was left since."""
    for move in reversed(moves):
        if move.seq <= at:
            break
        if path.is_within(move.new):
            path = rebased(path, move.new, move.old)
        elif path.is_within(move.old):
            return None
    return path


def places_of(path: Path, moves: Sequence[Move]) -> list[Path]:
    """`path`, and where that may have been before which is within it now."""
    places = [path]
    for move in reversed(moves):
        for place in tuple(places):
            if place.is_within(move.new):
                places.append(rebased(place, move.new, move.old))
            elif move.new.is_within(place):
                places.append(move.old)
    return list(dict.fromkeys(places))


def is_nested(old: Path, new: Path) -> bool:
    """Whether one of the two lies within the other: then nobody can say what is to go, or where."""
    return old.is_within(new) or new.is_within(old)


def too_long(stored: Iterable[Path], old: Path, new: Path) -> Path | None:
    """A path, one of those `stored` within `old`, that would be longer at `new` than a path may be."""
    return next((path for path in stored if len(rebased(path, old, new)) > LONGEST_PATH), None)
