"""What is said about an agent, or by an application: checked where it comes in, so that nobody else has to doubt it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeGuard, cast

__all__ = [
    "DELIVERY",
    "LARGEST",
    "MEASURES",
    "beyond_floats",
    "check_amount",
    "check_facts",
    "check_kind",
    "check_reading",
    "check_share",
    "check_text",
    "either",
    "is_count",
    "is_kind",
    "is_number",
    "is_storable",
    "listed",
    "named",
    "plural",
    "shown",
]

_KIND: Final = 100
_TEXT: Final = 4000
"""Characters of a kind, and of any other text, at most."""
_DEEP: Final = 4
_MANY: Final = 200
"""How deep facts may be nested, and how many values there may be in all."""
_LARGE: Final = 2**63
"""Whole numbers from here on are nothing that was counted."""
_NAMES: Final = 30
"""Of how many names a list of them is written out."""

_MOST: Final = 1e300

LARGEST: Final = 1.7976931348623157e308
"""The largest of all floats; a whole number beyond it cannot be reckoned with any."""

DELIVERY: Final = "delivery"
"""The readings of how long it took from when a message was sent until it was handled. Only the runner says them."""

MEASURES: Final[Mapping[str, tuple[float, float, str]]] = {
    "cpu": (0.0, 100.0, "percent"),
    "memory": (0.0, 100.0, "percent; bytes are 'rss_bytes'"),
    "error_rate": (0.0, 1.0, "a share"),
    "latency_ms": (0.0, math.inf, "milliseconds"),
}
"""What can be measured of anything, the least and the most that it can be, and its unit."""


def shown(value: object) -> str:
    """A value as an error names it, however long or odd it is."""
    try:
        text = repr(value)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        if type(value) is int:  # CPython writes none that has so many digits
            return f"a whole number of {value.bit_length():,} bits"
        return f"a {type(value).__name__} whose repr raises {type(error).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."


def is_number(value: object) -> TypeGuard[float]:
    """Whether this can be reckoned with. True is no 1, NaN is none, nor is what is `beyond_floats`; infinity is one."""
    if type(value) is float:
        return value == value
    return (
        isinstance(value, (int, float)) and not isinstance(value, bool) and value == value and not beyond_floats(value)
    )


def is_count(value: object, least: int = 1) -> TypeGuard[int]:
    """Whether this is a whole number, `least` or more, that can be reckoned with. True is no 1, and 1.0 is none."""
    return isinstance(value, int) and is_number(value) and value >= least


def are_texts(value: object) -> TypeGuard[tuple[str, ...]]:
    """Whether this is a tuple of texts."""
    return isinstance(value, tuple) and all(isinstance(each, str) for each in cast("tuple[object, ...]", value))


def beyond_floats(value: float) -> bool:
    """Whether this is a whole number so large that no float can be reckoned with it; infinity is none."""
    return LARGEST < abs(value) < math.inf


def named(said: Mapping[Any, object]) -> str:
    """Which fields there are, for an error that misses one."""
    names = ", ".join(sorted(key if isinstance(key, str) else shown(key) for key in list(said)[:20]))
    return (names if len(names) <= 200 else f"{names[:197]}...") or "nothing"


def check_kind(name: str, value: object) -> None:
    """Raise `ValueError` unless this may name what was noticed: a word of at most 100 characters on one line."""
    if not isinstance(value, str) or not is_kind(str(value)):
        why = f"; give at most {_KIND} characters" if isinstance(value, str) and len(value) > _KIND else ""
        raise ValueError(f"{name} is {shown(value)}; it must name what was noticed, as in 'slow'{why}")


@lru_cache(4096)
def is_kind(kind: str) -> bool:
    """Whether this may name what was noticed."""
    return 0 < len(kind) <= _KIND and kind.isprintable() and kind == kind.strip()


def check_share(name: str, value: object) -> None:
    """Raise `ValueError` unless this is a number from 0 to 1."""
    if type(value) is not float or not 0.0 <= value <= 1.0:
        check_amount(name, value, 0.0, 1.0)


def check_amount(name: str, value: object, least: float, most: float, unit: str = "") -> None:
    """Raise `ValueError` unless this is a finite number in these bounds. `True` is no number."""
    said = f" ({unit})" if unit else ""
    if not is_number(value) or math.isinf(value):
        raise ValueError(f"{name} is {shown(value)}; it must be a finite number{said}")
    if not least <= value <= most:
        bound = f"from {least:g} to {most:g}" if most < math.inf else f"{least:g} or more"
        raise ValueError(f"{name} is {shown(value)}; it must be {bound}{said}")


def check_reading(name: str, value: object) -> None:
    """Raise `ValueError` unless this can have been measured: seconds, bytes, an amount."""
    if not is_number(value) or not 0 <= value <= _MOST:
        raise ValueError(f"{name} is {shown(value)}; a reading is a number, 0 or more")


def check_text(name: str, value: object) -> None:
    """Raise `ValueError` unless this is a text of at most 4,000 characters that can be stored."""
    if not isinstance(value, str):
        raise ValueError(f"{name} is {shown(value)}; it must be a text")
    if len(value) > _TEXT:
        raise ValueError(f"{name} has {len(value):,} characters; give at most {_TEXT:,}, and keep the rest elsewhere")
    if not value.isascii() and not is_storable(value):
        raise ValueError(f"{name} is {shown(value)}; it holds half a character (a lone surrogate), so decode it again")


def check_facts(facts: object, name: str = "") -> None:
    """Raise `ValueError` unless this maps names to numbers, texts, or lists and mappings of them, at most 200 in all;
    what is in `MEASURES` has to be possible. `name` is whose they are, in errors."""
    if not isinstance(facts, Mapping):
        raise ValueError(f"{name or 'what was said'} is {shown(facts)}; give a mapping of names to numbers and texts")
    if facts:
        left = _MANY
        for key, value in cast("Mapping[object, object]", facts).items():
            left = _check_fact(key, value, name, left)


def _check_fact(key: object, value: object, above: str, left: int) -> int:
    if not isinstance(key, str) or not is_kind(str(key)):
        which = f"a field of {above}" if above else "a field"
        raise ValueError(f"{which} has the name {shown(key)}; it must be a word of at most {_KIND} characters")
    name = f"{above}.{key}" if above else key
    if not above and key in MEASURES:
        check_amount(name, value, *MEASURES[key])
        return left - 1
    return _check_value(name, value, left)


def _check_value(name: str, value: object, left: int) -> int:
    """How many more values there may be after this one."""
    if left <= 0:
        raise ValueError(f"{name} is one value too many; give at most {_MANY}, and keep the rest elsewhere")
    if value is None or isinstance(value, bool):
        return left - 1
    if isinstance(value, (int, float)):
        if not is_number(value) or math.isinf(value):
            raise ValueError(f"{name} is {shown(value)}; it must be a finite number")
        if isinstance(value, int) and not -_LARGE <= value < _LARGE:
            raise ValueError(f"{name} is {shown(value)}; a whole number must fit into 64 bits: give it as text")
    elif isinstance(value, str):
        check_text(name, value)
    elif isinstance(value, (list, tuple, Mapping)):
        if name.count(".") + name.count("[") >= _DEEP:
            raise ValueError(f"{name} is nested too deep; give at most {_DEEP} levels")
        return _check_many(name, cast("list[object] | Mapping[object, object]", value), left - 1)
    else:
        said = f"{shown(value)} ({type(value).__name__})"
        raise ValueError(f"{name} is {said}; give numbers, texts, and lists or mappings of them")
    return left - 1


def _check_many(name: str, values: list[Any] | tuple[Any, ...] | Mapping[Any, Any], left: int) -> int:
    if isinstance(values, Mapping):
        for key, value in values.items():
            left = _check_fact(key, value, name, left)
    else:
        for place, value in enumerate(values):
            left = _check_value(f"{name}[{place}]", value, left)
    return left


def is_storable(text: str) -> bool:
    """Whether this is no half a character, which UTF-8 has no place for."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def plural(count: int, one: str, many: str = "") -> str:
    """`1 slot`, `2 slots`, `2 replies`; `many` where neither fits."""
    if not many:
        many = f"{one[:-1]}ies" if one.endswith("y") and one[-2:-1] not in "aeiou" else f"{one}s"
    return f"{count} {one if count == 1 else many}"


def either(names: Iterable[str]) -> str:
    """`permanent, transient or temporary`."""
    return listed(names, "or")


def listed(names: Iterable[str], joint: str = "and") -> str:
    """`a, b and c`; of very many only the first."""
    *most, last = names
    if len(most) >= _NAMES:
        return f"{', '.join(most[:_NAMES])}, … ({len(most) + 1} in all)"
    return f"{', '.join(most)} {joint} {last}" if most else last
