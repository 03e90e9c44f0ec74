"""Many slots of one file that are recovered one after the other: read together, as each would be by itself."""

from __future__ import annotations

import itertools
import pathlib
import random
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Any, cast

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from treewarden.agents.core.path import Path
from treewarden.agents.errors import JournalDamaged, JournalError
from treewarden.supervisor.journal import ahead_rows, rows
from treewarden.supervisor.journal.ahead_rows import recovered_together
from treewarden.supervisor.journal.port import Commit, Recovered, ReplyRow, RestoreRow, ReturnedRow, StateRow
from treewarden.supervisor.journal.sqlite import SqliteJournal
from treewarden.supervisor.testing import inline_run_sync

from ...journals import Told, checkpoint, dead, message, on_disk, settle, timer

SLOTS = tuple(Path(f"pool/{number}") for number in range(300))


class Counted:
    """Calls to the writer's thread, inline, and who waits for nothing."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, call: Callable[..., Any], *args: Any) -> Any:
        self.calls += 1
        return await inline_run_sync(call, *args)


async def filled(file: pathlib.Path, body: Callable[[int], str] = lambda number: f'{{"total":{number}}}') -> None:
    states = tuple(StateRow(path, "desk:Tally", body(number), 1, number) for number, path in enumerate(SLOTS))
    messages = tuple(message(number + 1, path) for number, path in enumerate(SLOTS))
    async with on_disk(file) as journal:
        await journal.commit(Commit(states=states, accepted=messages))


async def test_three_hundred_slots_are_three_reads(tmp_path: pathlib.Path) -> None:
    await filled(tmp_path / "tree.db")
    counted = Counted()
    async with on_disk(tmp_path / "tree.db", run_sync=counted) as journal:
        before = counted.calls
        with journal.expecting(SLOTS):
            for number, path in enumerate(SLOTS):
                held = await journal.recover(path)
                assert held.state is not None
                assert held.state.settled == number
                assert [row.row for row in held.messages] == [number + 1]
        assert counted.calls - before == 3
        await journal.recover(SLOTS[0])
        await journal.recover(SLOTS[1])
        assert counted.calls - before == 5, "one by one, where nobody expects them"


async def test_who_has_much_is_read_alone_and_all_of_it_has_room(tmp_path: pathlib.Path) -> None:
    """64 kB of text to a slot is the most that is read with others, a million characters to a read."""
    sizes = {1: 70_000, 2: 60_000, 3: 66_000}
    await filled(tmp_path / "tree.db", lambda number: f'"{"x" * sizes.get(number % 4, 10)}"')
    async with on_disk(tmp_path / "tree.db") as journal:
        alone = {path: await journal.recover(path) for path in SLOTS[:60]}
        with journal.expecting(SLOTS[:60]):
            assert {path: await journal.recover(path) for path in SLOTS[:60]} == alone
    with closing(sqlite3.connect(tmp_path / "tree.db")) as connection:
        found = recovered_together(connection, SLOTS[:60])
        assert found.alone == [path for path in SLOTS[:60] if int(path.name) % 4 in (1, 3)]
        assert found.held == {path: alone[path] for path in SLOTS[:60] if path not in found.alone}
        some = recovered_together(connection, SLOTS[:200])
        assert sum(int(path.name) % 4 == 2 for path in some.held) == 16
        assert max(int(path.name) for path in some.held) < 70


async def test_a_row_that_is_not_what_was_written_keeps_back_its_own_slot(tmp_path: pathlib.Path) -> None:
    await filled(tmp_path / "tree.db")
    with closing(sqlite3.connect(tmp_path / "tree.db")) as connection, connection:
        connection.execute("UPDATE states SET body = '{\"total\":77}' WHERE path = 'pool/7'")
        connection.execute("UPDATE mailbox SET deliveries = 5 WHERE path = 'pool/8'")
        connection.execute("UPDATE mailbox SET body = CAST(x'ff' AS TEXT) WHERE path = 'pool/9'")
        connection.execute("UPDATE states SET body = '@9 x', checksum = NULL WHERE path = 'pool/10'")
    counted = Counted()
    async with on_disk(tmp_path / "tree.db", run_sync=counted) as journal:
        before, damaged = counted.calls, list[str]()
        with journal.expecting(SLOTS):
            for path in SLOTS:
                try:
                    assert len((await journal.recover(path)).messages) == 1
                except JournalDamaged:
                    damaged.append(path.name)
        assert damaged == ["7", "8", "9", "10"]
        assert counted.calls - before == 3 + 4


async def test_what_sqlite_cannot_read_is_said_of_each_slot_by_itself(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(tmp_path / "tree.db")
    counted = Counted()
    async with on_disk(tmp_path / "tree.db", run_sync=counted) as journal:
        before = counted.calls
        with journal.expecting(SLOTS[:5]):
            monkeypatch.setattr(ahead_rows, "_WITH_BODIES", ("nothing_of_this_name",))
            for number, path in enumerate(SLOTS[:5]):
                held = await journal.recover(path)
                assert held.state is not None
                assert held.state.settled == number
        assert counted.calls - before == 5


async def test_nothing_is_left_when_nobody_is_expected_any_more(tmp_path: pathlib.Path) -> None:
    await filled(tmp_path / "tree.db")
    async with on_disk(tmp_path / "tree.db") as journal:
        with journal.expecting(SLOTS):
            await journal.recover(SLOTS[0])
        assert [path for path in SLOTS if journal.at_hand(path) is not None] == []
        async with trio.open_nursery() as nursery:
            with journal.expecting(SLOTS):
                nursery.start_soon(journal.recover, SLOTS[0])
                await trio.lowlevel.checkpoint()
        assert [path for path in SLOTS if journal.at_hand(path) is not None] == []
        with journal.expecting(SLOTS[200:]):
            async with trio.open_nursery() as nursery:
                with journal.expecting(SLOTS[:200]):
                    nursery.start_soon(journal.recover, SLOTS[0])
                    await trio.lowlevel.checkpoint()
            assert [path for path in SLOTS if journal.at_hand(path) is not None] == []
        with journal.expecting(SLOTS):
            await journal.recover(SLOTS[0])
            found = [journal.at_hand(SLOTS[1]), journal.at_hand(SLOTS[1])]
            assert found == [await journal.recover(SLOTS[1]), None]


async def test_a_closed_journal_has_nothing_at_hand(tmp_path: pathlib.Path) -> None:
    await filled(tmp_path / "tree.db")
    journal = on_disk(tmp_path / "tree.db")
    with ExitStack() as stack:
        async with journal:
            stack.enter_context(journal.expecting(SLOTS))
            await journal.recover(SLOTS[0])
        assert journal.at_hand(SLOTS[1]) is None
        with pytest.raises(JournalError, match="closed"):
            await journal.recover(SLOTS[1])


# Nobody said who is next


async def held_at_hand(journal: SqliteJournal) -> list[str]:
    return [path.name for path in SLOTS if journal.at_hand(path) is not None]


@pytest.mark.parametrize("order", ["as written", "backwards", "at random"])
async def test_slots_that_are_recovered_one_by_one_are_read_with_those_next_to_them(
    order: str, tmp_path: pathlib.Path
) -> None:
    await filled(tmp_path / "tree.db")
    slots = list(SLOTS)
    if order != "as written":
        slots = slots[::-1] if order == "backwards" else random.Random(5).sample(slots, len(slots))
    counted = Counted()
    async with on_disk(tmp_path / "tree.db", run_sync=counted) as journal:
        before = counted.calls
        for path in slots:
            held = await journal.recover(path)
            assert held.state is not None
            assert held.state.settled == int(path.name)
            assert [row.row for row in held.messages] == [int(path.name) + 1]
        assert counted.calls - before < 40
        calls = counted.calls
        await journal.recover(SLOTS[0])
        await journal.recover(SLOTS[1])
        assert counted.calls - calls == 2, "each was read, so nobody is next"
        assert await held_at_hand(journal) == []


async def test_few_are_read_ahead_for_few_and_none_that_began_in_this_process(tmp_path: pathlib.Path) -> None:
    await filled(tmp_path / "tree.db")
    new = Path("pool/1000")  # stands between `pool/100` and `pool/101`
    async with on_disk(tmp_path / "tree.db") as journal:
        await journal.commit(Commit(states=(StateRow(new, "desk:Tally", "{}", 1, 1),)))
        await journal.recover(SLOTS[9])
        assert await held_at_hand(journal) == []
        next_to = {"1": ["10"], "100": ["101", "102"], "103": ["11", *map(str, range(104, 110))]}
        for name, found in next_to.items():
            await journal.recover(Path(f"pool/{name}"))
            assert journal.at_hand(new) is None
            assert await held_at_hand(journal) == found


async def test_what_nobody_takes_is_given_up_and_read_again(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(tmp_path / "tree.db")
    monkeypatch.setattr("treewarden.supervisor.journal.ahead._PATIENCE", 3)
    other = Path("other")
    counted = Counted()
    async with on_disk(tmp_path / "tree.db", run_sync=counted) as journal:
        for number in (200, 210, 220, 230):
            await journal.recover(SLOTS[number])
        settled = itertools.count(1)
        for number in (231, 232):
            calls = counted.calls
            for _ in range(3):
                await journal.commit(settle(next(settled), other))
            await journal.recover(SLOTS[number])
            assert counted.calls == calls + 3, "not so soon"
        for _ in range(4):
            await journal.commit(settle(next(settled), other))
        assert await held_at_hand(journal) == []
        calls = counted.calls
        for number, reads in ((233, 1), (234, 1), (235, 2)):
            await journal.recover(SLOTS[number])
            assert counted.calls == calls + reads, "it begins anew, with one"


async def test_what_is_committed_while_others_are_read_is_in_what_they_find(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "tree.db"
    await filled(file)
    async with on_disk(file) as journal:
        await journal.recover(SLOTS[0])
        for turns in range(10):
            path, behind, last = SLOTS[200 + 9 * turns : 203 + 9 * turns]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(journal.recover, path)
                for _ in range(turns):
                    await trio.lowlevel.checkpoint()
                nursery.start_soon(journal.recover, last)
                journal.submit(settle(1000 + turns, behind), Told().of("meanwhile"))
            assert journal.at_hand(last) is None, "it was recovered"
            found = await journal.recover(behind)
            assert found == as_stored(file, behind)
            assert found.state is not None
            assert found.state.settled == 1000 + turns


async def test_what_is_kept_for_nobody_has_a_limit(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await filled(tmp_path / "tree.db", lambda _: f'"{"x" * 100}"')
    monkeypatch.setattr("treewarden.supervisor.journal.ahead._ROOM", 20_000)
    async with on_disk(tmp_path / "tree.db") as journal:
        for path in (SLOTS[0], *SLOTS[100:200:20]):
            await journal.recover(path)
        found = await held_at_hand(journal)
        assert 0 < len(found) < 40, "of about 500 characters each"
        assert "101" not in found, "the oldest go first"
        for path in SLOTS:
            held = await journal.recover(path)
            assert held.state is not None
            assert held.state.settled == int(path.name)


# Whatever happens in between

CHANGES: dict[str, Callable[[Path, int, int], Commit]] = {
    "settle": lambda path, n, _: settle(n, path),
    "settle a message": lambda path, n, m: settle(n, path, acked=[m]),
    "accept": lambda path, n, m: Commit(accepted=(message(100 + n, path, priority=m),)),
    "give up": lambda path, n, _: Commit(dead=(dead(n, path),)),
    "give back": lambda _, n, m: Commit(returned=(ReturnedRow(n, m, m, 2.5),)),
    "timer": lambda path, n, m: Commit(timers=(timer(f"t{m % 3}", n, path),)),
    "reply": lambda path, n, m: Commit(replies=(ReplyRow(f"m{m % 4}>x>{n}", path, "k", "1"),)),
    "forget replies": lambda _, n, __: Commit(forget_replies=(f"m{n % 4}>",)),
    "keep": lambda path, n, _: Commit(checkpoints=(checkpoint(n, path=path),)),
    "restore": lambda path, n, m: Commit(restores=(RestoreRow(path, 2 * n + 2, m),)),
    "forget": lambda path, _, __: Commit(forget=(path,)),
}


def changed(what: str, path: Path, n: int, m: int) -> Commit:
    return CHANGES[what](path, n, m)


paths = st.sampled_from(SLOTS[:6])
numbers = st.integers(1, 30)
commits = st.builds(changed, st.sampled_from(list(CHANGES)), paths, numbers, numbers)
steps = st.lists(st.tuples(commits, st.integers(0, 3)) | paths, max_size=40)


@settings(max_examples=60, deadline=None)
@given(
    before=st.lists(commits, max_size=30),
    blocks=st.lists(st.tuples(st.permutations(SLOTS[:6]) | st.just(()), steps), min_size=1, max_size=2),
    together=st.integers(2, 6),
)
def test_each_read_finds_what_was_committed_before_it(
    before: list[Commit], blocks: list[Any], together: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """However the commits fall round the reads, and whoever is read with whom."""
    trio.run(course, tmp_path_factory.mktemp("ahead") / "tree.db", before, blocks, together)


async def course(file: pathlib.Path, before: list[Commit], blocks: list[Any], together: int) -> None:
    told = Told()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("treewarden.supervisor.journal.ahead._TOGETHER", together)
        async with on_disk(file) as journal:
            for commit in (Commit(accepted=tuple(message(n, SLOTS[n % 6]) for n in range(1, 20))), *before):
                journal.submit(commit, told.of("before"))
        async with on_disk(file) as journal, trio.open_nursery() as nursery:
            for expected, steps in blocks:
                with journal.expecting(expected):
                    for step in steps:
                        if isinstance(step, Path):
                            assert await journal.recover(step) == as_stored(file, step)
                        else:
                            commit, turns = cast("tuple[Commit, int]", step)
                            if turns:  # somebody reads meanwhile
                                nursery.start_soon(journal.recover, SLOTS[turns])
                            for _ in range(turns):
                                await trio.lowlevel.checkpoint()
                            journal.submit(commit, told.of("meanwhile"))
            for path in SLOTS[:6]:
                assert await journal.recover(path) == as_stored(file, path)


def as_stored(file: pathlib.Path, path: Path) -> Recovered:
    """What another connection finds: all that was committed so far."""
    with closing(sqlite3.connect(file)) as connection:
        return rows.recovered(connection, path)
