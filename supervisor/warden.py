"""What an agent tells its supervisor, while its life is the one that counts; and the tasks that it starts beside it."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import trio

from treewarden.agents.core.durability import Message
from treewarden.agents.core.exit import Failure, describe, ends_process, leaves
from treewarden.agents.core.message import Envelope
from treewarden.agents.core.path import Path
from treewarden.agents.ref import Ref
from treewarden.agents.slot import Slot
from treewarden.agents.ticks import Tick
from treewarden.agents.traffic import in_on_start

from .child import Incarnation
from .core.signal import RateLimitReached, Recovered, Reported, Stalled
from .core.spec import ChildSpec

if TYPE_CHECKING:
    from treewarden.agents.core.ended import Ended
    from treewarden.agents.core.loops import Cycle

__all__ = ["AgentWarden", "for_above", "let_above"]


class AgentWarden(Incarnation):
    """An incarnation of an agent, as the agent sees it (`agents.ports.Warden`). What an earlier one does is void."""

    __slots__ = ("_helpers", "_slot", "spec", "stalled_on")

    _slot: Slot
    spec: ChildSpec
    _helpers: set[trio.CancelScope] | None
    stalled_on: object
    """The work that it was last said to hang on."""

    @property
    def slot(self) -> Slot:
        return self._slot

    @property
    def doing(self) -> str:
        """What is in hand, in a word."""
        busy = self.slot.busy
        if isinstance(busy, Tick):
            return busy.kind
        return type(busy.body if isinstance(busy, Envelope) else busy).__qualname__

    @property
    def redelivers(self) -> bool:
        return isinstance(self.spec.mailbox.durability, Message)

    @property
    def is_current(self) -> bool:
        return self.exit is None and self._slot.generation == self.serial

    def reported(self, kind: str, severity: float, text: str, facts: Mapping[str, Any]) -> None:
        at = self.parent.common.clock.now()
        signal = Reported(path=self._slot.path, at=at, kind=kind, severity=severity, text=text, facts=dict(facts))
        if self.is_current:
            self.parent.post(signal)

    def recovered(self, kind: str, text: str) -> None:
        if self.is_current:
            at = self.parent.common.clock.now()
            self.parent.post(Recovered(path=self._slot.path, at=at, kind=kind, text=text))

    def measured(self, what: str, value: float) -> None:
        if self.is_current and self.spec.limits:
            self.parent.common.gauges.measured(self, what, value)

    def recorded(self, facts: tuple[Any, ...]) -> None:
        if self.is_current:
            self.parent.common.note(*(self.parent.common.recorded(self._slot.path, fact) for fact in facts))

    def rate_limited(self, after: float | None, envelope: Envelope | None, failure: Failure) -> None:
        if self.is_current:
            at = self.parent.common.clock.now()
            message = envelope.id or None if envelope is not None else None
            self.parent.post(
                RateLimitReached(path=self._slot.path, at=at, after=after, message=message, failure=failure)
            )

    def looping(self, cycle: Cycle) -> None:
        if self.is_current:
            at = self.parent.common.clock.now()
            self.parent.post(
                Stalled(path=self._slot.path, at=at, doing=self.doing, cycle=cycle.calls, times=cycle.times)
            )

    def look_again(self) -> None:
        """Something was done about the work that it hangs on: give it its limit once more."""
        self.stalled_on = None
        self._slot.progress_at = self.parent.common.clock.now()

    def commit_failed(self, error: BaseException) -> None:
        if self.is_current:
            self.kill(Failure("CommitFailed", str(error), fingerprint="commit failed"))

    def start_helper(self, work: Callable[..., Awaitable[Any]], *args: Any) -> None:
        if self.is_current:
            scope = trio.CancelScope()
            if self._helpers is None:
                self._helpers = set()
            self._helpers.add(scope)
            self.parent.nursery.start_soon(self._help, scope, work, args, name=f"{self._slot.path} helper")

    def ref(self, path: Path) -> Ref:
        return self.parent.common.registry.ref(path)

    def watch(self, path: Path) -> AbstractAsyncContextManager[AsyncIterator[Ended]]:
        from .watching import watch  # for those who do

        return watch(self.parent.common, path)

    async def _help(self, scope: trio.CancelScope, work: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> None:
        in_on_start.set(None)  # which may have begun it, but does not wait for it
        try:
            with scope:
                await work(*args)
        except BaseException as error:
            let_above(error)
            self.error = error
            self.kill(describe(error))
        finally:
            if self._helpers is not None:
                self._helpers.discard(scope)

    def end_helpers(self) -> None:
        """Cancel what it has started beside it."""
        for helper in self._helpers or ():
            helper.cancel()


def for_above(error: BaseException) -> BaseException | None:
    """What of this is Ctrl-C, a wish to exit, or cancellation from above: not the affair of whoever raised it, as a
    `Cancelled` that nobody asked for is. What else came with it is not for anybody above. None: nothing is.

    To be called outside of the scopes that it is about."""
    parts = leaves(error)
    above = [part for part in parts if type(part) is trio.Cancelled or ends_process(part)]
    if not ends_process(error) and not (above and trio.current_effective_deadline() == -math.inf):
        return None
    if len(above) == len(parts):
        return error
    return above[0] if len(above) == 1 else BaseExceptionGroup("more than one", above)


def let_above(error: BaseException) -> None:
    """Raise what of this is `for_above`; nothing happens where nothing is."""
    above = for_above(error)
    if above is not None:
        raise above
