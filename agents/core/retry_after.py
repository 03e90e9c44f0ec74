"""Retry-After: how long the other side of an HTTP call wants to be left alone (RFC 9110, 10.2.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from typing import Final

__all__ = ["retry_after"]

_SECONDS: Final = re.compile(r"[0-9]{1,9}(\.[0-9]+)?")
"""Whole seconds, says the RFC; some services send parts of them."""


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds to wait; None if nothing was said, or nothing that can be read.

    A date is counted from the answer's own `Date`, so no clock of ours has to agree with theirs; where that is missing
    or cannot be read, from `now`, in seconds since 1970. `headers` must find
    names in any case, or have them in lower case or as in the RFC.
    """
    said = _of(headers, "Retry-After")
    if said is None:
        return None
    return float(said) if _SECONDS.fullmatch(said) else _until(said, _of(headers, "Date"), now)


def _until(then: str, date: str | None, now: float | None) -> float | None:
    end, begin = _at(then), _at(date or "")
    begin = now if begin is None else begin
    return None if end is None or begin is None else max(0.0, end - begin)


def _at(date: str) -> float | None:
    """A date of HTTP in seconds since 1970; None for what is none. One that names no zone is in GMT."""
    from email.utils import parsedate_to_datetime  # a date is rare, and this would be imported with every agent

    try:
        found = parsedate_to_datetime(date)
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _of(headers: Mapping[str, str], name: str) -> str | None:
    value = headers.get(name)
    value = headers.get(name.lower()) if value is None else value
    return None if value is None else str(value).strip()
