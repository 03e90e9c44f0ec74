"""Commits of facts, of a state or of a message alone, which most are: made without looking at each field, and of facts
perhaps before these are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from treewarden.agents.core.path import Path

from ..core.event import Event
from .port import Commit, MessageRow, StateRow

__all__ = [
    "Dated",
    "MessageAlone",
    "Quiet",
    "StateAlone",
    "Telling",
    "dated_later",
    "facts",
    "message_alone",
    "state_alone",
    "told_later",
]


class Telling(Protocol):
    """Facts that belong together and are worked out when somebody looks at them, as an `Account`."""

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    @property
    def facts(self) -> tuple[Event, ...]:
        """They themselves, the same ones whenever this is asked."""
        ...


class Dated(Protocol):
    """The same, with the time of each fact."""

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    @property
    def events(self) -> tuple[tuple[float, Event], ...]:
        """They themselves, each with its wall time; the same ones whenever this is asked."""
        ...


class Quiet(Commit):
    """A commit of `events` and nothing else."""

    __setattr__ = object.__setattr__  # filled by the functions below and by nobody else
    __delattr__ = object.__delattr__  # without which CPython looks the other one up each time

    account: Telling | Dated | None
    """What `events` are worked out from, while nobody has looked at them."""
    at: float | None
    """When they happened, in wall seconds, if that was one time for all."""

    if not TYPE_CHECKING:
        quiet = True  # of all of them, and asked for each time

        def __getattr__(self, name: str) -> Any:
            """Only for what is not there yet."""
            if name == "events":
                at, account = self.at, self.account
                events = account.events if at is None else tuple([(at, fact) for fact in account.facts])
                self.events = events
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
    commit.events = events  # pyright: ignore[reportAttributeAccessIssue]
    return commit


def dated_later(account: Dated) -> Commit:
    """As `told_later`, of what has a time for each."""
    commit = object.__new__(Quiet)
    commit.account = account
    commit.at = None
    return commit


def told_later(at: float, account: Telling) -> Commit:
    """A quiet commit of what `account` tells: a journal that has to keep it as it is now looks at its `events`."""
    commit = object.__new__(Quiet)
    commit.account = account
    commit.at = at
    return commit


class _Alone(Commit):
    __setattr__ = object.__setattr__  # as in `Quiet`
    __delattr__ = object.__delattr__

    if not TYPE_CHECKING:

        def __new__(cls, **fields: Any) -> Commit:
            """What `evolve` makes of one may have anything."""
            return Commit(**fields)


class StateAlone(_Alone):
    """A commit of one state, of the message that has led to it if that waited in a mailbox, and of nothing else."""


class MessageAlone(_Alone):
    """A commit of one message for a mailbox, and of nothing else."""


for _name, _value in Commit().__dict__.items():  # of all of them, where one has none of its own
    setattr(_Alone, _name, _value)


def state_alone(by: Path, state: StateRow, acked: int | None) -> Commit:
    """The state of slot `by`, and the row that leaves its mailbox."""
    commit = object.__new__(StateAlone)
    commit.by = by  # pyright: ignore[reportAttributeAccessIssue]
    commit.states = (state,)  # pyright: ignore[reportAttributeAccessIssue]
    if acked is not None:
        commit.acked = (acked,)  # pyright: ignore[reportAttributeAccessIssue]
    return commit


def message_alone(row: MessageRow) -> Commit:
    """A message that comes into a mailbox."""
    commit = object.__new__(MessageAlone)
    commit.accepted = (row,)  # pyright: ignore[reportAttributeAccessIssue]
    return commit
