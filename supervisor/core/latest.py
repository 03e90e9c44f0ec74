"""The last few of a line of values that grows by one at a time, as a value that costs the same whatever it holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Generic, TypeVar, cast, final

__all__ = ["Latest"]

T = TypeVar("T")
_new: Final = object.__new__


@final
class Latest(Generic[T]):
    """At most `most` values, the latest last. Never changes: `followed_by` returns the next one.

    Successive ones share one growing list, of which each sees its own part; so going on costs amortised O(1) along a
    line, and one copy where two go on from the same one. Two with the same values are equal, whatever their `most`.
    """

    __slots__ = ("_items", "_most", "_stop")

    def __init__(self, most: int, items: list[T] | None = None) -> None:
        """With `items`, which from then on is nobody else's."""
        self._most = most
        self._items: list[T] = [] if items is None else items
        self._stop = len(self._items)

    def followed_by(self, item: T) -> Latest[T]:
        """With one more, and without the first if there were `most`."""
        items, stop, most = self._items, self._stop, self._most
        if not stop or len(items) != stop or stop >= 2 * most:  # another one has gone on, or too many are out of sight
            items = items[max(0, stop + 1 - most) : stop]
        items.append(item)
        made = cast("Latest[T]", _new(Latest))
        made._items, made._most, made._stop = items, most, len(items)
        return made

    def followed_by_all(self, items: Sequence[T]) -> Latest[T]:
        """With these, one after the other."""
        mine, most = self._items, self._most
        if not mine or len(mine) != self._stop or self._stop >= 2 * most:
            mine = list(self)
        mine.extend(items)
        return Latest(most, mine)

    @property
    def first(self) -> T:
        """Raises `IndexError` if there is none."""
        if not self._stop:
            raise IndexError("there is no first one")
        return self._items[max(0, self._stop - self._most)]

    def __len__(self) -> int:
        stop, most = self._stop, self._most
        return stop if stop < most else most

    def __iter__(self) -> Iterator[T]:
        return iter(self._items[max(0, self._stop - self._most) : self._stop])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Latest) and list(self) == list(cast("Latest[Any]", other))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"Latest({list(self)})"
