"""`treewarden tree --prometheus`: the numbers of a journal in Prometheus' text format, for whatever collects them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

__all__ = ["exposition"]

_TREE: Final = (
    ("running", "running", "gauge", "Whether a process owns the journal"),
    ("head", "events_total", "counter", "Events in the journal"),
    ("at", "last_event_timestamp_seconds", "gauge", "Wall time of the last event"),
    ("processes", "opened_total", "counter", "How often the tree was opened"),
    ("crashes", "died_total", "counter", "How often the process before had not closed it"),
)
_SLOT: Final[tuple[tuple[str, str, str, Callable[[Mapping[str, Any]], object]], ...]] = (
    ("incident_open", "gauge", "Whether something about it is not over", lambda slot: bool(slot["incident"])),
    ("lives_total", "counter", "Lives that it has had", lambda slot: slot["lives"]),
    ("restarts_total", "counter", "Lives after the first one of each process", lambda slot: slot["restarts"]),
    ("returned_total", "counter", "Messages whose handler did not settle", lambda slot: slot["returned"]),
    ("dead_letters_total", "counter", "Messages that were given up", lambda slot: slot["dead"]),
    ("mailbox_messages", "gauge", "Messages on disk that wait for their turn", lambda slot: slot["mailbox"]),
    ("parked_messages", "gauge", "Messages whose handlers wait", lambda slot: slot["parked"]),
    ("kept_events", "gauge", "Events for which no handler waits yet", lambda slot: slot["events"]),
    ("settled_total", "counter", "Messages and ticks whose state is on disk", lambda slot: slot["settled"]),
)


def exposition(found: Mapping[str, Any]) -> str:
    """What `treewarden tree --json` prints, as samples with the journal's file and the slot's path as labels.

    Counters go back to less when a journal is pruned or another one is put there, as those of a restarted process do.
    A number that is not kept, such as what an agent in memory has settled, has no sample.
    """
    return "".join(_lines(found))


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    journal = f'journal="{_escaped(found["file"])}"'
    for key, name, type, text in _TREE:
        if found[key] is not None:
            yield from _family(name, type, text, [(journal, found[key])])
    slots = [(f'{journal},path="{_escaped(slot["path"])}"', slot) for slot in found["slots"]]
    state = [(f'{labels},state="{slot["state"]}"', 1) for labels, slot in slots]
    yield from _family("slot_state", "gauge", "1 for the state that it is in", state)
    for name, type, text, read in _SLOT:
        values = [(labels, value) for labels, slot in slots if (value := read(slot)) is not None]
        yield from _family(f"slot_{name}", type, text, values)


def _family(name: str, type: str, text: str, samples: list[tuple[str, Any]]) -> Iterator[str]:
    if samples:
        yield f"# HELP treewarden_{name} {text}.\n# TYPE treewarden_{name} {type}\n"
    for labels, value in samples:
        yield f"treewarden_{name}{{{labels}}} {float(value) if isinstance(value, float) else int(value)}\n"


def _escaped(text: str) -> str:
    """As the format wants the value of a label."""
    return str(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
