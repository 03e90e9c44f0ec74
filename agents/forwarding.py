"""Handing on the message in hand: whoever gets it answers it, and whoever handed it on waits for nothing."""

from __future__ import annotations

import math
from typing import Any, Final

import trio

from .asking import answer_of, askers_of, no_room, refuse_cycle
from .core.message import Envelope, Priority, Reply, asks_itself
from .core.path import Path
from .core.step import MARK
from .errors import AgentStopped, AskCycle, ConfigurationError, ForwardCycle
from .ports import IN_HAND, Outgoing
from .ref import Ref
from .sending import ended_by, refuse_what_waits_for_itself
from .slot import Slot, Turn, current_turn
from .ticks import Tick, Timed

__all__ = ["forward", "was_handed_on"]

_ROUNDS: Final = 8
"""How often an agent may hand on one message: who is busy may get it back, but nobody needs it a ninth time."""


async def forward(turn: Turn, to: Ref, message: object = IN_HAND) -> None:
    """Hand the message in hand of `turn` to `to` (see `Agent.forward`)."""
    busy = turn.slot.busy
    if turn.void:
        raise ended_by(turn)
    if current_turn.get() is not turn or busy is None or type(busy) is Tick:
        raise ConfigurationError(f"{turn.path}: forward() hands on the message in hand; call it in its handler")
    asked = busy if isinstance(busy, Envelope) else None
    body = _body(busy) if message is IN_HAND else message
    if asked is None or asked.reply is None:
        way = (*(() if asked is None else asked.askers), turn.path)
        if way.count(turn.path) > _ROUNDS:
            _end_told(turn, body, way)
        else:
            await to.hand_on(body, turn, way, Priority.NORMAL if asked is None else asked.priority)
        return
    if isinstance(asked.reply, _Handed):
        raise ConfigurationError(f"{turn.path}: this ask was handed on before, and can have one reply only")
    if turn.asked is not None and any(MARK in step for step in turn.asked):
        raise ConfigurationError(
            f"{turn.path}: an effect was run for this ask, which goes by its id; hand it on before, or answer it here"
        )
    answer = answer_of(asked.reply)
    way = () if answer is None else (*answer.way, turn.path)
    if way.count(turn.path) > _ROUNDS:
        asked.id = ""
        asked.reply(None, ForwardCycle(_words(turn, body, way), path=turn.path))
        return
    left = math.inf if asked.deadline is None else asked.deadline - trio.current_time()
    slot = await to.receiver(body, turn, asked.priority, left)
    if turn.void:
        raise ended_by(turn)
    _refuse_cycle(slot, asked)
    passed = Envelope(
        body,
        id=asked.id,
        sender=turn.path,
        askers=asked.askers,
        reply=asked.reply,
        deadline=asked.deadline,
        priority=asked.priority,
        since=slot.now() if slot.timed else None,
    )
    await _reserve(slot, passed, turn)
    if turn.void:
        slot.release()
        raise ended_by(turn)
    if answer is not None:
        answer.way = way
    handed = asked.reply = _Handed(asked.reply, slot, passed)
    asked.id = ""  # its reply is to be kept, if at all, by the one who gives it
    if turn.waits_for_commit:
        turn.tell(Outgoing(target=slot, envelope=passed, release=handed.leave, cancel=slot.release))
    else:
        handed.leave()
        asked.askers = ()  # they wait for that one now, and no more for whoever handed it on


def _words(turn: Turn, body: object, way: tuple[Path, ...]) -> str:
    """What is said of a message that goes round: the last round, and how many there were."""
    rounds = way.count(turn.path) - 1
    last = len(way) - 2 - way[-2::-1].index(turn.path)
    circle = " hands it to ".join(way[last:])
    return (
        f"{turn.path}: {type(body).__qualname__} goes round in a circle, {circle}, and has done so {rounds} times; "
        "one of them has to handle it"
    )


def _end_told(turn: Turn, body: object, way: tuple[Path, ...]) -> None:
    mail = turn.slot.mail
    if mail.on_drop is not None:
        mail.on_drop(Envelope(body, sender=turn.path), _words(turn, body, way))


def _body(busy: object) -> object:
    """The message in hand, whatever it came as."""
    if isinstance(busy, Envelope):
        return busy.body
    return busy.message if isinstance(busy, Timed) else busy


def was_handed_on(asked: Envelope) -> bool:
    """Whether somebody else is to answer this ask by now."""
    return isinstance(asked.reply, _Handed)


class _Handed:
    """What an ask that was handed on has for a reply: nothing, unless it could not leave."""

    def __init__(self, reply: Reply, slot: Slot, envelope: Envelope) -> None:
        self._reply = reply
        self._slot = slot
        self._envelope = envelope
        self._left = False

    def __call__(self, _value: Any, error: BaseException | None) -> None:
        if error is not None and not self._left:
            self._reply(None, error)

    def leave(self) -> None:
        """Into the mailbox, where room was reserved."""
        self._left = True
        slot = self._slot
        if slot.ended:
            slot.release()
            text = f"{slot.path}: the slot ended before the ask that was handed on to it arrived"
            self._reply(None, AgentStopped(text, path=slot.path, retry_safe=False))  # whoever handed it on has settled
            return
        answer = answer_of(self._reply)
        if answer is not None:
            answer.move_to(slot, self._envelope)
        slot.fill(self._envelope, self._envelope.priority)


def _refuse_cycle(slot: Slot, asked: Envelope) -> None:
    """Raise `AskCycle` if the asker would wait for itself once `slot` is to answer."""
    answer = answer_of(asked.reply)
    if answer is not None and answer.asking is not None:
        refuse_cycle(slot, answer.asking, askers_of(answer.asking, trio.current_time()))
        return
    cycle = asks_itself(slot.path, asked.askers)
    if cycle is not None:
        text = f"{slot.path}: its asker would wait for itself: {' asks '.join(cycle)}"
        raise AskCycle(text, path=slot.path, retry_safe=True)


async def _reserve(slot: Slot, envelope: Envelope, turn: Turn) -> None:
    """Room for the ask, for as long as its asker waits."""
    if turn.slot.mail is slot:
        slot.reserve_nowait(envelope, envelope.priority, beyond=1)
        return
    if slot.has_to_wait(envelope, envelope.priority):
        refuse_what_waits_for_itself(slot, turn)
    if envelope.deadline is None or slot.has_room:
        await slot.reserve(envelope, envelope.priority)
        return
    begun = trio.current_time()
    with trio.move_on_at(envelope.deadline) as limit:
        await slot.reserve(envelope, envelope.priority)
    if limit.cancelled_caught:
        raise no_room(slot, envelope, max(0.0, envelope.deadline - begun))
