"""The next owner on what a power cut has left: the real journal finds everything, and goes on."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

import trio
import trio.testing
from attrs import frozen

from treewarden.agents.core.path import Path
from treewarden.agents.errors import TreewardenError
from treewarden.supervisor.journal.integrity import check_all
from treewarden.supervisor.journal.looked_at import LookedAt
from treewarden.supervisor.journal.port import Commit, MessageRow, Recovered, ReplyRow, StateRow
from treewarden.supervisor.journal.schema import VERSION
from treewarden.supervisor.journal.sqlite import SqliteJournal

from ...journals import WALL, fact, message, settle
from .adapter import Database
from .checks import Kind, Violation
from .scribe import Workload
from .vfs import Disk, Op, Vfs
from .workload import FILE, Processes, journal_on
from .world import Expected, World

__all__ = ["Reopened", "reopen"]

_NEXT = Path("next")


@frozen
class Reopened:
    """What the next owner did, for a second power cut."""

    log: tuple[Op, ...]
    worlds: tuple[World, ...]


def reopen(vfs: Vfs, files: Mapping[str, bytes], workload: Workload, epoch: int, world: World) -> Reopened | Violation:
    """Open `files` with the real journal, compare with `world`, commit something, and close."""
    disk = Disk(files, wall=lambda: WALL + 3600)
    log: list[Op] = []
    disk.log, disk.ahead = log, workload.ahead
    vfs.disk = disk
    database = Database(vfs=vfs.name, page_size=workload.page_size, autocheckpoint=workload.autocheckpoint)
    row = world.last_row + 1
    told = message(row, _NEXT)
    done = settle(1, _NEXT, acked=[row], events=[fact(1, _NEXT)])
    differences: list[str] = []
    worlds = [world]

    def expect(first: int, last: int, low: int, *, closed: bool = False) -> None:
        log.append(Expected(tuple(range(first, last + 1)), (low, epoch + 1), closed))

    async def main() -> None:
        expect(0, 0, epoch)
        async with journal_on(database, Processes(100 + epoch)) as journal:
            expect(0, 0, epoch + 1)
            differences.extend(await _compare(journal, epoch, world))
            with closing(database.connect(FILE)) as connection:  # as `journal verify` does
                differences.extend(map(str, check_all(connection, VERSION, LookedAt()).faults))
            for commit in (Commit(accepted=(told,)), done):
                after = worlds[-1].after(commit, epoch + 1)
                assert after is not None
                worlds.append(after)
                expect(len(worlds) - 2, len(worlds) - 1, epoch + 1)
                await journal.commit(commit)
                expect(len(worlds) - 1, len(worlds) - 1, epoch + 1)
        expect(len(worlds) - 1, len(worlds) - 1, epoch + 1, closed=True)

    try:
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    except* TreewardenError as group:
        differences.extend(f"{type(error).__name__}: {error}" for error in group.exceptions)
    if differences:
        return Violation(Kind.REOPENED, "; ".join(differences))
    return Reopened(tuple(log), tuple(worlds))


async def _compare(journal: SqliteJournal, epoch: int, world: World) -> list[str]:
    opened = journal.opened
    paths = {path for path, *_ in world.states.values()} | {row[1] for row in world.mailbox.values()}
    paths |= {path for path, *_ in world.timers.values()} | {row[1] for row in world.replies.values()}
    pairs: list[tuple[str, Any, Any]] = [
        ("epoch", opened.epoch, epoch + 1),
        ("head", opened.head, world.seq),
        ("last row", opened.last_row, world.last_row),
        ("slots", opened.slots, {Path(path) for path in paths}),
        ("events", [record.seq for record in await journal.read()], [row[0] for row in world.events]),
    ]
    pairs += [
        (f"what {path} recovers", await journal.recover(Path(path)), _recovered(world, path)) for path in sorted(paths)
    ]
    return [f"{what} is {found!r}, not {right!r}" for what, found, right in pairs if found != right]


def _recovered(world: World, path: str) -> Recovered:
    state = world.states.get(path)
    messages = [
        MessageRow(
            Path(path), row, id, kind, body, None if sender is None else Path(sender), priority, at, deliveries, deaths,
            not_before, version,
        )
        for row, of, id, kind, version, body, sender, priority, at, deliveries, deaths, not_before, _ in (
            world.mailbox.values()
        )
        if of == path
    ]  # fmt: skip
    replies = [
        ReplyRow(id, Path(path), kind, body, version)
        for id, of, kind, version, body, _ in world.replies.values()
        if of == path
    ]
    return Recovered(
        state=None if state is None else StateRow(Path(path), state[1], state[3], state[2], state[4]),
        state_seq=None if state is None else state[5],
        messages=tuple(sorted(messages, key=lambda row: (row.priority, row.row))),
        timers={name: at for of, name, at, _ in world.timers.values() if of == path},
        replies=tuple(sorted(replies, key=lambda reply: reply.id)),
    )
