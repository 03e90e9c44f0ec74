"""A policy may be code of the user's, and its children are not to blame where it fails: what is asked of it is checked,
and another one decides in its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from attrs import evolve, fields

from treewarden.agents.core.exit import describe, leaves, storable
from treewarden.agents.core.said import is_number, shown
from treewarden.agents.core.values import frozen

from .action import Action, Scope, action_name
from .believer import Believer
from .case import Case
from .decision import Policy, is_paced
from .guards import Declined, Option
from .ladder import Ladder, ladder
from .policies import Akka, Kubernetes, Otp, otp

__all__ = ["BROKEN", "RESTED_FOR", "SLOW", "SLOW_AFTER", "checked", "instead_of", "is_foreign", "name_of"]

BROKEN: Final = "policy_failed"
"""The kind of the signal that says so."""
SLOW: Final = "policy_slow"
"""The kind of the signal that says that it has held up the loop."""
SLOW_AFTER: Final = 2.0
"""Seconds that a policy of a user's may take for a decision. Everything else in the process waits meanwhile."""
RESTED_FOR: Final = 60.0
"""Seconds for which one that took longer is not asked again."""
T = TypeVar("T")
_OURS: Final = (Akka, Believer, Kubernetes, Ladder, Otp)
_TYPES: Final[dict[Any, tuple[tuple[type, ...], str]]] = {
    "float": ((int, float), "a number of seconds"),
    "int": ((int,), "a whole number"),
    "str": ((str,), "a text"),
    "MessageId": ((str,), "the id of a message"),
    "Scope": ((Scope,), "a Scope"),
}


@frozen
class _Checked:
    """A policy that raises `TypeError`, naming what is wrong, for whatever else it would say that is no answer."""

    policy: Policy

    @property
    def name(self) -> str:
        return name_of(self.policy)

    @property
    def counts_alike(self) -> bool:
        return _own(lambda: bool(self.policy.counts_alike))

    @property
    def escalates(self) -> bool:
        return _own(lambda: bool(self.policy.escalates))

    @property
    def paced(self) -> bool:
        return _own(lambda: is_paced(self.policy))

    @property
    def stable_after(self) -> float | None:
        seconds: Any = _own(lambda: self.policy.stable_after)
        wrong = not is_number(seconds) or not seconds >= 0
        if seconds is not None and wrong:
            raise TypeError(f"its stable_after is {shown(seconds)}; it must be a number of seconds, 0 or more, or None")
        return seconds

    def propose(self, case: Case) -> tuple[Option, ...]:
        return _own(lambda: tuple([_option(each) for each in self.policy.propose(case)]))

    def declined(self, case: Case) -> tuple[Declined, ...]:
        return _own(lambda: tuple([_declined(each) for each in self.policy.declined(case)]))


def _own(ask: Callable[[], T]) -> T:
    """What a policy says. Whatever it raises is an exception of its own, also a bare `BaseException` or a `Cancelled`
    that nobody asked for; only Ctrl-C and `SystemExit` are not its affair."""
    try:
        return ask()
    except Exception:
        raise
    except BaseException as error:
        if any(isinstance(leaf, (KeyboardInterrupt, SystemExit)) for leaf in leaves(error)):
            raise
        raise RuntimeError(f"it raised {describe(error)}") from error


def is_foreign(policy: Policy) -> bool:
    """Whether this is none of treewarden's own."""
    return isinstance(policy, _Checked)


def checked(policy: Policy) -> Policy:
    """The policy with a check of all that it says, unless it is one of treewarden's."""
    return policy if isinstance(policy, _OURS) else _Checked(policy)


def lets_live(policy: Policy) -> bool:
    """Whether the policy lets a child live at a mild report, whatever else is to be seen. Not of classes made from
    ours."""
    return policy.lets_live if type(policy) is Ladder else type(policy) in (Otp, Kubernetes, Akka)


def instead_of(policy: Policy) -> tuple[Policy, ...]:
    """Who decides, in turn, where a policy has failed: the ladder, and OTP's rules where the ladder is what failed."""
    return (otp(),) if isinstance(policy, Ladder) else (ladder(), otp())


def name_of(policy: Any) -> str:
    """What a policy is called; as its class is, if it does not say."""
    try:
        name: object = _own(lambda: policy.name)
    except Exception:  # it is asked because it has failed
        name = None
    return name if isinstance(name, str) else type(policy).__qualname__


def _option(option: Any) -> Option:
    if not isinstance(option, Option):
        raise TypeError(f"it proposed {option!r}; propose() returns a tuple of Option(action, rule, reason)")
    for name in ("rule", "reason", "next"):
        text: object = getattr(option, name)
        if not isinstance(text, str):
            raise TypeError(f"it proposed an Option whose {name} is {text!r}; it must be a text")
    action: Any = option.action
    if not isinstance(action, Action):
        raise TypeError(f"it proposed {action!r}, which is no action; take one of treewarden.supervisor's")
    written: dict[str, str] = {}
    for each in fields(type(action)):
        kinds, what = _TYPES[each.type]
        value: object = getattr(action, each.name)
        if not isinstance(value, kinds):
            raise TypeError(f"it proposed a {action_name(action)} whose {each.name} is {value!r}; it must be {what}")
        if isinstance(value, str) and not value.isascii():  # what is done is journaled too: questions, reasons
            written[each.name] = storable(value)
    return evolve(option, action=evolve(action, **written)) if written else option


def _declined(declined: Any) -> Declined:
    texts: list[Any] = [declined.action, declined.why] if isinstance(declined, Declined) else []
    if not texts or not all(isinstance(text, str) for text in texts):
        raise TypeError(f"it declined {declined!r}; declined() returns a tuple of Declined(action, why), both texts")
    return declined
