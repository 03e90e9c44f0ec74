"""Large values on their way in a bundle: each once, in lines of 64 kB, before the first row that holds it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, Final, Protocol

from attrs import field

from treewarden.agents.core.said import shown
from treewarden.agents.core.values import define

from .blobs import parts_of, text_of
from .bundle_rows import Misfit
from .canonical import load

__all__ = ["BLOB", "Arriving", "blob_records"]

BLOB: Final = "blob"
"""The `type` of a line with a piece of a large value."""
_DIGITS: Final = 64
_HASH: Final = re.compile(f"[0-9a-f]{{{_DIGITS}}}")
_LONGEST: Final = 200_000
"""Characters of a piece; they are written 65,536 bytes at a time."""


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


def blob_records(connection: sqlite3.Connection, body: str, sent: set[str]) -> Iterator[dict[str, Any]]:
    """The pieces of what a stored body holds, without what is in `sent`, where it is put then.

    Raises `JournalDamaged` for a value that is missing, or is not what was written.
    """
    for hash, _ in parts_of(body):
        if hash not in sent:
            sent.add(hash)
            for text in text_of(connection, hash):
                yield {"type": BLOB, "hash": hash, "text": text}
            yield {"type": BLOB, "hash": hash, "text": "", "end": True}


@define
class Arriving:
    """Puts large values into a new file, piece by piece, and says whether a body finds there what it holds.

    Raises `Misfit`, `ValueError`, `TypeError` and `LookupError` for what is no such line or body, and `sqlite3.Error`.
    """

    _connection: sqlite3.Connection
    _epoch: int
    _sizes: dict[str, int] = field(factory=dict[str, int])
    """Characters of each that has come to its end."""
    _hash: str = ""
    """Of the one that is on its way."""
    _id: int = 0
    _size: int = 0
    _found: _Hash = field(factory=sha256)

    def take(self, record: dict[str, Any]) -> None:
        """One line."""
        hash, text, end = record.get("hash"), record.get("text"), record.get("end", False)
        if not isinstance(hash, str) or not _HASH.fullmatch(hash):
            raise Misfit(f"blob.hash is {shown(hash)}; it must be SHA-256 as {_DIGITS} hexadecimal digits")
        if not isinstance(text, str):
            raise Misfit(f"blob.text is {shown(text)}; it must be a text")
        if not isinstance(end, bool):
            raise Misfit(f"blob.end is {shown(end)}; it must be true, or not be there")
        if not self._hash:
            self._begin(hash)
        if hash != self._hash:
            raise Misfit(f"blob.hash is {hash}; it must be that of the line before it, which goes on: {self._hash}")
        if len(text) > _LONGEST:
            raise Misfit(f"blob.text has {len(text)} characters; it must have {_LONGEST} at most")
        if text:
            data = text.encode()
            self._found.update(data)
            self._size += len(text)
            into = "INSERT INTO chunks (blob, data, epoch) VALUES (?,?,?)"
            self._connection.execute(into, (self._id, data, self._epoch))
        if end:
            self._end()

    def check(self, name: str, body: str) -> None:
        """Raise if a stored body is not made of what has come and of JSON. `name` is that of its field."""
        head, _, rest = body.partition("\n")
        try:
            load(rest)
            parts = parts_of(body)
            size = len(rest) + sum(self._sizes[hash] - len("null") for hash, _ in parts)
            fits = all({type(step) for step in place} <= {str, int} for _, place in parts)
        except (ValueError, TypeError, LookupError) as error:
            raise Misfit(
                f"{name} begins with {shown(head)}, which does not lead to large values of the bundle: {error!r}"
            ) from error
        if not fits or head[1:].partition(" ")[0] != str(size):
            raise Misfit(f"{name} begins with {shown(head)}; it must say its {size} characters, and places in it")

    def _begin(self, hash: str) -> None:
        if hash in self._sizes:
            raise Misfit(f"blob.hash is {hash}; it must be another, for that large value has come before")
        row = (bytes.fromhex(hash), 0, self._epoch)
        cursor = self._connection.execute("INSERT INTO blobs (hash, size, epoch) VALUES (?,?,?)", row)
        self._hash, self._id, self._size, self._found = hash, cursor.lastrowid or 0, 0, sha256()

    def _end(self) -> None:
        if self._found.hexdigest() != self._hash:
            raise Misfit(
                f"blob.text is not what was written: its SHA-256 is {self._found.hexdigest()}, not {self._hash}"
            )
        self._connection.execute("UPDATE blobs SET size = ? WHERE id = ?", (self._size, self._id))
        self._sizes[self._hash] = self._size
        self._hash = ""
