"""A running supervisor takes a new spec: what is new starts, what is gone ends, what has changed lives anew."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from attrs import evolve, field

from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.path import Path
from treewarden.agents.core.values import define
from treewarden.agents.errors import ConfigurationError, SupervisorGone

from .address import starts, take_address
from .child import Child
from .core.spec import ChildSpec, Shared, Strategy, SupervisorSpec
from .orders import Call, wait_for
from .orphans import Emptied
from .recovery import check_durability
from .sleeper import Sleeper

if TYPE_CHECKING:
    from .supervisor import Supervisor

__all__ = ["Changes", "check_change", "reload"]

_REMEDY: Final = "stop the tree and start it again, or give it another id"


@define
class Changes:
    """What a reload has done."""

    added: list[Path] = field(factory=list[Path])
    removed: list[Path] = field(factory=list[Path])
    changed: list[Path] = field(factory=list[Path])
    leaving: list[Emptied] = field(factory=list[Emptied], init=False, repr=False, eq=False)
    """Of supervisors that were ended for it, below which somebody lived still."""

    later: list[Call] = field(factory=list[Call], init=False, repr=False, eq=False)
    """Of supervisors below that can take their new spec only when somebody has gone: the one above goes on."""

    def leaves(self, below: Emptied | None) -> None:
        if below is not None:
            self.leaving.append(below)


def check_change(supervisor: Supervisor, spec: SupervisorSpec, *, below: bool = False) -> None:
    """Whether a running supervisor can go on by `spec`, and with `below` those that run below it.

    Raises `ConfigurationError` for what cannot change while it runs: strategies to or from dynamic, pools to or from
    one shared queue, and an agent's durability.
    """
    if (spec.strategy is Strategy.DYNAMIC) is not (supervisor.spec.strategy is Strategy.DYNAMIC):
        way = f"from {supervisor.spec.strategy} to {spec.strategy}"
        raise ConfigurationError(f"{supervisor.path}: its strategy cannot change while it runs, {way}; {_REMEDY}")
    if isinstance(spec.router, Shared) is not isinstance(supervisor.spec.router, Shared):
        raise ConfigurationError(
            f"{supervisor.path}: a running pool cannot begin to share a queue, or stop doing so; {_REMEDY}"
        )
    wanted = {each.id: each for each in spec.children}
    for id, entry in supervisor.children.entries:
        new = spec.children[0] if spec.strategy is Strategy.DYNAMIC else wanted.get(id)
        same = isinstance(entry, Sleeper) and isinstance(new, ChildSpec) and new.mailbox == entry.spec.mailbox
        child = None if new is None or same else supervisor.children.get(id)
        if new is None or child is None:
            continue
        if isinstance(new, ChildSpec) and child.slot is not None:
            check_durability(child.slot, new)
        running = supervisor.common.supervisors.get(child.path)
        if below and isinstance(new, SupervisorSpec) and running is not None and running is child.current:
            check_change(running, new, below=True)


async def reload(supervisor: Supervisor, spec: SupervisorSpec, changes: Changes) -> None:
    """Bring the children in line with `spec`, in its order; those whose spec is the same are not touched.

    A changed child is stopped by its own rules and started with its new spec; its mailbox and state stay. What waits
    in the mailbox of a removed one becomes dead letters. A start that fails is treated like a restart that fails.
    One that is gone already, as a temporary child that has ended, is new only if its spec is. Dynamic children are
    changed when their template is.
    """
    from .carrying_over import queue_waits

    with starts(supervisor, spec):
        async with queue_waits(supervisor, spec, lambda child: _renew(supervisor, child, changes)):
            await _take(supervisor, spec, changes)


async def _take(supervisor: Supervisor, spec: SupervisorSpec, changes: Changes) -> None:
    children = supervisor.children
    if evolve(supervisor.spec, children=()) != evolve(spec, children=()):
        changes.changed.append(supervisor.path)
    if spec.strategy is Strategy.DYNAMIC:
        supervisor.adopt(spec)
        for child in children.remake(spec.children[0]):
            changes.changed.append(child.path)
            await _renew(supervisor, child, changes)
        return
    if spec.entry is not None:
        take_address(supervisor, spec)  # so that no key leads to a part that goes, while that ends
    wanted, settled = {child.id for child in spec.children}, list[Child]()
    for id in reversed(children.order):
        child = None if id in wanted else children.get(id)
        if child is not None:
            await children.stop(child)
            changes.removed.append(child.path)
            changes.leaves(children.orphans.below(id))
            children.drop(child, "it is no longer part of the tree")
            settled.append(child)
    before = {id: entry.spec for id, entry in children.entries}
    declared = {each.id: each for each in supervisor.spec.children}
    supervisor.adopt(spec)
    children.reorder(tuple(each for each in spec.children if each.id in before or declared.get(each.id) != each))
    for id in children.order:
        old = before.get(id)
        same = old is not None and old == children.spec_of(id)
        if same and declared.get(id, old) != old:  # a variant by which it is held is what is to live there
            entry = children.entry(id)
            same = not isinstance(entry, Child) or entry.current is not None
        child = None if same else children.get(id)
        if child is None:
            continue
        if old is None:
            changes.added.append(child.path)
            await _start(supervisor, child)
        else:
            below = supervisor.common.supervisors.get(child.path)
            if below is not None and below is child.current and isinstance(child.spec, SupervisorSpec):
                with suppress(SupervisorGone):  # it has ended, and its end is still to be handled: by the new spec
                    await below.reload(child.spec, changes)
            else:
                changes.changed.append(child.path)
                await _renew(supervisor, child, changes)
                if child.state is not SlotState.RESTARTING:
                    settled.append(child)
    if settled:
        await wait_for(supervisor.restarts.go_on_without(*settled))


async def _renew(supervisor: Supervisor, child: Child, changes: Changes) -> None:
    """Begin with the new spec. Whoever was held, or throttled, for what the old one did is so no longer."""
    if child.current is not None:
        await supervisor.children.stop(child, "reloaded")
    below = supervisor.children.orphans.below(child.spec.id)
    changes.leaves(below)
    child.changed_at = supervisor.common.clock.now()
    if not child.turned:
        await supervisor.remedies.put_back_for_new_code(child)
    supervisor.remedies.resume(child, "it has another spec")
    if below is None:
        await _start(supervisor, child)
    else:
        supervisor.restarts.start_when_gone(child)


async def _start(supervisor: Supervisor, child: Child) -> None:
    failure = await supervisor.children.start(child)
    if failure is not None:
        supervisor.restarts.retry(child, failure)
