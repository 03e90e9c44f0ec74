"""The process of a world's tree: it opens the tree, dies, and is followed by the next one on the same disk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, TypeVar

import trio
from attrs import define, field, frozen

from treewarden.agents.errors import JournalError, TreeFailed
from treewarden.supervisor.common import LoopClock
from treewarden.supervisor.testing import journal_on

from ..core.blueprint import Blueprint
from ..core.draws import Draws
from ..open import open_tree
from ..running import Tree
from .determinism import sleep
from .disk import Processes, Refusal
from .instrumented import instrumented
from .lost import Lost
from .watched import watched

if TYPE_CHECKING:
    from .world import World

__all__ = ["Process", "StorageFault", "current_process"]

R = TypeVar("R")

current_process: Final[ContextVar[int]] = ContextVar("treewarden_chaos_process", default=0)
"""The number of the process that the running task is part of; 0 for the world outside."""
_STORAGE: Final = ("full", "locked", "io_error", "lost_ack")


@frozen
class StorageFault:
    """What a commit comes to."""

    error: Exception
    late: bool
    """It is kept all the same."""


@define(eq=False)
class Process:
    """One after the other, all on one disk."""

    world: World
    blueprint: Blueprint
    running: Blueprint = field(init=False)
    """What the next process opens: with gates, and in the version that was deployed last."""
    number: int = 0
    alive: bool = False
    tree: Tree | None = None
    began_at: float = 0.0
    """When the first tree was up."""
    failed: str = ""
    """Why the tree is lost, if it is: the last process did not crash, it gave up."""
    crashes: int = 0
    orderly: bool = True
    """The last process could still write when it ended."""
    _up: trio.Event = field(factory=trio.Event)
    _stopping: bool = False
    _ended: trio.Event = field(factory=trio.Event)
    _gone: trio.Event = field(factory=trio.Event)
    """Set when the present process has crashed, and when the last one has ended."""
    _scope: trio.CancelScope = field(factory=trio.CancelScope)
    _clients: dict[trio.CancelScope, None] = field(factory=dict[trio.CancelScope, None])
    _down_for: float = 1.0

    async def live(self) -> None:
        """Process after process, until one ends by itself or is told to."""
        self.running = instrumented(self.blueprint, self.world.gate)
        try:
            while not self._stopping:
                await self._one(self.running)
                if self.alive or self._stopping:
                    break
                await sleep(self._down_for)
        finally:
            self.alive = False
            self._ended.set()
            self._gone.set()
            self._up.set()

    async def _one(self, blueprint: Blueprint) -> None:
        world = self.world
        self.number += 1
        self.alive = self.orderly = True
        world.disk.boot()
        if world.arm.forgets:
            world.disk.wipe()
            world.history.wiped()
        current_process.set(self.number)
        clock = LoopClock(world.wall)
        inner = journal_on(world.disk.connect, clock, Processes(self.number), f"w{world.seed & 0xFFFF:04x}")
        journal = watched(inner, world.history.submitted, world.told)
        self._scope = trio.CancelScope()
        try:
            with self._scope:
                async with open_tree(blueprint, journal=journal, clock=clock, seed=world.seed) as tree:
                    if self.alive:  # else it died while the tree began, and nobody is to see that tree
                        self._begin(tree)
                    await tree.wait_ended()
        except (TreeFailed, JournalError) as error:
            if self.alive and (self.tree is None or isinstance(error, JournalError)):
                self._give_way(error)
            elif self.alive:
                self._lose(error)
        except BaseExceptionGroup as group:
            if self.alive or group.split((TreeFailed, JournalError))[1] is not None:
                raise
        finally:
            self.tree = None

    def _begin(self, tree: Tree) -> None:
        if self.number == 1:
            self.began_at = trio.current_time()
        else:
            self.world.recovered(f"process {self.number} is up")
        self.tree = tree
        self._up.set()

    def _give_way(self, error: Exception) -> None:
        """It cannot begin, or cannot go on with its disk, and says so: whoever looks after processes starts another."""
        self.alive = self.orderly = False
        self.world.note(f"process {self.number} {'could not begin' if self.tree is None else 'has ended'}: {error}")
        for client in list(self._clients):
            client.cancel()

    def _lose(self, error: Exception) -> None:
        """The tree has ended, and nobody crashed it."""
        self.failed = f"{type(error).__name__}: {error}"
        self._up.set()
        self.world.note(self.failed)

    async def wait_up(self) -> Tree:
        """Wait until a process has its tree up; the run has failed if none will come."""
        while self.tree is None:
            if self._ended.is_set():
                self.world.fail("the tree is up", self.failed or "it has ended")
                await trio.sleep_forever()
            if self._up.is_set():
                self._up = trio.Event()
            await self._up.wait()
        return self.tree

    async def serve(self, call: Callable[[Tree], Awaitable[R]]) -> R:
        """Call the tree as a client of it: a client learns nothing from a process that died."""
        tree = await self.wait_up()
        with trio.CancelScope() as scope:
            self._clients[scope] = None
            try:
                return await call(tree)
            finally:
                self._clients.pop(scope, None)
        raise Lost("the process died before it answered")

    def crash(self, down: float) -> bool:
        """End the process here, as `kill -9` does; the next one comes after `down` seconds. False if none lives.

        One that was being stopped is followed by another too, which is stopped then.
        """
        if not self.alive:
            return False
        self.alive = self.orderly = self._stopping = False
        self._gone.set()
        self.crashes += 1
        self._down_for = down
        self.tree = None
        self.world.disk.cut()
        self._scope.cancel()
        for client in list(self._clients):
            client.cancel()
        return True

    async def stop(self) -> None:
        """Stop the tree in order, and let no other process come. If one dies over it, its successor is stopped."""
        while not self._ended.is_set():
            tree = await self.wait_up()
            self._gone = trio.Event()
            self._stopping = True
            tree.stop()
            await self._gone.wait()

    def refusal(self) -> Refusal:
        """What the journal of a dead process is told."""
        return Refusal("the process died at this commit")

    def storage_fault(self) -> StorageFault | None:
        """What the disk makes of the commit at hand."""
        gate = self.world.gate
        for kind in _STORAGE:
            knobs = gate.take(kind, "disk")
            if knobs is not None:
                return StorageFault(Refusal("io_error" if kind == "lost_ack" else kind), kind == "lost_ack")
        return None

    def torn(self, commit: Callable[[], object]) -> bool:
        """Whether the power went while the commit at hand was written. Then this process is dead."""
        if self.world.gate.take("torn_write", "disk") is None:
            return False
        self.world.disk.tear(commit, Draws(self.world.seed, "torn", self.number))
        self.crash(1.0)
        return True
