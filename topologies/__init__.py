"""Shapes of trees, and whole trees that run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treewarden.agents.demand import on_demand

from .child import child
from .partition import partitions
from .pipeline import pipeline, stage
from .pool import pool
from .topic import subscriber, topic
from .tree import tree

if TYPE_CHECKING:
    from .core.blueprint import Blueprint
    from .core.routing import partition_of
    from .errors import BlueprintError
    from .gather import Gathered, gather
    from .open import open_tree
    from .running import SlotStatus, Tree
    from .toml import Topology, load, loads

__all__ = [
    "Blueprint",
    "BlueprintError",
    "Gathered",
    "SlotStatus",
    "Topology",
    "Tree",
    "child",
    "gather",
    "load",
    "loads",
    "open_tree",
    "partition_of",
    "partitions",
    "pipeline",
    "pool",
    "stage",
    "subscriber",
    "topic",
    "tree",
]

__getattr__ = on_demand(
    __name__,
    core__blueprint="Blueprint",
    core__routing="partition_of",
    errors="BlueprintError",
    gather="Gathered gather",
    open="open_tree",
    running="SlotStatus Tree",
    toml="Topology load loads",
)
