"""What answers at a supervisor's own path: a pool, partitions, a topic, or the queue that its workers share."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from treewarden.agents.core.path import Path
from treewarden.agents.errors import ConfigurationError
from treewarden.agents.slot import Slot

from .core.spec import ChildSpec, Shared, SupervisorSpec
from .recovery import open_queue
from .registry import Partitions, Pool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from .supervisor import Supervisor

__all__ = ["share_queue", "starts", "take_address"]


def starts(supervisor: Supervisor, spec: SupervisorSpec, *, whole: bool = False) -> AbstractContextManager[None]:
    """In the block it brings to life what `spec` says: whoever has begun, and tells or asks somebody who comes later,
    waits for that one. Of a `whole` tree all start, or nobody."""
    paths = cache(lambda: frozenset(_addresses(spec, supervisor.path)))
    return supervisor.common.registry.starting(paths, whole=whole)


def _addresses(spec: SupervisorSpec, at: Path) -> Iterator[Path]:
    """Each path there, and below, that messages can be told to."""
    if spec.router is not None or spec.topic is not None:
        yield at
    for child in spec.children:
        if isinstance(child, SupervisorSpec):
            yield from _addresses(child, at / child.id)
        else:
            yield at / child.id


async def share_queue(supervisor: Supervisor) -> None:
    """Open the queue that its workers share, before they begin. Raises `ConfigurationError` without an agent."""
    workers = supervisor.spec.children
    if not workers or not isinstance(workers[0], ChildSpec):
        raise ConfigurationError(f"{supervisor.path}: a queue is shared by workers that are agents; give it one")
    supervisor.children.share(await open_queue(supervisor.path, workers[0], supervisor.common))


def take_address(supervisor: Supervisor, spec: SupervisorSpec) -> None:
    """Make its path one that messages can be told to if its spec says so, and none if it does not any more."""
    registry, path = supervisor.common.registry, supervisor.path
    router = spec.router
    if router is not None and not isinstance(router, Shared):
        if spec.entry is None:
            registry.add_pool(path, Pool(path, router, lambda: _workers(supervisor)))
        else:
            registry.add_pool(path, Partitions(path, router, lambda: _entries(path, spec), registry))
    elif spec.topic is not None:
        from .topics import Topic

        before = registry.lookup(path)
        topic = before if isinstance(before, Topic) else Topic(path, supervisor.common)
        topic.declare(spec.topic)
        registry.add_pool(path, topic)
    else:
        registry.remove_pool(path)
    registry.goes_on()


def _entries(path: Path, spec: SupervisorSpec) -> list[Path]:
    """Those of the parts that its spec lists, whoever was added or taken out since: by their number a key is theirs."""
    return [(path / part.id).resolve(f"./{spec.entry}") for part in spec.children]


def _workers(supervisor: Supervisor) -> list[Slot]:
    return [child.slot for child in supervisor.children if child.slot is not None]
