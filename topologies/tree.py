"""Any supervision tree: children under one supervisor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treewarden.supervisor.core.spec import Strategy

from .child import Child, spec_of, supervisor
from .core.blueprint import Blueprint

if TYPE_CHECKING:
    from typing import Unpack

    from .child_options import SupervisorOptions

__all__ = ["tree"]


def tree(
    *children: Child,
    id: str = "tree",
    strategy: Strategy = Strategy.ONE_FOR_ONE,
    max_children: int | None = None,
    **options: Unpack[SupervisorOptions],
) -> Blueprint:
    """Children under one supervisor, started in the order given and stopped in the reverse one.

    With `one_for_one`, the default, children have nothing to do with each other: whoever fails is restarted alone.
    Take `rest_for_one` if later ones rely on earlier ones, `one_for_all` if all rely on each other, and
    `Strategy.DYNAMIC` with one child as the template of those that are started at run time, `max_children` at most.

    `id` names the supervisor in the tree above; the outermost one's is in no path. Raises `ConfigurationError` for
    children and options that cannot work by themselves; `validate` finds what does not fit together.
    """
    specs = tuple(spec_of(each) for each in children)
    return supervisor(id, children=specs, strategy=strategy, max_children=max_children, **options)
