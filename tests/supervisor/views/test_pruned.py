"""What goes along with one agent of what the record of a cut holds."""

from __future__ import annotations

from attrs import evolve

from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.path import Path
from treewarden.supervisor.core.event import EventsPruned, TreeForked
from treewarden.supervisor.core.lineage import Past
from treewarden.supervisor.core.outcomes import Outcomes
from treewarden.supervisor.journal.slices import at_once
from treewarden.supervisor.views.pruned import Pruned, part_of, pruned_of, without_forgotten
from treewarden.supervisor.views.tree_status import SlotView, TreeStatus

DESK = Path("desk")
THERE = (DESK, Path("desk/writer"))
OTHERS = (Path("des"), Path("desk2"), Path("other/desk"))


def told_of(*paths: Path) -> Pruned:
    return Pruned(
        status=TreeStatus(slots={path: SlotView(path=path, note="up") for path in paths}),
        lessons={str(path): Outcomes() for path in paths},
        labels=tuple({"key": f"{path} 1 of many", "seq": 1} for path in paths),
        pasts={str(path): Past(7, 1, {1: None}, None) for path in paths},
    )


def read(data: dict[str, object]) -> Pruned:
    return pruned_of(EventsPruned(tree="f0", through=7, hash="", count=7, until=0.0, by="ada", summary=data))


def test_it_is_what_concerns_the_agent_and_those_below_it() -> None:
    everything = told_of(*THERE, *OTHERS)
    whole = evolve(
        everything,
        status=evolve(everything.status, processes=3),
        lineage=(TreeForked(tree="f1", seq=1, hash=""),),
        blueprint="abc",
    )
    assert read(part_of(whole.as_data(), lambda path: path.is_within(DESK))) == told_of(*THERE)


def test_a_record_without_anything_holds_nothing_of_anybody() -> None:
    assert part_of({}, lambda _: True) == {}


def test_children_that_were_started_at_run_time_and_are_down_for_good_are_forgotten() -> None:
    """With whoever was below them, but for those who have left dead letters."""
    up, down, held = SlotState.UP, SlotState.DOWN, SlotState.HELD
    views = [
        SlotView(path=Path("jobs"), supervisor=True, strategy="simple_one_for_one", state=up),
        SlotView(path=Path("jobs/1"), state=down),
        SlotView(path=Path("jobs/2"), state=up),
        SlotView(path=Path("jobs/3"), state=held),
        SlotView(path=Path("jobs/4"), state=SlotState.RESTARTING),
        SlotView(path=Path("jobs/5"), state=down, dead=1),
        SlotView(path=Path("jobs/6/below"), state=down),
        SlotView(path=Path("jobs/6/left"), state=down, dead=2),
        SlotView(path=Path("jobs/6"), state=down, supervisor=True, strategy="one_for_one"),
        SlotView(path=Path("desk"), state=down),
        SlotView(path=Path("/"), state=down, supervisor=True, strategy="one_for_one"),
    ]
    whole = Pruned(status=TreeStatus(slots={view.path: view for view in views}, processes=2))
    left = at_once(without_forgotten(whole))
    assert [str(path) for path in left.status.slots] == [
        "jobs", "jobs/2", "jobs/3", "jobs/4", "jobs/5", "jobs/6/left", "desk", "/",
    ]  # fmt: skip
    assert left.status.processes == 2
    assert at_once(without_forgotten(left)) == left


def test_of_a_root_that_starts_its_children_at_run_time_too() -> None:
    views = [SlotView(path=Path("1")), SlotView(path=Path("/"), supervisor=True, strategy="simple_one_for_one")]
    whole = Pruned(status=TreeStatus(slots={view.path: view for view in views}))
    assert [*at_once(without_forgotten(whole)).status.slots] == ["/"]


def test_thousands_of_them_are_looked_at_in_slices() -> None:
    views = [SlotView(path=Path("/"), supervisor=True, strategy="simple_one_for_one")]
    views += [SlotView(path=Path(str(n)), state=SlotState.UP if n % 2 else SlotState.DOWN) for n in range(5000)]
    whole = Pruned(status=TreeStatus(slots={view.path: view for view in views}))
    slices, looks = without_forgotten(whole), 0
    try:
        while True:
            next(slices)
            looks += 1
    except StopIteration as end:
        left: Pruned = end.value
    assert looks == 12
    assert [*left.status.slots] == ["/", *(str(n) for n in range(1, 5000, 2))]
