"""Large values: what is longer than 64 kB stands once in the file, under its SHA-256, however many rows hold it.

A body of which parts were taken out begins with `@`, as no JSON does: `@size [[hash, place], ...]`, a line feed, and
the JSON that is left, with null at each place. A place is the way to it from the root; outer ones come first.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any, Final, TypeAlias, cast

from attrs import field

from treewarden.agents.core.values import define
from treewarden.agents.errors import JournalDamaged

from .canonical import dump, load
from .port import Survey

__all__ = ["LIMIT", "SIZE", "Blobs", "chunks_of", "survey", "sweep", "used", "whole"]

LIMIT: Final = 65_536
"""Characters of JSON that stand where they belong."""
SIZE: Final = "CASE WHEN body >= '@' AND body < 'A' THEN CAST(substr(body, 2) AS INTEGER) ELSE length(body) END"
"""Characters of a whole body, in SQL."""
_CHUNK: Final = 65_536
_HOLDERS: Final = ("states", "checkpoints", "mailbox", "dead_letters", "replies")
"""Tables whose bodies may have parts elsewhere."""
_NODES: Final = (dict, list)

Place: TypeAlias = list[str | int]


@define
class Blobs:
    """What the bodies of one transaction leave out. Filled and written in the writer's thread."""

    _texts: dict[bytes, str] = field(factory=dict[bytes, str])
    _bodies: dict[str, str] = field(factory=dict[str, str])

    def shorten(self, body: str) -> str:
        """`body` as it is to be stored."""
        if len(body) <= LIMIT:
            return body
        if body not in self._bodies:
            self._bodies[body] = self._shortened(body)
        return self._bodies[body]

    def write(self, connection: sqlite3.Connection, epoch: int) -> int:
        """Store what is not there yet. Returns how many characters that is."""
        written = 0
        for hash, text in self._texts.items():
            insert = "INSERT INTO blobs (hash, size, epoch) VALUES (?,?,?) ON CONFLICT (hash) DO NOTHING"
            cursor = connection.execute(insert, (hash, len(text), epoch))
            if cursor.rowcount != 1:
                continue
            blob, data = cursor.lastrowid, text.encode()
            connection.executemany(
                "INSERT INTO chunks (blob, data, epoch) VALUES (?,?,?)",
                ((blob, data[start : start + _CHUNK], epoch) for start in range(0, len(data), _CHUNK)),
            )
            written += len(text)
        return written

    def _shortened(self, body: str) -> str:
        parts: list[tuple[str, Place]] = []
        data, rest = self._cut(load(body), body, [], parts)
        if len(rest) > LIMIT:
            parts.append((self._kept(rest), []))
            data = None
        parts.sort(key=lambda part: len(part[1]))
        return f"@{len(body)} {dump(parts)}\n{dump(data)}"

    def _cut(self, node: Any, text: str, at: Place, parts: list[tuple[str, Place]]) -> tuple[Any, str]:
        """Take out of `node`, whose JSON is `text`, what is too long inside of it. Returns what is left."""
        if not isinstance(node, _NODES):
            return node, text
        found = cast("dict[str, Any] | list[Any]", node)
        keys: Sequence[str | int] = list(found) if isinstance(found, dict) else range(len(found))
        holes = False
        for key in _long_ones(found, keys):
            place: Place = [*at, key]
            child = cast("Any", found)[key]
            child, inner = self._cut(child, dump(child), place, parts)
            if len(inner) > LIMIT:
                parts.append((self._kept(inner), place))
                child = None
            cast("Any", found)[key] = child
            holes = True
        return found, dump(found) if holes else text

    def _kept(self, text: str) -> str:
        hash = sha256(text.encode())
        self._texts[hash.digest()] = text
        return hash.hexdigest()


def _long_ones(node: Any, keys: Sequence[str | int]) -> Iterator[str | int]:
    """The keys of `node` under which more than `LIMIT` stands. Halves, so that the encoder does most of the looking."""
    values = [node[key] for key in keys]
    if len(dump(values)) - 2 <= LIMIT:
        return
    if len(keys) == 1:
        yield keys[0]
        return
    middle = len(keys) // 2
    yield from _long_ones(node, keys[:middle])
    yield from _long_ones(node, keys[middle:])


def whole(connection: sqlite3.Connection, body: str) -> str:
    """A stored body with all of its parts. Raises `JournalDamaged` if one is not there, or is another than it was."""
    if not body.startswith("@"):
        return body
    head, _, rest = body.partition("\n")
    root: dict[str, Any] = {"": load(rest)}
    for hash, place in json.loads(head.partition(" ")[2]):
        text = b"".join(chunks_of(connection, bytes.fromhex(hash)))
        if sha256(text).hexdigest() != hash:
            raise JournalDamaged(
                f"a stored value of SHA-256 {hash} is missing or damaged. Restore the file from a copy"
            )
        holder: Any = root
        *way, last = "", *place
        for key in way:
            holder = holder[key]
        holder[last] = load(text.decode())
    return dump(root[""])


def chunks_of(connection: sqlite3.Connection, hash: bytes) -> Iterator[bytes]:
    """The bytes of one large value, in parts."""
    question = "SELECT data FROM chunks WHERE blob = (SELECT id FROM blobs WHERE hash = ?) ORDER BY number"
    for (data,) in connection.execute(question, (hash,)):
        yield data


def survey(connection: sqlite3.Connection) -> Survey:
    """Count the large values. Looks at all rows that hold some, not at the values."""
    held = used(connection)
    count = size = unused = unused_size = 0
    for hash, length in connection.execute("SELECT hash, size FROM blobs"):
        count += 1
        size += length
        if hash not in held:
            unused += 1
            unused_size += length
    return Survey(count=count, size=size, unused=unused, unused_size=unused_size)


def sweep(connection: sqlite3.Connection, most: int) -> Survey:
    """Within the open transaction, delete large values that no row holds, until more than `most` characters have gone;
    all of them if it is negative.

    Returns what is left.
    """
    held, gone = used(connection), 0
    for id, hash, length in connection.execute("SELECT id, hash, size FROM blobs").fetchall():
        if hash not in held:
            connection.execute("DELETE FROM chunks WHERE blob = ?", (id,))
            connection.execute("DELETE FROM blobs WHERE id = ?", (id,))
            gone += length
            if gone > most >= 0:
                break
    return survey(connection)


def used(connection: sqlite3.Connection) -> set[bytes]:
    """The hashes of all values that some row holds."""
    heads = itertools.chain.from_iterable(
        connection.execute(
            f"SELECT substr(body, 1, instr(body, char(10))) FROM {table} WHERE body >= '@' AND body < 'A'"
        )
        for table in _HOLDERS
    )
    return {bytes.fromhex(hash) for (head,) in heads for hash, _ in json.loads(head.partition(" ")[2])}
