"""What differs between two blueprints, slot by slot: what a reload has to do."""

from __future__ import annotations

from collections.abc import Iterator

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
    return Changes(
        added=tuple(_only_there(ROOT, old, new)),
        removed=tuple(_only_there(ROOT, new, old))[::-1],
        changed=tuple(_changed(ROOT, old, new)),
    )


def _only_there(path: Path, here: Spec, there: Spec) -> Iterator[Path]:
    """The slots that only `there` has, without those below them, in its start order."""
    if isinstance(here, SupervisorSpec) and isinstance(there, SupervisorSpec):
        known = {child.id: child for child in here.children}
        for child in there.children:
            if child.id in known:
                yield from _only_there(path / child.id, known[child.id], child)
            else:
                yield path / child.id


def _changed(path: Path, old: Spec, new: Spec) -> Iterator[Path]:
    if isinstance(old, ChildSpec) or isinstance(new, ChildSpec):
        if old != new:
            yield path
        return
    before = {child.id: child for child in old.children}
    stayed = [child for child in new.children if child.id in before]
    kept = {child.id for child in stayed}
    if _own(old) != _own(new) or [id for id in before if id in kept] != [child.id for child in stayed]:
        yield path
    for child in stayed:
        yield from _changed(path / child.id, before[child.id], child)


def _own(spec: SupervisorSpec) -> SupervisorSpec:
    """The supervisor without its children and its name."""
    return evolve(spec, id="_", children=())
