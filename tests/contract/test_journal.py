"""What every journal promises, held by the one in memory and the one on disk."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from attrs import evolve

from treewarden.agents.core.path import Path
from treewarden.agents.errors import CommitFailed, JournalError, JournalOwned
from treewarden.supervisor.core.event import CheckpointKept
from treewarden.supervisor.journal.port import Commit, Recovered, ReplyRow, ReturnedRow

from ..journals import DESK, WALL, Owner, Told, checkpoint, dead, fact, message, settle, state, timer

SHOP = Path("shop")


# Opening


async def test_a_new_journal_is_empty(owner: Owner) -> None:
    async with owner() as journal:
        assert journal.head == 0
        assert await journal.read() == []
        assert await journal.recover(DESK) == Recovered()
        assert journal.opened.epoch == 1
        assert (journal.opened.head, journal.opened.last_row, journal.opened.slots) == (0, 0, frozenset())
        assert not journal.opened.after_crash
        assert journal.opened.tree


async def test_the_next_owner_finds_everything_under_a_higher_epoch(owner: Owner) -> None:
    async with owner() as journal:
        tree = journal.opened.tree
        await journal.commit(Commit(accepted=(message(7),), events=((WALL, fact(1)),)))
        await journal.commit(Commit(states=(state(1, SHOP),), timers=(timer("tick", 9.0, Path("clock")),)))
    async with owner() as journal:
        opened = journal.opened
        assert (opened.epoch, opened.head, opened.last_row, opened.tree) == (2, 1, 7, tree)
        assert opened.slots == {DESK, SHOP, Path("clock")}
        assert not opened.after_crash
        assert (await journal.recover(DESK)).messages == (message(7),)
        assert (await journal.recover(SHOP)).state == state(1, SHOP)
        await journal.commit(Commit(events=((WALL, fact(2)),)))
        assert [record.epoch for record in await journal.read()] == [1, 2]


async def test_message_numbers_are_not_given_twice(owner: Owner) -> None:
    async with owner() as journal:
        await journal.commit(Commit(accepted=(message(1), message(9))))
        await journal.commit(Commit(acked=(9,)))
    async with owner() as journal:
        assert journal.opened.last_row == 9


async def test_there_is_one_owner(owner: Owner) -> None:
    async with owner() as first:
        with pytest.raises(JournalOwned, match="epoch 1"):
            async with owner():
                pass
        await first.commit(settle(1))
        assert first.opened.epoch == 1


async def test_outside_its_context_it_is_closed(owner: Owner) -> None:
    journal, told = owner(), Told()
    with pytest.raises(JournalError, match="not open"):
        _ = journal.opened
    async with journal:
        pass
    journal.submit(settle(1), told.of("late"))
    assert told.news == []
    await trio.testing.wait_all_tasks_blocked()
    assert told.failed == ["late"]
    async with owner() as journal:
        assert await journal.recover(DESK) == Recovered()


async def test_an_error_inside_comes_out_as_it_is(owner: Owner) -> None:
    journal = owner()
    with pytest.raises(KeyError):
        async with journal:
            raise KeyError("x")


# Events


async def test_events_are_numbered_without_gaps(owner: Owner) -> None:
    async with owner() as journal:
        assert await journal.commit(Commit(events=((WALL, fact(1)), (WALL + 1, fact(2))))) == 2
        assert await journal.commit(settle(1)) == 2
        assert await journal.commit(Commit(events=((WALL + 2, fact(3)),))) == 3
        records = await journal.read()
        assert [(record.seq, record.at, record.event) for record in records] == [
            (1, WALL, fact(1)),
            (2, WALL + 1, fact(2)),
            (3, WALL + 2, fact(3)),
        ]
        assert [record.seq for record in await journal.read(1, 1)] == [2]
        assert await journal.read(3) == []
        assert [record.seq for record in await journal.read(1, 1, kinds={type(records[0].event).__name__})] == [2]
        assert await journal.read(kinds={"TreeClosed"}) == []
        assert journal.head == 3


async def test_waiting_for_the_head_to_move(owner: Owner) -> None:
    heads: list[int] = []
    async with owner() as journal, trio.open_nursery() as nursery:

        async def wait(seq: int) -> None:
            heads.append(await journal.wait_beyond(seq))

        nursery.start_soon(wait, 0)
        nursery.start_soon(wait, 1)
        await trio.testing.wait_all_tasks_blocked()
        await journal.commit(settle(1))
        await trio.testing.wait_all_tasks_blocked()
        assert heads == []
        await journal.commit(Commit(events=((WALL, fact(1)),)))
        await trio.testing.wait_all_tasks_blocked()
        assert heads == [1]
        await journal.commit(Commit(events=((WALL, fact(2)),)))
        await trio.testing.wait_all_tasks_blocked()
        assert heads == [1, 2]
        assert await journal.wait_beyond(1) == 2


# State, checkpoints, timers


async def test_a_state_replaces_the_one_before(owner: Owner) -> None:
    async with owner() as journal:
        await journal.commit(settle(1, events=[fact(1)]))
        await journal.commit(settle(2))
        await journal.commit(settle(5, SHOP))
        held = await journal.recover(DESK)
        assert (held.state, held.state_seq) == (state(2), 1)
        assert (await journal.recover(SHOP)).state == state(5, SHOP)


async def test_a_timer_has_one_due_time(owner: Owner) -> None:
    async with owner() as journal:
        await journal.commit(Commit(timers=(timer("tick", 1.0), timer("sweep", 2.0))))
        await journal.commit(Commit(timers=(timer("tick", 3.5),)))
        assert (await journal.recover(DESK)).timers == {"tick": 3.5, "sweep": 2.0}
        assert (await journal.recover(SHOP)).timers == {}


async def test_a_slot_that_is_gone_leaves_its_events(owner: Owner) -> None:
    async with owner() as journal:
        await journal.commit(
            Commit(states=(state(1),), checkpoints=(checkpoint(1, "kept"),), timers=(timer("tick", 1.0),))
        )
        await journal.commit(Commit(accepted=(message(1),), events=((WALL, fact(1)),)))
        await journal.commit(settle(1, SHOP))
        await journal.commit(Commit(forget=(DESK,)))
        held = await journal.recover(DESK)
        assert (held.state, held.timers) == (None, {})
        assert held.messages == (message(1),)
        assert await journal.checkpoints(DESK) == []
        assert await journal.checkpoint(checkpoint(1).number) is None
        assert [record.event for record in await journal.read()] == [fact(1)]
        assert (await journal.recover(SHOP)).state is not None


async def test_what_is_forgotten_is_what_came_before(owner: Owner) -> None:
    """A slot that is removed and made again at once, in one transaction or in two that share a disk sync."""
    told = Told()
    async with owner() as journal:
        await journal.commit(settle(1))
        journal.submit(Commit(states=(state(2),), timers=(timer("tick", 2.0),)), told.of("old"))
        journal.submit(Commit(forget=(DESK,)), told.of("gone"))
        journal.submit(Commit(checkpoints=(checkpoint(3),), states=(state(3),)), told.of("new"))
        held = await journal.recover(DESK)
        assert (held.state, held.timers) == (state(3), {})
        await journal.commit(Commit(forget=(DESK,), states=(state(4),)))
        assert (await journal.recover(DESK)).state == state(4)
        assert await journal.checkpoints(DESK) == []


# Messages


async def test_a_mailbox_is_read_by_priority_and_then_in_order(owner: Owner) -> None:
    async with owner() as journal:
        await journal.commit(Commit(accepted=(message(1), message(2, priority=3), message(3, SHOP))))
        await journal.commit(
            Commit(accepted=(message(4, priority=0, sender=SHOP), message(5, deliveries=1, version=2)))
        )
        held = (await journal.recover(DESK)).messages
        assert [row.row for row in held] == [4, 1, 5, 2]
        assert held[0] == message(4, priority=0, sender=SHOP)
        assert held[2] == message(5, deliveries=1, version=2)
        assert type(held[0].sender) is Path


async def test_a_handled_message_is_gone(owner: Owner) -> None:
    async with owner() as journal:
        await journal.commit(Commit(accepted=(message(1), message(2), message(3))))
        await journal.commit(settle(1, acked=[2]))
        assert [row.row for row in (await journal.recover(DESK)).messages] == [1, 3]


async def test_a_returned_message_stays_at_its_place_with_its_counts(owner: Owner) -> None:
    async with owner() as journal:
        await journal.commit(Commit(accepted=(message(1), message(2))))
        await journal.commit(Commit(returned=(ReturnedRow(1, 2, 1, WALL + 60), ReturnedRow(99, 1))))
        held = (await journal.recover(DESK)).messages
        assert held == (message(1, deliveries=2, deaths=1, not_before=WALL + 60), message(2))


async def test_a_dead_letter_leaves_its_mailbox(owner: Owner) -> None:
    async with owner() as journal:
        await journal.commit(Commit(accepted=(message(1), message(2), message(3, SHOP))))
        await journal.commit(Commit(dead=(dead(1),)))
        await journal.commit(Commit(dead=(dead(3, SHOP, "full"), dead(2))))
        assert (await journal.recover(DESK)).messages == ()
        assert await journal.dead_letters() == [dead(2), dead(3, SHOP, "full"), dead(1)]
        assert await journal.dead_letters(DESK) == [dead(2), dead(1)]
        assert await journal.dead_letters(limit=1) == [dead(2)]


async def test_a_dead_letter_that_is_put_back_is_none_any_more(owner: Owner) -> None:
    async with owner() as journal:
        await journal.commit(Commit(accepted=(message(1), message(2))))
        await journal.commit(Commit(dead=(dead(1), dead(2))))
        assert await journal.dead_letter("t-1") == dead(1)
        assert await journal.dead_letter("t-3") is None
        await journal.commit(Commit(accepted=(message(3),), revived=("t-1",)))
        assert [row.row for row in (await journal.recover(DESK)).messages] == [3]
        assert await journal.dead_letters() == [dead(2)]
        assert await journal.dead_letter("t-1") is None
        for revived in (("t-1",), ("t-9",), ("t-2", "t-2"), ("t-2", "t-1")):
            with pytest.raises(CommitFailed, match="puts back is none"):
                await journal.commit(Commit(accepted=(message(4),), revived=revived, events=((WALL, fact(1)),)))
        assert [row.row for row in (await journal.recover(DESK)).messages] == [3]
        assert (await journal.dead_letters(), journal.head) == ([dead(2)], 0)
    async with owner() as journal:
        assert await journal.dead_letters() == [dead(2)]


async def test_a_message_may_be_given_up_and_put_back_in_one_disk_sync(owner: Owner) -> None:
    told = Told()
    async with owner() as journal:
        journal.submit(Commit(accepted=(message(1),)), told.of("accepted"))
        journal.submit(Commit(dead=(dead(1),)), told.of("dead"))
        journal.submit(Commit(accepted=(message(2),), revived=("t-1",)), told.of("back"))
        journal.submit(Commit(accepted=(message(3),), revived=("t-1",)), told.of("again"))
        held = await journal.recover(DESK)
        await trio.testing.wait_all_tasks_blocked()
        assert (told.kept, told.failed) == (["accepted", "dead", "back"], ["again"])
        assert held.messages == (message(2),)
        assert await journal.dead_letters() == []


async def test_a_reply_is_kept_until_the_asking_message_settles(owner: Owner) -> None:
    replies = [ReplyRow(id, DESK, "int", body, 2) for id, body in (("t-1>ask.0", "1"), ("t-1>ask.1", "2"))]
    other = ReplyRow("t-10>ask.0", DESK, "int", "3")
    elsewhere = [ReplyRow(f"t-1>{name}.0", SHOP, "int", "4") for name in ("x", "zz", "ä", "\U0010fffe")]
    async with owner() as journal:
        await journal.commit(Commit(replies=(*replies, other, *elsewhere)))
        assert (await journal.recover(SHOP)).replies == tuple(elsewhere)
        await journal.commit(Commit(replies=(ReplyRow("t-1>ask.0", DESK, "int", "5"),)))
        assert (await journal.recover(DESK)).replies == (other, *replies)
        await journal.commit(Commit(forget_replies=("t-1>",)))
        assert (await journal.recover(DESK)).replies == (other,)
        assert (await journal.recover(SHOP)).replies == ()


async def test_events_of_one_kind_about_one_slot(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("treewarden.supervisor.journal.sqlite._LOOKED_THROUGH", 3)
    async with owner() as journal:
        for number in range(1, 11):
            other = CheckpointKept(path=DESK, name="n", checkpoint=number)
            event = other if number % 3 == 0 else evolve(fact(number), path=SHOP if number % 5 == 0 else DESK)
            await journal.commit(Commit(events=((WALL, event),)))
        for after, through, found in ((0, 10, [1, 2, 4, 7, 8]), (1, 8, [2, 4, 7, 8]), (4, 4, []), (7, 99, [8])):
            records = await journal.read_all(after, through, DESK, "Recorded")
            assert [record.seq for record in records] == found
            assert [record.event for record in records] == [fact(number) for number in found]
