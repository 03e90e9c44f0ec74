"""What a person says of an effect in doubt, as a command has it; and what is said back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from treewarden.agents.core.said import either, shown
from treewarden.agents.core.step import Done, GiveUp
from treewarden.agents.errors import ConfigurationError, NotDone
from treewarden.supervisor.answering import OpenEffect, Said

__all__ = ["answered_effect", "said_of_effect"]

_SAID: Final[Mapping[str, Callable[[Any], Said]]] = {
    "done": Done[Any],
    "not done": lambda _: NotDone(),
    "give up": lambda _: GiveUp(),
}


def said_of_effect(fields: Mapping[str, Any]) -> Said:
    """What `fields` say. Raises `ConfigurationError`."""
    said = fields["said"]
    if said not in _SAID:
        raise ConfigurationError(f"said is {shown(said)}; it must be {either(_SAID)}")
    return _SAID[said](fields.get("value"))


def answered_effect(effect: OpenEffect, said: Said) -> str:
    """The sentence for whoever has answered."""
    of = f"{effect.path}: the {effect.effect} of {effect.kind} {effect.message}"
    if isinstance(said, GiveUp):
        return f"{of} is given up, and its message with it"
    return f"{of} is done" if isinstance(said, Done) else f"{of} is not done, and runs again"
