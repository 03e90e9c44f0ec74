"""The file in its owner's hands, one call at a time: what a step does, and that a file that was lost is left alone."""

from __future__ import annotations

import pathlib
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from attrs import evolve

from treewarden.agents.errors import EpochLost, JournalDamaged, JournalError
from treewarden.supervisor.core.event import EventsPruned
from treewarden.supervisor.journal.holder import ProcfsTable
from treewarden.supervisor.journal.owned import OwnedFile
from treewarden.supervisor.journal.port import Commit
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.journal.taking import Claim

from ...journals import WALL, fact, settle, state

SYNC = sqlite3.SQLITE_IOERR_FSYNC
WRITE = sqlite3.SQLITE_IOERR_WRITE


class Disk:
    """Makes connections whose statements fail as told; `made` counts them."""

    def __init__(self, file: pathlib.Path) -> None:
        self.file = file
        self.made = 0
        self.gone = False
        """Whether no connection can be made, and none reads."""
        self.refused: dict[str, int] = {}
        """The error code with which a statement is refused, once, instead of being done."""
        self.late = False
        """Whether the next COMMIT raises when it is done."""
        self.overtaken = False
        """Whether somebody else owns the file as soon as a transaction is rolled back."""

    def connect(self, *args: Any, **options: Any) -> sqlite3.Connection:
        disk = self

        class Connection(sqlite3.Connection):
            def execute(self, sql: str, /, *parameters: Any) -> sqlite3.Cursor:
                if disk.gone and sql.startswith("SELECT"):
                    raise sqlite3.OperationalError("disk I/O error")
                if (code := disk.refused.pop(sql, None)) is not None:
                    raise error_of(code)
                cursor = super().execute(sql, *parameters)
                if sql == "ROLLBACK" and disk.overtaken:
                    disk.overtaken = False
                    disk.sql("UPDATE meta SET epoch = epoch + 1")
                if sql == "COMMIT" and disk.late:
                    disk.late, disk.gone = False, True
                    raise error_of(WRITE)
                return cursor

        if self.gone:
            raise sqlite3.OperationalError("unable to open database file")
        self.made += 1
        return sqlite3.connect(*args, factory=Connection, **options)

    def owned(self, patience: float = 0.0) -> OwnedFile:
        claim = Claim(
            file=self.file,
            at=self.file.absolute(),
            processes=ProcfsTable(),
            connect=self.connect,
            new_tree=lambda: "5702ed",
            lease=60.0,
            patience=patience,
        )
        return OwnedFile(claim, WALL)

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.file, isolation_level=None)) as connection:
            return connection.execute(statement).fetchall()


def error_of(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("it raised")
    error.sqlite_errorcode = code
    return error


@pytest.fixture
def disk(tmp_path: pathlib.Path) -> Disk:
    return Disk(tmp_path / "tree.db")


def written(owned: OwnedFile, *commits: Commit) -> list[int]:
    done = owned.write(commits, renew=False)
    assert not done.for_all
    return [each for each in done.outcomes if isinstance(each, int)]


def cut(through: int) -> Commit:
    event = EventsPruned(tree="5702ed", through=through, hash="", count=through, until=WALL, by="ada")
    return Commit(events=((WALL, event),))


def test_a_file_whose_last_commit_nobody_can_know_is_left_alone(disk: Disk) -> None:
    """Also when the disk is mended: what is written behind a doubt would make it a lie."""
    owned = disk.owned()
    assert written(owned, settle(1, events=[fact(1)])) == [1]
    disk.late = True
    done = owned.write([settle(2, events=[fact(2)])], renew=False)
    assert (done.outcomes, done.for_all) == ([owned.lost], True)
    assert "nobody can say whether it was kept" in str(owned.lost)
    disk.gone = False
    made, before = disk.made, disk.sql("SELECT * FROM owner") + disk.sql("SELECT * FROM meta")
    for call in (owned.sweep, lambda: owned.trim(10), lambda: owned.shrink(10)):
        with pytest.raises(JournalError) as raised:
            call()
        assert raised.value is owned.lost
    again = owned.write([settle(3), settle(4)], renew=True)
    assert (again.outcomes, again.for_all, again.renewed) == ([owned.lost] * 2, True, False)
    owned.close()
    assert disk.made == made
    assert disk.sql("SELECT * FROM owner") + disk.sql("SELECT * FROM meta") == before


def test_who_has_lost_its_epoch_deletes_nothing(disk: Disk) -> None:
    owned = disk.owned()
    written(owned, *(settle(number, events=[fact(number)]) for number in range(1, 6)), cut(4))
    disk.sql("UPDATE meta SET epoch = epoch + 1")
    for call in (lambda: owned.trim(10), owned.sweep):
        with pytest.raises(EpochLost, match="Nothing was written"):
            call()
    assert isinstance(owned.lost, EpochLost)
    assert disk.sql("SELECT count(*) FROM events") == [(6,)]
    owned.close()
    assert disk.sql("SELECT released FROM owner") == [(0,)], "another one's row"


def test_who_is_overtaken_while_it_looks_whether_a_commit_stands_has_lost_its_epoch(disk: Disk) -> None:
    owned = disk.owned()
    written(owned, settle(1))
    disk.refused, disk.overtaken = {"COMMIT": WRITE}, True
    done = owned.write([settle(2)], renew=False)
    assert (done.outcomes, done.for_all) == ([owned.lost], True)
    assert isinstance(owned.lost, EpochLost)
    assert disk.sql("SELECT settled FROM states") == [(1,)]
    owned.close()


@pytest.mark.parametrize(
    "commits",
    [(), (settle(1),), (settle(1), Commit(acked=(99,)), settle(2)), (Commit(acked=(99,)), Commit(acked=(98,)))],
    ids=["none", "one", "some", "none that is kept"],
)
def test_the_lease_is_prolonged_by_what_is_written_and_only_then_said_to_be(
    disk: Disk, commits: tuple[Commit, ...]
) -> None:
    owned = disk.owned()
    for renew in (False, True):
        disk.sql("UPDATE owner SET lease_until = 1")
        done = owned.write(commits, renew=renew, look=False)
        (until,) = disk.sql("SELECT lease_until FROM owner")[0]
        assert done.renewed is (until > 1)
        assert done.renewed is (renew and (not commits or any(isinstance(each, int) for each in done.outcomes)))
    owned.close()


def test_a_step_of_trimming_deletes_so_many_and_says_whether_more_are_left(disk: Disk) -> None:
    owned = disk.owned()
    assert not owned.trim(3), "nothing was given up"
    written(owned, *(settle(number, events=[fact(number)]) for number in range(1, 11)))
    assert not owned.trim(3)
    written(owned, cut(7))
    for left, first in ((True, 4), (True, 7), (False, 8), (False, 8)):
        assert owned.trim(3) is left
        assert disk.sql("SELECT min(seq), max(seq) FROM events") == [(first, 11)]
    owned.close()


def test_a_step_that_just_reaches_the_cut_is_the_last(disk: Disk) -> None:
    owned = disk.owned()
    written(owned, *(settle(number, events=[fact(number)]) for number in range(1, 11)), cut(6))
    assert [owned.trim(3), owned.trim(3)] == [True, False]
    assert disk.sql("SELECT min(seq) FROM events") == [(7,)]
    owned.close()


@pytest.mark.parametrize(
    ("refused", "lost"),
    [
        ({"COMMIT": SYNC}, False),  # the same connection may sync over it
        ({"COMMIT": WRITE, "ROLLBACK": WRITE}, False),  # another connection finds what there is
        ({"COMMIT": SYNC, "ROLLBACK": WRITE}, True),
    ],
)
def test_a_step_that_failed_may_be_done_again_but_for_a_sync_whose_connection_is_gone(
    disk: Disk, refused: dict[str, int], lost: bool
) -> None:
    owned = disk.owned()
    written(owned, *(settle(number, events=[fact(number)]) for number in range(1, 4)), cut(2))
    disk.refused = refused
    with pytest.raises(JournalError if lost else sqlite3.OperationalError):
        owned.trim(10)
    assert (owned.lost is not None) is lost
    if not lost:
        assert not owned.trim(10)
        assert written(owned, settle(4, events=[fact(4)])) == [5]
    owned.close()
    with JournalFile.open(disk.file) as reading:
        assert reading.records()


@pytest.mark.parametrize(("code", "lost"), [(SYNC, True), (WRITE, False)])
def test_a_commit_whose_sync_was_refused_is_not_read_back_by_another_connection(
    disk: Disk, code: int, lost: bool
) -> None:
    """It would take for safe what the disk may have dropped; after another error it finds what there is."""
    owned = disk.owned()
    made = disk.made
    disk.refused = {"COMMIT": code, "ROLLBACK": WRITE}
    done = owned.write([settle(1)], renew=False, look=False)
    assert isinstance(done.outcomes[0], JournalError)
    assert (owned.lost is done.outcomes[0]) is lost
    assert disk.made == made + (not lost)
    owned.close()


def test_a_file_that_was_moved_away_acknowledges_nothing_and_ends_all_that_is_queued(disk: Disk) -> None:
    owned = disk.owned()
    written(owned, settle(1))
    disk.file.rename(disk.file.with_name("other.db"))
    done = owned.write([settle(2), settle(3)], renew=True)
    assert (done.outcomes, done.for_all, done.events) == ([owned.lost] * 2, True, [])
    assert isinstance(owned.lost, JournalError)
    owned.close()


def test_free_pages_are_given_back_step_by_step_and_the_log_with_the_last(disk: Disk) -> None:
    owned = disk.owned(patience=0.3)
    log = disk.file.with_name("tree.db-wal")
    written(owned, Commit(states=(evolve(state(1), body=f'"{"x" * 70_000}"'),)))
    written(owned, settle(1))
    owned.sweep()
    left = [owned.shrink(1)]
    assert left[0] > 5
    for _ in range(left[0]):
        assert log.stat().st_size > 0
        left.append(owned.shrink(1))
    assert left == list(range(left[0], -1, -1))
    assert log.stat().st_size == 0
    patience = owned.read(lambda connection: connection.execute("PRAGMA busy_timeout").fetchone())
    assert patience == (300,), "as before: another one's short transaction is waited for"
    owned.close()


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, WRITE])
def test_what_is_in_the_log_is_moved_where_the_disk_is_full_and_only_there(disk: Disk, code: int) -> None:
    owned = disk.owned()
    log = disk.file.with_name("tree.db-wal")
    written(owned, settle(1, events=[fact(1)]))
    disk.refused = {"BEGIN IMMEDIATE": code}
    done = owned.write([settle(2)], renew=False, look=False)
    assert (done.for_all, owned.lost) == (True, None)
    assert (log.stat().st_size == 0) is (code == sqlite3.SQLITE_FULL)
    assert written(owned, settle(2)) == [1]
    owned.close()


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (sqlite3.DatabaseError("database disk image is malformed"), JournalDamaged),
        (sqlite3.OperationalError("disk I/O error"), JournalError),
    ],
)
def test_what_cannot_be_read_is_damaged_only_if_sqlite_says_so(
    disk: Disk, raised: sqlite3.Error, kind: type[JournalError]
) -> None:
    owned = disk.owned()

    def ask(_connection: sqlite3.Connection) -> None:
        raise raised

    with pytest.raises(JournalError, match=f"tree.db cannot be read: {raised}") as found:
        owned.read(ask)
    assert type(found.value) is kind
    assert owned.lost is None
    owned.close()


def test_a_second_name_is_refused_before_anything_is_opened(disk: Disk) -> None:
    disk.owned().close()
    made = disk.made
    disk.file.with_name("second.db").hardlink_to(disk.file)
    with pytest.raises(JournalError, match="second"):
        disk.owned()
    assert disk.made == made
