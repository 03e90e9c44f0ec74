"""What a seed does not cover: threads, processes and sockets, noticed while a run uses them, and where."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from .determinism import Workers, missing_names, worker_threads_told
from .places import place_of

__all__ = ["escapes_told"]

_DOORS: Final[tuple[tuple[Any, str, str], ...]] = (
    (threading.Thread, "start", "a thread was started"),
    (subprocess.Popen, "__init__", "a process was started"),
    (os, "fork", "a process was forked"),
    (os, "posix_spawn", "a process was started"),
    (socket.socket, "connect", "a socket was connected"),
    (socket.socket, "connect_ex", "a socket was connected"),
    (socket.socket, "bind", "a socket was bound"),
    (socket.socket, "sendto", "a datagram was sent"),
    (socket, "getaddrinfo", "a name was looked up"),
)


@contextmanager
def escapes_told(tell: Callable[[str], None], workers: Workers) -> Generator[None]:
    """Call `tell` with a sentence for each way out that is used meanwhile; the way out works as it does otherwise.
    `workers` counts what is in worker threads.

    Not noticed: clocks and chance (see `readings_told`), and extension modules that go past Python. Replaying a run
    shows those, for then it comes to another trace.
    """

    def told(sentence: str) -> None:
        tell(sentence + place_of(sys._getframe(2)))  # pyright: ignore[reportPrivateUsage]

    with ExitStack() as stack:
        for name in missing_names():
            tell(f"this trio has no {name}")
        stack.enter_context(worker_threads_told(lambda name: told(f"a worker thread was used ({name})"), workers))
        for owner, name, sentence in _DOORS:
            stack.enter_context(_watched(owner, name, lambda sentence=sentence: told(sentence)))
        yield


@contextmanager
def _watched(owner: Any, name: str, tell: Callable[[], None]) -> Generator[None]:
    inherited = name not in vars(owner)
    original = getattr(owner, name)

    def door(*args: Any, **kwargs: Any) -> Any:
        tell()
        return original(*args, **kwargs)

    setattr(owner, name, door)
    try:
        yield
    finally:
        if inherited:
            delattr(owner, name)
        else:
            setattr(owner, name, original)
