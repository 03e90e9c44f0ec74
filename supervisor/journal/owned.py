"""The journal's file in the hands of its owner. Every call blocks; one at a time, from any thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, NoReturn, TypeVar

from attrs import evolve

from treewarden.agents.errors import CommitFailed, EpochLost, JournalDamaged, JournalError

from ..core.event import EventsPruned
from . import rows
from .batch import Batch, Written, fold
from .blobs import stored_size, sweep
from .commit import Commit, follows, works_of
from .place import Lookout, is_alone, refuse_second_name, refuse_unreachable
from .port import Survey
from .raised import is_of_a_damage, is_of_a_sync, refuses_all, was_cut_short
from .schema import NOW, unusable
from .taking import Claim, meta, take

__all__ = ["OwnedFile", "nothing"]

T = TypeVar("T")

_ATTEMPTS: Final = 3
_COPY_AT: Final = 4000
"""Pages of the log with which a COMMIT copies it into the file: more syncs, and writes all over the file.

With SQLite's 1,000 one transaction in twenty did, where a thousand agents settle: all in it, and behind it, wait.
So many are looked up as fast, and a process that opens the file after a kill reads them in 7 ms."""
_LOG_USED: Final = 32 + _COPY_AT * (24 + 4096)
"""Bytes that the log has come to by then, with pages of the usual size."""
_LOG: Final = 32_000_000
"""Bytes of the write-ahead log that stay when it begins anew, more than it needs by itself: a reader that takes its
time makes it grow."""
_SWEEP_AT: Final = 32_000_000
"""Characters of new large values after which those that nobody holds any more are looked for."""


def nothing() -> None:
    """What an owner calls whom nobody waits for."""


class OwnedFile:
    """Opened and owned when constructed: nothing else writes it until `close`, or until the epoch is lost.

    `now` is as for `take`. Raises what that raises, and `JournalError` for a file that cannot be opened.
    """

    def __init__(self, claim: Claim, now: float) -> None:
        self._claim = claim
        self._name = str(claim.file)
        self._connection: sqlite3.Connection | None = None
        self._grown: int | None = None
        """Characters of large values that were stored since it was last looked for what nobody holds; None: owners
        before this one may have left some, and nobody has looked how many."""
        self._lookout = Lookout(claim.at)
        self.lost: JournalError | None = None
        """Why this process may not write any more. Nothing is written from then on."""
        self.ready: Callable[[], object] = nothing
        """Called by the thread that writes when a transaction has only the disk to wait for. It must not raise."""
        refuse_unreachable(claim.file)
        refuse_second_name(claim.file)
        alone = is_alone(claim.at)
        try:
            self.opened, self._mark = take(self._connected(), claim, now, alone)
            self._lookout.begin()
        except BaseException as error:
            self._roll_back()
            self._disconnect()
            if isinstance(error, (sqlite3.Error, UnicodeDecodeError)):
                raise unusable(error, self._name) from error
            raise

    def write(self, commits: Sequence[Commit], renew: bool, look: bool = True) -> Written:
        """Write `commits` in one transaction; if one of them cannot be kept, in as few as leave only that one out.

        With `renew` the lease is prolonged as well; with `look` nothing is acknowledged in a file that has been moved.
        Does not raise for what happens to the database.
        """
        done = Written()
        self._write(commits, renew, done)
        moved = None
        if look and self.lost is None:
            written = done.renewed or any(isinstance(each, int) for each in done.outcomes)
            moved = self._lookout.look(len(commits), self._renew, written) or self.lost  # it may find a lost epoch
        if moved is not None:
            self.lost, done = moved, Written(for_all=True)
            for commit in commits:
                done.fail(commit, moved)
            return done
        self._relieve()
        if self._grown is not None and self._grown > _SWEEP_AT:
            with suppress(sqlite3.Error, JournalError):  # what is left lying there is no harm; it is tried again
                self.sweep(_SWEEP_AT * 2)
        return done

    def _renew(self) -> None:
        """The shortest commit. It always changes something: SQLite writes nothing where a row stays as it was, as one
        does that was renewed in the same millisecond."""
        lease = self._claim.lease
        prolonged = f"UPDATE owner SET lease_until = {NOW} + ? + 0.001 * (lease_until = {NOW} + ?) WHERE epoch = ?"
        self.by_itself(lambda connection: connection.execute(prolonged, (lease, lease, self.opened.epoch)))

    def _count(self) -> None:
        """The shortest commit of one who gives the file back, and with it the lease."""
        self.by_itself(lambda connection: connection.execute("UPDATE meta SET commits = commits + 1"))

    def sweep(self, most: int = -1) -> Survey:
        """Delete large values that no row holds any more, until more than `most` characters have gone; all without it.

        Returns what is left. Raises `EpochLost`, and `sqlite3.Error` if it could not be done, or nobody can say: to
        do it again does no harm.
        """
        self._grown = 0
        return self.by_itself(lambda connection: sweep(connection, most))

    def trim(self, most: int) -> bool:
        """Delete at most `most` of the events that the last cut gives up. Returns whether some are left to delete.

        Raises as `sweep`.
        """

        def trim(connection: sqlite3.Connection) -> bool:
            cut, first = rows.cut(connection), rows.first(connection)
            if cut is None or first is None or not isinstance(cut.event, EventsPruned):
                return False
            last = min(cut.event.through, first[0] + most - 1)
            connection.execute("DELETE FROM events WHERE seq <= ?", (last,))
            return last < cut.event.through

        return self.by_itself(trim)

    def by_itself(self, change: Callable[[sqlite3.Connection], T], told: Callable[[T], Batch] | None = None) -> T:
        """A change in a transaction of its own, under the epoch of this owner. What it has `told` is the batch that is
        part of it, where it must be known whether it was kept: an error of the COMMIT is resolved by reading back."""
        if self.lost is not None:
            raise self.lost
        connection = self._connected()
        known: tuple[T, Batch] | None = None
        try:
            connection.execute("BEGIN IMMEDIATE")
            found = meta(connection)
            if found is None or found[2] != self.opened.epoch:
                self._lose(connection)
            done = change(connection)
            known = None if told is None else (done, told(done))
            connection.execute("COMMIT")
        except BaseException as error:
            self._roll_back()
            if known is not None and self._stands(known[1], error):
                return known[0]
            if is_of_a_sync(error) and self._connection is None:
                raise self._doubt(error, error) from error
            raise
        return done

    def read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Ask the tables. Raises `JournalError` if they do not answer."""
        try:
            return question(self._connected())
        except sqlite3.DatabaseError as error:
            kind = JournalDamaged if is_of_a_damage(error) else JournalError
            full = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL  # it was a step of `trim` or `compact`
            raise kind(f"{self._name} cannot be {'written' if full else 'read'}: {error}") from error

    def shrink(self, most: int) -> int:
        """Give at most `most` free pages back to the disk. Returns how many are left to give.

        What is in the write-ahead log then is moved to its place, as far as no reader needs it, and the log is given
        back too.
        """
        if self.lost is not None:
            raise self.lost
        connection = self._connected()
        connection.execute(f"PRAGMA incremental_vacuum({most})").fetchall()
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        (kind,) = connection.execute("PRAGMA auto_vacuum").fetchone()
        left: int = free if kind == 2 else 0
        if not left:
            self._empty_log(connection)
        return left

    def _empty_log(self, connection: sqlite3.Connection) -> None:
        """Move what is in the write-ahead log to its place, and cut it off unless somebody reads in it now."""
        connection.execute("PRAGMA busy_timeout = 0")
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            connection.execute(f"PRAGMA busy_timeout = {round(1000 * self._claim.patience)}")

    def _make_room(self, error: BaseException) -> None:
        """On a disk that is full the log is room that nobody else can take: what is in it has a place in the file."""
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL and self.lost is None:
            with suppress(sqlite3.Error):
                self._empty_log(self._connected())

    def _relieve(self) -> None:
        """Copy the log to the file while the disk has room for that: one that had taken it all could neither grow nor
        be emptied, and nothing more would be committed until others make room."""
        log = self._lookout.log
        if log is not None and log.is_cramped:
            log.is_cramped = False
            with suppress(sqlite3.Error):  # it is tried again when it has grown again
                self._empty_log(self._connected())

    def close(self) -> None:
        """Give ownership back and close. If that cannot be written, the file names this owner until its lease ends; if
        nobody would find it, `lost` says so afterwards."""
        if self.lost is None:
            self.lost = self._lookout.look(1, self._count, False)  # so that it is known where the log ends now
        if self.lost is None:
            with suppress(sqlite3.Error):  # what the file holds is sound, and its next owner sees how this one ended
                connection = self._connected()
                connection.execute("BEGIN IMMEDIATE")
                in_order = not (self._claim.visits and self.opened.after_crash)
                released = (
                    f"UPDATE owner SET released = ?, lease_until = CASE WHEN ? THEN {NOW} ELSE 0 END WHERE epoch = ?"
                )
                connection.execute(released, (in_order, in_order, self.opened.epoch))
                connection.execute("COMMIT")
                self.lost = self._lookout.look(1, self._count, True)
        self._roll_back()
        self._disconnect()

    def _write(self, commits: Sequence[Commit], renew: bool, done: Written) -> None:
        """As `write`, adding to `done`. What cannot be kept as a whole is halved until the commit at fault is alone."""
        try:
            if self.lost is not None:
                raise self.lost
            batch = fold(commits, self._mark, self.opened.epoch)
            self._transact(batch, renew)
        except Exception as error:
            failed = self.lost
            if failed is None:
                failed = CommitFailed(f"{self._name}: nothing of it was kept: {error}")
                failed.__cause__ = error
            for_all = self.lost is not None or refuses_all(error)
            self._make_room(error)
            if isinstance(failed, CommitFailed):
                failed.refuses_all = for_all
            if for_all or len(commits) <= 1:
                done.for_all |= for_all
                for commit in commits:
                    done.fail(commit, failed)
            else:
                middle = len(commits) // 2
                self._write_sound(commits[:middle], renew, done)
                self._write_sound(commits[middle:], renew and not done.renewed, done)
        else:
            self._mark = batch.after
            if batch.grown:
                self._grown = batch.grown + (self._left_before() if self._grown is None else self._grown)
            done.renewed |= renew
            done.outcomes.extend(batch.heads)
            done.events.extend(zip(batch.events, batch.facts, strict=True))
            if batch.blobs.bodies:
                batch.blobs.give_up()

    def _left_before(self) -> int:
        """Characters of all large values, of which those before this owner may have left some that nobody holds."""
        with suppress(JournalError):
            return self.read(stored_size)
        return 0

    def _write_sound(self, commits: Sequence[Commit], renew: bool, done: Written) -> None:
        """Write `commits` without those that rest on one that failed."""
        run: list[Commit] = []
        for commit in commits:
            if done.fallen.isdisjoint(works_of(commit)):
                run.append(commit)
                continue
            if run:
                self._write(run, renew and not done.renewed, done)
                run = []
            done.fail(commit, follows(self._name))
        if run:
            self._write(run, renew and not done.renewed, done)

    def _transact(self, batch: Batch, renew: bool) -> None:
        """Commit `batch`, or raise and leave nothing of it. An error of the COMMIT is resolved by reading back."""
        connection = self._connected()
        committing = False
        try:
            connection.execute("BEGIN IMMEDIATE")
            before, after = batch.before, batch.after
            standing = connection.execute(
                "UPDATE meta SET seq = ?, hash = ?, commits = ?, last_row = ? WHERE epoch = ? AND commits = ?",
                (after.seq, after.hash, after.commits, after.last_row, batch.epoch, before.commits),
            )
            if standing.rowcount != 1:
                self._lose(connection)
            batch.apply(connection)
            log = self._lookout.log
            if log is not None and (renew or not log.has_room(_LOG_USED)):
                log.make_room(_LOG_USED)
            if renew:
                prolonged = f"UPDATE owner SET lease_until = {NOW} + ? WHERE epoch = ?"
                connection.execute(prolonged, (self._claim.lease, batch.epoch))
            self.ready()
            committing = True
            connection.execute("COMMIT")
        except BaseException as error:
            self._roll_back()
            if not committing or not self._stands(batch, error):
                raise

    def _stands(self, batch: Batch, cause: BaseException) -> bool:
        """Whether a transaction whose COMMIT raised was kept: an automatic checkpoint may fail after it.

        What is read may not be what a crash would leave: a transaction of which only the sync failed is not seen, and
        is in the log to its end, where it would come to life. One that is synced over it settles that, if it comes
        from the same connection: another one takes what it finds in the log for safe, and a disk that has refused to
        sync it may have dropped it (https://wiki.postgresql.org/wiki/Fsync_Errors).
        """
        failed = cause
        unsynced = is_of_a_sync(cause)
        standing = {batch.after.commits: True}
        for attempt in range(1, _ATTEMPTS + 1):
            if unsynced and self._connection is None:
                break
            try:
                connection = self._connected()
                found = meta(connection)
                if found is None or found[2] != batch.epoch:
                    self._lose(connection)
                stands = standing.get(found[1].commits, False)
                if failed is cause and (stands or was_cut_short(cause)):
                    return stands
                sealed = batch.after.commits + attempt
                standing[sealed] = stands
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("UPDATE meta SET commits = ? WHERE epoch = ?", (sealed, batch.epoch))
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                failed = error
                unsynced |= is_of_a_sync(error)
                self._roll_back()
                if not unsynced:
                    self._disconnect()
            else:
                batch.after = evolve(batch.after, commits=sealed)
                self._mark = evolve(self._mark, commits=sealed)
                return stands
        raise self._doubt(cause, failed) from cause

    def _doubt(self, cause: BaseException, failed: BaseException) -> JournalError:
        """What a refused sync has left in the log would be taken for safe, and something be written behind it."""
        self.lost = JournalError(
            f"{self._name}: a commit raised ({cause}) and so did what would settle it ({failed}), so nobody can say"
            " whether it was kept: end this process, mend the disk, and open the file again"
        )
        return self.lost

    def _lose(self, connection: sqlite3.Connection) -> NoReturn:
        holder, _ = rows.holder(connection)
        self.lost = EpochLost(
            f"{self._name} is owned by {holder}: the lease of this process, {self.opened.holder} "
            f"(epoch {self.opened.epoch}), ran out. Nothing was written"
        )
        raise self.lost

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._claim.connect(
                str(self._claim.at),
                timeout=self._claim.patience,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=256,
            )
            # Before journal_mode: the removal of the first journal must be synced, or a power cut can bring it back to
            # life over the write-ahead log, and with it lose every commit.
            self._connection.execute("PRAGMA synchronous = EXTRA")
            self._connection.execute(f"PRAGMA wal_autocheckpoint = {_COPY_AT}")
            self._connection.execute(f"PRAGMA journal_size_limit = {_LOG}")
        return self._connection

    def _roll_back(self) -> None:
        if self._connection is not None and self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error:  # a connection in an unknown state: the next call makes another
                self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            self._lookout.end()
            connection.close()
