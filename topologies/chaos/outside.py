"""What a tree reaches in a world: effects that are counted, and dependencies that can fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

import trio
from attrs import define, field, frozen

from treewarden.agents.core.path import Path
from treewarden.agents.slot import current_turn

from ..core.faults import Knob
from .determinism import sleep
from .gate import Gate
from .model import Model
from .refused import Refused, Response

__all__ = ["Effect", "Outside", "Refused", "Response", "Service"]

_GARBAGE: Final = "\x00{]not what was asked for"


@frozen
class Effect:
    """Something that was done to the outside and cannot be taken back."""

    key: str
    by: Path | None
    at: float
    idempotent: bool
    """The outside knows the key: doing it again does nothing."""


@define(eq=False)
class Outside:
    """Made by the world, given to agents as an argument. Only the living process reaches it."""

    gate: Gate
    now: Callable[[], float]
    point: Callable[[str], None]
    """Told of each boundary of an effect, before and after it."""
    is_alive: Callable[[], bool]
    """Whether the calling task belongs to the process that lives."""
    latency: float = 0.01
    """Seconds that each effect and call takes."""
    spoil: Callable[[bool], bool | None] | None = None
    """Says of each effect whether it is declared idempotent after all; None: it is left out."""
    effects: list[Effect] = field(factory=list[Effect])
    repeated: dict[str, int] = field(factory=dict[str, int])
    """Keys that the outside does not know as such, and under which something was done more than once: how often."""
    calls: Counter[str] = field(factory=Counter[str])
    """Calls of each service, refused ones too."""
    _times: Counter[str] = field(factory=Counter[str])
    _unkeyed: Counter[str] = field(factory=Counter[str])

    async def effect(self, key: str, *, idempotent: bool = False) -> None:
        """Do something once for each call, and count it. A crash may come before it, and after it.

        Cancelled before it is done: it was not. With `idempotent` the outside refuses to do one key twice.
        """
        if self.spoil is not None:
            spoilt = self.spoil(idempotent)
            if spoilt is None:
                return
            idempotent = spoilt
        await sleep(self.latency / 2)
        await self._pass("effect")
        if not (idempotent and self.times(key)):
            turn = current_turn.get()
            self._done(Effect(key, turn.path if turn is not None else None, self.now(), idempotent))
        await self._pass("effect")
        await sleep(self.latency / 2)

    def _done(self, effect: Effect) -> None:
        self.effects.append(effect)
        self._times[effect.key] += 1
        if not effect.idempotent:
            self._unkeyed[effect.key] += 1
            if self._unkeyed[effect.key] > 1:
                self.repeated[effect.key] = self._unkeyed[effect.key]

    def times(self, key: str) -> int:
        """How often it was done."""
        return self._times[key]

    def service(self, name: str) -> Service:
        """A dependency under this name, which faults may hit."""
        return Service(self, name)

    def model(self, name: str, *, window: int = 8_000) -> Model:
        """A dependency under this name with a window of so many tokens; make it once, for all agents that ask it."""
        return Model(self, name, window)

    async def _pass(self, point: str) -> None:
        """A boundary; whoever dies there does not come back from it."""
        self.point(point)
        if not self.is_alive():
            await trio.sleep_forever()


@frozen(eq=False)
class Service:
    """One dependency, behind a network that a seed decides about."""

    outside: Outside
    name: str

    async def call(self, answer: Any = None) -> Any:
        """Ask it: returns `answer` after its latency. Raises `ConnectionError` while it is down, `Refused` with a
        `response` for 429 and 5xx; while it is malformed it returns garbage."""
        self.outside.calls[self.name] += 1
        await sleep(self.outside.latency)
        for kind in ("dependency_slow", "dependency_down", "rate_limited", "server_error", "malformed"):
            knobs = self.outside.gate.take(kind, self.name)
            if knobs is not None:
                result = await self._suffer(kind, knobs)
                if result is not None:
                    return result
        return answer

    async def stream(self, *parts: Any) -> AsyncIterator[Any]:
        """Ask it for something that comes in parts. Raises `ConnectionError` where the stream is cut."""
        for place, part in enumerate(parts):
            await sleep(self.outside.latency)
            if self.outside.gate.take("stream_cut", self.name) is not None:
                raise ConnectionResetError(f"{self.name}: the stream was cut after {place} of {len(parts)} parts")
            yield part

    async def _suffer(self, kind: str, knobs: Mapping[str, Knob]) -> str | None:
        match kind:
            case "dependency_slow":
                await sleep(float(knobs["seconds"]))
            case "dependency_down":
                raise ConnectionRefusedError(f"{self.name} is down")
            case "rate_limited":
                after = knobs["retry_after"]
                raise Refused(f"{self.name}: 429", Response(429, {"Retry-After": str(after)}))
            case "server_error":
                raise Refused(f"{self.name}: {knobs['status']}", Response(int(knobs["status"])))
            case _:
                return _GARBAGE
        return None
