"""One run of a test in one world, from its seed to what came of it."""

from __future__ import annotations

import logging
import random
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Final, TypeAlias

import trio
from attrs import evolve, field, frozen

from treewarden.agents.core.exit import alone
from treewarden.agents.core.path import Path
from treewarden.supervisor.core.event import Decided, Event, IncidentOpened, OutcomeObserved

from ..collector import collecting_rarely
from ..core.faults import Fault, Injection, plan
from .determinism import Workers, lean_instruments, ordered_by, simulated_clock
from .escapes import escapes_told
from .promises import after_the_end
from .readings import readings_told
from .trace import Mark, Trace, Yields
from .world import AS_IT_IS, Arm, Breach, World

__all__ = ["Body", "Run", "Setting", "run_world"]

Body: TypeAlias = "Callable[[World], Awaitable[object]]"
"""A test: it starts a tree in the world that it is given, drives it, and says what must hold."""

_MOST_RECORDS: Final = 3_000_000
_LONGEST: Final = 3600.0
"""Seconds of its own time that a run has after its faults: by then it has ended, or hangs."""
_TOLD: Final = (IncidentOpened, Decided, OutcomeObserved)


@frozen(kw_only=True)
class Setting:
    """What a test is run under, besides its seed."""

    faults: tuple[Fault, ...] = ()
    within: float = 30.0
    """Seconds in which faults come; then it is quiet."""


@frozen(kw_only=True)
class Run:
    """What came of one seed."""

    seed: int
    injections: tuple[Injection, ...]
    scale: float
    within: float
    digest: str
    """The hash of the trace: the same for the same seed, code and schema."""
    records: int
    seconds: float
    """Of the world's time."""
    failures: tuple[str, ...] = ()
    escapes: tuple[str, ...] = ()
    """What the seed does not cover, and this run used."""
    readings: tuple[str, ...] = ()
    """Clocks and unseeded chance that a watchful run has read: its trace may hang on them."""
    reached: Mapping[str, bool] = field(factory=dict[str, bool])
    points: Mapping[str, int] = field(factory=dict[str, int])
    faults: Mapping[str, int] = field(factory=dict[str, int])
    marks: tuple[Mark, ...] = ()
    last: tuple[str, ...] = ()
    """The last records of the trace."""
    facts: tuple[tuple[float, Event], ...] = field(default=(), eq=False, repr=False)
    """What incidents are told by, with the world's time."""
    details: str = ""
    """The traceback of what the test raised."""

    @property
    def failed(self) -> bool:
        return bool(self.failures)

    @property
    def replayable(self) -> bool:
        return not self.escapes


def run_world(
    body: Body,
    seed: int,
    setting: Setting,
    *,
    injections: Sequence[Injection] | None = None,
    scale: float = 1.0,
    arm: Arm = AS_IT_IS,
    watchful: bool = False,
) -> Run:
    """Run `body` in the world of `seed`; `injections` in the place of those that the seed would plan.

    `arm` makes another tree of the one that the test starts. A `watchful` run is slower, comes to the same, and tells
    of clocks and unseeded chance too, wherever they are read.

    Starts a loop of its own: not to be called inside of one. What the test raises is its failure, and is not raised;
    KeyboardInterrupt and SystemExit are.
    """
    trace = Trace(most=_MOST_RECORDS)
    escapes: dict[str, None] = {}
    readings: dict[str, None] = {}
    workers = Workers()
    planned = plan(setting.faults, seed, setting.within) if injections is None else tuple(injections)
    inside = _Inside(body, seed, planned, setting.within, scale, trace, arm)
    trace.too_long = inside.too_long
    state = random.getstate()
    random.seed(seed)
    log = logging.getLogger("treewarden")
    muted, log.disabled = log.disabled, True  # what it would say is in the trace
    try:
        with (
            escapes_told(lambda sentence: escapes.update({sentence: None}), workers),
            ordered_by(seed, trace.steps),
            collecting_rarely(),
            readings_told(lambda sentence: readings.update({sentence: None})) if watchful else nullcontext(),
        ):
            trio.run(
                inside.main,
                clock=simulated_clock(workers),
                instruments=[Yields(inside.gave_way)] if any(map(_is_at_a_yield, planned)) else [],
            )
    except Exception as error:
        inside.raised(error)
    finally:
        log.disabled = muted
        random.setstate(state)
    return evolve(
        inside.run,
        digest=trace.digest(),
        records=trace.records,
        last=trace.last,
        escapes=tuple(escapes),
        readings=tuple(readings),
    )


def _is_at_a_yield(injection: Injection) -> bool:
    return injection.trigger is not None and injection.trigger.point == "yield"


class _Inside:
    """The run as seen from within its loop."""

    def __init__(
        self,
        body: Body,
        seed: int,
        injections: tuple[Injection, ...],
        within: float,
        scale: float,
        trace: Trace,
        arm: Arm,
    ) -> None:
        self._body = body
        self._arm = arm
        self._trace = trace
        self._world: World | None = None
        self.run = Run(seed=seed, injections=injections, scale=scale, within=within, digest="", records=0, seconds=0.0)

    async def main(self) -> None:
        lean_instruments()
        before = trio.lowlevel.current_statistics().tasks_living
        try:
            async with trio.open_nursery() as nursery:
                world = self._world = World(
                    self.run.seed, self.run.injections, self.run.within, self.run.scale, self._trace, nursery,
                    arm=self._arm,
                )  # fmt: skip
                longest = self.run.within + _LONGEST
                with trio.move_on_after(longest) as limit, world.scope:
                    await self._body(world)
                    await world.calm()
                    await world.stop()
                    world.look()
                    nursery.cancel_scope.cancel()
                if limit.cancelled_caught:
                    world.fail("the run ends", f"not within {longest:g} s of its own time")
                nursery.cancel_scope.cancel()
        except Exception as error:
            self.raised(error)
        if self._world is not None:
            self._end(self._world, before)

    def _end(self, world: World, before: int) -> None:
        orderly = not world.breaches and not self.run.failures
        left = trio.lowlevel.current_statistics().tasks_living - before
        found = after_the_end(world, left) if orderly else []
        breaches = [*world.breaches, *(Breach(name, text, trio.current_time()) for name, text in found)]
        self.run = evolve(
            self.run,
            seconds=trio.current_time(),
            failures=(*self.run.failures, *map(str, breaches)),
            reached=dict(world.reached),
            points={**world.points, "yield": self._trace.yields},
            faults=dict(world.faults),
            marks=tuple(self._trace.marks),
            facts=tuple(each for each in world.history.events if isinstance(each[1], _TOLD)),
        )
        world.disk.close()

    def raised(self, error: Exception) -> None:
        """The test, or the tree under it, has raised."""
        cause = alone(error)
        text = f"{type(cause).__name__}: {cause}".strip().removesuffix(":")
        details = "".join(traceback.format_exception(cause))
        self.run = evolve(self.run, failures=(*self.run.failures, text), details=details)

    def gave_way(self, path: Path) -> None:
        """An incarnation has given way, and something is to strike at one of these places."""
        if self._world is not None:
            self._world.gave_way(path)

    def too_long(self) -> None:
        """There are more records than a run that ends has."""
        if self._world is not None:
            self._world.fail("the run ends", f"not within {_MOST_RECORDS} records")
