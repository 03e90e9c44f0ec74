"""Where in somebody's code something was done: the place that a sentence about a run can name."""

from __future__ import annotations

import os
import pathlib
import sysconfig
from collections.abc import Iterator
from functools import lru_cache
from types import FrameType
from typing import Final

import outcome
import trio

__all__ = ["Owner", "owner_of", "place_of", "who_asks"]

_LIBRARY: Final = tuple(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib"))
_OTHERS: Final = tuple(sysconfig.get_path(name) + os.sep for name in ("purelib", "platlib"))
_LOOP: Final = tuple(os.path.dirname(module.__file__ or "") + os.sep for module in (trio, outcome))
_ROOT: Final = pathlib.Path(__file__).parents[2]
_OURS: Final = tuple(f"{_ROOT / layer}{os.sep}" for layer in ("agents", "supervisor", "topologies"))
_HERE: Final = pathlib.Path(__file__).parent
_BEGINS: Final = str(_HERE / "run.py")
"""What is above this in a stack is who wanted a run, not who is in it."""
_WITNESSES: Final = frozenset(
    str(_HERE / name) for name in ("places.py", "escapes.py", "readings.py", "determinism.py")
)
_LOGGING: Final = f"{os.sep}logging{os.sep}"

Owner = str
"""Whose code a file is: `ours`, `loop`, `python`, or `theirs`."""


@lru_cache(4096)
def owner_of(file: str) -> Owner:
    """Whose code stands in `file`. What another package brought is theirs, like the user's own."""
    if file.startswith(_OURS):
        return "ours"
    if file.startswith(_LOOP):
        return "loop"
    return (
        "python" if file.startswith("<") or (file.startswith(_LIBRARY) and not file.startswith(_OTHERS)) else "theirs"
    )


def who_asks(frame: FrameType | None) -> FrameType | None:
    """The first frame from `frame` on that is not Python's own; None if that is trio's or treewarden's, or if all that
    is asked for is a line in a log."""
    for each in _up(frame):
        file = each.f_code.co_filename
        owner = owner_of(file)
        if owner == "theirs":
            return each
        if owner != "python" or _LOGGING in file:
            return None
    return None


def place_of(frame: FrameType | None) -> str:
    """The place in the user's code, or else in treewarden's, that has come to `frame`: ` at shop.py:12 (ship)`."""
    found = None
    for each in _up(frame):
        owner = owner_of(each.f_code.co_filename)
        if owner == "theirs":
            found = each
            break
        if owner == "ours" and found is None and each.f_code.co_filename not in _WITNESSES:
            found = each
    if found is None:
        return ""
    file = pathlib.Path(found.f_code.co_filename)
    return f" at {file.name}:{found.f_lineno} ({found.f_code.co_name})"


def _up(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None and frame.f_code.co_filename != _BEGINS:
        yield frame
        frame = frame.f_back
