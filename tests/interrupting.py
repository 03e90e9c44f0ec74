"""Ctrl-C before a line of our code, one line after the other."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any


class InterruptLine:
    """Presses Ctrl-C before a line of some functions is run, after so many of them."""

    def __init__(self, line: int, *functions: Callable[..., Any]) -> None:
        self.line = line
        self.lines = 0
        self.codes = {function.__code__ for function in functions}

    def __call__(self, frame: FrameType, event: str, arg: object) -> InterruptLine | None:
        if frame.f_code not in self.codes:
            return None
        if event == "line":
            self.lines += 1
            if self.lines == self.line:
                signal.raise_signal(signal.SIGINT)
        return self
