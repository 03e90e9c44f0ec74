"""Which worker of a pool gets a message, as values: the choice and the router that makes the next one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from attrs import field, frozen

from treewarden.supervisor.core.spec import SHARED, Router, Shared

__all__ = ["MOST", "ROUTES", "Broadcast", "ByKey", "LeastLoaded", "RoundRobin", "Route", "is_attribute", "partition_of"]

MOST: Final = 1_000_000
"""Workers of one pool, or parts of one tree: more is a slip of the hand, and only making their specs would take minutes
and the memory."""
Route: TypeAlias = Literal["round_robin", "least_loaded", "by_key", "broadcast", "shared"]


def is_attribute(value: object) -> bool:
    """Whether it can be the name of one."""
    return isinstance(value, str) and value.isidentifier()


def _names_an_attribute(_instance: object, _attribute: object, value: str) -> None:
    if not is_attribute(value):
        raise ValueError(f"key is {value!r}; name the attribute of the message that the worker is chosen by")


@frozen
class RoundRobin:
    """Each worker in turn; one that cannot take messages is passed over.

    While all can, any two differ by one message at most.
    """

    turn: int = 0

    def choose(self, depths: Sequence[int | None], message: object) -> tuple[tuple[int, ...], RoundRobin]:
        for step in range(len(depths)):
            place = (self.turn + step) % len(depths)
            if depths[place] is not None:
                return (place,), RoundRobin(place + 1)
        return (), self


@frozen
class LeastLoaded:
    """The worker with the fewest messages waiting; among equals each in turn, so that an idle pool is used evenly.

    The message in hand does not count as waiting, and how long a message takes is not known: a worker that is slow
    shows when its mailbox fills.
    """

    turn: int = 0

    def choose(self, depths: Sequence[int | None], message: object) -> tuple[tuple[int, ...], LeastLoaded]:
        best: int | None = None
        least = 0
        for step in range(len(depths)):
            place = (self.turn + step) % len(depths)
            depth = depths[place]
            if depth is not None and (best is None or depth < least):
                best, least = place, depth
        return ((), self) if best is None else ((best,), LeastLoaded(best + 1))


@frozen
class ByKey:
    """The same worker for every message with the same key, in this process and in any other.

    `key` names the attribute of the message that holds it: text, bytes or a whole number. Rendezvous hashing
    (Thaler and Ravishankar 1998): every worker gets a score from key and place, the highest wins. So when a worker
    cannot take messages only its own keys move, and they come back with it; with one worker more, only the keys that
    it wins move. Not promised: that messages of a key keep their order while its worker changes.

    `choose` raises `TypeError` for a message without the attribute, or whose key is of another type.
    """

    key: str = field(validator=_names_an_attribute)

    def choose(self, depths: Sequence[int | None], message: object) -> tuple[tuple[int, ...], ByKey]:
        key = _bytes(message, self.key)
        places = [place for place, depth in enumerate(depths) if depth is not None]
        if not places:
            return (), self
        return (max(places, key=lambda place: _score(key, place)),), self


@frozen
class Broadcast:
    """Every worker that can take messages: who has ended or is being drained is left out, as by a topic."""

    def choose(self, depths: Sequence[int | None], message: object) -> tuple[tuple[int, ...], Broadcast]:
        return tuple(place for place, depth in enumerate(depths) if depth is not None), self


def partition_of(key: str | bytes | int, count: int) -> int:
    """Which of `count` partitions a key belongs to, in this process and in any other; see `ByKey`.

    Raises `TypeError` for a key that is neither text, bytes nor a whole number, and for a count that is none,
    `ValueError` for one below 1 or above a million.
    """
    encoded = _encoded(key)
    if encoded is None:
        raise TypeError(f"the key is {key!r}; give text, bytes or a whole number")
    if not isinstance(count, int):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"the count is {count!r}; give a whole number")
    if count < 1:
        raise ValueError(f"the count is {count!r}; give 1 or more")
    if count > MOST:
        raise ValueError(f"the count is {count!r}; give {MOST} or fewer")
    return max(range(count), key=lambda place: _score(encoded, place))


def _bytes(message: object, name: str) -> bytes:
    missing = object()
    key = getattr(message, name, missing)
    encoded = _encoded(key)
    if encoded is not None:
        return encoded
    kind = type(message).__qualname__
    if key is missing:
        raise TypeError(f"{kind} has no {name!r}, by which the pool chooses a worker; give it that attribute")
    raise TypeError(f"{kind}.{name} is {key!r}; a pool chooses by text, bytes or a whole number")


def _encoded(key: object) -> bytes | None:
    match key:
        case str() as text:
            return b"t" + text.encode("utf-8", "surrogatepass")
        case bytes() as raw:
            return b"b" + raw
        case int() as number:
            return b"n%d" % number
        case _:
            return None


def _score(key: bytes, place: int) -> bytes:
    return blake2b(key, digest_size=8, salt=place.to_bytes(16)).digest()


def _by_key(key: str | None) -> Router:
    return ByKey(key or "")


ROUTES: Final = MappingProxyType[Route, Callable[[str | None], Router | Shared]](
    {
        "round_robin": lambda _key: RoundRobin(),
        "least_loaded": lambda _key: LeastLoaded(),
        "by_key": _by_key,
        "broadcast": lambda _key: Broadcast(),
        "shared": lambda _key: SHARED,
    }
)
"""What a route's name stands for, made with the name of the key (None without one)."""
