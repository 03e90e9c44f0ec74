"""What one slot of a running tree is doing, at one moment."""

from __future__ import annotations

from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.path import Path
from treewarden.agents.core.values import frozen
from treewarden.agents.slot import Slot
from treewarden.agents.statistics import set_aside
from treewarden.supervisor.core.spec import SupervisorSpec
from treewarden.supervisor.sleeper import Sleeper
from treewarden.supervisor.supervisor import Supervisor

__all__ = ["SlotStatus", "statuses"]


@frozen
class SlotStatus:
    """One slot of a running tree at one moment."""

    path: Path
    depth: int
    """How many supervisors are above it; the root's children have 0."""
    supervisor: bool
    state: SlotState
    incarnation: int
    restarts: int
    """Lives after the first one, in this process."""
    mailbox: int
    """Messages that wait; of a pool with one shared queue they wait at the pool, not at its workers."""
    handled: int
    """Messages and ticks that were settled in this process."""
    zombie: bool = False
    parked: int = 0
    """Messages whose handlers wait, for a time, an event or a person; as `mailbox`."""
    events: int = 0
    """Events that have come, and for which no handler waits yet."""
    note: str = ""
    held: bool = False
    """It waits for a person, or for other code: one that is down is not started; one that lives, whose `state` is `up`,
    is handed no messages and no ticks. Of a supervisor that lives, whoever is below it is handed none."""


def statuses(supervisor: Supervisor, depth: int) -> list[SlotStatus]:
    """Every slot below `supervisor`, supervisors before what is below them, children in start order."""
    found: list[SlotStatus] = []
    registry = supervisor.common.registry
    zombies = {life.slot.path for life in supervisor.common.living_zombies}
    for id, entry in supervisor.children.entries:
        path, below = supervisor.path / id, isinstance(entry.spec, SupervisorSpec)
        slot = entry.slot
        if slot is None and not isinstance(entry, Sleeper):
            slot = registry.get(path)
        found.append(
            SlotStatus(
                path=path,
                depth=depth,
                supervisor=below,
                state=entry.state,
                incarnation=entry.lives,
                restarts=max(0, entry.lives - 1),
                mailbox=len(slot) if slot is not None else 0,
                handled=slot.handled if slot is not None else 0,
                **set_aside(None if slot is None else slot.parked),
                zombie=path in zombies,
                note=entry.note,
                held=entry.state is SlotState.HELD
                or (registry.is_paused_below(path, "held") if below else _is_handed_nothing(slot)),
            )
        )
        if isinstance(entry.current, Supervisor):
            found.extend(statuses(entry.current, depth + 1))
    return found


def _is_handed_nothing(slot: Slot | None) -> bool:
    return slot is not None and slot.paused and "held" in slot.statistics().paused
