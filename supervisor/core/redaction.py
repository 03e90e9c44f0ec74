"""What must not leave with a bundle: values under configured keys, and the same values wherever else they stand.

A secret seldom stays under its key. An exception quotes it, a decision gives that exception as its reason, a traceback
repeats it. So it is first learned which values there are, and then each of them is taken out of every text.
"""

from __future__ import annotations

import base64
import bisect
import json
import re
import string
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, cast

from .own_names import Ours

__all__ = ["REDACTED", "Redaction"]

REDACTED: Final = "[redacted]"
"""What stands in the place of a secret value."""
_SHORTEST: Final = 6
"""Characters of a value that is looked for in texts: a shorter one would be found in every other word."""
_PLAIN: Final = frozenset(string.ascii_letters + string.digits + "_.-~")
"""What stands in a URL as it is."""
_SAFE_IN_URLS: Final = str.maketrans("+/", "-_")
_ESCAPED: Final = re.compile(r"\\u([0-9a-f]{4})")
_LINE: Final = 16
"""Characters of a line that is looked for by itself, of a value of several lines."""
_CUT: Final = re.compile(r"\s?(?:\.\.\.|…)")
_LONG: Final = 200
"""Characters of a text that may have been cut off at its end, without a mark."""
_OURS: Final = Ours()


class Redaction:
    """Of values under some keys, in capitals or not. Of one that knows no key everything stays as it is."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = frozenset(key.lower() for key in keys if key)
        self._met: set[str] = set()
        self._known: dict[str, dict[int, set[str]]] = {}
        """By their beginning and their length, the longest first: thousands of tokens begin alike."""
        self._sorted: dict[str, list[str]] = {}
        """By their beginning, where one was looked for that may have been cut off."""
        names = "|".join(re.escape(key) for key in sorted(self._keys, key=len, reverse=True))
        self._said = re.compile(
            rf"(?i)(?<!\w)((?:{names})\\*['\"]?\s*(?:=>|[=:])\s*(?:(?:bearer|basic|token)\s+)?)"
            r"(\\*\"(?:[^\"\\]|\\.)*\"|\\*'(?:[^'\\]|\\.)*'|[^\s,;&)}\]'\"]+)"
        )

    def __bool__(self) -> bool:
        return bool(self._keys)

    @property
    def unmet(self) -> list[str]:
        """Keys under which nothing was learned, in small letters."""
        return sorted(self._keys - self._met)

    def learn(self, data: Any, ours: Ours | None = None) -> None:
        """Remember every value that stands under one of the keys in this JSON data; of `ours` in what is somebody's."""
        for key, value in _entries(data):
            if self._is_key(key, value, ours):
                self._met.add(key.lower())
                for text in _texts(value):
                    self._remember(text)
            else:
                self.learn(value, _below(ours, key))

    def clean(self, data: Any, ours: Ours | None = None) -> tuple[Any, int]:
        """The data without what stands under the keys, of `ours` in what is somebody's, and without what was learned,
        and how many places that were."""
        if isinstance(data, str):
            return self.clean_text(data)
        if isinstance(data, dict):
            clean: dict[str, Any] = {}
            count = 0
            for key, value in cast("dict[str, Any]", data).items():
                name, renamed = self.clean_text(key)
                found = self._is_key(key, value, ours)
                clean[name], gone = (REDACTED, 1) if found else self.clean(value, _below(ours, key))
                count += gone + renamed
            return clean, count
        if isinstance(data, list):
            items = cast("list[Any]", data)
            if len(items) == 2 and isinstance(items[0], str) and self._is_key(items[0], items[1], ours):
                return [items[0], REDACTED], 1
            parts = [self.clean(value, ours) for value in items]
            return [value for value, _ in parts], sum(gone for _, gone in parts)
        number = json.dumps(data) if data is not None else ""
        return (REDACTED, 1) if number and self._known_at(number, 0) == len(number) else (data, 0)

    def clean_text(self, text: str) -> tuple[str, int]:
        """A text without the values that were learned, and without what it says itself to be the value of a key."""
        if not self._keys:
            return text, 0
        text, gone = self._without_known(text)
        count = 0

        def hide(found: re.Match[str]) -> str:
            nonlocal count
            if REDACTED.startswith(found[2]) or REDACTED in found[2]:
                return found[0]
            count += 1
            mark = found[2][0] if found[2][0] in "'\"" else ""
            return f"{found[1]}{mark}{REDACTED}{mark}"

        return self._said.sub(hide, text), gone + count

    def _is_key(self, name: str, value: Any, ours: Ours | None) -> bool:
        if name.lower() not in self._keys:
            return False
        return ours is None or (name in ours.said and not isinstance(value, dict))

    def _without_known(self, text: str) -> tuple[str, int]:
        known = self._known
        if len(text) < _SHORTEST or not known:
            return text, 0
        parts: list[str] = []
        at = done = 0
        while at <= len(text) - _SHORTEST:
            length = self._known_at(text, at) if text[at : at + _SHORTEST] in known else 0
            if length:
                parts += [text[done:at], REDACTED]
                at = done = at + length
            else:
                at += 1
        return ("".join([*parts, text[done:]]), len(parts) // 2) if parts else (text, 0)

    def _known_at(self, text: str, at: int) -> int:
        """Characters of the longest value that stands there, or of the beginning of one, where a text was cut off; 0 if
        none does."""
        begin = text[at : at + _SHORTEST]
        alike = self._known.get(begin, {})
        for length, values in alike.items():
            if text[at : at + length] in values:
                return length
        if not alike:
            return 0
        longest = text[at : at + next(iter(alike))]
        mark = _CUT.search(longest, _SHORTEST)
        if mark is None and (len(text) < _LONG or at + len(longest) < len(text)):
            return 0
        rest = longest if mark is None else longest[: mark.start()]
        if begin not in self._sorted:
            self._sorted[begin] = sorted(form for values in alike.values() for form in values)
        forms = self._sorted[begin]
        place = bisect.bisect_left(forms, rest)
        return len(rest) if place < len(forms) and forms[place].startswith(rest) else 0

    def _remember(self, value: str) -> None:
        lines = [line for line in value.splitlines() if len(line) >= _LINE]
        in_one_line = " ".join(value.split())  # as the text of a failure has it
        for text in {value, value.strip(), in_one_line, *lines}:
            for form in (*_quoted(text), *_in_urls(text), *_in_base64(text.encode(errors="replace")), *_decoded(text)):
                if len(form) >= _SHORTEST:
                    self._add(form)

    def _add(self, form: str) -> None:
        alike = self._known.setdefault(form[:_SHORTEST], {})
        self._sorted.pop(form[:_SHORTEST], None)
        if len(form) in alike:
            alike[len(form)].add(form)
        else:
            longest_first = sorted([*alike.items(), (len(form), {form})], reverse=True)
            self._known[form[:_SHORTEST]] = dict(longest_first)


def _below(ours: Ours | None, name: str) -> Ours | None:
    """What is ours of what stands under this name: all of it, unless something else is said."""
    if ours is None or not name:
        return ours
    return ours.held.get(name, _OURS)


def _entries(data: Any) -> Iterator[tuple[str, Any]]:
    """What stands under a name, also in a pair; what has none stands under an empty one."""
    if isinstance(data, dict):
        yield from cast("dict[str, Any]", data).items()
    elif isinstance(data, list):
        items = cast("list[Any]", data)
        if len(items) == 2 and isinstance(items[0], str):
            yield items[0], items[1]
        else:
            for item in items:
                yield "", item


def _texts(data: Any) -> Iterator[str]:
    """Everything in a secret value that could stand in a text."""
    if isinstance(data, dict):
        for value in cast("dict[str, Any]", data).values():
            yield from _texts(value)
    elif isinstance(data, list):
        for value in cast("list[Any]", data):
            yield from _texts(value)
    elif isinstance(data, str):
        yield data
    elif isinstance(data, (int, float)) and not isinstance(data, bool):
        yield json.dumps(data)


def _quoted(text: str) -> set[str]:
    """As `repr` and JSON have it, or one of them what the other has: an exception quotes an answer, which is JSON."""
    forms = {text}
    for _ in range(2):
        forms |= {form for each in forms for form in _by_repr(each)}
        forms |= {json.dumps(each, ensure_ascii=False)[1:-1] for each in forms}
        forms |= {form for each in forms if not each.isascii() for form in _in_ascii(each)}
    data = text.encode(errors="replace")
    return forms | _by_repr(data) | {data.hex(), data.hex().upper()}


def _in_ascii(text: str) -> set[str]:
    """With its other characters written out, by JSON (in small digits or capital ones) or by Python."""
    by_json = json.dumps(text)[1:-1]
    capital = _ESCAPED.sub(lambda found: f"\\u{found[1].upper()}", by_json)
    return {by_json, capital, text.encode("ascii", "backslashreplace").decode(), *_by_repr(text, ascii)}


def _by_repr(value: str | bytes, write: Callable[[object], str] = repr) -> set[str]:
    """By itself, and in a text with both kinds of quotes, of which `repr` escapes one."""
    begin, marked = (2, value + b'"') if isinstance(value, bytes) else (1, value + '"')
    return {write(value)[begin:-1], write(marked)[begin:-2]}


def _in_base64(data: bytes) -> set[str]:
    """By itself, which is how bytes are stored, and what is its own between others, as in `Basic` credentials."""
    forms = {base64.b64encode(data).decode()}
    for before in range(3):
        code = base64.b64encode(bytes(before) + data).decode().rstrip("=")
        forms.add(code[before + 1 if before else 0 : len(code) - ((before + len(data)) % 3 > 0)])
    return forms | {form.translate(_SAFE_IN_URLS) for form in forms}


def _decoded(text: str) -> set[str]:
    """What a text is that may be bytes as they are stored: somebody else may have quoted these, or put them into a URL
    or between others."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        return set()
    forms = _by_repr(data) | {data.hex(), data.hex().upper()} | _in_base64(data)
    try:
        return forms | _quoted(data.decode())
    except UnicodeDecodeError:
        return forms


def _in_urls(text: str) -> set[str]:
    """As it stands in a path, or in a query, where a form has its spaces as `+`; in capital digits or small ones."""
    forms: set[str] = set()
    for more in "", "/":
        for digits in "02X", "02x":
            form = "".join(
                each
                if each in _PLAIN or each in more
                else "".join(f"%{byte:{digits}}" for byte in each.encode(errors="replace"))
                for each in text
            )
            forms |= {form, form.replace("%20", "+")}
    return forms
