"""The steps of a handler, as its agent calls them: acts on the world outside, and waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    from .core.approval import Answered, Expired, Refused, Ruling, Superseded
    from .core.step import Done
    from .errors import NotDone
    from .life import Life

__all__ = ["OwnSteps"]

R = TypeVar("R")


class OwnSteps:
    """The part of `Agent` that is journaled before it is done, so that the message in hand may come again."""

    life: Life

    async def effect(
        self,
        name: str,
        call: Callable[[str], Awaitable[R]],
        *,
        returns: Any = ...,
        idempotent: bool = False,
        verify: Callable[[str], Awaitable[Done[R] | NotDone]] | None = None,
    ) -> R:
        """Act on the world outside, once for the message in hand: whenever its handler runs again, also in another
        process, this returns what `call` returned, without calling it.

        For a handler of an agent of durability `message`, one effect after the other. `call` gets a key, the same for
        the same effect of the same message, and runs when it is on disk that it begins. What it returns has to be of a
        type that can be stored: that of its annotation, or `returns`. If it has begun and its end was not seen, or if
        it raised, nobody knows whether it was done: then `verify(key)` says `Done(value)` or `NotDone()`; else, if it
        is `idempotent`, it runs again under the same key; else this raises `InDoubt`, the agent is held, and a person
        says what came of it (`Tree.answer`). `NotDone` and rate limits that `call` raises say that it was not done.

        Not promised: that it was done exactly once, unless `verify` tells the truth or the outside knows the key again;
        anything, for a handler that catches `InDoubt` and returns. Of an ask from outside of handlers, which does not
        come again, only its asker hears. Raises what `call` raises; `ConfigurationError` before `call` runs; and
        `AgentStopped` in a life that has ended. Cancelled while `call` runs: as if it had raised; before: it has not
        begun.
        """
        from .steps import effect  # few agents have any

        return await effect(self.life, name, call, returns, idempotent, verify)

    async def sleep_until(self, when: datetime | float, *, name: str = "sleep") -> None:
        """Go on at `when`, be it in days or in another process: a datetime with a zone, or seconds since 1970, as
        `now()` has them. Returns at once where that has passed.

        For a handler of an agent of durability `message` that was told a message. It is journaled that it begins; then
        the handler is unwound (`Parked`, which no `except Exception` catches), its message is parked, and the agent
        goes on with the next one. What the handler had changed, told and recorded is undone; its effects, asks and
        earlier waits stand. At that time the message comes back before those that wait, and its handler runs from its
        beginning. Nothing has failed, and no delivery is counted. What counts is the `when` of the first time, by the
        name and the order among those of this name.

        Not promised: to be exact under load, nor where the wall clock jumps: it may be late by as much, and is never
        lost. Raises `ConfigurationError` where no message is in hand that would come again, for a time that is none,
        and in a handler that has caught `Parked`; `AgentStopped` in a life that has ended. Cancelled: as if it had not
        begun.
        """
        from .waits import sleep_until  # few agents wait

        await sleep_until(self.life, when, name)

    @overload
    async def wait_event(
        self, event: str, *, returns: type[R], until: datetime | float | None = None, name: str = "event"
    ) -> R: ...

    @overload
    async def wait_event(
        self, event: str, *, returns: Any = None, until: datetime | float | None = None, name: str = "event"
    ) -> Any: ...

    async def wait_event(
        self, event: str, *, returns: Any = None, until: datetime | float | None = None, name: str = "event"
    ) -> Any:
        """Go on when `event` has happened, be it in days or in another process; returns its value, of the type that
        this `returns`: None, if it is not said.

        Somebody tells this agent `Happened(event, value)`, by whatever way messages come: a handler, a portal,
        `treewarden send`. One that came before is kept, at most 1,000 of a mailbox (the oldest becomes a dead letter),
        and taken at once. Of several who wait in one mailbox for the same event, the one that began first gets it. One
        whose value is not what this returns becomes a dead letter, and the wait goes on. With `until` raises
        `WaitExpired` if that time passes first.

        For a handler of an agent of durability `message` that was told a message; it is unwound and its message parked
        as by `sleep_until`. `name` is that of the wait: which event it is, and `until`, count as of the first time. A
        handler that comes there with another `event` begins anew. Not promised: an order among events of several
        names. Raises `ConfigurationError` as `sleep_until`, and for a type that cannot be stored; `AgentStopped` in a
        life that has ended. Cancelled: as `sleep_until`.
        """
        from .events import wait_event  # few agents wait

        return await wait_event(self.life, event, returns, until, name)

    async def approval(self, name: str, *, about: Any, within: float = 86_400.0, subject: str = "") -> Ruling:
        """Wait for a person's word, be it in days or in another process: `Approved`, `Refused`, `Expired` where nobody
        has said anything `within` so many seconds (a day), or `Superseded`.

        For a handler of an agent of durability `message` that was told a message; it is unwound and its message parked
        as by `sleep_until`. A person is shown `about`, any value that can be stored, at most 20,000 characters of JSON,
        and rules with `Tree.rule` or from a shell; of several, the first counts. What a person has said is about what
        was shown: if a handler that runs again comes here with another `about`, that is superseded, and it asks anew.
        So let `about` be the same whenever the message is handled. An approval of the same name and `subject`, if there
        is one, that waits for an earlier message of this mailbox, is superseded by this one.

        Not promised: that whoever rules is who it says. Raises `ConfigurationError` where no message is in hand that
        would come again, for what cannot be stored or shown, and in a handler that has caught `Parked`; `AgentStopped`
        in a life that has ended. Cancelled: as `sleep_until`.
        """
        from .approvals import approval  # few agents ask

        return await approval(self.life, name, about, within, subject)

    @overload
    async def ask_person(
        self, name: str, prompt: str, *, choices: Sequence[str] = (), within: float = 86_400.0, subject: str = ""
    ) -> Answered[str] | Refused | Expired | Superseded: ...

    @overload
    async def ask_person(
        self, name: str, prompt: str, *, returns: type[R], within: float = 86_400.0, subject: str = ""
    ) -> Answered[R] | Refused | Expired | Superseded: ...

    async def ask_person(
        self,
        name: str,
        prompt: str,
        *,
        choices: Sequence[str] = (),
        returns: type[Any] = str,
        within: float = 86_400.0,
        subject: str = "",
    ) -> Answered[Any] | Refused | Expired | Superseded:
        """Ask a person, and wait for the answer, be it in days or in another process: `Answered`, with one of the
        `choices` as its `value`, or without any a text, or the `int` or `float` that this `returns`; `Refused`, where
        a person will not say; else as `approval`.

        All that is said of `approval` holds of this, with `prompt`, `choices` and `returns` as what is shown: a handler
        that runs again and asks in other words, or with other choices, asks anew. Whoever answers says so with
        `Tree.rule` or from a shell; what is no answer to this is refused there, and it waits on. `choices` is a tuple
        or a list of texts, each once. Raises and is cancelled as `approval`.
        """
        from .approvals import ask_person  # few agents ask

        return await ask_person(self.life, name, prompt, choices, returns, within, subject)
