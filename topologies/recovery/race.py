"""One race: a policy in a world under a seed, in a real tree under a clock that jumps over idle time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import trio
from attrs import define, evolve, field, frozen

from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.errors import DeliveryError
from treewarden.supervisor.core.action import Hold
from treewarden.supervisor.core.case import Case
from treewarden.supervisor.core.event import Decided, Event, OutcomeObserved
from treewarden.supervisor.core.guards import Declined, Option
from treewarden.supervisor.core.spec import Intensity

from ..chaos.determinism import ordered_by, simulated_clock
from ..child import child
from ..open import open_tree
from ..running import Tree
from ..tree import tree
from .contenders import Contender
from .incidents import Trouble, draw
from .stage import PAUSE, Fault, Poison, Spoil, Stage, Use, Worker
from .witness import Witness
from .world import DAY, World

__all__ = ["Incident", "Outcome", "Race", "run_race"]

WORKERS: Final = 6
ALIKE: Final = 3
"""How many others fail in the same way where siblings do."""
CALM: Final = 60.0
"""Seconds of life after which a worker counts as stable, under every policy that has no opinion."""
GAP: Final = 700.0
"""Seconds between the end of an incident and the next one."""
HANGS: Final = 20.0
WARNED: Final = 5.0
"""Seconds before the first failure at which a meter shows what comes, if one does."""
DEPLOYED: Final = 120.0
"""Seconds before the first failure at which the code was changed, if it was."""
VARIANTS: Final = 20
"""Earlier versions of a worker; each incident of a bad one may use up some."""
AGAIN: Final = 1.0
"""Seconds after which who was not served asks again."""
GIVEN_UP: Final = 10_000.0
LONGEST: Final = 3 * DAY
"""Seconds after which an incident that nobody can end is a fault of the race itself: all are noticed within a day, and
a person takes a day at most."""
_POISONS: Final = 3
"""At most so many poison messages come in a row, and so many bad states."""
_SPOILT: Final = 4
_WALL: Final = 1_700_000_000.0
_ROLLBACKS: Final = {"roll_back": "bad_state", "fall_back": "bad_version"}
"""What each of them is right for."""
_METERS: Final = {"memory": "memory_slope", "queue": "queue_depth"}
"""What a simulated meter reports."""
_STARTS: Final = frozenset({"throttle", "break"})
"""On a worker that has ended these start a new life too, without asking more of what is overloaded."""
_PAGES: Final = frozenset({"hold", "escalate"})


@frozen(kw_only=True)
class Incident:
    """What one incident came to, under one policy."""

    place: int
    cause: str
    down: float
    """Seconds from the first failure until the service was whole again."""
    debt: float
    """Seconds' worth of service that was missing after that, until what was outside had ended."""
    cost: float
    actions: tuple[str, ...]
    """What was done about it, in order."""
    by: str
    """What ended it."""
    pages: int
    wasted: int
    """Restarts that did not end it."""
    wrong_rollbacks: int


@frozen
class Outcome:
    """What was stated of an action, and whether it was right."""

    action: str
    stated: float
    fixed: bool


@frozen(kw_only=True)
class Race:
    """What one policy made of the incidents of one world under one seed."""

    incidents: tuple[Incident, ...]
    outcomes: tuple[Outcome, ...]
    seconds: float
    """How long it took, in the time of the world."""
    violations: int
    """Decisions that broke a hard rule."""
    latencies: tuple[float, ...] = ()
    """Seconds that each decision takes; only where that was asked for."""


@frozen
class _Pager:
    """The policy above: whatever comes up is for a person."""

    name: str = "pager"
    counts_alike: bool = True
    escalates: bool = False
    stable_after: float | None = None

    def propose(self, case: Case) -> tuple[Option, ...]:
        return (Option(Hold("the team gave up. Start it?"), "page", "nobody else is left"),)

    def declined(self, case: Case) -> tuple[Declined, ...]:
        return ()


def run_race(world: World, seed: int, contender: Contender, *, timer: Callable[[], float] | None = None) -> Race:
    """Run one race. The same arguments give the same result, but for the latencies that a `timer` measures."""
    witness = Witness(contender.make(), contender.restarts, keeps=timer is not None)
    with ordered_by(seed):
        race = trio.run(_run, world, seed, witness, clock=simulated_clock(jumps=False))
    return race if timer is None else evolve(race, latencies=tuple(witness.latencies(timer)))


async def _run(world: World, seed: int, witness: Witness) -> Race:
    stage = Stage()
    options = {"stage": stage}
    workers = [
        child(
            Worker,
            id=f"w{n}",
            args=options,
            variants={f"previous-{nth}": Worker for nth in range(VARIANTS)},
            stable_after=CALM,
            progress_within=HANGS,
            start_within=30.0,
        )
        for n in range(WORKERS)
    ]
    team = tree(*workers, id="team", policy=witness, restarts=witness.restarts)
    top = tree(team, policy=_Pager(), restarts=Intensity(1_000_000, 1.0))
    async with open_tree(top, seed=seed, wall=_wall) as running, trio.open_nursery() as nursery:
        referee = _Referee(world, stage, running, witness)
        nursery.start_soon(referee.follow)
        for n in range(WORKERS):
            for _ in range(3):
                await running.ref(f"team/w{n}").tell(Spoil(bad=False))
        for trouble in draw(world, seed):
            await referee.play(trouble)
            await trio.sleep(GAP)
        nursery.cancel_scope.cancel()
    return Race(
        incidents=tuple(referee.incidents),
        outcomes=tuple(referee.outcomes),
        seconds=trio.current_time(),
        violations=witness.violations,
    )


def _wall() -> float:
    return _WALL + trio.current_time()


@define(eq=False)
class _Referee:
    """Starts the incidents, sees what is done about them, calls the person, and keeps the score."""

    world: World
    stage: Stage
    running: Tree
    witness: Witness
    incidents: list[Incident] = field(factory=list[Incident])
    outcomes: list[Outcome] = field(factory=list[Outcome])
    _actions: list[str] = field(factory=list[str])
    _wasted: int = 0
    _wrong: int = 0
    _collateral: float = 0.0
    _pages: int = 0
    _called: bool = False
    _person: trio.Nursery | None = None

    async def follow(self) -> None:
        """Hear every committed event."""
        async with self.running.events() as records:
            async for record in records:
                self._hear(record.event)

    def _hear(self, event: Event) -> None:
        match event:
            case OutcomeObserved(outcome="fixed" | "failed" as outcome) if self._counts(event):
                self.outcomes.append(Outcome(event.action, event.confidence, outcome == "fixed"))
            case Decided():
                self._decided(event)
            case _:
                pass

    def _counts(self, event: OutcomeObserved) -> bool:
        """Whether it says something about a stated number: not where nothing was left to be fixed."""
        return event.path.name != "team" and event.kind.partition(":")[0] not in ("recovered", "operator")

    def _decided(self, event: Decided) -> None:
        down = event.path.name != "team" and self.witness.saw(event)
        fault = self.stage.fault
        if fault is None:
            return
        if event.action in _PAGES:
            if event.path.name == "team" or event.action == "hold":
                self._page(fault)
            return
        if event.path.name == "team":
            return
        self._collateral += self.world.costs.get(event.action, 0.0)
        if fault.concerns(event.path):
            ended = fault.tried(event.action, trio.current_time())
            if down and event.action in _STARTS and not ended:
                ended = fault.tried("restart", trio.current_time(), gently=True)
            self._actions.append(event.action)
            self._wasted += event.action in ("restart", "recycle") and not ended
            self._wrong += event.action in _ROLLBACKS and _ROLLBACKS[event.action] != fault.trouble.cause

    def _page(self, fault: Fault) -> None:
        if self._called or self._person is None:
            return
        self._called = True
        self._pages += 1
        self._person.start_soon(self._repair, fault)

    async def _repair(self, fault: Fault) -> None:
        await trio.sleep(fault.trouble.person)
        if not fault.over(trio.current_time()):
            fault.cleared, fault.by = True, "person"
        self._called = False
        slots = {slot.path: slot for slot in self.running.snapshot()}
        for path, slot in slots.items():
            if slot.held:
                self.running.resume(path, by="person")
            elif slot.state is SlotState.DOWN and path in fault.members and slots[path.parent].state is SlotState.UP:
                await self.running.supervisor(path.parent).restart_child(path.name)  # which its policy has stopped

    async def _notice(self, fault: Fault) -> None:
        while True:
            await trio.sleep(self.world.notices)
            self._page(fault)

    async def play(self, trouble: Trouble) -> None:
        """Begin an incident, and return when all who are in it work again."""
        here = trouble.place % WORKERS
        others = ALIKE if "siblings" in trouble.circumstances else 0
        members = tuple(f"team/w{(here + n) % WORKERS}" for n in range(others + 1))
        now = trio.current_time()
        fault = Fault(trouble, now, members, now + trouble.lasts)
        self._actions, self._collateral, self._wasted, self._wrong = [], 0.0, 0, 0
        self._pages, self._called = 0, False
        await self._prepare(fault)
        self.stage.fault = fault
        await self._announce(fault)
        fault.began = trio.current_time()
        fault.ends = fault.began + trouble.lasts
        fault.dormant = False
        with trio.fail_after(LONGEST):
            await self._last_until_over(fault, members)
        for circumstance, kind in _METERS.items():
            if circumstance in trouble.circumstances:
                self.running.recovered(members[0], kind)
        self._score(fault)
        self.stage.fault = None

    async def _last_until_over(self, fault: Fault, members: Sequence[str]) -> None:
        async with trio.open_nursery() as nursery:
            self._person = nursery
            async with trio.open_nursery() as users:
                nursery.start_soon(self._notice, fault)
                for path in reversed(members):
                    users.start_soon(self._use, path, fault)
            nursery.cancel_scope.cancel()
        self._person = None

    async def _prepare(self, fault: Fault) -> None:
        trouble, path = fault.trouble, fault.members[0]
        if trouble.cause == "bad_state":
            for _ in range(trouble.first_help("roll_back", _SPOILT)):
                await self.running.ref(path).tell(Spoil(bad=True))

    async def _announce(self, fault: Fault) -> None:
        """What can be seen before the first failure: a deploy, and what meters show."""
        path, seen = fault.members[0], fault.trouble.circumstances
        if "deployed" in seen:
            for member in fault.members:
                self.running.deployed(member, version=f"{fault.trouble.place}")
            await trio.sleep(DEPLOYED)
        for circumstance, kind in _METERS.items():
            if circumstance in seen:
                self.running.signal(path, {"kind": kind, "severity": 0.4})
        if _METERS.keys() & seen:
            await trio.sleep(WARNED)

    async def _use(self, path: str, fault: Fault) -> None:
        """Use the service until it is whole again."""
        trouble, ref = fault.trouble, self.running.ref(path)
        if path == fault.members[0]:
            if fault.members[1:]:
                await trio.sleep(0.2)  # the others fail first, as the first one's trouble is seen against theirs
            if trouble.cause == "poison_message":
                for _ in range(trouble.first_help("set_aside", _POISONS)):
                    await ref.tell(Poison())
            elif "same_message" in trouble.circumstances:
                await ref.tell(Poison())
        while True:
            try:
                good = await ref.ask(Use(), within=GIVEN_UP)
            except DeliveryError:
                await trio.sleep(AGAIN)
                continue
            if good:
                break
            await trio.sleep(PAUSE)
        if path == fault.members[0]:
            fault.recovered = trio.current_time()

    def _score(self, fault: Fault) -> None:
        assert fault.recovered is not None
        down = fault.recovered - fault.began
        missing = fault.residual * max(0.0, fault.ends - fault.recovered) if math.isfinite(fault.ends) else 0.0
        cost = down + missing + self._collateral + self._pages * self.world.costs.get("page", 0.0)
        self.incidents.append(
            Incident(
                place=fault.trouble.place,
                cause=fault.trouble.cause,
                down=down,
                debt=missing,
                cost=cost,
                actions=tuple(self._actions),
                by=fault.by or "itself",
                pages=self._pages,
                wasted=self._wasted,
                wrong_rollbacks=self._wrong,
            )
        )
