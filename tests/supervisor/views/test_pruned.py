"""What goes along with one agent of what the record of a cut holds."""

from __future__ import annotations

from attrs import evolve

from treewarden.agents.core.path import Path
from treewarden.supervisor.core.event import EventsPruned, TreeForked
from treewarden.supervisor.core.lineage import Past
from treewarden.supervisor.core.outcomes import Outcomes
from treewarden.supervisor.views.pruned import Pruned, part_of, pruned_of
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
    assert read(part_of(whole.as_data(), DESK)) == told_of(*THERE)


def test_a_record_without_anything_holds_nothing_of_anybody() -> None:
    assert part_of({}, DESK) == {}
