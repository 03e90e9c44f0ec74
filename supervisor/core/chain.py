"""The hash chain of the journal: what one link is, and what a broken one says about the rows.

The chain finds every change to a row, and with a head kept elsewhere also rows that are gone from the end and a
chain that was built anew. It does not say who changed them, and without a head from outside the file it cannot
tell a shorter or rebuilt journal from a true one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from math import inf
from typing import TypeAlias

from attrs import field

from treewarden.agents.core.values import define, frozen

from .link import GENESIS, link

__all__ = ["GENESIS", "Fault", "FaultKind", "Head", "StoredRow", "Verdict", "link", "verify"]

StoredRow: TypeAlias = tuple[object, object, object, object, object, object, object, object, object]
"""A row as it was found, whatever is in it: seq, at, epoch, path, kind, version, body, prev, hash."""


@frozen
class Head:
    """The end of a chain: how many events it has, and the hash of the last."""

    seq: int = 0
    hash: bytes = GENESIS


class FaultKind(StrEnum):
    """What is wrong, as far as the rows can tell."""

    CHANGED = "changed"
    """The row is not what was hashed."""
    UNREADABLE = "unreadable"
    """A field of the row is not of its type."""
    MISSING = "missing"
    """Rows are gone between two others."""
    UNLINKED = "unlinked"
    """The row is sound and does not continue the one before it: that one was replaced, or both were moved."""
    SWAPPED = "swapped"
    """The row and another one stand in each other's place."""
    DISORDERED = "disordered"
    """The row's number does not grow: it was moved or copied."""
    CUT = "cut"
    """Rows are gone from the end: a head has counted more."""
    EMPTY = "empty"
    """All rows are gone: a head has counted some."""
    BEYOND = "beyond"
    """There are more rows than the head has counted."""
    REBUILT = "rebuilt"
    """Every link fits and one is not a head's: the chain was computed anew, or is another journal's."""
    FORGED = "forged"
    """A head that was kept elsewhere was not made with the key."""


@frozen
class Fault:
    """One finding. `seq` is the first event that it is about."""

    seq: int
    kind: FaultKind
    text: str

    def __str__(self) -> str:
        return f"{self.seq}: {self.kind}: {self.text}"


@frozen
class Verdict:
    """What `verify` found. `head` is the end that the rows at hand add up to."""

    rows: int
    head: Head
    faults: tuple[Fault, ...]
    """In the order of the rows."""
    unlisted: int = 0
    """Faults beyond the limit, counted only."""

    @property
    def sound(self) -> bool:
        return not self.faults


def verify(
    rows: Iterable[StoredRow],
    head: Head | None = None,
    *,
    anchors: Sequence[Head] = (),
    start: Head | None = None,
    limit: int = 100,
) -> Verdict:
    """Check `rows`, in the order in which they are stored, from `start` (the beginning) to `head` (wherever they end).

    `anchors` are heads that were taken earlier and kept elsewhere, oldest first: the rows have to lead through each of
    them, and may go on behind the last. A fault does not end the check: the rows after it are checked against what is
    stored. One damage is one fault. At most `limit` faults are listed.
    """
    begin = start or Head()
    faults = _Faults(limit)
    found = faults.found
    milestones = _Milestones([*anchors, head] if head else anchors, begin, faults)
    next_milestone = milestones.next
    expected = begin.seq + 1
    before: bytes | None = begin.hash
    count = 0
    for row in rows:
        seq, at, epoch, path, kind, version, body, prev, hash = row
        count += 1
        if not (
            isinstance(seq, int)
            and isinstance(at, float)
            and isinstance(epoch, int)
            and isinstance(path, str)
            and isinstance(kind, str)
            and isinstance(version, int)
            and isinstance(body, str)
            and isinstance(prev, bytes)
            and isinstance(hash, bytes)
        ):
            at_fault = seq if isinstance(seq, int) else expected
            text = "this row cannot be read" if hash is None else "a field of this row is not of its type"
            found(at_fault, FaultKind.UNREADABLE, text)
            expected, before = max(expected, at_fault) + 1, None
            continue
        if seq < expected:
            found(seq, FaultKind.DISORDERED, f"event {seq} stands where event {expected} or a later one belongs")
            before = None
            continue
        if seq > expected:
            found(expected, FaultKind.MISSING, _span(expected, seq - 1, "missing"))
            before = None
        try:
            true = link(prev, seq, at, epoch, path, kind, version, body)
        except UnicodeEncodeError:
            true = b""
        if true != hash:
            faults.changed(_Row(seq, at, epoch, path, kind, version, body, prev, hash))
            before = None
        elif before is not None and prev != before:
            found(seq, FaultKind.UNLINKED, f"this {kind} does not continue event {seq - 1}: one of them was replaced")
            before = hash
        else:
            before = hash
        if seq >= next_milestone:
            next_milestone = milestones.passed(seq, hash)
        expected = seq + 1
    last = expected - 1
    if milestones.last > last:
        gone = FaultKind.CUT if count else FaultKind.EMPTY
        found(expected, gone, _span(expected, milestones.last, "gone from the end" if count else "gone"))
    elif head and head.seq < last:
        found(head.seq + 1, FaultKind.BEYOND, _span(head.seq + 1, last, "not counted by the head"))
    return Verdict(count, Head(last, before or b""), faults.listed(), faults.unlisted)


@frozen
class _Row:
    """A readable row whose hash is not its own."""

    seq: int
    at: float
    epoch: int
    path: str
    kind: str
    version: int
    body: str
    prev: bytes
    hash: bytes

    def fits(self, seq: int, prev: bytes, hash: bytes) -> bool:
        """Whether what it says would be event `seq` of a true chain."""
        try:
            return link(prev, seq, self.at, self.epoch, self.path, self.kind, self.version, self.body) == hash
        except UnicodeEncodeError:
            return False

    def is_swapped_with(self, other: _Row) -> bool:
        """Whether both are true in the other's place: as whole rows, or as contents under hashes that stayed."""
        whole = self.fits(other.seq, self.prev, self.hash) and other.fits(self.seq, other.prev, other.hash)
        return whole or (self.fits(other.seq, other.prev, other.hash) and other.fits(self.seq, self.prev, self.hash))


@define
class _Faults:
    """What was found so far."""

    limit: int
    count: int = 0
    unlisted: int = 0
    _faults: list[Fault] = field(factory=list[Fault])
    _changed: list[_Row] = field(factory=list[_Row])

    def found(self, seq: int, kind: FaultKind, text: str) -> None:
        self.count += 1
        if len(self._faults) < self.limit:
            self._faults.append(Fault(seq, kind, text))
        else:
            self.unlisted += 1

    def changed(self, row: _Row) -> None:
        if len(self._faults) < self.limit:
            self._changed.append(row)
        self.found(row.seq, FaultKind.CHANGED, f"this {row.kind} is not the event that was written")

    def listed(self) -> tuple[Fault, ...]:
        """All that are listed, two that are one swap as one."""
        swaps: dict[int, int] = {}
        for place, row in enumerate(self._changed):
            if row.seq not in swaps:
                for other in self._changed[place + 1 :]:
                    if other.seq not in swaps and row.is_swapped_with(other):
                        swaps[row.seq], swaps[other.seq] = other.seq, row.seq
                        break
        faults: list[Fault] = []
        for fault in self._faults:
            other = swaps.get(fault.seq) if fault.kind is FaultKind.CHANGED else None
            if other is None:
                faults.append(fault)
            elif other > fault.seq:
                text = f"events {fault.seq} and {other} stand in each other's place"
                faults.append(Fault(fault.seq, FaultKind.SWAPPED, text))
        return tuple(faults)


class _Milestones:
    """The heads that the rows have to lead through, in order."""

    def __init__(self, heads: Sequence[Head], begin: Head, faults: _Faults) -> None:
        self._heads = sorted((head for head in heads if head.seq >= begin.seq), key=lambda head: head.seq)
        self._place = 0
        self._faults = faults
        self._seen = 0
        """Faults that were found up to the last head."""
        self._good = begin.seq
        self._rebuilt = False
        self.last = self._heads[-1].seq if self._heads else 0
        self.next = self.passed(begin.seq, begin.hash)

    def passed(self, seq: int, hash: bytes) -> float:
        """Event `seq` has this hash. Returns the number of the next event that a head is about.

        One that is not a head's is a chain that was rebuilt, unless a fault since the last head says what became of it.
        """
        explained = self._faults.count != self._seen
        while self._place < len(self._heads) and self._heads[self._place].seq <= seq:
            head = self._heads[self._place]
            self._place += 1
            if head.seq < seq:
                continue  # its event is missing, which was found
            if head.hash == hash:
                self._good = seq
            elif not self._rebuilt and not explained:
                self._rebuilt = True
                since = f"; what was written anew begins behind event {self._good}" if self._good else ""
                text = f"event {seq} is not the one that the head was taken from{since}"
                self._faults.found(seq, FaultKind.REBUILT, text)
        self._seen = self._faults.count
        self.next = self._heads[self._place].seq if self._place < len(self._heads) else inf
        return self.next


def _span(first: int, last: int, what: str) -> str:
    return f"event {first} is {what}" if first == last else f"events {first} to {last} are {what}"
