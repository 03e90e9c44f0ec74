"""A world: the real tree and the real journal, and around them an outside that a seed decides about."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Final, TypeAlias, TypeVar, cast

import trio
from attrs import define, field, frozen

from treewarden.agents.core.message import Request
from treewarden.agents.core.path import Path
from treewarden.agents.errors import CommitFailed, TreewardenError
from treewarden.supervisor.core.event import ChildStarted, DeadLettered, Decided
from treewarden.supervisor.journal.port import Commit

from ..core.blueprint import Blueprint
from ..core.draws import Draws
from ..core.faults import Injection, matches
from ..running import Tree
from .determinism import sleep_until
from .disk import Disk
from .gate import Gate
from .history import History
from .injecting import inject, kill_deciding
from .instrumented import the_gate
from .lost import Lost
from .outside import Outside
from .process import Process, current_process
from .trace import Mark, Trace, records_of

__all__ = ["AS_IT_IS", "Arm", "Breach", "Check", "World"]

R = TypeVar("R")

START: Final = 1_800_000_000.0
"""Wall seconds at which every world begins."""
_ANSWER: Final = 5.0
"""Seconds that a look which asks may take beyond the time of `eventually`: as long as an ask by default."""
_POLL: Final = 0.25
"""Seconds between two looks of `eventually`, besides one at each commit."""

Check: TypeAlias = Callable[["World"], object]
"""Looks at a world: a text, or False, says what is wrong; anything else that all is well. `eventually` takes an async
one, too."""


@frozen
class Breach:
    """Something that should hold and did not."""

    name: str
    text: str
    at: float

    def __str__(self) -> str:
        return f"{self.name}: {self.text}" if self.text else self.name


@frozen
class Arm:
    """What a test is run with in the place of the tree that it starts."""

    change: Callable[[Blueprint], Blueprint]
    forgets: bool = False
    """Nothing that a process wrote outlives it, and the faults of a disk do not touch it."""
    begin: Callable[[World], object] = lambda world: None
    """Called with the world before the test."""


AS_IT_IS: Final = Arm(lambda blueprint: blueprint)


@define(eq=False)
class World:
    """One run. Made by the kit, used by the test: it starts a tree, drives it, and says what must hold."""

    seed: int
    injections: Sequence[Injection]
    within: float
    """Seconds after the tree has begun in which faults come; then it is quiet."""
    scale: float
    """The share of its work that a run has left after it was shrunk; see `some`."""
    trace: Trace
    nursery: trio.Nursery
    arm: Arm = field(factory=lambda: AS_IT_IS)
    scope: trio.CancelScope = field(factory=trio.CancelScope)
    history: History = field(factory=History)
    breaches: list[Breach] = field(factory=list[Breach])
    reached: dict[str, bool] = field(factory=dict[str, bool])
    """What `sometimes` was told, by name."""
    points: Counter[str] = field(factory=Counter[str])
    """Places at which a crash may come, passed so far."""
    faults: Counter[str] = field(factory=Counter[str])
    """Faults that have struck, by kind."""
    memory: dict[str, float] = field(factory=dict[str, float])
    """MiB that the slots use that leak, at the last look."""
    wall_offset: float = 0.0
    wall_rate: float = 1.0
    quiet: trio.Event = field(factory=trio.Event)
    """Set when the faults are over."""
    may_give_up: bool = False
    """The tree may come to its end by itself, as one whose limits are tested does."""
    _checks: list[tuple[str, Check]] = field(factory=list[tuple[str, Check]])
    _process: Process | None = None
    gate: Gate = field(init=False)
    disk: Disk = field(init=False)
    outside: Outside = field(init=False)
    draws: Draws = field(init=False)
    _triggers: dict[tuple[str, int], Injection] = field(init=False)
    _told: trio.Event = field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        self.gate = Gate(trio.current_time, self.struck, self._kill_deciding, begun=self.trace.add)
        the_gate.set(self.gate)
        self.disk = Disk(self._commit, lambda: self.gate.waits("torn_write", "disk"))
        self.outside = Outside(self.gate, trio.current_time, self.point, self._is_alive)
        self.draws = Draws(self.seed, "workload")
        self.arm.begin(self)
        self._triggers = {
            (each.trigger.point, each.trigger.n): each for each in self.injections if each.trigger is not None
        }

    # -- the tree

    async def start(self, blueprint: Blueprint) -> Tree:
        """Open the tree, and let the faults come. Returns when every child has begun.

        A process that dies is followed by another one, on the same disk.
        """
        self._process = Process(self, self.arm.change(blueprint))
        self.nursery.start_soon(self._process.live, name="process")
        tree = await self._process.wait_up()
        self.nursery.start_soon(self._inject, name="faults")
        return tree

    @property
    def begun(self) -> bool:
        """Whether it has a tree by now."""
        return self._process is not None

    @property
    def process(self) -> Process:
        """The process of the tree, over all of its lives. Raises `LookupError` before `start`."""
        if self._process is None:
            raise LookupError("the world has no tree yet: await world.start(blueprint)")
        return self._process

    @property
    def tree(self) -> Tree:
        """The tree as it runs now. Raises `Lost` while its process is down."""
        tree = self.process.tree
        if tree is None:
            raise Lost("the process is down")
        return tree

    async def tell(self, path: str, message: object, *, within: float = 30.0) -> bool:
        """Tell from outside, waiting for a process that is down. Whether it was acknowledged; if not, it may have
        arrived all the same."""
        try:
            await self.process.serve(lambda tree: tree.ref(path).tell(message, within=within))
        except (TreewardenError, Lost) as error:
            self.note(f"tell to {path} failed: {type(error).__name__}")
            return False
        return True

    async def ask(self, path: str, message: Request[R], *, within: float = 5.0) -> R:
        """Ask from outside, waiting for a process that is down. Raises `Lost` if that dies, and what `Ref.ask` does."""
        return await self.process.serve(lambda tree: tree.ref(path).ask(message, within=within))

    async def calm(self) -> None:
        """Wait until the faults are over and the process is up."""
        if self._process is not None:
            await self.quiet.wait()
            if not (self.may_give_up and self.process.failed):
                await self.process.wait_up()

    async def stop(self) -> None:
        """Stop the tree in order, for good. Does nothing the second time."""
        if self._process is not None:
            await self._process.stop()

    def some(self, number: int) -> int:
        """`number`, or less of it where a run is shrunk: how many messages, how many workers. At least 1."""
        return max(1, math.ceil(number * self.scale))

    # -- what must hold

    def always(self, check: Check, name: str = "") -> None:
        """`check` holds from now on: it is looked at after every commit, and at the end.

        Nothing waits there, so one that is `async` fails the run; `eventually` takes it.
        """
        self._checks.append((name or getattr(check, "__name__", "always"), check))
        self._look(self._checks[-1])

    async def eventually(self, check: Check, *, within: float, name: str = "") -> None:
        """`check` comes to hold within so many seconds of the time at which the faults are over.

        It may be `async`, to ask somebody (`world.ask`); where that raises, it does not hold yet.
        """
        await self.calm()
        deadline = trio.current_time() + within
        text = await self._awaited(check, deadline)
        while text is not None and trio.current_time() < deadline:
            self._told = trio.Event()
            with trio.move_on_at(min(deadline, trio.current_time() + _POLL)):
                await self._told.wait()
            text = await self._awaited(check, deadline)
        if text is not None:
            what = name or getattr(check, "__name__", "eventually")
            self.fail(what, text or f"not within {within:g} s")

    async def _awaited(self, check: Check, deadline: float) -> str | None:
        """What `check` says is wrong, whether it is `async` or not."""
        said = check(self)
        if not isinstance(said, Awaitable):
            return _wrong(said)
        text: str | None = "it waited for an answer until its time was over"
        with trio.move_on_at(max(deadline, trio.current_time()) + _ANSWER):
            try:
                text = _wrong(await cast("Awaitable[object]", said))
            except (TreewardenError, Lost) as error:
                text = f"{type(error).__name__}: {error}"
        return text

    def sometimes(self, name: str, reached: bool = True) -> None:
        """In one run of many at least, `reached` is true: runs that never get to what they should prove nothing."""
        self.reached[name] = self.reached.get(name, False) or bool(reached)

    def fail(self, name: str, text: str) -> None:
        """Something that should hold does not: the run ends."""
        breach = Breach(name, text, trio.current_time())
        self.breaches.append(breach)
        self.trace.mark(Mark(breach.at, "failure", str(breach)))
        self.scope.cancel()

    def look(self) -> None:
        """Look at everything that must always hold."""
        for each in self._checks:
            self._look(each)

    def _look(self, named: tuple[str, Check]) -> None:
        if not self.breaches:
            try:
                text = _wrong(named[1](self))
            except Exception as error:  # it is looked at where nothing may be raised
                text = f"{type(error).__name__}: {error}"
            if text is not None:
                self.fail(named[0], text)

    # -- what happens

    def note(self, text: str, path: str = "") -> None:
        """Put a line into the trace and on the timeline."""
        self.trace.mark(Mark(trio.current_time(), "note", text, path))

    def recovered(self, text: str, path: str = "") -> None:
        """Somebody is up again."""
        self.trace.mark(Mark(trio.current_time(), "recovery", text, path))

    def struck(self, kind: str, name: str) -> None:
        """A fault has found its victim."""
        self.faults[kind] += 1
        self.trace.mark(Mark(trio.current_time(), "fault", kind, name))

    def wall(self) -> float:
        """Wall seconds, as the world's clock shows them."""
        return START + self.wall_offset + trio.current_time() * self.wall_rate

    def gave_way(self, path: Path) -> None:
        """An incarnation has given way: a place at which it may be killed. Called in runs where one is."""
        if path != "/":
            self.points["yield"] += 1
            self._strike("yield", path)

    def point(self, kind: str) -> None:
        """A boundary at which the process may die."""
        self.points[kind] += 1
        self.trace.add(kind)
        if self._triggers:
            self._strike(kind, "")

    def _strike(self, kind: str, name: str) -> None:
        injection = self._triggers.get((kind, self.points[kind]))
        if injection is not None:
            inject(self, injection, name)

    def _commit(self, commit: Callable[[], object]) -> None:
        self.point("commit")
        if not self.process.alive:
            raise self.process.refusal()
        refused = self.process.storage_fault() if not self.arm.forgets else None
        if refused is not None and not refused.late:
            raise refused.error
        if refused is None and not self.arm.forgets and self.process.torn(commit):
            raise self.process.refusal()
        commit()
        if refused is not None:
            raise refused.error
        self.point("committed")
        if not self.process.alive:
            raise self.process.refusal()

    def told(self, commit: Commit, error: BaseException | None) -> None:
        """The journal is about to answer."""
        self.history.told(commit, error, trio.current_time())
        if isinstance(error, CommitFailed):
            for row in commit.accepted:
                if self.disk.query("SELECT 1 FROM mailbox WHERE row = ?", row.row):
                    self.fail("what is refused is not kept", f"{row.id} ({row.path})")
        records = records_of(commit)
        self.trace.extend(records if error is None else [f"refused {record}" for record in records])
        if error is None:
            for _, event in commit.events:
                if isinstance(event, Decided):
                    self.trace.mark(Mark(trio.current_time(), "decision", event.action, event.path))
                elif isinstance(event, ChildStarted) and (event.attempt > 1 or event.incarnation > 1):
                    self.recovered(f"up again, life {event.incarnation}", event.path)
                elif isinstance(event, DeadLettered):
                    # Without the words of an exception, which may differ in a replay.
                    why = event.reason.partition(";")[0].partition(" (")[0]
                    self.note(f"{event.kind} is given up: {why}", event.path)
        self._told.set()
        self.look()

    def _kill_deciding(self, above: str) -> None:
        self.nursery.start_soon(kill_deciding, self, above, name="faults")

    def _is_alive(self) -> bool:
        number = current_process.get()
        return number == 0 or (self.process.alive and number == self.process.number)

    async def _inject(self) -> None:
        timed = sorted((each for each in self.injections if each.trigger is None), key=lambda each: each.at)
        for injection in timed:
            await sleep_until(self.process.began_at + injection.at)
            inject(self, injection, "")
        await sleep_until(self.process.began_at + self.within)
        self.gate.clear()
        self.wall_rate = 1.0
        self.quiet.set()
        self.note("quiet")

    def victims(self, pattern: str, *, supervisors: bool) -> list[str]:
        """The living slots that a pattern fits."""
        tree = self.process.tree
        if tree is None:
            return []
        return matches(pattern, (str(each.path) for each in tree.snapshot() if each.supervisor is supervisors))


def _wrong(said: object) -> str | None:
    """What a check's answer says is wrong; None if nothing is."""
    if isinstance(said, str):
        return said or None
    if isinstance(said, Coroutine):
        cast("Coroutine[object, object, object]", said).close()
        return "it is async, and here nobody waits for what it says; give a plain function, or take `eventually`"
    return "" if said is False else None
