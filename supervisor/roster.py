"""Who is in a supervisor's table, in start order; and whoever sleeps there becomes a child when somebody looks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from treewarden.agents.core.exit import Exit, Stopped
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.path import Path, check_id
from treewarden.agents.errors import ConfigurationError
from treewarden.agents.slot import Slot

from .child import BY_HAND, BY_HAND_DOWN, Child, Parent
from .core.event import ChildEnded
from .core.exits import end_of
from .core.spec import ChildSpec, Spec, Strategy, SupervisorSpec, made_from, slots_of
from .fence import AgentLife
from .journal.port import Commit
from .orphans import Orphans
from .recovery import make_slot
from .sleeper import NO_ARGS, Sleeper, may_sleep
from .unsettled import close_slot, give_up_drained, has_past, leave_behind

if TYPE_CHECKING:
    from treewarden.agents.shared import SharedQueue

__all__ = ["Entry", "Roster"]

Entry: TypeAlias = Child | Sleeper
_HELD: Final = {BY_HAND, BY_HAND_DOWN}
_LEFT: Final = "its supervisor was restarted, and nobody has started it again"
_NOT_PART: Final = "its supervisor was restarted, and it is not part of the tree"


class Roster:
    """The children in start order. Only the supervisor's own task changes who they are.

    It outlives its supervisor: until the next one has a roster of its own, it knows whose slots were never needed.
    """

    alike: bool
    """Dynamic children, and those behind one address: none of them has what another one needs to end."""

    def __init__(self, path: Path, parent: Parent, spec: SupervisorSpec) -> None:
        self.path = path
        self.go_by(spec)
        self._parent = parent
        self._common = parent.common
        self._table: dict[str, Entry] = {}
        self._order: tuple[str, ...] | None = None
        self._numbers = itertools.count(1)
        self._make: Callable[..., Slot] = Slot
        """Makes the slots of its agents."""
        self.beyond_spec = set[str]()
        """Ids of children that its supervisor's spec does not name: they were added to it while it ran."""
        self._behind = dict[str, Spec]()
        """Who was left behind and has something on disk, by the ids."""
        self._begun = False
        """Its supervisor has come so far that this is the roster at its path."""
        self._sleepers_end: Exit = Stopped("")
        """How those ended who had slept until then."""
        self.orphans = Orphans()
        self._closed: tuple[str, Exit | None] | None = None
        """Why nobody will live here any more, for slots that have not been made."""

    def go_by(self, spec: SupervisorSpec) -> None:
        """Its supervisor has this spec from now on."""
        self.strategy = spec.strategy
        self.alike = spec.strategy is Strategy.DYNAMIC or spec.router is not None

    def share(self, queue: SharedQueue) -> None:
        """Let those that are added from now on take their messages from `queue`."""
        from treewarden.agents.shared import SharedWorker  # as whoever made such a queue has

        self._make = partial(SharedWorker, queue=queue)

    # -- looking

    def __len__(self) -> int:
        return len(self._table)

    def __iter__(self) -> Iterator[Child]:
        """All of them as children, so that nobody sleeps any more; see `awake` and `entries`."""
        return iter([child for id in self.order if (child := self.get(id)) is not None])

    @property
    def awake(self) -> list[Child]:
        """Those that do not sleep. Sleepers are in no trouble, use nothing, and are not significant."""
        return [entry for entry in self._table.values() if not isinstance(entry, Sleeper)]

    @property
    def entries(self) -> list[tuple[str, Entry]]:
        """All of them with their ids, as they are."""
        return list(self._table.items())

    @property
    def order(self) -> tuple[str, ...]:
        """The ids in start order."""
        if self._order is None:
            self._order = tuple(self._table)
        return self._order

    @property
    def running(self) -> int:
        """How many have a current life."""
        return sum(
            entry.agent is not None if isinstance(entry, Sleeper) else entry.current is not None
            for entry in self._table.values()
        )

    def get(self, id: str) -> Child | None:
        entry = self._table.get(id)
        return self._rise(id, entry) if isinstance(entry, Sleeper) else entry

    def entry(self, id: str) -> Entry | None:
        """Who is there, as it is."""
        return self._table.get(id)

    def spec_of(self, id: str) -> Spec | None:
        entry = self._table.get(id)
        if entry is None or not (isinstance(entry, Sleeper) and self.strategy is Strategy.DYNAMIC):
            return None if entry is None else entry.spec
        return made_from(entry.spec, id, entry.args)

    def free_id(self, stem: str) -> str:
        """A new name for a dynamic child, `job-7`, under which nobody lives, nor orphans. No number comes twice in the
        life of this supervisor."""
        names = (f"{stem}-{number}" for number in self._numbers)
        return next(id for id in names if id not in self._table and self.orphans.below(id) is None)

    # -- sleepers

    def _rise(self, id: str, sleeper: Sleeper) -> Child:
        """Make a child of a sleeper: its slot, and the life that began when it was started, if it lasts."""
        spec, path = self.spec_of(id), self.path / id
        assert isinstance(spec, ChildSpec)
        child = self._table[id] = Child(spec, path, sleeper.args, lives=sleeper.lives, last=sleeper.last)
        slot = child.slot = make_slot(path, spec, self._common, self._make)
        child.slot_for = spec
        if sleeper.agent is not None:
            child.state = SlotState.UP
            child.current = AgentLife(child, self._parent, sleeper.lives, sleeper.last)
            child.current.go_on_asleep(sleeper.agent, sleeper.since)
        elif sleeper.last:
            child.ended = self._ended(path, sleeper)
        if self._closed is not None:
            close_slot(slot, *self._closed, self._common)
        for drain in self._common.draining:
            drain(slot)
        return child

    def _ended(self, path: Path, sleeper: Sleeper) -> ChildEnded:
        return end_of(path, sleeper.lives, self._sleepers_end, expected=True, uptime=sleeper.since)

    @property
    def asleep(self) -> list[str]:
        """The ids of those who sleep."""
        return [id for id, entry in self._table.items() if isinstance(entry, Sleeper)]

    def sleeps(self, id: str) -> bool:
        return isinstance(self._table.get(id), Sleeper)

    def slot_of(self, id: str) -> Slot | None:
        """The slot of one who slept until now; None if nobody does."""
        entry = self._table.get(id)
        return self._rise(id, entry).slot if isinstance(entry, Sleeper) else None

    def leave_asleep(self) -> None:
        """The supervisor ends without stopping them: nobody lives here any more."""
        for entry in self._table.values():
            if isinstance(entry, Sleeper):
                entry.agent = None

    def close_asleep(self, reason: str, exit: Exit | None) -> None:
        """Slots that have not been made are to be closed when they are, for good."""
        if self._closed is None:
            self._closed = reason, exit

    # -- who belongs here

    def enrol(self, spec: Spec, *, lives: int = 0) -> None:
        """`add`, but to sleep if it can."""
        if self._behind:
            self._make_way(spec.id, spec)
        path = self.path / spec.id
        made = self._common.registry.is_made(path) or (self._common.questions and path in self._common.questions)
        if self._make is Slot and may_sleep(spec) and not made:
            assert isinstance(spec, ChildSpec)
            self._table[spec.id] = Sleeper(spec, NO_ARGS, lives)
            self._order = None
        else:
            self.add(spec, lives=lives)

    def enrol_like(self, template: Spec, id: str, args: Mapping[str, Any]) -> Sleeper | None:
        """`add` what a template makes, to sleep. None, if it cannot; nothing was done then. Raises `ValueError` for an
        id that is none."""
        if self._behind:
            self._make_way(id, template)
        if not may_sleep(template) or self._common.registry.is_made(self.path / id):
            return None
        assert isinstance(template, ChildSpec)
        sleeper = self._table[check_id(id)] = Sleeper(template, args or NO_ARGS, 0)
        self._order = None
        return sleeper

    def add(self, spec: Spec, *, args: Mapping[str, Any] | None = None, lives: int = 0) -> Child:
        """Put a spec at the end of the table, not yet started.

        `args` are a dynamic child's own; `lives` is how many it had under an earlier incarnation of its supervisor.
        Raises `ConfigurationError` for an agent whose state or messages cannot be stored as its durability demands.
        """
        if self._behind:
            self._make_way(spec.id, spec)
        child = Child(spec, self.path / spec.id, args or NO_ARGS, lives=lives)
        self._give_slot(child)
        self._table[spec.id] = child
        self._order = None
        return child

    def take_over(self, specs: Iterable[Spec]) -> None:
        """Begin with these. Whoever was here while an earlier incarnation of the supervisor ran goes on counting lives;
        those that were added then are left behind, until somebody adds them again. What a person holds waits on."""
        before, self._begun = self._common.left.pop(self.path, None), True
        self._common.registry.shelter(self.path, self)
        self._behind = {} if before is None else before._behind
        for spec in specs:
            known = None if before is None else before._table.pop(spec.id, None)
            if known is not None and slots_of(known.spec) != slots_of(spec):
                self._behind[spec.id] = known.spec
            if isinstance(known, Child) and known.path not in self._common.questions:
                if known.question is not None and not _HELD.isdisjoint(known.question.over):
                    self._common.questions[known.path] = known.question
                else:
                    self._nothing_is_asked(known, "its supervisor was started anew")
            self.enrol(spec, lives=0 if known is None else known.lives)
        if before is not None:
            if before.strategy is not Strategy.DYNAMIC:
                self._forget_asleep(before)
            for child in before.awake:
                self._nothing_is_asked(child, _NOT_PART)
                if before.strategy is Strategy.DYNAMIC or child.spec.id in before.beyond_spec:
                    self._leave_behind(child, _LEFT)
                else:
                    self.forget(child.path, _NOT_PART)

    def leave(self) -> None:
        """The supervisor has ended; its next incarnation goes on from here."""
        self.leave_asleep()
        for child in self.awake:
            child.leave()
        if self._begun:
            self._common.left[self.path] = self

    def _give_slot(self, child: Child) -> None:
        """An agent has a slot, a supervisor has none; what was there goes if a new spec has made one of the other."""
        if child.turned:
            self.forget(child.path, "something else lives there now")
            child.slot, child.turned = None, False
        if isinstance(child.spec, ChildSpec):
            child.slot = make_slot(child.path, child.spec, self._common, self._make)
            child.slot_for = child.spec
            if child.spec.uses and self._common.any_broken:
                self._common.dependencies.join(child)

    def _make_way(self, id: str, spec: Spec) -> None:
        """What was left behind at `id` goes if it is of another kind than what is to live there: no slot is both."""
        if slots_of(self._behind.get(id, spec)) != slots_of(spec):
            del self._behind[id]
            self.forget(self.path / id, "something else lives there now")

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
            self._give_spec(spec.id, spec)
        listed = {spec.id: self._table[spec.id] for spec in specs}
        self._table, self._order = {**listed, **self._table}, None
        return new

    def _give_spec(self, id: str, spec: Spec) -> None:
        entry = self._table[id]
        if isinstance(entry, Sleeper):
            if isinstance(spec, ChildSpec) and entry.spec == spec:
                entry.spec = spec
                return
            entry = self._rise(id, entry)
        entry.turned = entry.turned or type(spec) is not type(entry.spec)
        entry.spec = spec

    def remake(self, template: Spec) -> list[Child]:
        """Give all dynamic children the specs that a new template makes, from their next start. Returns those whose
        spec is another one now."""
        changed = list[Child]()
        for id, entry in self.entries:
            if isinstance(entry, Sleeper):
                if entry.spec == template:
                    continue
                entry = self._rise(id, entry)
            spec = made_from(template, id, entry.args)
            if spec != entry.spec:
                self._give_spec(id, spec)
                changed.append(entry)
        return changed

    # -- who does not any more

    def drop(self, child: Child, reason: str, exit: Exit | None = None, *, stays: bool = False) -> None:
        """Take an entry out for good; what waited in its mailbox becomes dead letters. Where something `stays`, that
        waits on disk for whoever begins there."""
        child.void()
        child.leave()
        self._nothing_is_asked(child, reason)
        self._table.pop(child.spec.id, None)
        self.beyond_spec.discard(child.spec.id)
        self._behind.pop(child.spec.id, None)
        self._order = None
        act = partial(self._leave_behind, child, reason) if stays else partial(self.forget, child.path, reason, exit)
        self.orphans.when_gone(child.spec.id, act)

    def drop_asleep(self, id: str) -> None:
        """`drop`, of one who sleeps and has ended: nothing was ever made for it."""
        del self._table[id]
        self._order = None
        self._common.submit(Commit(forget=(self.path / id,)))

    def _nothing_is_asked(self, child: Child, why: str) -> None:
        if self._common.questions:
            child.question = self._common.questions.pop(child.path, child.question)
        if child.question is not None:
            from .questions import answered  # most trees start and end without it

            answered(child, why, self._common)

    def forget(self, path: Path, reason: str, exit: Exit | None = None) -> None:
        """Nobody will live at or below `path` any more."""
        registry = self._common.registry
        registry.remove_pools(path)
        registry.forget_pauses(path)
        for slot in list(registry.within(path)):
            close_slot(slot, reason, exit, self._common)
            give_up_drained(slot, reason, self._common)
            self._common.forget(slot.path)
        for below in [below for below in self._common.left if below.is_within(path)]:
            gone = self._common.left.pop(below)
            for child in gone.awake:
                self._nothing_is_asked(child, reason)
            self._forget_asleep(gone)
            registry.raze(below)

    def _leave_behind(self, child: Child, why: str) -> None:
        """Nobody lives at or below a child until it is added again: what is on disk waits for that, if anything is."""
        common, registry = self._common, self._common.registry
        slots = list(registry.within(child.path))
        if not any(has_past(slot, common) for slot in slots):
            self.forget(child.path, why)
            return
        for below, gone in common.left.items():
            if below.is_within(child.path):
                for each in gone.awake:
                    self._nothing_is_asked(each, why)
        for slot in slots:
            leave_behind(slot, why, common)
            if slot.store is None:
                registry.remove(slot.path)
        registry.remove_pools(child.path)
        registry.lift_pauses(child.path)
        registry.close_asleep(child.path, why, None)
        self._behind[child.spec.id] = child.spec

    def _forget_asleep(self, gone: Roster) -> None:
        paths = tuple(gone.path / id for id in gone.asleep)
        if paths:
            self._common.submit(Commit(forget=paths))

    def close(self, child: Child, reason: str, exit: Exit | None = None) -> None:
        """The slot is down for good, as far as anybody knows: nobody will handle what waits there."""
        self._nothing_is_asked(child, reason)
        child.note = ""
        self.orphans.when_gone(child.spec.id, partial(self._close, child, reason, exit))

    def _close(self, child: Child, reason: str, exit: Exit | None) -> None:
        registry = self._common.registry
        for slot in list(registry.within(child.path)):
            close_slot(slot, reason, exit, self._common)
        child.lift()
        registry.resume_below(child.path, "held")
        if isinstance(child.spec, SupervisorSpec):
            registry.close_asleep(child.path, reason, exit)
