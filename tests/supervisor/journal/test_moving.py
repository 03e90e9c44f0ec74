"""What is stored of a slot goes to another path, whole or not at all; its past goes along."""

from __future__ import annotations

import pathlib
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from typing import Any, Final, TypeVar

import pytest
import trio
from attrs import evolve
from hypothesis import example, given, settings
from hypothesis import strategies as st

from treewarden.agents.core.path import LONGEST_PATH, Path
from treewarden.agents.core.step import BEGUN
from treewarden.agents.errors import JournalDamaged, JournalError, JournalOwned
from treewarden.supervisor.core.bundle import sealed
from treewarden.supervisor.core.event import (
    ChildStarted,
    Decided,
    Event,
    EventsPruned,
    QuestionAnswered,
    QuestionAsked,
    RolledBack,
    SlotMoved,
)
from treewarden.supervisor.core.lineage import past_of
from treewarden.supervisor.core.retention import EventRetention
from treewarden.supervisor.journal.exporting import bundle_of, read_bundle
from treewarden.supervisor.journal.forking import fork
from treewarden.supervisor.journal.moving import move as move_in
from treewarden.supervisor.journal.port import Commit, ReplyRow, RestoreRow
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.moved import past_told, stays_of, went_back_in
from treewarden.supervisor.pruning import Pruning

from ...journals import DESK, WALL, WallClock, checkpoint, dead, fact, message, on_disk, settle, state, timer

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
        (DESK, DESK, r"desk cannot be moved to desk: one lies within the other"),
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


_HOMES = ("a", "d/x", "d/y", "e/x", "e/y", "g")
_Step = tuple[str, int, int]
_WHAT: Final = ("settle", "settle", "keep", "keep", "back", "back", "declared", "move", "move", "prune")
_steps = st.lists(st.tuples(st.sampled_from(_WHAT), st.integers(0, 2), st.integers(0, 5)), min_size=6, max_size=24)


class _Twins:
    """Two journals with the same past, but that in the first one slots are moved about, and in the second they stay."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.files = (folder / "moved.db", folder / "stayed.db")
        self.homes = [Path("a"), Path("d/x"), Path("e/y")]
        self.were: dict[int, list[Path]] = {}
        """Where each was at an event."""
        self.seq = 0
        self.settled = [0, 0, 0]
        self.kept: list[list[tuple[int, int]]] = [[], [], []]
        self.number = 0
        self.cut = 0

    def paths(self, who: int) -> tuple[Path, Path]:
        return self.homes[who], Path(f"p{who}")

    async def commit(self, build: Callable[[Path], Commit], who: int) -> None:
        for file, path in zip(self.files, self.paths(who), strict=True):
            async with on_disk(file) as journal:
                await journal.commit(build(path))
                self.seq = journal.head
        self.were[self.seq] = list(self.homes)

    async def do(self, step: _Step) -> None:
        what, who, which = step
        if what in ("settle", "keep"):
            self.settled[who] += 1
            self.number += 1
            number, value = self.number, self.settled[who]
            if what == "keep":
                self.kept[who].append((number, self.seq + 1))
            await self.commit(lambda path: self._settled(path, value, number if what == "keep" else None), who)
        elif what == "back" and self.kept[who]:
            self.settled[who] += 1
            number, seq = self.kept[who][which % len(self.kept[who])]
            value = self.settled[who]
            await self.commit(lambda path: self._back(path, number, seq, value), who)
        elif what == "declared":
            self.settled[who] += 1
            event = RolledBack(path=Path("x"), to=None, by="ada")
            await self.commit(
                lambda path: Commit(states=(state(0, path),), events=((WALL, evolve(event, path=path)),)), who
            )
        elif what == "move":
            await self.move(self.homes[who], Path(_HOMES[which]))
        elif what == "prune":
            await self.prune(which)

    def _settled(self, path: Path, value: int, number: int | None) -> Commit:
        kept = () if number is None else (evolve(checkpoint(1, path=path), number=number, body=state(value).body),)
        return Commit(by=path, states=(state(value, path),), checkpoints=kept, events=((WALL, fact(value, path)),))

    def _back(self, path: Path, number: int, seq: int, value: int) -> Commit:
        event = RolledBack(path=path, to=seq, checkpoint=number, by="ada")
        return Commit(by=path, restores=(RestoreRow(path, number, value),), events=((WALL, event),))

    async def move(self, old: Path, new: Path) -> None:
        try:
            move_in(self.files[0], old, new, by="ada", at=WALL)
        except JournalError:
            return
        async with on_disk(self.files[1]) as journal:
            await journal.commit(Commit(events=((WALL, fact(0, OTHER)), (WALL, fact(0, OTHER)))))
            self.seq = journal.head
        self.were[self.seq - 1] = self.were[self.seq] = self.homes = [
            Path(f"{new}{home[len(old) :]}") if home.is_within(old) else home for home in self.homes
        ]

    async def prune(self, last: int) -> None:
        for file in self.files:
            async with on_disk(file) as journal:
                retention = EventRetention(last=last, past_checkpoints=True)
                plan = await Pruning(journal, WallClock()).prune(retention, "ada")
                self.cut = plan.through
                self.seq = journal.head
        self.were[self.seq] = list(self.homes)

    def states(self, place: int, at: int) -> list[str | None]:
        """Of each, what it has in a fork at that event."""
        file = self.files[place]
        target = file.with_name(f"fork{place}.db")
        target.unlink(missing_ok=True)
        fork(file, target, at=at, new_tree=lambda: "f0")
        homes = self.were[at] if place == 0 else [self.paths(who)[1] for who in range(3)]
        with JournalFile.open(target) as reading:
            assert reading.verify().sound
            assert not reading.check_rows().faults
            found = {each.path: each.body for each in reading.states()}
        assert found.keys() <= set(homes)
        return [found.get(home) for home in homes]

    async def past(self, place: int, who: int) -> Sequence[int]:
        """The numbers of the checkpoints that lead to what it has now, as a tree that runs there reads it."""
        path = self.paths(who)[place]
        async with on_disk(self.files[place]) as journal:
            kept = [(each.number, each.seq) for each in await journal.checkpoints(path, 100)]
            stays = await stays_of(journal, path, 0)
            told = sorted((await went_back_in(journal, stays, journal.head)).items())
            cut = await journal.cut()
            past = past_told(cut.event, stays) if cut is not None and isinstance(cut.event, EventsPruned) else None
            after = [(seq, event) for seq, event in told if past is None or seq > past.through]
        return past_of(kept, after, pruned=past)

    def part(self, place: int, who: int) -> list[tuple[Any, ...]]:
        """What a bundle of it alone has of its past: the states with which forks of that begin."""
        path, file = self.paths(who)[place], self.files[place]
        copy = file.with_name(f"part{place}.db")
        copy.unlink(missing_ok=True)
        with JournalFile.open(file) as reading:
            read_bundle(list(sealed(bundle_of(reading, path))), copy)
        found = list[tuple[Any, ...]]()
        with JournalFile.open(copy) as reading:
            assert reading.verify().sound
            assert not reading.check_rows().faults
            records = [record for record in reading.records(limit=1000) if isinstance(record.event, (RolledBack,))]
            facts = [record for record in reading.records(limit=1000) if "counted" in str(record.event)]
            mine = sorted([*records, *facts], key=lambda record: record.seq)
        for record in _some(mine, 2):
            if getattr(record.event, "path", None) != OTHER:
                target = file.with_name(f"part-fork{place}.db")
                target.unlink(missing_ok=True)
                fork(copy, target, at=record.seq, new_tree=lambda: "f0")
                with JournalFile.open(target) as reading:
                    found.append((type(record.event).__name__, [each.body for each in reading.states()]))
        return found


def _some(found: Sequence[T], most: int) -> Sequence[T]:
    """About so many of them, from the first to the last."""
    return found[:: -max(1, len(found) // most)]


_GONE_BACK: Final = [("keep", 0, 0), ("keep", 0, 0), ("keep", 0, 0), ("back", 0, 1), ("settle", 0, 0), ("keep", 0, 0)]


@settings(max_examples=2, deadline=None)
@given(_steps)
@example([*_GONE_BACK[:5], ("move", 0, 2), ("settle", 0, 0), ("settle", 0, 0), ("settle", 0, 0)])
@example([*_GONE_BACK, ("move", 0, 2), ("prune", 0, 4), ("settle", 0, 0)])
@example([*_GONE_BACK, ("move", 0, 2), ("settle", 0, 0), ("prune", 0, 0), ("keep", 0, 0), ("settle", 0, 0)])
@example([*_GONE_BACK, ("move", 0, 2), ("move", 1, 0), ("back", 1, 0)])
def test_what_was_moved_has_the_past_that_it_would_have_if_it_had_stayed(steps: list[_Step]) -> None:
    async def check(folder: str) -> None:
        twins = _Twins(pathlib.Path(folder))
        for who in range(3):
            await twins.do(("keep", who, 0))
        for step in steps:
            await twins.do(step)
        for at in _some(range(twins.cut + 1, twins.seq + 1), 5):
            assert twins.states(0, at) == twins.states(1, at), at
        for who in range(3):
            assert await twins.past(0, who) == await twins.past(1, who), who
        who = len(steps) % 3
        assert twins.part(0, who) == twins.part(1, who), who

    with tempfile.TemporaryDirectory() as folder:
        trio.run(check, folder)
