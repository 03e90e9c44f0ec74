"""What is parked when its agent goes back, old events go, and when its journal is forked, or exported and imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import trio
from trio.testing import MockClock

from treewarden.supervisor.journal.forking import fork
from treewarden.topologies.cli import main

from ..journals import on_disk
from .effects_desk import Processes
from .waits_desk import Note, Remind, Seen, desk, left, opened, parked, seen
from .waits_desk import processes as processes


async def test_it_stays_where_the_state_goes_back(processes: Processes, autojump_clock: MockClock) -> None:
    async with opened(desk(), journal=processes()) as running:
        await running.ref("desk").tell(Remind(1, (1.0,)))
        await trio.sleep(2)
        await running.checkpoint("desk", name="one")
        await running.ref("desk").tell(Remind(2, (50.0,)))
        await running.ref("desk").tell(Remind(3, (4.0,)))
        await trio.sleep(5)
        assert seen(running).numbers == (1, 3)
        await running.roll_back("desk", to="one")
        assert (seen(running).numbers, parked(running)) == ((1,), 1)
        await running.prune(last=1)
    async with opened(desk(), journal=processes()) as running:
        await trio.sleep(10)
        assert parked(running) == 1
        await running.prune(last=1)
        await trio.sleep(50)
        assert (seen(running), left(running)) == (Seen((1, 2), 2), 0)


async def test_a_copy_of_the_journal_waits_too(tmp_path: Path, autojump_clock: MockClock) -> None:
    file, log = tmp_path / "tree.db", list[Any]()
    async with opened(desk(log), journal=on_disk(file)) as running:
        await running.ref("desk").tell(Remind(1, (50.0,)))
        await running.ref("desk").tell(Note())
        await trio.sleep(1)
    bundle, imported = tmp_path / "tree.bundle", tmp_path / "imported.db"
    assert main(["journal", "export", str(file), "-o", str(bundle)]) == 0
    assert main(["journal", "import", str(bundle), str(imported)]) == 0
    forked = fork(file, tmp_path / "fork.db", new_tree=lambda: "f0").file
    for number, copy in enumerate([imported, Path(forked)], 1):
        async with opened(desk(log), journal=on_disk(copy)) as running:
            await trio.sleep(1)
            assert parked(running) == (1 if trio.current_time() < 50 else 0)
            await trio.sleep(60)
            assert (seen(running), left(running)) == (Seen((1,), 1), 0)
            assert [each[0] for each in log].count("slept") == number
