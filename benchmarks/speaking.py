"""What a benchmark says reaches its reader, whatever the terminal can show."""

from __future__ import annotations

import io
import sys

__all__ = ["take_any_terminal"]


def take_any_terminal() -> None:
    """A locale that knows no µ shows a question mark for it, and what took minutes to measure is not lost for that."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
