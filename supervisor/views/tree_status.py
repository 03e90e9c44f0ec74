"""The tree as its committed events tell it: the same from a live file, a dead one, and a stream of events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from attrs import evolve, field, frozen

from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.core.said import is_number, plural

from ..core.event import (
    ChaosBegan,
    ChaosEnded,
    ChildEnded,
    ChildIgnored,
    ChildStarted,
    ChildStartFailed,
    DeadLettered,
    Decided,
    DependencyChanged,
    Event,
    FaultInjected,
    IncidentClosed,
    IncidentOpened,
    IntakeChanged,
    MessageReturned,
    QuestionAnswered,
    RolledBack,
    SlotMoved,
    SupervisorEnded,
    SupervisorStarted,
    TreeClosed,
    TreeOpened,
    TreeReloaded,
)
from ..core.moves import carried, move_of
from .committed import Committed

__all__ = ["READS", "SlotView", "TreeStatus", "fold"]

READS: Final = frozenset(
    kind.__name__
    for kind in (
        ChaosBegan, ChaosEnded, ChildEnded, ChildIgnored, ChildStartFailed, ChildStarted, DeadLettered, Decided,
        DependencyChanged, FaultInjected, IncidentClosed, IncidentOpened, IntakeChanged, MessageReturned,
        QuestionAnswered, RolledBack, SlotMoved, SupervisorEnded, SupervisorStarted, TreeClosed, TreeOpened,
        TreeReloaded,
    )
)  # fmt: skip
"""The events that change it; of others only the number and time of the last one are taken note of."""
_RESTARTS: Final = frozenset({"restart", "roll_back", "recycle", "set_aside", "fall_back"})
_PLANNED: Final = {**dict.fromkeys((*_RESTARTS, "break"), SlotState.RESTARTING), "hold": SlotState.HELD}


@frozen(kw_only=True)
class SlotView:
    """One slot, as of the last event that was folded."""

    path: Path
    supervisor: bool = False
    strategy: str = ""
    """A supervisor's."""
    state: SlotState = SlotState.DOWN
    since: float = 0.0
    """Wall seconds at which it came into that state."""
    incarnation: int = 0
    """The number of its latest life."""
    lives: int = 0
    """Incarnations that were started, in all processes."""
    restarts: int = 0
    """Those of them that followed another one in the same process."""
    starts: int = 0
    """Those of the current process."""
    note: str = ""
    until: float | None = None
    """Wall seconds until which `note` holds; None: until something else happens."""
    planned: str = ""
    """The name of the action that was decided for it and is not done yet."""
    failure: str = ""
    """Its last failure, in one line."""
    failed_at: float | None = None
    incident: str = ""
    """The id of the incident that it is in."""
    trouble: str = ""
    """The kind of that incident."""
    returned: int = 0
    """Messages whose handler did not settle."""
    dead: int = 0
    """Messages given up."""
    injected: int = 0
    """Faults that were injected on purpose."""


@frozen(kw_only=True)
class TreeStatus:
    """All slots that the events name, and what is known about the process that ran them."""

    slots: Mapping[Path, SlotView] = field(factory=dict[Path, SlotView])
    """In the order in which they first appeared."""
    seq: int = 0
    at: float = 0.0
    """Wall seconds of the last event."""
    epoch: int = 0
    processes: int = 0
    """How often the tree was opened."""
    crashes: int = 0
    """How often the process before had not closed it."""
    holder: str = ""
    version: str = ""
    opened_at: float | None = None
    closed_at: float | None = None
    """None while it runs, and for a process that died."""
    ending: str = ""
    """Why it was closed."""
    failed: bool = False
    reloads: int = 0
    chaos: str = ""
    """The faults that are asked for at present, or why no more come; empty for a process in which none were."""

    def depth_first(self) -> Iterator[tuple[int, SlotView]]:
        """Each slot with its depth (the root has 0), a supervisor before its children, siblings in start order."""
        below: dict[Path, dict[Path, None]] = {}
        known = dict(self.slots)
        for path in self.slots:
            while path != ROOT:
                siblings = below.setdefault(path.parent, {})
                if path in siblings:
                    break
                siblings[path] = None
                path = path.parent
                known.setdefault(path, SlotView(path=path, supervisor=True))
        rest: list[tuple[int, Path]] = [(0, ROOT)] if known else []
        while rest:
            depth, path = rest.pop()
            if path in known:
                yield depth, known[path]
            rest.extend((depth + 1, child) for child in reversed(below.get(path, {})))


def fold(status: TreeStatus, records: Iterable[Committed]) -> TreeStatus:
    """`status` with further events. Folding in two parts gives the same as folding at once."""
    slots = dict(status.slots)
    for record in records:
        status = _about_tree(status, slots, record)
        for path, changes in list(_about_slot(slots, record.event, record.at)):
            slots[path] = evolve(slots.get(path) or SlotView(path=path), **changes)
    return evolve(status, slots=slots)


def _about_tree(status: TreeStatus, slots: dict[Path, SlotView], record: Committed) -> TreeStatus:
    seen = evolve(status, seq=record.seq, at=record.at, epoch=record.epoch or status.epoch)
    match record.event:
        case TreeOpened(epoch=epoch, holder=holder, version=version, after_crash=after_crash):
            for path, slot in slots.items():
                slots[path] = evolve(_ended(slot, record.at), starts=0, note="", planned="", incident="", trouble="")
            return evolve(
                seen,
                epoch=epoch,
                processes=seen.processes + 1,
                crashes=seen.crashes + after_crash,
                holder=holder,
                version=version,
                opened_at=record.at,
                closed_at=None,
                ending="",
                failed=False,
                chaos="",
            )
        case TreeClosed(reason=reason, failed=failed):
            for path, slot in slots.items():
                slots[path] = evolve(_ended(slot, record.at), incident="", trouble="")
            return evolve(seen, closed_at=record.at, ending=reason, failed=failed)
        case TreeReloaded(removed=removed):
            for path in [path for path in slots if any(path.is_within(gone) for gone in removed)]:
                del slots[path]
            return evolve(seen, reloads=seen.reloads + 1)
        case SlotMoved():
            move = move_of(record.seq, record.event)
            if move is not None:
                there = {path: evolve(slot, path=path) for path, slot in carried(slots, move).items()}
                slots.clear()
                slots.update(there)
            return seen
        case ChaosBegan(order=order):
            return evolve(seen, chaos=order)
        case ChaosEnded(reason=reason, faults=faults):
            return evolve(seen, chaos=f"over after {plural(faults, 'fault')}: {reason}")
        case _:
            return seen


def _ended(slot: SlotView, at: float) -> SlotView:
    if slot.state in (SlotState.DOWN, SlotState.HELD):
        return slot
    note = "" if slot.planned in _RESTARTS or slot.until is not None else slot.note
    return evolve(slot, state=SlotState.DOWN, since=at, until=None, planned="", note=note)


_Changes = Mapping[str, object]


def _about_slot(slots: Mapping[Path, SlotView], event: Event, at: float) -> Iterator[tuple[Path, _Changes]]:
    match event:
        case SupervisorStarted(path=path, incarnation=incarnation, strategy=strategy):
            yield path, {**_life(slots.get(path), incarnation, at), "supervisor": True, "strategy": strategy}
        case ChildStarted(path=path, incarnation=incarnation):
            yield path, _life(slots.get(path), incarnation, at)
        case SupervisorEnded(path=path, reason=reason):
            yield from _below(slots, path, at)
            yield path, {**_end(slots.get(path), at), "note": "gave up" if "intensity" in reason else ""}
        case ChildEnded(path=path, failure=failure, exit=exit, reason=reason, expected=expected):
            yield from _below(slots, path, at)
            changes = _end(slots.get(path), at, expected=expected)
            if failure is not None:
                changes |= {"failure": str(failure), "failed_at": at}
            elif not expected:
                changes |= {"note": f"{exit}: {reason}" if reason and reason != exit else exit, "until": None}
            yield path, changes
        case ChildStartFailed(path=path, failure=failure):
            yield path, {**_end(slots.get(path), at), "failure": str(failure), "failed_at": at}
        case ChildIgnored(path=path):
            yield path, {**_end(slots.get(path), at), "note": "ignored its start"}
        case Decided(path=path, action=action):
            yield path, _decided(slots.get(path), action, event.details, at)
        case QuestionAnswered(slot=path):
            slot = slots.get(path)
            if slot is not None and slot.state is SlotState.HELD:
                lives = slot.planned == "hold"
                state = SlotState.UP if lives else SlotState.DOWN
                yield path, {"state": state, "since": at, "note": "", "planned": ""}
        case IncidentOpened(path=path, incident=incident, kind=kind):
            yield path, {"incident": incident, "trouble": kind}
        case IncidentClosed(path=path, incident=incident):
            slot = slots.get(path)
            if slot is not None and slot.incident == incident:
                over = {"note": "", "until": None, "planned": ""} if slot.state is SlotState.UP else {}
                yield path, {"incident": "", "trouble": "", **over}
        case MessageReturned(path=path):
            yield path, {"returned": (slots[path].returned if path in slots else 0) + 1}
        case FaultInjected(path=path):
            yield path, {"injected": (slots[path].injected if path in slots else 0) + 1}
        case DeadLettered(path=path):
            yield path, {"dead": (slots[path].dead if path in slots else 0) + 1}
        case IntakeChanged(path=path, admits=admits, of=most):
            yield path, {"note": "" if admits == most else f"admits {admits} of {most}"}
        case DependencyChanged():
            yield from _dependency(slots, event, at)
        case RolledBack(path=path, to=to):
            yield path, {"note": f"rolled back to {'its first state' if to is None else f'checkpoint {to}'}"}
        case _:
            pass


def _dependency(slots: Mapping[Path, SlotView], event: DependencyChanged, at: float) -> Iterator[tuple[Path, _Changes]]:
    """All its users wait, one of them tries, or nobody has to wait any more; or one more waits."""
    waits, tries = f"waits for {event.dependency}", f"tries {event.dependency}"
    for user in event.users:
        slot = slots.get(user)
        if event.passage == "open":
            yield user, {"note": waits, "until": at + event.seconds}
        elif event.passage == "waits":
            down = slot is not None and slot.state is SlotState.DOWN
            state = {"state": SlotState.RESTARTING, "since": at} if down else {}
            yield (
                user,
                {"note": waits, "until": at + event.seconds if event.seconds else None, "planned": "break", **state},
            )
        elif event.passage == "half_open":
            yield user, {"note": tries if user == event.path else waits, "until": None}
        elif slot is not None and slot.note in (waits, tries):
            yield user, {"note": "", "until": None}


def _life(slot: SlotView | None, incarnation: int, at: float) -> dict[str, object]:
    """A life begins. A supervisor's is told twice where it is somebody's child; it counts once."""
    slot = slot or SlotView(path=ROOT)
    again = slot.supervisor and slot.incarnation == incarnation and slot.state is SlotState.UP
    return {
        "state": SlotState.UP,
        "since": slot.since if again else at,
        "incarnation": incarnation,
        "lives": slot.lives + (not again),
        "restarts": slot.restarts + (not again and slot.starts > 0),
        "starts": slot.starts + (not again),
        "note": slot.note if slot.note.startswith("rolled back") else "",
        "until": None,
        "planned": "",
    }


def _below(slots: Mapping[Path, SlotView], path: Path, at: float) -> Iterator[tuple[Path, _Changes]]:
    """Nobody below outlives a supervisor; one that was killed does not tell of each of its children."""
    if path in slots and slots[path].supervisor:
        for below, slot in slots.items():
            if below != path and below.is_within(path):
                down = slot.state in (SlotState.DOWN, SlotState.HELD)
                changes = {} if down else {"state": SlotState.DOWN, "since": at, "until": None, "planned": ""}
                yield below, {"incident": "", "trouble": "", **changes}


def _end(slot: SlotView | None, at: float, *, expected: bool = False) -> dict[str, object]:
    """A life ends. What was decided before says what the slot is now."""
    planned = "" if slot is None else slot.planned
    if planned == "break" and expected:  # somebody stops it while it waits
        return {"state": SlotState.DOWN, "since": at, "note": "", "until": None, "planned": ""}
    changes = {"planned": ""} if planned == "hold" else {}
    return {"state": _PLANNED.get(planned, SlotState.DOWN), "since": at, **changes}


def _decided(slot: SlotView | None, action: str, details: Mapping[str, object], at: float) -> dict[str, object]:
    up = slot is not None and slot.state in (SlotState.UP, SlotState.STARTING)
    held = slot is not None and slot.state is SlotState.HELD and slot.planned == "hold"  # and lives
    changes: dict[str, object] = {"planned": action, "until": None}
    if action in _RESTARTS:
        after = _seconds(details.get("after"))
        changes |= {"note": action.replace("_", " "), "until": at + after if after else None}
        return changes if up else {**changes, "state": SlotState.RESTARTING, "since": at}
    match action:
        case "throttle" | "break" if held:
            return {}
        case "throttle":
            return {**changes, "note": "throttled", "until": at + _seconds(details.get("seconds")), "planned": ""}
        case "break":
            changes |= {"note": f"waits for {details.get('dependency') or 'a dependency'}"}
            changes |= {"until": at + _seconds(details.get("seconds"))}
            return changes if up else {**changes, "state": SlotState.RESTARTING, "since": at}
        case "hold":
            note = f"held: {details.get('question') or 'a person decides'}"
            lives = action if up or held else ""
            return {**changes, "note": note, "state": SlotState.HELD, "since": at, "planned": lives}
        case "stop":
            return {**changes, "note": "stopped for good"}
        case "escalate":
            return {**changes, "note": f"handed up: {details.get('reason') or 'escalated'}"}
        case _ if held:
            return {}
        case _ if "name" in details and not up:
            return {"planned": "", "note": f"waits for {action}", "state": SlotState.RESTARTING, "since": at}
        case _:
            return {"planned": ""}


def _seconds(value: object) -> float:
    return float(value) if is_number(value) else 0.0
