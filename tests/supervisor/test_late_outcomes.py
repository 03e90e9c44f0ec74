"""What became of an advice, told by a caller who does not wait until it is on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from treewarden.supervisor.advisor import Advice, Advisor
from treewarden.supervisor.core.event import OutcomeObserved
from treewarden.supervisor.journal.reading import JournalFile

EVENT: Final = {"type": "service_overload", "severity": 0.82, "cpu": 94, "memory": 88}
PATIENCE: Final = 60.0


def by_asyncio(work: Callable[[], Awaitable[bool]]) -> bool:
    async def main() -> bool:
        return await work()

    return asyncio.run(main())


def by_trio(work: Callable[[], Awaitable[bool]]) -> bool:
    return trio.run(work)


@pytest.mark.parametrize("run", [by_asyncio, by_trio])
def test_it_counts_although_its_limit_has_passed(run: Callable[[Any], bool], tmp_path: Path) -> None:
    file = tmp_path / "api.db"
    with Advisor("api", journal=file) as advisor:
        advice = advisor.process_sync(EVENT, within=PATIENCE)
    with Advisor("api", journal=file) as advisor:  # which opens its file with the first call
        assert not run(lambda: told(advisor, advice))
    with JournalFile.open(file) as journal:
        outcomes = [each.event.outcome for each in journal.records() if isinstance(each.event, OutcomeObserved)]
    assert outcomes == ["fixed"]


async def told(advisor: Advisor, advice: Advice) -> bool:
    return await advisor.record_outcome(advice, fixed=True, within=0)
