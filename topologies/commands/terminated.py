"""SIGTERM as an exception, for commands that leave nothing half done behind."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Terminated", "heeding_sigterm"]


class Terminated(KeyboardInterrupt):
    """SIGTERM has come. Whoever takes anything that is raised, as from a user's class, lets it pass as Ctrl-C."""


@contextmanager
def heeding_sigterm() -> Generator[None]:
    """Raise `Terminated` in the block when the first SIGTERM comes; a second one ends the process at once.

    Nothing is changed where the signal is ignored or somebody else heeds it, nor in another thread than the main one.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def heard(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        raise Terminated

    signal.signal(signal.SIGTERM, heard)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
