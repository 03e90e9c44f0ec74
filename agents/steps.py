"""`Agent.effect`: an act on the world outside that is never silently done twice."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import trio

from .core.exit import alone, describe, storable
from .core.message import Envelope
from .core.said import shown
from .core.step import (
    UNREAD,
    Begun,
    Done,
    Known,
    Next,
    Outcome,
    advance,
    check_name,
    key_of,
    numbered,
    raised,
    step_name,
)
from .core.values import define
from .errors import CommitFailed, ConfigurationError, InDoubt, NotDone, UnknownKind
from .forwarding import was_handed_on
from .ports import Steps, Store
from .sending import ended_by
from .slot import Turn, current_turn

if TYPE_CHECKING:
    from .life import Life

__all__ = ["BY_VERIFY", "FROM_ANNOTATION", "UNDER_WAY", "check_place", "effect", "in_hand"]

R = TypeVar("R")

FROM_ANNOTATION: Final[Any] = ...
"""Stands for the type that the call says it returns."""
BY_VERIFY: Final = "verify"
UNDER_WAY: Final = "!"
"""Among what a turn has asked: one of its effects is running. No effect and no ask is called so."""
_LOOK: Final = "!!"
"""Likewise: whether an effect of its message that has begun may not be done, or not be one that the turn comes to."""


async def effect(
    life: Life,
    name: str,
    call: Callable[[str], Awaitable[R]],
    returns: Any,
    idempotent: bool,
    verify: Callable[[str], Awaitable[Done[R] | NotDone]] | None,
) -> R:
    """See `Agent.effect`."""
    turn, store = life.turn, life.slot.store
    where = f"{life.slot.path}: effect({shown(name)})"
    try:
        check_name(name)
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}") from None
    check_place(life, where)
    if store is None or not life.slot.durable:
        raise ConfigurationError(
            f"{where}: what its agent does is not on disk; give its mailbox the durability 'message', or call the "
            "outside without effect()"
        )
    message = in_hand(life, where)
    returned = _returned(where, call) if returns is FROM_ANNOTATION else returns
    steps = store.steps(life.slot)
    try:
        steps.check(returned)
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: its result: {error}; it was not run") from None
    if turn.asked is not None and UNDER_WAY in turn.asked:
        raise ConfigurationError(
            f"{where}: another effect of this handler is running; await them one after the other, so that each is the "
            "same when the handler runs again"
        )
    if not message.id:
        message.id = steps.new_id()
    waits = message.reply is None or ">" in message.id
    step = turn.step(step_name(life.slot.mail.path, name))
    if ">" in message.id:
        step = steps.same(step)
    begun = Begun(
        step=step,
        name=name,
        key=key_of(step),
        path=life.slot.path,
        since=life.clock.wall(),
        kind=type(message.body).__qualname__,
        alone=verify is None and not idempotent,
        waits=waits,
        returns=returned,
    )
    running = turn.asked = cast("dict[str, int]", turn.asked)
    if _LOOK not in running:
        running[_LOOK] = 1 if steps.of(message.id) else 0
    running[UNDER_WAY] = 1
    try:
        return await _Effect(life, turn, store, steps, begun, call, idempotent, verify).carry_out()
    except BaseException:
        running[_LOOK] = 1
        raise
    finally:
        running.pop(UNDER_WAY, None)


@define(eq=False)
class _Effect:
    """One effect on its way."""

    _life: Life
    _turn: Turn
    _store: Store
    _steps: Steps
    _begun: Begun
    _call: Callable[[str], Awaitable[Any]]
    _idempotent: bool
    _verify: Callable[[str], Awaitable[Any]] | None
    _again: bool = False
    """An earlier delivery has begun it, and of that nobody here knows."""

    async def carry_out(self) -> Any:
        begun, steps = self._begun, self._steps
        try:
            reading = steps.reading(begun)
            if reading is not None:
                await reading
            found = steps.found(begun)
        except UnknownKind as error:
            known = steps.of(begun.message).get(begun.step)  # that says when it began
            raise self._in_doubt(f"{UNREAD}: {error}", known) from None
        under_way = steps.under_way(begun.step)
        next = advance(found, under_way=under_way, verify=self._verify is not None, idempotent=self._idempotent)
        if isinstance(found, Known):
            await steps.stored(begun.step)
            if self._turn.void:
                raise ended_by(self._turn)
            return found.value
        if found is None and self._turn.asked is not None and self._turn.asked[_LOOK]:
            self._look_around(self._turn.asked)
        if next is not Next.RUN:  # which waits behind that on its way to the disk
            await self._store.settled()
            if self._turn.void:
                raise ended_by(self._turn)
        if found is not None:
            self._begun, self._again = found, True
        if next is Next.VERIFY:
            assert self._verify is not None
            verified = await self._verified(self._verify)
            taking = steps.taking(self._begun, verified.value) if isinstance(verified, Done) else None
            if taking is not None:
                await taking
            said = steps.found(begun)
            if isinstance(said, Known):  # by a person, meanwhile
                return said.value
            if isinstance(verified, Done):
                return self._finished(cast("Any", verified).value, BY_VERIFY)
        elif next is Next.HOLD:
            why = "is still running in an earlier life" if under_way else "began, and its end was not seen"
            raise self._in_doubt(why)
        if self._again and steps.under_way(begun.step):
            raise self._in_doubt("is being answered for at this moment")
        await self._begin()
        result = await self._run()
        taking = steps.taking(self._begun, result)
        if taking is not None:
            await self._taken(taking, result)
        return self._finished(result)

    def _look_around(self, asked: Mapping[str, int]) -> None:
        """It is new: raise, if what an earlier delivery began, or this one, says that it must not run now."""
        begun = self._begun
        name, _ = numbered(begun.step)
        for step, doubt in self._steps.of(begun.message).items():
            other, n = numbered(step)
            passed = n <= asked.get(step_name(self._life.slot.mail.path, other), 0)
            if other == name and not passed:
                raise NotDone(f"{begun.name!r} was not done by an earlier delivery, which went on without it")
            if doubt is None or (passed and other != name):
                continue
            if not passed:
                why = f"began, and the handler comes to {begun.name!r} instead: see whether it was renamed"
                raise self._in_doubt(why, doubt)
            if doubt.alone:
                raise self._in_doubt("began, and its handler went on to another one", doubt)
            raise ConfigurationError(
                f"{begun.path}: effect({begun.name!r}): the one before is in doubt; let what it raised out of the "
                "handler, and the next delivery finds out what came of it"
            )

    async def _verified(self, verify: Callable[[str], Awaitable[Any]]) -> Done[Any] | NotDone:
        """What the outside says. Raises `InDoubt` where it does not, and rate limits."""
        try:
            said = await verify(self._begun.key)
        except Exception as error:
            cause = alone(error)
            if isinstance(cause, NotDone):
                return cause
            if _is_rate_limit(cause):
                raise
            raise self._in_doubt(f"could not be verified: {describe(error)}") from error
        if not isinstance(said, (Done, NotDone)):
            raise self._in_doubt(f"could not be verified: verify returned {shown(said)}, and no Done(...) or NotDone()")
        if self._turn.void:
            raise ended_by(self._turn)
        return cast("Done[Any] | NotDone", said)

    async def _begin(self) -> None:
        try:
            await self._steps.begin(self._begun)
        except CommitFailed as error:
            if self._turn.void:
                raise ended_by(self._turn) from None
            self._life.run_again()
            self._life.warden.commit_failed(error)
            await trio.sleep_forever()  # void: its cancellation is on its way
        try:
            await self._store.settled()  # and what an earlier one has left and the disk did not take at once
            if self._turn.void:
                raise ended_by(self._turn)
        except BaseException:
            if self._again:
                self._steps.leave(self._begun, "its life ended before it ran again")
            else:
                self._steps.undo(self._begun)
            raise

    async def _run(self) -> Any:
        begun, steps = self._begun, self._steps
        try:
            result: Any = self._call(begun.key)
            # a plain function has done it by now, and to complain of that would only put it in doubt
            return await result if inspect.isawaitable(result) else result
        except Exception as error:
            cause = alone(error)
            refused = not self._again and _is_rate_limit(cause)  # which says nothing of an earlier run
            not_done = isinstance(cause, NotDone) or refused
            verify, idempotent = self._verify is not None, self._idempotent
            outcome = raised(not_done=not_done, verify=verify, idempotent=idempotent, waits=begun.waits)
            if outcome is Outcome.UNDO:
                steps.undo(begun)
                raise
            steps.leave(begun, str(describe(error)))
            if outcome is Outcome.HOLD and not self._turn.void:
                raise self._in_doubt(f"raised {describe(error)}") from error
            raise
        except BaseException as error:
            steps.leave(begun, f"it was cut short: {type(error).__name__}")
            raise

    async def _taken(self, taking: Awaitable[None], value: Any) -> None:
        """Wait for what came of it to be made ready. Cut short, it was done all the same."""
        try:
            await taking
        except BaseException:
            try:
                self._steps.finish(self._begun, value)
            except ConfigurationError as error:
                self._steps.leave(self._begun, f"was done, and what it returned cannot be stored: {error}")
            raise

    def _finished(self, value: Any, by: str = "") -> Any:
        try:
            self._steps.finish(self._begun, value, by)
        except ConfigurationError as error:
            if not self._begun.waits:
                raise
            raise self._in_doubt(f"was done, and what it returned cannot be stored: {error}") from None
        if self._turn.void:
            raise ended_by(self._turn)
        return value

    def _in_doubt(self, why: str, step: Begun | None = None) -> InDoubt:
        return _in_doubt(self._life, step or self._begun, why)


def _in_doubt(life: Life, begun: Begun, why: str) -> InDoubt:
    when = datetime.fromtimestamp(begun.since, UTC).isoformat(sep=" ", timespec="seconds")
    text = f"the effect {begun.name!r} of {begun.kind} {begun.message} (key {begun.key}), begun at {when}, {why}"
    return InDoubt(storable(text), path=life.slot.path, name=begun.name, key=begun.key, since=begun.since)


def check_passed(life: Life, steps: Steps) -> None:
    """Raise `InDoubt` for an effect of the message in hand of which nobody knows whether it was done, and to which this
    handler has not come: with its settle that would be forgotten, and who does it elsewhere now does it again."""
    asked = life.turn.asked or {}
    for step, doubt in steps.of(life.turn.message).items():
        name, n = numbered(step)
        if doubt is not None and n > asked.get(step_name(life.slot.mail.path, name), 0):
            why = "began, and its handler does not come to it any more: see whether another one does it now"
            raise _in_doubt(life, doubt, why)


def check_place(life: Life, where: str) -> None:
    """Raise `ConfigurationError` anywhere but in a handler, and `AgentStopped` in one of a life that has ended."""
    turn = current_turn.get()
    if turn is not None and turn.slot is life.slot and turn.void:
        raise ended_by(turn)
    if turn is None or turn is not life.turn or not turn.in_handler:
        raise ConfigurationError(
            f"{where}: no message is in hand here; have on_start, a body or a helper tell one whose handler does it, "
            "`await self.ref('.').tell(...)`"
        )


def in_hand(life: Life, where: str) -> Envelope:
    """The message in hand. Raises `ConfigurationError` for what never comes again under the same id."""
    busy = life.slot.busy
    if type(busy) is not Envelope:
        kind = getattr(busy, "kind", type(busy).__qualname__)
        raise ConfigurationError(
            f"{where}: {kind} is in hand, which does not come again after a crash; tell a message whose handler does "
            "it, `await self.ref('.').tell(...)`"
        )
    if was_handed_on(busy):
        raise ConfigurationError(f"{where}: the ask in hand was handed on; do it before, or where that is answered")
    return busy


def _is_rate_limit(error: BaseException) -> bool:
    from .limited import rate_limit_of  # with the first failure

    return rate_limit_of(error) is not None


def _returned(where: str, call: Any) -> Any:
    """The type that a call says it returns."""
    function = call
    while isinstance(function, partial):
        function = cast("partial[Any]", function).func
    if not callable(function):
        raise ConfigurationError(f"{where}: {shown(call)} cannot be called; give an async function that takes the key")
    if not (inspect.isroutine(function) or isinstance(function, type)):
        function = type(function).__call__
    function = inspect.unwrap(function)
    noted = getattr(function, "__annotations__", {})
    remedy = "annotate what the function returns, or give returns=, so that it can be stored"
    if "return" not in noted:
        raise ConfigurationError(f"{where}: nothing says what it returns; {remedy}")
    known = getattr(function, "__globals__", {})
    try:
        asked = type("Asked", (), {"__annotations__": {"return": noted["return"]}})
        return typing.get_type_hints(asked, known)["return"]
    except Exception as error:
        text = f"{where}: what it returns, {noted['return']}, is not known here ({error}); give returns="
        raise ConfigurationError(text) from None
