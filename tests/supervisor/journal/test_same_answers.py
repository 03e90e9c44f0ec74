"""The journal on disk answers every sequence of commits as the one in memory does: each is the model of the other."""

from __future__ import annotations

import math
import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from treewarden.agents.core.path import Path
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.journal.port import Commit, Journal, KeepRow, PruneRow, ReplyRow, RestoreRow, ReturnedRow
from treewarden.supervisor.journal.reading import JournalFile

from ...journals import WALL, Told, checkpoint, dead, fact, message, on_disk, state, timer

PATHS = st.sampled_from([Path("a"), Path("b"), Path("a/b")])
ROWS = st.integers(1, 8)
SMALL = st.integers(0, 3)
NAMES = st.sampled_from(["", "", "kept"])
REPLY_IDS = st.sampled_from(["t-1>x.0", "t-1>x.1", "t-10>x.0", "t-1>x.0>y.0", "t-2>x.0"])


def few(items: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.just(()) | st.lists(items, min_size=1, max_size=2).map(tuple)


COMMITS = st.builds(
    Commit,
    by=st.none() | PATHS,
    events=few(st.tuples(st.just(WALL), st.builds(fact, SMALL, PATHS))),
    states=few(st.builds(state, SMALL, PATHS)),
    checkpoints=few(st.builds(checkpoint, SMALL, NAMES, PATHS)),
    keeps=few(st.builds(KeepRow, PATHS, ROWS, st.just(WALL))),
    restores=few(st.builds(RestoreRow, PATHS, ROWS, SMALL)),
    prunes=few(st.builds(PruneRow, PATHS, SMALL, st.sampled_from([math.inf, WALL + 1, WALL + 2]))),
    accepted=few(st.builds(message, ROWS, PATHS, priority=SMALL)),
    acked=few(ROWS),
    returned=few(st.builds(ReturnedRow, ROWS, SMALL, SMALL, st.none() | st.just(WALL))),
    dead=few(st.builds(dead, ROWS, PATHS)),
    replies=few(st.builds(ReplyRow, REPLY_IDS, PATHS, st.just("int"), SMALL.map(str))),
    forget_replies=few(st.sampled_from(["t-1>", "t-2>", "t-3>"])),
    timers=few(st.builds(timer, st.sampled_from(["x", "y"]), st.floats(0, 9), PATHS)),
    forget=few(PATHS),
)


async def answers(journal: Journal, batches: Sequence[Sequence[Commit]]) -> list[Any]:
    """Everything that can be asked of a journal after these commits; those of one batch are queued together."""
    told = Told()
    found: list[Any] = []
    async with journal:
        for batch in batches:
            for number, commit in enumerate(batch):
                journal.submit(commit, told.of(str(number)))
            for path in (Path("a"), Path("b"), Path("a/b")):
                found.append(await journal.recover(path))
                found.append(await journal.checkpoints(path))
                found.append(await journal.dead_letters(path))
            found += [await journal.checkpoint(number) for number in range(9)]
        found.append([(record.seq, record.at, record.event) for record in await journal.read()])
        found.append([(record.seq, record.event) for record in await journal.read(1, 2)])
        found.append(await journal.dead_letters(limit=3))
        found.append(journal.head)
    found += [told.kept, told.failed]
    return found


@settings(max_examples=60)
@given(st.lists(st.lists(COMMITS, max_size=5), max_size=4))
def test_both_journals_answer_alike(batches: list[list[Commit]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "tree.db"
        in_memory, on_file = MemoryJournal(), on_disk(file)
        assert trio.run(answers, on_file, batches) == trio.run(answers, in_memory, batches)
        with JournalFile.open(file) as reading:
            assert reading.verify().sound

        async def opened(journal: Journal) -> tuple[object, ...]:
            async with journal:
                return journal.opened.slots, journal.opened.head, journal.opened.last_row

        assert trio.run(opened, on_disk(file)) == trio.run(opened, in_memory)
