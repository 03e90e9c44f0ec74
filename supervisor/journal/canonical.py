"""JSON text as the journal stores it: without spaces, in UTF-8, and refused where JSON has no word for a value."""

from __future__ import annotations

import json
import json.encoder
from collections.abc import Callable
from typing import Any, Final, NoReturn

__all__ = ["dump", "dump_sorted", "load", "load_at"]

_make: Final[Callable[..., Any] | None] = vars(json.encoder).get("c_make_encoder")
"""What `json` encodes with where it is built with its C part."""


def _encoder(*, sort_keys: bool) -> Callable[[object], str]:
    """`JSONEncoder.encode`, which makes its C part anew for each value: longer than it takes to encode a small one."""
    separators = (",", ":")
    plain = json.JSONEncoder(
        sort_keys=sort_keys, separators=separators, ensure_ascii=False, allow_nan=False, check_circular=False
    )
    if _make is None:
        return plain.encode
    text = json.encoder.encode_basestring
    pieces = _make(None, plain.default, text, None, separators[1], separators[0], sort_keys, False, False)
    return lambda data: "".join(pieces(data, 0))


_in_order: Final = _encoder(sort_keys=False)
_sorted: Final = _encoder(sort_keys=True)


def dump(data: object) -> str:
    """`data` as text, keys in the order in which they stand.

    Raises `ValueError` for NaN, infinity and lone surrogates, `TypeError` for what is not JSON data.
    """
    return _storable(_in_order(data))


def dump_sorted(data: object) -> str:
    """As `dump`, with sorted keys: the same data always gives the same text."""
    return _storable(_sorted(data))


def load(text: str) -> Any:
    """What `dump` was given. Raises `ValueError` for anything that is not JSON, or is nested too deeply to be read."""
    try:
        return _decoder.decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def load_at(text: str, place: int) -> tuple[Any, int]:
    """The value that begins at `place`, and where it ends. Raises `ValueError` if none does."""
    try:
        return _decoder.raw_decode(text, place)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _storable(text: str) -> str:
    if not text.isascii():
        text.encode()  # a lone surrogate is refused here, and not by the database in the middle of a transaction
    return text


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_decoder: Final = json.JSONDecoder(parse_constant=_refuse)
