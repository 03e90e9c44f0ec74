"""A trace as a tree of messages: which one led to which, and what is left of each."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import field

from treewarden.agents.core.message import MessageId, trace_of
from treewarden.agents.core.path import Path
from treewarden.agents.core.values import define

from .core.event import ChildEnded, DeadLettered, Event, MessageReplayed, MessageReturned
from .journal.port import Record
from .journal.traced import Left, named_in

__all__ = ["Traced", "traced"]


@define(eq=False)
class Traced:
    """One message of a trace."""

    id: MessageId
    """Of one that has left nothing but messages that it told: empty, unless the trace begins with it."""
    state: str = "settled"
    """`settled`: it was handled, or is an ask that is not stored; `waits`: or is in hand; `dead letter`; `put back`;
    `given up`: it was a dead letter once."""
    path: Path | None = None
    kind: str = ""
    sender: Path | None = None
    at: float | None = None
    """Wall seconds since which it waits, or is a dead letter."""
    attempts: int = 0
    """That failed, of one that waits."""
    text: str = ""
    """Why it was given up, or as what it was put back."""
    lines: list[Record] = field(factory=list[Record])
    """The events about it, in order."""
    below: list[Traced] = field(factory=list["Traced"])
    """What its handler told and asked, as far as anything is left of that."""

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Traced]]:
        """It and all below it, with their depths. However deep: no call within a call."""
        rest: list[tuple[int, Traced]] = [(depth, self)]
        while rest:
            depth, each = rest.pop()
            yield depth, each
            rest.extend((depth + 1, below) for below in reversed(each.below))


def traced(trace: MessageId, left: Left) -> Traced | None:
    """The tree of a trace; None if nothing is left of it.

    Told messages stand in the order in which they were told. One that was handled and has left nothing is known by
    those only that it told; its own place is not known any more, so it stands below the first.
    """
    found = dict[MessageId, Traced]()

    def node(id: MessageId) -> Traced:
        return found.setdefault(id, Traced(id))

    for record in left.records:
        ids = [id for id in named_in(record.event) if trace_of(id) == trace]
        for id in ids:
            node(id)
        if ids:
            about = node(ids[0])
            about.lines += [record, *left.followed.get(record.seq, ())]
            _learn(about, record.event)
            if isinstance(record.event, MessageReplayed):
                again = node(record.event.replayed_as)
                again.path, again.kind = record.event.path, _short(record.event.kind)
    for letter in left.letters:
        each = node(letter.id)
        each.state, each.at, each.text, each.sender = "dead letter", letter.at, letter.reason, letter.sender
        each.path, each.kind = letter.path, _short(letter.kind)
    for row in left.messages:
        each = node(row.id)
        each.state, each.at, each.attempts, each.sender = "waits", row.at, row.deliveries, row.sender
        each.path, each.kind, each.text = row.path, _short(row.kind), ""
    return _tree(trace, found) if found else None


def _learn(each: Traced, event: Event) -> None:
    """What an event says of the message that it is about."""
    each.path = each.path or getattr(event, "path", None)
    if isinstance(event, (DeadLettered, MessageReturned, MessageReplayed)):
        each.kind = _short(event.kind)
    elif isinstance(event, ChildEnded) and event.failure is not None:
        each.kind = each.kind or event.failure.message_kind or ""
    if isinstance(event, DeadLettered):
        each.state, each.text = "given up", event.reason
    elif isinstance(event, MessageReplayed):
        each.state, each.text = "put back", event.replayed_as


def _tree(trace: MessageId, found: dict[MessageId, Traced]) -> Traced:
    top = found.pop(trace, None) or Traced(trace)
    asks, own = {trace: top}, {"": top}
    for id in sorted(found, key=_order):  # so that whoever told something stands there before it
        above, asked, _ = id.rpartition(">")
        by = _own(above) if asked else id.partition("/")[2].rpartition(".")[0]
        if by not in own:
            own[by] = Traced("", text=by)
            top.below.append(own[by])
        asks.get(above, own[by]).below.append(found[id])
        if asked:
            asks[id] = found[id]
        else:
            own[_own(id)] = found[id]
    return top


def _own(id: MessageId) -> str:
    """What stands last in the id of a told message: its row, with its journal where that is another one."""
    return id.partition(">")[0].partition("/")[2].rpartition(".")[2]


def _order(id: MessageId) -> tuple[int, str]:
    row = _own(id).rpartition("-")[2]
    return (int(row) if row.isdecimal() else 0), id


def _short(kind: str) -> str:
    """Without its module, as events have it."""
    return kind.partition(":")[2] or kind
