"""What one link of the chain is: all that a writer has to know of it. Whole chains are checked in `chain.py`."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

__all__ = ["GENESIS", "link"]

GENESIS: Final = bytes(32)
"""What the first link of a journal is chained to."""


def link(prev: bytes, seq: int, at: float, epoch: int, path: str, kind: str, version: int, body: str) -> bytes:
    """The hash of one event, chained to `prev`, the hash of the event before it.

    SHA-256 over `prev` and the UTF-8 text `{seq} {epoch} {version} {at} {len(kind)} {len(path)}`, a newline,
    `{kind}{path}{body}`; `at` is the shortest decimal that reads back as the same double, and lengths count characters,
    so no two events have the same text. `body` is hashed as it is stored: nothing has to be encoded again to check it.
    Raises `UnicodeEncodeError` for text that UTF-8 cannot hold.
    """
    text = f"{seq} {epoch} {version} {at + 0.0!r} {len(kind)} {len(path)}\n{kind}{path}{body}"
    return sha256(prev + text.encode()).digest()
