"""What every journal promises of transactions: all of one or nothing, in order, and each is told what became of it."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from treewarden.agents.core.path import Path
from treewarden.agents.errors import CommitFailed
from treewarden.supervisor.journal.port import Commit, Recovered, ReplyRow

from ..journals import DESK, WALL, Owner, Told, checkpoint, dead, fact, message, settle, state, timer

SHOP = Path("shop")


async def test_answers_come_after_submit_and_in_order(owner: Owner) -> None:
    told = Told()
    async with owner() as journal:
        for number in range(1, 6):
            journal.submit(settle(number, events=[fact(number)]), told.of(str(number)))
            assert told.news == []
        held = await journal.recover(DESK)
        assert held.state == state(5)
        await trio.testing.wait_all_tasks_blocked()
        assert told.kept == ["1", "2", "3", "4", "5"]
        assert journal.head == 5


@pytest.mark.parametrize(
    "bad",
    [
        Commit(acked=(2,)),
        Commit(acked=(1, 1)),
        Commit(dead=(dead(2),)),
        Commit(acked=(1,), dead=(dead(1),)),
        Commit(accepted=(message(1),)),
        Commit(accepted=(message(5), message(5))),
    ],
    ids=["acked twice", "acked twice at once", "dead after acked", "acked and dead", "taken", "taken at once"],
)
async def test_a_message_ends_once_and_begins_once(owner: Owner, bad: Commit) -> None:
    async with owner() as journal:
        await journal.commit(Commit(accepted=(message(1), message(2), message(3))))
        await journal.commit(Commit(acked=(2,)))
        with pytest.raises(CommitFailed):
            await journal.commit(bad)
        assert [row.row for row in (await journal.recover(DESK)).messages] == [1, 3]
        assert await journal.dead_letters() == []


async def test_a_commit_that_fails_leaves_nothing(owner: Owner) -> None:
    async with owner() as journal:
        await journal.commit(Commit(accepted=(message(1),), states=(state(1),)))
        bad = Commit(
            states=(state(2),),
            acked=(1, 99),
            events=((WALL, fact(1)),),
            accepted=(message(4, SHOP),),
            checkpoints=(checkpoint(2),),
            timers=(timer("tick", 1.0),),
            replies=(ReplyRow("t-1>x.0", DESK, "int", "4"),),
            dead=(dead(4, SHOP),),
            forget=(SHOP,),
        )
        with pytest.raises(CommitFailed):
            await journal.commit(bad)
        assert journal.head == 0
        assert await journal.read() == []
        assert await journal.recover(DESK) == Recovered(state=state(1), state_seq=0, messages=(message(1),))
        assert await journal.recover(SHOP) == Recovered()
        assert await journal.checkpoints(DESK) == []
        assert await journal.dead_letters() == []
    async with owner() as journal:
        assert journal.opened.slots == {DESK}


async def test_one_that_fails_takes_along_what_rests_on_it_and_nothing_else(owner: Owner) -> None:
    told = Told()
    async with owner() as journal:
        await journal.commit(Commit(accepted=(message(1), message(2), message(3, SHOP))))
        journal.submit(settle(1, acked=[1], events=[fact(1)]), told.of("desk 1"))
        journal.submit(settle(1, SHOP, events=[fact(2)]), told.of("shop 1"))
        journal.submit(settle(2, acked=[77], events=[fact(3)]), told.of("desk 2"))
        journal.submit(Commit(events=((WALL, fact(4)),)), told.of("a supervisor"))
        journal.submit(settle(3, acked=[2], events=[fact(5)]), told.of("desk 3"))
        journal.submit(Commit(states=(state(4),)), told.of("desk 4"))
        journal.submit(settle(2, SHOP, acked=[3], events=[fact(6)]), told.of("shop 2"))
        held = await journal.recover(DESK)
        await trio.testing.wait_all_tasks_blocked()
        assert told.kept == ["desk 1", "shop 1", "a supervisor", "shop 2"]
        assert told.failed == ["desk 2", "desk 3", "desk 4"]
        assert all(isinstance(error, CommitFailed) for _, error in told.news if error)
        assert (held.state, held.messages) == (state(1), (message(2),))
        assert [record.event for record in await journal.read()] == [fact(1), fact(2), fact(4), fact(6)]
        # Whoever was told begins anew.
        await journal.commit(settle(2, acked=[2]))
        assert (await journal.recover(DESK)).state == state(2)


async def test_what_rests_on_a_commit_rests_on_whose_work_it_is_and_not_on_a_state(owner: Owner) -> None:
    """Of an agent whose message has left its state as it was, and of one that changes the state of another."""
    told = Told()
    async with owner() as journal:
        journal.submit(Commit(by=DESK, acked=(77,)), told.of("desk 1"))
        journal.submit(settle(1), told.of("desk 2"))
        journal.submit(Commit(by=DESK, events=((WALL, fact(1)),)), told.of("desk 3"))
        journal.submit(Commit(by=DESK, states=(state(9, SHOP),)), told.of("desk 4"))
        journal.submit(settle(1, SHOP), told.of("shop 1"))
        held = await journal.recover(SHOP)
        await trio.testing.wait_all_tasks_blocked()
        assert (told.kept, told.failed) == (["shop 1"], ["desk 1", "desk 2", "desk 3", "desk 4"])
        assert (held.state, journal.head) == (state(1, SHOP), 0)
        assert (await journal.recover(DESK)).state is None


async def test_who_is_told_may_submit(owner: Owner) -> None:
    """The reply to a failure, or to a success, is written; it does not rest on what failed."""
    told = Told()
    async with owner() as journal:

        def then(error: BaseException | None) -> None:
            told.of("first")(error)
            journal.submit(settle(1), told.of("second"))

        journal.submit(settle(1, acked=[99]), then)
        await trio.testing.wait_all_tasks_blocked()
        assert (told.failed, told.kept) == (["first"], ["second"])
        assert (await journal.recover(DESK)).state == state(1)


async def test_a_commit_that_nobody_waits_for_any_more_is_committed(owner: Owner) -> None:
    async with owner() as journal:
        with trio.CancelScope() as scope:
            scope.cancel()
            await journal.commit(settle(1))
        assert scope.cancelled_caught
        assert (await journal.recover(DESK)).state == state(1)


async def test_leaving_writes_what_is_queued(owner: Owner) -> None:
    told = Told()
    async with owner() as journal:
        journal.submit(settle(1), told.of("last"))
    assert told.kept == ["last"]
    async with owner() as journal:
        assert (await journal.recover(DESK)).state == state(1)


async def test_a_cancelled_owner_writes_what_is_queued(owner: Owner) -> None:
    told = Told()
    with trio.CancelScope() as scope:
        async with owner() as journal:
            try:
                scope.cancel()
                await trio.sleep_forever()
            finally:
                journal.submit(settle(1), told.of("last words"))
    assert scope.cancelled_caught
    assert told.kept == ["last words"]
    async with owner() as journal:
        assert not journal.opened.after_crash
        assert (await journal.recover(DESK)).state == state(1)
