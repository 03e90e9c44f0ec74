"""What is on a disk when the power goes in the middle of a commit, and what SQLite makes of it at the next start."""

from __future__ import annotations

import pathlib
import sqlite3
import struct
import tempfile
from collections.abc import Iterator
from typing import Final

from ..core.draws import Draws

__all__ = ["recovered", "torn", "wal_of"]

_SECTOR: Final = 512
"""What a disk writes at once: of more than that any part may be there."""
_PAGE: Final = 4096
_MAGIC: Final = 0x377F0682
_VERSION: Final = 3_007_000
_SALTS: Final = (0x7EA0_0001, 0x7EA0_0002)
_MODES: Final = slice(18, 20)
"""Where a database file says whether it has a log beside it: 2 if so, 1 if not."""


def recovered(before: bytes, after: bytes, draws: Draws) -> bytes:
    """The database that SQLite finds if the power goes while it commits what leads from `before` to `after`.

    Both are whole databases, as `Connection.serialize` gives them. The log of the commit is written out as SQLite
    writes it, torn as `draws` says, laid beside `before`, and opened: what comes is SQLite's own recovery of real
    files. Raises `sqlite3.DatabaseError` if it finds no sound database.
    """
    with tempfile.TemporaryDirectory(prefix="treewarden-torn-") as folder:
        file = pathlib.Path(folder, "world.db")
        file.write_bytes(_with_modes(before, b"\x02\x02"))
        pathlib.Path(f"{file}-wal").write_bytes(torn(wal_of(before, after), draws))
        return _read_back(file)


def _read_back(file: pathlib.Path) -> bytes:
    database = sqlite3.connect(file, isolation_level=None)
    try:
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("PRAGMA synchronous = OFF")
        found = [text for (text,) in database.execute("PRAGMA integrity_check")]
        if found != ["ok"]:
            raise sqlite3.DatabaseError(f"a torn commit left a damaged database: {'; '.join(found[:3])}")
        return _with_modes(database.serialize(), b"\x01\x01")
    finally:
        database.close()


def torn(log: bytes, draws: Draws) -> bytes:
    """A log of which not everything has reached the disk: cut off, or with holes, or with its last sectors garbled.

    Sometimes all of it has: then the commit stands, and only nobody was told.
    """
    sectors = [log[at : at + _SECTOR] for at in range(0, len(log), _SECTOR)]
    way = draws.below(8)
    if way == 0:
        return log
    first = draws.below(len(sectors))
    if way <= 3:
        return b"".join(sectors[:first]) + sectors[first][: draws.below(_SECTOR)]
    if way <= 6:
        rest = (sector if draws.below(2) else b"\0" * len(sector) for sector in sectors[first:])
        return b"".join(sectors[:first]) + b"".join(rest)
    last = bytes(byte ^ 0xA5 for byte in sectors[-1])
    return b"".join(sectors[:-1]) + last


def wal_of(before: bytes, after: bytes) -> bytes:
    """The write-ahead log of one commit: every page that differs, as SQLite's file format says
    (https://sqlite.org/fileformat2.html#the_write_ahead_log)."""
    pages = list(_changed(before, after))
    size = len(after) // _PAGE
    head = struct.pack(">8I", _MAGIC, _VERSION, _PAGE, 0, *_SALTS, 0, 0)[:24]
    sums = _checksum(head, (0, 0))
    parts = [head, struct.pack(">2I", *sums)]
    for place, (number, page) in enumerate(pages):
        frame = struct.pack(">2I", number, size if place == len(pages) - 1 else 0)
        sums = _checksum(frame + page, sums)
        parts += [frame, struct.pack(">2I", *_SALTS), struct.pack(">2I", *sums), page]
    return b"".join(parts)


def _changed(before: bytes, after: bytes) -> Iterator[tuple[int, bytes]]:
    """The pages of `after` that `before` has not, by their numbers; the first one always, as a commit has it."""
    for at in range(0, len(after), _PAGE):
        page = after[at : at + _PAGE]
        if at == 0:
            page = _with_modes(page, b"\x02\x02")
        if at == 0 or page != before[at : at + _PAGE]:
            yield at // _PAGE + 1, page


def _with_modes(database: bytes, modes: bytes) -> bytes:
    return database[: _MODES.start] + modes + database[_MODES.stop :] if database else database


def _checksum(data: bytes, sums: tuple[int, int]) -> tuple[int, int]:
    one, two = sums
    words = struct.unpack(f"<{len(data) // 4}I", data)
    for low, high in zip(words[::2], words[1::2], strict=True):
        one = (one + low + two) & 0xFFFF_FFFF
        two = (two + high + one) & 0xFFFF_FFFF
    return one, two
