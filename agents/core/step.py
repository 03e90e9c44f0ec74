"""Steps of a handler that act on the world outside: how one is called, and what to do about it when its message comes
again. What is known of a step is what was journaled; nobody here acts."""

from __future__ import annotations

import hashlib
from enum import Enum
from typing import Any, Final, Generic, TypeVar

from attrs import field

from .message import OF_EFFECTS, MessageId
from .path import Path
from .said import shown
from .values import frozen

__all__ = [
    "BEGUN",
    "MARK",
    "UNREAD",
    "Begun",
    "Done",
    "GiveUp",
    "Known",
    "Next",
    "Outcome",
    "advance",
    "begun_id",
    "check_name",
    "done_id",
    "is_step",
    "key_of",
    "mail_of",
    "message_of",
    "numbered",
    "raised",
    "step_name",
    "step_of",
]

R = TypeVar("R")

MARK: Final = "!"
"""What stands between path and name of an effect. No path has it, so no ask is ever called as an effect is."""
BEGUN: Final = "begun"
"""The kind of what is stored before an effect runs: no value of a user's is stored under it."""
UNREAD: Final = "was done, and its result cannot be read"
"""What is said of an effect whose result is of a class that has changed."""
_BEGUN, _DONE = OF_EFFECTS
_LONGEST: Final = 100
_KEY: Final = 16


@frozen
class Done(Generic[R]):
    """What the outside says of an effect: it was done, and this came of it."""

    value: R


@frozen(kw_only=True)
class Begun:
    """An effect that has begun, and of which no result is known."""

    step: MessageId
    name: str
    key: str
    path: Path
    """Whose handler ran it."""
    since: float
    """Wall seconds."""
    kind: str = ""
    """Of the message in hand."""
    alone: bool = True
    """Nothing but a person can say what came of it: it is neither idempotent, nor can it be verified."""
    waits: bool = True
    """Its message comes again by itself. That of an ask from outside of handlers does not."""
    returns: Any = field(default=None, eq=False, repr=False)
    """The type of its result, where this process has run it."""

    @property
    def message(self) -> MessageId:
        return message_of(self.step)


@frozen
class Known:
    """An effect whose result is known."""

    value: Any


@frozen
class GiveUp:
    """What a person says of an effect in doubt: its message is to become a dead letter."""


class Next(Enum):
    """What to do about an effect before its call runs."""

    RUN = "run"
    """It has not begun: make that durable, and run it."""
    REPLAY = "replay"
    """It was done: its result stands, and the call does not run."""
    VERIFY = "verify"
    """Nobody here knows: ask the outside."""
    RUN_AGAIN = "run again"
    """It may run again under the same key."""
    HOLD = "hold"
    """Nobody knows, and nobody but a person can say."""


def advance(found: Begun | Known | None, *, under_way: bool, verify: bool, idempotent: bool) -> Next:
    """What to do about an effect of which the journal holds `found`. `under_way`: its call still runs, in a life that
    has ended; what the outside says meanwhile may be otherwise in a moment."""
    if isinstance(found, Known):
        return Next.REPLAY
    if under_way:
        return Next.HOLD
    if found is None:
        return Next.RUN
    if verify:
        return Next.VERIFY
    return Next.RUN_AGAIN if idempotent else Next.HOLD


class Outcome(Enum):
    """What becomes of an effect whose call has raised."""

    UNDO = "undo"
    """It was not done, and is as if it had not begun."""
    LEAVE = "leave"
    """Nobody knows; the next delivery finds out."""
    HOLD = "hold"
    """Nobody knows, and nobody but a person can say."""


def raised(*, not_done: bool, verify: bool, idempotent: bool, waits: bool) -> Outcome:
    """What an exception of the call says. `not_done`: that nothing was done; any other says nothing about it.
    `waits`: the message comes again by itself; otherwise it is for its asker, who is told."""
    if not_done:
        return Outcome.UNDO
    return Outcome.LEAVE if verify or idempotent or not waits else Outcome.HOLD


def check_name(name: object) -> str:
    """`name`, if it can be that of an effect or a wait. Raises `ValueError` with the remedy."""
    if not isinstance(name, str) or not name.isascii() or not name.isidentifier() or len(name) > _LONGEST:
        raise ValueError(
            f"its name is {shown(name)}; give letters, digits and _, at most {_LONGEST}, as in 'charge': the same name "
            "for the same step whenever the message is handled"
        )
    return name


def step_name(path: Path, name: str) -> str:
    """What effects called `name` of the agents that take from the mailbox at `path` are numbered by."""
    return f"{path}{MARK}{name}"


def key_of(step: MessageId) -> str:
    """The key that the outside knows an effect by: the same whenever its message is handled.

    >>> key_of("17b2-5>desk!charge.1") == key_of("17b2-5>desk!charge.1") != key_of("17b2-5>desk!charge.2")
    True
    """
    return hashlib.blake2b(step.encode(), digest_size=_KEY).hexdigest()


def begun_id(step: MessageId) -> MessageId:
    """Under which it is stored that a step has begun."""
    return f"{step}{_BEGUN}"


def done_id(step: MessageId) -> MessageId:
    """Under which the result of a step is stored."""
    return f"{step}{_DONE}"


def is_step(id: MessageId) -> bool:
    """Whether something is stored for an effect under this id, and not the reply to an ask: that ends in a number."""
    return id.endswith(OF_EFFECTS)


def step_of(id: MessageId) -> MessageId:
    """Of which step something is that is stored under `id`."""
    return id.rpartition(">")[0]


def message_of(step: MessageId) -> MessageId:
    """The message in whose handler a step runs."""
    return step.rpartition(">")[0]


def numbered(step: MessageId) -> tuple[str, int]:
    """What an effect is called, and its number among those of its message that are called so.

    >>> numbered("17b2-5>desk!charge.2")
    ('charge', 2)
    """
    name, _, n = step.rpartition(MARK)[2].rpartition(".")
    return name, int(n)


def mail_of(step: MessageId) -> Path:
    """Where the message of a step waits."""
    return Path(step.rpartition(">")[2].partition(MARK)[0])
