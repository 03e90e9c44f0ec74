"""The thread in which an advisor thinks: questions come in from any other, and each of them is answered."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import AbstractAsyncContextManager, suppress
from typing import Final, TypeAlias, TypeVar

import trio

from treewarden.agents.errors import ConfigurationError
from treewarden.agents.wake import call_in_loop

from .advising import Mind
from .journal.port import Journal

__all__ = ["AdvisorThread", "answer"]

R = TypeVar("R")
Journals: TypeAlias = Sequence[tuple[bool, Callable[[], AbstractAsyncContextManager[Journal]]]]

_log: Final = logging.getLogger("treewarden.advisor")
_LEAVE_WITHIN: Final = 10.0
"""Seconds that `close` waits for what is under way."""


class AdvisorThread:
    """That of one advisor in one process: it begins with the first question and ends with `close`."""

    def __init__(self, mind: Mind, journals: Journals) -> None:
        """`journals` are tried in turn until one can be had, each with whether it is on disk."""
        self.mind = mind
        self._journals = journals
        self._trouble = ""
        self._lock = threading.Lock()
        self._jobs: deque[Callable[[], None]] = deque()
        self._thread: threading.Thread | None = None
        self._wake: Callable[[], None] | None = None
        self._closed = False

    @property
    def trouble(self) -> str:
        """What kept the last answers from being persisted, if anything did."""
        return self._trouble or self.mind.trouble

    # -- from any thread

    def submit(self, job: Callable[[], None], future: Future[R], otherwise: Callable[[str], R]) -> Future[R]:
        """Have `job` done in the loop; if it raises, or is never done, the future gets what `otherwise` says."""

        def guarded() -> None:
            try:
                job()
            except ConfigurationError as error:
                with suppress(InvalidStateError):
                    future.set_exception(error)
            except Exception as error:
                _log.exception("the advisor failed")
                answer(future, otherwise(f"the advisor failed: {error!r}"))

        with self._lock:
            if self._closed:
                answer(future, otherwise("the advisor is closed"))
                return future
            self._jobs.append(guarded)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="treewarden advisor", daemon=True)
                self._thread.start()
            wake = self._wake
        if wake is not None:
            wake()
        return future

    def close(self) -> None:
        """Finish what is under way, close the journal and end the thread. Later questions are answered at once."""
        with self._lock:
            self._closed = True
            wake, thread = self._wake, self._thread
        if wake is not None:
            wake()
        if thread is not None and thread is not threading.current_thread():
            thread.join(_LEAVE_WITHIN)

    # -- in its own

    def _serve(self) -> None:
        try:
            trio.run(self._main)
        except Exception as error:
            _log.exception("the advisor ended")
            self._trouble = str(error)
        finally:
            with self._lock:
                self._closed, self._wake = True, None
            self._do_jobs()

    async def _main(self) -> None:
        *before, (last_on_disk, last) = self._journals
        for on_disk, open_journal in before:
            try:
                async with open_journal() as journal:
                    await self._answer_all(journal, on_disk=on_disk)
                return
            except Exception as error:
                self.mind.let_go()
                self._trouble = str(error)
                _log.warning("advices are not persisted: %s", error)
        async with last() as journal:
            await self._answer_all(journal, on_disk=last_on_disk)

    async def _answer_all(self, journal: Journal, *, on_disk: bool) -> None:
        await self.mind.take(journal, on_disk=on_disk)
        token, work = trio.lowlevel.current_trio_token(), trio.Event()

        def rouse() -> None:
            work.set()

        def wake() -> None:
            call_in_loop(token, lambda: rouse())

        with self._lock:
            self._wake = wake
        while True:
            self._do_jobs()
            if self._closed and not self._jobs:
                return
            await work.wait()
            work = trio.Event()

    def _do_jobs(self) -> None:
        while self._jobs:
            self._jobs.popleft()()


def answer(future: Future[R], value: R) -> None:
    """Give `value` to who asked. Nothing happens where that one has been answered."""
    with suppress(InvalidStateError):
        future.set_result(value)
