"""Equal workers behind one address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from treewarden.agents.agent import Agent
from treewarden.agents.agent_spec import AgentSpec
from treewarden.supervisor.core.spec import ChildSpec, Intensity, Strategy, SupervisorSpec

from .child import spec_of, supervisor
from .core.blueprint import Blueprint
from .core.problems import Problem, choose, shown
from .core.routing import MOST, ROUTES, Route, is_attribute
from .errors import BlueprintError

if TYPE_CHECKING:
    from typing import Unpack

    from .child_options import SupervisorOptions

__all__ = ["pool"]


def pool(
    agent: type[Agent[Any]] | AgentSpec | ChildSpec,
    size: int = 4,
    route: Route = "round_robin",
    *,
    key: str | None = None,
    id: str | None = None,
    **options: Unpack[SupervisorOptions],
) -> Blueprint:
    """`size` workers named `0`, `1`, … behind one address, restarted one by one and stopped together.

    A message to the pool goes, when it is accepted, straight into the mailbox of the worker that `route` chooses:
    each in turn, the one with the fewest messages waiting, always the same one for the same `key` (an attribute of
    the message), or all of them. A restarted worker keeps its mailbox, so its messages are not routed again. Order
    holds per sender and worker, not across workers.

    With `shared` nobody chooses: one mailbox, of the capacity and durability of a worker's, belongs to the pool, and
    whoever is free takes what has waited longest; of several that are free, the one is woken that was so longest. So a
    slow message holds up one worker and nothing behind it. What a worker had in hand when it crashed is the first in
    the queue again, for any of them. Messages of one sender are begun in order, and may end in another one; a worker
    cannot be told anything by itself, and asking its own pool from a handler is no cycle unless all of them do it:
    then the last one gets `AskCycle` at once.

    Options of the workers go to `child`: `pool(child(Writer, mailbox=...), size=8)`. `id` is the pool's; without it
    the one that the agent would have. `restarts` counts those of all workers together; without it there may be three
    for each worker within five seconds, before the pool gives up. Raises `BlueprintError` with all that cannot work.
    """
    worker = spec_of(agent)
    name = worker.id if id is None else id
    found: list[Problem] = []
    if isinstance(worker, SupervisorSpec):
        found.append(Problem(name, repr(worker.id), "is a supervisor", "a pool is made of agents"))
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        found.append(Problem(f"{name}.size", shown(size), "is no number of workers", "give 1 or more"))
    elif size > MOST:
        remedy = f"give {MOST} or fewer"
        found.append(Problem(f"{name}.size", shown(size), "are more workers than a pool may have", remedy))
    found += route_problems(name, route, key)
    if found or isinstance(worker, SupervisorSpec):
        raise BlueprintError(found, f"pool {name!r}")
    options.setdefault("restarts", Intensity(Intensity().max_restarts * size))
    return supervisor(
        name,
        children=tuple(evolve(worker, id=str(number)) for number in range(size)),
        strategy=Strategy.ONE_FOR_ONE,
        router=ROUTES[route](key),
        **options,
    )


def route_problems(at: str, route: str, key: str | None) -> list[Problem]:
    """What is wrong with a route and its key, which stand at `at`."""
    if not isinstance(route, str) or route not in ROUTES:  # pyright: ignore[reportUnnecessaryIsInstance]
        return [Problem(f"{at}.route", shown(route), "is no route", choose(route, list(ROUTES)))]
    if route == "by_key" and key is None:
        remedy = "name the attribute of the message that the worker is chosen by"
        return [Problem(f"{at}.key", "key", "is missing, and the route is by_key", remedy)]
    if route != "by_key" and key is not None:
        return [
            Problem(
                f"{at}.key", shown(key), f"counts for nothing with the route {route}", "use by_key, or leave it out"
            )
        ]
    if key is not None and not is_attribute(key):
        return [Problem(f"{at}.key", shown(key), "is no attribute's name", "use letters, digits and _")]
    return []
