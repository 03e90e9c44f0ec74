"""Why an agent was taken back to an earlier state, for the life that has to do better."""

from __future__ import annotations

from .message import MessageId
from .values import frozen

__all__ = ["Diagnosis"]


@frozen(kw_only=True)
class Diagnosis:
    """What a supervisor knew when it rolled an agent back: read it as `self.diagnosis`, also in `on_start`."""

    cause: str = ""
    """The likeliest cause: `bad_state`, `poison_message`, …; empty if a person wanted it."""
    p: float = 0.0
    """P(that cause), as it was believed."""
    because: tuple[str, ...] = ()
    """The grounds of the decision, as sentences."""
    signal: str = ""
    """What was noticed, in one sentence, with the exception and its place."""
    message: MessageId = ""
    """The message that was in hand, if one was."""
    message_kind: str = ""
    to: int | None = None
    """The number of the checkpoint whose state it has now; None: the one that its class declares."""
    name: str = ""
    """That checkpoint's name."""
    undone: int = 0
    """How many settled messages that state does not know of; they are not handled again."""
    incident: str = ""
    by: str = ""
    """Who wanted it; empty for the policy."""
