"""What a supervisor refuses before it starts anything: specs that are none, and combinations that cannot work.

The same refusals as those of OTP's `supervisor:check_childspecs` and of its `init`, and those of `fields`. Raised
as `ValueError`; the text names the child and the remedy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from treewarden.agents.core.said import either, shown

from .fields import check_own_fields
from .spec import AutoShutdown, ChildSpec, RestartBucket, Spec, Strategy, SupervisorSpec

__all__ = ["check_child", "check_children", "check_part", "check_supervisor", "check_tree"]


def check_child(spec: object, auto_shutdown: AutoShutdown | None = None) -> Spec:
    """`spec`, if a supervisor with this `auto_shutdown` can take it as a child. None leaves that out.

    Looks at the child only, not at what is below it: a supervisor checks its children when it starts.
    """
    if not isinstance(spec, (ChildSpec, SupervisorSpec)):
        raise ValueError(f"{spec!r:.80} describes no child; give what child(...) or tree(...) returns")
    check_own_fields(spec)
    if spec.significant and auto_shutdown is AutoShutdown.NEVER:
        raise ValueError(
            f"{spec.id}: it is significant, and its supervisor's auto_shutdown is never; "
            "say any_significant or all_significant there, or leave it out here"
        )
    return spec


def check_children(specs: object, auto_shutdown: AutoShutdown | None = None) -> tuple[Spec, ...]:
    """`specs`, if they can be the children of one supervisor."""
    if auto_shutdown is not None and not isinstance(auto_shutdown, AutoShutdown):  # pyright: ignore[reportUnnecessaryIsInstance]
        names = either(f"AutoShutdown.{each.name}" for each in AutoShutdown)
        raise ValueError(f"the supervisor: auto_shutdown is {shown(auto_shutdown)}; use {names}")
    if not isinstance(specs, Sequence) or isinstance(specs, str):
        raise ValueError(f"{specs!r:.80} is no sequence of specs")
    checked = tuple(check_child(spec, auto_shutdown) for spec in cast("Sequence[object]", specs))
    seen: set[str] = set()
    for spec in checked:
        if spec.id in seen:
            raise ValueError(f"two children are called {spec.id!r}; ids are unique among siblings")
        seen.add(spec.id)
    return checked


def check_supervisor(spec: object) -> SupervisorSpec:
    """`spec`, if a supervisor can start by it: its fields, and its children as far as `check_child` looks."""
    if not isinstance(spec, SupervisorSpec):
        raise ValueError(f"{spec!r:.80} describes no supervisor; give what tree(...) returns")
    check_own_fields(spec)
    if spec.strategy is Strategy.DYNAMIC:
        if spec.auto_shutdown is not AutoShutdown.NEVER:
            raise ValueError(f"{spec.id}: a dynamic supervisor knows no auto_shutdown; leave it at never")
        if len(spec.children) != 1:
            raise ValueError(f"{spec.id}: a dynamic supervisor has one template, not {len(spec.children)} children")
    check_children(spec.children, spec.auto_shutdown)
    return spec


def check_tree(spec: object) -> SupervisorSpec:
    """`spec`, if it and all supervisors below it can start."""
    checked = check_supervisor(spec)
    for child in checked.children:
        if isinstance(child, SupervisorSpec):
            check_tree(child)
    return checked


def check_part(spec: Spec, *, whole: bool) -> None:
    """Refuse what only a `whole` tree has, in `spec` if it is none, and in all that is below it."""
    if not isinstance(spec, SupervisorSpec):
        return
    if not whole and spec.restart_bucket != RestartBucket():
        raise ValueError(
            f"{spec.id}: restart_bucket is {shown(spec.restart_bucket)}, which is for a whole tree, and this "
            "is a part of one; say it at the root"
        )
    for child in spec.children:
        check_part(child, whole=False)
