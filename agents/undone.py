"""What a handler did that is to run again later counts for nothing: it met a limit, or has put its message aside."""

from __future__ import annotations

from .core.exit import describe
from .core.message import Envelope
from .errors import ConfigurationError, RateLimited
from .life import Life
from .ticks import Tick, Timed

__all__ = ["put_aside", "throttle"]


def throttle(life: Life, item: object, limited: RateLimited) -> None:
    """Slow down: undo what the handler did, keep the message, and let the supervisor say for how long."""
    slot, agent = life.slot, life.agent
    life.turn.drop()
    if slot.agent is not agent:
        return
    agent.state = life.state
    slot.busy = None
    slot.pause("throttled")
    if isinstance(item, Timed):
        life.afters.again(item)
    elif isinstance(item, Tick):
        if (dates := life.dates_of(item.name)) is not None:  # of others the next one is soon
            dates.again(item.name)
    elif item is not None:
        slot.put_back([item])
    life.warden.rate_limited(limited.after, item if type(item) is Envelope else None, describe(limited))


def put_aside(life: Life, item: object) -> None:
    """Undo what the handler did, and keep the message where `unstash` finds it."""
    slot, agent = life.slot, life.agent
    if isinstance(item, Tick):
        raise ConfigurationError(f"{slot.path}: {item.kind} is in hand; only a message can be put aside")
    life.turn.drop()
    if slot.agent is not agent:
        return
    agent.state = life.state
    slot.busy = None
    slot.stash(item)
