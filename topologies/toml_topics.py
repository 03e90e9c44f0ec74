"""Tables of a TOML file that describe topics: who has subscribed, and what happens when there is no room."""

from __future__ import annotations

from typing import Any, Final

from attrs import evolve

from treewarden.agents.core.durability import Overflow

from .child import supervisor
from .core.blueprint import Place
from .core.node import REFUSED, Node, Problems, Reader, Refused, anything, choice, read_fields, text
from .core.options import SHAPE
from .toml_agents import Placed, named, read_agent, read_pool, shape_options
from .toml_source import Source
from .topic import Subscription, subscriber, subscription_problems, topic

__all__ = ["read_topic"]

_OVERFLOW: Final = choice(Overflow, "an overflow policy")


def read_topic(source: Source, node: Node, defaults: Node | None) -> Placed:
    """`{ id, topic = [{ id, agent, overflow }, { path, overflow }, …] }` and a supervisor's options."""
    assert node.table is not None
    problems, given = source.problems, node.table["topic"]
    elsewhere = {"strategy": "a topic's is one_for_one", "overflow": "each of its subscribers has one"}
    options = shape_options(node, ("id", "topic"), SHAPE, "a topic", problems, elsewhere)
    id = named(node, problems)
    if given.array is None:
        problems.refuse(given, "is no list of subscribers", "write [{ id = ..., agent = ... }, { path = ... }]")
        return supervisor(id, **options), Place(node.at)
    read = [_subscriber(source, each, defaults) for each in given.array]
    subscriptions = [subscription for subscription, _ in read if subscription is not None]
    places = tuple(place for subscription, place in read if subscription is not None)
    below = tuple(
        place for subscription, place in zip(subscriptions, places, strict=True) if subscription.spec is not None
    )
    wrong = subscription_problems(subscriptions, id, [place.at for place in places])
    if wrong:
        problems.add(*wrong)
        children = tuple(each.spec for each in subscriptions if each.spec is not None)
        return supervisor(id, children=children, **options), Place(node.at, below)
    return topic(*subscriptions, id=id, **options), Place(node.at, below)


def _subscriber(source: Source, node: Node, defaults: Node | None) -> tuple[Subscription | None, Place]:
    problems, parts = source.problems, node.table or {}
    policy: Any = _OVERFLOW(parts["overflow"], problems) if "overflow" in parts else Overflow.DROP_NEWEST
    overflow = Overflow.DROP_NEWEST if policy is REFUSED else policy
    if "path" in parts:
        return _elsewhere(node, overflow, problems), Place(node.at)
    if "pool" in parts:
        spec, place = read_pool(source, node, defaults, "overflow")
    else:
        inside = evolve(node, table={key: part for key, part in parts.items() if key != "overflow"})
        spec, place = read_agent(source, inside if node.table is not None else node, defaults)
    return subscriber(spec, overflow=overflow), place


def _elsewhere(node: Node, overflow: Overflow, problems: Problems) -> Subscription | None:
    """A subscriber that lives somewhere else."""
    fields: dict[str, Reader] = {"path": text, "overflow": anything}
    of_agents = "a subscriber has either a path, or an agent of its own"
    given = read_fields(
        node, fields, "a subscriber", problems, dict.fromkeys(("agent", "id", "args", "pool"), of_agents)
    )
    path = given.get("path", REFUSED)
    return None if isinstance(path, Refused) else subscriber(path, overflow=overflow)
