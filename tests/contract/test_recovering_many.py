"""Slots that are recovered one after the other, and may be read together: nobody sees that they were."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
import trio.testing
from attrs import evolve

from treewarden.agents.core.path import Path
from treewarden.supervisor.journal.port import Commit, Journal, Recovered, ReplyRow, RestoreRow, ReturnedRow

from ..journals import Owner, Told, checkpoint, dead, message, settle, state, timer

SLOTS = tuple(Path(f"pool/{number}") for number in range(300))
EMPTY = Path("pool/empty")
LATE = SLOTS[50]
"""Read with the first one, and recovered after it."""


async def fill(journal: Journal) -> None:
    """State, messages, timers and replies, for more slots than are read at once."""
    commit = Commit(checkpoints=(checkpoint(2, "kept", LATE),))
    for number, path in enumerate(SLOTS):
        row = 1000 + 10 * number
        messages = (
            message(row, path, priority=3),
            message(row + 1, path, sender=Path("desk"), deliveries=1, not_before=7.5),
            message(row + 2, path, priority=1),
        )
        replies = (ReplyRow(f"t-{row}>x>1", path, "k", "2"), ReplyRow(f"t-{row}>a>1", path, "k", "1"))
        commit = evolve(
            commit,
            states=(*commit.states, state(number, path)),
            accepted=(*commit.accepted, *(messages if number % 2 else (message(row, path),))),
            timers=(*commit.timers, *(() if number % 3 else (timer("tick", 1.5, path), timer("again", number, path)))),
            replies=(*commit.replies, *(() if number % 5 else replies)),
        )
    await journal.commit(commit)


async def test_what_is_read_together_is_what_a_read_of_each_finds(owner: Owner) -> None:
    async with owner() as journal:
        await fill(journal)
    async with owner() as journal:
        alone = {path: await journal.recover(path) for path in (*SLOTS, EMPTY)}
        with journal.expecting((*SLOTS, EMPTY)):
            assert {path: await journal.recover(path) for path in (*SLOTS, EMPTY)} == alone
            assert {path: await journal.recover(path) for path in SLOTS} == alone_of(alone), "also a second time"
        assert alone[EMPTY] == Recovered()
        assert [row.priority for row in alone[SLOTS[1]].messages] == [1, 2, 3]
        assert [reply.id for reply in alone[SLOTS[0]].replies] == ["t-1000>a>1", "t-1000>x>1"]


def alone_of(found: dict[Path, Recovered]) -> dict[Path, Recovered]:
    return {path: found[path] for path in SLOTS}


CHANGES: dict[str, tuple[Commit, Callable[[Recovered], Recovered]]] = {
    "its state": (settle(9, LATE), lambda held: evolve(held, state=state(9, LATE))),
    "its state, from a checkpoint": (
        Commit(restores=(RestoreRow(LATE, 6, 3),)),
        lambda held: evolve(held, state=evolve(state(2, LATE), settled=3)),
    ),
    "another message": (
        Commit(accepted=(message(9999, LATE),)),
        lambda held: evolve(held, messages=(*held.messages, message(9999, LATE))),
    ),
    "a message handled": (Commit(acked=(1500,)), lambda held: evolve(held, messages=())),
    "a message given up": (Commit(dead=(dead(1500, LATE),)), lambda held: evolve(held, messages=())),
    "a message given back": (
        Commit(returned=(ReturnedRow(1500, 1, 2, 3.5),)),
        lambda held: evolve(held, messages=(evolve(held.messages[0], deliveries=1, deaths=2, not_before=3.5),)),
    ),
    "a timer": (Commit(timers=(timer("tick", 4.0, LATE),)), lambda held: evolve(held, timers={"tick": 4.0})),
    "a reply": (
        Commit(replies=(ReplyRow("s-1>x>1", LATE, "k", "3"),)),
        lambda held: evolve(held, replies=(ReplyRow("s-1>x>1", LATE, "k", "3"), *held.replies)),
    ),
    "its replies": (Commit(forget_replies=("t-1500>",)), lambda held: evolve(held, replies=())),
    "all of it": (Commit(forget=(LATE,)), lambda held: evolve(held, state=None, state_seq=None, timers={})),
    "nothing of it": (settle(9, SLOTS[51], acked=(1512,)), lambda held: held),
}


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("turns", [0, 1, 2, 5])
async def test_what_was_changed_since_is_found(owner: Owner, what: str, turns: int) -> None:
    """While the read is on its way, and after it has come."""
    change, changed = CHANGES[what]
    async with owner() as journal:
        await fill(journal)
    async with owner() as journal:
        told, before = Told(), await journal.recover(LATE)
        with journal.expecting(SLOTS):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(journal.recover, SLOTS[0])
                for _ in range(turns):
                    await trio.lowlevel.checkpoint()
                journal.submit(change, told.of(what))
            assert await journal.recover(LATE) == changed(before)
            assert await journal.recover(SLOTS[40]) == await journal.recover(SLOTS[40])
        await trio.testing.wait_all_tasks_blocked()
        assert told.kept == [what]


async def test_a_change_that_is_not_kept_changes_nothing(owner: Owner) -> None:
    async with owner() as journal:
        await fill(journal)
    async with owner() as journal:
        told, before = Told(), await journal.recover(LATE)
        with journal.expecting(SLOTS):
            await journal.recover(SLOTS[0])
            journal.submit(Commit(states=(state(9, LATE),), acked=(77,)), told.of("a message that does not wait"))
            assert await journal.recover(LATE) == before
        await trio.testing.wait_all_tasks_blocked()
        assert told.failed == ["a message that does not wait"]


async def test_what_is_at_hand_is_what_was_expected(owner: Owner) -> None:
    async with owner() as journal:
        await fill(journal)
    async with owner() as journal:
        before = await journal.recover(LATE)
        with journal.expecting(SLOTS):
            await journal.recover(SLOTS[0])
            assert journal.at_hand(LATE) == before
            journal.submit(settle(9, SLOTS[49]), Told().of("a settle"))
            found = journal.at_hand(SLOTS[49])
            assert found is None or found.state == state(9, SLOTS[49])


async def test_whoever_is_cancelled_takes_nothing_from_the_others(owner: Owner) -> None:
    async with owner() as journal:
        await fill(journal)
    async with owner() as journal:
        before = await journal.recover(LATE)
        with journal.expecting(SLOTS):
            with trio.CancelScope() as scope:
                scope.cancel()
                await journal.recover(SLOTS[0])
            assert scope.cancelled_caught
            await journal.commit(settle(9, SLOTS[49]))
            assert await journal.recover(LATE) == before
            assert (await journal.recover(SLOTS[49])).state == state(9, SLOTS[49])
