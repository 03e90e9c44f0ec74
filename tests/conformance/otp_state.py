"""What the supervisors of a tree say about their children, as OTP's `which_children` and `count_children` would."""

from __future__ import annotations

from typing import Any

from otp_terms import theirs
from otp_world import World
from otpvec import Nodes

from treewarden.agents.core.lifecycle import SlotState
from treewarden.supervisor.calls import ChildView, SupervisorRef
from treewarden.supervisor.common import Common

__all__ = ["counted", "listed", "state_of"]


async def state_of(common: Common, nodes: Nodes, world: World) -> dict[str, Any]:
    """Of each supervisor that has begun, its children and their counts, or that it is busy."""
    state: dict[str, Any] = {}
    for path, supervisor in sorted(common.supervisors.items()):
        name, ref = theirs(path), SupervisorRef(path, common.supervisors.get)
        if supervisor.exit is not None or name in world.gates:  # its start function has not made it yet
            continue
        if ref.busy:
            state[name] = "busy"
        else:
            state[name] = {
                "children": listed(nodes, world, name, await ref.children()),
                "counts": await counted(ref),
            }
    return state


def listed(nodes: Nodes, world: World, supervisor: str, children: tuple[ChildView, ...]) -> list[list[Any]]:
    """Id, pid or status, and type of each child."""
    dynamic = nodes.dynamic(supervisor)
    found: list[list[Any]] = []
    for child in children:
        status: Any = None
        if child.state is SlotState.RESTARTING:
            status = "restarting"
        elif child.state in (SlotState.STARTING, SlotState.UP, SlotState.STOPPING):
            status = world.starts[theirs(child.path)]
        id = None if dynamic and status == "restarting" else child.id
        found.append([id, status, "supervisor" if child.supervisor else "worker"])
    return sorted(found, key=lambda each: (each[0] is not None, each)) if dynamic else found


async def counted(ref: SupervisorRef) -> list[int]:
    """Specs, active, supervisors, workers."""
    counts = await ref.count()
    return [counts.specs, counts.active, counts.supervisors, counts.workers]
