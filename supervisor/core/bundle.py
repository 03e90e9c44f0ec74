"""A journal, or one agent's part of it, as lines of JSON: each sealed together with all before it.

The first line is the header, then come rows, and the last says how many there were. The seal of a line is SHA-256 over
the seal before it and the line's JSON with sorted keys; so a line that was changed, moved, added or lost is found where
it is. Whoever can write the bundle can seal it anew; keep heads of the journal elsewhere against that.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator
from hashlib import sha256
from typing import Any, Final, cast

__all__ = ["FORMAT", "BundleDamage", "sealed", "unsealed"]

FORMAT: Final = 2
"""1 had large values in full in each row that held them."""

_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class BundleDamage(Exception):
    """A line that is not the one that was written."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(f"line {line}: {text}")
        self.line = line


def sealed(records: Iterable[dict[str, Any]]) -> Generator[str]:
    """The lines of a bundle, with their ends; the last one is added."""
    seal, count = "", 0
    for record in records:
        seal, line = _seal(seal, record)
        count += 1
        yield line
    yield _seal(seal, {"type": "end", "lines": count + 1})[1]


def unsealed(lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The records of a bundle by the number of their line, without the last one. Raises `BundleDamage`."""
    seal, number, ended = "", 0, False
    for number, line in enumerate(lines, 1):
        if ended:
            raise BundleDamage(number, "there is a line behind the end")
        record = _record(line, number)
        found = record.pop("seal", None)
        try:
            seal = _seal(seal, record)[0]
        except (ValueError, RecursionError):  # bytes that are no text, or a number that is none: nobody writes these
            found = None
        if found != seal:
            raise BundleDamage(number, "it is not the line that was written there")
        if record.get("type") == "end":
            if record.get("lines") != number:
                raise BundleDamage(number, f"{record.get('lines')} lines were written, and this is number {number}")
            ended = True
        else:
            yield number, record
    if not ended:
        raise BundleDamage(number + 1, "the end is missing")


def _seal(before: str, record: dict[str, Any]) -> tuple[str, str]:
    text = _ENCODER.encode(record)
    seal = sha256(f"{before}\n{text}".encode()).hexdigest()[:32]
    return seal, f'{text[:-1]},"seal":"{seal}"}}\n'


def _record(line: str, number: int) -> dict[str, Any]:
    try:
        data: Any = json.loads(line)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise BundleDamage(number, "it is no object of JSON")
    return cast("dict[str, Any]", data)
