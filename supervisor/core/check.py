"""What a supervisor refuses before it starts anything: specs that are none, and combinations that cannot work.

The same refusals as those of OTP's `supervisor:check_childspecs` and of its `init`, for values whose types promise
less than they say: Python checks no annotation. Raised as `ValueError`; the text names the child and the remedy.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import cast

from treewarden.agents.core.durability import MailboxSpec

from .spec import (
    AutoShutdown,
    BrutalKill,
    ChildSpec,
    Grace,
    Intensity,
    RestartPolicy,
    Spec,
    Strategy,
    SupervisorSpec,
)

__all__ = ["check_child", "check_children", "check_supervisor", "check_tree"]


def check_child(spec: object, auto_shutdown: AutoShutdown | None = None) -> Spec:
    """`spec`, if a supervisor with this `auto_shutdown` can take it as a child. None leaves that out.

    Looks at the child only, not at what is below it: a supervisor checks its children when it starts.
    """
    if not isinstance(spec, (ChildSpec, SupervisorSpec)):
        raise ValueError(f"{spec!r:.80} describes no child; give what child(...) or tree(...) returns")
    name = spec.id
    _one_of(name, "restart", spec.restart, RestartPolicy)
    if not isinstance(spec.shutdown, (Grace, BrutalKill)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"{name}: shutdown is {spec.shutdown!r}; give Grace(seconds) or BRUTAL_KILL")
    if not isinstance(spec.significant, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"{name}: significant is {spec.significant!r}; give True or False")
    if isinstance(spec, ChildSpec):
        if not callable(spec.agent):
            raise ValueError(f"{name}: agent is {spec.agent!r}; give an Agent class or a function that makes agents")
        if not isinstance(spec.mailbox, MailboxSpec):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"{name}: mailbox is {spec.mailbox!r}; give a MailboxSpec")
    if spec.significant and auto_shutdown is AutoShutdown.NEVER:
        raise ValueError(
            f"{name}: it is significant, and its supervisor's auto_shutdown is never; "
            "say any_significant or all_significant there, or leave it out here"
        )
    return spec


def check_children(specs: object, auto_shutdown: AutoShutdown | None = None) -> tuple[Spec, ...]:
    """`specs`, if they can be the children of one supervisor."""
    if auto_shutdown is not None:
        _one_of("the supervisor", "auto_shutdown", auto_shutdown, AutoShutdown)
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
    """`spec`, if a supervisor can start by it: its flags, and its children as far as `check_child` looks."""
    if not isinstance(spec, SupervisorSpec):
        raise ValueError(f"{spec!r:.80} describes no supervisor; give what tree(...) returns")
    _one_of(spec.id, "strategy", spec.strategy, Strategy)
    _one_of(spec.id, "auto_shutdown", spec.auto_shutdown, AutoShutdown)
    if not isinstance(spec.restarts, Intensity):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"{spec.id}: restarts is {spec.restarts!r}; give Intensity(max_restarts, within)")
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


def _one_of(name: str, what: str, value: object, choices: type[Enum]) -> None:
    if not isinstance(value, choices):
        names = ", ".join(str(each) for each in choices)
        raise ValueError(f"{name}: {what} is {value!r}; give a {choices.__name__}: {names}")
