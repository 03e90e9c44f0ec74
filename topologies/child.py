"""One child of a tree: what may be written there, and the spec that it becomes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, cast, get_origin

from attrs import fields, fields_dict, has

from treewarden.agents.agent import Agent
from treewarden.agents.agent_spec import AgentSpec
from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.core.spec import ChildSpec, Spec, SupervisorSpec

if TYPE_CHECKING:
    from typing import Unpack

    from .child_options import ChildOptions

__all__ = ["Child", "child", "slot_name", "spec_of", "supervisor"]

Child: TypeAlias = type[Agent[Any]] | AgentSpec | ChildSpec | SupervisorSpec
"""What a tree is made of: a class, `worker(function)`, `child(...)`, or another tree, pool or pipeline."""


def child(
    agent: type[Agent[Any]] | AgentSpec | Callable[..., Agent[Any]],
    *,
    id: str | None = None,
    args: Mapping[str, Any] | None = None,
    **options: Unpack[ChildOptions],
) -> ChildSpec:
    """An agent with options: `child(Writer, restart=RestartPolicy.TRANSIENT, args={"style": "dry"})`.

    `agent` is a class, what `worker` returned, or a function that returns an agent; it is called with `args` at every
    start. `id` is the slot's name; without it the class's name in snake_case, or the function's name.

    Raises `ConfigurationError` for options that cannot work. What depends on the rest of the tree, and whether `args`
    fit, is checked by `validate`, which `open_tree` calls before anything starts.
    """
    made, given, name = _agent(agent)
    if args is not None and not isinstance(args, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"{name}: args is {args!r:.80}; give a mapping, {{'name': value}}")
    try:
        return ChildSpec(id=name if id is None else id, agent=made, args={**given, **(args or {})}, **options)
    except ValueError as error:
        raise ConfigurationError(f"{name}: {_said(error, id, name)}") from None
    except TypeError:
        _refuse_unknown(name, options, ChildSpec)
        raise


def supervisor(id: str, **fields: Any) -> SupervisorSpec:
    """A `SupervisorSpec`, whose faults are `ConfigurationError`s that name it."""
    try:
        return SupervisorSpec(id=id, **fields)
    except ValueError as error:
        raise ConfigurationError(f"{id}: {error}") from None
    except TypeError:
        _refuse_unknown(id, fields, SupervisorSpec)
        raise


def spec_of(item: Child) -> Spec:
    """The spec that `item` stands for. Raises `ConfigurationError` for anything else."""
    return item if isinstance(item, (ChildSpec, SupervisorSpec)) else child(item)


def slot_name(name: str) -> str:
    """A class's name as a slot's: `HTTPPoller` is `http_poller`."""
    parts = list[str]()
    for place, letter in enumerate(name):
        if place and "A" <= letter <= "Z":
            before, behind = name[place - 1], name[place + 1 : place + 2]
            if "a" <= before <= "z" or "0" <= before <= "9" or ("A" <= before <= "Z" and "a" <= behind <= "z"):
                parts.append("_")
        parts.append(letter)
    return "".join(parts).lower()


def _refuse_unknown(name: str, given: Mapping[str, object], kind: type[ChildSpec | SupervisorSpec]) -> None:
    from . import child_options  # with the first option that is none
    from .core.problems import choose

    options = child_options.ChildOptions if kind is ChildSpec else child_options.SupervisorOptions
    unknown = min(given.keys() - fields_dict(kind).keys(), default=None)
    if unknown is None:
        return
    kinds: dict[str, type] = {each.name: type(each.default) for each in fields(kind)}
    inside = (name for name in options.__annotations__ if has(kinds[name]) and unknown in fields_dict(kinds[name]))
    part = next(inside, None)
    if part is not None:
        instead = f"it stands in {part}={kinds[part].__name__}({unknown}=...)"
    elif kind is SupervisorSpec and unknown in child_options.ChildOptions.__annotations__:
        instead = f"it is one of an agent: child(..., {unknown}=...)"
    else:
        instead = choose(unknown, sorted(options.__annotations__))
    raise ConfigurationError(f"{name}: there is no option {unknown!r}; {instead}")


def _agent(item: object) -> tuple[Callable[..., Any], Mapping[str, Any], str]:
    if isinstance(item, AgentSpec):
        return item.agent, item.args, item.id
    if isinstance(item, Agent):
        name = type(cast("object", item)).__name__
        raise ConfigurationError(f"an agent was given; give its class, {name}: it is made anew at every start")
    item = get_origin(item) or item  # `Store[int]` is the class `Store`
    name = getattr(item, "__name__", "")
    if isinstance(item, type):
        if issubclass(item, Agent):
            return cast("type[Agent[Any]]", item), {}, slot_name(name)
    elif callable(item):
        if inspect.iscoroutinefunction(item):
            raise ConfigurationError(f"{name} is an async function; write worker({name})")
        return item, {}, name
    raise ConfigurationError(f"{item!r} is no child; give an Agent class, worker(function), child(...) or a tree")


def _said(error: ValueError, id: str | None, name: str) -> str:
    said = str(error).removeprefix(f"{name if id is None else id}: ")
    from_agent = id is None and "cannot name a slot" in said
    return f"{said} (without id=..., the slot has the name of its agent)" if from_agent else said
