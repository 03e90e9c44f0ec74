"""Starting and stopping many children: as one by one, but for what many small steps cost."""

from __future__ import annotations

import gc
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import trio

from treewarden.agents.core.exit import Failure

if TYPE_CHECKING:
    from .child import Child
    from .children import Children

__all__ = ["collector_at_rest", "start_in_order", "stop_in_order"]

_MANY: Final = 1000
"""Children from which on it pays to keep the collector from running."""
_TOGETHER: Final = 128
"""Starts or stops that are noted as one, at most."""


@contextmanager
def collector_at_rest(many: int) -> Generator[None]:
    """Keep the cyclic collector from running while so much is made, if it is much: it would look at all that lives
    again and again, and find nothing.

    What was made meanwhile belongs to its oldest generation afterwards, as it would if it had been looked at twice. A
    collector that is switched off, or has frozen objects of somebody else, is left as it is. Source: the `gc` module,
    `freeze` and `unfreeze`.
    """
    if many < _MANY or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():
            gc.freeze()
            gc.unfreeze()
        gc.enable()


async def start_in_order(table: Children, children: Sequence[Child]) -> tuple[Child, Failure] | None:
    """Start these in order; returns the one that failed, after which no more are tried."""
    place = 0
    with collector_at_rest(len(children)):
        while place < len(children):
            before = place
            place, failure = _start_some(table, children, place)
            if place == before:
                failure = await table.start(children[place])
                place += 1
            else:
                await trio.lowlevel.checkpoint_if_cancelled()
            if failure is not None:
                return children[place - 1], failure
    return None


def _start_some(table: Children, children: Sequence[Child], place: int) -> tuple[int, Failure | None]:
    """Start from `place` on whoever needs no waiting; returns behind whom it ended, and why that one did not start."""
    with table.noted_together():
        for child in children[place : place + _TOGETHER]:
            if not table.can_start_at_once(child):
                break
            place += 1
            failure = table.start_at_once(child)
            if failure is not None:
                return place, failure
    return place, None


async def stop_in_order(
    table: Children, children: Sequence[Child], reason: str, *, drain: bool, one_by_one: bool
) -> None:
    """Stop these: the last one first, each when the one before it has ended; or those that take time all at once."""
    place = len(children)
    with collector_at_rest(len(children)):
        async with trio.open_nursery() as nursery:
            while place:
                before = place
                place = _stop_some(table, children, place, reason, drain=drain)
                if place < before:
                    await trio.lowlevel.checkpoint_if_cancelled()
                    continue
                place -= 1
                if one_by_one:
                    await table.stop(children[place], reason, drain=drain)
                else:
                    nursery.start_soon(_stop, table, children[place], reason, drain)


def _stop_some(table: Children, children: Sequence[Child], place: int, reason: str, *, drain: bool) -> int:
    """Stop before `place`, the last one first, whoever needs no waiting; returns the place of the last one stopped."""
    with table.noted_together():
        for child in reversed(children[max(0, place - _TOGETHER) : place]):
            if not table.stop_at_once(child, reason, drain=drain):
                break
            place -= 1
    return place


async def _stop(table: Children, child: Child, reason: str, drain: bool) -> None:
    await table.stop(child, reason, drain=drain)
