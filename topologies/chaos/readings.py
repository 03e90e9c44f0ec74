"""What a run reads of the world outside that its seed does not decide: clocks, and chance that nobody has seeded."""

from __future__ import annotations

import datetime
import os
import sys
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from .places import place_of, who_asks

__all__ = ["readings_told"]

_READ: Final[dict[Any, str]] = {
    **{getattr(time, name): f"time.{name} was read" for name in (
        "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns",
        "localtime", "gmtime", "ctime", "process_time", "process_time_ns",
    )},
    getattr(uuid, "_generate_time_safe", None): "the clock and the address of the machine were read",
    os.urandom: "chance was taken from the system",
    os.getpid: "the number of the process was read",
}  # fmt: skip
_NOW: Final = frozenset({"now", "utcnow", "today"})
_RANDOM: Final = f"{os.sep}random.py"


@contextmanager
def readings_told(tell: Callable[[str], None]) -> Generator[None]:
    """Call `tell` with a sentence for each clock and each unseeded chance that is read meanwhile, and where.

    The module `random` is not among them: a run seeds it. Every call is looked at, so that a name which was imported
    before is seen too; that makes a run two to three times as slow. Does nothing under another profiler.
    """
    if sys.getprofile() is not None:
        yield
        return

    def called(frame: FrameType, event: str, what: Any) -> None:
        if event == "c_call":
            sentence = _sentence(frame, what)
            if sentence:
                asking = who_asks(frame)
                if asking is not None:
                    tell(sentence + place_of(asking))

    sys.setprofile(called)
    try:
        yield
    finally:
        sys.setprofile(None)


def _sentence(frame: FrameType, what: Any) -> str:
    """What is read by a call of the built-in function `what`; nothing if it is none of those."""
    name: str = what.__name__
    if name in _NOW:
        owner: Any = what.__self__
        if isinstance(owner, type) and issubclass(owner, datetime.date):
            return f"{owner.__name__}.{name} was read"
    elif name == "seed" and frame.f_code.co_filename.endswith(_RANDOM) and frame.f_locals.get("a") is None:
        return "a generator was seeded by the system"
    try:
        return _READ.get(what, "")
    except TypeError:  # a method of something that has no hash
        return ""
