"""Incidents as lines for people: signal, context, confidence, decision, outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, TypeVar

from ..core.event import (
    ActionPerformed,
    ChaosBegan,
    ChaosEnded,
    ChildStarted,
    ChildStartFailed,
    DeadLettered,
    Decided,
    DependencyChanged,
    Event,
    FaultInjected,
    IncidentClosed,
    IntakeChanged,
    JournalFailed,
    JournalRecovered,
    MessageReplayed,
    OutcomeObserved,
    RolledBack,
    SlotMoved,
    TreeOpened,
    TreeReloaded,
)
from ..core.explain import explain
from ..journal.port import Record
from ..views.grounds import Ground, ground_lines
from ..views.incidents import Story, StoryLine
from ..views.repeats import Repeats
from .event_text import action_text, event_style, event_text, path_of, stated
from .wording import PLAIN, Paint, clean, clip, duration, folded, listing, local, number, plural

__all__ = ["Teller", "decision_lines", "story_lines"]

T = TypeVar("T")

_MOST: Final = 12
_REMEMBERED: Final = 1000
_COLUMN: Final = 14
"""Where the texts of a chain begin, behind their labels."""
_FOLDS: Final = 40
"""Terminals that are less wide get the beginning of each line only."""


def decision_lines(decided: Decided, width: int | None = None, paint: Paint = PLAIN) -> list[str]:
    """The whole chain of one decision below its heading, long lines folded to `width`."""
    lines: list[str] = []
    for line in explain(decided).split("\n")[1:]:
        lines += [_emphasised(each, paint) for each in _fold(clean_line(line), width)]
    return lines


def clean_line(line: str) -> str:
    """As `clean`, with the indentation kept."""
    indent = line[: len(line) - len(line.lstrip(" "))]
    label, rest = line[len(indent) : _COLUMN], line[_COLUMN:]
    return (indent + label).ljust(_COLUMN) + clean(rest) if rest else indent + clean(label)


def _fold(line: str, width: int | None) -> list[str]:
    if width is None:
        return [line]
    return folded(line, width, _COLUMN) if width >= _FOLDS else [clip(line, width)]


def _emphasised(line: str, paint: Paint) -> str:
    if line.startswith("  decision"):
        return paint(line, "strong")
    return paint(line, "dim") if line.startswith("  not") else line


def story_lines(
    story: Story, width: int | None = None, paint: Paint = PLAIN, ground: Ground | None = None
) -> list[str]:
    """One incident from its beginning to its end, with what its last decision rested on."""
    if story.closed_at is not None:
        end = f"{story.outcome} after {duration(story.closed_at - story.opened_at)}"
        style = {"fixed": "good", "failed": "bad"}.get(story.outcome, "")
    elif story.cut:
        whole = "the tree" if story.cut_with is None else f"{story.cut_with}"
        end, style = f"{whole} ended before its outcome was seen", "dim"
    else:
        end, style = "open", "warn"
    kind = f"  {story.kind}" if story.kind else ""
    head = f"{local(story.opened_at)}  {story.path}  incident {story.id}{kind}: "
    lines = [paint(clean(head.rstrip()[:-1]) + ": ", "strong") + paint(end, style)]
    if story.untold:
        lines.append(f"  ({plural(story.untold, 'earlier line')} of it not shown; --all shows them)")
    before: Decided | None = None
    for line in story.told:
        if isinstance(line, Repeats):
            lines += _fold(f"  {local(line.first)}  {clean(_repeats_text(line))}", width)
        else:
            lines += _story_line(line, before, width, paint)
            before = line.event if isinstance(line.event, Decided) else before
        if ground is not None and ground.seq == line.seq:
            for label, text in ground_lines(ground):
                lines += _fold(clean_line(f"  {label:{_COLUMN - 2}}{text}"), width)
    if story.label is not None:
        lines.append(paint(clip(f"  labelled    {event_text(story.label)}", width), "good"))
    return lines


def _repeats_text(again: Repeats) -> str:
    """`slow 0.10 to 0.21, 11 times more until 2026-11-21 15:21:17, the last: took 11 s -> resume, 0.50 to 0.10 (…)`."""
    severe = number(again.mildest)
    severe += f" to {number(again.worst)}" if number(again.worst) != severe else ""
    times = "once more" if again.count == 1 else f"{again.count} times more until {local(again.last)}"
    said = f", {'' if again.count == 1 else 'the last: '}{again.text}" if again.text else ""
    if again.decided is None:
        return f"again: {again.kind} {severe}, {times}{said}"
    did = action_text(again.decided.action, again.decided.details)
    return f"again: {again.kind} {severe}, {times}{said} -> {did}, {stated(again.decided, again.stated)}"


_TOLD: Final[dict[type[Event], str]] = {
    OutcomeObserved: "outcome",
    ActionPerformed: "performed",
    DependencyChanged: "dependency",
    IntakeChanged: "intake",
}


def _story_line(line: StoryLine, before: Decided | None, width: int | None, paint: Paint) -> list[str]:
    event = line.event
    if isinstance(event, Decided):
        if before is not None and alike(before, event):
            return [f"  {local(line.at)}  again: {again(event)}"]
        return [f"  {local(line.at)}", *decision_lines(event, width, paint)]
    word = _TOLD.get(type(event)) or type(event).__name__
    return [paint(clip(f"  {local(line.at)}  {word}  {event_text(event)}", width), event_style(event))]


def alike(one: Decided, other: Decided) -> bool:
    """Whether the second decision says nothing that the first has not said."""
    return (one.action, one.rule, one.signal) == (other.action, other.rule, other.signal)


def again(decided: Decided) -> str:
    return f"{action_text(decided.action, decided.details)}, {stated(decided)}"


class Teller:
    """Tells a run as it goes on: every decision with its chain the first time, in a line when it repeats itself.

    A start is told when it follows another life of its slot. Of one batch at most 12 decisions are told with their
    chain and as many others in a line; how many more there were is the last line.
    """

    def __init__(self, paint: Paint = PLAIN) -> None:
        self._paint = paint
        self._last: dict[str, Decided] = {}
        self._lived: set[str] = set()
        self._judged: dict[str, str] = {}

    def tell(self, records: Sequence[Record], width: int | None = None) -> list[str]:
        """The lines about these events, which follow those of the call before."""
        lines: list[str] = []
        blocks = shorter = 0
        unsaid: Counter[str] = Counter()
        for record in records:
            event = record.event
            if isinstance(event, Decided):
                again_ = self._repeats(event)
                if (again_ and shorter >= _MOST) or (not again_ and blocks >= _MOST):
                    unsaid[event.action.replace("_", " ")] += 1
                    continue
                shorter, blocks = shorter + again_, blocks + (not again_)
                lines += self._decided(record, event, again_, width)
            elif self._worth_telling(event):
                lines.append(self._line(record, width))
        if unsaid:
            total = sum(unsaid.values())
            lines.append(f"and {total} more decisions at that moment: {listing(unsaid)}")
        return lines

    def _repeats(self, event: Decided) -> bool:
        before = self._last.get(event.incident)
        _remember(self._last, event.incident, event)
        return before is not None and alike(before, event)

    def _decided(self, record: Record, event: Decided, repeated: bool, width: int | None) -> list[str]:
        head = f"{local(record.at)}  {event.path}  incident {event.incident}"
        if repeated:
            return [self._paint(clip(f"{head}  again: {again(event)}", width), "warn")]
        return [self._paint(clip(head, width), "warn"), *decision_lines(event, width, self._paint)]

    def _worth_telling(self, event: Event) -> bool:
        match event:
            case TreeOpened():
                self._lived.clear()
                return False
            case ChildStarted(path=path):
                lived = path in self._lived
                self._lived.add(path)
                return lived
            case OutcomeObserved(incident=incident, outcome=outcome):
                _remember(self._judged, incident, outcome)
                return True
            case IncidentClosed(incident=incident, outcome=outcome):
                return self._judged.pop(incident, "") != outcome  # or the last line about it has said so
            case (
                ChildStartFailed()
                | ActionPerformed()
                | IntakeChanged()
                | DependencyChanged()
                | DeadLettered()
                | MessageReplayed()
                | RolledBack()
                | SlotMoved()
                | TreeReloaded()
                | ChaosBegan()
                | FaultInjected()
                | ChaosEnded()
                | JournalFailed()
                | JournalRecovered()
            ):
                return True
            case _:
                return False

    def _line(self, record: Record, width: int | None) -> str:
        event = record.event
        word = "up again" if isinstance(event, ChildStarted) else _WORDS[type(event)]
        line = f"{local(record.at)}  {path_of(event)}  {word}: {event_text(event)}"
        return self._paint(clip(line, width), event_style(event))


_WORDS: Final[dict[type[Event], str]] = {
    OutcomeObserved: "outcome",
    IncidentClosed: "over",
    ChildStartFailed: "did not start",
    DeadLettered: "dead letter",
    MessageReplayed: "put back",
    ActionPerformed: "performed",
    DependencyChanged: "dependency",
    IntakeChanged: "intake",
    RolledBack: "rolled back",
    SlotMoved: "moved",
    TreeReloaded: "reloaded",
    ChaosBegan: "chaos",
    FaultInjected: "fault injected",
    ChaosEnded: "chaos is over",
    JournalFailed: "the journal fails",
    JournalRecovered: "the journal works again",
}


def _remember(known: dict[str, T], incident: str, value: T) -> None:
    """The latest ones only, however many incidents there are."""
    known.pop(incident, None)
    known[incident] = value
    if len(known) > _REMEMBERED:
        del known[next(iter(known))]
