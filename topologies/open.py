"""`open_tree`: the composition root, and the only place that chooses implementations."""

from __future__ import annotations

import itertools
import math
import os
import random
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from functools import cache, partial
from typing import TYPE_CHECKING, Final

import trio

from treewarden.agents import demand
from treewarden.agents.core.exit import leaves
from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.errors import ConfigurationError, TreeFailed
from treewarden.agents.ports import Clock
from treewarden.agents.version import VERSION
from treewarden.supervisor.bulk import collector_at_rest, give_up_starting
from treewarden.supervisor.common import Common, LoopClock
from treewarden.supervisor.core.event import (
    EventsPruned,
    IncidentClosed,
    OutcomeObserved,
    QuestionAsked,
    RolledBack,
    SlotMoved,
    TreeClosed,
    TreeOpened,
)
from treewarden.supervisor.core.spec import ChildSpec, Spec
from treewarden.supervisor.health import watch_progress
from treewarden.supervisor.journal.port import CODE, START, Commit, Journal, Seq
from treewarden.supervisor.loop_watch import LoopWatch, runs_in_real_time, signal_block
from treewarden.supervisor.registry import Registry
from treewarden.supervisor.timers import Timers
from treewarden.supervisor.unhurried import imported, unhurried

from .code_digest import code_digest
from .core.blueprint import Blueprint, walk
from .errors import check_options, checked
from .obeying import obey
from .root import Root
from .running import Tree

if TYPE_CHECKING:
    from treewarden.supervisor.core.retention import EventRetention
    from treewarden.supervisor.journal.anchoring import Anchoring
    from treewarden.supervisor.journal.slices import Slices
    from treewarden.supervisor.pruning import Pruning

__all__ = ["journal_in", "open_tree"]

_LESSONS: Final = 5000
"""Events at the end of the journal that are read for outcomes when a tree opens."""
_TELLING: Final = frozenset({"IncidentClosed", "OutcomeObserved", "RolledBack", "SlotMoved", *CODE})
"""Kinds of events of which a tree that opens wants to know."""
_TURN: Final = 1000
"""Slots that are looked up before everybody else has a turn."""
_LEAVE_WITHIN: Final = 60.0
"""Seconds that a tree has to stop in order when its block was left by an exception; otherwise it is said then who takes
longer."""


@asynccontextmanager
async def open_tree(
    blueprint: Blueprint,
    *,
    journal: str | os.PathLike[str] | Journal | None = None,
    clock: Clock | None = None,
    seed: int | None = None,
    wall: Callable[[], float] = time.time,
    anchor: Anchoring | None = None,
    production: bool = False,
    events: EventRetention | None = None,
) -> AsyncGenerator[Tree]:
    """Run a tree for the length of a block.

    Entering returns when every child has begun. Leaving stops the tree in order: intake ends, what is in hand is
    finished, states are kept, children end in reverse order, each within its grace; then the journal is closed. An
    exception in the block does the same, within a minute, and then by force; one while it opens, as Ctrl-C, ends the
    start that is under way and stops in order who has begun. Cancellation from outside cancels every agent at once:
    what was acknowledged is on disk, what was in hand runs again.

    `journal` is a file, a `Journal`, or None for one in memory, which ends with the tree; under a mock clock its calls
    to the disk block the loop, for that clock would go on while a thread works. `seed` makes the spread of
    delays repeatable. `wall` gives seconds since 1970; a mock clock does not move the machine's, so for ticks and due
    times under one say `wall=lambda: 1.8e9 + trio.current_time()`. `anchor` keeps the head of the journal's chain
    outside of its file, while the tree runs and when it has stopped (see `Anchoring`). `production` is noted in the
    journal: in a tree that people depend on, faults are injected within bounds only. `events` says which old events are
    given up while the tree runs (see `EventRetention`); None: none.

    Raises `BlueprintError`, and `ConfigurationError` for another option that cannot be, before anything starts,
    `JournalOwned` when another process owns the file, what `anchored` raises for heads that the journal does not lead
    through, and `TreeFailed` with the exceptions behind it when the root gives up or does not start; the block is
    cancelled then.
    """
    checked(blueprint)
    check_options(clock=clock, seed=seed, wall=wall, events=events, anchor=anchor, production=production)
    if journal is None and anchor is not None:
        raise ConfigurationError("a journal in memory has no chain to anchor: give open_tree a file as `journal`")
    if anchor is not None and isinstance(journal, (str, os.PathLike)):
        from treewarden.supervisor.journal.anchoring import refuse_as_heads

        refuse_as_heads(anchor.file, journal)
    clock = clock if clock is not None else LoopClock(wall)
    async with journal_in(journal, clock) as store, _anchored(store, anchor, clock) as covered:
        pruning = cache(partial(_pruning, store, clock, anchor, covered))
        timers = Timers()
        common = Common(
            clock=clock,
            timers=timers,
            registry=Registry(timers),
            journal=store,
            random=random.Random(seed),
            rows=itertools.count(store.opened.last_row + 1),
        )
        await _lessons(common, blueprint)
        await _spent(common, blueprint)
        size = sum(1 for _ in walk(blueprint))
        with collector_at_rest(size):
            _opened(common, blueprint, production=production)
        root: Root | None = None
        in_order = False
        try:
            with _watched(common):
                async with _one_error(), trio.open_nursery() as nursery:
                    nursery.start_soon(common.timers.run)
                    root = Root(common, nursery, None, blueprint)
                    try:
                        with collector_at_rest(size):
                            failed_start = await root.start()
                        if failed_start is None:
                            nursery.start_soon(watch_progress, common)
                            nursery.start_soon(_end_with_root, root, nursery.cancel_scope)
                            tree = Tree(root, common, blueprint, partial(_imported, pruning))
                            nursery.start_soon(obey, tree, common)
                            if absent := await unhurried(_absent(common)):
                                from .left_waiting import warn_of_left  # with a tree that has become smaller

                                nursery.start_soon(warn_of_left, absent, common)
                            if events is not None:
                                nursery.start_soon(pruning().keep_to, events)
                            yield tree
                            in_order = True
                    finally:
                        await _stop(root, in_order)
                        nursery.cancel_scope.cancel()
                        if common.zombies or root.exit is None:
                            from .lingering import outlast  # not when all have ended in order

                            await outlast(root)
        finally:
            cancelled = trio.current_effective_deadline() == -math.inf
            failed = root.failure() if root is not None and not cancelled else None
            await _close(common, failed, root.ending if root is not None else "it did not start")
    if failed is not None:
        raise failed from None


@asynccontextmanager
async def _one_error() -> AsyncGenerator[None]:
    """An exception of the block comes out as itself, not as a group of one; Ctrl-C also if it was pressed again.

    Also beside a cancellation from outside, whose scope would take that out of a group and leave one of one.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        found = leaves(group)
        raised = [each for each in found if type(each) is not trio.Cancelled] or found
        if len(raised) > 1 and not all(issubclass(type(each), KeyboardInterrupt) for each in raised):
            raise
        raise raised[0] from raised[0].__cause__


@contextmanager
def _watched(common: Common) -> Generator[None]:
    """A thread looks after the loop, if the loop runs in real time; and what judges its failures can be imported."""
    if not runs_in_real_time():
        yield
        return
    watch = LoopWatch(partial(signal_block, common))
    watch.start()
    try:
        with demand.room_for_modules():
            yield
    finally:
        watch.stop()


def _absent(common: Common) -> Slices[list[Path]]:
    """Those of whom something is stored and whom the tree does not have."""
    found = list[Path]()
    for number, path in enumerate(common.journal.opened.slots, 1):
        if not common.registry.has_mailbox(path):
            found.append(path)
        if number % _TURN == 0:
            yield
    return found


def journal_in(
    journal: str | os.PathLike[str] | Journal | None, clock: Clock, *, visits: bool = False
) -> AbstractAsyncContextManager[Journal]:
    """The journal that was asked for. Its module is imported here, for it is most of what a tree has to import.
    Raises `ConfigurationError` for what is neither a journal nor the name of a file.

    `visits` as in `SqliteJournal`. Under a mock clock, which goes on while a thread works, all SQL runs in the loop.
    """
    if journal is None:
        from treewarden.supervisor.journal.memory import MemoryJournal

        return MemoryJournal()
    if not isinstance(journal, (str, os.PathLike)) and hasattr(journal, "__aenter__"):
        return journal
    with demand.collector_at_rest():
        from treewarden.supervisor.journal.place import named
        from treewarden.supervisor.journal.sqlite import SqliteJournal

    if runs_in_real_time():
        return SqliteJournal(named(journal), clock=clock, visits=visits)
    from treewarden.supervisor.journal.seams import SIMULATED_LEASE, inline_run_sync

    file = named(journal)
    return SqliteJournal(file, clock=clock, visits=visits, run_sync=inline_run_sync, lease=SIMULATED_LEASE)


def _anchored(
    journal: Journal, anchor: Anchoring | None, clock: Clock
) -> AbstractAsyncContextManager[Callable[[], Seq | None]]:
    """What it gives says which event the last head was taken from; None where none are kept."""
    if anchor is None:
        return nullcontext(lambda: None)
    from treewarden.supervisor.journal.anchoring import anchored

    if runs_in_real_time():
        return anchored(journal, anchor, clock)
    from treewarden.supervisor.journal.seams import inline_run_sync

    return anchored(journal, anchor, clock, run_sync=inline_run_sync)


def _pruning(journal: Journal, clock: Clock, anchor: Anchoring | None, covered: Callable[[], Seq | None]) -> Pruning:
    from treewarden.supervisor.pruning import Pruning

    return Pruning(journal, clock, anchor.sign if anchor is not None else None, covered)


async def _imported(pruning: Callable[[], Pruning]) -> Pruning:
    await imported("treewarden.supervisor.pruning")
    return pruning()


def _opened(common: Common, blueprint: Blueprint, *, production: bool) -> None:
    opened = common.journal.opened
    if opened.kept_in_vain:
        common.submit(Commit(forget_replies=opened.kept_in_vain))
    common.note(
        TreeOpened(
            epoch=opened.epoch,
            holder=opened.holder,
            version=VERSION,
            blueprint=code_digest(blueprint),
            after_crash=opened.after_crash,
            production=production,
            journal=opened.identity,
        )
    )


async def _lessons(common: Common, blueprint: Blueprint) -> None:
    """Take from the journal what earlier decisions came to lately, all labels, and whether the code was another one."""
    common.read_from = max(START, common.journal.head - _LESSONS)
    found, digest, left_by = await common.journal.lessons(_LESSONS, _TELLING), "", dict[Path, str]()
    if found.cut is not None and isinstance(found.cut.event, EventsPruned):
        from treewarden.supervisor.views.pruned import pruned_of

        pruned = pruned_of(found.cut.event)
        common.outcomes, common.pasts, digest = pruned.outcomes, pruned.pasts, pruned.blueprint
        for slot, past in pruned.pasts.items():
            if past.last is not None:
                place, number = past.last
                common.has_gone_back(place, RolledBack(path=Path(slot), to=None, checkpoint=number))
        if pruned.pasts:
            from treewarden.supervisor.moved import carry_pasts

            await carry_pasts(common, found.cut.event.through)
    for record in (*found.code, *found.lately):
        match record.event:
            case OutcomeObserved():
                from treewarden.supervisor.core.outcomes import learn

                common.outcomes = learn(common.outcomes, record.event, record.at)
            case RolledBack(path=path, diagnosis=diagnosis):
                common.has_gone_back(record.seq, record.event)
                left_by[path] = digest
                if diagnosis is not None:
                    common.diagnoses[path] = diagnosis
            case IncidentClosed(path=path):
                common.diagnoses.pop(path, None)
            case SlotMoved():
                from treewarden.supervisor.moved import heed

                heed(common, record, left_by)
            case _:
                digest = getattr(record.event, "blueprint", digest)
    for record in found.questions:
        if isinstance(record.event, QuestionAsked):
            common.questions[record.event.slot] = record.event
    if found.labels:
        from treewarden.supervisor.core.challenger import teach_all

        common.challenger = teach_all(common.challenger, [record.event for record in found.labels])
    code = code_digest(blueprint)
    if digest not in ("", code):
        common.deployed[ROOT] = common.clock.now()
    common.left_by_old_code.update(path for path, then in left_by.items() if then not in ("", code))


async def _spent(common: Common, blueprint: Blueprint) -> None:
    """Take from the journal what agents with budgets have spent, as far as it counts still."""
    longest = max((_longest_budget(spec) for _, spec in walk(blueprint)), default=0.0)
    if not longest:
        return
    from .spending import recall_spent  # a tree without budgets has nothing to remember

    await recall_spent(common, longest)


def _longest_budget(spec: Spec) -> float:
    if not isinstance(spec, ChildSpec) or not spec.limits:
        return 0.0
    from treewarden.supervisor.core.measures import BudgetLimit

    return max((limit.within for limit in spec.limits if isinstance(limit, BudgetLimit)), default=0.0)


async def _end_with_root(root: Root, scope: trio.CancelScope) -> None:
    """A root that failed ends the block: nobody is left to do its work. Whoever asks one that has ended is told so."""
    await root.ended.wait()
    await unhurried(_closing(root.common))
    if root.failure() is not None:
        scope.cancel()


async def _stop(root: Root, in_order: bool) -> None:
    if root.exit is None:
        if root.supervisor.is_starting:
            root.given_up = True
            give_up_starting(root.supervisor)
        elif not root.asked:
            root.asked = True
            root.supervisor.order_stop("shutdown", drain=True)
        if trio.current_effective_deadline() > -math.inf:  # otherwise all are cancelled already
            with trio.move_on_after(_LEAVE_WITHIN, shield=True):
                await root.supervisor.wait_ended()
            if in_order and root.exit is None:
                from .lingering import wait_for_grace  # of trees that take long

                await wait_for_grace(root)
            root.forced = root.forced or root.exit is None


def _closing(common: Common) -> Slices[None]:
    from .closing import closing  # at the end, which no start has to wait for

    return closing(common)


@trio.lowlevel.enable_ki_protection  # or the rest of it is nowhere, and the next process takes this end for a crash
async def _give_up_rest(common: Common) -> None:
    with demand.collector_at_rest():
        for _ in _closing(common):
            await trio.lowlevel.cancel_shielded_checkpoint()
    if common.leftovers is not None:
        await common.leftovers.rest()


async def _close(common: Common, failed: TreeFailed | None, reason: str) -> None:
    """Give up what waits in mailboxes that end with the process, and write the end."""
    event = TreeClosed(reason=failed.reason if failed is not None else reason, failed=failed is not None)
    with trio.CancelScope(shield=True):
        await _give_up_rest(common)
        await common.outage.finish(Commit(events=((common.clock.wall(), event),)))
