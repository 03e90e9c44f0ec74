"""Whether the fields of a spec hold what they are meant to hold: Python checks no annotation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

from treewarden.agents.core.durability import Checkpointed, MailboxSpec, Message, Overflow, Volatile
from treewarden.agents.core.said import are_texts
from treewarden.agents.core.values import frozen
from treewarden.supervisor.core.checkpoint import Retention
from treewarden.supervisor.core.spec import (
    AutoShutdown,
    Backoff,
    BrutalKill,
    ChildSpec,
    Grace,
    Intensity,
    RestartBucket,
    RestartPolicy,
    Restore,
    Spec,
    Strategy,
    are_makers,
    is_policy,
)

from .problems import Problem, either, shown

__all__ = ["kind_problems"]


@frozen
class _Kind:
    """What a field may hold, and how to say it."""

    fits: Callable[[object], bool]
    fault: str | Callable[[], str]
    """Put into words when somebody has to hear it."""
    remedy: str | Callable[[], str]


def _instance(*types: type, remedy: str, none: bool = False) -> _Kind:
    def fits(value: object) -> bool:
        return isinstance(value, types) or (none and value is None)

    def fault() -> str:
        names = [f"{_article(each.__name__)} {each.__name__}" for each in types] + (["None"] if none else [])
        return f"is not {either(names)}"

    return _Kind(fits, fault, f"give {remedy}")


def _loop_limit() -> type:
    from treewarden.agents.core.loops import LoopLimit  # here and below: few specs have one

    return LoopLimit


def _intake_limit() -> type:
    from treewarden.agents.core.limiter import IntakeLimit

    return IntakeLimit


def _queue_limit() -> type:
    from treewarden.supervisor.core.limits import QueueLimit

    return QueueLimit


def _limit(name: str, kind: Callable[[], type], *, remedy: str) -> _Kind:
    """As `_instance`, of a class or None; `kind` imports it."""

    def fits(value: object) -> bool:
        return value is None or isinstance(value, kind())

    return _Kind(fits, f"is not {_article(name)} {name} or None", f"give {remedy}")


def _choice(choices: type) -> _Kind:
    members, name = cast("Any", choices), choices.__name__

    def remedy() -> str:
        return f"use {either(f'{name}.{each.name}' for each in members)}"

    return _Kind(lambda value: isinstance(value, choices), f"is not {_article(name)} {name}", remedy)


def _article(word: str) -> str:
    return "an" if word[0] in "AEIOU" else "a"


def _callable_or_none(value: object) -> bool:
    return value is None or callable(value)


_Fields: TypeAlias = Mapping[str, _Kind]

_CHILD: Final[_Fields] = {
    "restart": _choice(RestartPolicy),
    "shutdown": _instance(Grace, BrutalKill, remedy="Grace(seconds) or BRUTAL_KILL"),
    "significant": _instance(bool, remedy="True or False"),
}
_AGENT: Final[_Fields] = {
    "agent": _Kind(callable, "makes no agents", "give an Agent class"),
    "args": _Kind(lambda value: isinstance(value, Mapping), "is no mapping", "give {'name': value}"),
    **_CHILD,
    "mailbox": _instance(MailboxSpec, remedy="MailboxSpec(capacity=...)"),
    "backoff": _instance(Backoff, remedy="Backoff(first=...)"),
    "restarts": _instance(Intensity, none=True, remedy="Intensity(max_restarts, within)"),
    "restore": _choice(Restore),
    "loops": _limit("LoopLimit", _loop_limit, remedy="LoopLimit(times=...)"),
    "intake": _limit("IntakeLimit", _intake_limit, remedy="IntakeLimit(oldest=...)"),
    "overload": _limit("QueueLimit", _queue_limit, remedy="QueueLimit(high=...)"),
    "retention": _instance(Retention, remedy="Retention(every=...)"),
    "variants": _Kind(are_makers, "is no mapping of names to agents", "give {'name': AnAgentClass}"),
    "uses": _Kind(are_texts, "is not a tuple of texts", "give ('name',)"),
    "outlet": _Kind(are_texts, "is not a tuple of texts", "give ('../sibling',)"),
}
_SUPERVISOR: Final[_Fields] = {
    "strategy": _choice(Strategy),
    **_CHILD,
    "restarts": _instance(Intensity, remedy="Intensity(max_restarts, within)"),
    "restart_bucket": _instance(RestartBucket, none=True, remedy="RestartBucket(holds, every)"),
    "auto_shutdown": _choice(AutoShutdown),
    "policy": _Kind(is_policy, "is no policy", "give what ladder(), otp(), table(...) or another of them returns"),
    "max_children": _Kind(
        lambda value: value is None or (isinstance(value, int) and not isinstance(value, bool)),
        "is not a whole number",
        "give one, 1 or more, or None",
    ),
    "on_start": _Kind(_callable_or_none, "cannot be called", "give an async function of the path, or None"),
}
_MAILBOX: Final[_Fields] = {
    "overflow": _choice(Overflow),
    "durability": _instance(Volatile, Checkpointed, Message, remedy="VOLATILE, MESSAGE or Checkpointed(messages=...)"),
}


def kind_problems(spec: Spec, at: str) -> Sequence[Problem]:
    """Fields of `spec`, which stands at `at`, that hold a value of another kind; its children are not looked at."""
    if isinstance(spec, ChildSpec):
        return () if _is_plain(spec) else tuple(_agent_problems(spec, at))
    return tuple(_problems(spec, _SUPERVISOR, at))


def _is_plain(spec: ChildSpec) -> bool:
    """Whether every field is at first sight what it should be: a hundred thousand children are looked at one by one."""
    mailbox = spec.mailbox
    return (
        type(mailbox) is MailboxSpec
        and type(mailbox.overflow) is Overflow
        and type(mailbox.durability) in (Volatile, Checkpointed, Message)
        and callable(spec.agent)
        and type(spec.args) is dict
        and type(spec.restart) is RestartPolicy
        and type(spec.shutdown) in (Grace, BrutalKill)
        and type(spec.significant) is bool
        and type(spec.backoff) is Backoff
        and type(spec.restore) is Restore
        and type(spec.retention) is Retention
        and spec.restarts is None
        and spec.intake is None
        and spec.loops is None
        and spec.overload is None
        and spec.variants == {}
        and spec.uses == ()
        and spec.outlet == ()
    )


def _agent_problems(spec: ChildSpec, at: str) -> Iterator[Problem]:
    yield from _problems(spec, _AGENT, at)
    if isinstance(spec.mailbox, MailboxSpec):  # pyright: ignore[reportUnnecessaryIsInstance]
        yield from _problems(spec.mailbox, _MAILBOX, f"{at}.mailbox")


def _problems(holder: object, fields: _Fields, at: str) -> Iterator[Problem]:
    for name, kind in fields.items():
        value = getattr(holder, name)
        if not kind.fits(value):
            yield Problem(f"{at}.{name}", _name(value), _said(kind.fault), _said(kind.remedy))


def _said(words: str | Callable[[], str]) -> str:
    return words if isinstance(words, str) else words()


def _name(value: object) -> str:
    """A class or function by its name: its `repr` says where it lies in memory."""
    name = getattr(value, "__qualname__", None)
    return name if isinstance(name, str) else shown(value)
