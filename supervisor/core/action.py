"""What a supervisor may do, as values, and which children an action touches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from functools import cache
from typing import Any, Final, TypeAlias

from attrs import fields

from treewarden.agents.core.message import MessageId
from treewarden.agents.core.values import frozen

from .spec import Strategy

__all__ = [
    "Action",
    "Break",
    "Escalate",
    "FallBack",
    "Hold",
    "Perform",
    "Recycle",
    "Restart",
    "Resume",
    "RollBack",
    "Scope",
    "SetAside",
    "Stop",
    "Throttle",
    "action_name",
    "affected",
    "details",
    "scope_of",
]


class Scope(IntEnum):
    """How many children a restart takes along; a policy may widen the declared strategy's scope, never narrow it."""

    ONE = 0
    REST = 1
    ALL = 2


@frozen
class Resume:
    """Let it live: the signal is noted, nothing is done to the child. Only for signals without an exit."""


@frozen
class Restart:
    """Start the affected children again with their last settled state, `after` seconds from now."""

    scope: Scope = Scope.ONE
    after: float = 0.0


@frozen
class RollBack:
    """Give the child the state of an earlier checkpoint (`steps` back from the last one), then restart it."""

    steps: int = 1
    after: float = 0.0


@frozen
class Throttle:
    """Take no work for `seconds`, below a supervisor neither; nothing is lost. A child that has ended is started again,
    with its intake closed."""

    seconds: float


@frozen
class Break:
    """The dependency is down, not its users: keep them all quiet for `seconds`, then let one of them probe it."""

    dependency: str
    seconds: float


@frozen
class SetAside:
    """Make this message a dead letter; if the child has exited, start it again without it."""

    message: MessageId
    after: float = 0.0


@frozen
class FallBack:
    """Start the child again as one of its variants, `after` seconds from now: earlier code, a cheaper model."""

    variant: str
    after: float = 0.0


@frozen
class Perform:
    """Run the action that is registered under this name, beside everything else, and see what comes of it.

    A child that has ended is started again `after` seconds from the end of that, if it succeeded; if it did not, the
    policy is asked what to do instead.
    """

    name: str
    after: float = 0.0


@frozen
class Recycle:
    """End the incarnation between two messages and start a fresh one. It does not count as a restart."""


@frozen
class Hold:
    """Keep the slot as it is until a person decides: one that is down stays so, one that lives is handed nothing, and
    neither is whoever lives below it."""

    question: str


@frozen
class Stop:
    """End the child for good."""


@frozen
class Escalate:
    """Stop all children and end this supervisor, cleanly; the one above decides what that means."""

    reason: str = "intensity"


Action: TypeAlias = (
    Resume | Restart | RollBack | Throttle | Break | SetAside | FallBack | Perform | Recycle | Hold | Stop | Escalate
)


_NAMES: Final[dict[type[Action], str]] = {
    Resume: "resume",
    Restart: "restart",
    RollBack: "roll_back",
    Throttle: "throttle",
    Break: "break",
    SetAside: "set_aside",
    FallBack: "fall_back",
    Perform: "perform",
    Recycle: "recycle",
    Hold: "hold",
    Stop: "stop",
    Escalate: "escalate",
}
_DECLARED: Final = {
    Strategy.ONE_FOR_ONE: Scope.ONE,
    Strategy.DYNAMIC: Scope.ONE,
    Strategy.REST_FOR_ONE: Scope.REST,
    Strategy.ONE_FOR_ALL: Scope.ALL,
}


def action_name(action: Action | type[Action]) -> str:
    """The name under which an action is journaled, `roll_back`; of a registered one its own. Changing one breaks old
    journals."""
    kind = action if isinstance(action, type) else type(action)
    return action.name if kind is Perform and isinstance(action, Perform) else _NAMES[kind]


def details(action: Action) -> Mapping[str, Any]:
    """The action's fields as plain data, for the journal; a scope by its name."""
    found = {name: getattr(action, name) for name in _fields(type(action))}
    if isinstance(action, Restart):
        found["scope"] = action.scope.name.lower()
    return found


@cache
def _fields(kind: type[Action]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def scope_of(strategy: Strategy) -> Scope:
    """The scope that a strategy declares."""
    return _DECLARED[strategy]


def affected(strategy: Strategy, order: Sequence[str], id: str, scope: Scope = Scope.ONE) -> tuple[str, ...]:
    """The ids that restart with `id`, in start order (stop them in reverse): OTP's restart groups, widened to `scope`.

    >>> affected(Strategy.REST_FOR_ONE, ["a", "b", "c"], "b")
    ('b', 'c')
    """
    match max(_DECLARED[strategy], scope):
        case Scope.ONE:
            return (id,)
        case Scope.REST:
            return tuple(order[list(order).index(id) :])
        case _:
            return tuple(order)
