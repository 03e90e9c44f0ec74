"""The hash chain of the journal: what one link is, and what a broken one says about the rows.

The chain finds every change to a row, and with a head kept elsewhere also rows that are gone from the end and a
chain that was built anew. It does not say who changed them, and without a head from outside the file it cannot
tell a shorter or rebuilt journal from a true one.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from hashlib import sha256
from typing import Final, TypeAlias

from attrs import frozen

__all__ = ["GENESIS", "Fault", "FaultKind", "Head", "StoredRow", "Verdict", "link", "verify"]

GENESIS: Final = bytes(32)
"""What the first link of a journal is chained to."""

StoredRow: TypeAlias = tuple[object, object, object, object, object, object, object, object, object]
"""A row as it was found, whatever is in it: seq, at, epoch, path, kind, version, body, prev, hash."""


def link(prev: bytes, seq: int, at: float, epoch: int, path: str, kind: str, version: int, body: str) -> bytes:
    """The hash of one event, chained to `prev`, the hash of the event before it.

    SHA-256 over `prev` and the UTF-8 text `{seq} {epoch} {version} {at} {len(kind)} {len(path)}`, a newline,
    `{kind}{path}{body}`; `at` is the shortest decimal that reads back as the same double, and lengths count characters,
    so no two events have the same text. `body` is hashed as it is stored: nothing has to be encoded again to check it.
    Raises `UnicodeEncodeError` for text that UTF-8 cannot hold.
    """
    text = f"{seq} {epoch} {version} {at + 0.0!r} {len(kind)} {len(path)}\n{kind}{path}{body}"
    return sha256(prev + text.encode()).digest()


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
    DISORDERED = "disordered"
    """The row's number does not grow: it was moved or copied."""
    CUT = "cut"
    """Rows are gone from the end: the head has counted more."""
    EMPTY = "empty"
    """All rows are gone: the head has counted some."""
    BEYOND = "beyond"
    """There are more rows than the head has counted."""
    REBUILT = "rebuilt"
    """Every link fits and the last is not the head's: the chain was computed anew, or is another journal's."""


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
    rows: Iterable[StoredRow], head: Head | None = None, *, start: Head | None = None, limit: int = 100
) -> Verdict:
    """Check `rows`, in the order in which they are stored, from `start` (the beginning) to `head` (wherever they end).

    A fault does not end the check: the rows after it are checked against what is stored. One damage is one fault. At
    most `limit` faults are listed.
    """
    faults: list[Fault] = []
    count = 0
    unlisted = 0

    def found(seq: int, kind: FaultKind, text: str) -> None:
        nonlocal unlisted
        if len(faults) < limit:
            faults.append(Fault(seq, kind, text))
        else:
            unlisted += 1

    expected = (start.seq if start else 0) + 1
    before: bytes | None = start.hash if start else GENESIS
    passed: bytes | None = before if head and head.seq == expected - 1 else None
    for seq, at, epoch, path, kind, version, body, prev, hash in rows:
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
            found(at_fault, FaultKind.UNREADABLE, "a field of this row is not of its type")
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
            found(seq, FaultKind.CHANGED, f"this {kind} is not the event that was written")
            before = None
        elif before is not None and prev != before:
            found(seq, FaultKind.UNLINKED, f"this {kind} does not continue event {seq - 1}: one of them was replaced")
            before = hash
        else:
            before = hash
        if head and seq == head.seq:
            passed = hash
        expected = seq + 1
    last = expected - 1
    if head and head.seq > last:
        gone = FaultKind.CUT if count else FaultKind.EMPTY
        found(expected, gone, _span(expected, head.seq, "gone from the end" if count else "gone"))
    elif head:
        if passed is not None and passed != head.hash and not faults:
            found(head.seq, FaultKind.REBUILT, f"event {head.seq} is not the one that the head was taken from")
        if head.seq < last:
            found(head.seq + 1, FaultKind.BEYOND, _span(head.seq + 1, last, "not counted by the head"))
    return Verdict(count, Head(last, before or b""), tuple(faults), unlisted)


def _span(first: int, last: int, what: str) -> str:
    return f"event {first} is {what}" if first == last else f"events {first} to {last} are {what}"
