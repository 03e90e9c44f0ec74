"""Steps of a handler that wait: it is unwound, its message is parked, and comes back when the wait is over."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar, cast

import trio

from .core.approval import APPROVAL
from .core.exit import leaves
from .core.message import CAME_BACK, Envelope
from .core.wait import EVENT, TIME, Wait, check_name, is_over, wait_name, wall_seconds
from .errors import CommitFailed, ConfigurationError, Parked
from .sending import ended_by
from .slot import PASSED, Turn
from .steps import UNDER_WAY, check_passed, check_place, in_hand

if TYPE_CHECKING:
    from .core.message import MessageId
    from .life import Life
    from .ports import Waits

__all__ = ["journaled", "look_again", "park", "pass_by", "passed", "sleep_until", "stands", "unwound", "waits_of"]

R = TypeVar("R")

_CALLED: Final = {TIME: "sleep_until", EVENT: "wait_event", APPROVAL: "approval"}


async def sleep_until(life: Life, when: datetime | float, name: str) -> None:
    """See `OwnSteps.sleep_until`. Returns, at once, if this wait is over; else journals that it begins, and raises
    `Parked`.

    A time that has passed when the handler comes there first is no wait: nothing is written. Cancelled: it has not
    begun, or it has and its message is not parked: it comes here again.
    """
    where = f"{life.slot.path}: sleep_until"
    try:
        until = wall_seconds(when)
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}") from None
    waits = waits_of(life, where, name)
    turn, message = life.turn, in_hand(life, where)
    step = turn.step(wait_name(life.slot.mail.path, name))
    place = passed(turn)
    found, wall = await stands(life, step, TIME), life.clock.wall()
    if found is not None and (is_over(found, wall) or waits.has_gone_on(step, place)):
        turn.record(waits.ended(found))
        return
    if found is None:
        if until <= wall or waits.has_gone_on(step, place):
            return
        found = Wait(
            step=step,
            name=name,
            what=TIME,
            place=place,
            path=life.slot.path,
            mail=life.slot.mail.path,
            kind=type(message.body).__qualname__,
            since=wall,
            until=until,
        )
        await journaled(life, waits.begin(found))
    park(turn, found)


def waits_of(life: Life, where: str, name: str) -> Waits:
    """Those of the message in hand. Raises `ConfigurationError` where none can be, with the remedy."""
    where = f"{where}(name={name!r})"
    turn, store = life.turn, life.slot.store
    try:
        check_name(name)
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}") from None
    check_place(life, where)
    remedy = "tell a message whose handler waits, `await self.ref('.').tell(...)`"
    if store is None or not life.slot.durable:
        raise ConfigurationError(
            f"{where}: what waits for its agent is not on disk; give its mailbox the durability 'message', or set a "
            "time with after()"
        )
    message = in_hand(life, where)
    if message.reply is not None:
        raise ConfigurationError(f"{where}: an ask is in hand, whose asker waits; {remedy}")
    if isinstance(turn.events, _Unwinds):
        raise ConfigurationError(f"{where}: {_SWALLOWED}")
    if turn.asked is not None and UNDER_WAY in turn.asked:
        raise ConfigurationError(
            f"{where}: another step of this handler is running; await them one after the other, so that each is the "
            "same when the handler runs again"
        )
    return store.steps(life.slot).waits


async def stands(life: Life, step: MessageId, what: str) -> Wait | None:
    """The wait of this kind that has begun at this step. One of another kind makes room: its handler is another one
    now, and what was said of the old wait is not meant for the new one. A checkpoint."""
    assert life.slot.store is not None
    steps = life.slot.store.steps(life.slot)
    found = await journaled(life, steps.waits.stands(step))
    if found is None or found.what in (what, ""):
        return found
    why = f"its handler comes to {_CALLED[what]}() under that name now"
    await journaled(life, steps.events.make_room(found, why))
    return None


def pass_by(life: Life) -> None:
    """Have its settle say how those waits of the message in hand end that this handler has not come to. Raises
    `InDoubt` for an effect in doubt to which it has not."""
    turn, store = life.turn, life.slot.store
    assert store is not None
    steps = store.steps(life.slot)
    check_passed(life, steps)
    for fact in steps.waits.passed_by(turn.message, turn.asked or {}):
        turn.record(fact)


def passed(turn: Turn) -> int:
    """How many waits this handler has come to, with the one to which it comes now."""
    asked = turn.asked = turn.asked or {}
    place = asked[PASSED] = asked.get(PASSED, 0) + 1
    return place


async def journaled(life: Life, work: Awaitable[R]) -> R:
    """Await what is to be on disk before this handler goes on. Raises `AgentStopped` in a life that has ended."""
    turn = life.turn
    asked = turn.asked = turn.asked or {}
    asked[UNDER_WAY] = 1
    try:
        done = await work
    except CommitFailed as error:
        if turn.void:
            raise ended_by(turn) from None
        life.run_again()
        life.warden.commit_failed(error)
        await trio.sleep_forever()  # void: its cancellation is on its way
        raise
    finally:
        asked.pop(UNDER_WAY, None)
    if turn.void:
        raise ended_by(turn)
    return done


_SWALLOWED: Final = (
    "it went on although it waits: `Parked` was caught in it; catch Exception, not BaseException, and let `Parked` out "
    "of the handler"
)


class _Unwinds(list[Any]):
    """The facts of a turn whose handler is being unwound. What is read of them is what its settle would write."""

    def __iter__(self) -> NoReturn:
        raise ConfigurationError(_SWALLOWED)


def park(turn: Turn, wait: Wait) -> NoReturn:
    """Unwind the handler. One that goes on all the same cannot settle."""
    turn.events = _Unwinds([wait])
    turn.asked = {UNDER_WAY: 1}
    raise Parked(wait.step)


def unwound(life: Life, item: object, error: BaseException) -> BaseException | None:
    """What a handler let out that waits: park its message. Returns what else it has raised, which counts instead."""
    waiting = [cast("Parked", each) for each in leaves(error) if issubclass(type(each), Parked)]
    if isinstance(error, BaseExceptionGroup):
        rest = cast("BaseExceptionGroup[BaseException]", error).split(Parked)[1]
        if rest is not None:
            return rest
    slot, turn = life.slot, life.turn
    turn.drop()
    if slot.agent is not life.agent or type(item) is not Envelope:
        return None
    life.agent.state = life.state
    slot.busy = None
    slot.unwound += 1
    assert slot.store is not None
    steps, step = slot.store.steps(slot), waiting[0].step
    steps.waits.park(item, step)
    wait = steps.waits.found(step)
    if wait is not None and wait.what == EVENT:
        steps.events.was_parked(str(wait.about))
    return None


def look_again(life: Life, envelope: Envelope) -> bool:
    """Whether this is a message whose handler has waited before, be it parked since or not: whatever that comes to
    now, its settle ends its waits."""
    if envelope.deadline != CAME_BACK:
        return False
    life.turn.asked = {PASSED: 0}
    return True
