"""Large values: what is longer than 64 kB stands once in the file, under its SHA-256, however many rows hold it.

A body of which parts were taken out begins with `@`, as no JSON does: `@size [[hash, place], ...]`, a line feed, and
the JSON that is left, with null at each place. A place is the way to it from the root; outer ones come first.
"""

from __future__ import annotations

import codecs
import itertools
import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any, Final

from attrs import field

from treewarden.agents.core.values import define
from treewarden.agents.demand import collector_at_rest
from treewarden.agents.errors import JournalDamaged

from .canonical import dump, load
from .large import LIMIT, Large, Place
from .port import Survey

__all__ = [
    "LIMIT",
    "SIZE",
    "Blobs",
    "chunks_of",
    "parts_of",
    "stored_size",
    "survey",
    "sweep",
    "text_of",
    "used",
    "whole",
]

SIZE: Final = "CASE WHEN body >= '@' AND body < 'A' THEN CAST(substr(body, 2) AS INTEGER) ELSE length(body) END"
"""Characters of a whole body, in SQL."""
_CHUNK: Final = 65_536
_HOLDERS: Final = ("states", "checkpoints", "mailbox", "dead_letters", "replies")
"""Tables whose bodies may have parts elsewhere."""


@define
class Blobs:
    """What the bodies of one transaction leave out. Filled and written in the writer's thread."""

    _values: dict[bytes, tuple[int, list[bytes]]] = field(init=False, factory=dict[bytes, "tuple[int, list[bytes]]"])
    """By hash: characters, and the text in pieces, so that there is never a second copy of all of it."""
    bodies: dict[str | Large, str] = field(init=False, factory=dict["str | Large", str])
    """Those of which something may be left out, as they are stored."""

    def shorten(self, body: str, large: Large | None = None) -> str:
        """`body`, or that of `large`, as it is to be stored. Raises `ValueError` for what is not JSON."""
        if large is None and len(body) <= LIMIT:
            return body
        given = large or body
        if given not in self.bodies:
            self.bodies[given] = self._shortened(large or Large(load(body)))
        return self.bodies[given]

    def write(self, connection: sqlite3.Connection, epoch: int) -> int:
        """Store what is not there yet. Returns how many characters that is."""
        written = 0
        for hash, (size, pieces) in self._values.items():
            insert = "INSERT INTO blobs (hash, size, epoch) VALUES (?,?,?) ON CONFLICT (hash) DO NOTHING"
            cursor = connection.execute(insert, (hash, size, epoch))
            if cursor.rowcount != 1:
                continue
            blob = cursor.lastrowid
            connection.executemany(
                "INSERT INTO chunks (blob, data, epoch) VALUES (?,?,?)",
                ((blob, chunk, epoch) for chunk in _chunks(pieces)),
            )
            written += size
        return written

    def give_up(self) -> None:
        """Free what the bodies were made of: they are stored."""
        for given in self.bodies:
            if isinstance(given, Large):
                given.give_up()

    def _shortened(self, large: Large) -> str:
        out = 0

        def keep(pieces: list[str]) -> str:
            nonlocal out
            size = sum(map(len, pieces))
            out += size - len("null")
            return self._kept(size, pieces)

        rest, parts = large.cut(keep, LIMIT)
        body = "".join(rest)
        return f"@{out + len(body)} {dump(parts)}\n{body}" if parts else body

    def _kept(self, size: int, pieces: list[str]) -> str:
        hash, data = sha256(), list[bytes]()
        pieces.reverse()
        while pieces:  # each goes as its bytes come: together they would be all of the text twice
            piece = pieces.pop().encode()
            hash.update(piece)
            data.append(piece)
        self._values[hash.digest()] = size, data
        return hash.hexdigest()


def _chunks(pieces: list[bytes]) -> Iterator[bytes]:
    """The bytes of `pieces`, `_CHUNK` of them at a time."""
    rest = bytearray()
    for piece in pieces:
        rest += piece
        while len(rest) >= _CHUNK:
            yield bytes(rest[:_CHUNK])
            del rest[:_CHUNK]
    if rest:
        yield bytes(rest)


def whole(connection: sqlite3.Connection, body: str) -> str:
    """A stored body with all of its parts. Raises `JournalDamaged` if one is not there, or is another than it was, or
    belongs where there is no place for it."""
    if not body.startswith("@"):
        return body
    try:
        parts = {tuple(place): hash for hash, place in parts_of(body)}
        rest = body.partition("\n")[2]
        if () in parts:
            return "".join(_filled(connection, (), parts))
        return "".join(_put_in(connection, (), [rest], parts))
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        raise JournalDamaged(
            f"a stored value does not hold its parts where it says so ({error!r}). Restore the file from a copy"
        ) from error


def parts_of(body: str) -> list[tuple[str, list[str | int]]]:
    """The hashes of what a stored body holds elsewhere, and where each belongs."""
    return json.loads(body.partition("\n")[0].partition(" ")[2]) if body.startswith("@") else []


def _filled(connection: sqlite3.Connection, at: Place, parts: Mapping[Place, str]) -> Iterator[str]:
    """The text of the part that belongs at `at`, with all other `parts`, which belong inside of it."""
    inside = {place: hash for place, hash in parts.items() if place != at}
    return _put_in(connection, at, text_of(connection, parts[at]), inside)


def _put_in(
    connection: sqlite3.Connection, at: Place, text: Iterable[str], parts: Mapping[Place, str]
) -> Iterator[str]:
    """`text`, which belongs at `at`, with all of `parts` where they belong. A text without parts is not parsed."""
    outer: dict[Place, dict[Place, str]] = {}
    for place, hash in parts.items():  # outer ones come first
        around = next((place[:end] for end in range(len(at) + 1, len(place)) if place[:end] in outer), place)
        outer.setdefault(around, {})[place] = hash
    if not outer:
        yield from text
        return
    from .slices import at_once, loaded  # with the first one of a process

    joined = "".join(text)
    mark = "part"
    while mark in joined:
        mark += "-"
    with collector_at_rest():
        root: dict[str, Any] = {"": at_once(loaded(joined))}
    for number, place in enumerate(outer):
        holder: Any = root
        *way, last = "", *place[len(at) :]
        for key in way:
            holder = holder[key]
        holder[last] = f"{mark}{number}"
    places = list(outer)
    for text in Large(root[""]).pieces():
        for number, piece in enumerate(re.split(f'"{mark}([0-9]+)"', text)):
            if number % 2:
                place = places[int(piece)]
                yield from _filled(connection, place, outer[place])
            else:
                yield piece


def text_of(connection: sqlite3.Connection, hash: str) -> Iterator[str]:
    """A large value as text, in pieces. Whether it is what was written is known at the end: then it raises."""
    found, decoder = sha256(), codecs.getincrementaldecoder("utf-8")("replace")
    for chunk in chunks_of(connection, bytes.fromhex(hash)):
        found.update(chunk)
        yield decoder.decode(chunk)
    if found.hexdigest() != hash:
        raise JournalDamaged(f"a stored value of SHA-256 {hash} is missing or damaged. Restore the file from a copy")


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


def stored_size(connection: sqlite3.Connection) -> int:
    """Characters of all large values."""
    (size,) = connection.execute("SELECT ifnull(sum(size), 0) FROM blobs").fetchone()
    return size


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
