"""What every journal promises of events that are given up."""

from __future__ import annotations

from attrs import evolve

from treewarden.agents.core.label import Label
from treewarden.agents.core.path import Path
from treewarden.supervisor.core.event import (
    EventsPruned,
    IncidentClosed,
    IncidentLabelled,
    IncidentOpened,
    OutcomeObserved,
    SupervisorEnded,
    TreeOpened,
    TreeReloaded,
    Tried,
)
from treewarden.supervisor.core.outcomes import Outcomes, learn
from treewarden.supervisor.core.retention import EventRetention
from treewarden.supervisor.journal.port import Commit, Journal, Lessons
from treewarden.supervisor.pruning import Pruning
from treewarden.supervisor.views.pruned import pruned_of

from ..journals import DESK, WALL, Owner, WallClock, checkpoint, fact, settle

LAST = EventRetention(last=3)


async def written(journal: Journal, events: int = 10) -> None:
    for number in range(1, events + 1):
        await journal.commit(settle(number, events=[fact(number)]))


async def cut_of(journal: Journal) -> EventsPruned:
    found = await journal.cut()
    assert found is not None
    assert isinstance(found.event, EventsPruned)
    return found.event


async def test_what_a_retention_lets_go_is_gone_and_the_rest_has_its_numbers(owner: Owner) -> None:
    async with owner() as journal:
        assert await journal.cut() is None
        await written(journal)
        plan = await Pruning(journal, WallClock()).prune(LAST, "ada")
        assert (plan.after, plan.through, plan.held) == (0, 7, ())
        assert str(plan) == "events 1 to 7 are pruned"
        assert [record.seq for record in await journal.read()] == [8, 9, 10, 11]
        cut = await cut_of(journal)
        assert (cut.through, cut.count, cut.by, cut.until) == (7, 7, "ada", WALL + 7)
        await journal.commit(settle(11, events=[fact(11)]))
    async with owner() as journal:
        assert await cut_of(journal) == cut
        assert [record.seq for record in await journal.read()] == [8, 9, 10, 11, 12]
        again = await Pruning(journal, WallClock()).prune(LAST, "ada")
        assert (again.after, again.through) == (7, 9)
        assert [record.seq for record in await journal.read()] == [10, 11, 12, 13]


async def test_nothing_is_written_where_nothing_may_go(owner: Owner) -> None:
    async with owner() as journal:
        await written(journal, 3)
        plan = await Pruning(journal, WallClock()).prune(LAST, "ada")
        assert (plan.count, str(plan), journal.head) == (0, "nothing to prune", 3)


async def test_an_event_stays_if_either_rule_says_so(owner: Owner) -> None:
    async with owner() as journal:
        await written(journal)
        pruning = Pruning(journal, clock_at(WALL + 20))
        for retention, through in (
            (EventRetention(within=15.0), 4),
            (EventRetention(within=15.0, last=8), 2),
            (EventRetention(within=9.0, last=2), 8),
            (EventRetention(within=5.0), 10),
            (EventRetention(last=0), 10),
        ):
            assert (await pruning.plan(retention)).through == through


async def test_an_open_incident_stays_from_its_beginning(owner: Owner) -> None:
    opened = IncidentOpened(path=DESK, incident="1.1", kind="crash")
    async with owner() as journal:
        await written(journal, 4)
        await journal.commit(Commit(events=((WALL + 5, opened),)))
        await written(journal)
        pruning = Pruning(journal, WallClock())
        plan = await pruning.prune(LAST, "ada")
        assert plan.through == 4
        assert str(plan) == ("events 1 to 4 are pruned; more stays, because incident 1.1 of desk is open since then")
        closed = IncidentClosed(path=DESK, incident="1.1", outcome="fixed")
        await journal.commit(Commit(events=((WALL + 30, closed),)))
        assert (await pruning.plan(LAST)).through == journal.head - 3


async def test_an_incident_that_nobody_sees_the_end_of_keeps_nothing(owner: Owner) -> None:
    opened = IncidentOpened(path=DESK / "writer", incident="1.1", kind="crash")
    for end in (SupervisorEnded(path=DESK, incarnation=1, reason="killed"), TreeReloaded(removed=(DESK,))):
        async with owner() as journal:
            await journal.commit(Commit(events=((WALL, opened),)))
            before = journal.head - 1
            await written(journal)
            assert (await Pruning(journal, WallClock()).plan(EventRetention(last=0))).through == before
            await journal.commit(Commit(events=((WALL + 5, end),)))
            assert (await Pruning(journal, WallClock()).plan(EventRetention(last=0))).through == journal.head


async def test_the_event_of_a_named_checkpoint_stays_unless_that_is_wanted(owner: Owner) -> None:
    async with owner() as journal:
        for number in range(1, 11):
            kept = checkpoint(number, "good" if number == 5 else "")
            await journal.commit(evolve(settle(number, events=[fact(number)]), checkpoints=(kept,)))
        pruning = Pruning(journal, WallClock())
        plan = await pruning.plan(LAST)
        assert plan.through == 4
        assert plan.held[0].startswith("checkpoint 11 of desk")
        assert (await pruning.prune(evolve(LAST, past_checkpoints=True), "ada")).through == 7
        (about,) = [each for each in await journal.checkpoints(DESK) if each.label == Label("good")]
        assert await journal.checkpoint(about.number) is not None


async def test_what_no_head_covers_stays(owner: Owner) -> None:
    async with owner() as journal:
        await written(journal)
        plan = await Pruning(journal, WallClock(), covered=lambda: 2).plan(LAST)
        assert (plan.through, plan.held) == (2, ("no head that is kept outside covers more",))


async def test_what_went_has_taught_what_it_has_taught(owner: Owner) -> None:
    outcome = OutcomeObserved(
        path=DESK, incident="1.1", action="restart", kind="crash", outcome="fixed", confidence=0.7, model=0.6
    )
    expected = Outcomes()
    async with owner() as journal:
        opened = TreeOpened(epoch=1, holder="process 7", version="1", blueprint="abc")
        await journal.commit(Commit(events=((WALL, opened),)))
        for number in range(12):
            at = WALL + number
            expected = learn(expected, outcome, at)
            await journal.commit(Commit(events=((at, outcome),)))
        pruning = Pruning(journal, WallClock())
        await pruning.prune(EventRetention(last=6), "ada")
        await pruning.prune(EventRetention(last=0), "ada")
        pruned = pruned_of(await cut_of(journal))
        assert pruned.outcomes == expected
        assert pruned.blueprint == "abc"
        assert pruned.status.processes == 1


async def test_the_last_label_of_each_incident_that_was_pruned_is_still_there(owner: Owner) -> None:
    def label(incident: str, cause: str) -> Commit:
        tried = (Tried(action="restart", kind="crash", fixed=True),)
        told = IncidentLabelled(path=DESK, incident=incident, cause=cause, symptoms=(("crash",),), tried=tried)
        return Commit(events=((WALL, told),))

    async with owner() as journal:
        for incident, cause in (("1.1", "leak"), ("1.2", "hang"), ("1.1", "overload")):
            await journal.commit(label(incident, cause))
        before = await journal.labels()
        for _ in range(2):
            await Pruning(journal, WallClock()).prune(EventRetention(last=0), "ada")
        assert [record.event for record in await journal.labels()] == [record.event for record in before[1:]]
        await journal.commit(label("1.2", "transient"))
        assert [(record.seq, record.at) for record in await journal.labels()] == [(2, WALL), (3, WALL), (6, WALL)]


async def test_each_adviser_of_a_journal_without_a_tree_keeps_its_own_lessons(owner: Owner) -> None:
    async with owner() as journal:
        for path in (DESK, Path("shop")):
            outcome = OutcomeObserved(path=path, incident="1", action="wait", kind="slow", outcome="failed")
            await journal.commit(Commit(events=((WALL, outcome),)))
        await Pruning(journal, WallClock()).prune(EventRetention(last=0), "ada")
        pruned = pruned_of(await cut_of(journal))
        assert sorted(pruned.lessons) == ["desk", "shop"]
        assert len(pruned.lessons["desk"].recent) == 1


def clock_at(wall: float) -> WallClock:
    class Later(WallClock):
        def wall(self) -> float:
            return wall

    return Later()


async def test_the_lessons_are_what_the_parts_say_each_by_itself(owner: Owner) -> None:
    kinds = {"Recorded"}
    async with owner() as journal:
        assert await journal.lessons(5, kinds) == Lessons(None, [], [], [])
        await written(journal, 4)
        label = IncidentLabelled(path=DESK, incident="1.1", cause="leak", by="ada")
        await journal.commit(Commit(events=((WALL, label),)))
        await journal.commit(settle(5, events=[fact(5)]))
        found = await journal.lessons(4, kinds)
        assert found == Lessons(None, await journal.read(2, kinds=kinds), await journal.labels(), [])
        assert [record.seq for record in found.lately] == [3, 4, 6]
        await Pruning(journal, WallClock()).prune(LAST, "ada")
        assert [record.seq for record in (await journal.lessons(100, kinds)).lately] == [4, 6]
    async with owner() as journal:
        again = await journal.lessons(100, kinds)
        assert again == Lessons(await journal.cut(), await journal.read(3, kinds=kinds), await journal.labels(), [])
        assert again.cut is not None
        assert len(again.labels) == 1


async def test_which_code_there_was_is_found_however_long_ago_unless_it_was_cut_off(owner: Owner) -> None:
    opened = TreeOpened(epoch=1, holder="process 7", version="1", blueprint="abc")
    async with owner() as journal:
        await journal.commit(Commit(events=((WALL, opened),)))
        await written(journal)
        (found,) = (await journal.lessons(3, set())).code
        assert (found.seq, found.event) == (1, opened)
        reloaded = TreeReloaded(changed=(DESK,), blueprint="def")
        await journal.commit(Commit(events=((WALL, reloaded),)))
        await written(journal)
        (found,) = (await journal.lessons(3, set())).code
        assert (found.seq, found.event) == (12, reloaded)
        await Pruning(journal, WallClock()).prune(LAST, "ada")
        assert (await journal.lessons(3, set())).code == ()
        assert pruned_of(await cut_of(journal)).blueprint == "def"


async def test_what_a_cut_gives_up_teaches_nothing_before_it_is_deleted(owner: Owner) -> None:
    """As where the process ended between the two."""
    async with owner() as journal:
        await written(journal, 4)
        cut = EventsPruned(tree="t", through=2, hash="", count=2, until=WALL, by="ada")
        await journal.commit(Commit(events=((WALL, cut),)))
        assert [record.seq for record in (await journal.lessons(100, {"Recorded"})).lately] == [3, 4]
