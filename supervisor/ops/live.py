"""A run as a live table on a terminal, drawn by rich; what happens scrolls by above it."""

from __future__ import annotations

import io
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from attrs import frozen
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from treewarden.agents.core.lifecycle import SlotState

from ..core.event import ChaosBegan, ChaosEnded
from ..journal.port import Record
from .console import Opening, opening_line
from .status_rows import LiveSlot, live_lines
from .summary_text import Ending, summary_lines
from .telling import Teller
from .wording import Paint, clean, clip, local, plural

__all__ = ["LiveView"]

_AROUND: Final = 4
"""Lines of a frame that are no slots: title, heading, hint, and the one on which the cursor stays."""
_FEW: Final = 6
"""Slots that are shown on a low screen; on others they get half of it, so that the latest incident stays in sight."""
_STYLES: Final = {
    "": Style.null(),
    "good": Style(color="green"),
    "bad": Style(color="red"),
    "warn": Style(color="yellow"),
    "dim": Style(dim=True),
    "strong": Style(bold=True),
}


@frozen
class _Lines:
    """Lines with their styles, as rich draws them fastest: its own tables take ten times as long."""

    lines: Sequence[tuple[str, str]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line, style in self.lines:
            yield Segment(line, _STYLES[style])
            yield Segment.line()


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
        self._journal = ""
        self._chaos = False
        """Faults are injected."""
        self._last: object = None

    def opened(self, opening: Opening, slots: Sequence[LiveSlot]) -> str:
        self._resize()
        self._journal = clean(shlex.quote(str(opening.journal)))
        self._title = clean(f"{opening.name} · since {local(opening.at)} · journal {opening.journal}")
        self._print([self._paint(opening_line(opening), "strong")])
        if slots:
            self._live.start()
            return self._taken() + self.frame(slots)
        return self._taken()

    def told(self, records: Sequence[Record]) -> str:
        self._resize()
        for record in records:
            if isinstance(record.event, (ChaosBegan, ChaosEnded)):
                self._chaos, self._last = isinstance(record.event, ChaosBegan), None
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

    def _drawing(self, slots: Sequence[LiveSlot]) -> _Lines:
        width, height = self._console.size
        room = min(max(1, height - _AROUND), max(_FEW, height // 2))
        hint = ("Ctrl-C stops it in order; a second one forces", "dim")
        if self._chaos:
            hint = (f"chaos: `treewarden chaos stop {self._journal}` ends it, Ctrl-C the tree with it", "warn")
        lines = [(self._headline(slots), "strong"), *live_lines(slots, room, width), hint]
        return _Lines([(clip(line, width), style) for line, style in lines])

    def _headline(self, slots: Sequence[LiveSlot]) -> str:
        agents = [slot for slot in slots if not slot.supervisor]
        states = Counter(slot.state for slot in agents)
        restarts = sum(slot.restarts for slot in agents)
        return f"{self._title} · {states[SlotState.UP]} of {len(agents)} up · {plural(restarts, 'restart')}"
