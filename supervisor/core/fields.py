"""Fields of a spec that would be found out when they are needed: with a crash, a queue that grows, a message.

Who opens a tree has them looked at with the blueprint; this is for specs that come to a supervisor that runs, where one
of another kind would end everybody. Raised as `ValueError`; the text names the child, the value and the remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias, cast

from treewarden.agents.core.durability import Checkpointed, MailboxSpec, Message, Overflow, Volatile
from treewarden.agents.core.limiter import IntakeLimit
from treewarden.agents.core.loops import LoopLimit
from treewarden.agents.core.path import LONGEST_PATH, Path
from treewarden.agents.core.said import are_texts, shown

from .checkpoint import Retention
from .limits import QueueLimit
from .spec import (
    Backoff,
    ChildSpec,
    Intensity,
    RestartBucket,
    Restore,
    Spec,
    Strategy,
    SupervisorSpec,
    are_makers,
    is_policy,
)

__all__ = ["check_fields", "check_paths"]

_Fields: TypeAlias = Mapping[str, tuple[Callable[[object], bool], str]]


def check_fields(spec: Spec) -> Spec:
    """`spec`, if these fields hold what their types promise, there and in all that is below it."""
    if isinstance(spec, ChildSpec):
        if not _is_plain(spec):
            _check(spec.id, spec, _OF_AGENT)
            _check(spec.id, spec.mailbox, _OF_MAILBOX)
        return spec
    _check(spec.id, spec, _OF_SUPERVISOR)
    for child in spec.children:
        check_fields(child)
    return spec


def check_paths(spec: Spec, path: Path) -> Spec:
    """`spec`, if whoever is to live at `path`, and below it, stands where it can be named."""
    if len(path) > LONGEST_PATH:
        raise ValueError(
            f"{shown(path.name)} would have a path of {len(path):,} characters, and {LONGEST_PATH:,} are the most; "
            "give those above it shorter ids, or make fewer of them"
        )
    if isinstance(spec, SupervisorSpec) and spec.strategy is not Strategy.DYNAMIC:
        for child in spec.children:
            check_paths(child, path / child.id)
    return spec


def _is_plain(spec: ChildSpec) -> bool:
    """Whether all of it is at first sight what it should be: most children have next to no options."""
    mailbox = spec.mailbox
    return (
        type(mailbox) is MailboxSpec
        and type(mailbox.overflow) is Overflow
        and type(mailbox.durability) in (Volatile, Checkpointed, Message)
        and type(spec.args) is dict
        and type(spec.backoff) is Backoff
        and type(spec.restore) is Restore
        and type(spec.retention) is Retention
        and spec.restarts is spec.loops is spec.intake is spec.overload is None
        and spec.uses == spec.outlet == ()
        and spec.variants == {}
    )


def _check(name: str, holder: Spec | MailboxSpec, fields: _Fields) -> None:
    for field, (fits, remedy) in fields.items():
        value = getattr(holder, field)
        if not fits(value):
            raise ValueError(f"{name}: {field} is {shown(value)}; give {remedy}")


def _is(*kinds: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, kinds)


def _is_or_none(kind: type) -> Callable[[object], bool]:
    return lambda value: value is None or isinstance(value, kind)


def _is_specs(value: object) -> bool:
    if not isinstance(value, (tuple, list)):
        return False
    return all(isinstance(each, (ChildSpec, SupervisorSpec)) for each in cast("tuple[object, ...]", value))


def _is_size(value: object) -> bool:
    return value is None or (type(value) is int and value >= 1)


_OF_AGENT: Final[_Fields] = {
    "mailbox": (_is(MailboxSpec), "MailboxSpec(capacity=...)"),
    "args": (_is(Mapping), "a mapping, {'name': value}"),
    "backoff": (_is(Backoff), "Backoff(first=...)"),
    "restarts": (_is_or_none(Intensity), "Intensity(max_restarts, within)"),
    "restore": (_is(Restore), "Restore.LATEST or Restore.INITIAL"),
    "loops": (_is_or_none(LoopLimit), "LoopLimit(times=...)"),
    "intake": (_is_or_none(IntakeLimit), "IntakeLimit(oldest=...)"),
    "overload": (_is_or_none(QueueLimit), "QueueLimit(high=...)"),
    "retention": (_is(Retention), "Retention(every=...)"),
    "variants": (are_makers, "{'name': AnAgentClass}"),
    "uses": (are_texts, "a tuple of texts, ('name',)"),
    "outlet": (are_texts, "a tuple of texts, ('../sibling',)"),
}
_OF_MAILBOX: Final[_Fields] = {
    "overflow": (_is(Overflow), "an Overflow, as Overflow.WAIT"),
    "durability": (_is(Volatile, Checkpointed, Message), "VOLATILE, MESSAGE or Checkpointed(messages=...)"),
}
_OF_SUPERVISOR: Final[_Fields] = {
    "restarts": (_is(Intensity), "Intensity(max_restarts, within)"),
    "restart_bucket": (_is_or_none(RestartBucket), "RestartBucket(holds, every)"),
    "policy": (is_policy, "what ladder(), otp(), table(...) or another of them returns"),
    "max_children": (_is_size, "a whole number, 1 or more, or None"),
    "on_start": (lambda value: value is None or callable(value), "an async function of the path, or None"),
    "children": (_is_specs, "a tuple of what child(...) and tree(...) return"),
}
