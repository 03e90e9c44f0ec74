"""The model's processes: workers, the table of a supervisor, and the world with its time."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from attrs import define, field
from otpvec import is_supervisor

if TYPE_CHECKING:
    from otp_supervisor import Supervisor

__all__ = ["RESTARTING", "Child", "Json", "Process", "Steps", "Worker", "World", "any_alive", "clean"]

Json: TypeAlias = dict[str, Any]
Steps: TypeAlias = Generator[Callable[[], bool], None, Any]
"""What a process does: it yields what it waits for, and returns what it comes to."""

RESTARTING: Final = "restarting"


def clean(reason: Any) -> bool:
    return reason in ("normal", "shutdown") or (isinstance(reason, list) and cast("list[Any]", reason)[0] == "shutdown")


@define(eq=False)
class Process:
    world: World
    path: str
    node: Json
    parent: Supervisor | None
    number: int = 0
    alive: bool = True
    reason: Any = None

    def die(self, reason: Any) -> None:
        if self.alive:
            self.alive, self.reason = False, reason
            if self.world.lives.get(self.path) is self:
                del self.world.lives[self.path]
            if self.number:
                self.world.events.append(["exit", self.path, self.number, reason])
            if self.parent is not None and self.parent.alive and self.number:
                self.parent.mailbox.append(("exit", self))

    def begin(self) -> None:
        self.world.starts[self.path] = self.number = self.world.starts.get(self.path, 0) + 1
        self.world.newest[self.path] = self.world.lives[self.path] = self
        self.world.events.append(["start", self.path, self.number])

    def ask(self) -> None:
        """Asked to stop by its supervisor."""

    def kill(self) -> None:
        self.die("killed")

    def orphan(self, reason: Any) -> None:
        """Its supervisor has died."""
        self.die(reason)


@define(eq=False)
class Worker(Process):
    held: bool = False

    def ask(self) -> None:
        reaction = self.node.get("on_stop", "exit")
        if reaction == "exit":
            self.die("shutdown")
        elif reaction == "hold":
            self.held = True
            self.world.events.append(["stop_gate", self.path])
        elif reaction != "ignore":
            reason = reaction.get("reason", "shutdown")
            self.world.later(reaction.get("delay_ms", 0), lambda: self.die(reason), lambda: self.alive)


@define(eq=False)
class Child:
    id: str
    node: Json
    path: str
    pid: Any = None
    """A process, None, or RESTARTING."""
    last: Process | None = None

    @property
    def restart(self) -> str:
        return self.node.get("restart", "permanent")

    @property
    def temporary(self) -> bool:
        return self.restart == "temporary"

    @property
    def significant(self) -> bool:
        return self.node.get("significant", False)

    @property
    def kind(self) -> str:
        return self.node.get("type", "worker")

    @property
    def shutdown(self) -> Any:
        return self.node.get("shutdown", "infinity" if is_supervisor(self.node) else 5000)

    def wanted(self, reason: Any) -> bool:
        """Whether it is as it should be that it stopped with this reason."""
        if reason == ("killed" if self.shutdown == "brutal_kill" else "shutdown"):
            return True
        return clean(reason) and self.restart != "permanent"


def any_alive(processes: list[Process]) -> bool:
    return any(process.alive for process in processes)


@define(eq=False)
class World:
    """All processes, and their time."""

    now: float = 0
    undecided: bool = False
    """Something has happened of which FORMAT.md does not say what comes first, or that it has no words for."""
    events: list[Any] = field(factory=list[Any])
    reports: list[Any] = field(factory=list[Any])
    attempts: dict[str, int] = field(factory=dict[str, int])
    starts: dict[str, int] = field(factory=dict[str, int])
    newest: dict[str, Process] = field(factory=dict[str, Process])
    lives: dict[str, Process] = field(factory=dict[str, Process])
    gates: dict[str, list[Any]] = field(factory=dict[str, list[Any]])
    answers: dict[int, Any] = field(factory=dict[int, Any])
    stopped: set[Process] = field(factory=set[Process])
    timers: list[tuple[float, Callable[[], None], Callable[[], bool]]] = field(factory=list[Any])
    running: list[tuple[Supervisor, Steps, Callable[[], bool]]] = field(factory=list[Any])

    def run(self, supervisor: Supervisor) -> None:
        """Let a process begin."""
        self.running.append((supervisor, supervisor.main(), lambda: True))

    def later(self, after: float, call: Callable[[], None], needed: Callable[[], bool]) -> None:
        """Call this after so many milliseconds, if it is needed then."""
        if after == 0:
            call()
        else:
            self.timers.append((self.now + after, call, needed))

    def settle(self) -> None:
        """Run until nobody can go on and no time is waited for."""
        while True:
            self._run_all()
            self.timers = sorted((each for each in self.timers if each[2]()), key=lambda each: each[0])
            if not self.timers:
                return
            at, call, _ = self.timers.pop(0)
            self.now = max(self.now, at)
            call()

    def _run_all(self) -> None:
        going = True
        while going:
            going = False
            for entry in list(self.running):
                supervisor, steps, ready = entry
                if supervisor in self.stopped:
                    self.running.remove(entry)
                elif ready():
                    going = True
                    self.running.remove(entry)
                    with suppress(StopIteration):
                        self.running.append((supervisor, steps, next(steps)))
