"""What differs between two blueprints, slot by slot: what a reload has to do."""

from __future__ import annotations

from attrs import evolve, frozen

from treewarden.agents.core.path import ROOT, Path
from treewarden.supervisor.core.spec import ChildSpec, Spec, SupervisorSpec

from .blueprint import Blueprint

__all__ = ["Changes", "diff"]


@frozen
class Changes:
    """Paths, so that the specs can be looked up in the old or the new blueprint (`walk`). Falsy if there are none."""

    added: tuple[Path, ...] = ()
    """In start order. Of a supervisor that is new only its own path: what is below it starts with it."""
    removed: tuple[Path, ...] = ()
    """In stop order. Of a supervisor that is gone only its own path."""
    changed: tuple[Path, ...] = ()
    """In start order. An agent whose spec differs in anything; a supervisor whose own settings or the order of whose
    children differ, what is below it being listed by itself; an agent that became a supervisor, or the reverse."""

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def diff(old: Blueprint, new: Blueprint) -> Changes:
    """What to do to a tree of `old` to make it one of `new`. Slots are the same if their paths are.

    The root's own id, which is part of no path, does not count.
    """
    added: list[Path] = []
    removed: list[Path] = []
    changed: list[Path] = []
    _compare(ROOT, old, new, added, removed, changed)
    return Changes(tuple(added), tuple(reversed(removed)), tuple(changed))


def _compare(path: Path, old: Spec, new: Spec, added: list[Path], removed: list[Path], changed: list[Path]) -> None:
    if isinstance(old, ChildSpec) or isinstance(new, ChildSpec):
        if old != new:
            changed.append(path)
        return
    before = {child.id: child for child in old.children}
    after = {child.id: child for child in new.children}
    stayed = [id for id in before if id in after]
    if _own(old) != _own(new) or stayed != [id for id in after if id in before]:
        changed.append(path)
    removed.extend(path / id for id in before if id not in after)
    for id, child in after.items():
        if id in before:
            _compare(path / id, before[id], child, added, removed, changed)
        else:
            added.append(path / id)


def _own(spec: SupervisorSpec) -> SupervisorSpec:
    """The supervisor without its children and its name."""
    return evolve(spec, id="_", children=())
