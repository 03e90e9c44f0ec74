"""Actions that a user registers under a name of their own: `cache_warmup`, `health_check`."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, cast

from attrs import Attribute, evolve, field

from treewarden.agents.core.said import is_number, shown
from treewarden.agents.core.values import frozen

if TYPE_CHECKING:
    from .likelihoods import Likelihoods, Row

__all__ = ["NO_ACTIONS", "RESERVED", "NamedAction", "helps_by_cause", "knowing", "named_actions"]

_NAME: Final = r"[a-z][a-z0-9_]*"
RESERVED: Final = frozenset({
    "any", "break", "escalate", "fall_back", "hold", "perform", "recycle", "restart", "restart_all", "restart_rest",
    "resume", "roll_back", "set_aside", "stop", "throttle",
})  # fmt: skip
"""Names that have a meaning already."""
_REMEMBERED: Final = 64
"""Sets of registered actions whose numbers are remembered at most; what is believed by them is remembered there."""
_ELSEWHERE: Final = 0.05
"""P(an action ends an incident of a cause that it is not said to help against)."""


def _runs(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not callable(value):
        raise ValueError(f"{attribute.name} is {value!r:.80}; give an async function of one Occasion")


def _limit(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not is_number(value) or not 0 < value < math.inf:
        raise ValueError(f"{attribute.name} is {shown(value)}; give seconds, more than 0 and finite")


def _share(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not is_number(value) or not 0 <= value <= 1:
        raise ValueError(f"{attribute.name} is {shown(value)}; it must be from 0 to 1")


def _shares(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    from .likelihoods import Cause  # here and below: most trees register no actions, and start without it

    if not isinstance(value, Mapping):
        raise ValueError(f"{attribute.name} is {value!r}; give {{'overload': 0.7}}")
    for cause, share in cast("Mapping[Any, Any]", value).items():
        if cause not in list(Cause):
            raise ValueError(f"{attribute.name} has {cause!r}; the causes are {', '.join(Cause)}")
        if not is_number(share) or not 0 <= share <= 1:
            raise ValueError(f"{attribute.name}.{cause} is {shown(share)}; it must be from 0 to 1")


@frozen
class NamedAction:
    """What runs under a name, and for how long at most.

    `run` is called with an `Occasion`. Its return is success; what it raises, and being cut off, is failure. It runs
    beside the supervisor's loop, in a task that its supervisor owns.
    """

    run: Callable[..., Awaitable[object]] = field(validator=_runs)
    within: float = field(default=30.0, validator=_limit)
    """Seconds after which it is cancelled."""
    helps: Mapping[str, float] = field(factory=dict[str, float], validator=_shares)
    """P(it ends the incident), by cause, as `belief()` is to see it: `{"overload": 0.7}`. The causes left out count as
    0.05; if all are, each counts as 0.2."""
    needs: float = field(default=0.0, validator=_share)
    """For what cannot be taken back: no policy performs it unless P(it ends the incident) is at least this, and
    calibrated. 1 leaves it to people. Whoever asks for it by name (`perform`) is not bound by it."""


NO_ACTIONS: Final[Mapping[str, NamedAction]] = MappingProxyType({})


def named_actions(given: Any) -> Mapping[str, NamedAction]:
    """Registered actions by name; a function alone gets the default limit. Raises `ValueError` for what is none."""
    if isinstance(given, Mapping) and not given:
        return NO_ACTIONS
    if not isinstance(given, Mapping):
        raise ValueError(f"actions is {given!r:.80}; give {{'cache_warmup': function}}")
    found: dict[str, NamedAction] = {}
    for name, action in cast("Mapping[Any, Any]", given).items():
        if not isinstance(name, str) or not re.fullmatch(_NAME, name):
            raise ValueError(f"actions has {name!r}; name an action in lower case, as in 'cache_warmup'")
        if name in RESERVED:
            raise ValueError(f"actions has {name!r}, which has a meaning already; name it differently")
        try:
            found[name] = action if isinstance(action, NamedAction) else NamedAction(action)
        except ValueError as error:
            raise ValueError(f"actions.{name}: {error}") from None
    return found


def helps_by_cause(action: NamedAction) -> Row:
    """P(the action ends an incident | cause), in the order of `Cause`."""
    from .likelihoods import CAUSES, UNKNOWN

    if not action.helps:
        return UNKNOWN
    return cast("Row", tuple([float(action.helps.get(cause, _ELSEWHERE)) for cause in CAUSES]))


def knowing(by: Likelihoods, actions: Mapping[str, NamedAction]) -> Likelihoods:
    """The same numbers, with what is said of registered actions: the same value each time, with what it remembers."""
    if not actions:
        return by
    said = {name: helps_by_cause(action) for name, action in actions.items()}
    known, key = by.knowing, tuple(said.items())
    found = known.get(key)
    if found is None:
        found = evolve(by, fixes={**by.fixes, **said})
        if len(known) >= _REMEMBERED:
            known.clear()
        known[key] = found
    return found
