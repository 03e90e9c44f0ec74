"""What `run_handler` has in place of a journal: everything is durable at once, and noted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import NoneType
from typing import Any, Final

import trio
from attrs import evolve

from .core.approval import APPROVAL, Answered, Approved, Asked, End, Expired, Refused, Superseded
from .core.message import Envelope, MessageId
from .core.path import Path
from .core.said import shown
from .core.step import Begun, Done, Known
from .core.wait import MARK, Wait
from .errors import ConfigurationError
from .events import Came
from .ports import Settled, Steps, Store
from .slot import Slot, Turn

__all__ = ["Kept", "check_left"]

_RULINGS: Final = (Approved, Refused, Answered, Expired, Superseded)


def check_left(effects: Mapping[str, object], waits: Mapping[str, object]) -> None:
    """Raises `ConfigurationError` for what no earlier delivery can have left of an effect or a wait."""
    for name, left in effects.items():
        if not isinstance(left, (Done, NoneType)):
            raise ConfigurationError(
                f"effects[{name!r}] is {shown(left)}; give Done(value), or None if its end was not seen"
            )
    for name, left in waits.items():
        if not isinstance(left, (Done, NoneType, *_RULINGS)):
            raise ConfigurationError(
                f"waits[{name!r}] is {shown(left)}; give Done(None) if it is over, of an event Done(value) or "
                "Expired(at), of an approval how it has ended, as Approved('ada'), or None if it is not yet"
            )


class Kept:
    """A `Store` that takes notes: everything is durable at once."""

    owes: Settled | None = None

    def __init__(
        self,
        recorded: list[Any],
        checkpoints: list[str],
        effects: Mapping[str, Done[Any] | None],
        effected: Callable[[str, str], object],
        waits: Mapping[str, Done[Any] | End | None],
        parked: Callable[[Wait], object],
    ) -> None:
        """`effects` and `waits` are what an earlier delivery has left of them. Whose call runs is `effected`, by name
        and key; for what the message is `parked` is said, too."""
        self._recorded = recorded
        self._checkpoints = checkpoints
        self._steps = _Noted(effects, effected, _NotedWaits(waits, parked))

    def steps(self, slot: Slot) -> Steps:
        return self._steps

    def settle(self, done: Settled, then: Callable[[BaseException | None], None]) -> None:
        self._recorded.extend(each for each in done.events if not isinstance(each, Wait))
        if done.checkpoint is not None:
            self._checkpoints.append(done.checkpoint.name)
        then(None)

    def taking(self, state: object, turn: Turn | None = None, reply: tuple[object, object] | None = None) -> None:
        return None

    async def accept(self, slot: Slot, envelope: Envelope, deadline: float = math.inf) -> None:
        slot.fill(envelope, envelope.priority)

    async def given_up(self, deadline: float = math.inf) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()

    async def settled(self) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()

    async def name_of(self, message: object) -> str:
        return type(message).__qualname__

    def asks(self, message: MessageId, of: Store) -> None:
        pass

    async def kept(self, ask: MessageId, wanted: bool = True) -> tuple[object] | None:
        return None

    async def begins(self, ask: Envelope, slot: Slot) -> bool:
        return True


class _Noted:
    """The `Steps` of one message: what an earlier delivery has left, and which have run."""

    def __init__(
        self, before: Mapping[str, Done[Any] | None], effected: Callable[[str, str], object], waits: _NotedWaits
    ) -> None:
        self.waits = waits
        self.approvals = _NotedApprovals(waits.before, waits.begun)
        self.events = _NotedEvents(waits)
        self._before = before
        self._effected = effected
        self._known: dict[MessageId, Begun | Known | None] = {}

    def new_id(self) -> MessageId:
        return "asked-1"

    def check(self, returns: object) -> None:
        """Only a tree stores it."""

    def reading(self, step: Begun) -> None:
        return None

    def found(self, step: Begun) -> Begun | Known | None:
        if step.step in self._known or step.name not in self._before:
            return self._known.get(step.step)
        done = self._before[step.name]
        return step if done is None else Known(done.value)

    def same(self, step: MessageId) -> MessageId:
        return step

    def of(self, message: MessageId) -> Mapping[MessageId, Begun | None]:
        """Of this delivery: what an earlier one has left is said by name."""
        return {step: known if isinstance(known, Begun) else None for step, known in self._known.items() if known}

    async def stored(self, step: MessageId) -> None:
        await trio.lowlevel.checkpoint()

    def under_way(self, step: MessageId) -> bool:
        return False

    async def begin(self, step: Begun) -> None:
        await trio.lowlevel.checkpoint()
        self._known[step.step] = step
        self._effected(step.name, step.key)

    def taking(self, step: Begun, value: object) -> None:
        return None

    def finish(self, step: Begun, value: object, by: str = "") -> None:
        self._known[step.step] = Known(value)

    def undo(self, step: Begun) -> None:
        self._known[step.step] = None

    def leave(self, step: Begun, why: str) -> None:
        """It is as it was."""

    def forget(self, message: MessageId) -> None:
        """Nothing comes again."""


class _NotedWaits:
    """The `Waits` of one message."""

    def __init__(self, before: Mapping[str, Done[Any] | End | None], parked: Callable[[Wait], object]) -> None:
        self.before = before
        self._parked = parked
        self.begun: dict[MessageId, Wait] = {}

    def found(self, step: MessageId) -> Wait | None:
        if step in self.begun:
            return self.begun[step]
        mail, _, numbered = step.rpartition(">")[2].rpartition(MARK)
        name = numbered.rpartition(".")[0]
        if name not in self.before:
            return None
        here, said = Path(mail), self.before[name]
        over, what = said is not None, "" if isinstance(said, (Done, Expired, NoneType)) else APPROVAL
        return Wait(step=step, name=name, what=what, place=0, path=here, mail=here, kind="", since=0.0, over=over)

    async def stands(self, step: MessageId) -> Wait | None:
        await trio.lowlevel.checkpoint()
        return self.found(step)

    def has_gone_on(self, step: MessageId, place: int) -> bool:
        return False

    async def begin(self, wait: Wait) -> None:
        await trio.lowlevel.checkpoint()
        self.begun[wait.step] = wait

    def ended(self, wait: Wait) -> object:
        return wait

    def passed_by(self, message: MessageId, asked: Mapping[str, int]) -> Sequence[object]:
        return ()

    def park(self, envelope: Envelope, step: MessageId) -> None:
        found = self.found(step)
        assert found is not None
        self._parked(evolve(found, about=found.about["about"]) if found.what == APPROVAL else found)


class _NotedApprovals:
    """The `Approvals` of one message: whatever is shown, an earlier delivery has shown the same."""

    def __init__(self, before: Mapping[str, Done[Any] | End | None], begun: dict[MessageId, Wait]) -> None:
        self._before = before
        self._begun = begun

    def shown(self, about: object) -> tuple[str, Any, str]:
        return type(about).__qualname__, about, ""

    async def known(self, step: MessageId) -> tuple[Asked | None, End | None]:
        await trio.lowlevel.checkpoint()
        name = step.rpartition(MARK)[2].rpartition(".")[0]
        said = self._before.get(name)
        if said is None:  # also where one has begun: it is asked what was asked then
            return None, None
        here = Path(step.rpartition(">")[2].rpartition(MARK)[0])
        if not isinstance(said, _RULINGS):
            raise ConfigurationError(
                f"{here}: approval({name!r}): waits says {shown(said)} of it; say how it has ended, as Approved('ada')"
            )
        asked = Asked(
            step=step, name=name, path=here, mail=here, kind="", about=None, digest="", since=0.0, due=math.inf
        )
        return asked, said

    async def begin(self, wait: Wait, asked: Asked, before: Asked | None) -> End | None:
        await trio.lowlevel.checkpoint()
        self._begun[wait.step] = wait
        return None

    async def expire(self, asked: Asked) -> End:
        await trio.lowlevel.checkpoint()
        return Expired(asked.due)


class _NotedEvents:
    """The `Events` of one message."""

    def __init__(self, waits: _NotedWaits) -> None:
        self._waits = waits

    def check(self, returns: object) -> None:
        """Only a tree stores it."""

    def arrived(self, envelope: Envelope) -> None:
        """Nobody waits here."""

    def was_parked(self, event: str) -> None:
        """Nothing comes."""

    async def known(self, step: MessageId, event: str) -> tuple[Wait | None, Came | None]:
        await trio.lowlevel.checkpoint()
        found = self._waits.found(step)
        said = None if found is None else self._waits.before.get(found.name)
        if found is None or said is None:  # also where one has begun: it waits for what it waited for then
            return None, None
        if isinstance(said, Expired):
            return found, Came(expired=True)
        assert isinstance(said, Done), "or `make_room` was called"
        return found, Came(said.value)

    async def begin(self, wait: Wait) -> Came | None:
        await trio.lowlevel.checkpoint()
        self._waits.begun[wait.step] = wait
        return None

    async def go_on(self, wait: Wait) -> Came | None:
        await trio.lowlevel.checkpoint()
        return None

    def read(self, returns: object, came: Came) -> Any:
        return came.value

    async def make_room(self, wait: Wait, why: str) -> None:
        raise ConfigurationError(
            f"{wait.path}: {why}, and waits says {shown(self._waits.before[wait.name])} of it; give Done(None), or of "
            "an event Done(value) or Expired(at)"
        )

    async def turn_down(self, wait: Wait, why: str) -> None:
        """Whatever was said fits."""
