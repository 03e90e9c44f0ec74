"""Commits of facts alone, which most are: made without looking at each field, and perhaps before the facts are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from ..core.event import Event
from .port import Commit

__all__ = ["Account", "Quiet", "facts", "told_later"]


class Account(Protocol):
    """Facts that belong together and are worked out when somebody looks at them."""

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    @property
    def facts(self) -> tuple[Event, ...]:
        """They themselves, the same ones whenever this is asked."""
        ...


class Quiet(Commit):
    """A commit of `events` and nothing else."""

    __setattr__ = object.__setattr__  # filled by the functions below and by nobody else

    account: Account | None
    """What `events` are worked out from, while nobody has looked at them."""
    at: float
    """When they happened, in wall seconds."""

    if not TYPE_CHECKING:
        quiet = True  # of all of them, and asked for each time

        def __getattr__(self, name: str) -> Any:
            """Only for what is not there yet."""
            if name == "events":
                self.events = events = tuple([(self.at, fact) for fact in self.account.facts])
                self.account = None
                return events
            if name in _NOTHING_ELSE:
                return _NOTHING_ELSE[name]
            raise AttributeError(name)


_NOTHING_ELSE: Final = {name: value for name, value in Commit(quiet=True).__dict__.items() if name != "events"}


def facts(events: tuple[tuple[float, Event], ...]) -> Commit:
    """A quiet commit of these."""
    commit = object.__new__(Quiet)
    commit.account = None
    object.__setattr__(commit, "events", events)
    return commit


def told_later(at: float, account: Account) -> Commit:
    """A quiet commit of what `account` tells: a journal that has to keep it as it is now looks at its `events`."""
    commit = object.__new__(Quiet)
    commit.__dict__.update(account=account, at=at)
    return commit
