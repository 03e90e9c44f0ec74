"""A tree that runs: the handle that `open_tree` gives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from treewarden.agents.core.exit import Exit
from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.ref import Ref
from treewarden.supervisor.common import Common
from treewarden.supervisor.core.checkpoint import Checkpoint
from treewarden.supervisor.core.event import ActionPerformed, Event, SignalNoted, TreeReloaded
from treewarden.supervisor.journal.port import START, Opened, Record, Seq

from .code_digest import code_digest
from .core.blueprint import Blueprint
from .errors import checked, checked_path, checked_text
from .root import Root
from .stored import Stored

if TYPE_CHECKING:
    from treewarden.agents.core.ended import Ended
    from treewarden.supervisor.calls import SupervisorRef
    from treewarden.supervisor.draining import Drained
    from treewarden.supervisor.pruning import Pruning

    from .reports import Reports
    from .slot_status import SlotStatus

__all__ = ["Tree"]


class Tree(Stored):
    """A running tree. All of its methods may be called from any task of the loop; none from other threads."""

    def __init__(self, root: Root, common: Common, blueprint: Blueprint, cut: Callable[[], Awaitable[Pruning]]) -> None:
        super().__init__(common, cut)
        self._root = root
        self.blueprint = blueprint
        self.calm: Callable[[str], str] | None = None
        """Ends the chaos that was asked for in this tree, by whom, and says what it came to; None without any."""

    @property
    def opened(self) -> Opened:
        """What this process learnt when it took the journal: its epoch, and whether the owner before it crashed."""
        return self._common.journal.opened

    def ref(self, path: str) -> Ref:
        """A reference to the slot (or pool) at `path`. Raises `NoSuchSlot`."""
        parsed = checked_path(path)
        registry = self._common.registry
        if not registry.has(parsed):
            registry.find(parsed)
        return registry.ref(parsed)

    @property
    def head(self) -> Seq:
        """The sequence number of the last committed event."""
        return self._common.journal.head

    def supervisor(self, path: str = "/") -> SupervisorRef:
        """The supervisor at `path`, for calls to it."""
        from treewarden.supervisor.calls import SupervisorRef

        return SupervisorRef(checked_path(path), self._common.supervisors.get)

    # -- signals

    def signal(self, path: str, facts: Mapping[str, Any], *, lasts: float | None = None) -> None:
        """Tell the supervisor of `path` about something that its agent cannot know, or does not say.

        `facts` holds `kind` and `severity` (0 to 1), perhaps `text`, and any numbers and short texts besides; `cpu` and
        `memory` are percent, `error_rate` is a share and `latency_ms` milliseconds. It stands until `recovered` takes
        it back, or until `lasts` seconds have passed in which its `kind` was not signalled again; the next process
        knows nothing of it. Raises `ConfigurationError` naming the field that is missing, of another type or out of
        range, `NoSuchSlot`, and when the tree has ended `AgentStopped`; then nothing was said.
        """
        self._reports.signal(path, facts, lasts)

    def recovered(self, path: str, kind: str) -> None:
        """Take back what was signalled under `kind`. Raises `ConfigurationError` and `NoSuchSlot`."""
        self._reports.recovered(path, kind)

    @cached_property
    def _reports(self) -> Reports:
        from .reports import Reports  # most trees are told nothing

        return Reports(self._root)

    def deployed(self, path: str = "/", version: str = "") -> None:
        """Say that the code at `path`, or of everything below it, has changed: failures after that are seen in its
        light. A reload says so by itself of what it changed, and opening a tree of its whole blueprint.

        Raises `NoSuchSlot`, and `ConfigurationError` for what is no path or no text.
        """
        subject = checked_path(path)
        checked_text("version", version)
        if subject != ROOT:
            self._root.supervisor_of(subject)
        self._common.deployed[subject] = self._common.clock.now()
        self._common.note(SignalNoted(path=subject, kind="deployed", text=version))

    def resume(self, path: str, by: str = "operator") -> None:
        """A person has decided: a held slot may start again. An agent that lives is stopped in order and begins a
        new life; one that hangs when its grace is over, and where that is infinite with `kill`. Below a supervisor that
        lives nobody is ended, and messages are handed out again.

        Not promised: that it has begun when this returns. Raises `NoSuchSlot`, and `ConfigurationError` for what is no
        path or no text.
        """
        self._reports.ask(path, "resume", by)

    def hold(self, path: str, by: str = "operator", text: str = "") -> None:
        """Have a slot wait until somebody resumes it, in the next process and when those above it are started anew too;
        `text` says why. An agent is stopped in order, and what it is told waits; below a supervisor nobody is handed
        messages or ticks, and bodies go on.

        Not promised: that it has ended when this returns; a dynamic child in the next process. Raises as `resume`.
        """
        self._reports.ask(path, "hold", by, text)

    def run_now(self, path: str, tick: str = "") -> bool:
        """Have an `@every` or `@at` method, or a worker, run now and not at its time, which stays what it is; `tick`
        names the method where there are several. False if one waits already: the two are one. While the slot is held or
        throttled it waits. Not promised: that it runs, if this life ends before it begins.

        Raises `NoSuchSlot`, and `ConfigurationError` for what does not run or has no such method.
        """
        return self._reports.run_now(path, tick)

    async def perform(self, path: str, name: str, by: str = "operator") -> ActionPerformed:
        """Run an action that is registered under `name` for the slot at `path`, and return what came of it.

        One that runs for that slot already is waited for. Cancelled: it goes on. Raises `NoSuchSlot`, `NoSuchAction`,
        `SupervisorGone`.
        """
        subject = checked_path(path)
        self._root.supervisor_of(subject)
        return await self.supervisor(subject.parent).perform(subject.name, name, by)

    def kill(self, path: str) -> bool:
        """End the incarnation at `path` without asking it, as a crash would. False if nobody lives there.

        Raises `NoSuchSlot`, and `ConfigurationError` for what is no path.
        """
        subject = checked_path(path)
        child = self._root.supervisor_of(subject).children.get(subject.name)
        if child is None or child.current is None or child.current.exit is not None:
            return False
        child.current.kill()
        return True

    def process_of(self, path: str) -> int | None:
        """The process that belongs to the agent at `path`, while it lives; None for an agent without one.

        Raises `NoSuchSlot`.
        """
        from treewarden.agents.process import ProcessAgent

        subject = checked_path(path)
        self._root.supervisor_of(subject)
        slot = self._common.registry.get(subject)
        agent = slot.agent if slot is not None else None
        return agent.pid if isinstance(agent, ProcessAgent) else None

    def note(self, *events: Event) -> None:
        """Append facts about the tree to its journal, with the next group commit: for what acts on it from outside."""
        self._common.note(*events)

    def watch(self, to: Ref | str) -> AbstractAsyncContextManager[AsyncIterator[Ended]]:
        """Every end of an incarnation at a ref or path from now on; of a slot that is down the last one comes at once.

        Any number may watch, as slowly as they like: each has a cursor on the journal, and only committed ends are
        told, none of them twice or left out. A supervisor can be watched as well as an agent, and so can a slot that
        is not there any more, if it ended within the last 5,000 events. The iterator goes on over restarts for as long
        as the tree is open; cancelling a wait for the next end leaves none out. Entering raises `NoSuchSlot`. Raises
        `ConfigurationError` for text that is no path, and for a ref of another tree.
        """
        from treewarden.supervisor.watching import watch

        path = to.path_for(self._common.registry.ref(ROOT)) if isinstance(to, Ref) else checked_path(to)
        return watch(self._common, path)

    async def roll_back(self, path: str, *, to: int | str | None, by: str = "operator") -> Checkpoint | None:
        """Give an agent the state of a checkpoint: by number, by name (the newest of that name), or with None the one
        that its class declares.

        An agent that lives is asked to stop, within its grace, and started again: that is no failure, and does not
        count towards intensity; one that is down stays down. The state that it had is kept under the name `before
        rolling back`. The mailbox stays as it is; messages that were settled since the checkpoint are not handled
        again, and what they told others stands.

        Raises `NoSuchSlot`; `CheckpointRefused` if there is no such checkpoint (any more), or no state can be had from
        the class; `UnknownKind` if the code at hand cannot read it, `CommitFailed`: nothing has changed then, though
        the agent may have been started anew; `StartFailed` if it does not start with that state; `SupervisorGone`.
        Cancelled: it is carried out all the same.
        """
        subject = checked_path(path)
        self._root.supervisor_of(subject)
        return await self.supervisor(subject.parent).roll_back(subject.name, to, by)

    async def drain(self, path: str = "/", *, within: float = 30.0) -> Drained:
        """Let an agent, or a supervisor and all below it, or with `/` the whole tree handle what waits, and stop it.

        Messages from outside of what is drained are refused with `IntakeClosed`; those that its agents tell and ask
        each other pass, and senders that wait for room already get in. No more ticks (`@every`) come. When nothing
        waits and nothing is in hand anywhere in it, or after `within` seconds, its children are terminated in reverse
        start order, as by `terminate_child`: specs are kept except those of temporary and dynamic children, and
        `restart_child` brings them back. What is left then is counted in what is returned, also what waits for who is
        held or down all the time: it stays where it is on disk, for the next life there, in this process or another; of
        a child whose spec is not kept, and where it was in memory only, it becomes dead letters. A drained tree is open
        and empty; `stop` or leaving its block ends it.

        Not promised: that a body (`run`) which goes on telling comes to an end; stop or drain it first. Stopping takes
        what the graces of the children allow, besides `within`. Cancelled before anything was stopped: the intake
        opens and the ticks go on; later: all of it is stopped, as if somebody waited for that. Raises `NoSuchSlot`,
        `ConfigurationError` for a limit that is none, `SupervisorGone` if the supervisor above ends meanwhile.
        """
        from treewarden.supervisor.draining import drain

        parsed = checked_path(path)
        if parsed != ROOT:
            self._root.supervisor_of(parsed)
        return await drain(self._common, parsed, within, self._root.nursery)

    def stop(self, reason: str = "shutdown") -> None:
        """Begin to stop in order: handle what is in hand, keep the state, stop the children in reverse order.

        What waits on disk waits for the next process. What waits in memory is handled as long as the grace (`shutdown`)
        of its agent lasts and then becomes dead letters; a stage hands on what it drains beyond any capacity, so a full
        line takes one grace, of whoever does not get on: `drain` first, to give it as long as you say.
        """
        checked_text("reason", reason)
        if not self._root.asked:
            self._root.asked = True
            self._root.supervisor.order_stop(reason, drain=True)

    def force(self) -> None:
        """End everything now, without asking. Nothing acknowledged is lost; what is in hand runs again."""
        self._root.asked = self._root.forced = True
        self._root.nursery.cancel_scope.cancel()

    async def wait_ended(self) -> Exit | None:
        """Wait until the root has ended: it was stopped, gave up, or had nothing left to do. How; None by force."""
        await self._root.ended.wait()
        return self._root.exit

    async def reload(self, blueprint: Blueprint) -> TreeReloaded:
        """Replace the blueprint of the running tree: new slots start, those no longer listed end, changed ones restart.

        Mailboxes and states of changed slots stay. It waits behind what the root has begun, and for graces and starts.
        Raises `BlueprintError`, `ConfigurationError`; then nothing changes. Cancelled: the change goes on once it has
        begun or waits, but `blueprint` stays the old one, and no `TreeReloaded` is journaled.
        """
        checked(blueprint)
        changes = await self.supervisor().reload(blueprint)
        self.blueprint = blueprint
        event = TreeReloaded(
            added=tuple(changes.added),
            removed=tuple(changes.removed),
            changed=tuple(changes.changed),
            blueprint=code_digest(blueprint),
        )
        self._common.note(event)
        return event

    def snapshot(self) -> tuple[SlotStatus, ...]:
        """Every slot, supervisors before what is below them, children in start order."""
        from .slot_status import statuses

        return tuple(statuses(self._root.supervisor, 0))

    @property
    def handled(self) -> int:
        """Messages and ticks that were settled in this process, also by slots that the tree has no more."""
        registry = self._common.registry
        return registry.handled_by_gone + sum(slot.handled for slot in registry)

    @property
    def zombies(self) -> tuple[Path, ...]:
        """Slots with an earlier incarnation that was cancelled and has not ended."""
        return tuple(life.slot.path for life in self._common.living_zombies)

    def events(self, after: Seq = START) -> AbstractAsyncContextManager[AsyncIterator[Record]]:
        """Committed events after `after`, and those to come (see `supervisor.bus.follow`)."""
        from treewarden.supervisor.bus import follow

        return follow(self._common.journal, after)
