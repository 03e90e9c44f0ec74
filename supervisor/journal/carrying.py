"""Large values on their way in a bundle: each once, in lines of 64 kB, before the first row that holds it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, Final, Protocol

from attrs import field

from treewarden.agents.core.values import define

from .blobs import parts_of, text_of
from .canonical import load

__all__ = ["BLOB", "Arriving", "blob_records"]

BLOB: Final = "blob"
"""The `type` of a line with a piece of a large value."""
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

    Raises `ValueError`, `TypeError` and `KeyError` for what is no such line or body, and `sqlite3.Error`.
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
        hash, text = record["hash"], record["text"]
        if not self._hash:
            self._begin(hash)
        if hash != self._hash:
            raise ValueError(f"it is of another large value than the line before it, which goes on: {self._hash}")
        if len(text) > _LONGEST:
            raise ValueError(f"a piece of {len(text)} characters")
        if text:
            data = text.encode()
            self._found.update(data)
            self._size += len(text)
            into = "INSERT INTO chunks (blob, data, epoch) VALUES (?,?,?)"
            self._connection.execute(into, (self._id, data, self._epoch))
        if record.get("end"):
            self._end()

    def check(self, body: str) -> None:
        """Raise if a stored body is not made of what has come and of JSON."""
        head, _, rest = body.partition("\n")
        load(rest)
        size = len(rest)
        for hash, place in parts_of(body):
            if hash not in self._sizes:
                raise ValueError(f"the large value {hash} is not in the bundle")
            if not {type(step) for step in place} <= {str, int}:
                raise TypeError(f"{place!r} is no place")
            size += self._sizes[hash] - len("null")
        if head[1:].partition(" ")[0] != str(size):
            raise ValueError(f"it is of {size} characters, and says otherwise")

    def _begin(self, hash: str) -> None:
        if hash in self._sizes:
            raise ValueError(f"the large value {hash} has come before")
        row = (bytes.fromhex(hash), 0, self._epoch)
        cursor = self._connection.execute("INSERT INTO blobs (hash, size, epoch) VALUES (?,?,?)", row)
        self._hash, self._id, self._size, self._found = hash, cursor.lastrowid or 0, 0, sha256()

    def _end(self) -> None:
        if self._found.hexdigest() != self._hash:
            raise ValueError(f"the large value {self._hash} is another than it was")
        self._connection.execute("UPDATE blobs SET size = ? WHERE id = ?", (self._size, self._id))
        self._sizes[self._hash] = self._size
        self._hash = ""
