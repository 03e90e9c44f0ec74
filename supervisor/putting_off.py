"""Calls that cannot be carried out yet: somebody lives still below who was in the place of a child that they begin. The
supervisor goes on meanwhile, and what is asked of the same children later is done later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .core.spec import ChildSpec, Spec, Strategy, SupervisorSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .orders import Call
    from .supervisor import Supervisor

__all__ = ["is_put_off"]

_SPEC: Final = ""
"""No child's id: of two specs that a supervisor is given the later one is the last one."""


def is_put_off(supervisor: Supervisor, call: Call) -> bool:
    """Whether this call has to wait: for those who live still where it would begin something, or behind a call that
    waits for them. It comes again when they are gone; nobody else waits for that."""
    orphans = supervisor.children.orphans
    if call.is_answered:
        return True  # it came again more than once
    if not orphans.any_left and not orphans.any_waits:
        return False
    ids = _named(supervisor, call)
    emptied = orphans.below_any(_begun(supervisor, call, ids))
    if emptied is None and not orphans.is_behind(call, ids):
        orphans.take(call, supervisor.post_again)
        return False
    orphans.put_off(call, ids, emptied, supervisor.post_again)
    call.put_off()
    return True


def _named(supervisor: Supervisor, call: Call) -> Sequence[str]:
    """The children to which the call does something."""
    match call.what, call.argument:
        case (("restart_child" | "terminate_child" | "delete_child"), str(id)):
            return (id,)
        case "start_child", ChildSpec() | SupervisorSpec() as spec:
            return (spec.id,)
        case ("start_dynamic", (_, str(id))) | (("terminate_dynamic" | "roll_back" | "perform"), (str(id), *_)):
            return (id,)
        case ("replace", SupervisorSpec() as spec) | ("reload", (SupervisorSpec() as spec, _)):
            return (_SPEC, *_changed(supervisor, spec))
        case _:
            return ()


def _changed(supervisor: Supervisor, spec: SupervisorSpec) -> Sequence[str]:
    """The children that another spec of their supervisor changes, adds or takes away."""
    if spec.strategy is Strategy.DYNAMIC:
        return supervisor.children.order if spec.children != supervisor.spec.children else ()
    wanted: dict[str, Spec] = {each.id: each for each in spec.children}
    ids = dict.fromkeys([*wanted, *supervisor.children.order])
    return [id for id in ids if wanted.get(id) != supervisor.children.spec_of(id)]


def _begun(supervisor: Supervisor, call: Call, ids: Sequence[str]) -> Sequence[str]:
    """Those of them that it begins, now. For those who are here still, what waits is their start."""
    match call.what:
        case "restart_child":
            return ids
        case "start_child" | "start_dynamic" | "replace" | "reload":
            return [id for id in ids if supervisor.children.entry(id) is None]
        case _:
            return ()
