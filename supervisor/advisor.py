"""`Advisor`: the decision pipeline beside an application that has no actors."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Self, TypeVar

import trio

from treewarden.agents.core.exit import describe
from treewarden.agents.core.path import Path, check_id
from treewarden.agents.core.said import is_number, shown
from treewarden.agents.errors import ConfigurationError
from treewarden.agents.wake import call_in_loop

from .advising import Advice, Mind
from .advisor_thread import AdvisorThread, answer
from .common import LoopClock
from .core.adaptive_runtime import adaptive_runtime
from .core.advice import Circumstances, Profile
from .journal.memory import MemoryJournal
from .journal.port import Journal
from .journal.sqlite import SqliteJournal

__all__ = ["Advice", "Advisor"]

R = TypeVar("R")


class Advisor:
    """Advice with its confidence and reasons, for any application: `await advisor.process({...})`.

    One and the same object serves trio, asyncio and plain threads: the work is done in a thread of its own, which
    begins with the first call and ends with `close` (or the block of `with` or `async with`), and never keeps a process
    alive. Every answer is committed to `journal` before it is given, so `treewarden why FILE.db AGENT` explains it, and
    what was learnt survives `kill -9`. Without a journal it is forgotten at the end.

    A failing advisor never breaks what it advises: whatever goes wrong inside, or takes longer than `within`, is an
    advice of the profile's default action, with confidence 0, `persisted` False and the fault as its reason; a journal
    that fails, or is owned by another process, makes advices that are not persisted, and a warning in the log
    (`treewarden.advisor`). Only an event that cannot be read raises, in the caller: that is the caller's mistake.

    Not promised: that an advice is good. `calibrated` says whether confidences have proven right so far.
    """

    def __init__(
        self,
        agent_id: str = "default",
        *,
        journal: str | os.PathLike[str] | None = None,
        profile: Profile | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`profile` is `adaptive_runtime()` unless given. A journal belongs to one advisor at a time: several in one
        process have a file each.

        Raises `ConfigurationError` for a name that cannot be one, and for what is no file name or no profile.
        """
        try:
            self._agent = Path(check_id(agent_id))
        except ValueError as error:
            raise ConfigurationError(str(error)) from None
        self._profile = adaptive_runtime() if profile is None else profile
        if not isinstance(self._profile, Profile):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"profile is {shown(profile)}; give a Profile, as adaptive_runtime() returns")
        try:
            self._file = None if journal is None else os.fsdecode(journal)
        except TypeError:
            raise ConfigurationError(f"journal is {shown(journal)}; give the name of a file, or None") from None
        self._wall = wall
        self._threads: dict[int, AdvisorThread] = {}
        """By process: the child of one that has forked has a thread of its own, and cannot use its parent's."""
        self._here()

    def _here(self) -> AdvisorThread:
        """That of this process, which all of its threads share."""
        process = os.getpid()
        found = self._threads.get(process)
        if found is None:
            # Whoever comes at the same time gets the same one. A lock may have been held while the process forked.
            found = self._threads.setdefault(process, self._new())
        return found

    def _new(self) -> AdvisorThread:
        journals: list[tuple[bool, Callable[[], AbstractAsyncContextManager[Journal]]]] = [(False, MemoryJournal)]
        if self._file is not None:
            file, wall = self._file, self._wall
            journals.insert(0, (True, lambda: SqliteJournal(file, clock=LoopClock(wall))))
        return AdvisorThread(Mind(self._agent, self._profile, self._wall), journals)

    # -- asking

    async def process(self, event: Mapping[str, Any], *, within: float = 5.0) -> Advice:
        """What to do about `event`: `type`, and what is known of `severity` (0 to 1), `cpu` and `memory` (percent),
        `error_rate` (0 to 1), `latency_ms`; the rest is kept with it.

        From trio or asyncio; waits at most `within` seconds of its loop. Cancelled: the advice may still be journaled.
        Raises `ConfigurationError` naming the field that is missing or out of range.
        """
        said = _checked(event, within)
        try:
            return await _arrived(self._ask(said), within)
        except TimeoutError:
            return self._fallback(said.type, f"the advisor did not answer within {within:g} s")

    def process_sync(self, event: Mapping[str, Any], *, within: float = 5.0) -> Advice:
        """As `process`, for plain code; it blocks its thread. Raises `ConfigurationError`."""
        said = _checked(event, within)
        try:
            return self._ask(said).result(_seconds(within))
        except TimeoutError:
            return self._fallback(said.type, f"the advisor did not answer within {within:g} s")

    async def record_outcome(self, advice: Advice | str, *, fixed: bool, within: float = 5.0) -> bool:
        """Tell whether the action of an advice (or its id) closed the incident. Returns whether that is on disk.

        Counts once, however late; of an advice that the advisor could not make (`confidence` 0, no id), and of one that
        it has forgotten (10,000 later ones wait for theirs), nothing is learned, and this is False. Raises
        `ConfigurationError` for an id that is none, or whose outcome is known already.

        Cancelled, or not on disk within `within` seconds (which is False, too): it counts all the same.
        """
        _check_within(within)
        try:
            return await _arrived(self._label(advice, fixed), within)
        except TimeoutError:
            return False

    def record_outcome_sync(self, advice: Advice | str, *, fixed: bool, within: float = 5.0) -> bool:
        """As `record_outcome`, for plain code."""
        _check_within(within)
        try:
            return self._label(advice, fixed).result(_seconds(within))
        except TimeoutError:
            return False

    def metrics(self) -> Mapping[str, Any]:
        """Counts of advices and outcomes, and the Brier skill of what was stated; read without waiting for anything."""
        return self._here().mind.metrics()

    @property
    def trouble(self) -> str:
        """What kept the last advices from being persisted, if anything did."""
        return self._here().trouble

    # -- its life

    def close(self) -> None:
        """Finish what is under way, close the journal and end the thread. Later calls are answered by the fallback."""
        self._here().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if trio.lowlevel.in_trio_task():
            with trio.CancelScope(shield=True):  # bounded by the limit of `close`
                await trio.to_thread.run_sync(self.close)
        else:
            await asyncio.shield(asyncio.to_thread(self.close))

    # -- from the caller's thread

    def _ask(self, said: Circumstances) -> Future[Advice]:
        here, future = self._here(), Future[Advice]()

        def advise() -> None:
            here.mind.advise(said, lambda advice: answer(future, advice))

        return here.submit(advise, future, lambda fault: self._fallback(said.type, fault))

    def _label(self, advice: Advice | str, fixed: bool) -> Future[bool]:
        here, future = self._here(), Future[bool]()
        id = advice.id if isinstance(advice, Advice) else advice
        if not isinstance(id, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"advice is {shown(advice)}; give an advice, or its id")
        if not isinstance(fixed, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"fixed is {shown(fixed)}; say True or False")
        if isinstance(advice, Advice) and not id:
            answer(future, False)
            return future

        def label() -> None:
            here.mind.label(id, fixed=fixed, done=lambda kept: answer(future, kept))

        return here.submit(label, future, lambda _: False)

    def _fallback(self, type: str, fault: str) -> Advice:
        reason = f"{fault}; confidence 0"
        return Advice(id="", event_type=type, action=self._profile.default, confidence=0.0, reason=reason)


def _checked(event: Mapping[str, Any], within: float) -> Circumstances:
    _check_within(within)
    try:
        return Circumstances.of(event)
    except ValueError as error:
        raise ConfigurationError(f"the event cannot be judged: {error}") from None
    except Exception as error:  # a mapping of somebody's own
        raise ConfigurationError(f"the event cannot be read: {describe(error)}") from error


def _check_within(within: object) -> None:
    if not is_number(within) or not within >= 0:
        raise ConfigurationError(f"within is {shown(within)}; give seconds, 0 or more")


def _seconds(within: float) -> float | None:
    """As threads wait: they cannot for more than some hundred years."""
    return within if within <= threading.TIMEOUT_MAX else None


async def _arrived(future: Future[R], within: float) -> R:
    """The result of a future of another thread, in trio or asyncio. Raises `TimeoutError`. What was asked for is done
    all the same then, and where its caller is cancelled."""
    if not trio.lowlevel.in_trio_task():
        loop, there = asyncio.get_running_loop(), asyncio.Event()

        def say(_: object) -> None:
            with suppress(RuntimeError):  # that loop has ended meanwhile
                loop.call_soon_threadsafe(there.set)

        future.add_done_callback(say)
        with suppress(TimeoutError):
            await asyncio.wait_for(there.wait(), _seconds(within))
    else:
        token, done = trio.lowlevel.current_trio_token(), trio.Event()

        def tell(_: object) -> None:
            call_in_loop(token, done.set)

        future.add_done_callback(tell)
        with trio.move_on_after(within):
            await done.wait()
    if not future.done():
        raise TimeoutError
    return future.result()
