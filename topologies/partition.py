"""Equal parts of a tree, each of which has its share of the keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from treewarden.agents.core.path import Path
from treewarden.agents.core.said import is_count
from treewarden.supervisor.core.spec import Strategy

from .child import Child, spec_of, supervisor
from .core.blueprint import Blueprint
from .core.problems import Problem, shown
from .core.routing import MOST, ByKey, is_attribute
from .errors import BlueprintError

if TYPE_CHECKING:
    from typing import Unpack

    from .child_options import SupervisorOptions

__all__ = ["partition_problems", "partitions"]


def partitions(
    item: Child,
    count: int = 4,
    *,
    key: str | None = None,
    entry: str | None = None,
    id: str | None = None,
    **options: Unpack[SupervisorOptions],
) -> Blueprint:
    """`count` copies of a tree, named `0`, `1`, …, restarted one by one: what fails in one leaves the others alone.

    With a `key`, the name of an attribute of messages, the whole is an address: a message goes to the partition that
    its key belongs to, there to `entry`, an agent or pool below the copied tree; they are stopped together. Without,
    they are children as any, stopped one after the other, and callers find the path with `partition_of(key, count)`.
    Which partition a key belongs to is the same in every process; with one more only the keys move that go to it
    (rendezvous hashing; Elixir's PartitionSupervisor takes the remainder, which moves nearly all). A key stays with its
    partition also while that is down: messages wait there, or are refused with `AgentStopped` if it has ended for good.

    Not promised: that the states of moved keys move along, when `count` is another one after a reload. `id` is that of
    the whole; without it the one that the copied tree has. Raises `BlueprintError` with everything that cannot work.
    """
    template = spec_of(item)
    name = template.id if id is None else id
    found = partition_problems(name, count, key, entry)
    if found:
        raise BlueprintError(found, f"partitions {name!r}")
    return supervisor(
        name,
        children=tuple(evolve(template, id=str(number)) for number in range(count)),
        strategy=Strategy.ONE_FOR_ONE,
        router=None if key is None else ByKey(key),
        entry=entry,
        **options,
    )


def partition_problems(at: str, count: int, key: str | None, entry: str | None) -> list[Problem]:
    """What is wrong with these, which stand at `at`; whether the entry is there, `validate` knows."""
    found: list[Problem] = []
    if not is_count(count):
        found.append(Problem(f"{at}.count", shown(count), "is no number of partitions", "give 1 or more"))
    elif count > MOST:
        remedy = f"give {MOST} or fewer"
        found.append(Problem(f"{at}.count", shown(count), "are more parts than a tree may have", remedy))
    if key is not None and not is_attribute(key):
        found.append(Problem(f"{at}.key", shown(key), "is no attribute's name", "use letters, digits and _"))
    if key is None and entry is not None:
        remedy = "name the attribute of the message that the partition is chosen by, or leave entry out"
        found.append(Problem(f"{at}.key", "key", "is missing, and there is an entry", remedy))
    if entry is not None:
        try:
            Path.parse(entry)
        except ValueError as error:
            found.append(Problem(f"{at}.entry", shown(entry), "is no path", str(error)))
    return found
