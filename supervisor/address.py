"""What answers at a supervisor's own path: a pool, partitions, a topic, or the queue that its workers share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treewarden.agents.core.path import Path
from treewarden.agents.errors import ConfigurationError
from treewarden.agents.slot import Slot

from .core.spec import ChildSpec, Shared
from .recovery import open_queue
from .registry import Partitions, Pool

if TYPE_CHECKING:
    from .supervisor import Supervisor

__all__ = ["share_queue", "take_address"]


async def share_queue(supervisor: Supervisor) -> None:
    """Open the queue that its workers share, before they begin. Raises `ConfigurationError` without an agent."""
    workers = supervisor.spec.children
    if not workers or not isinstance(workers[0], ChildSpec):
        raise ConfigurationError(f"{supervisor.path}: a queue is shared by workers that are agents; give it one")
    supervisor.children.share(await open_queue(supervisor.path, workers[0], supervisor.common))


def take_address(supervisor: Supervisor) -> None:
    """Make its path one that messages can be told to if its spec says so, and none if it does not any more."""
    registry, spec, path = supervisor.common.registry, supervisor.spec, supervisor.path
    router = spec.router
    if router is not None and not isinstance(router, Shared):
        if spec.entry is None:
            registry.add_pool(path, Pool(path, router, lambda: _workers(supervisor)))
        else:
            registry.add_pool(path, Partitions(path, router, lambda: _entries(supervisor), registry))
    elif spec.topic is not None:
        from .topics import Topic

        before = registry.lookup(path)
        topic = before if isinstance(before, Topic) else Topic(path, supervisor.common)
        topic.declare(spec.topic)
        registry.add_pool(path, topic)
    else:
        registry.remove_pool(path)
    registry.goes_on()


def _entries(supervisor: Supervisor) -> list[Path]:
    """Those of the parts that its spec lists, whoever was added or taken out since: by their number a key is theirs."""
    path, entry = supervisor.path, f"./{supervisor.spec.entry}"
    return [(path / part.id).resolve(entry) for part in supervisor.spec.children]


def _workers(supervisor: Supervisor) -> list[Slot]:
    return [child.slot for child in supervisor.children if child.slot is not None]
