"""What every journal promises of values that are longer than 64 kB."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from attrs import evolve

from treewarden.agents.core.label import Label
from treewarden.supervisor.journal.large import Large
from treewarden.supervisor.journal.port import Commit, KeepRow, ReplyRow, RestoreRow, StateRow

from ..journals import DESK, WALL, Owner, checkpoint, dead, message, state

LONG = 'ä{}\\"\n' * 20_000
BODIES: tuple[Any, ...] = (
    LONG,
    {"text": LONG, "total": 3},
    {"first": LONG, "second": LONG[1:], "rest": [1, 2.5, None, True, -0.0]},
    {"list": list(range(30_000)), "deep": [{"a/b": {"~": [LONG, "x", LONG]}}]},
    [f"entry {number}" for number in range(20_000)],
    {"@": "@" * 70_000, "k" * 70_000: 1},
    [[[["x" * 70_000] * 3]]],
)


def text(body: Any) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize("body", [text(body) for body in BODIES], ids=range(len(BODIES)))
async def test_they_come_back_as_they_were(owner: Owner, body: str) -> None:
    large = evolve(state(1), body=body)
    kept = evolve(checkpoint(1, "kept"), body=body)
    waiting = evolve(message(50), body=body)
    given_up = evolve(dead(51), body=body, row=None)
    reply = ReplyRow("t-1>ask.0", DESK, "str", body)
    async with owner() as journal:
        await journal.commit(
            Commit(states=(large,), checkpoints=(kept,), accepted=(waiting,), dead=(given_up,), replies=(reply,))
        )
        await journal.commit(Commit(keeps=(KeepRow(DESK, 60, WALL, Label("again")),)))
    async with owner() as journal:
        held = await journal.recover(DESK)
        assert (held.state, held.messages, held.replies) == (large, (waiting,), (reply,))
        assert await journal.dead_letters() == [given_up]
        for number in (kept.number, 60):
            found = await journal.checkpoint(number)
            assert found is not None
            assert (found.state.body, found.about.size) == (body, len(body))


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
async def test_what_is_made_text_by_the_journal_is_the_same(owner: Owner, body: Any) -> None:
    written, kept = text(body), checkpoint(1, "kept")
    data = Large(json.loads(written))
    commit = Commit(
        states=(evolve(state(1), body="", large=data),),
        checkpoints=(evolve(kept, body="", large=data),),
        accepted=(evolve(message(50), body="", large=data),),
        dead=(evolve(dead(51), body="", row=None, large=data),),
        replies=(ReplyRow("t-1>ask.0", DESK, "str", "", large=data),),
    )
    async with owner() as journal:
        await journal.commit(commit)
    async with owner() as journal:
        held = await journal.recover(DESK)
        assert held.state == evolve(state(1), body=written)
        assert held.messages == (evolve(message(50), body=written),)
        assert held.replies == (ReplyRow("t-1>ask.0", DESK, "str", written),)
        assert await journal.dead_letters() == [evolve(dead(51), body=written, row=None)]
        found = await journal.checkpoint(kept.number)
        assert found is not None
        assert (found.state.body, found.about.size) == (written, len(written))


async def test_going_back_to_one(owner: Owner) -> None:
    large = StateRow(DESK, "desk:Tally", text({"text": LONG}), 1, 4)
    async with owner() as journal:
        await journal.commit(Commit(states=(large,)))
        await journal.commit(Commit(keeps=(KeepRow(DESK, 1),), states=(state(5),)))
        await journal.commit(Commit(restores=(RestoreRow(DESK, 1, 6),)))
        assert (await journal.recover(DESK)).state == evolve(large, settled=6)


async def test_a_journal_goes_on_while_it_is_compacted(owner: Owner) -> None:
    async with owner() as journal:
        for number in range(20):
            await journal.commit(Commit(states=(StateRow(DESK, "desk:Tally", text([number, LONG * 3]), 1, number),)))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal.compact)
            for number in range(20, 30):
                await journal.commit(Commit(states=(state(number),)))
        left = await journal.compact()
        assert left.unused == 0
        assert left == await journal.blobs()
        assert (await journal.recover(DESK)).state == state(29)
