"""What pruned events came to, as data that the record of the cut holds, and back."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

import attrs
from attrs import evolve, field, frozen

from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.path import ROOT, Path

from ..core.event import EventsPruned, IncidentLabelled, TreeForked, TreeOpened, TreeReloaded
from ..core.lineage import Past
from ..core.outcomes import Outcomes, learn
from ..core.outcomes_data import as_data, outcomes_of
from ..core.spec import Strategy
from . import tree_status
from .committed import Committed
from .tree_status import SlotView, TreeStatus

__all__ = ["Pruned", "fold", "part_of", "pruned_of", "without_forgotten"]

T = TypeVar("T", SlotView, TreeStatus)

_RUN: Final = 1000
"""Slots that are looked at at a time: in two milliseconds."""


@frozen(kw_only=True)
class Pruned:
    """The fold of all events up to a cut."""

    status: TreeStatus = TreeStatus()
    outcomes: Outcomes = Outcomes()
    lessons: Mapping[str, Outcomes] = field(factory=dict[str, Outcomes])
    """The same by slot, in a journal of no tree: there each adviser learns from its own."""
    lineage: tuple[TreeForked, ...] = ()
    labels: tuple[Mapping[str, Any], ...] = ()
    """The last label of each incident that has one: `seq`, `at`, `epoch`, and the event, perhaps as it is stored."""
    blueprint: str = ""
    """The digest of the code that ran last."""
    pasts: Mapping[str, Past] = field(factory=dict[str, Past])
    """Of each slot that had gone back from one of its checkpoints: what led to what."""

    def as_data(self) -> dict[str, Any]:
        """As JSON can hold it; what is as it was in the beginning is left out."""
        status = _changed(self.status, TreeStatus())
        status["slots"] = [_changed(slot, SlotView(path=slot.path)) for slot in self.status.slots.values()]
        return {
            "status": status,
            "outcomes": as_data(self.outcomes),
            "lessons": {path: as_data(each) for path, each in self.lessons.items()},
            "lineage": [[each.tree, each.seq, each.hash] for each in self.lineage],
            "labels": [dict(each) for each in self.labels],
            "blueprint": self.blueprint,
            "pasts": [
                [path, past.last, past.newest, *map(list, past.leads.items())] for path, past in self.pasts.items()
            ],
        }


def fold(pruned: Pruned, records: Iterable[Committed]) -> Pruned:
    """`pruned` with further events."""
    outcomes, lessons = pruned.outcomes, dict(pruned.lessons)
    lineage, blueprint = list(pruned.lineage), pruned.blueprint
    labels = {str(each["key"]): each for each in pruned.labels}
    told: Sequence[Committed] = list(records)
    status = tree_status.fold(pruned.status, [each for each in told if type(each.event).__name__ in tree_status.READS])
    for record in told:
        event = record.event
        if isinstance(event, (TreeOpened, TreeReloaded)):
            blueprint = event.blueprint
        elif isinstance(event, TreeForked):
            lineage.append(event)
        elif isinstance(event, IncidentLabelled):
            key = f"{event.path} {event.incident}"
            version = getattr(IncidentLabelled, "__version__", 1)
            at = {"seq": record.seq, "at": record.at, "epoch": record.epoch}
            labels.pop(key, None)
            labels[key] = {**at, "key": key, "version": version, "event": event}
        taught = learn(outcomes, event, record.at)
        if taught is not outcomes:
            outcomes = taught
            path = str(getattr(event, "path", ""))
            lessons[path] = learn(lessons.get(path, Outcomes()), event, record.at)
    if status.processes:
        lessons = {}
    return Pruned(
        status=status,
        outcomes=outcomes,
        lessons=lessons,
        lineage=tuple(lineage),
        labels=tuple(labels.values()),
        blueprint=blueprint,
        pasts=pruned.pasts,
    )


def without_forgotten(pruned: Pruned) -> Generator[None, None, Pruned]:
    """`pruned` without the children of dynamic supervisors that are down for good, and whoever was below them: nobody
    starts them again, and a record of all that there ever were would grow for ever. Who has left dead letters stays.
    With pauses, if there are many.
    """
    slots = pruned.status.slots
    gone = set[Path]()
    for run in _runs(slots):
        gone.update([path for path, slot in run if _is_gone(path, slot, slots)])
        yield
    if not gone:
        return pruned
    left: dict[Path, SlotView] = {}
    for run in _runs(slots):
        left.update([(path, slot) for path, slot in run if slot.dead or gone.isdisjoint(_way_to(path))])
        yield
    return evolve(pruned, status=evolve(pruned.status, slots=left))


def _runs(slots: Mapping[Path, SlotView]) -> Iterator[list[tuple[Path, SlotView]]]:
    rest = iter(slots.items())
    while run := list(islice(rest, _RUN)):
        yield run


def _is_gone(path: Path, slot: SlotView, slots: Mapping[Path, SlotView]) -> bool:
    return path != ROOT and slot.state is SlotState.DOWN and _starts_at_run_time(slots.get(path.parent))


def _starts_at_run_time(supervisor: SlotView | None) -> bool:
    return supervisor is not None and supervisor.strategy == Strategy.DYNAMIC.value


def _way_to(path: Path) -> Iterator[Path]:
    """`path`, and all above it but the root."""
    while path != ROOT:
        yield path
        path = path.parent


def pruned_of(event: EventsPruned | None) -> Pruned:
    """What the record of a cut holds of the events before it; of None, and of one without, nothing."""
    data: Mapping[str, Any] = event.summary if event is not None else {}
    if event is None or not data:
        return Pruned()
    told = dict(data["status"])
    slots = {Path(each["path"]): _slot(each) for each in told.pop("slots")}
    return Pruned(
        status=evolve(TreeStatus(**told), slots=slots),
        outcomes=outcomes_of(data["outcomes"]),
        lessons={path: outcomes_of(each) for path, each in data["lessons"].items()},
        lineage=tuple(TreeForked(tree=tree, seq=seq, hash=hash) for tree, seq, hash in data["lineage"]),
        labels=tuple(data["labels"]),
        blueprint=data["blueprint"],
        pasts={path: _past(event.through, last, newest, leads) for path, last, newest, *leads in data.get("pasts", ())},
    )


def part_of(data: Mapping[str, Any], concerns: Callable[[Path], bool]) -> dict[str, Any]:
    """Of what the record of a cut holds what concerns some slots, as the record of another journal can hold it: nothing
    of the tree as a whole, of what its supervisors have learned, and of other slots."""

    def within(each: object) -> bool:
        return concerns(Path(str(each)))

    if not data:
        return {}
    whole = Pruned().as_data()
    return {
        **whole,
        "status": {**whole["status"], "slots": [each for each in data["status"]["slots"] if within(each["path"])]},
        "lessons": {slot: each for slot, each in data["lessons"].items() if within(slot)},
        "labels": [each for each in data["labels"] if within(str(each["key"]).partition(" ")[0])],
        "pasts": [each for each in data.get("pasts", ()) if within(each[0])],
    }


def _slot(data: Mapping[str, Any]) -> SlotView:
    view = SlotView(**data)
    return evolve(view, path=Path(view.path), state=SlotState(view.state))


def _past(
    through: int, last: Sequence[int | None] | None, newest: int | None, leads: Sequence[tuple[int, int | None]]
) -> Past:
    place, number = last or (0, None)
    # In a bundle that was numbered anew nothing is left of what the events had for numbers.
    return Past(through, newest, dict(leads), None if not place else (min(place, through), number))


def _changed(value: T, default: T) -> dict[str, Any]:
    """The fields of `value` that are not those of `default`, and its path."""
    names = [each.name for each in attrs.fields(value.__class__) if each.name != "slots"]
    return {
        name: getattr(value, name) for name in names if name == "path" or getattr(value, name) != getattr(default, name)
    }
