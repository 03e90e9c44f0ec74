"""How a run is shown: what was asked for, and what the terminal and the installation can do."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Final, TextIO

from treewarden.supervisor.ops.console import PlainView, RunView
from treewarden.supervisor.ops.jsonlines import JsonView
from treewarden.supervisor.ops.output import has_cursor, paint_for, width_of

__all__ = ["choose_view"]

_HINT: Final = "plain lines, for rich is not installed: pip install 'treewarden[cli]' brings the live view"


def choose_view(stream: TextIO, environ: Mapping[str, str], *, json: bool, plain: bool) -> tuple[RunView, str]:
    """The view for `stream`, and a hint for the user or an empty text."""
    if json:
        return JsonView(), ""
    paint = paint_for(stream, environ.get("NO_COLOR"))
    lines = PlainView(paint, lambda: width_of(stream))
    if plain or not has_cursor(stream, environ.get("TERM", "")):
        return lines, ""
    try:
        from treewarden.supervisor.ops.live import LiveView
    except ImportError:
        return lines, _HINT

    def size() -> tuple[int, int]:
        found = shutil.get_terminal_size((100, 24))
        return width_of(stream) or found.columns, found.lines

    return LiveView(paint, size), ""
