"""How things are put on a terminal: times, durations, counts, columns, and text that cannot command the terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from attrs import frozen

from treewarden.agents.core.said import plural

__all__ = [
    "PLAIN",
    "Paint",
    "cells",
    "clean",
    "clip",
    "columns",
    "duration",
    "ending_at",
    "folded",
    "listing",
    "local",
    "number",
    "plural",
]

_CODES: Final[Mapping[str, str]] = {"good": "32", "bad": "31", "warn": "33", "dim": "2", "strong": "1"}


@frozen
class Paint:
    """Colours, or none."""

    on: bool = False

    def __call__(self, text: str, style: str) -> str:
        """`text` in a style: good, bad, warn, dim, strong; an empty style is none."""
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self.on and style and text else text


PLAIN: Final = Paint()


def clean(text: str) -> str:
    """`text` on one line, without what a terminal would obey: an error's text may come from anywhere."""
    if text.isascii() and text.isprintable():
        return text
    shown = (
        character if character.isprintable() else f"\\x{ord(character):02x}" for character in " ".join(text.split())
    )
    return "".join(shown)


def cells(text: str) -> int:
    """How many columns of a terminal `text` takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )


def clip(text: str, width: int | None) -> str:
    """`text`, cut to `width` columns with an ellipsis; None is no limit."""
    if width is None or cells(text) <= width:
        return text
    if width < 1:
        return ""
    room, kept = width - 1, ""
    for character in text:
        room -= cells(character)
        if room < 0:
            break
        kept += character
    return kept + "…"


def folded(text: str, width: int, hanging: int) -> list[str]:
    """`text` in lines of at most `width` columns, broken between words; all but the first begin `hanging` columns in.

    `width` is to be some columns more than `hanging`, and no word is kept together that is longer than the rest.
    """
    lines: list[str] = []
    while cells(text) > width:
        room, fits = width, 0
        for character in text:
            room -= cells(character)
            if room < 0:
                break
            fits += 1
        at = text.rfind(" ", 0, fits + 1)
        at = at if at > hanging else fits
        lines.append(text[:at].rstrip())
        text = " " * hanging + text[at:].lstrip()
    return [*lines, text]


def local(at: float) -> str:
    """Wall seconds as local time, ISO 8601 with seconds: `2026-11-21 00:13:05`."""
    try:
        return datetime.fromtimestamp(at).isoformat(" ", "seconds")
    except (ValueError, OverflowError, OSError):  # a file may hold any number
        return f"{at:g}"


def duration(seconds: float) -> str:
    """`40 ms`, `0.4 s`, `12 s`, `3 min 20 s`, `5 h 3 min`, `4 d 2 h`."""
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if 0 < seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s" if seconds and seconds != int(seconds) else f"{seconds:.0f} s"
    if not seconds < 1e12:
        return "for ever"
    whole = round(seconds)
    for unit, size, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def ending_at(until: float | None, now: float) -> str:
    """` for 12 s more`, or nothing where no end is known or it is past."""
    return "" if until is None or until <= now else f" for {duration(until - now)} more"


def number(value: float) -> str:
    """A probability or share: two digits."""
    return f"{value:.2f}"


def listing(counts: Mapping[str, int]) -> str:
    """`restart 12, throttle 3`, the most frequent first."""
    return ", ".join(f"{name} {n}" for name, n in sorted(counts.items(), key=lambda item: -item[1]))


def columns(
    rows: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset(), width: int | None = None
) -> list[str]:
    """Rows as aligned columns, two spaces apart; those in `right` are aligned right. Longer lines are cut."""
    if not rows:
        return []
    widths = [max(cells(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines: list[str] = []
    for row in rows:
        parts = [
            " " * (size - cells(text)) + text if column in right else text + " " * (size - cells(text))
            for column, (text, size) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(clip("  ".join(parts).rstrip(), width))
    return lines
