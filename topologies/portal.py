"""A way into the tree for other threads: plain code in a thread, or an asyncio loop that runs in one."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, overload

import trio

from treewarden.agents.core.message import Request
from treewarden.agents.core.path import Path
from treewarden.agents.core.said import shown
from treewarden.agents.errors import AgentStopped, ConfigurationError, WrongThread
from treewarden.agents.wake import call_in_loop

from .running import Tree

if TYPE_CHECKING:
    from treewarden.agents.core.approval import Asked, Verdict
    from treewarden.supervisor.open_waits import OpenWait

__all__ = ["Portal", "open_portal"]

R = TypeVar("R")
Given = TypeVarTuple("Given")


class Portal:
    """Calls into a running tree, safe from any thread but the tree's own.

    Each call comes in two forms: one that returns a `concurrent.futures.Future` at once (`asyncio.wrap_future` makes it
    awaitable), and one that waits for it, which the tree's own thread is refused. Cancelling a future that has not
    begun takes the call back; later it does not. Once the portal is closed, calls and what was pending raise
    `AgentStopped`, whose `retry_safe` says whether the call certainly had not begun.
    """

    def __init__(self, tree: Tree, token: trio.lowlevel.TrioToken, nursery: trio.Nursery) -> None:
        self._tree = tree
        self._token = token
        self._nursery = nursery
        self._pending: set[Future[Any]] = set()
        self._closed = False
        self._thread = threading.get_ident()

    def tell_soon(self, path: str, message: object, *, within: float = 30.0) -> Future[None]:
        """`ref.tell`; done when the message is accepted, and on disk if its receiver is durable."""

        async def tell() -> None:
            await self._tree.ref(path).tell(message, within=within)

        return self._submit(path, tell)

    def ask_soon(self, path: str, message: Request[R], *, within: float = 5.0) -> Future[R]:
        """`ref.ask`; its result is the reply."""

        async def ask() -> R:
            return await self._tree.ref(path).ask(message, within=within)

        return self._submit(path, ask)

    def signal_soon(self, path: str, facts: Mapping[str, Any], *, lasts: float | None = None) -> Future[None]:
        """`tree.signal`; done when the supervisor has it in its queue."""

        async def signal() -> None:
            self._tree.signal(path, facts, lasts=lasts)

        return self._submit(path, signal)

    def recovered_soon(self, path: str, kind: str) -> Future[None]:
        """`tree.recovered`; done when the supervisor has it in its queue."""

        async def recovered() -> None:
            self._tree.recovered(path, kind)

        return self._submit(path, recovered)

    def waits_soon(self, path: str = "/") -> Future[tuple[OpenWait, ...]]:
        """`tree.waits`; its result is what handlers wait for."""

        async def waits() -> tuple[OpenWait, ...]:
            return await self._tree.waits(path)

        return self._submit(path, waits)

    def rule_soon(self, path: str, verdict: Verdict, *, key: str = "") -> Future[Asked]:
        """`tree.rule`; done when the ruling is on disk, or is refused."""

        async def rule() -> Asked:
            return await self._tree.rule(path, verdict, key=key)

        return self._submit(path, rule)

    @overload
    def call_soon(self, work: Callable[[*Given], Awaitable[R]], *args: *Given) -> Future[R]: ...
    @overload
    def call_soon(self, work: Callable[[*Given], R], *args: *Given) -> Future[R]: ...
    def call_soon(self, work: Callable[..., Any], *args: Any) -> Future[Any]:
        """Run `work(*args)` in the tree's loop, a plain or an async function, as `running.snapshot` or `running.drain`;
        its result is what that returns. It has no limit of its own, and ends with the portal's block."""

        async def call() -> Any:
            found = work(*args)
            return await found if isawaitable(found) else found

        return self._submit("/", call)

    def stop_soon(self, reason: str = "shutdown") -> Future[None]:
        """`tree.stop`; done when the root has ended."""

        async def stop() -> None:
            self._tree.stop(reason)
            await self._tree.wait_ended()

        return self._submit("/", stop)

    def tell(self, path: str, message: object, *, within: float = 30.0) -> None:
        """As `tell_soon`, and wait. Raises what `ref.tell` raises, and `WrongThread`."""
        self._wait(self.tell_soon(path, message, within=within), f"await tree.ref({path!r}).tell(...)")

    def ask(self, path: str, message: Request[R], *, within: float = 5.0) -> R:
        """As `ask_soon`, and wait for the reply. Raises what `ref.ask` raises, and `WrongThread`."""
        return self._wait(self.ask_soon(path, message, within=within), f"await tree.ref({path!r}).ask(...)")

    def signal(self, path: str, facts: Mapping[str, Any], *, lasts: float | None = None) -> None:
        """As `signal_soon`, and wait. Raises what `tree.signal` raises, and `WrongThread`."""
        self._wait(self.signal_soon(path, facts, lasts=lasts), f"tree.signal({path!r}, ...)")

    def recovered(self, path: str, kind: str) -> None:
        """As `recovered_soon`, and wait. Raises what `tree.recovered` raises, and `WrongThread`."""
        self._wait(self.recovered_soon(path, kind), f"tree.recovered({path!r}, {kind!r})")

    def waits(self, path: str = "/") -> tuple[OpenWait, ...]:
        """As `waits_soon`, and wait for it. Raises what `tree.waits` raises, and `WrongThread`."""
        return self._wait(self.waits_soon(path), f"await tree.waits({path!r})")

    def rule(self, path: str, verdict: Verdict, *, key: str = "") -> Asked:
        """As `rule_soon`, and wait for it. Raises what `tree.rule` raises, and `WrongThread`."""
        return self._wait(self.rule_soon(path, verdict, key=key), f"await tree.rule({path!r}, ...)")

    @overload
    def call(self, work: Callable[[*Given], Awaitable[R]], *args: *Given) -> R: ...
    @overload
    def call(self, work: Callable[[*Given], R], *args: *Given) -> R: ...
    def call(self, work: Callable[..., Any], *args: Any) -> Any:
        """As `call_soon`, and wait. Raises what `work` raises, and `WrongThread`."""
        return self._wait(self.call_soon(work, *args), f"{getattr(work, '__name__', 'the function')}(...)")

    def stop(self, reason: str = "shutdown") -> None:
        """As `stop_soon`, and wait until the tree has ended. Raises `WrongThread`."""
        self._wait(self.stop_soon(reason), "tree.stop()")

    def _wait(self, future: Future[R], instead: str) -> R:
        if threading.get_ident() == self._thread and not future.done():  # while its loop runs
            future.cancel()
            raise WrongThread(
                "a portal waits for the tree's loop, and this is the thread in which that runs, so it would wait for "
                f"ever: here call {instead}, or keep what a form with _soon returns"
            )
        return future.result()

    def _submit(self, path: str, call: Callable[[], Awaitable[R]]) -> Future[R]:
        future: Future[R] = Future()
        if not call_in_loop(self._token, self._begin, path, call, future):
            future.set_exception(_gone(path))
        return future

    def _begin(self, path: str, call: Callable[[], Awaitable[Any]], future: Future[Any]) -> None:
        if self._closed:
            if future.set_running_or_notify_cancel():
                future.set_exception(_gone(path))
            return
        self._pending.add(future)
        self._nursery.start_soon(self._run, path, call, future)

    @trio.lowlevel.enable_ki_protection  # but for the call: a future that is never told keeps its thread for ever
    async def _run(self, path: str, call: Callable[[], Awaitable[Any]], future: Future[Any]) -> None:
        if future not in self._pending:  # the portal was closed before this task began
            return
        self._pending.discard(future)
        if not future.set_running_or_notify_cancel():
            return
        try:
            found = await _interruptible(call)
        except Exception as error:
            future.set_exception(error)
        except BaseException:
            future.set_exception(_gone(path, retry_safe=False))
            raise
        else:
            future.set_result(found)

    @trio.lowlevel.enable_ki_protection
    def close(self) -> None:
        """Refuse what comes from now on, and what has not begun."""
        self._closed = True
        for future in self._pending:
            if future.set_running_or_notify_cancel():
                future.set_exception(_gone("/"))
        self._pending.clear()


@trio.lowlevel.disable_ki_protection
async def _interruptible(call: Callable[[], Awaitable[R]]) -> R:
    """An ask may be handled in its asker's task."""
    return await call()


@asynccontextmanager
async def open_portal(tree: Tree) -> AsyncGenerator[Portal]:
    """A portal into `tree`, for the length of a block in the tree's loop.

    Open it inside the block of `open_tree` and hand it to the threads. Leaving the block ends the calls that are under
    way; their callers get `AgentStopped`, also those that call when the whole loop has ended. No thread waits for ever.
    Raises `ConfigurationError` for what is no tree.
    """
    if not isinstance(tree, Tree):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"{shown(tree)} is no tree that runs; give what `async with open_tree(...)` gives")
    async with trio.open_nursery() as nursery:
        portal = Portal(tree, trio.lowlevel.current_trio_token(), nursery)
        try:
            yield portal
        finally:
            portal.close()
            nursery.cancel_scope.cancel()


def _gone(path: str, *, retry_safe: bool = True) -> AgentStopped:
    text = f"{path}: the portal is closed; keep its block open while threads use it"
    return AgentStopped(text, path=Path(path), retry_safe=retry_safe)
