"""What every journal promises of states that are kept."""

from __future__ import annotations

import pytest
import trio.testing
from attrs import evolve

from treewarden.agents.core.label import Label
from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.errors import CommitFailed
from treewarden.supervisor.core.checkpoint import Search
from treewarden.supervisor.journal.port import CheckpointRow, Commit, Journal, KeepRow, PruneRow, RestoreRow

from ..journals import DESK, WALL, Owner, Told, checkpoint, fact, settle, state

SHOP = Path("shop")
BACK = Path("back/office")


def labelled(number: int, label: Label, path: Path = DESK) -> CheckpointRow:
    return evolve(checkpoint(number, path=path), label=label, pinned=True)


async def settled(journal: Journal, path: Path = DESK) -> list[int]:
    return [each.settled for each in await journal.checkpoints(path)]


async def test_a_checkpoint_is_listed_without_its_state_and_found_with_it(owner: Owner) -> None:
    row = labelled(4, Label("before the move", "the last good one", ("good", "v 2")))
    async with owner() as journal:
        await journal.commit(Commit(checkpoints=(row,), events=((WALL, fact(1)),)))
        (about,) = await journal.checkpoints(DESK)
        assert (about.number, about.path, about.kind, about.version) == (row.number, DESK, row.kind, 1)
        assert (about.settled, about.seq, about.at) == (4, 1, WALL + 4)
        assert (about.label, about.pinned, about.size) == (row.label, True, len(row.body))
        held = await journal.checkpoint(row.number)
        assert held is not None
        assert (held.about, held.state) == (about, state(4))
        assert await journal.checkpoint(99) is None
    async with owner() as journal:
        assert await journal.checkpoints(DESK) == [about]
        assert journal.opened.last_row == row.number


async def test_newest_first_and_below_a_path(owner: Owner) -> None:
    async with owner() as journal:
        for number in range(1, 4):
            await journal.commit(Commit(checkpoints=(checkpoint(number), checkpoint(number, path=SHOP))))
        await journal.commit(Commit(checkpoints=(checkpoint(4, path=BACK),)))
        assert await settled(journal) == [3, 2, 1]
        assert [each.path for each in await journal.checkpoints(ROOT, 3)] == [BACK, SHOP, DESK]
        assert await settled(journal, Path("back")) == [4]
        assert await settled(journal, Path("bac")) == []
        assert len(await journal.checkpoints(DESK, 2)) == 2


async def test_a_search_finds_what_fits_everything_that_it_says(owner: Owner) -> None:
    rows = (
        labelled(1, Label("Nightly", "before the Straße", ("night",))),
        labelled(2, Label("nightly", "", ("night", "good"))),
        labelled(3, Label("", "by hand", ("good",))),
        checkpoint(4),
    )
    async with owner() as journal:
        await journal.commit(Commit(checkpoints=rows))

        async def found(search: Search) -> list[int]:
            return [each.settled for each in await journal.checkpoints(DESK, search=search)]

        assert await found(Search()) == [4, 3, 2, 1]
        assert await found(Search(name="nightly")) == [2]
        assert await found(Search(name="night")) == []
        assert await found(Search(text="NIGHT")) == [2, 1]
        assert await found(Search(text="STRASSE")) == [1]
        assert await found(Search(text="hand")) == [3]
        assert await found(Search(tags=("night", "good"))) == [2]
        assert await found(Search(tags=("goo",))) == []
        for half in Search(name="\udcff"), Search(text="night\udcff"), Search(tags=("good", "\udcff")):
            assert await found(half) == []
        assert await found(Search(since=WALL + 2, until=WALL + 4)) == [3, 2]
        assert await found(Search(text="night", tags=("night",), until=WALL + 2)) == [1]
        numbers = [each.number for each in await journal.checkpoints(DESK)]
        assert await found(Search(number=numbers[1])) == [3]
        assert await found(Search(number=numbers[1], name="nightly")) == []
        assert await found(Search(number=max(numbers) + 1)) == []
        limited = await journal.checkpoints(DESK, 1, Search(tags=("night",)))
        assert [each.settled for each in limited] == [2]


async def test_what_is_not_pinned_makes_room_for_newer_ones(owner: Owner) -> None:
    async with owner() as journal:
        await journal.commit(Commit(checkpoints=(checkpoint(0, "stays"),)))
        for number in range(1, 6):
            kept = Commit(checkpoints=(checkpoint(number), checkpoint(number, path=SHOP)))
            await journal.commit(evolve(kept, prunes=(PruneRow(DESK, 3),)))
        assert await settled(journal) == [5, 4, 3, 0]
        assert await settled(journal, SHOP) == [5, 4, 3, 2, 1]
        assert await journal.checkpoint(checkpoint(2).number) is None
        await journal.commit(Commit(prunes=(PruneRow(DESK, 0),)))
        assert await settled(journal) == [0]


async def test_the_young_ones_stay(owner: Owner) -> None:
    async with owner() as journal:
        for number in range(1, 6):
            await journal.commit(Commit(checkpoints=(checkpoint(number),), prunes=(PruneRow(DESK, 1, WALL + 3),)))
        assert await settled(journal) == [5, 4, 3]


async def test_commits_that_share_a_disk_sync_prune_as_if_each_had_its_own(owner: Owner) -> None:
    told = Told()
    async with owner() as journal:
        for number in range(1, 4):
            kept = Commit(checkpoints=(checkpoint(number),), prunes=(PruneRow(DESK, 2),))
            journal.submit(kept, told.of("kept"))
        journal.submit(Commit(checkpoints=(checkpoint(4),)), told.of("not pruned"))
        journal.submit(Commit(checkpoints=(checkpoint(5),), prunes=(PruneRow(DESK, 9),)), told.of("kept"))
        assert await settled(journal) == [5, 4, 3, 2]
        await trio.testing.wait_all_tasks_blocked()
        assert told.failed == []


async def test_the_current_state_can_be_kept_unseen(owner: Owner) -> None:
    label = Label("nightly", tags=("night",))
    async with owner() as journal:
        await journal.commit(settle(1, events=[fact(1)]))
        await journal.commit(Commit(keeps=(KeepRow(DESK, 7, WALL + 9, label, pinned=True),), events=((WALL, fact(2)),)))
        await journal.commit(settle(2))
        held = await journal.checkpoint(7)
        assert held is not None
        assert held.state == state(1)
        assert (held.about.seq, held.about.at, held.about.label, held.about.pinned) == (1, WALL + 9, label, True)
        assert held.about.size == len(state(1).body)
    async with owner() as journal:
        assert journal.opened.last_row == 7


async def test_of_several_commits_in_one_disk_sync_each_keeps_what_was_current_for_it(owner: Owner) -> None:
    told = Told()
    async with owner() as journal:
        await journal.commit(settle(1))
        journal.submit(Commit(keeps=(KeepRow(DESK, 11),)), told.of("first"))
        journal.submit(settle(2), told.of("settled"))
        journal.submit(Commit(keeps=(KeepRow(DESK, 12),)), told.of("second"))
        journal.submit(Commit(keeps=(KeepRow(DESK, 13),), states=(state(3),)), told.of("third"))
        assert (await journal.recover(DESK)).state == state(3)
        found = [await journal.checkpoint(number) for number in (11, 12, 13)]
        assert [held and held.state for held in found] == [state(1), state(2), state(2)]


async def test_nothing_is_kept_of_a_slot_without_a_state(owner: Owner) -> None:
    told = Told()
    async with owner() as journal:
        with pytest.raises(CommitFailed, match="nothing of it was ever settled"):
            await journal.commit(Commit(keeps=(KeepRow(DESK, 1),)))
        journal.submit(settle(1), told.of("settled"))
        journal.submit(Commit(forget=(DESK,)), told.of("forgotten"))
        journal.submit(Commit(keeps=(KeepRow(DESK, 1),)), told.of("too late"))
        assert await journal.checkpoints(DESK) == []
        await trio.testing.wait_all_tasks_blocked()
        assert (told.kept, told.failed) == (["settled", "forgotten"], ["too late"])


async def test_a_number_is_given_once(owner: Owner) -> None:
    async with owner() as journal:
        await journal.commit(Commit(checkpoints=(checkpoint(1),)))
        with pytest.raises(CommitFailed):
            await journal.commit(Commit(checkpoints=(checkpoint(1, path=DESK),), states=(state(2),)))
        assert (await journal.recover(DESK)).state is None


async def test_going_back_makes_the_kept_state_the_current_one(owner: Owner) -> None:
    async with owner() as journal:
        await journal.commit(Commit(states=(state(1),), checkpoints=(checkpoint(1),)))
        await journal.commit(settle(2, events=[fact(2)]))
        back = RestoreRow(DESK, checkpoint(1).number, 2)
        await journal.commit(Commit(restores=(back,), keeps=(KeepRow(DESK, 20),), events=((WALL, fact(3)),)))
        held = await journal.recover(DESK)
        assert (held.state, held.state_seq) == (evolve(state(1), settled=2), 2)
        left = await journal.checkpoint(20)
        assert left is not None
        assert left.state == state(2)


async def test_each_rule_for_a_slot_has_its_turn_however_many_others_have(owner: Owner) -> None:
    async with owner() as journal:
        for number in range(1, 5):
            both = (checkpoint(number), checkpoint(number, path=SHOP))
            await journal.commit(Commit(checkpoints=both))
        await journal.commit(
            Commit(prunes=(PruneRow(DESK, 3), PruneRow(SHOP, 3), PruneRow(DESK, 0, WALL + 3), PruneRow(DESK, 0, WALL)))
        )
        left = [await journal.checkpoints(path) for path in (DESK, SHOP)]
        assert [[each.at - WALL for each in some] for some in left] == [[4, 3], [4, 3, 2]]


async def test_nobody_goes_back_to_what_was_pruned(owner: Owner) -> None:
    told = Told()
    back = RestoreRow(DESK, checkpoint(1).number, 5)
    async with owner() as journal:
        await journal.commit(Commit(states=(state(1),), checkpoints=(checkpoint(1),)))
        journal.submit(Commit(checkpoints=(checkpoint(2),), prunes=(PruneRow(DESK, 1),)), told.of("pruned"))
        journal.submit(Commit(restores=(back,), events=((WALL, fact(1)),)), told.of("back"))
        held = await journal.recover(DESK)
        await trio.testing.wait_all_tasks_blocked()
        assert (told.kept, told.failed) == (["pruned"], ["back"])
        assert (held.state, journal.head) == (state(1), 0)
        for wrong in (back, RestoreRow(SHOP, checkpoint(2).number, 5)):
            with pytest.raises(CommitFailed, match="was pruned, or never was one"):
                await journal.commit(Commit(restores=(wrong,)))


async def test_going_back_comes_before_a_later_pruning(owner: Owner) -> None:
    told = Told()
    async with owner() as journal:
        await journal.commit(Commit(states=(state(9),), checkpoints=(checkpoint(1),)))
        journal.submit(Commit(restores=(RestoreRow(DESK, checkpoint(1).number, 5),)), told.of("back"))
        journal.submit(Commit(checkpoints=(checkpoint(2),), prunes=(PruneRow(DESK, 1),)), told.of("pruned"))
        assert (await journal.recover(DESK)).state == evolve(state(1), settled=5)
        assert await settled(journal) == [2]
