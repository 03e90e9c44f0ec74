"""What treewarden promises, as checks of a world."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from treewarden.agents.core.path import ROOT, Path
from treewarden.supervisor.core.event import ChildStarted, Decided
from treewarden.supervisor.core.spec import SupervisorSpec

from ..core.blueprint import walk

if TYPE_CHECKING:
    from .world import World

__all__ = [
    "after_the_end",
    "no_acknowledged_message_lost",
    "no_duplicate_effects",
    "order_per_sender",
    "restart_intensity",
]


def no_duplicate_effects(world: World) -> str:
    """Nothing was done twice to the outside that does not know it by its key."""
    return ", ".join(f"{key} was done {times} times" for key, times in world.outside.repeated.items())


def no_acknowledged_message_lost(world: World) -> str:
    """Every message that its sender was told is safe waits, was handled, or is a dead letter with its reason.

    Looks at the tables. Not what becomes of messages in memory: those are not acknowledged as safe.
    """
    history = world.history
    if history.gone:
        return ", ".join(f"{each.id} ({each.path})" for each in history.gone)
    if not history.waiting:
        return ""
    waiting = {row for (row,) in world.disk.query("SELECT row FROM mailbox")}
    lost = sorted(history.waiting.keys() - waiting)
    return ", ".join(f"{history.accepted[row].id} ({history.accepted[row].path})" for row in lost)


def order_per_sender(world: World) -> str:
    """What one sender told one mailbox at one priority was handled in that order."""
    return world.history.overtaken


_COUNTED = frozenset({"restart", "roll_back", "set_aside"})


def restart_intensity(world: World) -> str:
    """No child is restarted for its failures more often than its supervisor's limit allows.

    A policy may count several children that one fault takes down as one restart; so this looks at each child alone.
    """
    if not world.begun or world.process.crashes:
        return ""
    limits = {
        str(path): spec.restarts
        for path, spec in walk(world.process.blueprint, ROOT)
        if isinstance(spec, SupervisorSpec)
    }
    seen: dict[str, deque[float]] = {}
    for at, event in world.history.events:
        match event:
            case ChildStarted(path=path) if str(path) in limits:
                for below in [each for each in seen if Path(each).is_within(path)]:
                    del seen[below]
            case Decided(path=path, action=action) if action in _COUNTED and str(path.parent) in limits:
                limit = limits[str(path.parent)]
                times = seen.setdefault(str(path), deque())
                times.append(at)
                while times[0] <= at - limit.within:
                    times.popleft()
                if len(times) > limit.max_restarts:
                    return f"{path}: {len(times)} restarts within {limit.within:g} s, {limit.max_restarts} are allowed"
            case _:
                pass
    return ""


def after_the_end(world: World, tasks_left: int) -> list[tuple[str, str]]:
    """What is wrong with a tree that was stopped in order: tasks, connections or ownership that it has left."""
    found: list[tuple[str, str]] = []
    if tasks_left:
        found.append(("no orphan task", f"{tasks_left} tasks are left"))
    if world.disk.holds_a_journal:
        if world.disk.open_wires:
            found.append(("a stopped tree holds nothing", f"{world.disk.open_wires} connections are open"))
        if world.disk.query("SELECT released FROM owner") != [(1,)] and world.process.orderly:
            found.append(("a stopped tree holds nothing", "it still owns its journal"))
        lost = no_acknowledged_message_lost(world)
        if lost:
            found.append(("no acknowledged message lost", lost))
    return found
