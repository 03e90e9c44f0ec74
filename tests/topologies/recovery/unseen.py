"""Worlds that nobody has thought of: a file of them, drawn at random, in which everything may be otherwise."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Final

from treewarden.topologies.recovery.world import CIRCUMSTANCES, REPAIRS, SIGNS, UNMODELLED, Nature, World, load_worlds

__all__ = ["unseen"]

_BASE: Final = (resources.files("treewarden.topologies.recovery") / "worlds.toml").read_text("utf-8")
_SHIPPED: Final = load_worlds()[0]


def unseen(count: int, *, seed: int = 0) -> str:
    """A file of `count` worlds. The same seed draws the same ones."""
    rng = random.Random(f"unseen/{seed}")
    drawn = [_world(_SHIPPED, f"unseen_{seed}_{place}", rng) for place in range(count)]
    return "\n".join([_BASE.split("[[world]]")[0], *drawn])


def _world(base: World, name: str, rng: random.Random) -> str:
    """Between the shipped numbers and random ones, nearer to either; every part of a world is given."""
    far = rng.choice([0.15, 0.3, 0.6, 1.0])
    lines = [
        "[[world]]",
        f'name = "{name}"',
        f'says = "{far:g} of the way to anything"',
        f"incidents = {rng.choice([6, 12, 30, 30, 40])}",
        f"jitter = {rng.choice([0.0, 0.2, 0.4, 0.7])}",
        f"unmodelled = {rng.choice([0.0, 0.0, 0.05, 0.15, 0.3])}",
        f"person = [{735 * rng.uniform(0.3, 3):.0f}, {rng.uniform(0.1, 0.9):.2f}]",
        f"notices = {rng.uniform(300, 4000):.0f}",
        _table("world.costs", {name: cost * 2 ** rng.uniform(-1.5, 1.5) for name, cost in base.costs.items()}),
    ]
    for cause, nature in base.causes.items():
        lines += _nature(cause, nature, far, rng)
    if rng.random() < 0.4:
        lines.append(_table("world.half_way.shares", {c: rng.random() for c in base.causes if c != UNMODELLED}))
        changed = rng.choice(list(base.causes))
        lines.append(_table(f"world.half_way.repairs.{changed}", {a: rng.random() for a in rng.sample(REPAIRS, 3)}))
    return "\n".join([*lines, ""])


def _nature(cause: str, nature: Nature, far: float, rng: random.Random) -> list[str]:
    share = 0.0 if cause == UNMODELLED else (1 - far) * nature.share + far * rng.gammavariate(0.5, 0.2)
    head = f"world.causes.{cause}"
    lines = [_table(head, {"share": min(1.0, share)})]
    if nature.lasts is not None:
        lines.append(f"lasts = [{nature.lasts.median * 3 ** rng.uniform(-1, 1):.1f}, {rng.uniform(0.1, 1):.2f}]")
    lines.append(_table(f"{head}.shows", _blend(nature.shows, _shares(SIGNS, rng), far)))
    lines.append(_table(f"{head}.comes_with", _blend(nature.comes_with, _chances(CIRCUMSTANCES, rng), far)))
    if cause != UNMODELLED:
        helps = {action: p if rng.random() < 0.4 else 0.2 * p for action, p in _chances(REPAIRS, rng).items()}
        lines.append(_table(f"{head}.repairs", _blend(nature.repairs, helps, far)))
    return lines


def _blend(one: Mapping[str, float], other: Mapping[str, float], far: float) -> dict[str, float]:
    return {name: (1 - far) * one.get(name, 0.0) + far * other[name] for name in other}


def _chances(names: Sequence[str], rng: random.Random) -> dict[str, float]:
    return {name: rng.random() for name in names}


def _shares(names: Sequence[str], rng: random.Random) -> dict[str, float]:
    draws = {name: rng.gammavariate(0.4, 1.0) for name in names}
    total = sum(draws.values())
    return {name: draw / total for name, draw in draws.items()}


def _table(name: str, values: Mapping[str, float]) -> str:
    rows = [f"{key} = {value:.9f}" for key, value in values.items()]
    return "\n".join([f"[{name}]", *rows])
