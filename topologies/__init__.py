"""Shapes of trees, and whole trees that run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treewarden.agents.demand import on_demand

if TYPE_CHECKING:
    from .child import child
    from .core.blueprint import Blueprint
    from .core.routing import partition_of
    from .errors import BlueprintError
    from .gather import Gathered, gather
    from .open import open_tree
    from .partition import partitions
    from .pipeline import pipeline, stage
    from .pool import pool
    from .portal import Portal, open_portal
    from .running import Tree
    from .slot_status import SlotStatus
    from .toml import Topology, load, loads
    from .topic import subscriber, topic
    from .tree import tree

__all__ = [
    "Blueprint",
    "BlueprintError",
    "Gathered",
    "Portal",
    "SlotStatus",
    "Topology",
    "Tree",
    "child",
    "gather",
    "load",
    "loads",
    "open_portal",
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
    child="child",
    core__blueprint="Blueprint",
    core__routing="partition_of",
    errors="BlueprintError",
    gather="Gathered gather",
    open="open_tree",
    partition="partitions",
    pipeline="pipeline stage",
    pool="pool",
    portal="Portal open_portal",
    running="Tree",
    slot_status="SlotStatus",
    toml="Topology load loads",
    topic="subscriber topic",
    tree="tree",
)
