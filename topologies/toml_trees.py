"""Tables of a TOML file that describe supervisors: the root, a nested tree, another file, what a function returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import evolve

from treewarden.agents.agent import Agent
from treewarden.agents.core.said import either, listed
from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.core.spec import Strategy, SupervisorSpec

from .child import child, supervisor
from .core.blueprint import Blueprint, Place, place_of
from .core.node import Node, Problems, Reader, Refused, boolean, read_fields, text, whole
from .core.options import AGENT, AS_CHILD, SHAPE, SUPERVISOR, events
from .core.problems import Problem, guess, shown
from .errors import BlueprintError
from .imports import failed_at, tree_function
from .partition import partition_problems, partitions
from .toml_actions import actions_reader
from .toml_agents import (
    AT,
    EVERY,
    SPREAD,
    Placed,
    agent_fields,
    argument_faults,
    named,
    read_agent,
    read_pipeline,
    read_pool,
    read_worker,
    shape_options,
)
from .toml_arguments import arguments
from .toml_source import Source
from .toml_topics import read_topic

__all__ = ["read_root"]


def _journal(node: Node, problems: Problems) -> str | Refused:
    """As `open_tree` takes it: what it would refuse is no good file."""
    name = text(node, problems)
    if isinstance(name, Refused):
        return name
    from treewarden.supervisor.journal.place import named as named_journal  # with a file that names one

    try:
        named_journal(name)
    except ConfigurationError:
        return problems.refuse(node, "can be no journal", "give the name of a file, as 'desk.db'")
    return name


_OWN: Final = ("id", "children", "defaults")
_OF_RUN: Final[Mapping[str, Reader]] = {"journal": _journal, "production": boolean, "events": events}
_OUTERMOST: Final = {
    "journal": "only the outermost file names one",
    "production": "only the outermost file says so",
    "events": "only the outermost file says so",
}
_OF_AGENTS: Final = {key: f"it belongs to agents; for all below write defaults = {{ {key} = ... }}" for key in AGENT}


def read_root(source: Source, node: Node, *, outermost: bool) -> tuple[Blueprint, Place, Mapping[str, Any]]:
    """A whole file: its tree, where the parts of it stand, and what it says about the run of it."""
    of_child = dict.fromkeys(AS_CHILD, "a root is nobody's child; say it where this file is included")
    elsewhere = {**_OF_AGENTS, **of_child, **({} if outermost else _OUTERMOST)}
    more = _OF_RUN if outermost else {}
    options = shape_options(node, _OWN, {**_fields(source), **more}, "a tree", source.problems, elsewhere, {})
    of_run = {key: options.pop(key) for key in _OF_RUN if key in options}
    id = named(node, source.problems) if "id" in (node.table or {}) else "tree"
    return *_with_children(source, node, id, options), of_run


def _nested(source: Source, node: Node, _defaults: Node | None) -> Placed:
    """`{ id, children = [...] }` and a supervisor's options."""
    options = shape_options(node, _OWN, _fields(source), "a nested tree", source.problems, _OF_AGENTS)
    return _with_children(source, node, named(node, source.problems), options)


def _fields(source: Source) -> Mapping[str, Reader]:
    return {**SUPERVISOR, "actions": actions_reader(source.folder)}


def _with_children(source: Source, node: Node, id: str, options: dict[str, Any]) -> tuple[SupervisorSpec, Place]:
    problems, parts = source.problems, node.table or {}
    defaults, children = parts.get("defaults"), parts.get("children")
    if defaults is not None:
        fields = {**agent_fields(source), "every": EVERY, "spread": SPREAD, **AT}
        del fields["id"]
        read_fields(defaults, fields, "defaults", problems, {"worker": "say for each child which function it runs"})
    if children is None:
        if not any(guess(key, ["children"]) for key in parts):
            problems.add(Problem(node.at, "children", "is missing", "write children = [{ id = ..., agent = ... }]"))
        return supervisor(id, **options), Place(node.at)
    if children.array is None:
        problems.refuse(children, "is no list of children", "write [{ id = ..., agent = ... }, ...]")
        return supervisor(id, **options), Place(node.at)
    inside = evolve(source, template=options.get("strategy") is Strategy.DYNAMIC)
    read = [_child(inside, each, defaults) for each in children.array]
    spec = supervisor(id, children=tuple(spec for spec, _ in read), **options)
    return spec, Place(node.at, tuple(place for _, place in read))


def _child(source: Source, node: Node, defaults: Node | None) -> Placed:
    """Any child, by the key that says what lives there."""
    if node.table is None:
        source.problems.refuse(node, "is no table", "write { id = ..., agent = ... }")
        return child(Agent[None], id=f"_{len(source.problems)}"), Place(node.at)
    kinds = [kind for kind in _KINDS if kind in node.table]
    if not kinds and defaults is not None and "agent" in (defaults.table or {}):
        kinds = ["agent"]
    if len(kinds) == 1:
        return _KINDS[kinds[0]](source, node, defaults)
    if kinds:
        problem = Problem(node.at, listed(kinds), "exclude each other", "keep one of them, or make two children of it")
        source.problems.add(problem)
    else:
        _nothing_there(source.problems, node, node.table)
    return child(Agent[None], id=named(node, source.problems)), Place(node.at)


def _nothing_there(problems: Problems, node: Node, parts: Mapping[str, Node]) -> None:
    known = [*_KINDS, "id", "args", "every", "spread", *AT, *AGENT, *SUPERVISOR]
    wrong = [key for key in parts if key not in known]
    for key in wrong:
        remedy = guess(key, list(_KINDS)) or guess(key, known) or "take it out"
        problems.add(Problem(parts[key].at, repr(key), "is no key of a child", remedy))
    if not any(guess(key, list(_KINDS)) for key in wrong):
        problems.add(Problem(node.at, shown(node.value), "says not what lives there", f"give it {either(_KINDS)}"))


def _included(source: Source, node: Node, _defaults: Node | None) -> Placed:
    """`{ id, file = "other.toml" }`: the root of another file as a child of this one."""
    assert node.table is not None
    inside = dict.fromkeys([*SUPERVISOR, *AGENT, "defaults", "args"], "write it in that file")
    options = shape_options(node, ("id", "file"), {}, "an included file", source.problems, inside)
    id = named(node, source.problems)
    other = source.included(node.table["file"])
    if isinstance(other, Refused):
        return supervisor(id, **options), Place(node.at)
    spec, place, _ = read_root(*other, outermost=False)
    return evolve(spec, id=id, **options), place


def _computed(source: Source, node: Node, _defaults: Node | None) -> Placed:
    """`{ id, tree = "module:function", args = {...} }`: the blueprint that the function returns."""
    assert node.table is not None
    problems, at = source.problems, node.table["tree"]
    inside = dict.fromkeys([*SUPERVISOR, *AGENT, "defaults"], "say it in the function")
    options = shape_options(node, ("id", "tree"), {"args": arguments}, "a tree from a function", problems, inside)
    id, args = named(node, problems), options.pop("args", None if "args" in node.table else {})
    make = tree_function(at, source.folder, problems)
    if not isinstance(make, Refused) and args is not None and not argument_faults(node, make, args, problems):
        spec = _called(source, at, make, args)
        try:
            if spec is not None:
                return evolve(spec, id=id, **options), place_of(spec, at.at)
        except ValueError as error:  # the function made it significant, and the table permanent
            problems.refuse(at, "cannot stand here", str(error))
    return supervisor(id, **options), Place(node.at)


def _called(source: Source, at: Node, make: Callable[..., object], args: Mapping[str, Any]) -> Blueprint | None:
    try:
        made = make(**args)
    except BlueprintError as error:
        source.problems.add(*(evolve(each, path=f"{at.at}, {each.path}") for each in error.problems))
        return None
    except (Exception, SystemExit) as error:
        fault = f"failed: {type(error).__name__}: {error}"
        source.problems.refuse(at, fault, f"mend {failed_at(error, source.folder)}")
        return None
    if isinstance(made, SupervisorSpec):
        return made
    fault = f"returned {'nothing' if made is None else f'a value of type {type(made).__name__}'}"
    source.problems.refuse(at, fault, "return tree(...), pool(...), pipeline(...) or topic(...)")
    return None


def _partitioned(source: Source, node: Node, _defaults: Node | None) -> Placed:
    """`{ id, partitions = { count, key, entry, children = [...], …a tree's options } }` and a supervisor's options."""
    assert node.table is not None
    problems, inner = source.problems, node.table["partitions"]
    elsewhere = {"strategy": "write it in partitions: between them it is one_for_one"}
    options = shape_options(node, ("id", "partitions"), SHAPE, "partitions", problems, elsewhere)
    id = named(node, problems)
    if inner.table is None:
        problems.refuse(inner, "is no table", "write { count = 4, key = ..., entry = ..., children = [...] }")
        return supervisor(id, **options), Place(node.at)
    own = {key: part for key, part in inner.table.items() if key in _PARTITIONS}
    given = read_fields(evolve(inner, table=own), _PARTITIONS, "partitions", problems)
    of_tree = shape_options(inner, (*_OWN[1:], *_PARTITIONS), SUPERVISOR, "a partition", problems, _OF_AGENTS)
    template, place = _with_children(source, inner, "0", of_tree)
    count, key, entry = given.get("count", 4), given.get("key"), given.get("entry")
    wrong = partition_problems(inner.at, count, key, entry) if given.keys() == own.keys() else []
    problems.add(*wrong)
    if wrong or given.keys() != own.keys():
        key = entry = None
    return partitions(template, count, key=key, entry=entry, id=id, **options), Place(node.at, (place,) * count)


_PARTITIONS: Final[Mapping[str, Reader]] = {"count": whole(1), "key": text, "entry": text}

_KINDS: Final[Mapping[str, Callable[[Source, Node, Node | None], Placed]]] = {
    "agent": read_agent,
    "worker": read_worker,
    "pool": read_pool,
    "pipeline": read_pipeline,
    "topic": read_topic,
    "partitions": _partitioned,
    "children": _nested,
    "file": _included,
    "tree": _computed,
}
