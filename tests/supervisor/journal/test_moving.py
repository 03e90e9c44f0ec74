"""What is stored of a slot goes to another path, whole or not at all; its past goes along."""

from __future__ import annotations

import pathlib
import sqlite3
from contextlib import closing
from functools import partial
from typing import Any, TypeVar

import pytest
from attrs import evolve

from treewarden.agents.core.path import LONGEST_PATH, ROOT, Path
from treewarden.agents.core.step import BEGUN
from treewarden.agents.errors import JournalDamaged, JournalError, JournalOwned
from treewarden.supervisor.core.event import (
    ChildStarted,
    Decided,
    Event,
    QuestionAnswered,
    QuestionAsked,
    SlotMoved,
)
from treewarden.supervisor.journal.forking import fork
from treewarden.supervisor.journal.moving import move as move_in
from treewarden.supervisor.journal.port import Commit, ReplyRow
from treewarden.supervisor.journal.reading import JournalFile

from ...journals import DESK, WALL, checkpoint, dead, fact, message, on_disk, settle, state, timer
from .raising import ERRORS, Raising

T = TypeVar("T")
TILL = Path("desk/till")
OTHER = Path("other")
SHOP = Path("shop/desk")
LONG = f'"{"x" * 70_000}"'
TABLES = {"states": 6, "checkpoints": 13, "mailbox": 12, "dead_letters": 12, "timers": 3, "blobs": 4, "chunks": 4}
"""With how many columns before the epoch and the checksums: what must be as it was after a way there and back."""


def move(file: pathlib.Path, old: str = DESK, new: str = SHOP, **options: Any) -> SlotMoved:
    return move_in(file, Path(old), Path(new), by="ada", at=WALL, **options)


@pytest.fixture
async def file(tmp_path: pathlib.Path) -> pathlib.Path:
    """Everything of the desk and of what is below it; the same of another one, which is none of its business."""
    async with on_disk(tmp_path / "tree.db") as journal:
        for number in range(1, 4):
            kept = (checkpoint(number, "good" if number == 2 else ""),)
            await journal.commit(evolve(settle(number, events=[fact(number)]), checkpoints=kept))
        for path, first in ((DESK, 50), (TILL, 60), (OTHER, 70), (Path("desks"), 80)):
            await journal.commit(
                Commit(
                    states=(evolve(state(first, path), body=LONG),),
                    accepted=(message(first, path), message(first + 1, path, sender=DESK, deliveries=1)),
                    dead=(evolve(dead(first + 2, path), row=None),),
                    timers=(timer("tick", WALL + first, path), timer("tock", WALL, path)),
                    last_row=first + 5,
                )
            )
    return tmp_path / "tree.db"


def rows_of(file: pathlib.Path) -> dict[str, list[tuple[Any, ...]]]:
    found: dict[str, list[tuple[Any, ...]]] = {}
    with closing(sqlite3.connect(file)) as connection:
        for table, columns in TABLES.items():
            rows = connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
            names = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
            left = [place for place, name in enumerate(names) if name not in ("epoch", "checksum")]
            assert len(left) >= columns - 2
            found[table] = [tuple(row[place] for place in left) for row in rows]
    return found


def events_of(file: pathlib.Path) -> list[Event]:
    with JournalFile.open(file) as reading:
        assert reading.verify().sound
        assert not reading.check_rows().faults
        return [record.event for record in reading.records(limit=1000)]


async def test_all_that_is_stored_there_goes_along(file: pathlib.Path) -> None:
    before = rows_of(file)
    told = move(file)
    assert told == SlotMoved(
        path=SHOP, old=DESK, new=SHOP, by="ada", states=2, checkpoints=3, messages=4, dead_letters=2, timers=4
    )
    assert events_of(file)[-2:] == [told, evolve(told, path=DESK)]
    after = rows_of(file)
    for table in ("blobs", "chunks"):
        assert after[table] == before[table]
    async with on_disk(file) as journal:
        for path, first in ((SHOP, 50), (SHOP / "till", 60), (OTHER, 70), (Path("desks"), 80)):
            held = await journal.recover(path)
            assert held.state is not None
            assert (held.state.body, held.state.settled) == (LONG, first)
            assert held.messages == (message(first, path), message(first + 1, path, sender=DESK, deliveries=1))
            assert held.timers == {"tick": WALL + first, "tock": WALL}
            assert [each.id for each in await journal.dead_letters(path) if each.path == path] == [f"t-{first + 2}"]
        for path in (DESK, TILL):
            assert await journal.recover(path) == await journal.recover(Path("nobody"))
        (good,) = [each for each in await journal.checkpoints(SHOP) if each.name == "good"]
        kept = await journal.checkpoint(good.number)
        assert kept is not None
        assert (kept.about.path, kept.state.body, good.pinned) == (SHOP, state(2).body, True)
        assert not await journal.checkpoints(DESK)
        assert (journal.opened.last_row, journal.opened.epoch) == (85, 3)


async def test_a_dry_run_says_the_same_and_moves_nothing(file: pathlib.Path) -> None:
    before, events = rows_of(file), events_of(file)
    told = move(file, dry_run=True)
    assert (rows_of(file), events_of(file)) == (before, events)
    with pytest.raises(JournalError, match="other has a state already"):
        move(file, new=OTHER, dry_run=True)
    assert move(file) == told


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("kept", [True, False])
async def test_of_a_commit_that_raised_it_is_said_whether_it_stands(file: pathlib.Path, kept: bool, error: str) -> None:
    before, raised = rows_of(file), list[str]()

    class Refusing(Raising):
        """It is the COMMIT of the move that raises, and no other one."""

        def executemany(self, sql: str, /, *parameters: Any) -> sqlite3.Cursor:
            if sql.startswith("UPDATE states"):
                self.when, self.error = "after" if kept else "before", ERRORS[error]
                raised.append(self.when)
            return super().executemany(sql, *parameters)

    connect = partial(sqlite3.connect, factory=Refusing)
    if kept:
        assert move(file, connect=connect).states == 2
        assert len(events_of(file)) == 5
    else:
        with pytest.raises(MemoryError if error == "no memory" else JournalError):
            move(file, connect=connect)
        assert (rows_of(file), len(events_of(file))) == (before, 3)
        assert move(file).states == 2
    assert raised


async def test_there_and_back_it_is_as_it_was(file: pathlib.Path) -> None:
    before = rows_of(file)
    move(file)
    move(file, SHOP, DESK)
    assert rows_of(file) == before


async def test_a_fork_before_the_move_has_everything_at_the_path_of_then(file: pathlib.Path) -> None:
    """Whoever has lived there since has nothing to do with it."""
    move(file)
    async with on_disk(file) as journal:
        newer = (timer("tick", WALL + 900), timer("new", WALL + 900))
        await journal.commit(evolve(settle(1, events=[fact(6)]), timers=newer, checkpoints=(checkpoint(50),)))
    for at, homes in ((3, {DESK, TILL}), (4, {SHOP, SHOP / "till"}), (6, {DESK, SHOP, SHOP / "till"})):
        target = file.with_name(f"{at}.db")
        fork(file, target, at=at, new_tree=lambda: "f0")
        with JournalFile.open(target) as reading:
            assert reading.verify().sound
            assert not reading.check_rows().faults
            assert {each.path for each in reading.states()} == {*homes, OTHER, Path("desks")}
            assert (
                reading.timers(min(homes))
                == {
                    3: {"tick": WALL + 50, "tock": WALL},
                    4: {"tick": WALL + 50, "tock": WALL},
                    6: {"tick": WALL + 900, "new": WALL + 900},
                }[at]
            )
            assert len(reading.checkpoints(Path("desk") if at == 3 else SHOP)) == 3


async def test_said_twice_nothing_is_there(file: pathlib.Path) -> None:
    move(file)
    with pytest.raises(JournalError, match=r"nothing is stored at desk or below it: event 4 moved desk to shop/desk"):
        move(file)
    assert len(events_of(file)) == 5


def _refused(file: pathlib.Path, match: str, old: str = DESK, new: str = SHOP) -> None:
    before, events = rows_of(file), events_of(file)
    with pytest.raises(JournalError, match=match):
        move(file, old, new)
    assert (rows_of(file), events_of(file)) == (before, events)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (DESK, DESK, r"desk cannot be moved to desk: that is where it is\."),
        (DESK, ROOT, r"desk cannot be moved to /: / is the whole tree\."),
        (ROOT, SHOP, r"/ cannot be moved to shop/desk: / is the whole tree\."),
        (DESK, TILL, r"one lies within the other"),
        (TILL, DESK, r"one lies within the other"),
        (DESK, "other", r"desk was not moved to other: other has a state already\. Name a place"),
        (TILL, "other/x", None),
        ("other", "desks/x", None),
        ("disk", SHOP, r"nothing is stored at disk or below it; did you mean desks? or desks?\?$"),
        ("front/till", SHOP, r"nothing is stored at front/till or below it; did you mean desk/till\?$"),
        ("zzz", SHOP, r"nothing is stored at zzz or below it; `treewarden tree .*tree\.db` shows all slots$"),
        (DESK, "/".join(["b" * 199] * 10)[: LONGEST_PATH - 5], None),
        (DESK, "/".join(["b" * 199] * 10)[: LONGEST_PATH - 4], r"would have more than 2,000 characters"),
    ],
)
async def test_places_that_cannot_be(old: str, new: str, match: str | None, file: pathlib.Path) -> None:
    if match is None:
        move(file, old, new)
        assert len(events_of(file)) == 5
    else:
        _refused(file, match, old, new)


@pytest.mark.parametrize("what", ["checkpoints", "accepted", "dead", "timers", "replies"])
async def test_whatever_is_stored_at_the_new_place_or_below_it_is_in_the_way(what: str, file: pathlib.Path) -> None:
    place = SHOP / "x"
    rows: dict[str, Any] = {
        "checkpoints": (checkpoint(90, path=place),),
        "accepted": (message(90, place),),
        "dead": (evolve(dead(90, place), row=None),),
        "timers": (timer("tick", WALL, place),),
        "replies": (ReplyRow("other-5>ask.0", place, "int", "4"),),
    }
    async with on_disk(file) as journal:
        await journal.commit(Commit(**{what: rows[what]}))
    _refused(file, rf"{place} has a \w+( \w+)? already\. Name a place where nothing is stored, or move that away first")


def _decided(action: str) -> Decided:
    return Decided(path=TILL, incident="1.1", policy="ladder", rule="r", action=action, confidence=0.5)


@pytest.mark.parametrize(
    ("commit", "match"),
    [
        (
            Commit(replies=(ReplyRow("{tree}-60>pay!x.1>begun", TILL, BEGUN, "{}"),)),
            r"desk/till keeps .* has not finished",
        ),
        (
            Commit(replies=(ReplyRow("foreign-1>desk:Ask.1", DESK, "int", "4"),)),
            r"desk keeps foreign-1>desk:Ask\.1 for",
        ),
        (Commit(replies=(ReplyRow("t-61>other:Ask.1", OTHER, "int", "4"),)), r"desk/till has begun with message t-61"),
        (
            Commit(events=((WALL, QuestionAsked(slot=TILL, question="what now?", since=WALL)),)),
            r"a person is asked what is to become of desk/till\. .* treewarden resume .*tree\.db desk/till$",
        ),
        (
            Commit(events=((WALL, QuestionAsked(slot=SHOP, question="what now?", since=WALL)),)),
            r"a person is asked what is to become of shop/desk",
        ),
        (Commit(events=((WALL, _decided("roll_back")),)), r"a rollback of desk/till was decided and is not done"),
    ],
    ids=["effect", "reply", "asked", "question", "question there", "rollback"],
)
async def test_what_is_not_finished_is_in_the_way(commit: Commit, match: str, file: pathlib.Path) -> None:
    async with on_disk(file) as journal:
        tree = journal.opened.tree
        replies = tuple(evolve(each, id=each.id.replace("{tree}", tree)) for each in commit.replies)
        await journal.commit(evolve(commit, replies=replies))
    _refused(file, match)


async def test_what_is_finished_is_not_in_the_way(file: pathlib.Path) -> None:
    """Also what the next owner of the file gives up: it was kept for somebody who has died."""
    async with on_disk(file) as journal:
        facts = [
            QuestionAsked(slot=TILL, question="what now?", since=WALL),
            QuestionAnswered(slot=TILL, how="resumed"),
            QuestionAsked(slot=OTHER, question="and now?", since=WALL),
            _decided("roll_back"),
            ChildStarted(path=TILL, incarnation=2),
            _decided("restart"),
            evolve(_decided("roll_back"), path=OTHER),
        ]
        await journal.commit(Commit(events=tuple((WALL, each) for each in facts)))
        vain = ReplyRow(f"{journal.opened.tree}-999>desk:Ask.1", DESK, "int", "4")
        held = ReplyRow("t-70>other:Ask.1", OTHER, "int", "4")
        await journal.commit(Commit(replies=(vain, held)))
    assert move(file).states == 2


async def test_a_row_that_is_not_what_was_written_does_not_become_one(file: pathlib.Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE mailbox SET body = '5' WHERE path = ?", (TILL,))
    before = rows_of(file)
    with pytest.raises(
        JournalDamaged, match=r"tree\.db: in table mailbox, row 60 of desk/till is not what was written"
    ):
        move(file)
    assert rows_of(file) == before


async def test_whoever_owns_the_file_is_named_and_nothing_is_moved(file: pathlib.Path) -> None:
    before = rows_of(file)
    async with on_disk(file) as journal:
        with pytest.raises(JournalOwned, match="is owned by"):
            move(file)
        assert journal.head == 3
    assert rows_of(file) == before


def test_no_file_is_made(tmp_path: pathlib.Path) -> None:
    with pytest.raises(JournalError, match="there is no journal"):
        move(tmp_path / "none.db")
    assert not list(tmp_path.iterdir())


class _Ends(sqlite3.Connection):
    """Ends whoever moves rows with it before one of the statements of that, as a signal would."""

    left = 0
    begun = False

    def execute(self, *given: Any) -> sqlite3.Cursor:
        self._count(given[0])
        return super().execute(*given)

    def executemany(self, *given: Any) -> sqlite3.Cursor:
        self._count(given[0])
        return super().executemany(*given)

    def _count(self, said: str) -> None:
        self.begun |= said.startswith("SELECT DISTINCT")
        if self.begun and said != "ROLLBACK":
            _Ends.left -= 1
            self.begun = said != "COMMIT"
            if _Ends.left == 0:
                raise KeyboardInterrupt


async def test_whatever_ends_it_before_its_commit_leaves_everything_where_it_was(file: pathlib.Path) -> None:
    before, tried = rows_of(file), 0
    for tried in range(1, 500, 4):
        _Ends.left = tried
        try:
            move(file, connect=partial(sqlite3.connect, factory=_Ends))
        except KeyboardInterrupt:
            assert rows_of(file) == before
        else:
            break
    assert tried > 40
    assert len(events_of(file)) == 5
