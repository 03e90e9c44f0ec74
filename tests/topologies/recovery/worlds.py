"""A world for tests: one cause at a time, and nothing left to chance."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve

from treewarden.topologies.recovery.incidents import Trouble, draw
from treewarden.topologies.recovery.world import Nature, World, load_worlds

SHIPPED = load_worlds()


def world_of(cause: str, incidents: int = 2, *with_it: str, name: str = "one", **repairs: float) -> World:
    """A world with one cause only, `with_it` always coming along, and these repairs besides those that are modelled."""
    base = next(world for world in SHIPPED if world.name == "as_modelled")
    nature = _sure(base.causes[cause], with_it, repairs)
    causes = {each: evolve(found, share=0.0) for each, found in base.causes.items()} | {cause: nature}
    return evolve(base, name=name, incidents=incidents, causes=causes, later=causes)


def _sure(nature: Nature, with_it: tuple[str, ...], repairs: dict[str, float]) -> Nature:
    certain = {action: float(p > 0.5) for action, p in nature.repairs.items()}
    actions = ("resume", "restart", "recycle", "roll_back", "throttle", "break", "set_aside", "fall_back", "act")
    known = {action: certain.get(action, 0.0) for action in actions}
    return evolve(nature, share=1.0, comes_with=dict.fromkeys(with_it, 1.0), repairs={**known, **repairs})


def trouble_of(world: World, seed: int = 0) -> Trouble:
    return draw(world, seed)[0]


def written(folder: Path, text: str) -> str:
    file = folder / "worlds.toml"
    file.write_text(text, "utf-8")
    return str(file)
