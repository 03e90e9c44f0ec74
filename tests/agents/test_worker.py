"""Existing async functions as agents."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents.core.durability import MESSAGE, VOLATILE, Checkpointed, Durability, MailboxSpec
from treewarden.agents.errors import ConfigurationError, RateLimited
from treewarden.agents.worker import Job, Work, worker
from treewarden.supervisor.core.event import ChildEnded, Decided, Recorded, SignalNoted
from treewarden.supervisor.core.spec import NO_BACKOFF, ChildSpec, RestartPolicy
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.child import child

from .trees import events, happened, opened, slot_of


@frozen
class Fact:
    number: int


def working(
    fn: Callable[..., Any], durability: Durability = MESSAGE, every: float | None = None, **o: Any
) -> ChildSpec:
    return child(worker(fn, every=every), mailbox=MailboxSpec(durability=durability), **o)


@pytest.fixture(params=[MESSAGE, VOLATILE, Checkpointed(messages=1)], ids=["message", "volatile", "checkpointed"])
def durability(request: pytest.FixtureRequest) -> Durability:
    return request.param


async def test_a_function_runs_unchanged_on_a_grid(durability: Durability, autojump_clock: MockClock) -> None:
    log: list[float] = []
    begun = trio.current_time()

    async def poll() -> str:
        log.append(trio.current_time() - begun)
        await trio.sleep(3)
        return "nobody wants this"

    async with opened(working(poll, durability, every=10)) as running:
        await trio.sleep(45)
        assert slot_of(running, "poll").state == Work(runs=5)
    assert log == pytest.approx([0, 10, 20, 30, 40], abs=0.001)


async def test_a_function_runs_once_and_its_result_is_the_end(
    durability: Durability, autojump_clock: MockClock
) -> None:
    async def import_all() -> str:
        await trio.sleep(1)
        return "imported"

    async with opened(working(import_all, durability, restart=RestartPolicy.TRANSIENT)) as running:
        slot = slot_of(running, "import_all")
        (ended,) = await happened(running, ChildEnded)
        assert ended.exit == "finished"
        assert slot.state == Work(runs=1)


async def test_what_it_raises_is_a_crash(durability: Durability, autojump_clock: MockClock) -> None:
    runs = 0

    async def poll() -> None:
        nonlocal runs
        runs += 1
        if runs == 2:
            raise ValueError("unlucky")

    async with opened(working(poll, durability, every=1, backoff=NO_BACKOFF)) as running:
        await trio.sleep(5.5)
        (ended,) = await happened(running, ChildEnded)
        assert ended.failure is not None
        assert ended.failure.text == "unlucky"
        assert slot_of(running, "poll").state == Work(runs=5)


@pytest.mark.parametrize("every", [None, 10.0])
async def test_being_asked_to_slow_down_is_none(
    every: float | None, durability: Durability, autojump_clock: MockClock
) -> None:
    runs: list[float] = []

    async def poll() -> None:
        runs.append(trio.current_time())
        if len(runs) == 1:
            raise RateLimited(3.0)

    async with opened(working(poll, durability, every=every, restart=RestartPolicy.TRANSIENT)) as running:
        await trio.sleep(15)
        (decided,) = await happened(running, Decided)
        assert decided.action == "throttle"
        assert runs[1] - runs[0] == pytest.approx(3.0 if every is None else 10.0, abs=0.1)
        assert running.snapshot()[0].restarts == 0


async def test_what_a_job_keeps_is_there_in_the_next_life(autojump_clock: MockClock) -> None:
    seen: list[Any] = []

    async def poll(job: Job) -> None:
        seen.append(job.value)
        job.checkpoint({"page": len(seen)})
        if len(seen) == 2:
            raise ValueError

    journal = MemoryJournal()
    spec = working(poll, every=1, backoff=NO_BACKOFF)
    async with opened(spec, journal=journal):
        await trio.sleep(2.5)
    async with opened(spec, journal=journal):
        await trio.sleep(1)
    # the second run raised, so what it kept is not
    assert seen == [None, {"page": 1}, {"page": 1}, {"page": 3}]


async def test_a_job_that_runs_once_keeps_now(durability: Durability, autojump_clock: MockClock) -> None:
    seen: list[Any] = []

    async def download(job: Job) -> None:
        seen.append(job.value)
        for part in range(job.value or 0, 5):
            await trio.sleep(1)
            job.checkpoint(part + 1)
            if part == 2 and len(seen) == 1:
                await trio.sleep(1)
                raise ValueError

    spec = working(download, durability, restart=RestartPolicy.TRANSIENT, backoff=NO_BACKOFF)
    async with opened(spec) as running:
        slot = slot_of(running, "download")
        await trio.sleep(20)
        assert seen == [None, 3]
        assert slot.state == Work(runs=1, value=5)


async def test_a_job_speaks_to_its_supervisor_and_to_the_journal(
    durability: Durability, autojump_clock: MockClock
) -> None:
    async def poll(job: Job) -> None:
        job.signal("slow", 0.3, "it took long", seconds=7)
        job.record(Fact(1))
        job.progress(1)
        job.recovered("slow")
        assert job.path == "poll"

    journal = MemoryJournal()
    async with opened(working(poll, durability, every=100), journal=journal) as running:
        (noted, *_) = await happened(running, SignalNoted)
        assert (noted.kind, noted.text, noted.facts) == ("slow", "it took long", {"seconds": 7})
        await wait_all_tasks_blocked()
        assert [each.facts for each in await events(journal, Recorded)] == [{"number": 1}]


async def test_a_job_that_makes_no_progress_hangs(autojump_clock: MockClock) -> None:
    tokens: list[Any] = [1, 2, 2, 2, 2, 2, 2, 2, 2]

    async def crawl(job: Job) -> None:
        for token in tokens:
            await trio.sleep(2)
            job.progress(token)

    async with opened(working(crawl, every=100, progress_within=5.0)) as running:
        (decided,) = await happened(running, Decided)
        assert "stalled" in decided.symptoms


def sync() -> None: ...


async def two(a: Job, b: Job) -> None: ...


async def keyword(*, url: str) -> None: ...


async def fine(job: Job, limit: int = 3, *, url: str = "") -> None: ...


async def plain(limit: int = 3) -> None: ...


WRONG: list[Any] = [0, -1, True, float("inf"), float("nan"), "10"]
REFUSED: list[tuple[Any, Any, str]] = [
    (sync, None, "sync: a worker is an async function; write `async def sync(...)`"),
    (two, None, "two: a worker takes nothing or one Job, not a, b"),
    (keyword, None, "keyword: a worker takes nothing or one Job, not url"),
    (3, None, "3: a worker is an async function"),
    *((plain, every, f"plain: its period is {every!r}; give a positive number of seconds") for every in WRONG),
]


@pytest.mark.parametrize(("fn", "every", "text"), REFUSED)
def test_what_cannot_be_a_worker_is_refused(fn: Any, every: Any, text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        worker(fn, every=every)
    assert text in str(refused.value)


def test_defaults_are_left_alone() -> None:
    assert worker(fine).id == "fine"
    assert worker(plain, every=5).args["period"] == 5


def test_a_partial_function_has_the_name_of_its_function() -> None:
    assert worker(functools.partial(keyword, url="x")).id == "keyword"


def test_the_first_calls_of_workers_spread() -> None:
    async def poll() -> None: ...

    assert worker(poll, every=60, spread=10).args == {"fn": poll, "period": 60, "spread": 10}
    with pytest.raises(ConfigurationError, match=r"poll: its spread is 61; give .* from 0 to its period \(60\)"):
        worker(poll, every=60, spread=61)
    with pytest.raises(ConfigurationError, match="poll: its spread is None; give a number of seconds"):
        worker(poll, every=60, spread=None)  # pyright: ignore[reportArgumentType]
    for seconds in (5, None):
        with pytest.raises(ConfigurationError, match="poll: spread is for a worker that comes again; say every, too"):
            worker(poll, spread=seconds)  # pyright: ignore[reportArgumentType]
