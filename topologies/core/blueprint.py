"""A tree as data, and everything that can be wrong with it before it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from treewarden.agents.core.durability import Overflow
from treewarden.agents.core.path import LONGEST_PATH, ROOT, Path
from treewarden.agents.core.said import are_texts, either
from treewarden.agents.core.values import frozen
from treewarden.supervisor.core.fields import are_specs, leads_on, wrong_fields
from treewarden.supervisor.core.spec import (
    AutoShutdown,
    ChildSpec,
    RestartBucket,
    Spec,
    Strategy,
    SupervisorSpec,
)

from .arguments import argument_problems
from .problems import Problem, guess, shown

__all__ = ["Blueprint", "Place", "place_of", "validate", "walk"]

Blueprint: TypeAlias = SupervisorSpec
"""A supervision tree as a value: the root supervisor and all that is below it, down to the agents' arguments.

Two blueprints that compare equal make the same tree. Nothing of it runs, and nothing in it changes when it does.
"""


@frozen
class Place:
    """Where a spec was written down, for the messages about it, and the same for what is below it."""

    at: str
    children: tuple[Place, ...] = ()


def place_of(spec: Spec, at: str) -> Place:
    """The places of a spec that was built in Python: `at`, `at.children[intake]`, `at.children[pool].workers`, …

    Children are named by their ids, for where a builder puts them is its own affair; by numbers if ids are equal.
    """
    if isinstance(spec, ChildSpec) or not are_specs(spec.children):
        return Place(at)
    often = Counter(child.id for child in spec.children)
    names = [child.id if often[child.id] == 1 else number for number, child in enumerate(spec.children)]
    if spec.router is not None:
        return Place(at, tuple(place_of(child, f"{at}.workers") for child in spec.children))
    children = zip(spec.children, names, strict=True)
    return Place(at, tuple(place_of(child, f"{at}.children[{name}]") for child, name in children))


def walk(blueprint: Blueprint, at: Path = ROOT) -> Iterator[tuple[Path, Spec]]:
    """Every slot with its spec: the root first, each supervisor before its children, those in start order."""
    yield at, blueprint
    for child in blueprint.children:
        if isinstance(child, SupervisorSpec):
            yield from walk(child, at / child.id)
        else:
            yield at / child.id, child


def validate(blueprint: Blueprint, place: Place | None = None) -> tuple[Problem, ...]:
    """Everything that keeps `blueprint` from working, all at once; an empty tuple if it can be opened.

    `place` says where its parts stand; without it they are named as `place_of` does, beginning with the root's id.
    Not found here: what only a running agent can tell, such as an `on_start` that raises.
    """
    place = place or place_of(blueprint, blueprint.id)
    lost = tuple(_lost(blueprint, place))
    if lost:
        return lost
    found = [*_below(blueprint, place, set()), *_places_in_tree(blueprint, place), *_outlets(blueprint, place)]
    return tuple(dict.fromkeys([*found, *_performed(blueprint, place, frozenset())]))


def _lost(spec: SupervisorSpec, place: Place) -> Iterator[Problem]:
    """What is wrong with supervisors whose children are no specs: nobody can go on to what is below them."""
    if not are_specs(spec.children):
        yield from _fields(spec, place.at)
        return
    for child, below in zip(spec.children, place.children, strict=True):
        if isinstance(child, SupervisorSpec):
            yield from _lost(child, below)


_Call: TypeAlias = tuple[int, tuple[str, ...], bool]
"""Which agent, by identity, is called with which arguments, and whether more come later."""


def _below(spec: SupervisorSpec, place: Place, fit: set[_Call]) -> Iterator[Problem]:
    yield from _supervisor(spec, place)
    for child, below in zip(spec.children, place.children, strict=True):
        if isinstance(child, SupervisorSpec):
            yield from _below(child, below, fit)
            continue
        wrong = list(_agent(child, below.at))
        if wrong:
            yield from wrong
            continue
        call = (id(child.agent), tuple(child.args), spec.strategy == Strategy.DYNAMIC)
        if call not in fit:
            wrong = list(argument_problems(child.agent, child.args, f"{below.at}.args", more_later=call[2]))
            yield from wrong
            if not wrong:
                fit.add(call)


def _fields(spec: Spec, at: str) -> list[Problem]:
    return [Problem(f"{at}.{each.name}", _named(each.value), each.fault, each.remedy) for each in wrong_fields(spec)]


def _named(value: object) -> str:
    """A class or function by its name: its `repr` says where it lies in memory."""
    name = getattr(value, "__qualname__", None)
    return name if isinstance(name, str) else shown(value)


def _agent(spec: ChildSpec, at: str) -> Iterator[Problem]:
    wrong = _fields(spec, at)
    if wrong:
        yield from wrong
        return
    if spec.backoff.first > spec.backoff.most:
        fault = f"is more than most, which is {spec.backoff.most:g}"
        yield Problem(f"{at}.backoff.first", f"{spec.backoff.first:g}", fault, "lower it or raise most")


def _supervisor(spec: SupervisorSpec, place: Place) -> Iterator[Problem]:
    at = place.at
    yield from _equal_ids(spec, place)
    wrong = _fields(spec, at)
    if wrong:
        yield from wrong
        return
    if spec.auto_shutdown == AutoShutdown.NEVER:
        for child, below in zip(spec.children, place.children, strict=True):
            if child.significant:
                fault = f"counts for nothing while auto_shutdown of {at} is 'never'"
                remedy = f"say there {either(f'{each.value!r}' for each in list(AutoShutdown)[1:])}, or leave it out"
                yield Problem(f"{below.at}.significant", "true", fault, remedy)
    if spec.strategy == Strategy.DYNAMIC and spec.auto_shutdown != AutoShutdown.NEVER:
        fault = "is for children that are listed; under simple_one_for_one they come and go"
        yield Problem(f"{at}.auto_shutdown", repr(str(spec.auto_shutdown)), fault, "leave it out")
    if spec.strategy == Strategy.DYNAMIC:
        if len(spec.children) != 1:
            fault = f"has {len(spec.children)} children; under simple_one_for_one they are all made from one template"
            yield Problem(f"{at}.children", repr(spec.id), fault, "give exactly one child, the template")
    elif spec.max_children is not None:
        remedy = "say strategy = 'simple_one_for_one', or leave it out"
        yield Problem(f"{at}.max_children", shown(spec.max_children), "limits only children of a template", remedy)
    if spec.max_children is not None and spec.max_children < 1:
        yield Problem(f"{at}.max_children", shown(spec.max_children), "lets no child start", "give 1 or more")
    if spec.router is not None:
        if not spec.children:
            yield Problem(f"{at}.children", repr(spec.id), "is a pool without workers", "give it a worker")
        for child, below in zip(spec.children, place.children, strict=True):
            if isinstance(child, SupervisorSpec) and spec.entry is None:
                yield Problem(below.at, repr(child.id), "is a supervisor; a pool's workers are agents", "give an agent")


def _places_in_tree(blueprint: Blueprint, place: Place) -> Iterator[Problem]:
    """Slots that stand too deep for anybody to name, and restart buckets that would hold nothing: there is one for the
    whole tree."""
    for (path, spec), at in zip(walk(blueprint), _places(place), strict=True):
        if len(path) > LONGEST_PATH:
            fault = f"has a path of {len(path):,} characters, and {LONGEST_PATH:,} are the most"
            yield Problem(f"{at}.id", shown(path.name), fault, "give those above it shorter ids, or make fewer of them")
        if isinstance(spec, SupervisorSpec) and path != ROOT and spec.restart_bucket != RestartBucket():
            fault = "is for the whole tree, and this is a part of one"
            yield Problem(f"{at}.restart_bucket", shown(spec.restart_bucket), fault, "say it at the root")


def _equal_ids(spec: SupervisorSpec, place: Place) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for child, below in zip(spec.children, place.children, strict=True):
        if child.id in first:
            fault = f"is the id of {first[child.id]} too"
            yield Problem(f"{below.at}.id", repr(child.id), fault, "name one of them differently")
        first.setdefault(child.id, below.at)


def _outlets(blueprint: Blueprint, place: Place) -> Iterator[Problem]:
    """Outlets that lead to no mailbox, and cycles of them: with full mailboxes a cycle stands still for ever."""
    located = list(zip(walk(blueprint), _places(place), strict=True))
    specs = dict(slot for slot, _ in located)
    places = {path: at for (path, _), at in located}
    edges: dict[Path, list[Path]] = {}
    for (path, spec), at in located:
        if isinstance(spec, ChildSpec):
            edges[path] = []
            for number, outlet in enumerate(spec.outlet if are_texts(spec.outlet) else ()):
                try:
                    target = path.resolve(outlet)
                except ValueError as error:
                    yield Problem(f"{at}.outlet[{number}]", repr(outlet), "is no path", str(error))
                    continue
                edges[path].append(target)
                yield from _no_mailbox(specs, target, f"{at}.outlet[{number}]", outlet, "an outlet")
        elif not leads_on(spec):
            edges[path] = []
        elif spec.router is not None:
            below = "." if spec.entry is None else f"./{spec.entry}"
            edges[path] = [(path / child.id).resolve(below) for child in spec.children]
            if spec.entry is not None:
                yield from _no_mailbox(specs, edges[path][0], f"{at}.entry", spec.entry, "it")
        elif spec.topic is not None:
            edges[path] = []
            for number, subscriber in enumerate(spec.topic):
                target = path.resolve(subscriber.path)
                yield from _no_mailbox(specs, target, f"{at}.subscribers[{number}]", subscriber.path, "it")
                if subscriber.overflow is Overflow.WAIT:
                    edges[path].append(target)
    if not any(edges.values()):
        return
    from .flow import find_cycle  # most trees have no arrows

    cycle = find_cycle(edges)
    if cycle is not None:
        start = next(path for path in cycle if isinstance(specs[path], ChildSpec))
        fault = "is a cycle: with full mailboxes each would wait for the next for ever"
        yield Problem(f"{places[start]}.outlet", " -> ".join(cycle), fault, "take one of these arrows out")


def _performed(spec: SupervisorSpec, place: Place, above: frozenset[str]) -> Iterator[Problem]:
    """Rules whose action nobody registers: for the supervisor that decides by them, or for any of those below it."""
    known = above | frozenset(spec.actions)
    wanted: frozenset[str] = getattr(spec.policy, "performs", frozenset())
    if not wanted <= known:
        anywhere = known | {name for _, each in walk(spec) for name in each.actions}
        for name in sorted(wanted - anywhere):
            fault = "is an action that nobody registers"
            remedy = guess(name, sorted(anywhere)) or f"write actions = {{ {name} = ... }} for the tree or a child"
            yield Problem(f"{place.at}.policy", repr(name), fault, remedy)
    for child, below in zip(spec.children, place.children, strict=True):
        if isinstance(child, SupervisorSpec):
            yield from _performed(child, below, known)


def _no_mailbox(specs: Mapping[Path, Spec], target: Path, at: str, outlet: str, what: str) -> Iterator[Problem]:
    found, above = specs.get(target), specs.get(target.parent)
    if isinstance(found, SupervisorSpec) and found.router is None and found.topic is None:
        yield Problem(at, repr(outlet), "is a supervisor, which has no mailbox", "name an agent, a pool or a topic")
    elif found is None and not (isinstance(above, SupervisorSpec) and above.strategy == Strategy.DYNAMIC):
        remedy = f"{what} is a path seen from its slot (../sibling), or from the root"
        yield Problem(at, repr(outlet), f"points nowhere, there is no {target}", guess(target, list(specs)) or remedy)


def _places(place: Place) -> Iterator[str]:
    """Where each spec stands, in the order of `walk`."""
    yield place.at
    for below in place.children:
        yield from _places(below)
