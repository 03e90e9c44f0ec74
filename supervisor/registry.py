"""Path -> slot, and path -> ref: how a message finds its mailbox."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain, islice
from operator import eq
from typing import TYPE_CHECKING, Final, Protocol

from treewarden.agents.audience import Audience
from treewarden.agents.core.exit import Exit
from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.errors import AgentStopped, MailboxFull, NoSuchSlot, NotHandled
from treewarden.agents.ports import Alarms
from treewarden.agents.ref import Ref
from treewarden.agents.slot import Slot
from treewarden.agents.traffic import Beginning, Traffic

from .core.spec import Router

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

__all__ = ["Partitions", "Pool", "Registry"]

_BELOW_AMONG: Final = 10_000
"""Addresses among which those below a supervisor are looked for."""
_NEAR_AMONG: Final = 1000
"""Addresses that are looked at for one that is like a wrong one: each takes some microseconds."""
_COMPARED: Final = 2000
"""Characters of those that are compared with it as they are: that takes ten times as long, of long ones a hundred."""
_BELOW: Final = 8
"""Addresses below a supervisor that are named to whoever takes it for an agent: a pipeline has few stages."""


class Pool:
    """The workers behind one address, and who gets the next message."""

    def __init__(self, path: Path, router: Router, workers: Callable[[], list[Slot]]) -> None:
        self.path = path
        self.router = router
        self._workers = workers

    @property
    def slots(self) -> list[Slot]:
        """The workers' slots, in start order."""
        return self._workers()

    def choose(self, message: object) -> list[Slot]:
        """The slots that get `message`. Raises `MailboxFull` when no worker can take one, `AgentStopped` when each has
        ended for good."""
        workers = self._workers()
        # Those that are being drained are passed over; if all are, each says so itself to whom it concerns.
        some_open = any(slot.closed is None for slot in workers)
        depths = [None if slot.closed is not None and (some_open or slot.ended) else len(slot) for slot in workers]
        places, self.router = _chosen(self.path, self.router, depths, message)
        if not places:
            raise self._refusal(workers)
        return [workers[place] for place in places]

    def had(self, path: Path) -> bool:
        """Whether one of the workers lived at `path`."""
        return path.parent == self.path

    def _refusal(self, workers: Sequence[Slot]) -> MailboxFull | AgentStopped:
        ends = [slot.closed for slot in workers if isinstance(slot.closed, AgentStopped)]
        if not ends or len(ends) < len(workers):
            text = f"{self.path}: no worker of the pool can take a message"
            return MailboxFull(text, path=self.path, retry_safe=True)
        text = f"{self.path}: each worker of the pool has ended, the last one so: {ends[-1]}"
        return AgentStopped(text, path=self.path, exit=ends[-1].exit, retry_safe=True)


class Partitions:
    """Equal parts of a tree behind one address. A key belongs to its part also while that is down."""

    def __init__(self, path: Path, router: Router, entries: Callable[[], list[Path]], registry: Registry) -> None:
        self.path = path
        self._router = router
        self._entries = entries
        self._registry = registry

    @property
    def slots(self) -> list[Slot]:
        """The mailboxes in which messages to this address may wait."""
        found = [self._registry.lookup(entry) for entry in self._entries()]
        return [
            slot for each in found if each is not None for slot in ([each] if isinstance(each, Slot) else each.slots)
        ]

    def choose(self, message: object) -> list[Slot]:
        """The slot that gets `message`. Raises `AgentStopped` and `NoSuchSlot` if its part does not take any."""
        entries = self._entries()
        (place, *_), self._router = _chosen(self.path, self._router, [0] * len(entries), message)
        found = self._registry.find(entries[place])
        return [found] if isinstance(found, Slot) else list(found.choose(message))

    def had(self, path: Path) -> bool:
        """Whether the entry of a partition was at `path`, or a pool whose worker was."""
        entries = {self._in_its_part(entry) for entry in self._entries()}
        return not entries.isdisjoint((self._in_its_part(path), self._in_its_part(path.parent)))

    def _in_its_part(self, path: Path) -> str:
        below = path if self.path == ROOT else path[len(self.path) + 1 :]
        return below.partition("/")[2]


def _chosen(
    path: Path, router: Router, depths: Sequence[int | None], message: object
) -> tuple[tuple[int, ...], Router]:
    """What the router says. Raises `NotHandled` for a message that it cannot choose by."""
    try:
        return router.choose(depths, message)
    except TypeError as error:
        raise NotHandled(f"{path}: {error}", path=path, retry_safe=True) from error


class Shelter(Protocol):
    """The slots of one supervisor that are not made before somebody asks for them."""

    @property
    def asleep(self) -> list[str]:
        """Their ids."""
        ...

    def sleeps(self, id: str) -> bool:
        """Whether there is one of this id."""
        ...

    def slot_of(self, id: str) -> Slot | None:
        """Make the one of this id, if there is one, and add it here."""
        ...

    def close_asleep(self, reason: str, exit: Exit | None) -> None:
        """None of them will be needed any more, because of `reason`."""
        ...


class Registry:
    """Every slot of one tree by its path. It outlives incarnations, also those of supervisors."""

    def __init__(self, alarms: Alarms) -> None:
        self._beginning = Beginning(self.has)
        self._traffic = Traffic(alarms, self._beginning)
        self._slots: dict[Path, Slot] = {}
        self._pools: dict[Path, Pool | Partitions | Audience] = {}
        self._shelters: dict[Path, Shelter] = {}
        """By the path of their supervisor."""
        self._paused: dict[Path, dict[str, None]] = {}
        """Supervisors below which nobody is handed anything, and why."""
        self.handled_by_gone = 0
        """What was settled by slots that are not here any more."""

    def __iter__(self) -> Iterator[Slot]:
        """Those that have been made."""
        return iter(self._slots.values())

    def within(self, path: Path) -> Iterator[Slot]:
        """The slots at and below `path` that have been made."""
        slot = self._slots.get(path)
        if slot is not None:
            yield slot
        if slot is None or (type(slot) is not Slot and _is_shared(slot)):
            yield from (below for below in self._slots.values() if below is not slot and below.path.is_within(path))

    def get(self, path: Path) -> Slot | None:
        slot = self._slots.get(path)
        if slot is None:
            shelter = self._shelters.get(path.parent)
            slot = shelter.slot_of(path.name) if shelter is not None else None
        return slot

    def is_made(self, path: Path) -> bool:
        """Whether there is a slot that somebody has needed."""
        return path in self._slots

    def has(self, path: Path) -> bool:
        """Whether a message can be addressed to `path`."""
        return path in self._pools or self.has_mailbox(path)

    def has_mailbox(self, path: Path) -> bool:
        """Whether messages can wait at `path` itself, and not with others behind it."""
        if path in self._slots:
            return True
        shelter = self._shelters.get(path.parent)
        return shelter is not None and shelter.sleeps(path.name)

    def knows(self, path: Path) -> bool:
        """Whether there is an address at `path` or below it, be it of a slot that nobody has needed yet."""
        return self.has(path) or any(each.is_within(path) for each in chain(self._slots, self._pools, self._shelters))

    def shelter(self, path: Path, shelter: Shelter) -> None:
        """Make slots right below `path` by `shelter` from now on, when they are needed."""
        self._shelters[path] = shelter

    def raze(self, path: Path) -> None:
        """No slot right below `path` will be needed any more."""
        self._shelters.pop(path, None)

    def close_asleep(self, path: Path, reason: str, exit: Exit | None) -> None:
        """Have slots below `path` that have not been made be closed when they are."""
        for above, shelter in self._shelters.items():
            if above.is_within(path):
                shelter.close_asleep(reason, exit)

    def add(self, slot: Slot) -> None:
        self._slots[slot.path] = slot
        for path, reasons in self._paused.items():
            if slot.path.is_within(path):
                for why in reasons:
                    slot.pause(_said(path, why))

    # -- supervisors that are held or throttled: none has a mailbox, so it is whoever lives below that is handed nothing

    def pause_below(self, path: Path, why: str) -> None:
        """Hand neither messages nor ticks to whoever lives below the supervisor at `path`, in whichever life, until
        `resume_below`. Several reasons add up."""
        self._paused.setdefault(path, {})[why] = None
        for slot in self.within(path):
            slot.pause(_said(path, why))

    def resume_below(self, path: Path, why: str) -> None:
        """Take one reason away, if it is one."""
        reasons = self._paused.get(path, {})
        if why not in reasons:
            return
        del reasons[why]
        if not reasons:
            del self._paused[path]
        for slot in self.within(path):
            slot.resume(_said(path, why))

    def is_paused_below(self, path: Path, why: str = "") -> bool:
        """Whether whoever lives below the supervisor at `path` is handed nothing for its sake; for this reason, if one
        is given."""
        reasons = self._paused.get(path)
        return reasons is not None and (not why or why in reasons)

    def lift_pauses(self, path: Path) -> None:
        """Nobody lives at or below `path`, and whoever begins there is not held or throttled."""
        for each in [each for each in self._paused if each.is_within(path)]:
            for why in list(self._paused[each]):
                self.resume_below(each, why)

    def forget_pauses(self, path: Path) -> None:
        """Nobody will live at or below `path` any more."""
        for gone in [each for each in self._paused if each.is_within(path)]:
            del self._paused[gone]

    # -- others than slots

    def starting(self, paths: Callable[[], Collection[Path]], *, whole: bool = False) -> AbstractContextManager[None]:
        """In the block these start, one after the other: who has begun waits for who comes later. See `Beginning`."""
        return self._beginning.of(paths, whole=whole)

    def fails_below(self, path: Path) -> None:
        """A supervisor has not started: nobody waits for those below it who have not begun."""
        self._beginning.fails_below(path)

    def goes_on(self) -> None:
        """A supervisor and its children can be told something now."""
        self._beginning.goes_on()

    def add_pool(self, path: Path, pool: Pool | Partitions | Audience) -> None:
        self._pools[path] = pool

    def remove_pools(self, path: Path) -> None:
        """No pool, partitions or topic is at or below `path` any more."""
        slot = self._slots.get(path)
        if slot is None or (type(slot) is not Slot and _is_shared(slot)):
            for each in [each for each in self._pools if each.is_within(path)]:
                del self._pools[each]

    def remove_pool(self, path: Path) -> None:
        """Nothing but a slot is at `path` any more."""
        self._pools.pop(path, None)

    def lookup(self, path: Path) -> Slot | Pool | Partitions | Audience | None:
        """Whatever can be told something at `path`, also a slot that has ended."""
        return self._pools.get(path) or self.get(path)

    def remove(self, path: Path) -> None:
        gone = self._slots.pop(path, None)
        if gone is not None:
            self.handled_by_gone += gone.handled
        self._pools.pop(path, None)

    def which_had(self, path: Path) -> Pool | Partitions | None:
        """The pool or the partitions of which whoever lived at `path` was one: they may have become fewer."""
        above = path
        while above != ROOT:
            above = above.parent
            found = self._pools.get(above)
            if isinstance(found, (Pool, Partitions)) and found.had(path):
                return found
        return None

    def find(self, path: Path) -> Slot | Pool | Partitions | Audience:
        """The slot, pool or topic at `path`.

        Raises `NoSuchSlot` with what is near, `AgentStopped` for a slot that ended for good.
        """
        pool = self._pools.get(path)
        if pool is not None:
            return pool
        slot = self.get(path)
        if slot is None:
            raise self._nowhere(path)
        if isinstance(slot.closed, AgentStopped):
            raise AgentStopped(str(slot.closed), path=path, exit=slot.closed.exit)
        return slot

    def _nowhere(self, path: Path) -> NoSuchSlot:
        """What to say of a path at which nobody can be told anything, with what is near."""
        names = islice(self._names(), _BELOW_AMONG)
        below = [name for name in names if name.is_within(path)]
        if below:
            text = f"{path} is a supervisor, which takes no messages; tell one of those below it: {_some(below)}"
            return NoSuchSlot(text, path=path, retry_safe=True)
        return NoSuchSlot(f"{path}: the tree has no such slot{self.near(path)}", path=path, retry_safe=True)

    def near(self, path: Path, others: Iterable[Path] = ()) -> str:
        """What could be meant by a path that leads nowhere, or else some that there are; `others` have no mailbox."""
        among = chain(islice(self._names(), _NEAR_AMONG), islice(others, _NEAR_AMONG))
        names = {name.lower(): name for name in among}
        near = _near(path.lower(), names)
        if near:
            return f"; did you mean {' or '.join(names[each] for each in near)}?"
        return f"; there is {_some(names.values())}" if names else ""

    def _names(self) -> Iterator[Path]:
        yield from self._slots
        yield from self._pools
        for above, shelter in self._shelters.items():
            yield from (above / id for id in shelter.asleep)

    def ref(self, path: Path) -> Ref:
        """A reference to `path`. Whether it exists, and whether it is a pool, is seen when it is used."""
        return Ref(path, self.find, self._traffic)


def _near(path: str, names: Collection[str]) -> list[str]:
    """Up to three that are like `path`. Everybody waits for it: of many, only those are compared with it as they are
    that have most of its characters at the same places, from the beginning or from the end."""
    import difflib  # with the first path that leads nowhere

    most = max(3, _COMPARED // (len(path) + 1))
    if len(names) > most:
        back = path[::-1]
        same = {name: sum(map(eq, name, path)) + sum(map(eq, name[::-1], back)) for name in names}
        names = sorted(names, key=lambda name: (-same[name], name))[:most]
    return difflib.get_close_matches(path, names, n=3)


def _some(names: Collection[Path]) -> str:
    """Those nearest to the root, by name: who sleeps comes in no other place."""
    first = sorted(names, key=lambda name: (name.count("/"), name))[:_BELOW]
    return ", ".join(first) + (", …" if len(names) > _BELOW else "")


def _said(path: Path, why: str) -> str:
    """As a reason of a slot, by which its askers are told."""
    return f"{path} is {why}"


def _is_shared(slot: Slot) -> bool:
    """Whether workers take from it, who have slots below."""
    from treewarden.agents.shared import SharedQueue  # as whoever made a slot of another class has

    return isinstance(slot, SharedQueue)
