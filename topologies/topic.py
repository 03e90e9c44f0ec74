"""Publish and subscribe: one address, and everybody who wants to be told what it is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from treewarden.agents.core.durability import Overflow
from treewarden.agents.core.path import Path
from treewarden.agents.core.said import either
from treewarden.supervisor.core.spec import ChildSpec, Spec, Strategy, Subscriber

from .child import Child, spec_of, supervisor
from .core.blueprint import Blueprint
from .core.problems import Problem, shown
from .errors import BlueprintError

if TYPE_CHECKING:
    from typing import Unpack

    from .child_options import SupervisorOptions

__all__ = ["Subscription", "subscriber", "subscription_problems", "topic"]


@frozen
class Subscription:
    """A subscriber that lives below the topic (`spec`), or one that lives elsewhere (`path`)."""

    spec: Spec | None
    path: str
    overflow: Overflow = Overflow.DROP_NEWEST


def subscriber(item: Child | str, *, overflow: Overflow = Overflow.DROP_NEWEST) -> Subscription:
    """A subscriber, and what the topic does when there is no room in its mailbox: `subscriber(Log, overflow="wait")`.

    `item` is an agent or a pool that will live below the topic, or the path of one that lives elsewhere, as seen from
    the topic (`../desk`) or from the root. `overflow` takes the place of the mailbox's own policy. With `drop_newest`,
    the default, the message becomes a dead letter of that subscriber; `coalesce` does the same where nothing of its
    kind waits; `refuse` tells the publisher; with `wait`, and only then, the publisher waits.
    """
    if isinstance(item, str):
        return Subscription(None, item, overflow)
    spec = spec_of(item)
    return Subscription(spec, f"./{spec.id}", overflow)


def topic(
    *subscribers: Child | str | Subscription, id: str = "topic", **options: Unpack[SupervisorOptions]
) -> Blueprint:
    """An address that many are told through: what is told to it goes to every subscriber that handles such messages.

    There is no agent in between: the message goes, when it is accepted, straight into the mailboxes of the subscribers;
    for all durable ones that have room in one commit, and inside a durable handler in the commit that settles it. A
    subscriber that is down and comes back finds in its mailbox what was published meanwhile. One without room holds up
    nobody, unless it was subscribed with `wait`: then the publisher waits for it, after all others have been told.

    Those given as agents or pools live below the topic and are restarted one by one; those given as paths live
    elsewhere in the tree. More come and go at run time: `ref.subscribe`, `ref.unsubscribe`. A pool that has subscribed
    gets each message once, for one of its workers; a topic hands on to its own subscribers.

    Order holds per publisher and subscriber. Not promised: that anybody gets a message that nobody handles, or that
    finds its subscriber ended for good or being drained. Asking a topic raises `NotHandled`. Raises `BlueprintError`.
    """
    given = [each if isinstance(each, Subscription) else subscriber(each) for each in subscribers]
    found = subscription_problems(given, id, [f"{id}.subscribers[{number}]" for number in range(len(given))])
    if found:
        raise BlueprintError(found, f"topic {id!r}")
    return supervisor(
        id,
        children=tuple(each.spec for each in given if each.spec is not None),
        strategy=Strategy.ONE_FOR_ONE,
        topic=tuple(Subscriber(each.path, Overflow(each.overflow)) for each in given),
        **options,
    )


def subscription_problems(given: Sequence[Subscription], id: str, places: Sequence[str]) -> list[Problem]:
    """Everything that keeps these from being the subscribers of one topic; `places` says where each of them stands."""
    found: list[Problem] = []
    here, first = Path("topics") / id, dict[str, str]()
    for each, place in zip(given, places, strict=True):
        if each.spec is not None and not _has_mailbox(each.spec):
            remedy = "a subscriber is an agent, a pool or a topic"
            found.append(Problem(place, repr(each.spec.id), "has no mailbox of its own", remedy))
        if each.overflow not in list(Overflow):
            remedy = f"use {either(f'{policy.value!r}' for policy in Overflow)}"
            found.append(Problem(f"{place}.overflow", shown(each.overflow), "is no overflow policy", remedy))
        try:
            target = here.resolve(each.path)
        except ValueError as error:
            found.append(Problem(f"{place}.path", repr(each.path), "is no path", str(error)))
            continue
        if target == here:
            found.append(Problem(f"{place}.path", repr(each.path), "is the topic itself", "name somebody else"))
        if target in first:
            fault = f"has subscribed as {first[target]} too"
            found.append(Problem(place, repr(each.path), fault, "leave one of them"))
        first.setdefault(target, place)
    return found


def _has_mailbox(spec: Spec) -> bool:
    return isinstance(spec, ChildSpec) or spec.router is not None or spec.topic is not None
