"""The writer: what shares a transaction, what a read sees, and what is asked of the disk."""

from __future__ import annotations

import math
import pathlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any, TypeVar

import pytest
import trio
import trio.testing

from treewarden.agents.core.path import Path
from treewarden.agents.errors import CommitFailed, ConfigurationError, JournalError
from treewarden.supervisor.core.event import Recorded
from treewarden.supervisor.journal.port import Commit
from treewarden.supervisor.journal.reading import JournalFile

from ...journals import DESK, WALL, Told, fact, message, on_disk, settle, state

T = TypeVar("T")


class Gate:
    """In the place of a worker thread: counts the calls, and holds them while it is shut."""

    def __init__(self) -> None:
        self.calls = 0
        self.open = trio.Event()
        self.open.set()

    def shut(self) -> None:
        self.open = trio.Event()

    async def run_sync(self, call: Callable[..., T], /, *args: Any, **_options: Any) -> T:
        self.calls += 1
        await self.open.wait()
        await trio.lowlevel.checkpoint()
        return call(*args)


class Traced:
    """Connects as sqlite3 does, and keeps what was executed."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.connection: sqlite3.Connection | None = None

    def connect(self, *args: Any, **options: Any) -> sqlite3.Connection:
        self.connection = sqlite3.connect(*args, **options)
        self.connection.set_trace_callback(self.statements.append)
        return self.connection

    def count(self, begin: str) -> int:
        return sum(statement.startswith(begin) for statement in self.statements)


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "tree.db"


async def test_extra_comes_before_the_write_ahead_log(file: pathlib.Path) -> None:
    """The other order can lose every acknowledged row in a power cut."""
    traced = Traced()
    async with on_disk(file, connect=traced.connect):
        assert traced.connection is not None
        assert traced.connection.execute("PRAGMA synchronous").fetchone() == (3,)
        assert traced.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    pragmas = [statement for statement in traced.statements if "synchronous =" in statement or "WAL" in statement]
    assert pragmas == ["PRAGMA synchronous = EXTRA", "PRAGMA journal_mode = WAL"]


async def test_the_log_is_copied_into_the_file_after_four_thousand_pages(file: pathlib.Path) -> None:
    """Each copy holds up whoever commits; SQLite's own thousand would have come after the first five of these."""

    async def commit(times: int) -> None:
        for _ in range(times):
            facts = [Recorded(path=DESK, kind="long", facts={"text": "x" * 40_000}) for _ in range(20)]
            await journal.commit(Commit(events=tuple((WALL, each) for each in facts)))

    def size() -> int:
        return file.stat().st_size

    async with on_disk(file) as journal:
        before = size()
        await commit(18)
        assert size() == before
        await commit(6)
        assert size() > before + 18 * 20 * 40_000


async def test_what_gathers_during_a_sync_is_the_next_transaction(file: pathlib.Path) -> None:
    gate, traced, told = Gate(), Traced(), Told()
    async with on_disk(file, run_sync=gate.run_sync, connect=traced.connect) as journal:
        gate.shut()
        journal.submit(settle(1, events=[fact(1)]), told.of("1"))
        await trio.testing.wait_all_tasks_blocked()
        before = gate.calls, traced.count("COMMIT")
        for number in range(2, 101):
            journal.submit(settle(number, events=[fact(number)]), told.of(str(number)))
        await trio.testing.wait_all_tasks_blocked()
        assert told.news == []
        gate.open.set()
        await trio.testing.wait_all_tasks_blocked()
        assert told.kept == [str(number) for number in range(1, 101)]
        assert (gate.calls, traced.count("COMMIT")) == (before[0] + 1, before[1] + 2)
        assert traced.count("INSERT INTO states") == 2
        assert (await journal.recover(DESK)).state == state(100)
        assert journal.head == 100


async def test_a_transaction_is_bounded(file: pathlib.Path) -> None:
    traced, told = Traced(), Told()
    async with on_disk(file, connect=traced.connect) as journal:
        before = traced.count("COMMIT")
        for number in range(1, 302):
            journal.submit(Commit(), told.of(str(number)))
        await trio.testing.wait_all_tasks_blocked()
        assert len(told.kept) == 301
        assert traced.count("COMMIT") == before + 3


async def test_a_read_sees_what_was_submitted_before_it_and_nothing_behind(file: pathlib.Path) -> None:
    gate, told = Gate(), Told()
    found: list[Any] = []
    async with on_disk(file, run_sync=gate.run_sync) as journal, trio.open_nursery() as nursery:

        async def recover() -> None:
            found.append(await journal.recover(DESK))

        gate.shut()
        journal.submit(Commit(), told.of("in hand"))
        await trio.testing.wait_all_tasks_blocked()
        journal.submit(settle(1), told.of("before"))
        nursery.start_soon(recover)
        await trio.testing.wait_all_tasks_blocked()
        journal.submit(Commit(accepted=(message(1),)), told.of("behind"))
        gate.open.set()
        await trio.testing.wait_all_tasks_blocked()
        (held,) = found
        assert (held.state, held.messages) == (state(1), ())
        assert (await journal.recover(DESK)).messages == (message(1),)


async def test_following_costs_the_writer_nothing(file: pathlib.Path) -> None:
    gate = Gate()
    async with on_disk(file, run_sync=gate.run_sync) as journal:
        for batch in range(20):
            await journal.commit(Commit(events=tuple((WALL, fact(100 * batch + n)) for n in range(100))))
        calls = gate.calls
        recent = await journal.read(1700)
        assert gate.calls == calls
        assert [record.seq for record in recent] == list(range(1701, 2001))
        old = await journal.read(0, 2000)
        assert gate.calls == calls + 1
        assert old[1700:] == recent
        assert [record.seq for record in old] == list(range(1, 2001))


async def test_live_records_are_those_of_the_file(file: pathlib.Path) -> None:
    """Also where a fact is of a type that JSON does not have: a fold sees the same before and after a restart."""
    async with on_disk(file) as journal:
        event = Recorded(path=DESK, kind="checked", facts={"pair": (1, 2), "at": pathlib.Path("/tmp")})
        await journal.commit(Commit(events=((WALL, event), (WALL, fact(1)))))
        live = await journal.read()
        assert await journal.read() == live
        with JournalFile.open(file) as reading:
            assert reading.records() == live
    async with on_disk(file) as journal:
        assert await journal.read() == live


async def test_an_event_that_cannot_be_stored_fails_its_own_commit(file: pathlib.Path) -> None:
    told = Told()
    async with on_disk(file) as journal:
        journal.submit(settle(1, Path("a"), events=[fact(1)]), told.of("a"))
        bad = Recorded(path=DESK, kind="checked", facts={"x": math.nan})
        journal.submit(settle(1, events=[bad]), told.of("nan"))
        journal.submit(settle(1, Path("b"), events=[fact(2)]), told.of("b"))
        await trio.testing.wait_all_tasks_blocked()
        assert (told.kept, told.failed) == (["a", "b"], ["nan"])
        (error,) = (error for _, error in told.news if error)
        assert isinstance(error, CommitFailed)
        assert "not JSON compliant" in str(error)
        assert journal.head == 2


@pytest.mark.parametrize("together", [True, False], ids=["in its batch", "while it is written"])
async def test_what_rests_on_a_commit_that_failed_falls_with_it(file: pathlib.Path, together: bool) -> None:
    """And what rests on that; what others have settled is kept."""
    gate, told, other = Gate(), Told(), Path("other")
    bad = Recorded(path=DESK, kind="checked", facts={"x": math.nan})
    async with on_disk(file, run_sync=gate.run_sync) as journal:
        gate.shut()
        if together:
            journal.submit(Commit(), told.of("in hand"))
            await trio.testing.wait_all_tasks_blocked()
        journal.submit(settle(1, events=[bad]), told.of("bad"))
        await trio.testing.wait_all_tasks_blocked()
        journal.submit(Commit(states=(state(2), state(1, other))), told.of("of both"))
        journal.submit(settle(1, Path("third")), told.of("a third one's"))
        journal.submit(settle(2, other), told.of("the other one's"))
        journal.submit(settle(2, Path("third")), told.of("a third one's again"))
        gate.open.set()
        await trio.testing.wait_all_tasks_blocked()
        assert told.failed == ["bad", "of both", "the other one's"]
        assert told.kept[-2:] == ["a third one's", "a third one's again"]
        why = [str(error) for _, error in told.news if error is not None]
        assert ["rests on a commit that failed" in each for each in why] == [False, True, True]
        assert [(await journal.recover(path)).state for path in (DESK, other)] == [None, None]
        await journal.commit(settle(1))  # which has gone back, and goes on from what is kept


async def test_one_bad_commit_among_many_costs_few_transactions(file: pathlib.Path) -> None:
    traced, told = Traced(), Told()
    async with on_disk(file, connect=traced.connect) as journal:
        before = traced.count("COMMIT")
        for number in range(128):
            commit = Commit(acked=(5,)) if number == 70 else settle(1, Path(f"a{number}"))
            journal.submit(commit, told.of(str(number)))
        await trio.testing.wait_all_tasks_blocked()
        assert told.failed == ["70"]
        assert len(told.kept) == 127
        assert traced.count("COMMIT") - before <= 9


async def test_each_who_waits_gets_an_error_of_its_own(file: pathlib.Path) -> None:
    errors: list[CommitFailed] = []
    async with on_disk(file, patience=0) as journal:

        async def fail() -> None:
            try:
                await journal.commit(settle(1))
            except CommitFailed as error:
                errors.append(error)

        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fail)
                nursery.start_soon(fail)
    assert len({id(error) for error in errors}) == 2


async def test_a_caller_that_raises_when_it_is_told_ends_everything(file: pathlib.Path) -> None:
    """It must not; and if it does, nobody is left waiting."""
    told, gate = Told(), Gate()

    def then(_error: BaseException | None) -> None:
        journal.submit(settle(2), told.of("behind it"))
        raise KeyError("a bug")

    journal = on_disk(file, run_sync=gate.run_sync)

    async def run() -> None:
        async with journal:
            journal.submit(settle(1), then)
            await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as raised:
        await run()
    assert isinstance(raised.value.exceptions[0], KeyError)
    assert told.failed == ["behind it"]
    async with on_disk(file) as successor:
        assert (await successor.recover(DESK)).state == state(1)
        assert not successor.opened.after_crash


async def test_in_worker_threads(file: pathlib.Path) -> None:
    async with on_disk(file, run_sync=trio.to_thread.run_sync) as journal, trio.open_nursery() as nursery:

        async def agent(number: int) -> None:
            for settled in range(1, 6):
                await journal.commit(settle(settled, Path(f"agent/{number}"), events=[fact(settled)]))

        for number in range(20):
            nursery.start_soon(agent, number)
    async with on_disk(file) as journal:
        assert journal.head == 100
        assert len(journal.opened.slots) == 20
    with JournalFile.open(file) as reading:
        assert reading.verify().sound


async def test_who_is_cancelled_closes_the_file_in_order(file: pathlib.Path) -> None:
    with trio.CancelScope() as scope:
        async with on_disk(file, run_sync=trio.to_thread.run_sync):
            scope.cancel()
            await trio.sleep_forever()
    with JournalFile.open(file) as reading:
        assert reading.describe_holder().startswith("closed in order by")


async def test_before_it_is_entered_it_says_so(file: pathlib.Path) -> None:
    with pytest.raises(JournalError, match=r"tree\.db is not open: use the journal inside its `async with`"):
        await on_disk(file).commit(settle(1))


async def test_only_a_command_ends_the_wait_for_one(file: pathlib.Path, autojump_clock: trio.testing.MockClock) -> None:
    async with on_disk(file) as journal:
        with closing(sqlite3.connect(file)) as other, other:
            other.execute("INSERT INTO commands VALUES ('c-1', '{}', 5.0, 'applied', 'done', 1)")
        with trio.move_on_after(60) as scope:
            await journal.commands()
    assert scope.cancelled_caught


async def test_a_journal_is_entered_once(file: pathlib.Path) -> None:
    journal = on_disk(file)
    async with journal:
        pass
    with pytest.raises(JournalError, match="entered once"):
        async with journal:
            pass


@pytest.mark.parametrize(
    "options",
    [{"lease": 0}, {"lease": math.inf}, {"lease": math.nan}, {"patience": -1}, {"patience": math.inf}],
    ids=str,
)
def test_numbers_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        on_disk(pathlib.Path("tree.db"), **options)


async def test_the_start_of_an_agent_does_not_depend_on_what_others_have_waiting(file: pathlib.Path) -> None:
    async with on_disk(file) as journal:
        rows = tuple(message(number, Path("other")) for number in range(1, 5001))
        await journal.commit(Commit(accepted=rows))
        await journal.commit(settle(1))
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    def connect(*args: Any, **options: Any) -> sqlite3.Connection:
        connection = sqlite3.connect(*args, **options)
        connection.set_progress_handler(count, 10)
        return connection

    async with on_disk(file, connect=connect) as journal:
        assert journal.opened.slots == {DESK, Path("other")}
        assert (await journal.recover(DESK)).state == state(1)
    assert steps < 500, "10 steps of the virtual machine each"


async def test_the_file_is_one_when_it_is_closed(file: pathlib.Path) -> None:
    async with on_disk(file) as journal:
        await journal.commit(settle(1))
    with closing(sqlite3.connect(f"{file.as_uri()}?immutable=1", uri=True)) as connection:
        assert connection.execute("SELECT settled FROM states").fetchall() == [(1,)]
