"""Whether a write-ahead log that is in use still is what was written to it: somebody may cut it off, or copy an older
one over it, under a connection that goes on behind its end.

SQLite notices nothing then. Whoever opens the file after a kill reads the log from its beginning, and finds nothing of
what is committed behind the hole; and the connection itself copies the hole into the file, at the latest when it is
closed. So the beginning of the log and a mark in it are read now and then (https://sqlite.org/fileformat2.html#walformat).

It is also made longer than it has to be, so that what is committed finds its place on the disk already.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Final

__all__ = ["Log", "forget_index"]

_HEADER: Final = struct.Struct(">8I")
"""Magic number, format, size of a page, count of copies, two salts, two checksums."""
_MAGIC: Final = {0x377F0682: "<6I", 0x377F0683: ">6I"}
"""With the order of bytes in which its checksums count."""
_FRAME: Final = 24
_SALTS: Final = slice(16, 24)
_NO_END: Final = bytes(4)
"""In the place of the size that the file has behind a transaction, in a frame that does not end one."""
_PIECE: Final = 1_000_000
"""Bytes that are read of it at a time: after each read the thread may have to wait for the interpreter."""
_FEW: Final = 4
"""Frames that are read at once to begin with: of most logs not more have come since the last look."""
_ANEW: Final = 10_000
"""So often it may have begun anew between two looks: the first salt counts that."""
_TRIES: Final = 3
_INDEX_HEADERS: Final = 136
_LEAST: Final = 65_536
_MOST: Final = 1_048_576
"""Bytes that are added to it at once: as much as there is, within these. The sync of more would hold up one commit."""
_SPARE: Final = 4
"""Times what it may become that has to be free on the disk: on one that is nearly full others need the room."""


class Log:
    """One log, from when it is found; `close` it before its connection. All calls block."""

    def __init__(self, name: str) -> None:
        """Raises `OSError`. Nobody locks a log, so that to close it again takes no lock from anybody."""
        self._fd = os.open(name, os.O_RDWR | os.O_CLOEXEC)
        self._head = self._header()
        self._mark = 0
        """The last frame that ends a transaction, of those that follow one another from the first one on, as they were
        seen; 0 before there was one. Behind it may lie what was rolled back."""
        self._room = 0
        """Its length when it was last made longer, or seen to be shorter."""
        self.is_cramped = False
        """It has grown, and to copy it to the file may take more room than the disk has left."""

    def close(self) -> None:
        os.close(self._fd)

    @property
    def size(self) -> int:
        """Bytes. Raises `OSError`."""
        return os.fstat(self._fd).st_size

    def is_as_written(self, commit: Callable[[], object], written: bool = True) -> bool:
        """Whether who opens it next finds in it what was committed: `written`, something since the last look.

        Where that is not plain, as when others have emptied it, `commit` is called, which has to write something: in a
        log that is sound, that is among the frames which follow one another from the first one on, and not behind a
        hole. Raises what it raises.
        """
        if self._goes_on(written):
            return True
        missed = 0
        for _ in range(_TRIES):
            head = self._header()
            before = self._frames(head)
            # The mark may be missing without harm: whoever is killed in a COMMIT leaves an end of a transaction behind,
            # and what is rolled back in its place has no salts where SQLite would have summed it up again.
            commit()
            after, found = self._frames(head), self._header()
            if found != head if found else not os.fstat(self._fd).st_size:
                continue  # others have begun it anew or emptied it since, as they may
            if found and after != before[: len(after)]:
                mark = next(number for number, frame in enumerate(after, 1) if [frame] != before[number - 1 : number])
                self._head, self._mark = head, mark - 1
                self._has_grown(head)
                return True
            missed += 1
        return missed < _TRIES

    def has_room(self, most: int) -> bool:
        """Whether it was as long as `most` bytes, as far as is known without asking the system."""
        return self._room >= most

    def make_room(self, most: int) -> None:
        """Write zeros behind its end if that was reached, up to `most` bytes in all. Only for who may write the file
        now and is in a transaction: nobody else makes the log longer or shorter then.

        A sync of a file that has grown waits for the file system's own journal, and with it for what others write:
        twice to six times as long as for one whose place on the disk was written before (PostgreSQL fills its log with
        zeros for the same reason: https://www.postgresql.org/docs/current/runtime-config-wal.html). Whoever reads a log
        stops at a frame of zeros, as at what is left behind the end of one that has begun anew: no salts are there.
        A disk that refuses this, or is nearly full, is left alone.
        """
        with suppress(OSError):
            length = os.lseek(self._fd, 0, os.SEEK_END)
            grown, self._room = length > self._room, length
            if not grown or length >= most:
                return
            disk = os.fstatvfs(self._fd)
            free = disk.f_bavail * disk.f_frsize
            self.is_cramped = free < length
            if free > _SPARE * most:
                self._room += os.pwrite(self._fd, bytes(min(max(length, _LEAST), _MOST, most - length)), length)

    def _goes_on(self, written: bool) -> bool:
        """Whether it is the one that it was, with the mark in it, or was begun anew, and has grown if something was
        `written`. What is written behind a hole is not next to the others."""
        head = self._header()
        if not head:
            return False
        if head != self._head:
            if self._head and not 0 < _salt(head) - _salt(self._head) & 0xFFFFFFFF <= _ANEW:
                return False
            self._head, self._mark = head, 0
        elif self._mark and not self._has(head, self._mark):
            return False
        return self._has_grown(head) or not written

    def _header(self) -> bytes:
        """Its first bytes; none if they are not those of a log."""
        found = os.pread(self._fd, _HEADER.size, 0)
        if len(found) < _HEADER.size:
            return b""
        magic, *_, first, second = _HEADER.unpack(found)
        return found if _MAGIC.get(magic) and _sums(_MAGIC[magic], found[:24]) == (first, second) else b""

    def _has_grown(self, head: bytes) -> bool:
        """Move the mark on to the end."""
        frame, before = _FRAME + _HEADER.unpack(head)[2], self._mark
        number, many = before, _FEW
        while True:
            frames = os.pread(self._fd, many * frame, _HEADER.size + number * frame)
            for place in range(0, many * frame, frame):
                if frames[place + 8 : place + 16] != head[_SALTS]:
                    return self._mark > before
                number += 1
                if frames[place + 4 : place + 8] != _NO_END:
                    self._mark = number
            many = min(2 * many, max(_FEW, _PIECE // frame))

    def _has(self, head: bytes, number: int) -> bool:
        """Whether frame `number`, from 1, is of the log that begins with `head`."""
        place = _HEADER.size + (number - 1) * (_FRAME + _HEADER.unpack(head)[2])
        return os.pread(self._fd, 8, place + 8) == head[_SALTS]

    def _frames(self, head: bytes) -> list[bytes]:
        """The beginnings of the frames that are of the log that begins with `head`, from the first one on without a
        gap.

        Not all of them are committed: what was rolled back stays there until something is written over it, or it is
        cut off, since of a log that has begun anew SQLite keeps no more than a limit.
        """
        found: list[bytes] = []
        if not head:
            return found
        frame = _FRAME + _HEADER.unpack(head)[2]
        piece = max(1, _PIECE // frame) * frame
        while True:
            frames = os.pread(self._fd, piece, _HEADER.size + len(found) * frame)
            for place in range(0, len(frames) - frame + 1, frame):
                if frames[place + 8 : place + 16] != head[_SALTS]:
                    return found
                found.append(frames[place : place + _FRAME])
            if len(frames) < piece:
                return found


def forget_index(name: str) -> None:
    """Make all who have `name` open read its log anew, as whoever opens it after a crash: to be called before a
    connection is closed that would copy what it takes for the log into the file. It holds no lock any more then."""
    try:
        index = os.open(f"{os.path.realpath(name)}-shm", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:  # there is none
        return
    try:
        os.pwrite(index, bytes(_INDEX_HEADERS), 0)
    finally:
        os.close(index)


def _salt(head: bytes) -> int:
    return _HEADER.unpack(head)[4]


def _sums(order: str, data: bytes) -> tuple[int, int]:
    words = struct.unpack(order, data)
    first = second = 0
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = first + even + second & 0xFFFFFFFF
        second = second + odd + first & 0xFFFFFFFF
    return first, second
