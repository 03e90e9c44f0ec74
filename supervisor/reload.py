"""A running supervisor takes a new spec: what is new starts, what is gone ends, what has changed lives anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

from treewarden.agents.core.path import Path

from .child import Child
from .core.spec import Strategy, SupervisorSpec

if TYPE_CHECKING:
    from .supervisor import Supervisor

__all__ = ["Changes", "reload"]


@define
class Changes:
    """What a reload has done."""

    added: list[Path] = field(factory=list[Path])
    removed: list[Path] = field(factory=list[Path])
    changed: list[Path] = field(factory=list[Path])


async def reload(supervisor: Supervisor, spec: SupervisorSpec, changes: Changes) -> None:
    """Bring the children in line with `spec`, in its order; those whose spec is the same are not touched.

    A changed child is stopped by its own rules and started with its new spec; its mailbox and state stay. What waits
    in the mailbox of a removed one becomes dead letters. A start that fails is treated like a restart that fails.
    Dynamic children are changed when their template is.
    """
    children = supervisor.children
    if spec.strategy is Strategy.DYNAMIC:
        supervisor.adopt(spec)
        for child in children.remake(spec.children[0]):
            changes.changed.append(child.path)
            await _renew(supervisor, child)
        return
    wanted = {child.id for child in spec.children}
    for child in reversed(list(children)):
        if child.spec.id not in wanted:
            await children.stop(child)
            changes.removed.append(child.path)
            children.drop(child, "it is no longer part of the tree")
    before = {child.spec.id: child.spec for child in children}
    supervisor.adopt(spec)
    children.reorder(spec.children)
    for child in children:
        old = before.get(child.spec.id)
        if old is None:
            changes.added.append(child.path)
            await _start(supervisor, child)
        elif old != child.spec:
            below = supervisor.common.supervisors.get(child.path)
            if below is not None and below is child.current and isinstance(child.spec, SupervisorSpec):
                await below.reload(child.spec, changes)
            else:
                changes.changed.append(child.path)
                await _renew(supervisor, child)


async def _renew(supervisor: Supervisor, child: Child) -> None:
    if child.current is not None:
        await supervisor.children.stop(child, "reloaded")
    await _start(supervisor, child)


async def _start(supervisor: Supervisor, child: Child) -> None:
    failure = await supervisor.children.start(child)
    if failure is not None:
        supervisor.restarts.retry(child, failure)
