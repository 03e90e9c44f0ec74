"""Events that were given up, and the chain of those that are left: with heads and without, before and after."""

from __future__ import annotations

import json
import pathlib
import shutil
import sqlite3
from contextlib import closing
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve

from treewarden.agents.agent import Agent
from treewarden.agents.errors import JournalDamaged, JournalError
from treewarden.supervisor.core.anchor import Sign, hmac_sign
from treewarden.supervisor.core.bundle import sealed
from treewarden.supervisor.core.chain import Head, Verdict
from treewarden.supervisor.core.event import EventsPruned
from treewarden.supervisor.core.retention import EventRetention
from treewarden.supervisor.core.spec import Strategy
from treewarden.supervisor.journal.anchoring import Anchoring, anchored, load_anchors
from treewarden.supervisor.journal.exporting import bundle_of, read_bundle
from treewarden.supervisor.journal.forking import fork
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.pruning import Pruning
from treewarden.supervisor.testing import inline_run_sync
from treewarden.topologies.child import child
from treewarden.topologies.commands.files import status_of
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

from ..journals import WallClock, fact, on_disk, settle

KEY = hmac_sign(b"k" * 32)


class Desk(Agent[int]):
    state = 0


LAST = EventRetention(last=3)


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "tree.db"


async def write(file: pathlib.Path, first: int, last: int, *, prune: bool = False, sign: Sign | None = None) -> None:
    async with on_disk(file) as journal:
        for number in range(first, last + 1):
            await journal.commit(settle(number, events=[fact(number)]))
        if prune:
            await Pruning(journal, WallClock(), sign).prune(LAST, "ada")


def verified(file: pathlib.Path, *heads: Head) -> Verdict:
    with JournalFile.open(file) as journal:
        return journal.verify(anchors=heads)


def head_of(file: pathlib.Path) -> Head:
    with JournalFile.open(file) as journal:
        return journal.head


def change(file: pathlib.Path, statement: str) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute(statement)


async def test_what_is_left_is_proven_by_itself_and_by_heads_of_before_and_after(file: pathlib.Path) -> None:
    heads: list[Head] = []
    for end in (5, 10, 15):
        await write(file, end - 4, end)
        heads.append(head_of(file))
    await write(file, 16, 20, prune=True)
    heads.append(head_of(file))
    verdict = verified(file, *heads)
    assert (verdict.sound, verdict.rows, verdict.head.seq) == (True, 4, 21)
    await write(file, 21, 30)
    assert verified(file, *heads).sound
    await write(file, 31, 31, prune=True)
    await write(file, 32, 33, prune=True)
    assert verified(file, *heads, head_of(file)).sound


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        ("UPDATE events SET at = at + 1 WHERE seq = 8", "8: changed"),
        ("UPDATE events SET body = replace(body, 'ada', 'eve') WHERE seq = 11", "11: changed"),
        ("DELETE FROM events WHERE seq = 8", "8: missing"),
        ("DELETE FROM events WHERE seq < 10", "8: missing"),
        ("DELETE FROM events WHERE seq = 12", "12: cut"),
        ("DELETE FROM events WHERE seq >= 11", "1: missing"),
        ("UPDATE events SET kind = 'Recorded' WHERE seq = 11", "missing"),
        ("UPDATE events SET prev = zeroblob(32) WHERE seq = 8", "8: changed"),
    ],
)
async def test_damage_to_what_is_left_is_found(file: pathlib.Path, damage: str, fault: str) -> None:
    await write(file, 1, 10, prune=True)
    await write(file, 11, 11)
    assert verified(file).sound
    change(file, damage)
    assert any(fault in str(found) for found in verified(file).faults), verified(file).faults


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("CAST(x'7bff7d' AS TEXT)", "unreadable"),
        ("'{}'", "changed"),
        ("replace(body, '\"through\":7', '\"through\":99999999999999999999')", "changed"),
        ("replace(body, '\"through\":7', '\"through\":3')", "changed"),
    ],
)
async def test_a_damaged_record_of_a_cut_proves_nothing_and_hides_nothing(
    file: pathlib.Path, said: str, kind: str
) -> None:
    await write(file, 1, 10, prune=True)
    await write(file, 11, 20)
    change(file, f"UPDATE events SET body = {said} WHERE seq = 11")
    change(file, "DELETE FROM events WHERE seq = 15")
    found = [(fault.seq, fault.kind) for fault in verified(file).faults]
    assert found == [(1, "missing"), (11, kind), (15, "missing")]


async def test_a_past_that_somebody_cut_off_is_found_by_a_head_of_before(file: pathlib.Path) -> None:
    """Anybody who can write the file can append the record of a cut; not one that leads from the true events."""
    await write(file, 1, 10)
    head = head_of(file)
    await write(file, 11, 13, prune=True)
    change(file, "DELETE FROM events")
    await write_anew(file)
    assert str(verified(file, head).faults[0]).startswith("10: rebuilt")


async def write_anew(file: pathlib.Path) -> None:
    other = file.with_name("other.db")
    await write(other, 2, 14, prune=True)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("ATTACH ? AS other", (str(other),))
        connection.execute("INSERT INTO events SELECT * FROM other.events")
        connection.execute("UPDATE meta SET seq = o.seq, hash = o.hash FROM other.meta AS o")


async def test_a_cut_that_was_interrupted_is_sound_and_goes_on(
    file: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(file, 1, 10)
    async with on_disk(file) as journal:

        async def interrupted() -> None:
            raise OSError("interrupted")

        monkeypatch.setattr(journal, "trim", interrupted)
        with pytest.raises(OSError, match="interrupted"):
            await Pruning(journal, WallClock()).prune(LAST, "ada")
    assert (verified(file).sound, verified(file).rows) == (True, 11)
    change(file, "DELETE FROM events WHERE seq <= 4")
    assert (verified(file).sound, verified(file).rows) == (True, 7)
    async with on_disk(file) as journal:
        assert (await Pruning(journal, WallClock()).prune(EventRetention(last=30), "ada")).count == 0
    assert (verified(file).sound, verified(file).rows) == (True, 4)
    change(file, "DELETE FROM events WHERE seq <= 9")
    assert not verified(file).sound


async def test_where_the_disk_has_no_room_to_delete_them_they_are_pruned_all_the_same(file: pathlib.Path) -> None:
    await write(file, 1, 10)

    class Full(sqlite3.Connection):
        def execute(self, sql: str, /, *parameters: Any) -> sqlite3.Cursor:
            if sql.startswith("DELETE FROM events"):
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise error
            return super().execute(sql, *parameters)

    async with on_disk(file, connect=partial(sqlite3.connect, factory=Full)) as journal:
        pruning = Pruning(journal, WallClock())
        with pytest.raises(JournalError) as refused:
            await pruning.prune(LAST, "ada")
        assert str(refused.value) == (
            f"events 1 to 7 are pruned, and not all of them are deleted yet: {file} cannot be written: database or "
            "disk is full; the next prune goes on"
        )
        with pytest.raises(JournalError, match=r"^\S+ cannot be written: database or disk is full$"):
            await pruning.prune(EventRetention(last=30), "ada")
    assert (verified(file).sound, verified(file).rows) == (True, 11)
    async with on_disk(file) as journal:
        assert (await Pruning(journal, WallClock()).prune(EventRetention(last=30), "ada")).count == 0
    assert (verified(file).sound, verified(file).rows) == (True, 4)


async def test_commits_go_on_while_events_are_deleted(file: pathlib.Path) -> None:
    await write(file, 1, 1500)
    async with on_disk(file) as journal, trio.open_nursery() as nursery:
        heads: list[int] = []

        async def commit() -> None:
            heads.extend([await journal.commit(settle(number, events=[fact(number)])) for number in range(1501, 1511)])

        nursery.start_soon(Pruning(journal, WallClock()).prune, LAST, "ada")
        nursery.start_soon(commit)
    assert verified(file).sound
    assert len(heads) == 10


async def test_a_fork_behind_the_cut_is_sound_and_one_before_it_is_refused(file: pathlib.Path) -> None:
    await write(file, 1, 10, prune=True)
    await write(file, 11, 12)
    for at, behind in ((8, ["TreeForked", "EventsPruned"]), (11, ["TreeForked"]), (13, ["TreeForked"])):
        new = file.with_name(f"fork{at}.db")
        fork(file, new, at=at, new_tree=lambda: "5702ed")
        assert verified(new).sound, at
        with JournalFile.open(new) as journal:
            assert [type(record.event).__name__ for record in journal.records(at)] == behind
    with pytest.raises(JournalError, match=r"no event 7 any more: those up to 7 were pruned\. Give one of 8 to 13"):
        fork(file, file.with_name("no.db"), at=7, new_tree=lambda: "5702ed")
    async with on_disk(file.with_name("fork8.db")) as journal:
        await Pruning(journal, WallClock()).prune(EventRetention(last=0), "ada")
    with JournalFile.open(file.with_name("fork8.db")) as journal:
        assert [each.seq for each in journal.lineage()] == [8]
        assert journal.verify().sound


async def test_a_bundle_says_what_was_pruned(file: pathlib.Path) -> None:
    await write(file, 1, 10, prune=True)
    for secrets, name in (((), "same.db"), (("number",), "anew.db")):
        with JournalFile.open(file) as journal:
            lines = list(sealed(bundle_of(journal, secrets=secrets)))
        new = file.with_name(name)
        read_bundle(lines, new)
        assert verified(new).sound
        with JournalFile.open(new) as journal:
            cut = journal.cut()
            assert cut is not None
            assert (cut.through, cut.count) == ((7, 7) if name == "same.db" else (0, 7))
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("DELETE FROM events WHERE seq = 8")
    with JournalFile.open(file) as journal:
        lines = list(sealed(bundle_of(journal)))
    with pytest.raises(JournalDamaged, match="8: missing"):
        read_bundle(lines, file.with_name("no.db"))


@pytest.mark.parametrize("sign", [KEY, None])
async def test_a_tree_with_heads_opens_what_was_pruned(
    file: pathlib.Path, autojump_clock: trio.testing.MockClock, sign: Sign | None
) -> None:
    heads = Anchoring(file=file.with_name("heads"), sign=sign)
    for turn in range(4):
        async with (
            on_disk(file) as journal,
            anchored(journal, heads, WallClock(), run_sync=inline_run_sync) as covered,
        ):
            first = 10 * turn + 1
            for number in range(first, first + 10):
                await journal.commit(settle(number, events=[fact(number)]))
            before = journal.head
            plan = await Pruning(journal, WallClock(), sign, covered).prune(LAST, "ada")
            assert plan.through <= covered() <= before
    anchors = [anchor.head for anchor in load_anchors(heads.file, sign).anchors]
    assert verified(file, *anchors).sound


async def test_a_cut_behind_all_heads_has_to_be_signed(file: pathlib.Path) -> None:
    kept = file.with_name("heads")
    heads = Anchoring(file=kept, sign=KEY)
    async with on_disk(file) as journal, anchored(journal, heads, WallClock(), run_sync=inline_run_sync):
        await journal.commit(settle(1, events=[fact(1)]))
    for sign, opens in ((KEY, True), (hmac_sign(b"another key of 32"), False), (None, False)):
        copy = file.with_name(f"{opens}.db")
        shutil.copyfile(file, copy)
        await write(copy, 2, 12, prune=True, sign=sign)
        async with on_disk(copy) as journal:
            if opens:
                async with anchored(journal, evolve(heads), WallClock(), run_sync=inline_run_sync):
                    pass
            else:
                with pytest.raises(JournalDamaged, match="does not lead to event 1"):
                    async with anchored(journal, evolve(heads), WallClock(), run_sync=inline_run_sync):
                        pass
        kept.write_text(kept.read_text().splitlines(keepends=True)[0])


async def opened(file: pathlib.Path, sign: Sign | None) -> None:
    """As a tree that keeps heads begins."""
    anchoring = Anchoring(file=file.with_name("heads"), sign=sign)
    async with on_disk(file) as journal, anchored(journal, anchoring, WallClock(), run_sync=inline_run_sync):
        pass


async def test_a_signed_cut_speaks_of_nothing_behind_it(file: pathlib.Path) -> None:
    """Who cuts off the end of a journal that was pruned is found by the head that covered it."""
    await write(file, 1, 8, prune=True, sign=KEY)
    await write(file, 9, 12)
    await opened(file, KEY)
    await opened(file, KEY)
    change(file, "DELETE FROM events WHERE seq > 11")
    change(file, "UPDATE meta SET seq = 11, hash = (SELECT hash FROM events WHERE seq = 11)")
    with pytest.raises(JournalDamaged, match="does not lead to event 13"):
        await opened(file, KEY)


@pytest.mark.parametrize("sign", [None, KEY], ids=["unsigned", "signed"])
async def test_a_cut_that_ends_where_a_head_was_kept_names_the_event_of_that_head(
    file: pathlib.Path, sign: Sign | None
) -> None:
    await write(file, 1, 5)
    await opened(file, sign)
    copy = file.with_name("copy.db")
    shutil.copyfile(file, copy)
    await write(copy, 6, 8, prune=True)
    change(file, "DELETE FROM events")
    change(file, f"UPDATE meta SET seq = 0, hash = x'{bytes(32).hex()}'")
    await write(file, 11, 18, prune=True)  # somebody has written all of it anew, and cut it at the same place
    with pytest.raises(JournalDamaged, match="does not lead to event 5"):
        await opened(file, sign)
    await opened(copy, sign)


async def test_the_tree_looks_as_before(file: pathlib.Path) -> None:
    async with open_tree(tree(Desk, tree(child(Desk, id="inner"), id="below")), journal=on_disk(file)):
        pass
    with JournalFile.open(file) as journal:
        status = status_of(journal)
    async with on_disk(file) as journal:
        await Pruning(journal, WallClock()).prune(EventRetention(last=0), "ada")
        assert isinstance((await journal.read())[0].event, EventsPruned)
    with JournalFile.open(file) as journal:
        assert evolve(status_of(journal), seq=0, at=0.0) == evolve(status, seq=0, at=0.0)


async def test_what_a_cut_holds_does_not_grow_with_those_who_came_and_went(
    file: pathlib.Path, autojump_clock: trio.testing.MockClock
) -> None:
    sizes: list[int] = []
    jobs = tree(child(Desk, id="job"), strategy=Strategy.DYNAMIC)
    async with open_tree(jobs, journal=file) as running:
        for begin in (0, 40):
            await running.supervisor().start_dynamic(id=f"stays-{begin:02}")
            for number in range(begin, begin + 40):
                await running.supervisor().start_dynamic(id=f"job-{number}")
                await running.supervisor().terminate_dynamic(f"job-{number}")
            await running.prune(last=1)
            sizes.append(len(json.dumps(cut_of(file).summary)))
    assert sizes[1] < sizes[0] + 200
    left = {slot["path"] for slot in cut_of(file).summary["status"]["slots"]}
    assert left - {"job-79"} == {"/", "stays-00", "stays-40"}, "the end of the last one stands behind the cut"


def cut_of(file: pathlib.Path) -> EventsPruned:
    with JournalFile.open(file) as journal:
        cut = journal.cut()
    assert cut is not None
    return cut
