"""An address at which what is sent begins in a trace that has a name."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

from .asking import Answer
from .audience import Audience
from .core.message import Envelope, Priority, Request
from .core.path import Path
from .core.said import shown
from .core.values import frozen
from .errors import ConfigurationError
from .sending import refuse_what_has_no_reply, tell_each
from .slot import Slot, Turn, current_turn
from .traffic import Traffic, deadline_of

__all__ = ["Traced", "checked_trace"]

R = TypeVar("R")

_NAME: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


def checked_trace(trace: object) -> str:
    """The trace that this names: itself, or the trace id of a W3C `traceparent`. Raises `ConfigurationError`.

    >>> checked_trace("order-17"), checked_trace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    ('order-17', '4bf92f3577b34da6a3ce929d0e0e4736')
    """
    if isinstance(trace, str):
        if parent := _TRACEPARENT.fullmatch(trace):
            return parent[1]
        if _NAME.fullmatch(trace):
            return trace
    raise ConfigurationError(
        f"{shown(trace)} can name no trace; give 1 to 64 letters, digits and _.:- as in 'order-17', or a traceparent"
    )


@frozen(eq=False, kw_only=True)
class Traced:
    """See `Ref.traced`."""

    path: Path
    trace: str
    traffic: Traffic
    receivers: Callable[[object, Turn | None, int], Sequence[Slot]]
    """This and the rest are how its `Ref` sends."""
    audience: Callable[[Turn | None, int], Audience | None]
    put: Callable[[Answer, float, Turn | None], Awaitable[None]]
    reply: Callable[[Answer], Awaitable[Any]]
    plain: Callable[..., Awaitable[Any]]
    """`Ref.ask`, of those that have no id."""

    async def tell(self, message: object, *, priority: int = Priority.NORMAL, within: float = 30.0) -> None:
        """As `Ref.tell`; a topic raises `ConfigurationError`."""
        turn = current_turn.get()
        if await self.traffic.once_there(lambda: self.audience(turn, priority), within) is not None:
            raise ConfigurationError(f"{self.path}: a topic begins a trace for each that it tells; use it as it is")
        receivers = await self.traffic.once_there(lambda: self.receivers(message, turn, priority), within)

        def stamp(slot: Slot, item: Envelope) -> None:
            if slot.durable:
                item.id = self.trace

        await tell_each(self.path, receivers, message, turn, priority, within, self.traffic, stamp=stamp)

    async def ask(self, message: Request[R], *, within: float = 5.0, priority: int = Priority.NORMAL) -> R:
        """As `Ref.ask`."""
        turn = current_turn.get()
        (slot, *_) = await self.traffic.once_there(lambda: self.receivers(message, turn, priority), within)
        if not slot.durable or slot.store is None or (turn is not None and turn.in_handler):
            return await self.plain(message, within=within, priority=priority)
        refuse_what_has_no_reply(slot, message)
        deadline = deadline_of(self.traffic.now(), within, slot.path)
        id = f"{self.trace}/{slot.store.steps(slot).new_id().replace('.', '-')}"
        sender = None if turn is None else turn.path
        answer = Answer(
            slot, Envelope(message, id=id, sender=sender, deadline=deadline, priority=priority), within, None
        )
        try:
            await self.put(answer, deadline, turn)
        except BaseException:
            answer.leave()
            raise
        return await self.reply(answer)
