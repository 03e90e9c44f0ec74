"""The keys that an agent and a supervisor may have in a TOML file, and how each is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from treewarden.agents.core.durability import MESSAGE, VOLATILE, Checkpointed, Durability, MailboxSpec, Overflow
from treewarden.agents.core.limiter import IntakeLimit
from treewarden.agents.core.loops import LoopLimit
from treewarden.supervisor.core.checkpoint import Retention
from treewarden.supervisor.core.limits import QueueLimit
from treewarden.supervisor.core.measures import BudgetLimit, LatencyLimit, Limit, MemoryLimit
from treewarden.supervisor.core.retention import EventRetention
from treewarden.supervisor.core.spec import (
    BRUTAL_KILL,
    AutoShutdown,
    Backoff,
    Grace,
    Intensity,
    RestartBucket,
    RestartPolicy,
    Restore,
    Shutdown,
    Strategy,
)

from .node import (
    REFUSED,
    Node,
    Problems,
    Reader,
    Refused,
    anything,
    boolean,
    choice,
    number,
    read_fields,
    record,
    texts,
    whole,
)
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
_EMPTYING: Final = record(RestartBucket, {"holds": whole(1), "every": _BEFORE}, "a restart bucket")


def _bucket(node: Node, problems: Problems) -> RestartBucket | Refused | None:
    if node.value == "unlimited":
        return None
    if node.table is None:
        return problems.refuse(node, "is no restart bucket", "write { holds = 1000, every = 0.01 } or 'unlimited'")
    return _EMPTYING(node, problems)


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


_LIMITS: Final[Mapping[str, tuple[Callable[..., Limit], Reader]]] = {
    "memory": (
        MemoryLimit,
        record(dict, {"grows": _BEFORE, "most": _BEFORE, "within": _BEFORE, "every": _BEFORE}, "a limit of memory"),
    ),
    "latency": (
        LatencyLimit,
        record(
            dict,
            {
                "most": _BEFORE,
                "p": number(0, most=1, above=True),
                "last": whole(2, 10_000),
                "of": choice([(name, name) for name in ("message", "handler", "said")], "what is read"),
            },
            "a limit of latency",
        ),
    ),
    "budget": (BudgetLimit, record(dict, {"most": _BEFORE, "within": _BEFORE}, "a budget")),
}


def _limits(node: Node, problems: Problems) -> tuple[Limit, ...] | Refused:
    before = len(problems)
    given = read_fields(node, dict.fromkeys(_LIMITS, anything), "what is measured", problems)
    found = [_limit(node.table[name], *_LIMITS[name], problems) for name in given] if node.table else []
    return REFUSED if len(problems) > before else tuple([each for each in found if not isinstance(each, Refused)])


def _limit(node: Node, make: Callable[..., Limit], read: Reader, problems: Problems) -> Limit | Refused:
    given = read(node, problems)
    if given is REFUSED:
        return REFUSED
    try:
        return make(**given)
    except TypeError:
        return problems.refuse(node, "says not how much is too much", "write { most = 0.5 }")
    except ValueError as error:
        return problems.refuse(node, "cannot be a limit", str(error))


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
    "hibernate_after": _POSITIVE,
    "overload": _overload,
    "loops": _LOOPS,
    "intake": _intake,
    "limits": _limits,
    "restarts": _INTENSITY,
    "restore": choice(Restore, "a way to restore"),
    "retention": _RETENTION,
    "uses": texts,
}
"""The options of an agent."""

SHAPE: Final[Mapping[str, Reader]] = {
    "restarts": _INTENSITY,
    "restart_bucket": _bucket,
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
