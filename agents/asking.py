"""One ask: where its asker waits, whether it would wait for itself, and what is said when no reply comes."""

from __future__ import annotations

from typing import Any, Final

from trio.lowlevel import Abort, Task, reschedule

from .core.message import Envelope, Reply, asks_itself
from .core.path import Path
from .errors import AgentStopped, AskCycle, AskTimeout
from .slot import Slot
from .wake import WAKE

_ANSWERED: Final = Envelope(None)
_ABOVE: Final = " is held"
"""After the path of a supervisor, as a reason to pause whoever is below it."""

__all__ = [
    "Answer",
    "answer_of",
    "askers_of",
    "crowd",
    "joins",
    "no_room",
    "refuse_cycle",
    "refuse_who_comes_later",
    "waits_for_itself",
]


class Answer:
    """Where one asker waits. Answering it after it has left, or again, does nothing."""

    __slots__ = ("_among", "_asking", "_way", "envelope", "known", "reply", "slot", "task", "within")

    def __init__(self, slot: Slot, envelope: Envelope, within: float, asking: Slot | None) -> None:
        self.slot = slot
        self.envelope = envelope
        self.within = within
        self._asking = asking
        self._among: list[Slot] | None = None
        """What the life that asks is asking: the next one in its slot has a list of its own."""
        envelope.reply = self.resolve
        self.known = False
        self.reply: tuple[Any, BaseException | None] = (None, None)
        self.task: Task | None = None
        """Who is parked until the answer is known, if it is not."""
        if asking is not None:
            if asking.waiting_on is None:
                asking.waiting_on = []
            self._among = asking.waiting_on
            asking.waiting_on.append(slot)

    @property
    def asking(self) -> Slot | None:
        """The slot whose handler asks; it waits for `slot` until the answer is known, or its life ends."""
        asking = self._asking
        return asking if asking is not None and asking.waiting_on is self._among else None

    def resolve(self, value: Any, error: BaseException | None) -> None:
        """The reply, or why there is none."""
        if not self.known:
            self.reply = (value, error)
            self._wake()

    def expire(self) -> None:
        """The limit has passed."""
        if not self.known:
            self.reply = (None, _timed_out(self.slot, self.envelope, self.within))
            self._wake()

    def leave(self) -> None:
        """Nobody waits here any more."""
        self.known = True
        self.task = None
        self.envelope = _ANSWERED  # or the two would hold on to each other until the collector comes
        self._asking = None
        if self._among is not None:
            self._among.remove(self.slot)
            self._among = None

    @property
    def way(self) -> tuple[Path, ...]:
        """Who has handed it on, each time; nothing is kept for an ask that nobody does."""
        return getattr(self, "_way", ())

    @way.setter
    def way(self, way: tuple[Path, ...]) -> None:
        self._way = way

    def move_to(self, slot: Slot, envelope: Envelope) -> None:
        """Another slot is to answer now: its asker waits for that one."""
        if self.known:
            return
        if self._among is not None:
            self._among[self._among.index(self.slot)] = slot
        self.slot, self.envelope = slot, envelope

    def _wake(self) -> None:
        task = self.task
        self.leave()  # at once: by the time that the task runs, whoever answered may be handling what asks the asker
        if task is not None:
            reschedule(task, WAKE)

    def abort(self, _: object) -> Abort:
        """What trio calls when the task that waits here is cancelled."""
        self.task = None
        return Abort.SUCCEEDED


def askers_of(slot: Slot, now: float) -> tuple[Path, ...]:
    """Who waits for the message that `slot` has in hand, directly or through others, and still does; `slot` last.

    Whoever has given up, or was ended, waits for nobody: to ask it closes no cycle.
    """
    waiting = [slot]
    before: tuple[Path, ...] = ()
    busy = slot.busy
    while type(busy) is Envelope and (busy.deadline is None or busy.deadline > now):
        answer = answer_of(busy.reply)
        if answer is None:
            before = () if busy.reply is None else busy.askers
            break
        asker = answer.asking
        if asker is None or asker in waiting:
            break
        waiting.insert(0, asker)
        busy = asker.busy
    return (*before, *[each.path for each in waiting])


def answer_of(reply: Reply | None) -> Answer | None:
    """Where the asker of a message waits, if that is known."""
    waiting = getattr(reply, "__self__", None)
    return waiting if isinstance(waiting, Answer) else None


def joins(envelope: Envelope, slot: Slot, begun: Envelope) -> bool:
    """Whether an ask is the same as `begun`, which `slot` has in hand, and needs no other handler: another life of who
    asks has made that one, and whoever waits for this one waits for it from now on."""
    if slot.busy is not begun:
        return False
    answer, before = answer_of(envelope.reply), answer_of(begun.reply)
    if answer is None:
        return False
    left = AgentStopped(f"{slot.path}: another life of its asker waits for this reply", path=slot.path)
    asking = answer.asking
    if asking is None:  # it has ended; in case it was left behind, and waits still, it is told so
        answer.resolve(None, left)
        return True
    if before is None or before.asking is not None:
        return False
    try:
        refuse_cycle(slot, asking, envelope.askers)
    except AskCycle as error:
        answer.resolve(None, error)
        return True
    before.resolve(None, left)
    begun.reply, begun.deadline, begun.askers = answer.resolve, envelope.deadline, envelope.askers
    answer.move_to(slot, begun)
    return True


def refuse_cycle(target: Slot, asking: Slot, askers: tuple[Path, ...]) -> None:
    """Raise `AskCycle` if `asking` would wait for itself: because `target` waits for it through the chain of this
    message's askers, or through asks that have nothing to do with this message."""
    way = (asking.path, target.path) if target is asking else _way(target, asking)
    if way is not None:
        raise waits_for_itself(target.path, asks_itself(target.path, askers) or way)
    if (pool := _stuck_pool(target, asking)) is not None:
        through = "" if pool is target else f", which waits for {pool.path}"
        text = (
            f"asking would wait for itself: {asking.path} asks {target.path}{through}, and each of its "
            f"{len(pool.workers)} workers waits for a reply that only they could give; tell instead of ask, or ask "
            "another pool"
        )
        raise AskCycle(text, path=target.path, retry_safe=True)


def refuse_who_comes_later(target: Slot, asking: Slot) -> None:
    """Raise `AskCycle` if the `on_start` of `asking` would wait for who begins only when it has returned: its own
    agent, and whoever does not live under the same supervisor, which waits for it."""
    if target is asking or (not target.inhabited and target.path.parent == asking.path.parent):
        text = (
            f"asking would wait for itself: {target.path} handles nothing before the on_start of {asking.path} has "
            "returned; do without, or have a handler ask, of a message that it tells itself"
        )
        raise AskCycle(text, path=target.path, retry_safe=True)


def waits_for_itself(target: Path, cycle: tuple[Path, ...]) -> AskCycle:
    """What is said to whoever asks `target` and would wait for its own reply, through all along `cycle`."""
    text = f"asking would wait for itself: {' asks '.join(cycle)}; tell instead of ask somewhere along this cycle"
    return AskCycle(text, path=target, retry_safe=True)


def _asked_by(slot: Slot) -> list[Slot]:
    """Who has to reply before `slot` goes on: of a pool the worker that has the message in hand, once one has."""
    asked: list[Slot] = []
    for each in slot.waiting_on or ():
        workers = each.workers
        holding = [worker for worker in workers if _asker_of(worker.busy) is slot] if workers else []
        asked += [worker for worker in holding if worker not in asked]
        if len(holding) < (slot.waiting_on or []).count(each):
            asked.append(each)
    return asked


def _asker_of(busy: object) -> Slot | None:
    """Whose handler waits for the reply to a message in hand."""
    answer = answer_of(busy.reply) if type(busy) is Envelope else None
    return None if answer is None else answer.asking


def _stuck_pool(target: Slot, asking: Slot) -> Slot | None:
    """A pool because of which `target` cannot reply before `asking` goes on: each of its workers waits for a reply that
    needs `asking`, or this pool. None if there is none, or if `target` can.

    Who can reply is worked out from those that wait for nobody: a pool can if one of its workers can, whoever else
    asks if all can that it asks.
    """
    reached, ahead = {target: None}, [target]
    asked: dict[Slot, list[Slot]] = {}
    while ahead:
        slot = ahead.pop()
        asked[slot] = _asked_by(slot)
        for each in (*slot.workers, *asked[slot]):
            if each not in reached:
                reached[each] = None
                ahead.append(each)
    pools = [slot for slot in reached if slot.workers]
    able: set[Slot] = set()
    before = -1
    while pools and len(able) > before:
        before = len(able)
        for slot in reached:
            if slot is not asking and (
                any(each in able for each in slot.workers)
                if slot.workers
                else all(each in able for each in asked[slot])
            ):
                able.add(slot)
    if target in able:
        return None
    return next((pool for pool in pools if pool not in able), None)


def _way(target: Slot, asking: Slot) -> tuple[Path, ...] | None:
    """From `asking` to `target` and on, from slot to slot that is being asked, back to `asking`; None if none leads."""
    came_from = {target: asking}
    here = [target]
    while here:
        slot = here.pop()
        for asked in _asked_by(slot):
            if asked is asking:
                way = [asking.path]
                while slot is not asking:
                    way.append(slot.path)
                    slot = came_from[slot]
                return (asking.path, *reversed(way))
            if asked not in came_from:
                came_from[asked] = slot
                here.append(asked)
    return None


def _timed_out(slot: Slot, envelope: Envelope, within: float) -> AskTimeout:
    """What to tell the asker: whom it asked what, and what is likely to be the cause."""
    kind = type(envelope.body).__qualname__
    waiting = list(slot)
    waits = any(each is envelope for each in waiting)
    if waits:
        before = next(place for place, each in enumerate(waiting) if each is envelope)
        doing = f"{before} message{'s are' if before > 1 else ' is'} before it" if before else "it is next"
        if slot.paused:
            doing += f", and {_paused(slot)}"
        elif not slot.inhabited:
            doing += ", and nobody lives in the slot at the moment"
        elif slot.busy is not None:
            doing += f", and {_kind(slot.busy)} is still being handled"
    elif slot.busy is envelope:
        doing = "its handler is still running"
        if slot.waiting_on:
            doing += f" and is asking {', '.join(each.path for each in slot.waiting_on)}"
    elif any(each.is_aside(envelope) for each in (slot, *slot.workers)):
        doing = "it was put aside (Stash), and has not been brought back"
    else:
        doing = "it was taken, and its reply has not left"
    return AskTimeout(f"{slot.path}: no reply to {kind} within {within:g} s: {doing}", path=slot.path, retry_safe=waits)


def no_room(slot: Slot, envelope: Envelope, within: float) -> AskTimeout:
    """What to tell an asker whose message never got into the mailbox."""
    kind = type(envelope.body).__qualname__
    return AskTimeout(
        f"{slot.path}: no reply to {kind} within {within:g} s: its mailbox was full all the time ({crowd(slot)})",
        path=slot.path,
        retry_safe=True,
    )


def crowd(slot: Slot) -> str:
    """How full a mailbox is, and why it may not get emptier."""
    numbers = slot.statistics()
    text = f"{numbers.depth} of {numbers.capacity} wait"
    if numbers.reserved:
        text += f", {numbers.reserved} more are on their way"
    return f"{text}, paused: {', '.join(numbers.paused)}" if numbers.paused else text


def _paused(slot: Slot) -> str:
    """What has to happen before the slot goes on."""
    reasons = slot.statistics().paused
    held = [reason.removesuffix(_ABOVE) for reason in reasons if reason.endswith(_ABOVE)]
    who, path = (held[0], held[0]) if held else ("the slot", slot.path)
    if not held and "held" not in reasons:
        return f"the slot is paused ({', '.join(reasons)})"
    return (
        f"{who} is held until a person decides: `treewarden why FILE.db {path}` shows the question, "
        f"`treewarden resume FILE.db {path}` or resume({str(path)!r}) of the tree lets it go on"
    )


def _kind(item: object) -> str:
    return type(item.body if isinstance(item, Envelope) else item).__qualname__
