"""Keeping the head of the chain outside of the journal: a file to which a line is appended now and then."""

from __future__ import annotations

import errno
import hmac
import logging
import math
import os
import pathlib
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import trio
from attrs import field, frozen

from treewarden.agents.core.exit import alone
from treewarden.agents.core.said import is_number, plural, shown
from treewarden.agents.errors import ConfigurationError, JournalDamaged, JournalError
from treewarden.agents.ports import Clock

from ..core.anchor import Anchor, Anchors, Check, Sign, anchor_line, beginning_of, check_by, hmac_sign, read_anchors
from ..core.chain import GENESIS, FaultKind, Head
from ..core.event import EventsPruned
from ..core.retention import boundary_text
from ..written_file import content_of, lines_of
from .new_file import keep_names
from .port import START, Journal, Seq
from .seams import RunSync
from .signing import ed25519_check, ed25519_sign

__all__ = ["Anchoring", "anchored", "key_from", "load_anchors", "public_key_from", "refuse_as_heads"]

_LOG: Final = logging.getLogger("treewarden")
_SHORTEST_KEY: Final = 16
_LONGEST: Final = 65_536
"""Bytes at the end of a file of heads among which one line begins."""


@frozen(kw_only=True)
class Anchoring:
    """Where heads are kept, how often, and under which key.

    Keep the file where whoever can write the journal cannot: on another machine, or append-only. What was committed
    since the last line is not covered by it.
    """

    file: str | os.PathLike[str]
    every: float = 10.0
    """Seconds between two lines, at least; none is written while nothing happens."""
    sign: Sign | None = field(default=None, repr=False)
    """Signs each line; `key_from(file)`, or a function of your own."""

    def __attrs_post_init__(self) -> None:
        if not is_number(self.every) or not 0 < self.every < math.inf:
            raise ConfigurationError(f"every is {shown(self.every)}; give a positive number of seconds")
        if self.sign is not None and not callable(self.sign):  # perhaps the key itself, which no error has
            kind = type(self.sign).__name__
            raise ConfigurationError(f"sign is of type {kind}; give key_from(file), or a function of your own")


def key_from(file: str | os.PathLike[str]) -> Sign:
    """The signature under the key that a file holds: ed25519 for a private key in PEM, whose public key checks it, and
    else HMAC-SHA256 under the bytes, without a line end behind them. Blocks.

    Raises `ConfigurationError` for a file that cannot be read, for a key of fewer than 16 bytes, and for PEM without
    the extra `sign` or of another kind.
    """
    try:
        key = content_of(file).rstrip(b"\r\n")
    except OSError as error:
        raise ConfigurationError(f"the key {os.fspath(file)} cannot be read: {error.strerror}") from error
    if key.startswith(b"-----BEGIN"):
        return ed25519_sign(key, os.fspath(file))
    if len(key) < _SHORTEST_KEY:
        raise ConfigurationError(
            f"the key in {os.fspath(file)} has {plural(len(key), 'byte')}; give it {_SHORTEST_KEY} or more: "
            f"head -c 32 /dev/urandom | base64 > {os.fspath(file)}"
        )
    return hmac_sign(key)


def public_key_from(file: str | os.PathLike[str]) -> Check:
    """The check by the public key, in PEM, of who signs with ed25519. Blocks. Raises as `key_from`."""
    try:
        return ed25519_check(content_of(file), os.fspath(file))
    except OSError as error:
        raise ConfigurationError(f"the key {os.fspath(file)} cannot be read: {error.strerror}") from error


def load_anchors(file: str | os.PathLike[str], sign: Sign | None = None, *, check: Check | None = None) -> Anchors:
    """The heads in a file, checked with the key that signs them or with what can only check. Blocks.

    Raises `JournalError` for a file that cannot be read.
    """
    try:
        return read_anchors(
            lines_of(file, errors="replace"), check if check is not None or sign is None else check_by(sign)
        )
    except OSError as error:
        raise JournalError(f"the heads in {os.fspath(file)} cannot be read: {error.strerror}") from error


@asynccontextmanager
async def anchored(
    journal: Journal, anchoring: Anchoring, clock: Clock, *, run_sync: RunSync = trio.to_thread.run_sync
) -> AsyncGenerator[Callable[[], Seq]]:
    """Keep the journal's head in a file for the length of a block; once more when it is left. What it gives says which
    event the last of them was taken from.

    Before it begins, the heads that are there have to be this journal's: raises `JournalDamaged` if it does not lead
    through the last one, `ConfigurationError` if they are another journal's, under another key, or signed and no key is
    given, `JournalError` if the file cannot be written. Later a line that cannot be signed or written is logged and
    tried again; the tree goes on.
    """
    writer = _Writer(journal, anchoring, clock, run_sync)
    await writer.begin()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.run)
            try:
                yield lambda: writer.kept
            finally:
                nursery.cancel_scope.cancel()
                with trio.CancelScope(shield=True):
                    await writer.keep()
    except BaseExceptionGroup as group:
        error = alone(group)
        if error is group:
            raise
        raise error from error.__cause__


class _Writer:
    def __init__(self, journal: Journal, anchoring: Anchoring, clock: Clock, run_sync: RunSync) -> None:
        self._journal = journal
        self._anchoring = anchoring
        self._clock = clock
        self._run_sync = run_sync
        self.kept: Seq = START
        """The last event whose head was kept."""
        self._failing = False

    async def begin(self) -> None:
        file, opened = os.fspath(self._anchoring.file), self._journal.opened
        found = await self._run_sync(_load_or_make, file, self._anchoring.sign, opened.tree)
        for fault in found.faults:
            if fault.kind is FaultKind.FORGED:
                why = "its heads are signed" if self._anchoring.sign is None else fault.text
                raise ConfigurationError(f"{file}: {why}; give the key that it was begun with, or another file")
            raise JournalDamaged(f"{file}: {fault.text}; begin another file, and keep this one")
        if not found.anchors and opened.head > START:
            _LOG.warning(
                "%s holds no head, and the journal goes up to event %d: nothing outside proves what is written there."
                " If heads were kept there before, it was emptied or removed; what comes now is covered",
                file,
                opened.head,
            )
        for anchor in found.anchors[-1:]:
            if anchor.tree != opened.tree:
                raise ConfigurationError(
                    f"{file} holds the heads of another journal ({anchor.tree}); name another file"
                )
            hash = await self._hash(anchor.head.seq)
            if (anchor.head.seq > opened.head or hash != anchor.head.hash) and not await self._was_pruned(anchor):
                raise JournalDamaged(
                    f"the journal does not lead to event {anchor.head.seq} as {file} has kept it: its end was cut off, "
                    "or it was written anew. `treewarden journal verify FILE.db --head` says what is wrong"
                )
            self.kept = anchor.head.seq

    async def _was_pruned(self, anchor: Anchor) -> bool:
        """Whether what the head covers was given up by a record that proves it: it names that very event, or was signed
        as heads are."""
        found = await self._journal.cut()
        cut = found.event if found is not None else None
        if not isinstance(cut, EventsPruned) or anchor.head.seq > cut.through:
            return False
        if anchor.head.seq == cut.through:
            return cut.hash == anchor.head.hash.hex()
        sign = self._anchoring.sign
        text = boundary_text(cut.tree, cut.through, cut.hash, cut.count)
        return sign is not None and hmac.compare_digest(sign(text).encode(), cut.mac.encode())

    async def run(self) -> None:
        while True:
            await trio.sleep(self._anchoring.every)
            await self.keep()

    async def keep(self) -> None:
        """Append the head, if it has moved."""
        journal = self._journal
        if journal.head == self.kept:
            return
        try:
            seq = journal.head
            head = Head(seq, await self._hash(seq))
            line = anchor_line(
                Anchor(journal.opened.tree, journal.opened.epoch, self._clock.wall(), head), self._anchoring.sign
            )
            await self._run_sync(_append, self._anchoring.file, line)
        except Exception as error:  # what signs may be somebody's, and far away
            if not self._failing:
                _LOG.warning("the head of the journal cannot be kept in %s: %s", self._anchoring.file, error)
            self._failing = True
        else:
            self._failing = False
            self.kept = seq

    async def _hash(self, seq: Seq) -> bytes:
        if seq == START:
            return GENESIS
        found = await self._journal.read(seq - 1, 1)
        if not found or found[0].seq != seq:
            return b""
        if not found[0].hash:
            raise JournalError("this kind of journal has no chain")
        return bytes.fromhex(found[0].hash)


def refuse_as_heads(file: str | os.PathLike[str], journal: str | os.PathLike[str]) -> None:
    """Raise `ConfigurationError` for a file of heads that is the journal, or one that SQLite keeps beside it: whoever
    opens and closes that in the process of its owner takes away the owner's locks."""
    beside = os.path.realpath(journal)
    if os.path.realpath(file) in (beside, *(beside + end for end in ("-wal", "-shm", "-journal"))):
        raise ConfigurationError(
            f"{os.fspath(file)} is the journal, or lies beside it for SQLite: heads are kept in a file of their own"
        )


def _load_or_make(file: str, sign: Sign | None, tree: str) -> Anchors:
    try:
        with open(file, "a+b") as heads:  # it can be written, and is there from now on
            if heads.tell():
                _end_torn_line(heads.fileno(), file, tree)
            else:
                with suppress(OSError):  # a disk that keeps no names by itself has none that a power cut could take
                    keep_names(pathlib.Path(file).absolute().parent)
    except OSError as error:
        raise JournalError(f"heads cannot be kept in {file}: {error.strerror}") from error
    return load_anchors(file, sign, check=_is_unsigned if sign is None else None)


def _is_unsigned(_: bytes, mac: str) -> bool:
    return not mac


def _end_torn_line(descriptor: int, file: str, tree: str) -> None:
    """Take away what a writer began that died over it: nobody has relied on that. What else stands at the end of a file
    is somebody's: raises `ConfigurationError`.

    After a power cut there may be zeros where the file had its length and not yet what was written, in one sector of
    those that a line lies in or in all: with nothing before them they are taken for that only behind a head of this
    journal.
    """
    size = os.fstat(descriptor).st_size
    end = os.pread(descriptor, _LONGEST, max(0, size - _LONGEST))
    before, _, torn = end.rpartition(b"\n")
    if not torn:
        before, _, torn = before.rpartition(b"\n")
        if b"\0" not in torn:
            return
        torn += b"\n"
    begun, found = beginning_of(tree).encode(), torn.partition(b"\0")[0]
    last = before.rpartition(b"\n")[2]
    if size <= _LONGEST and not (before or end.strip(b"\0")):
        raise ConfigurationError(
            f"{file} holds nothing but zeros, as a power cut leaves a file whose first line was on its way: remove it"
            " if heads of this journal were to be kept there, or name another one"
        )
    if found[: len(begun)] != begun[: len(found)] or not (found or last.startswith(begun)):
        raise ConfigurationError(
            f"{file} ends in what is no head of this journal: heads are kept in a file of their own"
        )
    try:
        os.ftruncate(descriptor, size - len(torn))
    except PermissionError:  # of a file that can only grow
        if b"\0" in torn:
            raise ConfigurationError(
                f"{file} ends in a line that a power cut has spoilt, and can only be appended to: keep it, and begin"
                " another file"
            ) from None
        # It is ended by the next line, and left out by whoever reads it.


def _append(file: str | os.PathLike[str], line: str) -> None:
    descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        data, before = line.encode(), os.fstat(descriptor).st_size
        if before and os.pread(descriptor, 1, before - 1) != b"\n":
            data = b"\n" + data  # behind what could not be taken away, see below
        try:
            if os.write(descriptor, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
        except OSError:
            # Half a line would spoil the next one, and so would one that is not on the disk although nobody will write
            # it there any more: what a sync has refused counts as written. A file that can only grow keeps it.
            with suppress(OSError):
                os.ftruncate(descriptor, before)
            raise
    finally:
        os.close(descriptor)
