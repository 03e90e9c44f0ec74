"""How the writer's thread tells its loop that something is done."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import trio

from treewarden.agents.wake import call_in_loop

__all__ = ["Bell"]


class Bell:
    """Another thread rings it, and what it says is called in the loop, between two tasks.

    As `TrioToken.run_sync_soon`, for which trio sends a byte through a pair of sockets, and receives until there is no
    more: by a counter of the kernel's (eventfd) the loop hears of it 30 µs sooner, a twelfth of a durable ask. Only
    Linux has that (`made`). Once nobody listens any more it is trio that is told.

    Not promised: that a call runs only once, where something is raised right behind it, as by the handler of a signal.
    """

    @classmethod
    def made(cls) -> Bell | None:
        """One, where the system has them and lets the process open another file."""
        if hasattr(os, "eventfd"):
            with suppress(OSError):
                return cls()
        return None

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._said: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._scope = trio.CancelScope(shield=True)
        self._lock = threading.Lock()
        self._closed = False
        self._token = trio.lowlevel.current_trio_token()

    def ring(self, call: Callable[..., object], *args: Any) -> None:
        """Have `call` run in the loop; from any thread. It must not raise."""
        with self._lock:  # its number may be that of another file once it is closed
            if not self._closed:
                self._said.append((call, args))
                os.eventfd_write(self._fd, 1)
                return
        call_in_loop(self._token, call, *args)

    @trio.lowlevel.enable_ki_protection
    async def listen(self) -> None:
        """The task that hears it, until `close`. Cancellation has to wait for that. Raises what a signal's handler
        raises in it: what was said is not lost then.
        """
        try:
            with self._scope:
                while True:
                    await trio.lowlevel.wait_readable(self._fd)
                    os.eventfd_read(self._fd)
                    for _ in range(len(self._said)):  # what is said meanwhile has rung again
                        call, args = self._said[0]
                        call(*args)
                        self._said.popleft()
        finally:
            with self._lock:
                self._closed = True
                os.close(self._fd)
            for call, args in self._said:
                call_in_loop(self._token, call, *args)

    def close(self) -> None:
        """End `listen`, in its loop."""
        self._scope.cancel()
