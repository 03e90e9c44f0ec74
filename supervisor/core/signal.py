"""What a supervisor notices. A signal is not yet a fact of the journal and not yet a judgement."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, TypeAlias

from attrs import Attribute, field

from treewarden.agents.core.exit import Exit, Failure
from treewarden.agents.core.message import MessageId
from treewarden.agents.core.path import Path
from treewarden.agents.core.said import (
    check_facts,
    check_kind,
    check_share,
    check_text,
    is_kind,
    is_number,
    named,
    shown,
)
from treewarden.agents.core.values import filled, frozen

__all__ = [
    "ActionFailed",
    "ChildExited",
    "OperatorAsked",
    "Overloaded",
    "RateLimitReached",
    "Recovered",
    "Reported",
    "RestartFailed",
    "Signal",
    "Stalled",
    "Unanswered",
    "check_lasts",
    "report_of",
]


def _finite(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if type(value) is float and -math.inf < value < math.inf:
        return
    if not is_number(value) or not -math.inf < value < math.inf:
        raise ValueError(f"{attribute.name} is {shown(value)}; it must be a finite number")


def _amount(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    _finite(_instance, attribute, value)
    if value < 0:
        raise ValueError(f"{attribute.name} is {value!r}; it must be 0 or more")


def _share(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    check_share(attribute.name, value)


def _kind(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    check_kind(attribute.name, value)


def _text(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if type(value) is not str or value:
        check_text(attribute.name, value)


def _facts(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if value.__class__ is not dict or value:
        check_facts(value)


@frozen(kw_only=True)
class ChildExited:
    """An incarnation ended by itself, or was killed; never sent for one that its supervisor is stopping."""

    path: Path
    at: float = field(validator=_finite)
    """Seconds in the clock of the loop, as in all signals."""
    incarnation: int = 0
    exit: Exit
    uptime: float = field(default=0.0, validator=_amount)
    settled: int = 0
    """Messages that this incarnation had settled, or handled as far as a wait: none means that it died at once on what
    it was given."""
    deliveries: int = 0
    """Attempts that the message in hand has now used up, this one included; 0 without a message."""


@frozen(kw_only=True)
class RestartFailed:
    """`on_start` raised, or took too long, while the supervisor was bringing a child back."""

    path: Path
    at: float = field(validator=_finite)
    failure: Failure
    undone: int = 0
    """Steps of a rollback that an earlier process had decided about this slot, and not begun."""


@frozen(kw_only=True)
class RateLimitReached:
    """The other side asked for fewer calls (429). The incarnation lives and its message comes back later."""

    path: Path
    at: float = field(validator=_finite)
    after: float | None = None
    """Seconds that it asked for (Retry-After)."""
    message: MessageId | None = None
    failure: Failure | None = None


@frozen(kw_only=True)
class Stalled:
    """Work is in hand and nothing new has come of it for `idle` seconds; or the same calls come again and again."""

    path: Path
    at: float = field(validator=_finite)
    idle: float = field(default=0.0, validator=_amount)
    limit: float = field(default=0.0, validator=_amount)
    doing: str = ""
    """The message kind in hand."""
    cycle: tuple[str, ...] = ()
    """The calls that are repeated, in order, with the same arguments and results; empty for one that is silent."""
    times: int = 0
    """How often they have come in a row."""


@frozen(kw_only=True)
class Overloaded:
    """The mailbox is nearly full, or its oldest message has waited for too long."""

    path: Path
    at: float = field(validator=_finite)
    depth: int = 0
    capacity: int = 0
    oldest: float = field(default=0.0, validator=_amount)
    """Age in seconds of the message that has waited longest."""


@frozen(kw_only=True)
class Reported:
    """What an agent, a probe or the application says about a slot: `self.signal(...)`, `tree.signal(...)`."""

    path: Path
    at: float = field(validator=_finite)
    kind: str = field(validator=_kind)
    severity: float = field(validator=_share)
    """From 0 (good to know) to 1 (nothing works)."""
    text: str = field(default="", validator=_text)
    facts: Mapping[str, Any] = field(factory=dict[str, Any], validator=_facts)
    """Numbers and short texts that the decision may quote."""


_OWN: Final = frozenset({"kind", "severity", "text"})


def report_of(path: Path, at: float, said: Mapping[str, Any]) -> Reported:
    """What an application says about a slot, as a signal: `kind`, `severity`, perhaps `text`, and facts besides.

    Raises `ValueError` naming what is missing, of another type, or out of range.
    """
    if not isinstance(said, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"{shown(said)} is no signal; give a mapping with 'kind' and 'severity'")
    for name in ("kind", "severity"):
        if name not in said:
            raise ValueError(f"a signal needs {name!r}; it has {named(said)}")
    if len(said) == 2:
        kind, severity = said["kind"], said["severity"]
        if (
            type(kind) is str
            and is_kind(kind)
            and type(severity) is float
            and 0.0 <= severity <= 1.0
            and type(at) is float
            and -math.inf < at < math.inf
        ):
            return _filled()(path, at, kind, severity, "", {})  # as most are
    rest = {key: value for key, value in said.items() if key not in _OWN}
    return Reported(
        path=path, at=at, kind=said["kind"], severity=said["severity"], text=said.get("text", ""), facts=rest
    )


@cache
def _filled() -> Callable[..., Reported]:
    """Made with the first report: most trees start and end without one."""
    return filled(Reported)


def check_lasts(seconds: object) -> None:
    """Raise `ValueError` for what is no time for which a signal stands."""
    if not is_number(seconds) or not seconds > 0:
        raise ValueError(
            f"lasts is {shown(seconds)}; give seconds, more than 0, or None until somebody says it is over"
        )


@frozen(kw_only=True)
class Recovered:
    """What was reported under `kind` is over."""

    path: Path
    at: float = field(validator=_finite)
    kind: str = field(validator=_kind)
    text: str = field(default="", validator=_text)


@frozen(kw_only=True)
class OperatorAsked:
    """A person, or a program that a person started, wants something done to a slot."""

    path: Path
    at: float = field(validator=_finite)
    what: str = field(validator=_kind)
    by: str = "operator"
    text: str = field(default="", validator=_text)
    """Why, if they have said so."""
    lives: bool = False
    """Somebody lives there when it is decided about."""


@frozen(kw_only=True)
class ActionFailed:
    """An action that the policy had performed by its name raised, or took too long."""

    path: Path
    at: float = field(validator=_finite)
    action: str = field(validator=_kind)
    down: bool = False
    """The slot has ended, and waits for what is decided now."""
    text: str = ""


@frozen(kw_only=True)
class Unanswered:
    """A person was asked about the slot in an earlier process, and nobody has answered."""

    path: Path
    at: float = field(validator=_finite)
    question: str = field(validator=_text)
    since: float = field(default=0.0, validator=_finite)
    """Wall seconds at which it was asked first."""
    ago: float = field(default=0.0, validator=_amount)
    """Seconds since then."""
    over: tuple[str, ...] = ()
    """As in `QuestionAsked`."""

    @property
    def down(self) -> bool:
        """The slot has not been started."""
        return not self.over


Signal: TypeAlias = (
    ChildExited
    | RestartFailed
    | RateLimitReached
    | Stalled
    | Overloaded
    | Reported
    | Recovered
    | OperatorAsked
    | ActionFailed
    | Unanswered
)
