"""What treewarden writes itself, and which of it is somebody's: the other names in it are no keys of secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import field

from treewarden.agents.core.values import frozen

__all__ = ["OF_EVENTS", "OF_REPLIES", "Ours"]


@frozen
class Ours:
    """Data of treewarden's. A redacted id, number or time would make it unreadable, or another one."""

    said: frozenset[str] = frozenset()
    """Names of what somebody has said: each may be a key, but for one that holds an object."""
    held: Mapping[str, Ours | None] = field(factory=dict[str, "Ours | None"])
    """Names of what holds data of somebody's; None: in which every name may be a key."""


OF_EVENTS: Final = Ours(
    frozenset({"about", "by", "error", "holder", "name", "question", "reason", "subject", "text", "why"}),
    {"about": None, "facts": None},
)
"""Of the body of an event."""
OF_REPLIES: Final[Mapping[str, Ours]] = {
    "begun": Ours(),
    "waits": Ours(held={"about": Ours(frozenset({"subject"}), {"about": None})}),
    "ruled": Ours(frozenset({"by", "comment", "reason", "value"})),
    "happened": Ours(held={"value": None}),
}
"""Of what is kept of steps, by its kind. All else that is kept is somebody's."""
