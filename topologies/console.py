"""Where the console script begins: before most of what takes long is imported."""

from __future__ import annotations

import sys
from contextlib import suppress

__all__ = ["main"]


def main() -> int:
    """Do what the command line says, as `cli.main`; Ctrl-C ends the imports before that as quietly as the rest.

    Not promised: a quiet end while Python itself starts, and finds these packages.
    """
    try:
        from .cli import main as begin

        return begin()
    except KeyboardInterrupt:
        with suppress(AttributeError):  # it is None where it was closed
            sys.stderr.write("treewarden: interrupted\n")
        return 130
