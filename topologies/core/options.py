"""The keys that an agent and a supervisor may have in a TOML file, and how each is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from treewarden.agents.core.durability import MESSAGE, VOLATILE, Checkpointed, Durability, MailboxSpec, Overflow
from treewarden.agents.core.limiter import IntakeLimit
from treewarden.agents.core.loops import LoopLimit
from treewarden.supervisor.core.checkpoint import Retention
from treewarden.supervisor.core.limits import QueueLimit
from treewarden.supervisor.core.retention import EventRetention
from treewarden.supervisor.core.spec import (
    BRUTAL_KILL,
    AutoShutdown,
    Backoff,
    Grace,
    Intensity,
    RestartPolicy,
    Restore,
    Shutdown,
    Strategy,
)

from .node import REFUSED, Node, Problems, Reader, Refused, boolean, choice, number, record, texts, whole
from .policies import read_policy
from .problems import guess

__all__ = ["AGENT", "AS_CHILD", "SHAPE", "SUPERVISOR", "TABLES", "events"]

_POSITIVE: Final = number(0, above=True)
_SECONDS: Final = number(0)
_DELAY: Final = number(0, infinite=False)
_BEFORE: Final = number(0, above=True, infinite=False)

_WAYS: Final = "give seconds, 'brutal_kill' or 'infinity'"
_LEVELS: Final = "write 'volatile', 'message', { messages = 10 } or { seconds = 30 }"
_DURABILITIES: Final[Mapping[str, Durability]] = {"volatile": VOLATILE, "message": MESSAGE}
_CHECKPOINTED: Final = record(
    Checkpointed, {"messages": whole(1), "seconds": number(0, above=True, infinite=False)}, "a checkpoint's interval"
)


def _durability(node: Node, problems: Problems) -> Durability | Refused:
    if isinstance(node.value, str) and node.value in _DURABILITIES:
        return _DURABILITIES[node.value]
    if node.table is None:
        remedy = " ".join(filter(None, (guess(node.value, list(_DURABILITIES)), _LEVELS)))
        return problems.refuse(node, "is no durability", remedy)
    if not node.table:
        return problems.refuse(
            node, "says not when to keep a checkpoint", "write { messages = 10 } or { seconds = 30 }"
        )
    return _CHECKPOINTED(node, problems)


def _shutdown(node: Node, problems: Problems) -> Shutdown | Refused:
    if node.value == "brutal_kill":
        return BRUTAL_KILL
    if node.value == "infinity":
        return Grace(math.inf)
    if isinstance(node.value, bool) or not isinstance(node.value, (int, float)):
        remedy = " ".join(filter(None, (guess(node.value, ["brutal_kill", "infinity"]), _WAYS)))
        return problems.refuse(node, "is no way to shut down", remedy)
    seconds = _SECONDS(node, problems)
    return seconds if isinstance(seconds, Refused) else Grace(seconds)


_INTENSITY: Final = record(Intensity, {"max_restarts": whole(0), "within": _POSITIVE}, "restarts")
_MAILBOX: Final = record(
    MailboxSpec,
    {
        "capacity": whole(1),
        "overflow": choice(Overflow, "an overflow policy"),
        "durability": _durability,
        "deliveries": whole(1),
    },
    "a mailbox",
)
_BACKOFF: Final = record(
    Backoff,
    {"first": _DELAY, "factor": number(1, infinite=False), "most": _DELAY, "jitter": number(0, most=1)},
    "a backoff",
)

_RETENTION: Final = record(
    Retention, {"every": whole(0), "last": whole(0), "within": _SECONDS, "tagged": texts}, "a retention of checkpoints"
)

_MARKS: Final = record(
    dict, {"high": number(0, most=1), "low": number(0, most=1), "oldest": _POSITIVE}, "a limit of the mailbox"
)


def _overload(node: Node, problems: Problems) -> QueueLimit | Refused:
    given = _MARKS(node, problems)
    if given is REFUSED:
        return REFUSED
    try:
        return QueueLimit(**given)
    except ValueError as error:
        return problems.refuse(node, "cannot be a limit", str(error))


_LOOPS: Final = record(LoopLimit, {"period": whole(1, 16), "times": whole(2, 100)}, "a limit of loops")
_INTAKE: Final = record(
    dict,
    {"oldest": _BEFORE, "low": number(0, most=0.5), "least": whole(1), "step": whole(1), "every": _BEFORE},
    "an intake",
)


def _intake(node: Node, problems: Problems) -> IntakeLimit | Refused:
    given = _INTAKE(node, problems)
    if given is REFUSED:
        return REFUSED
    if "oldest" not in given:
        return problems.refuse(node, "says not how long a message may wait", "write { oldest = 2 }, in seconds")
    try:
        return IntakeLimit(**given)
    except ValueError as error:
        return problems.refuse(node, "cannot be an intake", str(error))


AS_CHILD: Final[Mapping[str, Reader]] = {
    "restart": choice(RestartPolicy, "a restart policy"),
    "shutdown": _shutdown,
    "significant": boolean,
    "stable_after": _SECONDS,
}
"""What every child may say, an agent or a supervisor."""

AGENT: Final[Mapping[str, Reader]] = {
    **AS_CHILD,
    "mailbox": _MAILBOX,
    "backoff": _BACKOFF,
    "start_within": _POSITIVE,
    "progress_within": _POSITIVE,
    "overload": _overload,
    "loops": _LOOPS,
    "intake": _intake,
    "restarts": _INTENSITY,
    "restore": choice(Restore, "a way to restore"),
    "retention": _RETENTION,
    "uses": texts,
}
"""The options of an agent."""

SHAPE: Final[Mapping[str, Reader]] = {
    "restarts": _INTENSITY,
    "policy": read_policy,
    "auto_shutdown": choice(AutoShutdown, "a rule for shutting down"),
}
"""The options of a supervisor whose strategy comes with its shape."""

SUPERVISOR: Final[Mapping[str, Reader]] = {
    **SHAPE,
    "strategy": choice(Strategy, "a strategy"),
    "max_children": whole(1),
}
"""The options of a supervisor."""

_KEPT: Final = record(
    dict, {"last": whole(0), "within": number(0, infinite=False), "past_checkpoints": boolean}, "a retention of events"
)


def events(node: Node, problems: Problems) -> EventRetention | Refused:
    """Which old events a journal gives up."""
    given = _KEPT(node, problems)
    if given is REFUSED:
        return REFUSED
    try:
        return EventRetention(**given)
    except ValueError:
        return problems.refuse(node, "says not which events stay", "write { last = 100000 } or { within = 2592000 }")


TABLES: Final = frozenset({"mailbox", "backoff", "restarts", "retention", "args"})
"""Options that are merged key by key with those of `defaults`; any other replaces it."""
