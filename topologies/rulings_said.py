"""What a person rules about an approval, or answers, as a command has it; and what is said back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from treewarden.agents.core.approval import Answered, Approved, Asked, Refused, Verdict, check_verdict
from treewarden.agents.core.said import either, shown
from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.noted_waits import RULED_AS

__all__ = ["ruled", "verdict_of"]

_SAID: Final[Mapping[str, tuple[Callable[..., Verdict], str]]] = {
    "approved": (Approved, "comment"),
    "refused": (Refused, "reason"),
    "answered": (Answered[Any], "value"),
}


def verdict_of(fields: Mapping[str, Any]) -> Verdict:
    """What `fields` say. Raises `ConfigurationError`."""
    said = fields["said"]
    if said not in _SAID:
        raise ConfigurationError(f"said is {shown(said)}; it must be {either(_SAID)}")
    kind, text = _SAID[said]
    try:
        return check_verdict(kind(by=fields["by"], **{text: fields.get("text", "")}))
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def ruled(asked: Asked, verdict: Verdict) -> str:
    """The sentence for whoever has ruled."""
    what = RULED_AS[type(verdict)]
    return f"{asked.path}: the {asked.name} of {asked.kind} {asked.message} is {what} by {verdict.by}"
