"""A supervisor's table of children: how one is started and stopped, and how groups of them are."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from treewarden.agents.core.exit import Exit, Failed, Failure, Finished, Stopped, describe
from treewarden.agents.core.lifecycle import SlotEvent
from treewarden.agents.core.path import Path
from treewarden.agents.errors import ConfigurationError, Ignore
from treewarden.agents.shared import SharedQueue, SharedWorker
from treewarden.agents.slot import Slot

from .bulk import start_in_order, stop_in_order
from .child import Child, Incarnation, Parent
from .core.case import cannot_read
from .core.event import ChildEnded, ChildIgnored, ChildStarted, ChildStartFailed
from .core.signal import RestartFailed
from .core.spec import BrutalKill, ChildSpec, Grace, RestartPolicy, Spec, Strategy, made_from
from .fence import AgentLife, is_born_asleep
from .recovery import close_slot, is_at_rest, keep_in_hand, make_slot

if TYPE_CHECKING:
    from .supervisor import Supervisor

__all__ = ["Children", "describe_exit", "exit_name"]


class Children:
    """The children in start order. Only the supervisor's own task starts and stops them."""

    def __init__(self, path: Path, parent: Parent, strategy: Strategy, supervisor: type[Supervisor]) -> None:
        self.path = path
        self.strategy = strategy
        self._parent = parent
        self._common = parent.common
        self._supervisor = supervisor
        self._table: dict[str, Child] = {}
        self._order: tuple[str, ...] | None = None
        self._numbers = itertools.count(1)
        self._make: Callable[..., Slot] = Slot
        """Makes the slots of its agents."""

    def share(self, queue: SharedQueue) -> None:
        """Let those that are added from now on take their messages from `queue`."""
        self._make = partial(SharedWorker, queue=queue)

    # -- the table

    def __iter__(self) -> Iterator[Child]:
        return iter(list(self._table.values()))

    def __len__(self) -> int:
        return len(self._table)

    def get(self, id: str) -> Child | None:
        return self._table.get(id)

    @property
    def order(self) -> tuple[str, ...]:
        """The ids in start order."""
        if self._order is None:
            self._order = tuple(self._table)
        return self._order

    def free_id(self, stem: str) -> str:
        """A new name for a dynamic child, `job-7`. No number comes twice in the life of this supervisor."""
        return next(id for number in self._numbers if (id := f"{stem}-{number}") not in self._table)

    def add(self, spec: Spec, *, args: Mapping[str, Any] | None = None, lives: int = 0) -> Child:
        """Put a spec at the end of the table, not yet started.

        `args` are a dynamic child's own; `lives` is how many it had under an earlier incarnation of its supervisor.
        Raises `ConfigurationError` for an agent whose state or messages cannot be stored as its durability demands.
        """
        child = Child(spec, self.path / spec.id, args or {}, lives=lives)
        self._give_slot(child)
        self._table[spec.id] = child
        self._order = None
        return child

    def _give_slot(self, child: Child) -> None:
        """An agent has a slot, a supervisor has none; what was there goes if a new spec has made one of the other."""
        if child.turned:
            self.forget(child.path, "something else lives there now")
            child.slot, child.turned = None, False
        if isinstance(child.spec, ChildSpec):
            child.slot = make_slot(child.path, child.spec, self._common, self._make)
            child.slot_for = child.spec

    def reorder(self, specs: Sequence[Spec]) -> list[Child]:
        """Replace the specs (OTP's code change): known ids get the new spec and keep their life, new ones are added
        without being started, ids no longer listed stay behind the others. Returns those that are new.

        Raises `ConfigurationError` as `add` does; then everything is as it was.
        """
        before = dict(self._table)
        try:
            new = [self.add(spec) for spec in specs if spec.id not in before]
        except ConfigurationError:
            self._table, self._order = before, None
            raise
        for spec in specs:
            _give_spec(self._table[spec.id], spec)
        listed = {spec.id: self._table[spec.id] for spec in specs}
        self._table, self._order = {**listed, **self._table}, None
        return new

    def remake(self, template: Spec) -> list[Child]:
        """Give all dynamic children the specs that a new template makes, from their next start. Returns those whose
        spec is another one now."""
        changed = list[Child]()
        for child in self:
            spec = made_from(template, child.spec.id, child.args)
            if spec != child.spec:
                _give_spec(child, spec)
                changed.append(child)
        return changed

    def drop(self, child: Child, reason: str, exit: Exit | None = None) -> None:
        """Take an entry out for good; what waited in its mailbox becomes dead letters."""
        child.void()
        self._table.pop(child.spec.id, None)
        self._order = None
        self.forget(child.path, reason, exit)

    def forget(self, path: Path, reason: str, exit: Exit | None = None) -> None:
        """Nobody will live at or below `path` any more."""
        for slot in list(self._common.registry.within(path)):
            close_slot(slot, reason, exit)
            self._common.forget(slot.path)
        for ended in [ended for ended in self._common.left if ended.is_within(path)]:
            del self._common.left[ended]

    def close(self, child: Child, reason: str, exit: Exit | None = None) -> None:
        """The slot is down for good, as far as anybody knows: nobody will handle what waits there."""
        for slot in list(self._common.registry.within(child.path)):
            close_slot(slot, reason, exit)

    # -- one child

    async def start(self, child: Child, *, asked: bool = False) -> Failure | None:
        """Start one child and wait until it has begun. A start that was ignored is none that failed, nor is one of a
        child whose stored state or messages the code at hand cannot read: it is held, and they stay.

        `asked` says that a call wants it, and that its caller will be told.
        """
        if self.can_start_at_once(child):
            failure = self.start_at_once(child, asked=asked)
            await trio.lowlevel.checkpoint_if_cancelled()
            return failure
        child.void()
        child.lift()
        child.note = ""
        child.move(SlotEvent.START)
        outcome = await self._bring_to_life(child)
        return self._started(child, outcome, asked=asked)

    def can_start_at_once(self, child: Child) -> bool:
        """Whether a start of this child needs no waiting: it is born hibernated, into a slot that is as it was left."""
        slot, spec = child.slot, child.spec
        return (
            slot is not None
            and child.slot_for is spec
            and isinstance(spec, ChildSpec)
            and is_born_asleep(spec.agent)
            and is_at_rest(slot, self._common)
        )

    def start_at_once(self, child: Child, *, asked: bool = False) -> Failure | None:
        """`start`, where `can_start_at_once`."""
        child.void()
        child.lift()
        child.note = ""
        child.move(SlotEvent.START)
        assert child.slot is not None
        child.slot.reopen()
        life = AgentLife(child, self._parent, child.lives + 1)
        child.current = life
        return self._started(child, self._born(child, life, life.start_asleep()), asked=asked)

    def _started(self, child: Child, outcome: Failure | Ignore | None, *, asked: bool = False) -> Failure | None:
        if outcome is None:
            child.move(SlotEvent.STARTED)
            self._common.note(ChildStarted(path=child.path, incarnation=child.lives, attempt=child.attempt + 1))
            return None
        child.current = None
        if isinstance(outcome, Ignore):
            child.move(SlotEvent.IGNORED)
            self._common.note(ChildIgnored(path=child.path))
            if child.spec.restart is RestartPolicy.TEMPORARY or self.strategy is Strategy.DYNAMIC:
                self.drop(child, "it had nothing to do")
            return None
        child.move(SlotEvent.START_FAILED)
        self._common.note(ChildStartFailed(path=child.path, failure=outcome, asked=asked))
        if cannot_read(outcome):  # nobody's fault, and nothing that another attempt would mend: its supervisor holds it
            child.move(SlotEvent.DELAY)
            self._parent.post(RestartFailed(path=child.path, at=self._common.clock.now(), failure=outcome))
            return None
        return outcome

    async def _bring_to_life(self, child: Child) -> Failure | Ignore | None:
        try:
            self._give_slot(child)
        except ConfigurationError as error:
            child.error = error
            return describe(error)
        kind = AgentLife if isinstance(child.spec, ChildSpec) else self._supervisor
        life = kind(child, self._parent, child.lives + 1)
        child.current = life
        return self._born(child, life, await life.start())

    def _born(
        self, child: Child, life: AgentLife | Supervisor, outcome: Failure | Ignore | None
    ) -> Failure | Ignore | None:
        child.error = life.error
        if outcome is None:
            child.lives, child.last = life.number, life.serial
        return outcome

    async def stop(self, child: Child, reason: str = "shutdown", *, drain: bool = False) -> None:
        """Stop one child by its own rules and wait until it has ended. One that is down stays down."""
        child.void()
        life = child.current
        if life is None:
            child.move(SlotEvent.STOP)
            return
        child.move(SlotEvent.STOP)
        if life.exit is None:
            await self._end(child, life, reason, drain=drain)
        await life.wait_emptied()
        self.account(child, expected=True)
        keep_in_hand(life, self._common)

    def stop_at_once(self, child: Child, reason: str, *, drain: bool = False) -> bool:
        """`stop`, if that needs no waiting. False: nothing was done."""
        life = child.current
        if not isinstance(life, AgentLife) or not isinstance(child.spec.shutdown, Grace):
            return False
        if life.exit is None and not life.stop_asleep(reason, drain=drain):
            return False
        child.void()
        child.move(SlotEvent.STOP)
        self.account(child, expected=True)
        keep_in_hand(life, self._common)
        return True

    async def _end(self, child: Child, life: Incarnation, reason: str, *, drain: bool) -> None:
        match child.spec.shutdown:
            case Grace(seconds):
                life.order_stop(reason, drain=drain)
                with trio.move_on_after(seconds) if seconds < math.inf else trio.CancelScope():
                    await life.wait_ended()
            case BrutalKill():
                pass
        if life.exit is None:
            await self.kill(life)

    async def kill(self, life: Incarnation, failure: Failure | None = None) -> None:
        """End an incarnation without asking, and wait for that."""
        life.kill(failure)
        await life.wait_ended()

    def account(self, child: Child, *, expected: bool) -> Exit:
        """The current life has ended: take note. Returns how."""
        life = child.current
        assert life is not None
        assert life.exit is not None
        child.current = None
        child.move(SlotEvent.EXITED)
        exit = life.exit
        child.ended = ChildEnded(
            path=child.path,
            incarnation=life.number,
            exit=exit_name(exit),
            reason=exit.reason if isinstance(exit, Stopped) else "",
            failure=exit.failure if isinstance(exit, Failed) else None,
            expected=expected,
            uptime=self._common.clock.now() - life.started_at,
        )
        self._common.note(child.ended)
        return exit

    @contextmanager
    def noted_together(self) -> Generator[None]:
        """Make one commit of what starts and stops at once in the block, which must not wait for anything."""
        self._common.gather()
        try:
            yield
        finally:
            self._common.write_gathered()

    # -- groups

    async def start_group(self, children: Sequence[Child]) -> tuple[Child, Failure] | None:
        """Start these in order; returns the one that failed, after which no more are tried."""
        return await start_in_order(self, children)

    async def stop_group(self, children: Sequence[Child], reason: str = "shutdown", *, drain: bool = False) -> None:
        """Stop these one after the other, the last one first. Temporary ones are dropped: nobody starts them again."""
        for child in reversed(children):
            await self.stop(child, reason, drain=drain)
            if child.spec.restart is RestartPolicy.TEMPORARY:
                self.drop(child, "it was stopped with its group")

    async def stop_all(self, reason: str, *, drain: bool = False) -> None:
        """Stop every child: in reverse start order, one at a time; dynamic ones all at once."""
        await stop_in_order(self, list(self), reason, drain=drain, one_by_one=self.strategy is not Strategy.DYNAMIC)

    @property
    def running(self) -> int:
        """How many have a current life."""
        return sum(child.current is not None for child in self)


def _give_spec(child: Child, spec: Spec) -> None:
    child.turned = child.turned or type(spec) is not type(child.spec)
    child.spec = spec


def exit_name(exit: Exit) -> str:
    """An exit as events name it: finished, stopped or failed."""
    return type(exit).__name__.lower()


def describe_exit(exit: Exit) -> str:
    """An exit in a word or two, for sentences."""
    match exit:
        case Finished():
            return "it finished"
        case Stopped(reason):
            return f"it ended ({reason})"
        case Failed(failure):
            return f"it failed: {failure}"
