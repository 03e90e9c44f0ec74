"""Which exceptions are rate limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from .core.exit import ends_process
from .errors import RateLimited

__all__ = ["rate_limit_of"]


def rate_limit_of(error: BaseException, now: Callable[[], float] | None = None) -> RateLimited | None:
    """`error` as a rate limit, if it is one: ours, or any exception whose `response.status_code` is 429. `now` is the
    wall clock, for a date of which it does not say from when it counts."""
    if issubclass(type(error), RateLimited):
        return cast("RateLimited", error)
    try:
        response = getattr(error, "response", None)
        if response is None or getattr(response, "status_code", None) != 429:
            return None
        from .core.retry_after import retry_after  # with the first 429

        headers: Any = getattr(response, "headers", None) or {}
        limited = RateLimited(retry_after(headers, None if now is None else now()), str(error))
    except BaseException as odd:  # what cannot be read must not hide the failure that it belongs to
        if ends_process(odd):
            raise
        return None
    limited.__traceback__ = error.__traceback__
    return limited
