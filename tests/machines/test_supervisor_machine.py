"""A machine that does to a running tree whatever may happen to one, and looks at what must hold all the time.

Hypothesis draws a tree and then, looking at the state it has come to, one step after the other: failures, kills, calls,
starts that will fail, time that passes. The tree is a real one under a mock clock.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import trio
import trio.testing
from attrs import define, evolve, field, frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.exit import Exit, Failed, Failure, Finished, Stopped
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.errors import Ignore, Stop, SupervisionError, TreeFailed
from treewarden.supervisor.calls import SupervisorRef
from treewarden.supervisor.core.event import Decided, Event, SupervisorEnded, SupervisorStarted
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.spec import (
    BRUTAL_KILL,
    NO_BACKOFF,
    ChildSpec,
    Grace,
    Intensity,
    RestartPolicy,
    Spec,
    Strategy,
    SupervisorSpec,
)
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.journal.port import Commit
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree

IDS: Final = ("a", "b", "c", "d")
STEPS: Final = 12


# -- what lives in the trees


@define(eq=False)
class World:
    """What the agents of one run have to say."""

    living: dict[Path, int] = field(factory=dict[Path, int])
    """How many lives each slot has at this moment."""
    next_starts: dict[Path, list[str]] = field(factory=dict[Path, list[str]])
    """What the next starts come to: fail, ignore; then they work."""
    stops: list[Path] = field(factory=list[Path])
    """Who was asked to stop, in this order, since the list was emptied."""
    seen: list[tuple[float, Event]] = field(factory=list[tuple[float, Event]])
    """Events with the time in the loop."""
    taken: int = 0

    def take_events(self) -> list[Event]:
        """Those that are new since the last time."""
        new = [event for _, event in self.seen[self.taken :]]
        self.taken = len(self.seen)
        return new


@frozen
class Do:
    exit: Exit


class Mortal(Agent[None]):
    """Ends as it is told; stops slowly if it is told so."""

    def __init__(self, world: World, takes: float) -> None:
        self.world = world
        self.takes = takes

    async def on_start(self) -> None:
        ahead = self.world.next_starts.get(self.path)
        match ahead.pop(0) if ahead else "well":
            case "fail":
                raise OSError("no")
            case "ignore":
                raise Ignore
            case _:
                pass

    async def run(self) -> None:
        self.world.living[self.path] = self.world.living.get(self.path, 0) + 1
        assert self.world.living[self.path] == 1, f"{self.path} lives twice"
        try:
            await trio.sleep_forever()
        finally:
            self.world.living[self.path] -= 1

    async def on_stop(self, exit: Exit) -> None:
        if isinstance(exit, Stopped) and exit.reason == "shutdown":
            self.world.stops.append(self.path)
            await trio.sleep(self.takes)

    @handles
    def do(self, message: Do) -> None:
        match message.exit:
            case Failed(failure):
                raise RuntimeError(failure.text)
            case Finished():
                raise Stop
            case Stopped(reason):
                raise Stop(reason)


class Watched(MemoryJournal):
    """A journal in memory that shows each event with its time."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    def submit(self, commit: Commit, then: Callable[[BaseException | None], None]) -> None:
        self.world.seen.extend((trio.current_time(), event) for _, event in commit.events)
        super().submit(commit, then)


# -- trees

ENDS: Final = (
    Finished(),
    Stopped("shutdown"),
    Stopped("enough"),
    Failed(Failure("Test", "crash")),
    Failed(Failure("Test", "another")),
)
intensities = st.builds(Intensity, max_restarts=st.integers(0, 3), within=st.sampled_from((1.0, 5.0, 60.0)))
shutdowns = st.sampled_from((BRUTAL_KILL, Grace(0.0), Grace(1.0), Grace(5.0)))
policies = st.sampled_from(RestartPolicy)


@st.composite
def workers(draw: st.DrawFn, id: str) -> ChildSpec:
    return ChildSpec(
        id=id,
        agent=Mortal,
        args={"world": None, "takes": draw(st.sampled_from((0.0, 0.0, 0.5, 3.0)))},
        restart=draw(policies),
        shutdown=draw(shutdowns),
        mailbox=MailboxSpec(durability=VOLATILE),
        backoff=NO_BACKOFF,
    )


@st.composite
def supervisors(draw: st.DrawFn, id: str, depth: int = 2) -> SupervisorSpec:
    ids = draw(st.lists(st.sampled_from(IDS), unique=True, max_size=len(IDS)))
    strategy = draw(st.sampled_from(Strategy))
    if strategy is Strategy.DYNAMIC:
        ids = ["template"]
    return SupervisorSpec(
        id=id,
        children=tuple(draw(_children(each, depth)) for each in ids),
        strategy=strategy,
        restarts=draw(intensities),
        restart=draw(policies),
        shutdown=draw(st.one_of(st.just(Grace(math.inf)), shutdowns)),
    )


def _children(id: str, depth: int) -> st.SearchStrategy[Spec]:
    if depth == 0:
        return workers(id)
    return st.one_of(workers(id), workers(id), supervisors(id, depth - 1))


def in_world(spec: Spec, world: World) -> Any:
    """The spec with its agents in this world."""
    if isinstance(spec, SupervisorSpec):
        return evolve(spec, children=tuple(in_world(child, world) for child in spec.children))
    return evolve(spec, args={**spec.args, "world": world})


# -- the machine


@define(eq=False)
class Machine:
    """Draws steps and takes them."""

    draw: Callable[[st.SearchStrategy[Any]], Any]
    tree: Tree
    world: World
    specs: dict[Path, SupervisorSpec]
    """The supervisors by path, as far as their specs stand in the blueprint or were given in a call."""

    def choose(self, among: list[Any]) -> Any:
        return self.draw(st.sampled_from(among))

    def slots(self, *, supervisor: bool) -> list[Path]:
        return [slot.path for slot in self.tree.snapshot() if slot.supervisor is supervisor]

    def spec_of(self, path: Path) -> SupervisorSpec:
        """The spec of a supervisor; that of a dynamic child, or below one, is the template's."""
        if path in self.specs:
            return self.specs[path]
        above = self.spec_of(path.parent)
        id = "template" if above.strategy is Strategy.DYNAMIC else path.name
        found = next(child for child in above.children if child.id == id)
        assert isinstance(found, SupervisorSpec)
        return found

    def some_supervisor(self) -> tuple[SupervisorRef, bool]:
        """One, and whether it is dynamic."""
        path = self.choose([ROOT, *self.slots(supervisor=True)])
        return self.tree.supervisor(path), self.spec_of(path).strategy is Strategy.DYNAMIC

    async def step(self) -> None:
        steps: dict[str, Callable[[], Awaitable[None]]] = {
            "end": self.end,
            "kill": self.kill,
            "start": self.start,
            "terminate": self.terminate,
            "restart": self.restart,
            "delete": self.delete,
            "stop a supervisor": self.stop_supervisor,
            "end several": self.end_several,
            "trouble ahead": self.trouble,
            "time": self.time,
        }
        await steps[self.choose(sorted(steps))]()

    def forget_what_has_ended(self) -> None:
        """A supervisor that has ended does not remember whom it was given in calls."""
        for event in self.world.take_events():
            if isinstance(event, SupervisorEnded):
                below = [path for path in self.specs if path != event.path and path.is_within(event.path)]
                for path in below:
                    del self.specs[path]

    async def end(self) -> None:
        living = [path for path, lives in self.world.living.items() if lives]
        if living:
            await self._end(self.choose(sorted(living)))

    async def _end(self, path: Path) -> None:
        await self.tree.ref(path).tell(Do(self.choose(list(ENDS))))

    async def end_several(self) -> None:
        ref, _ = self.some_supervisor()
        async with ref.suspended():
            for child in await self._children_of(ref.path):
                if self.world.living.get(child) and self.draw(st.booleans()):
                    await self._end(child)
                    await trio.testing.wait_all_tasks_blocked()

    async def _children_of(self, path: Path) -> list[Path]:
        return [slot.path for slot in self.tree.snapshot() if slot.path.parent == path]

    async def kill(self) -> None:
        paths = [*self.slots(supervisor=False), *self.slots(supervisor=True)]
        if paths:
            self.tree.kill(self.choose(paths))

    async def start(self) -> None:
        ref, is_dynamic = self.some_supervisor()
        id = self.choose(list(IDS))
        if is_dynamic:
            await ref.start_dynamic(id=id)
            return
        spec = in_world(self.draw(_children(id, 1)), self.world)
        await ref.start_child(spec)
        if isinstance(spec, SupervisorSpec):
            self.specs[ref.path / id] = spec

    async def terminate(self) -> None:
        ref, is_dynamic = self.some_supervisor()
        id = self.choose(list(IDS))
        await (ref.terminate_dynamic(id) if is_dynamic else ref.terminate_child(id))

    async def restart(self) -> None:
        ref, _ = self.some_supervisor()
        await ref.restart_child(self.choose(list(IDS)))

    async def delete(self) -> None:
        ref, _ = self.some_supervisor()
        id = self.choose(list(IDS))
        await ref.delete_child(id)
        self.specs.pop(ref.path / id, None)

    async def stop_supervisor(self) -> None:
        below = self.slots(supervisor=True)
        if below:
            await self.tree.supervisor(self.choose(below)).stop(self.choose(list(ENDS)))

    async def trouble(self) -> None:
        paths = self.slots(supervisor=False)
        if paths:
            trouble = self.draw(st.lists(st.sampled_from(("fail", "ignore")), min_size=1, max_size=3))
            self.world.next_starts[self.choose(paths)] = trouble

    async def time(self) -> None:
        await trio.sleep(self.choose([0.5, 2.0, 6.0, 61.0]))


# -- what must hold


def check_states(tree: Tree, world: World) -> None:
    """The tree and its agents agree about who lives."""
    for slot in tree.snapshot():
        if not slot.supervisor:
            assert bool(world.living.get(slot.path)) is (slot.state is SlotState.UP), slot


def check_intensity(world: World, limit_of: Callable[[Path], Intensity]) -> None:
    """No supervisor has made more restarts within its window than it may."""
    made: dict[Path, list[float]] = {}
    for at, event in world.seen:
        if isinstance(event, (SupervisorStarted, SupervisorEnded)):
            made.pop(event.path, None)  # a new incarnation remembers nothing
        elif isinstance(event, Decided) and event.action == "restart":
            above = event.path.parent
            times = made.setdefault(above, [])
            times.append(at)
            limit = limit_of(above)
            assert sum(at - each <= limit.within for each in times) <= limit.max_restarts, (event, times)


def check_stop_order(order: list[Path], before: list[Path]) -> None:
    """Who was asked to stop was asked in the reverse of the start order: siblings, and what is below them."""
    places = {path: place for place, path in enumerate(before)}
    asked = [places[path] for path in order if path in places]
    assert asked == sorted(asked, reverse=True), (order, before)


async def play(blueprint: SupervisorSpec, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
    """Run the tree and the steps that are drawn; everything that must hold is looked at after each."""
    world = World()
    still: list[Path] = []
    try:
        async with open_tree(in_world(blueprint, world), journal=Watched(world), seed=0, wall=lambda: 0.0) as tree:
            machine = Machine(draw, tree, world, {ROOT: blueprint})
            check_states(tree, world)
            for _ in range(draw(st.integers(0, STEPS))):
                with suppress(SupervisionError):
                    await machine.step()
                await trio.sleep(10)
                machine.forget_what_has_ended()
                check_states(tree, world)
                check_intensity(world, lambda path: machine.spec_of(path).restarts)
            world.stops.clear()
            still = [
                slot.path
                for slot in tree.snapshot()
                if world.living.get(slot.path) and not _is_below_dynamic(machine, slot.path)
            ]
    except* TreeFailed:
        still = []
    check_stop_order(world.stops, still)
    assert not any(world.living.values())
    assert trio.lowlevel.current_statistics().tasks_living <= _TASKS_OF_TRIO


_TASKS_OF_TRIO: Final = 3  # the main task, and trio's own two


def _is_below_dynamic(machine: Machine, path: Path) -> bool:
    while path != ROOT:
        path = path.parent
        if machine.spec_of(path).strategy is Strategy.DYNAMIC:
            return True
    return False


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(supervisors("tree"), st.data())
def test_whatever_happens_to_a_tree(blueprint: SupervisorSpec, data: st.DataObject) -> None:
    async def main() -> None:
        await play(evolve(blueprint, policy=otp()), data.draw)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
