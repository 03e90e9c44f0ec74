"""Scatter-gather: one question to several, and as many replies as are needed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

import trio
from attrs import field, frozen

from treewarden.agents.core.exit import alone
from treewarden.agents.core.message import Request
from treewarden.agents.core.path import Path
from treewarden.agents.core.said import is_count, is_number, shown
from treewarden.agents.errors import AskTimeout, ConfigurationError, QuorumMissed, TreewardenError
from treewarden.agents.ref import Ref

__all__ = ["Gathered", "gather"]

R = TypeVar("R")

_LATE = 0.1
"""Seconds that an ask may take beyond its limit, before it is given up here."""


@frozen
class Gathered(Generic[R]):
    """What came of one question to several."""

    replies: Mapping[Path, R] = field(factory=dict[Path, R])
    """By whom was asked, in the order in which they came: at least the quorum."""
    failures: Mapping[Path, TreewardenError] = field(factory=dict[Path, TreewardenError])
    """Who had failed by then, and with what. Whoever is in neither was not waited for."""


async def gather(
    refs: Iterable[Ref], message: Request[R], *, quorum: int | None = None, within: float = 5.0
) -> Gathered[R]:
    """Ask everybody at once; return as soon as `quorum` of them have replied (None: all), and wait for no others.

    A pool counts as one: its router says which worker is asked. Every ask has the same limit of `within` seconds. May
    be called from outside and inside of handlers; inside, the asks are steps of the handler, as with `ref.ask`.

    Not promised: that whoever was not waited for does not handle the message; nor, for a handler that runs again after
    a crash, that the same ones make up the quorum.

    Cancelled: nobody is waited for any more. Raises `QuorumMissed` as soon as so many have failed that the quorum
    cannot be reached, with what the others have replied; `ConfigurationError` for a quorum that no number of replies
    can be, for somebody who is asked twice, for two of one path in two trees, and for what is no ref.
    """
    if not isinstance(refs, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"{shown(refs)} is no list of refs; give gather those that `ref(path)` returns")
    asked = _checked(list(refs), quorum, within)
    gathering = _Gathering[R](asked, len(asked) if quorum is None else quorum)
    try:
        with trio.move_on_after(within + _LATE):
            async with trio.open_nursery() as nursery:
                for ref in asked:
                    nursery.start_soon(gathering.ask, ref, message, within, nursery.cancel_scope)
    except BaseExceptionGroup as group:
        error = alone(group)
        raise error from error.__cause__
    gathering.expire(type(message).__qualname__, within)
    return gathering.result()


class _Gathering(Generic[R]):
    """Who has replied so far, and who has failed."""

    def __init__(self, asked: list[Ref], quorum: int) -> None:
        self.asked = asked
        self.quorum = quorum
        self.replies: dict[Path, R] = {}
        self.failures: dict[Path, TreewardenError] = {}

    async def ask(self, ref: Ref, message: Request[R], within: float, scope: trio.CancelScope) -> None:
        """Ask one of them, and end the waiting for the others when it is decided."""
        try:
            self.replies[ref.path] = await ref.ask(message, within=within)
        except TreewardenError as error:
            self.failures[ref.path] = error
        if self.decided:
            scope.cancel()

    @property
    def decided(self) -> bool:
        """Whether the quorum has replied, or cannot any more."""
        return len(self.replies) >= self.quorum or len(self.failures) > len(self.asked) - self.quorum

    def expire(self, kind: str, within: float) -> None:
        """If nothing is decided by now, whoever has not replied has failed."""
        late = [] if self.decided else [ref for ref in self.asked if ref.path not in {**self.replies, **self.failures}]
        for ref in late:
            text = f"{ref.path}: no reply to {kind} within {within:g} s"
            self.failures[ref.path] = AskTimeout(text, path=ref.path)

    def result(self) -> Gathered[R]:
        """What has come. Raises `QuorumMissed` if that is not enough."""
        if len(self.replies) >= self.quorum:
            return Gathered(self.replies, self.failures)
        *_, last = self.failures
        raise QuorumMissed(
            f"{last}: {self.quorum} of {len(self.asked)} replies were asked for, and {len(self.failures)} failed: "
            f"{'; '.join(map(str, self.failures.values()))}",
            path=last,
            replies=self.replies,
            failures=self.failures,
        )


def _checked(asked: list[Ref], quorum: int | None, within: object) -> list[Ref]:
    for ref in asked:
        if not isinstance(ref, Ref):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"{shown(ref)} is no ref; give gather those that `ref(path)` returns")
    paths = [ref.path for ref in asked]
    if not paths:
        raise ConfigurationError("nobody is asked; give gather the refs of those who are")
    first: dict[Path, Ref] = {}
    for ref in asked:
        other = first.setdefault(ref.path, ref)
        if other != ref:
            raise ConfigurationError(
                f"{ref.path} is asked in two trees, and whose reply it is stands in its path alone; gather from one"
                " tree at a time"
            )
    if len(first) < len(asked):
        twice = next(path for number, path in enumerate(paths) if path in paths[:number])
        raise ConfigurationError(f"{twice} is asked twice, and would be one reply; give each ref once")
    if quorum is not None and (not is_count(quorum) or quorum > len(paths)):
        raise ConfigurationError(
            f"quorum is {shown(quorum)}; {len(paths)} are asked, so give a whole number from 1 to that"
        )
    if not is_number(within) or not 0 < within < math.inf:
        raise ConfigurationError(f"within is {shown(within)}; give a positive and finite number of seconds")
    return asked
