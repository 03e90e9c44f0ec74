"""What happened in a run, as lines and as one hash: two runs are the same when their hashes are."""

from __future__ import annotations

import functools
import hashlib
import math
import operator
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

import attrs
import trio
from attrs import frozen

from treewarden.agents.core.exit import Failure
from treewarden.agents.core.path import ROOT, Path
from treewarden.supervisor.core.event import Event
from treewarden.supervisor.journal.port import Commit

__all__ = ["Mark", "Trace", "Yields", "event_text", "records_of"]

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
        self.yields = 0
        """Steps of incarnations so far: each ends with its giving way."""
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
            self._full()

    def extend(self, texts: Sequence[str]) -> None:
        """Several records."""
        self._block.extend(texts)
        if len(self._block) >= _BLOCK:
            self._full()

    def steps(self, batch: Sequence[trio.lowlevel.Task]) -> None:
        """A record for each task that is about to take a step; the last of them comes first."""
        add = self._block.append
        for task in batch if len(batch) == 1 else reversed(batch):
            name: Any = task.name
            add(name)
            if type(name) is Path and name != ROOT:
                self.yields += 1
        if len(self._block) >= _BLOCK:
            self._full()

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

    def _full(self) -> None:
        self._close_block()
        if self._records > self._most:
            self.too_long()

    def _close_block(self) -> None:
        block = self._block
        if block:
            self._hash.update(("\n".join(block) + "\n").encode("utf-8", "backslashreplace"))
            self._records += len(block)
            self._last.extend(block)
            self._block = []


class Yields(trio.abc.Instrument):
    """Calls with the path of each incarnation that has given way, at the end of its step."""

    def __init__(self, after: Callable[[Path], None]) -> None:
        self._after = after

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        name: Any = task.name
        if type(name) is Path:
            self._after(name)


def event_text(event: Event) -> str:
    """A fact in one line, without what differs between machines and versions of Python."""
    return f"{type(event).__name__} {_plain(event)}"


def records_of(commit: Commit) -> list[str]:
    """What a commit writes: each fact, each message and each other row is a record."""
    records = [event_text(event) for _, event in commit.events]
    if not commit.quiet:
        for name, rows in zip(_ROWS, _rows_of(commit), strict=True):
            if rows:
                records += [f"{name} {_plain(row)}" for row in ((rows,) if isinstance(rows, int) else rows)]
    return records


_ROWS: Final = tuple(each.name for each in attrs.fields(Commit) if each.name not in ("by", "events", "quiet"))
_rows_of: Final = operator.attrgetter(*_ROWS)


def _plain(value: Any) -> str:
    kind = cast("type[Any]", type(value))
    if kind is str or kind is int:
        return str(value)
    if kind is float:
        return f"{value:.6f}"
    return _way_of(kind)(value)


@functools.cache
def _way_of(kind: type[Any]) -> Callable[[Any], str]:
    """How values of a kind are told: attrs classes by the fields that tell of the run."""
    if kind is Failure:
        return lambda value: f"{value.type}: {value.text}"
    if attrs.has(kind):
        names = tuple(each.name for each in attrs.fields(kind) if each.name not in _LEFT_OUT)
        return lambda value: " ".join([f"{name}={_plain(getattr(value, name))}" for name in names])
    if issubclass(kind, Mapping):
        return lambda value: "{" + ", ".join([f"{key}: {_plain(each)}" for key, each in value.items()]) + "}"
    if issubclass(kind, (tuple, list)):
        return lambda value: "[" + ", ".join([_plain(each) for each in value]) + "]"
    return str
