"""A run as a live table on a terminal, drawn by rich; what happens scrolls by above it."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from treewarden.agents.core.lifecycle import SlotState

from ..journal.port import Record
from .console import Opening, opening_line
from .status_rows import LIVE_HEADING, LIVE_RIGHT, LiveSlot, fit, live_row, state_style
from .summary_text import Ending, summary_lines
from .telling import Teller
from .wording import Paint, clean, local, plural

__all__ = ["LiveView"]

_AROUND: Final = 4
"""Lines of a frame that are no slots: title, heading, hint, and the one on which the cursor stays."""
_FEW: Final = 6
"""Slots that are shown on a low screen; on others they get half of it, so that the latest incident stays in sight."""
_COLOURS: Final = {"good": "green", "bad": "red", "warn": "yellow", "dim": "bright_black", "strong": "bold", "": ""}


class LiveView:
    """What fits the screen, the worst slots first if not all do. rich draws into memory; the caller writes."""

    draws = True
    farewell = "\x1b[?25h"
    """Its cursor, which is hidden while frames are drawn."""

    def __init__(self, paint: Paint, size: Callable[[], tuple[int, int]]) -> None:
        self._paint = paint
        self._size = size
        self._drawn = io.StringIO()
        width, height = size()
        self._console = Console(
            file=self._drawn, force_terminal=True, no_color=not paint.on, width=width, height=height, highlight=False
        )
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
            transient=True,
        )
        self._teller = Teller(paint)
        self._title = ""
        self._last: object = None

    def opened(self, opening: Opening, slots: Sequence[LiveSlot]) -> str:
        self._resize()
        self._title = clean(f"{opening.name} · since {local(opening.at)} · journal {opening.journal}")
        self._print([self._paint(opening_line(opening), "strong")])
        if slots:
            self._live.start()
            return self._taken() + self.frame(slots)
        return self._taken()

    def told(self, records: Sequence[Record]) -> str:
        self._resize()
        self._print(self._teller.tell(records, self._console.width))
        return self._taken()

    def frame(self, slots: Sequence[LiveSlot]) -> str:
        self._resize()
        looks = (self._console.size, tuple(slots))
        if looks == self._last:
            return ""
        self._last = looks
        self._live.update(self._drawing(slots), refresh=True)
        return self._taken()

    def notice(self, text: str) -> str:
        self._print([self._paint(clean(line), "warn") for line in text.splitlines()])
        return self._taken()

    def closed(self, ending: Ending) -> str:
        self._resize()
        self._live.stop()
        self._print(summary_lines(ending, self._paint))
        return self._taken()

    def _resize(self) -> None:
        self._console.size = self._size()

    def _print(self, lines: Sequence[str]) -> None:
        if lines:
            text = Text.from_ansi("\n".join(lines))
            self._console.print(text, no_wrap=True, overflow="fold", crop=False, soft_wrap=True)

    def _taken(self) -> str:
        text = self._drawn.getvalue()
        self._drawn.seek(0)
        self._drawn.truncate()
        return text

    def _drawing(self, slots: Sequence[LiveSlot]) -> Group:
        fitted = fit(slots, min(max(1, self._console.height - _AROUND), max(_FEW, self._console.height // 2)))
        table = Table(box=None, pad_edge=False, expand=True, header_style="bright_black")
        for position, heading in enumerate(LIVE_HEADING):
            last = position == len(LIVE_HEADING) - 1
            justify = "right" if position in LIVE_RIGHT else "left"
            table.add_column(heading, justify=justify, no_wrap=True, overflow="ellipsis", ratio=1 if last else None)
        for slot in fitted.rows:
            name, state, *rest = live_row(slot, indent=fitted.whole)
            note = "yellow" if slot.state is SlotState.UP else _COLOURS[state_style(slot.state)]
            style = _COLOURS[state_style(slot.state)]
            table.add_row(name, Text(state, style), *rest[:-1], Text(rest[-1], note))
        parts = [Text(self._headline(slots), "bold", no_wrap=True, overflow="ellipsis"), table]
        if fitted.rest:
            parts.append(Text(fitted.rest, "bright_black", no_wrap=True, overflow="ellipsis"))
        hint = "Ctrl-C stops it in order; a second one forces"
        parts.append(Text(hint, "bright_black", no_wrap=True, overflow="ellipsis"))
        return Group(*parts)

    def _headline(self, slots: Sequence[LiveSlot]) -> str:
        agents = [slot for slot in slots if not slot.supervisor]
        states = Counter(slot.state for slot in agents)
        restarts = sum(slot.restarts for slot in agents)
        return f"{self._title} · {states[SlotState.UP]} of {len(agents)} up · {plural(restarts, 'restart')}"
