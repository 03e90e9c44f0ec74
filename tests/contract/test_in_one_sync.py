"""Any two commits that share a disk sync leave what they leave one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias

import pytest
import trio.testing
from attrs import evolve

from treewarden.agents.core.label import Label
from treewarden.agents.core.path import Path
from treewarden.agents.errors import CommitFailed
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.journal.port import (
    CheckpointRow,
    Commit,
    Journal,
    KeepRow,
    PruneRow,
    ReplyRow,
    RestoreRow,
    ReturnedRow,
)

from ..journals import WALL, Owner, dead, fact, message, state, timer

Made: TypeAlias = Callable[[Path, int], Commit]
"""A commit about a slot that has the numbers from the given one on for itself."""


def kept(path: Path, number: int, name: str = "", total: int = 5) -> CheckpointRow:
    of = state(total, path)
    return CheckpointRow(path, number, of.kind, of.body, 1, total, WALL + total, Label(name), pinned=bool(name))


def before(path: Path, n: int) -> Commit:
    """What every pair finds: two messages wait, one was given up, and there is something of everything else."""
    return Commit(
        accepted=(message(n, path), message(n + 1, path)),
        dead=(evolve(dead(n + 2, path), row=None),),
        states=(state(1, path),),
        checkpoints=(kept(path, n + 3), kept(path, n + 4, "named")),
        replies=(ReplyRow(f"t-{n}>x.0", path, "int", "1"),),
        timers=(timer("tick", 1.0, path),),
    )


KINDS: Final[Mapping[str, Made]] = {
    "event": lambda path, n: Commit(events=((WALL, fact(n, path)),)),
    "state": lambda path, n: Commit(states=(state(2, path),)),
    "checkpoint": lambda path, n: Commit(checkpoints=(kept(path, n + 10),)),
    "the same checkpoint": lambda path, n: Commit(checkpoints=(kept(path, n + 10, "other", 6),)),
    "a checkpoint and what it replaces": lambda path, n: Commit(
        checkpoints=(kept(path, n + 11),), prunes=(PruneRow(path, 1),)
    ),
    "keep": lambda path, n: Commit(keeps=(KeepRow(path, n + 12),)),
    "restore": lambda path, n: Commit(restores=(RestoreRow(path, n + 3, 9),)),
    "restore what may come": lambda path, n: Commit(restores=(RestoreRow(path, n + 10, 9),)),
    "prune": lambda path, n: Commit(prunes=(PruneRow(path, 0),)),
    "prune all but five": lambda path, n: Commit(prunes=(PruneRow(path, 5),)),
    "accept": lambda path, n: Commit(accepted=(message(n + 20, path),)),
    "handle": lambda path, n: Commit(acked=(n,)),
    "handle what may come": lambda path, n: Commit(acked=(n + 20,)),
    "return": lambda path, n: Commit(returned=(ReturnedRow(n, 1),)),
    "return what may come": lambda path, n: Commit(returned=(ReturnedRow(n + 20, 2),)),
    "give up": lambda path, n: Commit(dead=(dead(n, path),)),
    "give up what may come": lambda path, n: Commit(dead=(dead(n + 20, path),)),
    "put back": lambda path, n: Commit(revived=(f"t-{n + 2}",), accepted=(message(n + 21, path),)),
    "put back what may come": lambda path, n: Commit(revived=(f"t-{n + 20}",)),
    "reply": lambda path, n: Commit(replies=(ReplyRow(f"t-{n}>x.1", path, "int", "2"),)),
    "the same reply": lambda path, n: Commit(replies=(ReplyRow(f"t-{n}>x.1", path, "int", "3"),)),
    "forget replies": lambda path, n: Commit(forget_replies=(f"t-{n}>",)),
    "timer": lambda path, n: Commit(timers=(timer("tick", 2.0, path), timer("tock", 3.0, path))),
    "forget": lambda path, n: Commit(forget=(path,)),
}  # fmt: skip


async def committed(journal: Journal, commits: Sequence[Commit]) -> list[bool]:
    """One after the other; which were kept."""
    kept: list[bool] = []
    for commit in commits:
        with suppress(CommitFailed):
            await journal.commit(commit)
            kept.append(True)
            continue
        kept.append(False)
    return kept


async def submitted(journal: Journal, commits: Sequence[Commit]) -> list[bool]:
    """All at once; which were kept."""
    kept: list[bool] = []
    for commit in commits:
        journal.submit(commit, lambda error: kept.append(error is None))
    await trio.testing.wait_all_tasks_blocked()
    return kept


async def found(journal: Journal, path: Path) -> list[Any]:
    """All that can be asked about one slot, but for what tells of others."""
    about = await journal.checkpoints(path)
    held = [await journal.checkpoint(each.number) for each in about]
    return [evolve(await journal.recover(path), state_seq=None), about, held, await journal.dead_letters(path)]


@pytest.mark.parametrize("first", KINDS)
async def test_two_commits_in_one_sync_are_as_one_after_the_other(owner: Owner, first: str) -> None:
    slots = [(Path(f"slot{number}"), 100 * number) for number, _ in enumerate(KINDS, 1)]
    async with MemoryJournal() as alone, owner() as journal:
        for each in (alone, journal):
            await submitted(each, [before(path, n) for path, n in slots])
        for (path, n), second in zip(slots, KINDS, strict=True):
            commits = [KINDS[first](path, n), KINDS[second](path, n)]
            one_by_one = await committed(alone, commits)
            assert await submitted(journal, commits) == one_by_one, second
            assert await found(journal, path) == await found(alone, path), second
        assert [record.event for record in await journal.read()] == [record.event for record in await alone.read()]
