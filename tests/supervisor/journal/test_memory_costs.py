"""What a commit of the journal in memory costs does not depend on what it keeps of others."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest

from treewarden.agents.core.path import Path
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.journal.port import Commit, PruneRow, ReplyRow

from ...journals import checkpoint, state

HERE = Path("here")
COMMITS = {
    "a state": Commit(states=(state(1, HERE),)),
    "a checkpoint": Commit(checkpoints=(checkpoint(0, path=HERE),), prunes=(PruneRow(HERE, 0, 0.0),)),
    "a reply": Commit(replies=(ReplyRow("m-0>here:Work:1:00.1", HERE, "int", "1"),)),
    "no reply": Commit(forget_replies=("m-1>",)),
    "no slot": Commit(forget=(HERE,)),
}


def steps(journal: MemoryJournal, commit: Commit) -> int:
    """How many steps of the interpreter it takes to submit this."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        journal.submit(commit, lambda _: None)
    finally:
        sys.settrace(before)
    return count


async def with_others(count: int) -> MemoryJournal:
    journal = MemoryJournal()
    async with journal:
        for number in range(1, count + 1):
            there = Path(f"n{number}")
            reply = ReplyRow(f"m-{number}>{there}:Work:1:00.1", there, "int", "1")
            await journal.commit(Commit(checkpoints=(checkpoint(number, path=there),), replies=(reply,)))
    return journal


@pytest.mark.parametrize("name", COMMITS)
async def test_it_is_the_same_with_many_as_with_few(name: str) -> None:
    few, many = await with_others(5), await with_others(300)
    async with few, many:
        assert steps(many, COMMITS[name]) < 1.5 * steps(few, COMMITS[name])
