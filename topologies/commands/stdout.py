"""What every reading command prints to."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Final

from attrs import frozen

from treewarden.agents.errors import TreewardenError
from treewarden.supervisor.ops.jsonlines import plain_data
from treewarden.supervisor.ops.output import paint_for, width_of, writer
from treewarden.supervisor.ops.wording import Paint

__all__ = ["OutputError", "Stdout"]

_PIECES: Final = 10_000
"""Pieces of JSON that are written at a time."""


class OutputError(TreewardenError):
    """What a command has to say cannot be written."""


@frozen
class Stdout:
    """Lines on stdout, with what is known about it.

    Raises `BrokenPipeError` when its reader has gone, and `OutputError` when it cannot be written.
    """

    write: Callable[[str], None]
    paint: Paint
    width: int | None

    @classmethod
    def here(cls) -> Stdout:
        return cls(
            _telling(writer(sys.stdout)), paint_for(sys.stdout, os.environ.get("NO_COLOR")), width_of(sys.stdout)
        )

    def lines(self, lines: Sequence[str]) -> None:
        self.write("".join(f"{line}\n" for line in lines))

    def json(self, data: Any) -> None:
        """One JSON value, indented. Its text is written as it is made: it may be many times as long as the value."""
        encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, indent=2)
        pieces = encoder.iterencode(plain_data(data))
        while some := "".join(islice(pieces, _PIECES)):
            self.write(some)
        self.write("\n")


def _telling(write: Callable[[str], None]) -> Callable[[str], None]:
    def tell(text: str) -> None:
        try:
            write(text)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"the output cannot be written: {error.strerror}") from None

    return tell
