"""What happened in a run, as lines and as one hash: two runs are the same when their hashes are."""

from __future__ import annotations

import functools
import hashlib
import math
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import attrs
import trio
from attrs import frozen

from treewarden.agents.core.exit import Failure
from treewarden.agents.core.path import Path
from treewarden.supervisor.core.event import Event
from treewarden.supervisor.journal.port import Commit

__all__ = ["Mark", "Steps", "Trace", "commit_line", "event_text"]

_BLOCK: Final = 512
_LEFT_OUT: Final = frozenset({"version", "blueprint", "trace", "where", "fingerprint"})
"""Fields of facts that tell of the code, not of the run."""


@frozen
class Mark:
    """One thing on the timeline of a report."""

    at: float
    kind: str
    """`fault`, `recovery`, `failure`, `decision`, `note`."""
    text: str
    path: str = ""


class Trace:
    """Every record, hashed as it comes; the last ones and the marks are kept."""

    def __init__(self, *, keep: int = 400, most: float = math.inf) -> None:
        self.counts: Counter[str] = Counter()
        self.marks: list[Mark] = []
        self._hash = hashlib.blake2b(digest_size=16)
        self._block: list[str] = []
        self._last: deque[str] = deque(maxlen=keep)
        self._records = 0
        self._most = most
        self.too_long: Callable[[], object] = lambda: None
        """Called when there are more records than `most`, once for each block of them."""

    def add(self, text: str) -> None:
        """One record: what, then who."""
        block = self._block
        block.append(text)
        if len(block) >= _BLOCK:
            self._close_block()
            if self._records > self._most:
                self.too_long()

    def mark(self, mark: Mark) -> None:
        """A record that belongs on the timeline."""
        self.marks.append(mark)
        self.counts[mark.kind] += 1
        self.add(f"{mark.kind} {mark.at:.6f} {mark.path} {mark.text}")

    @property
    def records(self) -> int:
        return self._records + len(self._block)

    @property
    def last(self) -> tuple[str, ...]:
        """The last records."""
        return (*self._last, *self._block)[-(self._last.maxlen or 0) :]

    def digest(self) -> str:
        """The hash of everything so far."""
        self._close_block()
        return self._hash.copy().hexdigest()

    def _close_block(self) -> None:
        block = self._block
        if block:
            self._hash.update(("\n".join(block) + "\n").encode("utf-8", "backslashreplace"))
            self._records += len(block)
            self._last.extend(block)
            self._block = []


class Steps(trio.abc.Instrument):
    """Each step of each task is a record, at its end; whoever wants to strike at one of an incarnation is called then.

    One hook and not two: trio calls each of them through a table, which costs as much as what is done here.
    """

    def __init__(self, trace: Trace, after: Callable[[Path], None]) -> None:
        self._add = trace.add
        self._after = after

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        name: Any = task.name
        self._add(name)
        if type(name) is Path:
            self._after(name)


def event_text(event: Event) -> str:
    """A fact in one line, without what differs between machines and versions of Python."""
    return f"{type(event).__name__} {_plain(event)}"


def commit_line(commit: Commit) -> str:
    """What a commit writes, in one line."""
    parts = [event_text(event) for _, event in commit.events]
    for name in _ROWS:
        rows = getattr(commit, name)
        if rows:
            parts.append(f"{name} {_plain(rows)}")
    return "commit " + "; ".join(parts)


_ROWS: Final = tuple(each.name for each in attrs.fields(Commit) if each.name not in ("by", "events"))


def _plain(value: Any) -> str:
    kind = cast("type[Any]", type(value))
    if kind is str or kind is int:
        return str(value)
    if kind is float:
        return f"{value:.6f}"
    if kind is Failure:
        return f"{value.type}: {value.text}"
    names = _names(kind)
    if names is not None:
        return " ".join([f"{name}={_plain(getattr(value, name))}" for name in names])
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return "{" + ", ".join([f"{key}: {_plain(each)}" for key, each in items]) + "}"
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join([_plain(each) for each in cast("list[Any]", value)]) + "]"
    return str(value)


@functools.cache
def _names(kind: type[Any]) -> tuple[str, ...] | None:
    """The fields of a kind of value that tell of the run; None if it has none."""
    if not attrs.has(kind):
        return None
    return tuple(each.name for each in attrs.fields(kind) if each.name not in _LEFT_OUT)
