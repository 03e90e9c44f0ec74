"""What treewarden writes itself, and which of it is somebody's: the other names in it are no keys of secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from attrs import evolve, field

from treewarden.agents.core.values import frozen

__all__ = ["Ours", "ours_of"]


@frozen
class Ours:
    """Data of treewarden's. A redacted id, number or time would make it unreadable, or another one."""

    said: frozenset[str] = frozenset()
    """Names of what somebody has said: each may be a key, but for one that holds an object."""
    held: Mapping[str, Ours | None] = field(factory=dict[str, "Ours | None"])
    """Names of what holds data of somebody's; None: in which every name may be a key."""


_OF_EVENTS: Final = Ours(
    frozenset({"about", "by", "error", "holder", "name", "question", "reason", "subject", "text", "why"}),
    {"about": None, "facts": None},
)
"""Of the body of an event."""
_QUESTION: Final = Ours(frozenset({"prompt"}))
"""What a person is asked: of which form the answer is, and among which texts it is, decides what fits."""
_OF_QUESTIONS: Final = {
    "ApprovalNoted": evolve(_OF_EVENTS, held={**_OF_EVENTS.held, "about": Ours(held={"question": _QUESTION})}),
    "waits": Ours(held={"about": Ours(frozenset({"subject"}), {"about": _QUESTION})}),
}
_OF_REPLIES: Final[Mapping[str, Ours]] = {
    "begun": Ours(),
    "waits": Ours(held={"about": Ours(frozenset({"subject"}), {"about": None})}),
    "ruled": Ours(frozenset({"by", "comment", "reason", "value"})),
    "happened": Ours(frozenset({"value"}), {"value": None}),
}
"""Of what is kept of steps, by its kind. All else that is kept is somebody's."""


def ours_of(table: str, kind: str, data: Any) -> Ours | None:
    """What is treewarden's of a row with this data; None where nothing is."""
    if table != "events" and (table != "replies" or kind not in _OF_REPLIES):
        return None
    about = cast("dict[str, Any]", data).get("about") if isinstance(data, dict) else None
    held = cast("dict[str, Any]", about) if isinstance(about, dict) else {}
    asks = (held.get("of") if kind == "waits" else next(iter(held), "")) == "question"
    if asks and kind in ("waits", "ApprovalNoted"):
        return _OF_QUESTIONS[kind]
    return _OF_EVENTS if table == "events" else _OF_REPLIES[kind]
