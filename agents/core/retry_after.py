"""Retry-After: how long the other side of an HTTP call wants to be left alone (RFC 9110, 10.2.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["retry_after"]

_SECONDS: Final = re.compile(r"[0-9]{1,9}(\.[0-9]+)?")
"""Whole seconds, says the RFC; some services send parts of them."""


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait; None if nothing was said, or nothing that can be read.

    A date is counted from the answer's own `Date`, so no clock of ours has to agree with theirs. `headers` must find
    names in any case, or have them in lower case or as in the RFC.
    """
    said = _of(headers, "Retry-After")
    if said is None:
        return None
    return float(said) if _SECONDS.fullmatch(said) else _until(said, _of(headers, "Date"))


def _until(then: str, now: str | None) -> float | None:
    from email.utils import parsedate_to_datetime  # a date is rare, and this would be imported with every agent

    try:
        wait = parsedate_to_datetime(then) - parsedate_to_datetime(now or "")
    except (ValueError, TypeError):
        return None
    return max(0.0, wait.total_seconds())


def _of(headers: Mapping[str, str], name: str) -> str | None:
    value = headers.get(name)
    value = headers.get(name.lower()) if value is None else value
    return None if value is None else str(value).strip()
