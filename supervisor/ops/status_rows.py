"""The tree as rows of a table, and which rows to show where not all have room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, Protocol, TypeVar

from attrs import frozen

from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.path import ROOT, Path

from ..views.tree_status import SlotView
from .wording import PLAIN, Paint, clean, columns, duration, ending_at, local, plural

__all__ = [
    "Fitted",
    "Kept",
    "LiveSlot",
    "file_counts",
    "file_table",
    "fit",
    "live_lines",
    "live_table",
]


class LiveSlot(Protocol):
    """A slot of a tree that runs in this process, with its numbers of this moment."""

    @property
    def path(self) -> Path: ...
    @property
    def depth(self) -> int: ...
    @property
    def supervisor(self) -> bool: ...
    @property
    def state(self) -> SlotState: ...
    @property
    def incarnation(self) -> int: ...
    @property
    def restarts(self) -> int: ...
    @property
    def mailbox(self) -> int: ...
    @property
    def handled(self) -> int: ...
    @property
    def parked(self) -> int: ...
    @property
    def events(self) -> int: ...
    @property
    def zombie(self) -> bool: ...
    @property
    def note(self) -> str: ...


L = TypeVar("L", bound=LiveSlot)

_WORST: Final = (
    SlotState.HELD,
    SlotState.RESTARTING,
    SlotState.DOWN,
    SlotState.STOPPING,
    SlotState.STARTING,
    SlotState.UP,
)
_STYLES: Final = {
    SlotState.UP: "good",
    SlotState.HELD: "bad",
    SlotState.RESTARTING: "warn",
    SlotState.STARTING: "warn",
    SlotState.STOPPING: "warn",
    SlotState.DOWN: "dim",
}
_LASTING: Final = frozenset({SlotState.DOWN, SlotState.HELD})
_HEADING: Final = ("slot", "state", "life", "restarts", "mailbox", "handled", "")
_RIGHT: Final = frozenset({2, 3, 4, 5})
_BEGIN: Final = 100
"""Characters by which a text is known again: a question has room for the beginning of a long one."""


@frozen
class Fitted:
    """What has room."""

    rows: tuple[LiveSlot, ...]
    whole: bool
    """All slots are shown, in the order of the tree; otherwise the worst first, with their full paths."""
    rest: str = ""
    """What is not shown, in a line."""


def fit(slots: Sequence[LiveSlot], room: int) -> Fitted:
    """The slots that `room` lines can show; `rest` is one of those lines."""
    if len(slots) <= room:
        return Fitted(tuple(slots), True)
    shown = max(0, room - 1)
    worst = sorted(slots, key=_badness)
    return Fitted(tuple(worst[:shown]), False, _rest(worst[shown:], shown))


def _badness(slot: LiveSlot) -> tuple[int, bool, int, int]:
    return _WORST.index(slot.state), not (slot.note or slot.zombie), -slot.restarts, -slot.mailbox


def _rest(slots: Sequence[LiveSlot], shown: int) -> str:
    states = Counter(slot.state.value for slot in slots)
    lead = f"and {len(slots)} more" if shown else f"{len(slots)} slots"
    if len(states) == 1:
        return f"{lead}, all {slots[0].state.value}"
    return f"{lead}: {', '.join(f'{n} {state}' for state, n in states.most_common())}"


def _live_row(slot: LiveSlot, *, indent: bool) -> tuple[str, ...]:
    """One slot under the heading; a supervisor has no life or count of its own, and of mailboxes a queue at most."""
    name = "  " * slot.depth + slot.path.name if indent else str(slot.path)
    dying = ["an earlier life does not end"] if slot.zombie else []
    note = clean("; ".join([*dying, *_aside(slot), *([slot.note] if slot.note else [])]))
    if slot.supervisor:
        return (name, slot.state.value, "", str(slot.restarts or ""), str(slot.mailbox or ""), "", note)
    numbers = (slot.incarnation, slot.restarts, slot.mailbox, slot.handled)
    return (name, slot.state.value, *(str(n) for n in numbers), note)


def _aside(slot: LiveSlot | Kept) -> list[str]:
    """What stands beside the messages of its mailbox, in words."""
    parked = [f"{slot.parked:,} parked"] if slot.parked else []
    return [*parked, f"{plural(slot.events, 'event')} kept"] if slot.events else parked


def live_lines(slots: Sequence[LiveSlot], room: int, width: int | None = None) -> list[tuple[str, str]]:
    """The table of a running tree in at most `room` lines below its heading: lines with their styles."""
    fitted = fit(slots, room)
    rows = [_live_row(slot, indent=fitted.whole) for slot in fitted.rows]
    heading, *lines = columns([_HEADING, *rows], right=_RIGHT, width=width)
    styled = [(line, _live_style(slot)) for slot, line in zip(fitted.rows, lines, strict=True)]
    return [(heading, "dim"), *styled, *([(fitted.rest, "")] if fitted.rest else [])]


def live_table(slots: Sequence[LiveSlot], room: int, width: int | None = None, paint: Paint = PLAIN) -> list[str]:
    """The same, painted."""
    return [paint(line, style) for line, style in live_lines(slots, room, width)]


def _live_style(slot: LiveSlot) -> str:
    if slot.state is SlotState.UP:
        return "warn" if slot.note or slot.zombie else ""
    return _STYLES[slot.state]


@frozen(kw_only=True)
class Kept:
    """What a file holds for one slot besides its events."""

    settled: int | None = None
    mailbox: int = 0
    """Messages that wait for their turn, or are in hand."""
    parked: int = 0
    """Messages whose handlers wait."""
    events: int = 0
    """Those for which no handler waits yet."""
    due: float | None = None
    """Wall seconds of its next timer."""


def file_table(
    rows: Sequence[tuple[int, SlotView, Kept]],
    now: float,
    *,
    owned: bool,
    width: int | None = None,
    paint: Paint = PLAIN,
) -> list[str]:
    """The table of a journal: the tree as of its last committed event. Remaining times only where somebody owns it."""
    heading = ("slot", "state", "lives", "restarts", "settled", "mailbox", "dead", "next due", "")
    table: list[tuple[str, ...]] = [heading]
    for depth, slot, kept in rows:
        name = "  " * depth + slot.path.name
        state = _state(slot, owned=owned)
        restarts, remark = str(slot.restarts or ""), clean(_remark(slot, kept, now, owned=owned))
        if slot.supervisor:
            waiting, dead = str(kept.mailbox or ""), str(slot.dead or "")  # of a queue that its workers share
            table.append((name, state, "", restarts, "", waiting, dead, "", remark))
            continue
        settled = "" if kept.settled is None else str(kept.settled)
        due = "" if kept.due is None else local(kept.due)
        table.append((name, state, str(slot.lives), restarts, settled, str(kept.mailbox), str(slot.dead), due, remark))
    lines = columns(table, right=frozenset({2, 3, 4, 5, 6}), width=width)
    styles = [_STYLES[slot.state] if slot.state is not SlotState.UP else "" for _, slot, _ in rows]
    return [paint(line, style) for line, style in zip(lines, ["dim", *styles], strict=True)]


def file_counts(slots: Iterable[SlotView], *, owned: bool) -> str:
    """How many slots are in which state, the most first. The root is no slot: no spec describes a place for it."""
    states = Counter(_state(slot, owned=owned) for slot in slots if slot.path != ROOT)
    return f"{plural(states.total(), 'slot')}: {', '.join(f'{n} {state}' for state, n in states.most_common())}"


def _state(slot: SlotView, *, owned: bool) -> str:
    return slot.state.value if owned or slot.state in _LASTING else f"was {slot.state.value}"


def _remark(slot: SlotView, kept: Kept, now: float, *, owned: bool) -> str:
    parts = _aside(kept)
    if slot.note:
        parts.append(slot.note + (ending_at(slot.until, now) if owned else ""))
    if slot.injected:
        parts.append(plural(slot.injected, "injected fault"))
    if slot.incident:
        parts.append(f"in incident {slot.incident} ({slot.trouble})")
    if slot.failure and slot.failed_at is not None:
        parts.append(f"{duration(max(0.0, now - slot.failed_at))} ago: {_failure(slot)}")
    return "; ".join(parts)


def _failure(slot: SlotView) -> str:
    """Its last failure; only the class of one whose text the note has already, as the question about it does."""
    kind, _, text = slot.failure.partition(": ")
    begin = " ".join((text.rpartition(" (")[0] or text).split())[:_BEGIN]
    return kind if begin and begin in " ".join(slot.note.split()) else slot.failure
