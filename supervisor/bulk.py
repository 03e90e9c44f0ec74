"""Starting and ending many children: as one by one, but for what many small steps cost, and what a kill leaves."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Final

import trio

from treewarden.agents import demand
from treewarden.agents.core.exit import Failure

from .child import NOT_STARTED
from .fence import AgentLife
from .sleeper import Sleeper

if TYPE_CHECKING:
    from .child import Child
    from .children import Children
    from .supervisor import Supervisor

__all__ = ["collector_at_rest", "end_asleep", "end_below", "give_up_starting", "start_in_order", "stop_in_order"]

_MANY: Final = 1000
"""Children from which on it pays to keep the collector from running."""
_TOGETHER: Final = 128
"""Starts or stops that are noted as one, at most."""
_ORPHANS_WITHIN: Final = 5.0
"""Seconds that supervisors below one that was killed have to stop in order; then they are killed too."""


def collector_at_rest(many: int) -> AbstractContextManager[None]:
    """Keep the cyclic collector from running while so much is made, if it is much (`agents.demand`)."""
    return demand.collector_at_rest() if many >= _MANY else nullcontext()


async def start_in_order(table: Children, ids: Sequence[str]) -> tuple[Child, Failure] | None:
    """Start these in order; returns the one that failed, after which no more are tried."""
    place = 0
    with collector_at_rest(len(ids)), table.restoring(ids):
        while place < len(ids):
            if table.given_up:
                return _child(table, ids[place]), NOT_STARTED
            before = place
            place, failure = _start_some(table, ids, place)
            if place == before:
                failure = await table.start(_child(table, ids[place]))
                place += 1
            else:
                await trio.lowlevel.checkpoint_if_cancelled()
            if failure is not None:
                return _child(table, ids[place - 1]), failure
    return None


def give_up_starting(supervisor: Supervisor) -> None:
    """Let the start of a supervisor fail now: end whoever is just starting below it, and start nobody more. Those that
    have begun are stopped in order, as after any start that fails."""
    if not supervisor.has_children:
        supervisor.kill()
        return
    supervisor.children.given_up = True
    for child in supervisor.children.awake:
        life = child.current
        if life is None or not life.is_starting:
            continue
        if isinstance(life, type(supervisor)):
            give_up_starting(life)
        else:
            life.kill()


async def end_below(table: Children) -> None:
    """Their supervisor was killed: workers go with it at once, supervisors below it end in order, as in OTP."""
    lives = table.abandon()
    with trio.move_on_after(_ORPHANS_WITHIN):
        for life in lives:
            await life.wait_emptied()
    for life in lives:
        life.kill()
    for life in lives:
        await life.wait_emptied()
        table.account_orphan(life)


def end_asleep(table: Children) -> None:
    """All that they are part of was cancelled: end whoever has no task in which that would come to it as well."""
    for _, entry in table.entries:
        if not isinstance(entry, Sleeper) and isinstance(entry.current, AgentLife):
            entry.current.kill()


def _start_some(table: Children, ids: Sequence[str], place: int) -> tuple[int, Failure | None]:
    """Start from `place` on whoever needs no waiting; returns behind whom it ended, and why that one did not start."""
    with table.noted_together():
        for id in ids[place : place + _TOGETHER]:
            entry = table.entry(id)
            if isinstance(entry, Sleeper):
                failure = table.start_sleeper(id, entry)
            elif entry is not None and table.can_start_at_once(entry):
                failure = table.start_at_once(entry)
            else:
                break
            place += 1
            if failure is not None:
                return place, failure
    return place, None


async def stop_in_order(table: Children, ids: Sequence[str], reason: str, *, drain: bool, one_by_one: bool) -> None:
    """Stop these for good: the last one first, each when the one before it has ended; or those that take time all at
    once."""
    place = len(ids)
    with collector_at_rest(len(ids)):
        async with trio.open_nursery() as nursery:
            while place:
                before = place
                place = _stop_some(table, ids, place, reason, drain=drain)
                if place < before:
                    await trio.lowlevel.checkpoint_if_cancelled()
                    continue
                place -= 1
                child = _child(table, ids[place])
                if one_by_one:
                    await table.stop(child, reason, drain=drain)
                else:
                    nursery.start_soon(_stop, table, child, reason, drain)


def _stop_some(table: Children, ids: Sequence[str], place: int, reason: str, *, drain: bool) -> int:
    """Stop before `place`, the last one first, whoever needs no waiting; returns the place of the last one stopped."""
    with table.noted_together():
        for id in reversed(ids[max(0, place - _TOGETHER) : place]):
            entry = table.entry(id)
            if isinstance(entry, Sleeper):
                stopped = table.stop_sleeper(id, entry, reason)
            else:
                stopped = entry is not None and table.stop_at_once(entry, reason, drain=drain)
            if not stopped:
                break
            place -= 1
    return place


async def _stop(table: Children, child: Child, reason: str, drain: bool) -> None:
    await table.stop(child, reason, drain=drain)


def _child(table: Children, id: str) -> Child:
    child = table.get(id)
    assert child is not None
    return child
