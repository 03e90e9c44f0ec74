"""Memory that an agent loses: a meter that grows, a probe that says so, and the end of the process if nobody acts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from treewarden.agents.errors import TreewardenError

from ..running import Tree
from ..slot_status import SlotStatus

if TYPE_CHECKING:
    from .world import World

__all__ = ["leak_memory"]

_EVERY: Final = 0.5
"""Seconds between two looks of the probe."""
_LEAST: Final = 32.0
"""MiB that a life begins with."""
_TOLD_FROM: Final = 0.5
_STEP: Final = 0.1
"""The probe speaks at this share of the limit, and again whenever so much more is used."""
_DOWN: Final = 1.0


async def leak_memory(world: World, path: str, grows: float, limit: float) -> None:
    """Let the lives of the slot at `path` take `grows` MiB a second more, until the faults are over.

    What is used stands in `world.memory`. A new life begins with little: what leaked went with the old one.
    """
    whose, used, told = (0, 0), _LEAST, 0.0
    while not world.quiet.is_set():
        await trio.sleep(_EVERY)
        tree = world.process.tree
        slot = _status(tree, path)
        if tree is None or slot is None or not slot.incarnation:
            continue
        life = (world.process.number, slot.incarnation)
        if life != whose:
            if told and whose[0] == life[0]:
                _tell(tree, path)
            whose, used, told = life, _LEAST, 0.0
        used += grows * _EVERY
        world.memory[path] = used
        if used >= limit:
            world.struck("out_of_memory", path)
            world.process.crash(_DOWN)
        elif used / limit >= max(_TOLD_FROM, told + _STEP):
            told = used / limit
            _tell(tree, path, (used, limit))
    world.memory.pop(path, None)


def _status(tree: Tree | None, path: str) -> SlotStatus | None:
    found = (each for each in tree.snapshot() if str(each.path) == path) if tree is not None else ()
    return next(iter(found), None)


def _tell(tree: Tree, path: str, high: tuple[float, float] | None = None) -> None:
    """What the probe says: so much is used of so much, or that it is well again."""
    try:
        if high is None:
            tree.recovered(path, "memory")
        else:
            used, limit = high
            text = f"{used:.0f} of {limit:.0f} MiB are used"
            facts = {"kind": "memory", "severity": round(used / limit, 2), "text": text, "used_mib": used}
            tree.signal(path, facts)
    except TreewardenError:  # the slot has gone meanwhile
        return
