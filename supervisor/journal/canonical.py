"""JSON text as the journal stores it: without spaces, in UTF-8, and refused where JSON has no word for a value."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

__all__ = ["dump", "dump_sorted", "load"]

_in_order: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False)
_sorted: Final = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
)


def dump(data: object) -> str:
    """`data` as text, keys in the order in which they stand.

    Raises `ValueError` for NaN, infinity and lone surrogates, `TypeError` for what is not JSON data.
    """
    return _storable(_in_order.encode(data))


def dump_sorted(data: object) -> str:
    """As `dump`, with sorted keys: the same data always gives the same text."""
    return _storable(_sorted.encode(data))


def load(text: str) -> Any:
    """What `dump` was given. Raises `ValueError` for anything that is not JSON."""
    return _decoder.decode(text)


def _storable(text: str) -> str:
    if not text.isascii():
        text.encode()  # a lone surrogate is refused here, and not by the database in the middle of a transaction
    return text


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_decoder: Final = json.JSONDecoder(parse_constant=_refuse)
