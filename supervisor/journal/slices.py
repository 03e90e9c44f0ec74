"""JSON text that is long becomes data a slice at a time, so that others may run in between; `shapes` goes on with it.

The decoder of the standard library holds the interpreter for as long as its text is. So a container that is long is
parted where its items end, and the decoder is given as many of them as fit into a slice.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import suppress
from typing import Any, Final, TypeAlias, TypeVar

from attrs import field

from treewarden.agents.core.values import define

from .canonical import load, load_at

__all__ = ["SLICE", "Slices", "at_once", "loaded"]

T = TypeVar("T")

Slices: TypeAlias = Generator[None, None, T]
"""Work in slices of some milliseconds at most: it yields between two of them, and returns what came of it."""

SLICE: Final = 65_536
"""Characters of JSON that are decoded at a time."""

_TEXT: Final = r'"(?:[^"\\]++|\\.)*+"'
_SHORT: Final = 1024
"""Characters in which most values end that are looked at by themselves."""
_DEPTH: Final = 3
"""Of containers in an item that is passed over with others; one that is deeper is looked at by itself."""


def _item() -> str:
    """An item of a list or an object, with its key; whether it is JSON the decoder says."""
    inside = rf'(?:{_TEXT}|[^"\[\]{{}}]++)*+'
    for _ in range(_DEPTH - 1):
        inside = rf'(?:{_TEXT}|[^"\[\]{{}}]++|[\[{{]{inside}[\]}}])*+'
    return rf'(?:{_TEXT}|[^",\[\]{{}}]++|[\[{{]{inside}[\]}}])++'


_ITEMS: Final = re.compile(rf"(?:{_item()},)*+", re.DOTALL)
_CHARACTERS: Final = re.compile(r'(?:[^"\\]++|\\u[0-9a-fA-F]{4}|\\[^u])*+', re.DOTALL)
_AROUND: Final = "[{"
_SPACE: Final = re.compile(r"[ \t\n\r]*")


def at_once(slices: Slices[T]) -> T:
    """What the work comes to, for those who need not let others run."""
    while True:
        try:
            next(slices)
        except StopIteration as end:
            return end.value


def loaded(text: str) -> Slices[Any]:
    """What `canonical.load` returns, and raises."""
    if len(text) > SLICE:
        try:
            return (yield from _Parting(text).value())
        except (ValueError, IndexError):  # the decoder says what is wrong, if it finds so too
            yield
    return load(text)


@define
class _Open:
    """A container that is not read to its end."""

    holds: list[Any] | dict[str, Any]
    key: str = ""
    """Where the value that is read next belongs, in an object."""


@define
class _Parting:
    """One way through a text."""

    text: str
    place: int = 0
    open: list[_Open] = field(factory=list[_Open])
    spent: int = 0
    """Characters that were looked at in this slice."""

    def value(self) -> Slices[Any]:
        """All of the text. Raises `ValueError` or `IndexError` where it is not JSON, or not as this expects it."""
        found = yield from self._begun()
        while self.open:
            inner = self.open[-1]
            if found is not inner.holds:  # a value that is whole, and not one that was just opened
                self._add(inner, found)
                if not self._goes_on(inner):
                    found = self.open.pop().holds
                    continue
            self._take_items(inner)
            if isinstance(inner.holds, dict):
                inner.key = self._key()
            found = yield from self._begun()
            if self.spent >= SLICE:
                self.spent = 0
                yield
        if self._skip() != len(self.text):
            raise ValueError("there is more behind it")
        return found

    def _begun(self) -> Slices[Any]:
        """The value that stands here; of a container that is long, what is open now."""
        start = self._skip()
        first = self.text[start]
        for most in _SHORT, SLICE:
            window = self.text[start : start + most]
            with suppress(ValueError):  # it goes on behind that
                value, length = load_at(window, 0)
                self.spent += length
                if length < len(window) or start + length == len(self.text) or first in '[{"':
                    self.place = start + length
                    return value
            self.spent += len(window)
        if first == '"':
            return (yield from self._characters(start + 1))
        if first in _AROUND:
            self.place = start + 1
            holds: list[Any] | dict[str, Any] = [] if first == "[" else {}
            self.open.append(_Open(holds))
            return holds
        value, self.place = load_at(self.text, start)
        return value

    def _take_items(self, inner: _Open) -> None:
        """Read all items that end in the next slice and have another one behind them."""
        end = _end(_ITEMS, self.text, self.place)
        if end > self.place:
            self.spent += end - self.place
            items = self.text[self.place : end - 1]
            if isinstance(inner.holds, list):
                inner.holds += load(f"[{items}]")
            else:
                inner.holds |= load(f"{{{items}}}")
            self.place = end

    def _key(self) -> str:
        key, self.place = load_at(self.text, self._skip())
        if not isinstance(key, str) or self.text[self._skip()] != ":":
            raise ValueError("there is no key")
        self.place = self._skip() + 1
        return key

    def _add(self, inner: _Open, value: Any) -> None:
        if isinstance(inner.holds, list):
            inner.holds.append(value)
        else:
            inner.holds[inner.key] = value

    def _goes_on(self, inner: _Open) -> bool:
        """Whether another item comes; what is behind it is passed over."""
        sign = self.text[self._skip()]
        self.place = self._skip() + 1
        if sign == ",":
            return True
        if sign != ("]" if isinstance(inner.holds, list) else "}"):
            raise ValueError("it does not end as it began")
        return False

    def _characters(self, start: int) -> Slices[str]:
        """A long string, from its first character on."""
        pieces: list[str] = []
        while True:
            end = _end(_CHARACTERS, self.text, start)
            if end == start:
                break
            pieces.append(load(f'"{self.text[start:end]}"'))
            if "\ud800" <= pieces[-1][-1] < "\udc00":
                raise ValueError("half of a character, and the other half behind it")
            start = end
            yield
        if self.text[start] != '"':
            raise ValueError("it has no end")
        self.place = start + 1
        return "".join(pieces)

    def _skip(self) -> int:
        """The place of the next character that is not white space."""
        if self.text[self.place : self.place + 1].isspace():
            self.place = _end(_SPACE, self.text, self.place, len(self.text))
        return self.place


def _end(pattern: re.Pattern[str], text: str, start: int, most: int = SLICE) -> int:
    """Where that ends which fits `pattern` from `start` on, and stands within `most` characters."""
    found = pattern.match(text, start, start + most)
    return start if found is None else found.end()
