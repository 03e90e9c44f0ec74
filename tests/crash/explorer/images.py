"""Which files a power cut can leave, at each moment of a log.

Assumed of the disk: what was synced is there, and a write changes nothing beside itself. Of what was not synced since,
each 512-byte sector of each write may be there or not, in any combination, and so may each truncation and each change
of a name. A sector that was never written reads as zeros, or as what lay there before. A folder is taken in two ways:

* `Names.FOLDER`: syncing a new journal syncs the folder too, which SQLite asks for and ignores if it fails;
* `Names.OWN`: it does not, and syncing a file makes its own name durable and no other (POSIX promises not even that,
  the file systems of Linux do). The removal of another file can then be undone by a power cut until the folder itself
  is synced.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final, TypeAlias

from attrs import define, field, frozen

from .vfs import Create, Failed, Op, Sync, SyncFolder, Truncate, Unlink, Write
from .world import Expected

__all__ = ["SECTOR", "Assumed", "Choice", "Names", "Point", "choices", "image", "points", "space"]

SECTOR: Final = 512
_SMALL: Final = 256
"""A point with fewer images than this is explored image by image."""
_STALE: Final = bytes(range(0xA0, 0xC0)) * (SECTOR // 32)


class Names(StrEnum):
    """What a sync of a file does for names."""

    FOLDER = "folder"
    OWN = "own"


@frozen
class Assumed:
    """About the disk."""

    names: Names = Names.FOLDER
    drops: bool = False
    """After a sync that failed, what should have been written is dropped, and the next sync does not know."""


@frozen
class Point:
    """The disk at one moment: what is safe, what is not, and what may be expected of it."""

    index: int
    """How far in the log."""
    expected: Expected
    contents: Mapping[int, bytes]
    pending: tuple[Write | Truncate, ...]
    names: Mapping[str, int]
    changes: Mapping[str, tuple[int | None, ...]]
    """What each name stood for since: the file, or none."""


Choice: TypeAlias = tuple[tuple[int, ...], tuple[int, ...], bool]
"""For each pending operation the sectors that are there, as bits; for each name how many of its changes; and whether
sectors that were never written are stale."""


@define
class _Platter:
    assumed: Assumed
    contents: dict[int, bytes] = field(factory=dict[int, bytes])
    pending: list[Write | Truncate] = field(factory=list["Write | Truncate"])
    names: dict[str, int] = field(factory=dict[str, int])
    changes: dict[str, list[int | None]] = field(factory=dict[str, "list[int | None]"])

    def take(self, op: Op) -> None:
        match op:
            case Write() | Truncate():
                self.pending.append(op)
            case Create(name, file):
                self.changes.setdefault(name, []).append(file)
            case Unlink(name):
                self.changes.setdefault(name, []).append(None)
            case Sync(file, folder, lie):
                if not lie:
                    self._sync(file)
                    if self.assumed.names is Names.OWN:
                        self._sync_names([name for name, held in self.changes.items() if held[-1] == file])
                    elif folder:
                        self._sync_names(list(self.changes))
            case SyncFolder(lie):
                if not lie:
                    self._sync_names(list(self.changes))
            case Failed(file):
                if self.assumed.drops:
                    self.pending = [other for other in self.pending if other.file != file]
            case _:
                pass

    def _sync(self, file: int) -> None:
        mine = [op for op in self.pending if op.file == file]
        if mine:
            self.contents[file] = _applied(self.contents.get(file, b""), [(op, -1) for op in mine], stale=False)
            self.pending = [op for op in self.pending if op.file != file]

    def _sync_names(self, names: Sequence[str]) -> None:
        for name in names:
            file = self.changes.pop(name)[-1]
            if file is None:
                self.names.pop(name, None)
            else:
                self.names[name] = file

    def point(self, index: int, expected: Expected) -> Point:
        changes = {name: tuple(held) for name, held in self.changes.items()}
        return Point(index, expected, dict(self.contents), tuple(self.pending), dict(self.names), changes)


def points(log: Sequence[Op], assumed: Assumed, files: Mapping[str, bytes] | None = None) -> Iterator[Point]:
    """The disk before each sync of the log, which began with `files`, and at its end.

    Between two syncs nothing is lost that cannot be lost at the second: what is written meanwhile may all be missing.
    Before a mark more may be expected than behind it: there too, unless everything that was written is synced.
    """
    platter = _Platter(assumed)
    for number, (name, data) in enumerate((files or {}).items(), 1):
        platter.names[name], platter.contents[number] = number, data
    expected = Expected()
    for index, op in enumerate(log):
        if isinstance(op, Expected):
            if platter.pending or expected.closed:
                yield platter.point(index, expected)
            expected = op
        elif isinstance(op, Sync | SyncFolder | Failed):
            yield platter.point(index, expected)
            platter.take(op)
        else:
            platter.take(op)
    yield platter.point(len(log), expected)


def space(point: Point) -> float:
    """How many images a power cut can leave at `point`, at most: some of them may be the same."""
    bits = sum(_sectors(op) for op in point.pending)
    if bits > 64:
        return math.inf
    return math.prod((2.0**bits, *(len(held) + 1 for held in point.changes.values())))


def choices(point: Point, chance: random.Random) -> Iterator[Choice]:
    """Different images of `point`: nothing of what is pending, all of it, and then any. Few are taken in full."""
    whole = tuple((1 << _sectors(op)) - 1 for op in point.pending)
    changed = tuple(len(held) for held in point.changes.values())
    nothing: Choice = ((0,) * len(whole), (0,) * len(changed), False)
    everything: Choice = (whole, changed, False)
    drawn: Iterator[Choice]
    if space(point) <= _SMALL:
        parts = itertools.product(*(range(mask + 1) for mask in whole))
        every = [
            (masks, names, False)
            for masks in parts
            for names in itertools.product(*(range(count + 1) for count in changed))
        ]
        chance.shuffle(every)
        drawn = iter(every)
    else:
        drawn = (_draw(whole, changed, chance) for _ in itertools.count())
    seen: set[Choice] = set()
    idle = 0
    for choice in itertools.chain(chance.sample((nothing, everything), 2), drawn):
        if choice in seen:
            idle += 1
            if idle > 4 * _SMALL:
                return
            continue
        idle = 0
        seen.add(choice)
        yield choice


def image(point: Point, choice: Choice) -> dict[str, bytes]:
    """The files that are found when the power is back."""
    masks, counts, stale = choice
    names = dict(point.names)
    for (name, held), count in zip(point.changes.items(), counts, strict=True):
        if count:
            file = held[count - 1]
            if file is None:
                names.pop(name, None)
            else:
                names[name] = file
    files: dict[str, bytes] = {}
    for name, file in names.items():
        data = point.contents.get(file, b"")
        mine = [(op, mask) for op, mask in zip(point.pending, masks, strict=True) if mask and op.file == file]
        files[name] = _applied(data, mine, stale) if mine else data
    return files


def _draw(whole: tuple[int, ...], changed: tuple[int, ...], chance: random.Random) -> Choice:
    """One of the ways in which disks reorder, weighted towards those that break programs."""
    count = len(whole)
    way = chance.randrange(6)
    if way == 0:  # in order, up to somewhere
        end = chance.randrange(count + 1)
        masks = whole[:end] + (0,) * (count - end)
    elif way == 1 and count:  # in order, the last one torn
        end = chance.randrange(count)
        masks = (*whole[:end], chance.randrange(whole[end] + 1), *(0,) * (count - end - 1))
    elif way == 2 and count:  # one missing
        out = chance.randrange(count)
        masks = (*whole[:out], 0, *whole[out + 1 :])
    elif way == 3 and count:  # one alone
        only = chance.randrange(count)
        masks = (*(0,) * only, whole[only], *(0,) * (count - only - 1))
    elif way == 4:  # each as it likes
        odds = chance.random()
        masks = tuple(mask if chance.random() < odds else 0 for mask in whole)
    else:  # each sector as it likes
        masks = tuple(chance.choice((0, mask, mask, chance.randrange(mask + 1))) for mask in whole)
    return masks, tuple(chance.randrange(most + 1) for most in changed), chance.random() < 0.25


def _sectors(op: Write | Truncate) -> int:
    if isinstance(op, Truncate):
        return 1
    return (op.offset + len(op.data) - 1) // SECTOR - op.offset // SECTOR + 1


def _applied(data: bytes, changes: Sequence[tuple[Write | Truncate, int]], stale: bool) -> bytes:
    """`data` after those sectors of `changes` that their bits name."""
    held = bytearray(data)
    for op, mask in changes:
        if isinstance(op, Truncate):
            del held[op.size :]
            continue
        end = op.offset + len(op.data)
        if mask == -1 or mask == (1 << _sectors(op)) - 1:
            _extend(held, op.offset, stale)
            held[op.offset : end] = op.data
            continue
        first = op.offset // SECTOR
        for bit in range(_sectors(op)):
            if mask >> bit & 1:
                begin, stop = max(op.offset, (first + bit) * SECTOR), min(end, (first + bit + 1) * SECTOR)
                _extend(held, begin, stale)
                held[begin:stop] = op.data[begin - op.offset : stop - op.offset]
    return bytes(held)


def _extend(held: bytearray, size: int, stale: bool) -> None:
    missing = size - len(held)
    if missing > 0:
        held.extend((_STALE * (missing // SECTOR + 1))[:missing] if stale else bytes(missing))
