"""Tables of a TOML file that describe agents: one, a worker, a pool of equal ones, the stages of a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from attrs import evolve

from treewarden.agents.agent import Agent
from treewarden.agents.errors import ConfigurationError
from treewarden.agents.worker import worker
from treewarden.supervisor.core.spec import AutoShutdown, ChildSpec, RestartPolicy, Spec

from .child import child, supervisor
from .core.arguments import argument_problems, type_problems
from .core.blueprint import Place
from .core.flow import Flow
from .core.node import (
    REFUSED,
    Node,
    Problems,
    Reader,
    Refused,
    anything,
    number,
    read_fields,
    slot_id,
    text,
    text_or_texts,
    texts,
    whole,
)
from .core.options import AGENT, AS_CHILD, SHAPE, TABLES
from .core.problems import Problem, shown
from .imports import agent_class, async_function
from .pipeline import Stage, pipeline, stage_problems
from .pool import pool, route_problems
from .toml_actions import actions_reader
from .toml_arguments import arguments
from .toml_source import Source

__all__ = [
    "AT",
    "EVERY",
    "SPREAD",
    "Placed",
    "agent_fields",
    "argument_faults",
    "named",
    "read_agent",
    "read_pipeline",
    "read_pool",
    "read_worker",
    "shape_options",
    "significance",
]

Placed: TypeAlias = tuple[Spec, Place]

_IMPORTED: Final = ("variants", "actions")
"""Options that name what is imported."""
EVERY: Final = number(0, above=True, infinite=False)
"""How the period of a worker is read."""
SPREAD: Final = number(0, infinite=False)
"""How it is read over how many seconds its first calls spread."""
AT: Final[Mapping[str, Reader]] = {"at": text_or_texts, "zone": text, "days": text}
"""How the times of day of a worker are read; what they mean is looked at together."""
_WORKERS: Final = {
    key: f"it belongs to the workers: write pool = {{ {key} = ... }}"
    for key in ("agent", "args", "size", "route", "key", *(AGENT.keys() - AS_CHILD.keys() - SHAPE.keys()))
}
_NOT_AN_AGENT_S: Final = {
    "every": "an agent's period is in its @every; only a worker has this key",
    "spread": "an agent's spread is in its @every; only a worker has this key",
    **dict.fromkeys(("at", "zone", "days"), "an agent's times are in its @at; only a worker has this key"),
    "to": "only a stage of a pipeline has this key",
    "size": "write pool = { agent = ..., size = ... }",
    "route": "write pool = { agent = ..., route = ... }",
}


def read_agent(source: Source, node: Node, defaults: Node | None) -> Placed:
    """`{ id, agent = "module:name", args = {...} }` and an agent's options."""
    node = _with_defaults(node, defaults, {*AGENT, *_IMPORTED, "agent", "args"})
    id, fields = named(node, source.problems), agent_fields(source)
    given = read_fields(node, fields, "an agent", source.problems, _NOT_AN_AGENT_S)
    return _agent(source, node, id, fields, given), Place(node.at)


def read_worker(source: Source, node: Node, defaults: Node | None) -> Placed:
    """`{ id, worker = "module:function", every = 30 }`, or `at = "09:00"`, and an agent's options."""
    own = node.table or {}
    node = _with_defaults(node, defaults, {*AGENT, "every", "spread", *AT, "actions"})
    id, problems = named(node, source.problems), source.problems

    def function(part: Node, found: Problems) -> Any:
        return async_function(part, source.folder, found)

    fields = {"id": anything, "worker": function, "every": EVERY, "spread": SPREAD, **AT, **_actions(source), **AGENT}
    remedy = "a worker's function takes none; write an Agent to give it some"
    given = read_fields(node, fields, "a worker", problems, {"args": remedy})
    significance(node, given, problems)
    options = {key: value for key, value in given.items() if key in AGENT or key == "actions"}
    if "worker" in given and _dated(node, own, given, problems):
        keys = ("every", "spread", *(AT if "at" in given else ()))
        try:
            times = {key: given[key] for key in keys if key in given}
            made = worker(given["worker"], **times)
            return child(made, id=id, **options), Place(node.at)
        except ConfigurationError as error:
            assert node.table is not None
            problems.refuse(node.table["worker"], "cannot be a worker", str(error))
    return child(Agent[None], id=id, **options), Place(node.at)


def _dated(node: Node, own: Mapping[str, Node], given: Mapping[str, Any], problems: Problems) -> bool:
    """Whether its times of day, if it has any, can be kept to. `own` is what its table says without `defaults`."""
    parts = node.table or {}
    if "at" in given:
        from treewarden.agents.core.timetable import timetable  # with the first worker that has them

        try:
            timetable(given["at"], given.get("zone", "UTC"), given.get("days", ""))
        except ValueError as error:
            problems.refuse(parts["at"], "is no timetable", str(error))
            return False
        for key in ("every", "spread"):
            if key in parts:
                problems.refuse(parts[key], "goes not with at", "keep one of them, or make two children of it")
                return False
    elif "at" not in parts:
        for key in ("zone", "days"):
            if key in own and key in given:
                problems.refuse(
                    own[key], "is for a worker that comes at times of day", "say at, too, as in at = '09:00'"
                )
                return False
    return "at" not in parts or "at" in given


def read_pool(source: Source, node: Node, defaults: Node | None, *beside: str) -> Placed:
    """`{ id, pool = { agent, args, size, route, key, …an agent's options } }` and a supervisor's options.

    `beside` are keys that whoever holds the pool reads.
    """
    assert node.table is not None
    problems = source.problems
    own = ("id", "pool", *beside)
    elsewhere = {**_WORKERS, "strategy": "a pool's is one_for_one", "to": "only a stage of a pipeline has this key"}
    options = shape_options(node, own, SHAPE, "a pool", problems, elsewhere)
    id, inner = (
        named(node, problems),
        _with_defaults(node.table["pool"], defaults, {*AGENT, *_IMPORTED, "agent", "args"}),
    )
    inner_fields: dict[str, Reader] = {"size": whole(1), "route": text, "key": text, **agent_fields(source)}
    del inner_fields["id"]
    workers = "workers are named 0, 1, …; the pool's own id stands beside pool"
    given = read_fields(inner, inner_fields, "the workers of a pool", problems, {**_NOT_AN_AGENT_S, "id": workers})
    shape = {key: given.pop(key) for key in ("size", "route", "key") if key in given}
    wrong = route_problems(inner.at, shape.get("route", "round_robin"), shape.get("key"))
    problems.add(*wrong)
    template = _agent(source, inner, "0", inner_fields, given)
    spec = pool(template, **({} if wrong else shape), id=id, **options)
    return spec, Place(node.at, (Place(inner.at),) * len(spec.children))


def read_pipeline(source: Source, node: Node, defaults: Node | None) -> Placed:
    """`{ id, pipeline = [{ id, agent, to }, …] }` and a supervisor's options; a stage may be a pool."""
    assert node.table is not None
    problems, stages = source.problems, node.table["pipeline"]
    elsewhere = {"strategy": "a pipeline's is rest_for_one"}
    options = shape_options(node, ("id", "pipeline"), SHAPE, "a pipeline", problems, elsewhere)
    id = named(node, problems)
    if stages.array is None:
        problems.refuse(stages, "is no list of stages", "write [{ id = ..., agent = ... }, ...], source first")
        return supervisor(id, **options), Place(node.at)
    read = [_stage(source, each, defaults) for each in stages.array]
    specs, places = [spec for spec, _, _ in read], [place for _, place, _ in read]
    flow = Flow(tuple(spec.id for spec in specs), tuple(to for _, _, to in read))
    wrong = stage_problems(specs, flow, stages.at, [place.at for place in places])
    if wrong:
        problems.add(*wrong)
        return supervisor(id, children=tuple(specs), **options), Place(node.at, tuple(places))
    spec = pipeline(*(Stage(spec, to) for spec, _, to in read), id=id, **options)
    return spec, Place(node.at, tuple(places[number] for number in flow.order))


def _stage(source: Source, node: Node, defaults: Node | None) -> tuple[Spec, Place, tuple[str, ...] | None]:
    problems = source.problems
    if node.table is not None and "pool" in node.table:
        to = texts(node.table["to"], problems) if "to" in node.table else None
        return *read_pool(source, node, defaults, "to"), None if isinstance(to, Refused) else to
    node = _with_defaults(node, defaults, {*AGENT, *_IMPORTED, "agent", "args"})
    id, fields = named(node, problems), {"to": texts, **agent_fields(source)}
    other = dict.fromkeys(("worker", "pipeline", "children", "file", "tree"), "a stage is an agent or a pool")
    given = read_fields(node, fields, "a stage", problems, {**_NOT_AN_AGENT_S, **other})
    return _agent(source, node, id, fields, given), Place(node.at), given.get("to")


def agent_fields(source: Source) -> dict[str, Reader]:
    """What an agent may say, and how it is read."""

    def agent(part: Node, problems: Problems) -> Any:
        return agent_class(part, source.folder, problems)

    def variants(part: Node, problems: Problems) -> Any:
        if part.table is None:
            return problems.refuse(part, "is no table of variants", "write { name = 'module:Class' }")
        found = {name: agent(each, problems) for name, each in part.table.items()}
        return REFUSED if REFUSED in found.values() else found

    own: dict[str, Reader] = {"agent": agent, "variants": variants, **_actions(source)}
    return {"id": anything, "args": arguments, **own, **AGENT}


def _actions(source: Source) -> dict[str, Reader]:
    return {"actions": actions_reader(source.folder)}


def _agent(source: Source, node: Node, id: str, fields: Mapping[str, Reader], given: dict[str, Any]) -> ChildSpec:
    """The spec of what was read; where something was refused, one that is like it as far as others can tell."""
    problems = source.problems
    parts = node.table or {}
    if node.table is not None and "agent" not in parts and parts.keys() <= fields.keys():
        problems.add(Problem(node.at, "agent", "is missing", "name its class, as in agent = 'desk:Writer'"))
    significance(node, given, problems)
    options = {key: value for key, value in given.items() if key in AGENT or key in _IMPORTED}
    agent, args = given.get("agent"), given.get("args", None if "args" in parts else {})
    if agent is None or args is None or argument_faults(node, agent, args, problems, more_later=source.template):
        return child(Agent[None], id=id, **options)
    return child(agent, id=id, args=args, **options)


def argument_faults(
    node: Node, call: Callable[..., object], args: Mapping[str, Any], problems: Problems, *, more_later: bool = False
) -> bool:
    """Whether `args`, which the table `node` gives, do not fit; then it has been said why."""
    at = f"{node.at}.args"
    given = (node.table or {}).get("args")
    parts = {f"{at}.{name}": part for name, part in ((given.table if given else None) or {}).items()}
    odd = type_problems(call, args, at)
    found = [
        *argument_problems(call, args, at, more_later=more_later),
        *(evolve(each, value=shown(parts[each.path].value)) for each in odd),  # the name alone of a variable
    ]
    problems.add(*(evolve(each, path=parts[each.path].at if each.path in parts else each.path) for each in found))
    return bool(found)


def named(node: Node, problems: Problems) -> str:
    """The id of a child; where it has none, one that no other child has."""
    part = (node.table or {}).get("id")
    if part is not None:
        found = slot_id(part, problems)
    else:
        found = REFUSED
        if node.table is not None:
            problems.add(Problem(node.at, "id", "is missing", "name the slot, as in id = 'intake'"))
    return f"_{len(problems)}" if isinstance(found, Refused) else found


def shape_options(
    node: Node,
    own: Iterable[str],
    fields: Mapping[str, Reader],
    what: str,
    problems: Problems,
    elsewhere: Mapping[str, str],
    as_child: Mapping[str, Reader] = AS_CHILD,
) -> dict[str, Any]:
    """The options of a supervisor. What was refused is left out such that nothing else seems wrong because of it."""
    known = {**dict.fromkeys(own, anything), **fields, **as_child}
    given = {key: value for key, value in read_fields(node, known, what, problems, elsewhere).items() if key not in own}
    parts = node.table or {}
    significance(node, given, problems)
    if "auto_shutdown" in parts and "auto_shutdown" not in given and "auto_shutdown" in known:
        given["auto_shutdown"] = AutoShutdown.ALL_SIGNIFICANT
    if "strategy" in parts and "strategy" not in given:
        given.pop("max_children", None)
    return given


def significance(node: Node, given: dict[str, Any], problems: Problems) -> None:
    """Refuse a significant child that is permanent: its end is never the last."""
    parts = node.table or {}
    if given.get("significant") and given.get("restart", RestartPolicy.PERMANENT) is RestartPolicy.PERMANENT:
        del given["significant"]
        if "restart" in given or "restart" not in parts:
            remedy = "say restart = 'transient' or 'temporary'"
            problems.refuse(parts["significant"], "cannot be said of a permanent child", remedy)


def _with_defaults(node: Node, defaults: Node | None, keys: set[str]) -> Node:
    """The table of a child with what `defaults` of its supervisor say and it does not, as far as that is for it."""
    if node.table is None or defaults is None or defaults.table is None:
        return node
    parts = {key: part for key, part in defaults.table.items() if key in keys}
    for key, part in node.table.items():
        parts[key] = part.merged(parts[key]) if key in TABLES and key in parts else part
    return evolve(node, table=parts)
