"""What the words of the command have in common: how one is declared, and what its values may be."""

from __future__ import annotations

import argparse
import difflib
import math
import os
from collections.abc import Callable
from textwrap import fill
from typing import Any, Final, NoReturn, Protocol

from treewarden.agents.core.path import Path

__all__ = [
    "Words",
    "add_deeds",
    "add_json",
    "add_word",
    "count",
    "journal",
    "kind",
    "names",
    "path",
    "positive",
    "seeds",
    "text",
    "whole",
]

_MOST_SEEDS: Final = 10_000
_COLUMNS: Final = 78
"""Of a line of help: a terminal of 80 shows it as it stands here."""


class Words(Protocol):
    def add_parser(self, name: str, **options: Any) -> argparse.ArgumentParser: ...


def add_word(words: Words, name: str, help: str, example: str, text: str = "") -> argparse.ArgumentParser:
    word = words.add_parser(
        name,
        help=help,
        description=fill(f"{help[0].upper()}{help[1:]}. {text}".rstrip(), _COLUMNS, break_on_hyphens=False),
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    word.set_defaults(word=name)
    return word


def add_deeds(word: argparse.ArgumentParser, *declare: Callable[[Words], None]) -> None:
    """Let `word` be followed by one of the deeds that these declare. They are listed below the usage, for argparse
    would write all of them into one line of it; an error shows the usage."""
    deeds = word.add_subparsers(dest="deed", metavar="DEED", required=True)
    for each in declare:
        each(deeds)
    word.usage = (
        f"%(prog)s [-h] DEED ...\n{fill('DEED: ' + ', '.join(deeds.choices), _COLUMNS, break_on_hyphens=False)}"
    )


def add_json(word: argparse.ArgumentParser) -> None:
    word.add_argument("--json", action="store_true", help="print JSON")


def _refuse(text: str) -> NoReturn:
    raise argparse.ArgumentTypeError(text)


def positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        _refuse(f"{text!r} is no number of seconds")
    return value if 0 < value < math.inf else _refuse(f"{text} is no time to wait; give a positive number of seconds")


def whole(text: str) -> int:
    return 0 if text == "0" else count(text)


def count(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        _refuse(f"{text!r} is no whole number")
    return value if value > 0 else _refuse(f"{text} is too few; give 1 or more")


def text(given: str) -> str:
    """What is meant to be stored or told. It is UTF-8, also where the locale (`LC_ALL=C`) knows no more than ASCII."""
    try:
        given.encode()
    except UnicodeEncodeError:  # Python keeps bytes that are no text there as halves of characters
        try:
            return os.fsencode(given).decode()
        except UnicodeError:
            _refuse(f"{given!r} is no text in UTF-8; write it so, or as JSON with \\u and four digits")
    return given


def path(text: str) -> Path:
    try:
        return Path.parse(text)
    except ValueError as error:
        _refuse(str(error))


def journal(text: str) -> str:
    """A file to write. Where it is left out there is one all the same, so nothing else is a remedy."""
    from treewarden.agents.errors import ConfigurationError  # these two for one option
    from treewarden.supervisor.journal.place import named

    try:
        named(text)
    except ConfigurationError:
        _refuse(f"{text!r} can be no journal; give the name of a file, as 'desk.db'")
    return text


def kind(text: str) -> str:
    from treewarden.supervisor.core.event import EVENTS  # all events, for the options of two words

    known = {kind.lower(): kind for kind in EVENTS}
    if text.lower() in known:
        return known[text.lower()]
    near = [known[word] for word in difflib.get_close_matches(text.lower(), known, n=5, cutoff=0.5)]
    _refuse(f"there is no event {text!r}; there is {', '.join(near or sorted(EVENTS))}")


def names(text: str) -> tuple[str, ...]:
    """`a,b`"""
    found = tuple(name for name in (part.strip() for part in text.split(",")) if name)
    return found or _refuse(f"{text!r} names nobody; write a,b")


def seeds(text: str) -> tuple[int, ...]:
    """`0-3,7` is 0, 1, 2, 3 and 7."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or len(first + last) > 12:
            _refuse(f"{text!r} is no list of seeds; write 0-29 or 0,3,7")
        low, high = int(first), int(last or first)
        if low > high or high - low >= _MOST_SEEDS:
            _refuse(
                f"{part.strip()!r} is no range of seeds; the first comes first, and there are {_MOST_SEEDS} at most"
            )
        found += range(low, high + 1)
        if len(found) > _MOST_SEEDS:
            _refuse(f"{text!r} is too many seeds; there are {_MOST_SEEDS} at most")
    return tuple(dict.fromkeys(found))
