"""What befalls a colony: when which place loses its worker process, and when the controller dies. Pure, by seed."""

from __future__ import annotations

import random
from typing import Final

from attrs import frozen

__all__ = ["HORIZON", "JOBS", "PLACES", "PRICE", "PROFILES", "STAGES", "Fate", "Loss", "fate"]

STAGES: Final = (("setup", 5.0), ("data_load", 7.0), ("inference", 13.0), ("metrics", 4.0), ("upload", 3.0))
"""Names and lengths in seconds of the colony, which go by faster than those of the wall."""

JOBS: Final = 20
PLACES: Final = 5
PRICE: Final = 1.20
"""Dollars for an hour of a place that works."""

HORIZON: Final = 640.0
"""Until when losses are drawn: as long as all stages one after the other."""

PROFILES: Final = {"calm": 0.008, "moderate": 0.02, "hostile": 0.08}
"""Losses in a second, of all places together."""


@frozen
class Loss:
    """At this second the worker process of this place gets a SIGKILL, whatever it does."""

    at: float
    place: int


@frozen
class Fate:
    """The same for every contender."""

    losses: tuple[Loss, ...]
    controller_dies: float


def fate(profile: str, seed: int) -> Fate:
    """Losses are a Poisson process, each of a place drawn evenly; the controller dies once while most jobs are open."""
    drawn = random.Random(f"{profile} {seed}")
    controller_dies = drawn.uniform(0.2, 0.8) * JOBS * sum(length for _, length in STAGES) / PLACES
    losses: list[Loss] = []
    at = drawn.expovariate(PROFILES[profile])
    while at < HORIZON:
        losses.append(Loss(at, drawn.randrange(PLACES)))
        at += drawn.expovariate(PROFILES[profile])
    return Fate(tuple(losses), controller_dies)
