"""A fork shares the past of a journal up to one event, says so, and goes its own way."""

from __future__ import annotations

import os
import pathlib
import sqlite3
from contextlib import closing
from functools import partial
from itertools import pairwise

import pytest
import trio
from attrs import evolve

from treewarden.agents.core.label import Label
from treewarden.agents.core.path import Path
from treewarden.agents.errors import JournalError
from treewarden.supervisor.core.bundle import sealed
from treewarden.supervisor.core.event import RolledBack, TreeForked
from treewarden.supervisor.core.retention import EventRetention
from treewarden.supervisor.journal.exporting import bundle_of, read_bundle
from treewarden.supervisor.journal.forking import Fork, copy_in_parts, fork
from treewarden.supervisor.journal.port import Commit, KeepRow, ReplyRow, RestoreRow, Seq
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.pruning import Pruning
from treewarden.supervisor.views.pruned import pruned_of

from ...journals import DESK, WALL, WallClock, checkpoint, fact, message, on_disk, settle, state, timer

SHOP = Path("shop")
GONE = Path("gone")
LONG = f'"{"x" * 70_000}"'


@pytest.fixture
async def source(tmp_path: pathlib.Path) -> pathlib.Path:
    """Ten events of the desk; the shop settled once, after the second."""
    async with on_disk(tmp_path / "tree.db") as journal:
        for number in range(1, 11):
            kept = (checkpoint(number),) if number in (2, 5) else ()
            await journal.commit(evolve(settle(number, events=[fact(number)]), checkpoints=kept))
            if number == 2:
                for body in (f'"{"y" * 70_000}"', LONG):
                    await journal.commit(Commit(states=(evolve(state(1, SHOP), body=body),)))
                await journal.commit(Commit(checkpoints=(checkpoint(1, path=GONE),)))
        await journal.commit(
            Commit(
                accepted=(message(50), message(51)),
                replies=(ReplyRow("t-50>ask.0", SHOP, "int", "4"),),
                timers=(timer("tick", WALL),),
            )
        )
    return tmp_path / "tree.db"


def forked(source: pathlib.Path, at: Seq | None = None, name: str = "fork.db") -> Fork:
    return fork(source, source.with_name(name), at=at, new_tree=lambda: "f0")


async def test_at_the_end_it_has_everything(source: pathlib.Path) -> None:
    made = forked(source)
    assert (made.seq, made.messages, made.left) == (10, 2, 0)
    assert [(each.path, each.exact) for each in made.states] == [(DESK, True), (SHOP, True)]
    async with on_disk(made.file) as journal:
        held = await journal.recover(DESK)
        assert (held.state, held.messages, held.timers) == (state(10), (message(50), message(51)), {"tick": WALL})
        shop = await journal.recover(SHOP)
        assert shop.state is not None
        assert shop.state.body == LONG
        assert len(shop.replies) == 1
        assert (journal.opened.tree, journal.opened.last_row, journal.head) == ("f0", 51, 11)
        assert not journal.opened.after_crash
        await journal.commit(settle(11, acked=[50], events=[fact(11)]))
    with JournalFile.open(source) as reading:
        assert reading.head.seq == 10
        assert len(reading.messages(DESK)) == 2


async def test_further_back_it_has_what_was_kept_until_then(source: pathlib.Path) -> None:
    made = forked(source, 7)
    assert [(each.path, each.seq, each.exact) for each in made.states] == [(DESK, 5, False), (SHOP, 2, True)]
    assert (made.messages, made.left) == (0, 2)
    async with on_disk(made.file) as journal:
        held = await journal.recover(DESK)
        assert (held.state, held.messages, held.replies) == (state(5), (), ())
        assert [each.settled for each in await journal.checkpoints(DESK)] == [5, 2]
        assert (await journal.recover(GONE)).state is None
        assert [record.event for record in await journal.read()][:7] == [fact(number) for number in range(1, 8)]


async def test_before_anything_was_kept_a_slot_begins_anew(source: pathlib.Path) -> None:
    made = forked(source, 1)
    assert made.states == ()
    async with on_disk(made.file) as journal:
        assert (await journal.blobs()).count == 0


@pytest.mark.parametrize(
    ("at", "has", "of"),
    [
        (4, 4, 4),
        (5, 2, 2),  # it went back to what it had at event 2
        (6, 2, 2),
        (7, 7, 7),
        (8, None, None),  # to what its class declares
        (9, 9, 9),
        (10, 2, 2),  # to what was kept at event 3, and is not any more; and before that it went back to nothing newer
    ],
)
@pytest.mark.parametrize("pruned", [False, True])
async def test_what_a_slot_went_back_from_stays_given_up(
    tmp_path: pathlib.Path, at: Seq, has: int | None, of: Seq | None, pruned: bool
) -> None:
    def went_back(to: int | None) -> RolledBack:
        return RolledBack(path=DESK, to=to, checkpoint=None if to is None else 2 * to + 1, by="ada")

    async with on_disk(tmp_path / "tree.db") as journal:
        for number in (1, 2, 3, 4):
            kept = (checkpoint(number),) if number > 1 else ()
            await journal.commit(evolve(settle(number, events=[fact(number)]), checkpoints=kept))
        undo = (KeepRow(DESK, 20, WALL, Label("before rolling back")),)
        back = (RestoreRow(DESK, 5, 4),)
        await journal.commit(Commit(restores=back, keeps=undo, events=((WALL, went_back(2)),)))
        await journal.commit(Commit(events=((WALL, fact(6)),)))
        await journal.commit(evolve(settle(7, events=[fact(7)]), checkpoints=(checkpoint(7),)))
        await journal.commit(Commit(states=(state(1),), events=((WALL, went_back(None)),)))
        await journal.commit(evolve(settle(9, events=[fact(9)]), checkpoints=(checkpoint(9),)))
        await journal.commit(Commit(restores=(RestoreRow(DESK, 7, 9),), events=((WALL, went_back(3)),)))
        await journal.commit(settle(11, events=[fact(11)]))
    with closing(sqlite3.connect(tmp_path / "tree.db")) as connection, connection:
        connection.execute("DELETE FROM checkpoints WHERE number = 7")
    if pruned:  # with the events that say so
        async with on_disk(tmp_path / "tree.db") as journal:
            await Pruning(journal, WallClock()).prune(EventRetention(last=11 - at + 1, past_checkpoints=True), "ada")
    made = forked(tmp_path / "tree.db", at)
    assert [(each.path, each.seq) for each in made.states] == ([] if of is None else [(DESK, of)])
    async with on_disk(made.file) as journal:
        held = (await journal.recover(DESK)).state
        assert (None if held is None else held.body) == (None if has is None else state(has).body)


async def test_a_bundle_of_one_agent_says_to_what_it_went_back(tmp_path: pathlib.Path) -> None:
    """Its events get other numbers there, and so do those that a rollback speaks of."""
    async with on_disk(tmp_path / "tree.db") as journal:

        async def keep(number: int) -> None:
            await journal.commit(Commit(events=tuple((WALL, fact(each, Path("other"))) for each in range(10))))
            await journal.commit(evolve(settle(number, events=[fact(number)]), checkpoints=(checkpoint(number),)))

        async def go_back(number: int) -> None:
            (to,) = [each.seq for each in await journal.checkpoints(DESK, 9) if each.number == 2 * number + 1]
            back = RolledBack(path=DESK, to=to, checkpoint=2 * number + 1, by="ada")
            await journal.commit(Commit(restores=(RestoreRow(DESK, 2 * number + 1, number),), events=((WALL, back),)))

        await keep(1)
        await keep(2)
        await go_back(1)
        await keep(3)
        await go_back(2)
        await journal.commit(settle(4, events=[fact(4)]))
    with JournalFile.open(tmp_path / "tree.db") as reading:
        read_bundle(list(sealed(bundle_of(reading, DESK))), tmp_path / "desk.db")
    made = forked(tmp_path / "desk.db", 5)
    async with on_disk(made.file) as journal:
        held = (await journal.recover(DESK)).state
        assert held is not None
        assert held.body == state(2).body


async def test_a_bundle_of_one_agent_takes_along_what_a_cut_says_of_it(tmp_path: pathlib.Path) -> None:
    """Which checkpoints were given up stands there and nowhere else; what it says of others stays."""
    other = Path("other")
    async with on_disk(tmp_path / "tree.db") as journal:

        async def settled(path: Path, number: int, kept: int) -> None:
            states, keep = (evolve(state(number), path=path),), (evolve(checkpoint(number), path=path, number=kept),)
            await journal.commit(Commit(states=states, events=((WALL, fact(number, path)),), checkpoints=keep))

        for path, first in ((DESK, 11), (other, 21)):
            await settled(path, 1, first)
            await settled(path, 2, first + 1)
            (to,) = [each.seq for each in await journal.checkpoints(path, 9) if each.number == first]
            back = RolledBack(path=path, to=to, checkpoint=first, by="ada")
            await journal.commit(Commit(restores=(RestoreRow(path, first, 2),), events=((WALL, back),)))
        await Pruning(journal, WallClock()).prune(EventRetention(last=0), "ada")
        await journal.commit(settle(4, events=[fact(4)]))
        await journal.commit(settle(5, events=[fact(5)]))
    with JournalFile.open(tmp_path / "tree.db") as reading:
        records = list(bundle_of(reading, DESK))
        assert str(other) not in str(records)
        read_bundle(list(sealed(records)), tmp_path / "desk.db")
    with JournalFile.open(tmp_path / "desk.db") as reading:
        assert reading.verify().sound
        cut = reading.cut()
        assert cut is not None
        assert set(pruned_of(cut).pasts) == {str(DESK)}
        assert [record.event for record in reading.records(1)] == [fact(4), fact(5)]
    made = forked(tmp_path / "desk.db", 2)
    async with on_disk(made.file) as journal:
        held = (await journal.recover(DESK)).state
        assert held is not None
        assert held.body == state(1).body


async def test_both_chains_hold_and_share_their_beginning(source: pathlib.Path) -> None:
    made = forked(source, 7)
    with JournalFile.open(source) as old, JournalFile.open(made.file) as new:
        assert old.verify().sound
        assert new.verify().sound
        assert [record.hash for record in new.records(limit=7)] == [record.hash for record in old.records(limit=7)]
        (lineage,) = new.lineage()
        assert lineage == TreeForked(tree=old.tree, seq=7, hash=made.hash, journal=lineage.journal)
        assert lineage.journal.startswith("f0@")
        assert (old.lineage(), old.tree, new.tree) == ([], made.parent, "f0")
    again = fork(made.file, source.with_name("again.db"), new_tree=lambda: "f1")
    with JournalFile.open(again.file) as newest:
        assert [each.seq for each in newest.lineage()] == [7, 8]


async def test_a_journal_in_use_can_be_forked(source: pathlib.Path) -> None:
    async with on_disk(source) as journal:
        await journal.commit(settle(11, events=[fact(11)]))
        made = forked(source)
        await journal.commit(settle(12, events=[fact(12)]))
    assert made.seq == 11
    with JournalFile.open(made.file) as reading:
        assert reading.states()[0] == state(11)


async def test_the_end_is_where_it_is_when_it_is_copied(source: pathlib.Path) -> None:
    async with on_disk(source) as journal:

        def meanwhile() -> str:
            trio.from_thread.run(journal.commit, settle(11, events=[fact(11)]))
            return "f0"

        target = source.with_name("fork.db")
        made = await trio.to_thread.run_sync(partial(fork, source, target, new_tree=meanwhile))
    assert (made.seq, made.messages, made.left) == (11, 2, 0)
    with JournalFile.open(made.file) as reading:
        assert reading.states()[0] == state(11)


async def test_an_event_that_is_pruned_meanwhile_is_no_place_for_a_fork(source: pathlib.Path) -> None:
    async with on_disk(source) as journal:

        def meanwhile() -> str:
            trio.from_thread.run(Pruning(journal, WallClock()).prune, EventRetention(last=3), "ada")
            return "f0"

        call = partial(fork, source, source.with_name("fork.db"), at=2, new_tree=meanwhile)
        with pytest.raises(JournalError, match=r"has no event 2 any more: those before it were pruned\. Give a later"):
            await trio.to_thread.run_sync(call)
    assert not list(source.parent.glob("fork*"))


@pytest.mark.parametrize("rows", [0, 1, 4, 5, 6, 10, 23])
def test_rows_are_copied_in_parts_between_which_a_signal_is_heeded(
    rows: int, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treewarden.supervisor.journal.forking._PART", 5)
    with closing(sqlite3.connect(tmp_path / "new.db", isolation_level=None)) as connection:
        connection.execute("ATTACH ? AS source", (str(tmp_path / "old.db"),))
        for name in ("main", "source"):
            connection.execute(f"CREATE TABLE {name}.t (number INTEGER PRIMARY KEY, even INTEGER)")
        there = [(3 * number - 20, number % 2) for number in range(rows)]
        connection.executemany("INSERT INTO source.t VALUES (?, ?)", there)
        copied = [0]
        connection.set_trace_callback(lambda _: copied.append(connection.total_changes - rows))
        copy_in_parts(connection, "t", "number", "even <= ?", (1,))
        connection.set_trace_callback(None)
        assert max(after - before for before, after in pairwise([*copied, rows])) <= 5
        assert connection.execute("SELECT * FROM main.t ORDER BY number").fetchall() == there
        connection.execute("DELETE FROM main.t")
        copy_in_parts(connection, "t", "number", "even = ?", (0,))
        assert connection.execute("SELECT * FROM main.t").fetchall() == [row for row in there if not row[1]]


def test_what_lies_behind_the_end_of_a_fork_is_not_looked_through(tmp_path: pathlib.Path) -> None:
    with closing(sqlite3.connect(tmp_path / "new.db", isolation_level=None)) as connection:
        connection.execute("ATTACH ? AS source", (str(tmp_path / "old.db"),))
        for name in ("main", "source"):
            connection.execute(f"CREATE TABLE {name}.t (number INTEGER PRIMARY KEY)")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO source.t VALUES (?)", [(number,) for number in range(12_000)])
        said: list[str] = []
        connection.set_trace_callback(said.append)
        copy_in_parts(connection, "t", "number", "number <= ?", (2,))
        connection.set_trace_callback(None)
        assert len([each for each in said if "INSERT" in each]) == 1
        assert connection.execute("SELECT count(*) FROM main.t").fetchone() == (3,)


async def test_what_cannot_be_forked(source: pathlib.Path) -> None:
    folder = source.parent
    for at in (0, 11, -1):
        with pytest.raises(JournalError, match=r"has no event -?\d+: its last one is 10\. Give one of 1 to 10$"):
            forked(source, at)
    with pytest.raises(JournalError, match="is there already: name a new file"):
        forked(source, name="tree.db")
    with pytest.raises(JournalError, match="there is no folder"):
        fork(source, folder / "no" / "fork.db", new_tree=lambda: "f0")
    with pytest.raises(JournalError, match="there is no journal"):
        fork(folder / "no.db", folder / "fork.db", new_tree=lambda: "f0")
    assert not [name for name in os.listdir(folder) if name.startswith("fork")]


async def test_a_journal_without_a_past_cannot_be_forked(tmp_path: pathlib.Path) -> None:
    """Its process died before the first event was on disk: `Give one of 1 to 0`."""
    async with on_disk(tmp_path / "new.db"):
        pass
    for at in (None, 0, 1):
        with pytest.raises(JournalError, match=r"has no event yet, .*; start its tree once$"):
            fork(tmp_path / "new.db", tmp_path / "fork.db", at=at, new_tree=lambda: "f0")
    assert not (tmp_path / "fork.db").exists()


async def test_what_is_kept_for_nobody_stays_behind(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """The fork has another id, and would take it for what another journal may still ask for."""
    async with on_disk(source) as journal:
        tree = journal.opened.tree
        ids = [f"{tree}-900>shop:Price:1:00.1", f"{tree}-9>shop!charge.1>begun", "other-1>shop:Price:1:00.1"]
        kinds = ["int", "begun", "int"]
        replies = tuple(ReplyRow(id, SHOP, kind, "5") for id, kind in zip(ids, kinds, strict=True))
        await journal.commit(Commit(replies=replies))
    fork(source, tmp_path / "fork.db", new_tree=lambda: "forked")
    async with on_disk(tmp_path / "fork.db") as journal:
        assert {row.id for row in (await journal.recover(SHOP)).replies} == {*ids[1:], "t-50>ask.0"}
