"""One HTTP request, with httpx2. The only place of the watchdog that touches the network."""

from __future__ import annotations

import functools
import importlib
import ssl
from collections.abc import Awaitable, Callable, Mapping
from types import ModuleType
from typing import Final, TypeAlias

from attrs import field, frozen

from treewarden.agents.errors import ConfigurationError

__all__ = ["Answer", "Call", "Fetch", "Unreachable", "fetch", "http_client"]

LONGEST_BODY: Final = 1 << 20
"""Bytes of a body that are read at most; the rest is not fetched."""


@frozen(kw_only=True)
class Call:
    """What to ask for."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(factory=dict[str, str])
    body: bytes | None = None


@frozen(kw_only=True)
class Answer:
    """What came back, whatever it says."""

    status: int
    headers: Mapping[str, str]
    """With names in lower case."""
    body: str


class Unreachable(Exception):
    """No answer came: refused, cut off, or not HTTP. The text says which."""


Fetch: TypeAlias = Callable[[Call], Awaitable[Answer]]
"""Sends one request. Raises `Unreachable`. Has no time limit of its own: cancel it."""


def http_client() -> ModuleType:
    """The HTTP client library, with what its first request would import and read: half a second, so not for the loop.

    Raises `ConfigurationError` with the remedy where it is not installed.
    """
    try:
        import httpx2

        importlib.import_module("httpcore2")
        _trusted()
    except ImportError:
        raise ConfigurationError(
            "watching HTTP endpoints takes the HTTP client httpx2: pip install 'treewarden[http]'"
        ) from None
    return httpx2


async def fetch(call: Call) -> Answer:
    """Send one request over a connection of its own, so that a connection that went stale is not taken for an outage.

    Redirects are not followed: a redirect is an answer. Cancelled: the connection is closed.
    """
    import httpx2

    async with httpx2.AsyncClient(verify=_trusted(), timeout=None, trust_env=not _is_here(call.url)) as client:
        try:
            async with client.stream(call.method, call.url, headers=dict(call.headers), content=call.body) as response:
                body = b""
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) >= LONGEST_BODY:
                        break
        except httpx2.TransportError as error:
            raise Unreachable(_why(error)) from error
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(
        status=response.status_code,
        headers=headers,
        body=body[:LONGEST_BODY].decode(response.charset_encoding or "utf-8", "replace"),
    )


@functools.cache
def _trusted() -> ssl.SSLContext:
    """The certificates that this machine trusts; read once, for it takes longer than most requests."""
    return ssl.create_default_context()


def _is_here(url: str) -> bool:
    """Loopback addresses are never asked through a proxy."""
    return url.split("://")[-1].startswith(("127.0.0.1", "localhost", "[::1]"))


def _why(error: Exception) -> str:
    name = type(error).__name__
    words = "".join(" " + letter.lower() if letter.isupper() else letter for letter in name).strip()
    return f"{words}: {error}" if str(error) else words
