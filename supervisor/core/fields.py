"""Whether the fields of a spec hold what they are meant to hold: Python checks no annotation.

One table for who opens a tree, where all that is wrong is listed, and for specs that come to a supervisor that runs,
where one of another kind would be found out when it is needed, and end everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

from treewarden.agents.core.durability import Checkpointed, MailboxSpec, Message, Overflow, Volatile
from treewarden.agents.core.path import LONGEST_PATH, Path
from treewarden.agents.core.said import are_texts, either, shown
from treewarden.agents.core.values import frozen

from .checkpoint import Retention
from .spec import (
    AutoShutdown,
    Backoff,
    BrutalKill,
    ChildSpec,
    Grace,
    Intensity,
    RestartBucket,
    RestartPolicy,
    Restore,
    Shared,
    Spec,
    Strategy,
    Subscriber,
    SupervisorSpec,
    are_makers,
    is_policy,
)

__all__ = ["WrongField", "are_specs", "check_fields", "check_own_fields", "check_paths", "leads_on", "wrong_fields"]


@frozen
class WrongField:
    """A field that holds what it cannot."""

    name: str
    """As it is reached from the spec: `restarts`, `mailbox.overflow`."""
    value: object
    fault: str
    """What is said of the value: `is not a bool`."""
    remedy: str
    """What to do about it: `give True or False`."""


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
    from .limits import QueueLimit

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


def _whole_or_none(value: object) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool))


def _callable_or_none(value: object) -> bool:
    return value is None or callable(value)


def are_specs(value: object) -> bool:
    """Whether these can be `children`."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return False
    return all(isinstance(each, (ChildSpec, SupervisorSpec)) for each in cast("Sequence[object]", value))


def leads_on(spec: SupervisorSpec) -> bool:
    """Whether `entry` and `topic` of `spec` can be followed to whoever they name."""
    return _entry(spec.entry) and _subscribers(spec.topic)


def _entry(value: object) -> bool:
    return value is None or (isinstance(value, str) and _is_path(f"./{value}"))


def _subscribers(value: object) -> bool:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return value is None
    return all(
        isinstance(each, Subscriber) and _is_path(each.path) and isinstance(each.overflow, Overflow)  # pyright: ignore[reportUnnecessaryIsInstance]
        for each in cast("Sequence[object]", value)
    )


def _is_path(text: str) -> bool:
    try:
        Path("here").resolve(text)
    except ValueError:
        return False
    return True


def _router(value: object) -> bool:
    return (
        value is None
        or isinstance(value, Shared)
        or (not isinstance(value, type) and callable(getattr(value, "choose", None)))
    )


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
_MAILBOX: Final[_Fields] = {
    "overflow": _choice(Overflow),
    "durability": _instance(Volatile, Checkpointed, Message, remedy="VOLATILE, MESSAGE or Checkpointed(messages=...)"),
}
_SUPERVISOR: Final[_Fields] = {
    "strategy": _choice(Strategy),
    **_CHILD,
    "restarts": _instance(Intensity, remedy="Intensity(max_restarts, within)"),
    "restart_bucket": _instance(RestartBucket, none=True, remedy="RestartBucket(holds, every)"),
    "auto_shutdown": _choice(AutoShutdown),
    "policy": _Kind(is_policy, "is no policy", "give what ladder(), otp(), table(...) or another of them returns"),
    "router": _Kind(_router, "chooses nobody", "give SHARED, or None, or build it with pool(...) or partitions(...)"),
    "entry": _Kind(_entry, "is no path", "give one that is seen from each child, or None"),
    "topic": _Kind(_subscribers, "is not a tuple of subscribers", "build it with topic(...), or give None"),
    "max_children": _Kind(_whole_or_none, "is not a whole number", "give one, 1 or more, or None"),
    "on_start": _Kind(_callable_or_none, "cannot be called", "give an async function of the path, or None"),
    "children": _Kind(are_specs, "is not a tuple of specs", "give a tuple of what child(...) and tree(...) return"),
}


def wrong_fields(spec: Spec) -> tuple[WrongField, ...]:
    """The fields of `spec` that hold a value of another kind; its children themselves are not looked at."""
    if isinstance(spec, ChildSpec):
        return () if _is_plain(spec) else tuple(_wrong_of_agent(spec))
    return tuple(_wrong(spec, _SUPERVISOR))


def check_fields(spec: Spec) -> Spec:
    """`spec`, if its fields hold what their types promise, there and in all that is below it.

    Raises `ValueError` as `check_own_fields` does.
    """
    check_own_fields(spec)
    if isinstance(spec, SupervisorSpec):
        for child in spec.children:
            check_fields(child)
    return spec


def check_own_fields(spec: Spec) -> None:
    """Raise `ValueError` for the first field of `spec` that does not hold what its type promises; the text names whose
    it is, the value and the remedy. What is below it is not looked at."""
    for wrong in wrong_fields(spec):
        raise ValueError(f"{spec.id}: {wrong.name} is {shown(wrong.value)}; {wrong.remedy}")
    if isinstance(spec, SupervisorSpec) and spec.max_children is not None and spec.max_children < 1:
        raise ValueError(f"{spec.id}: max_children is {shown(spec.max_children)}; give 1 or more, or None")


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
        and spec.restarts is spec.intake is spec.loops is spec.overload is None
        and spec.variants == {}
        and spec.uses == spec.outlet == ()
    )


def _wrong_of_agent(spec: ChildSpec) -> Iterator[WrongField]:
    yield from _wrong(spec, _AGENT)
    if isinstance(spec.mailbox, MailboxSpec):  # pyright: ignore[reportUnnecessaryIsInstance]
        yield from _wrong(spec.mailbox, _MAILBOX, "mailbox.")


def _wrong(holder: Spec | MailboxSpec, fields: _Fields, above: str = "") -> Iterator[WrongField]:
    for name, kind in fields.items():
        value = getattr(holder, name)
        if not kind.fits(value):
            yield WrongField(f"{above}{name}", value, _said(kind.fault), _said(kind.remedy))


def _said(words: str | Callable[[], str]) -> str:
    return words if isinstance(words, str) else words()
