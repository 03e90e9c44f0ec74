"""Ways to break a user's handlers on purpose, and whether the user's own chaos test notices.

Each takes one thing out that people forget. They are laid over the classes of a blueprint, or over what reaches the
outside; no code is edited, and nothing of it outlives the run.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import wraps
from typing import Any, Final, TypeAlias, cast

import trio
from attrs import define, evolve, field, frozen

from treewarden.agents.agent import Agent, is_agent_class
from treewarden.supervisor.core.spec import Spec, SupervisorSpec

from ..core.blueprint import Blueprint
from .run import Body, Setting, run_world
from .world import Arm, World

__all__ = ["HANDLER_MUTANTS", "QUICK", "WHOLE", "HandlerMutant", "Score", "sabotage_handlers"]

Rest: TypeAlias = Callable[[], Awaitable[Any]]
Around: TypeAlias = "Callable[[HandlerMutant, Agent[Any], Rest], Awaitable[Any]]"

QUICK: Final = ("tree/one_for_all/message",)
"""treewarden's own trees whose handlers are broken where time is short."""
WHOLE: Final = ("tree/one_for_one/message", "nested/message", "pool/round_robin/message", "pipeline/message", *QUICK)
_EVERY: Final = 3
"""What is done to one message of several is done to each third."""


@frozen
class Score:
    """What was noticed of what was broken."""

    caught: int = 0
    of: int = 0
    clean: bool = True
    """Nothing was noticed where nothing was broken."""

    @property
    def good(self) -> bool:
        return self.clean and self.caught == self.of

    def __add__(self, other: Score) -> Score:
        return Score(self.caught + other.caught, self.of + other.of, self.clean and other.clean)


@define(eq=False)
class HandlerMutant:
    """One way, in one run after the other."""

    name: str
    sentence: str
    around: Around | None = None
    """Runs a handler, or does something else."""
    spoil: Callable[[HandlerMutant, bool], bool | None] | None = None
    """What becomes of an effect (see `Outside.spoil`)."""
    silent: bool = False
    """What agents tell does not leave them."""
    chances: int = 0
    applied: int = 0
    """How often it has changed anything."""
    _made: dict[Any, Any] = field(factory=dict[Any, Any])

    @property
    def arm(self) -> Arm:
        return Arm(self._change, begin=self._begin)

    def _begin(self, world: World) -> None:
        spoil = self.spoil
        if spoil is not None:
            world.outside.spoil = lambda declared: spoil(self, declared)

    def its_turn(self) -> bool:
        """Whether this is one of those that something is done to."""
        self.chances += 1
        hit = self.chances % _EVERY == 0
        self.applied += hit
        return hit

    def _change(self, blueprint: Blueprint) -> Blueprint:
        changed = self._spec(blueprint)
        assert isinstance(changed, SupervisorSpec)
        return changed

    def _spec(self, spec: Spec) -> Spec:
        if isinstance(spec, SupervisorSpec):
            return evolve(spec, children=tuple(self._spec(child) for child in spec.children))
        if spec.agent not in self._made:
            self._made[spec.agent] = self._class(spec.agent) if is_agent_class(spec.agent) else self._maker(spec.agent)
        return evolve(spec, agent=self._made[spec.agent])

    def _maker(self, make: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(make)
        def made(*args: Any, **kwargs: Any) -> Any:
            agent = make(*args, **kwargs)
            agent.__class__ = self._class(cast("type[Agent[Any]]", type(agent)))
            return agent

        return made

    def _class(self, agent: type[Agent[Any]]) -> type[Agent[Any]]:
        body: dict[str, Any] = {"__module__": agent.__module__, "__qualname__": agent.__qualname__}
        changed = type(agent.__name__, (agent,), body)
        if self.silent:  # afterwards: a class that is defined with a name that every agent has is refused

            def deaf(this: Agent[Any], path: str) -> Any:
                return _Deaf(agent.ref(this, path), self)

            cast("Any", changed).ref = deaf
        if self.around is not None:
            changed.handlers = {kind: self._handler(each) for kind, each in agent.handlers.items()}
            changed.plain = {}
        return changed

    def _handler(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        around = self.around
        assert around is not None

        @wraps(handler)
        async def changed(agent: Agent[Any], message: Any) -> Any:
            async def rest() -> Any:
                result: Any = handler(agent, message)
                return await cast("Coroutine[Any, Any, Any]", result) if isinstance(result, Coroutine) else result

            return await around(self, agent, rest)

        return changed


class _Deaf:
    """A ref through which nothing is told."""

    def __init__(self, ref: Any, mutant: HandlerMutant) -> None:
        self._ref = ref
        self._mutant = mutant

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ref, name)

    async def tell(self, message: Any, **options: Any) -> None:
        if not self._mutant.its_turn():
            await self._ref.tell(message, **options)


async def _swallow(mutant: HandlerMutant, agent: Agent[Any], rest: Rest) -> Any:
    try:
        return await rest()
    except Exception:  # which is the point of it
        mutant.applied += 1
        return None


async def _drop(mutant: HandlerMutant, agent: Agent[Any], rest: Rest) -> Any:
    return None if mutant.its_turn() else await rest()


async def _twice(mutant: HandlerMutant, agent: Agent[Any], rest: Rest) -> Any:
    if mutant.its_turn():
        await rest()
    return await rest()


async def _forget_state(mutant: HandlerMutant, agent: Agent[Any], rest: Rest) -> Any:
    before = agent.state
    result = await rest()
    if agent.state is not before and mutant.its_turn():
        agent.state = before
    return result


async def _too_early(mutant: HandlerMutant, agent: Agent[Any], rest: Rest) -> Any:
    mutant.applied += 1
    agent.start_soon(rest)


async def _late(mutant: HandlerMutant, agent: Agent[Any], rest: Rest) -> Any:
    held: Rest | None = agent.__dict__.pop("_held_back", None)
    if held is None and mutant.its_turn():
        agent.__dict__["_held_back"] = rest
        return None
    result = await rest()
    if held is not None:
        await held()
    return result


async def _deaf(mutant: HandlerMutant, agent: Agent[Any], rest: Rest) -> Any:
    began = trio.current_time()
    try:
        with trio.CancelScope(shield=True, deadline=began + 1800.0):
            return await rest()
    finally:  # one that would have been done in the next moment anyway has kept nobody waiting
        cancelled = trio.current_effective_deadline() == -math.inf
        mutant.applied += cancelled and trio.current_time() - began > 1.0


def _undeclared(mutant: HandlerMutant, declared: bool) -> bool | None:
    mutant.applied += declared
    return False


def _not_done(mutant: HandlerMutant, declared: bool) -> bool | None:
    return None if mutant.its_turn() else declared


def _all() -> tuple[HandlerMutant, ...]:
    return (
        HandlerMutant("swallow_an_exception", "A handler returns where it should have raised.", _swallow),
        HandlerMutant("drop_a_message", "Each third message is acknowledged and not handled.", _drop),
        HandlerMutant("handle_twice", "Each third message is handled twice.", _twice),
        HandlerMutant("forget_the_state", "Each third change of the state is dropped.", _forget_state),
        HandlerMutant("acknowledge_before_work", "A handler returns, and does its work afterwards.", _too_early),
        HandlerMutant("change_the_order", "Each third message is handled behind the next one.", _late),
        HandlerMutant("ignore_cancellation", "A handler that is cancelled goes on, for half an hour.", _deaf),
        HandlerMutant("skip_a_declaration", "No effect is declared idempotent.", spoil=_undeclared),
        HandlerMutant("skip_an_effect", "Each third effect is left out.", spoil=_not_done),
        HandlerMutant("keep_to_itself", "Each third message that a handler tells is not told.", silent=True),
    )


HANDLER_MUTANTS: Final[Mapping[str, HandlerMutant]] = {mutant.name: mutant for mutant in _all()}


def sabotage_handlers(body: Body, setting: Setting, most: int, say: Callable[[str], None], *, name: str) -> Score:
    """Whether the test `body` notices each of them within `most` seeds, and nothing where nothing is broken.

    One that never comes into play, because no handler does what it takes away, is told of and does not count.
    """
    failed = next((seed for seed in range(1, most + 1) if run_world(body, seed, setting).failed), None)
    if failed is not None:
        say(f"{name}: it fails as it is, with seed {failed}: mend that first")
        return Score(0, len(HANDLER_MUTANTS), clean=False)
    caught = idle = 0
    mutants = _all()
    for mutant in mutants:
        hit = any(run_world(body, seed, setting, arm=mutant.arm).failed for seed in range(1, most + 1))
        caught += hit
        idle += not hit and not mutant.applied
        word = "caught" if hit else "MISSED" if mutant.applied else "idle  "
        say(f"  {word}  {mutant.name}: {mutant.sentence}")
    left_out = f", {idle} never came into play" if idle else ""
    say(f"{name}: {caught} of {len(mutants) - idle} caught{left_out}")
    return Score(caught, len(mutants) - idle)
