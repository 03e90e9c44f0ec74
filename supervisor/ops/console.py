"""A run as plain lines, for pipes, logs and terminals without rich."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from attrs import frozen

from ..journal.port import Record
from .status_rows import LiveSlot, live_table
from .summary_text import Ending, summary_lines
from .telling import Teller
from .wording import PLAIN, Paint, clean, local, plural

__all__ = ["Opening", "PlainView", "RunView", "lines_of", "opening_line"]

_ROWS: Final = 40


@frozen(kw_only=True)
class Opening:
    """What is known when a tree has begun."""

    name: str
    file: str
    """The topology's file."""
    journal: str
    version: str
    """Of treewarden."""
    at: float
    pid: int
    epoch: int = 0
    head: int = 0
    """The last event before this run."""
    after_crash: bool = False


class RunView(Protocol):
    """How a run is shown. Each method returns the text to write; nothing is written by the view itself."""

    @property
    def draws(self) -> bool:
        """Whether `frame` shows anything."""
        ...

    @property
    def farewell(self) -> str:
        """What gives the terminal back if the process ends before `closed`."""
        ...

    def opened(self, opening: Opening, slots: Sequence[LiveSlot]) -> str:
        """The first words. A tree that did not come to life has no slots."""
        ...

    def told(self, records: Sequence[Record]) -> str:
        """Further committed events, each once and in order."""
        ...

    def frame(self, slots: Sequence[LiveSlot]) -> str:
        """The tree as it is now; empty if it looks as it did."""
        ...

    def notice(self, text: str) -> str:
        """Something that the command itself has to say."""
        ...

    def closed(self, ending: Ending) -> str:
        """The last words."""
        ...


def lines_of(lines: Sequence[str]) -> str:
    """Lines as text."""
    return "".join(f"{line}\n" for line in lines)


def opening_line(opening: Opening) -> str:
    """How a run begins, in a line."""
    crash = ", after a process that did not close it" if opening.after_crash else ""
    again = f", goes on after {plural(opening.head, 'event')}" if opening.head else ", new"
    return clean(f"{local(opening.at)}  {opening.name} runs; journal {opening.journal}{again}{crash}")


class PlainView:
    """Lines: the tree once, then what happens. `width` gives a terminal's columns, None where there is no limit."""

    draws = False
    farewell = ""

    def __init__(self, paint: Paint = PLAIN, width: Callable[[], int | None] = lambda: None) -> None:
        self._paint = paint
        self._width = width
        self._teller = Teller(paint)

    def opened(self, opening: Opening, slots: Sequence[LiveSlot]) -> str:
        lines = [self._paint(opening_line(opening), "strong")]
        if slots:
            hint = "Ctrl-C stops it in order; a second one forces."
            lines += [*live_table(slots, _ROWS, self._width(), self._paint), self._paint(hint, "dim")]
        return lines_of(lines)

    def told(self, records: Sequence[Record]) -> str:
        return lines_of(self._teller.tell(records, self._width()))

    def frame(self, slots: Sequence[LiveSlot]) -> str:
        return ""

    def notice(self, text: str) -> str:
        return lines_of([self._paint(clean(line), "warn") for line in text.splitlines()])

    def closed(self, ending: Ending) -> str:
        return lines_of(summary_lines(ending, self._paint))
