"""The workers of a scenario, and the record of what happens to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import trio
from attrs import define, field
from otp_specs import Script
from otp_terms import Raised, exit_as_term, failure_as_term, raise_reason, theirs
from otpvec import parent_of

from treewarden.agents.agent import Agent
from treewarden.agents.core.exit import KILLED, Exit, Failed, Finished, Stopped
from treewarden.agents.core.path import Path
from treewarden.agents.errors import Ignore, Stop
from treewarden.supervisor.core.event import (
    ChildEnded,
    ChildIgnored,
    ChildStarted,
    ChildStartFailed,
    Decided,
    Event,
    SupervisorEnded,
    SupervisorStarted,
)
from treewarden.supervisor.core.spec import BrutalKill, RestartPolicy, Spec
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.journal.port import Commit

__all__ = ["RecordingJournal", "Worker", "World", "briefly"]


class Gate:
    """Where a start waits until the scenario says what comes of it."""

    def __init__(self) -> None:
        self._opened = trio.Event()
        self._outcome = ""

    def open(self, outcome: str) -> None:
        self._outcome = outcome
        self._opened.set()

    async def wait(self) -> str:
        await self._opened.wait()
        return self._outcome


@define(eq=False)
class World:
    """Who lives, how often each was started, and what has been seen in this step."""

    find_spec: Callable[[str], Spec | None]
    """The spec of a child by its path, from the table of its supervisor."""
    find_life: Callable[[str], int]
    """The serial number of a child's current or last life, from there too."""
    attempts: dict[str, int] = field(factory=dict[str, int])
    starts: dict[str, int] = field(factory=dict[str, int])
    """Successful starts of each path: the number of its newest incarnation."""
    serials: dict[str, int] = field(factory=dict[str, int])
    """The product's own name for that incarnation."""
    workers: dict[str, Worker] = field(factory=dict[str, "Worker"])
    """Those that live."""
    supervisors: set[str] = field(factory=set[str])
    """Those that live and have begun."""
    orphans: set[str] = field(factory=set[str])
    """Those whose supervisor has ended, until they start again."""
    gates: dict[str, Gate] = field(factory=dict[str, Gate])
    reasons: dict[str, Any] = field(factory=dict[str, Any])
    """How the newest incarnation of each worker says that it ended."""
    events: list[list[Any]] = field(factory=list[list[Any]])
    reports: list[list[Any]] = field(factory=list[list[Any]])
    _stopped: dict[str, list[tuple[str, Any]]] = field(factory=dict[str, list[tuple[str, Any]]])
    """Children that a dynamic supervisor stopped, and that ended in another way than they should."""
    dynamic: Callable[[str], bool] = lambda _: False

    @property
    def worker(self) -> type[Worker]:
        return Worker

    def pid(self, path: str) -> str:
        return f"{path}#{self.starts.get(path, 0)}"

    # -- what start functions do

    async def begin(self, path: Path, script: Script) -> object:
        """Start what stands at `path`, as the scenario has it."""
        name = theirs(path)
        self.attempts[name] = self.attempts.get(name, 0) + 1
        outcome = script.outcome(name, self.attempts[name])
        if outcome == "gate":
            gate = self.gates[name] = Gate()
            self.events.append(["gate", name])
            try:
                outcome = await gate.wait()
            finally:
                del self.gates[name]
        match outcome:
            case "ok":
                return None
            case "ok_info":
                return "info"
            case "ignore":
                raise Ignore
            case "crash":
                raise Raised(["EXIT", "start_crash"])
            case "already_started":
                raise Raised(["already_started", "<pid>"])
            case _:
                raise Raised("start_failed")

    def ended(self, path: Path, exit: Exit) -> None:
        """A worker ends."""
        name, reason = theirs(path), exit_as_term(exit)
        del self.workers[name]
        self.reasons[name] = reason
        self.events.append(["exit", name, self.starts[name], reason])

    # -- what the product says

    def note(self, event: Event) -> None:
        """Take down an event of the tree as OTP would tell it."""
        match event:
            case SupervisorStarted(path=path):
                self.supervisors.add(theirs(path))
                self._started(theirs(path))
            case ChildStarted(path=path) if theirs(path) not in self.supervisors:
                self._started(theirs(path))
            case ChildStarted(path=path):
                self.serials[theirs(path)] = self.find_life(theirs(path))
            case ChildIgnored(path=path):
                self.events.append(["ignore", theirs(path)])
            case ChildStartFailed(path=path, failure=failure, asked=asked):
                reason = failure_as_term(failure)
                self.events.append(["start_error", theirs(path), briefly(reason)])
                if not asked:
                    self._report(theirs(path), "start_error", reason)
            case SupervisorEnded(path=path, incarnation=_, reason=said, exit=exit, failure=failure):
                name = theirs(path)
                self.supervisors.discard(name)
                self.orphans.update(each for each in self.starts if parent_of(each) == name)
                stopped = said.removeprefix("it ended (").removesuffix(")")
                ended: Exit = Finished() if exit == "finished" else Stopped(stopped)
                reason = exit_as_term(Failed(failure) if failure is not None else ended)
                self.reasons[name] = reason
                self.events.append(["exit", name, self.starts[name], reason])
                self._report_stopped(name)
            case ChildEnded():
                self._ended(event)
            case Decided(path=path, action="escalate"):
                self._report(theirs(path), "shutdown", "reached_max_restart_intensity")
            case _:
                pass

    def _started(self, name: str) -> None:
        self.starts[name] = self.starts.get(name, 0) + 1
        self.orphans.discard(name)
        self.serials[name] = self.find_life(name)
        self.events.append(["start", name, self.starts[name]])

    def _ended(self, event: ChildEnded) -> None:
        name = theirs(event.path)
        reason = self._told(event)
        said = self.reasons.get(name)
        if reason != said:
            self.events.append(["contradiction", name, f"it said {said}, its supervisor {reason}"])
        if name in self.orphans:
            return  # whom it would concern had been killed
        spec = self.find_spec(name)
        assert spec is not None
        clean = not event.failure
        permanent = spec.restart is RestartPolicy.PERMANENT
        if not event.expected:
            if permanent or not clean:
                self._report(name, "child_terminated", reason)
            return
        wanted = "killed" if isinstance(spec.shutdown, BrutalKill) else "shutdown"
        if reason == wanted or (clean and not permanent):
            return
        above = parent_of(name) or ""
        if self.dynamic(above):
            self._stopped.setdefault(above, []).append((name, reason))
        else:
            self._report(name, "shutdown_error", reason)

    def _told(self, event: ChildEnded) -> Any:
        if event.failure is not None:
            return failure_as_term(event.failure)
        return "normal" if event.exit == "finished" else exit_as_term(Stopped(event.reason))

    def reorder(self, begun: int, paths: list[str]) -> None:
        """Since event number `begun` these ended, in this order as far as the scenario goes, before all else."""
        since = self.events[begun:]
        first = {path: next(event for event in since if event[0] == "exit" and event[1] == path) for path in paths}
        places = sorted(since.index(event) for event in first.values())
        if [since[place] for place in places] != list(first.values()):
            others = [event for event in since if not any(event is each for each in first.values())]
            self.events[begun:] = [*first.values(), *others]

    def forgotten(self, name: str) -> None:
        """A child was dropped: what its stop had to tell concerns itself alone."""
        above = parent_of(name) or ""
        waiting = self._stopped.get(above, [])
        for path, reason in [each for each in waiting if each[0] == name]:
            waiting.remove((path, reason))
            self._report(path, "shutdown_error", reason)

    def _report_stopped(self, name: str) -> None:
        """A dynamic supervisor tells of its children's ends by reason."""
        reasons = [reason for _, reason in self._stopped.pop(name, [])]
        for place, reason in enumerate(reasons):
            if reason not in reasons[:place]:
                self.reports.append([name, "shutdown_error", ["many", reasons.count(reason)], reason])

    def _report(self, child: str, context: str, reason: Any) -> None:
        self.reports.append([parent_of(child), context, child.rpartition("/")[2], reason])


def briefly(reason: Any) -> Any:
    """Events name the outcome of a start; that somebody else runs already comes without who that is."""
    return "already_started" if reason == ["already_started", "<pid>"] else reason


class Worker(Agent[None]):
    """Does what the scenario says, and nothing by itself."""

    drains_body: ClassVar[bool] = True

    def __init__(self, world: World, script: Script) -> None:
        self.world = world
        self.script = script
        self._told: trio.Event = trio.Event()
        self._reason: Any = None
        self._released: str | None = None
        self.held = False

    async def on_start(self) -> object:
        info = await self.world.begin(self.path, self.script)
        self.world.workers[theirs(self.path)] = self
        return info

    async def run(self) -> None:
        cancelled = True
        try:
            await self._until_told_or_asked()
            if not self._told.is_set():
                await self._stop()
            cancelled = False
        finally:
            if cancelled:
                self.world.ended(self.path, KILLED)
        if self._told.is_set():
            raise_reason(self._reason)
            raise Stop

    async def on_stop(self, exit: Exit) -> None:
        self.world.ended(self.path, exit)

    def end(self, reason: Any) -> None:
        """Make it end by itself."""
        self._reason = reason
        self._told.set()

    def release(self, outcome: str) -> None:
        """Let a stop that is held go on."""
        self.held = False
        self.end(outcome)

    async def _until_told_or_asked(self) -> None:
        async with trio.open_nursery() as nursery:

            async def wait(event: trio.Event) -> None:
                await event.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(wait, self._told)
            nursery.start_soon(wait, self.stop_requested)

    async def _stop(self) -> None:
        reaction: Any = self.script.of(theirs(self.path)).get("on_stop", "exit")
        match reaction:
            case "exit":
                return
            case "ignore":
                await self._told.wait()
            case "hold":
                self.held = True
                self.world.events.append(["stop_gate", theirs(self.path)])
                await self._told.wait()
            case _:
                with trio.move_on_after(reaction.get("delay_ms", 0) / 1000):
                    await self._told.wait()
                if not self._told.is_set() and reaction.get("reason", "shutdown") != "shutdown":
                    self.end(reaction["reason"])


class RecordingJournal(MemoryJournal):
    """A journal in memory that shows each commit to the world as it is submitted."""

    def __init__(self, see: Callable[[Commit], None]) -> None:
        super().__init__()
        self._see = see

    def submit(self, commit: Commit, then: Callable[[BaseException | None], None]) -> None:
        self._see(commit)
        super().submit(commit, then)
