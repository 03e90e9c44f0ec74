"""Files in memory behind a SQLite VFS, and a log of everything that a disk would have to make durable.

The VFS does what SQLite's own for Unix does: it syncs the folder at the first sync of a journal or log that it may
have made, and after a deletion if asked to; it promises that a write changes nothing beside itself. It has no shared
memory, so a write-ahead log needs `locking_mode = EXCLUSIVE`, and no locks: one connection at a time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import apsw
from attrs import frozen

__all__ = [
    "Create",
    "Disk",
    "Failed",
    "Op",
    "Sync",
    "SyncFolder",
    "Truncate",
    "Unlink",
    "Vfs",
    "Write",
    "mounted",
    "seed_sqlite",
]

_EPOCH: Final = 2440587.5
"""1970 in julian days."""
_NEW_NAMES: Final = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_SUPER_JOURNAL


@frozen
class Write:
    file: int
    offset: int
    data: bytes


@frozen
class Truncate:
    file: int
    size: int


@frozen
class Sync:
    """The file reaches the disk, and, if it may be new, the folder: as SQLite asks for it."""

    file: int
    folder: bool = False
    lie: bool = False
    """The disk said so and did nothing."""


@frozen
class Failed:
    """A sync that was refused: what it should have written may have been dropped."""

    file: int


@frozen
class Create:
    name: str
    file: int


@frozen
class Unlink:
    name: str


@frozen
class SyncFolder:
    lie: bool = False


Op: TypeAlias = Write | Truncate | Sync | Failed | Create | Unlink | SyncFolder | object
"""Anything else is a mark that the workload has left: what it may expect from then on."""


class _Inode:
    """One file's content, whatever it is called."""

    __slots__ = ("data", "number")

    def __init__(self, number: int, data: bytes | bytearray = b"") -> None:
        self.number = number
        self.data = data
        """`bytes` until it is written: images share what they do not change."""


class Disk:
    """A folder as the running process sees it: every write is there at once, synced or not."""

    def __init__(self, files: Mapping[str, bytes] | None = None, *, wall: Callable[[], float] = lambda: 0.0) -> None:
        self.log: list[Op] | None = None
        """What happened, once somebody has put a list here."""
        self.wall = wall
        self.dead = False
        """The process was killed: what its connection still does reaches nothing."""
        self.fault: Callable[[str], int] | None = None
        """Asked before each call by its name; anything but 0 is the error of SQLite's with which the call ends."""
        self.room: int | None = None
        """Bytes that all files together may have; None: as many as they like."""
        self.ahead = 0
        """How many zeros the owner of a log writes behind its end when it reaches that."""
        self.lies: Callable[[str], bool] = _honest
        """Which files' syncs do nothing; the folder is ``."""
        self._inodes = 0
        self._names: dict[str, _Inode] = {}
        for name, data in (files or {}).items():
            self._names[name] = self._inode(data)

    @property
    def files(self) -> dict[str, bytes]:
        return {name: bytes(inode.data) for name, inode in self._names.items()}

    def note(self, op: Op) -> None:
        """Put `op` into the log."""
        if self.log is not None and not self.dead:
            self.log.append(op)

    def ask(self, call: str) -> None:
        """Raise what the call has to end with, if anything."""
        if self.fault is not None:
            code = self.fault(call)
            if code:
                raise apsw.exception_for(code)

    def grow(self, inode: _Inode, size: int) -> None:
        """Raise SQLite's error for a full disk if there is no room for a file of this size."""
        more = size - len(inode.data)
        if self.room is None or more <= 0:
            return
        if more + sum(len(each.data) for each in self._names.values()) > self.room:
            raise apsw.exception_for(apsw.SQLITE_FULL)

    def exists(self, name: str) -> bool:
        return name in self._names

    def open(self, name: str, *, create: bool) -> _Inode:
        found = self._names.get(name)
        if found is None:
            if not create:
                raise apsw.exception_for(apsw.SQLITE_CANTOPEN)
            found = self._inode(b"")
            if not self.dead:
                self._names[name] = found
            self.note(Create(name, found.number))
        return found

    def unlink(self, name: str, *, sync: bool) -> None:
        if name not in self._names:
            raise apsw.exception_for(apsw.SQLITE_IOERR_DELETE_NOENT)
        if self.dead:
            return
        del self._names[name]
        self.note(Unlink(name))
        if sync:
            self.note(SyncFolder(self.lies("")))

    def _inode(self, data: bytes) -> _Inode:
        self._inodes += 1
        return _Inode(self._inodes, data)


class _File:
    """An open file."""

    __slots__ = ("_disk", "_folder", "_inode", "_name")

    def __init__(self, disk: Disk, inode: _Inode, name: str, folder: bool) -> None:
        self._disk = disk
        self._inode = inode
        self._name = name
        self._folder = folder

    def xRead(self, amount: int, offset: int) -> bytes:
        if self._disk.fault is not None:
            self._disk.ask("read")
        data = self._inode.data
        return data[offset : offset + amount] if type(data) is bytes else bytes(data[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.ask("write")
        self._disk.grow(self._inode, offset + len(data))
        held = self._changeable()
        if held is not None:
            ahead = self._disk.ahead
            if ahead and self._name.endswith("-wal") and len(held) < offset + len(data):
                self._disk.note(Write(self._inode.number, len(held), bytes(ahead)))
                held.extend(bytes(ahead))
            if offset > len(held):
                held.extend(bytes(offset - len(held)))
            held[offset : offset + len(data)] = data
            self._disk.note(Write(self._inode.number, offset, bytes(data)))

    def xTruncate(self, size: int) -> None:
        self._disk.ask("truncate")
        held = self._changeable()
        if held is not None:
            del held[size:]
            self._disk.note(Truncate(self._inode.number, size))

    def xSync(self, flags: int) -> None:
        disk, number = self._disk, self._inode.number
        try:
            disk.ask("sync")
        except apsw.Error:
            disk.note(Failed(number))
            raise
        disk.note(Sync(number, self._folder, disk.lies(self._name)))
        self._folder = False

    def xFileSize(self) -> int:
        self._disk.ask("size")
        return len(self._inode.data)

    def xClose(self) -> None:
        pass

    def xLock(self, level: int) -> None:
        pass

    def xUnlock(self, level: int) -> None:
        pass

    def xCheckReservedLock(self) -> bool:
        return False

    def xFileControl(self, op: int, ptr: int) -> bool:
        return False

    def xSectorSize(self) -> int:
        return 4096

    def xDeviceCharacteristics(self) -> int:
        return apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE

    def _changeable(self) -> bytearray | None:
        inode = self._inode
        if self._disk.dead:
            return None
        if not isinstance(inode.data, bytearray):
            inode.data = bytearray(inode.data)
        return inode.data


class Vfs(apsw.VFS):
    """The files of `disk`, which may be another one for the next connection."""

    def __init__(self, name: str, disk: Disk) -> None:
        self.name = name
        self.disk = disk
        super().__init__(name)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> Any:
        disk = self.disk
        flags[1] = flags[0]
        if name is None:
            return _File(Disk(), _Inode(0), "", False)
        disk.ask("open")
        text = name if isinstance(name, str) else name.filename()
        create = bool(flags[0] & apsw.SQLITE_OPEN_CREATE)
        return _File(disk, disk.open(text, create=create), text, create and bool(flags[0] & _NEW_NAMES))

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.disk.ask("delete")
        self.disk.unlink(filename, sync=syncdir)

    def xAccess(self, pathname: str, flags: int) -> bool:
        self.disk.ask("access")
        return self.disk.exists(pathname)

    def xFullPathname(self, name: str) -> str:
        return name

    def xRandomness(self, numbytes: int) -> bytes:
        return bytes(numbytes)

    def xSleep(self, microseconds: int) -> int:
        return microseconds

    def xCurrentTime(self) -> float:
        return self.disk.wall() / 86400.0 + _EPOCH

    def xCurrentTimeInt64(self) -> int:
        return round(self.disk.wall() * 1000) + round(_EPOCH * 86_400_000)

    def xGetLastError(self) -> tuple[int, str]:
        return 0, ""


class _Seed(apsw.VFS):
    """Asked for randomness once, when SQLite's generator begins anew."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        super().__init__("seed", base="", makedefault=True)

    def xRandomness(self, numbytes: int) -> bytes:
        return self._chance.randbytes(numbytes)


@contextmanager
def mounted(name: str = "crash") -> Generator[Vfs]:
    """A `Vfs` that SQLite knows by `name` meanwhile."""
    vfs = Vfs(name, Disk())
    try:
        yield vfs
    finally:
        vfs.unregister()


def seed_sqlite(seed: int) -> None:
    """Make what apsw's SQLite draws by chance from here on, the salts of its logs, follow from `seed`."""
    source = _Seed(seed)
    apsw.randomness(0)
    apsw.randomness(1)
    source.unregister()


def _honest(name: str) -> bool:
    return False
