"""Whether the arguments of a child fit its agent, before anything is started."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, Union, cast

from treewarden.agents.core.said import listed

from .problems import Problem, guess, shown

__all__ = ["argument_problems", "type_problems"]

_LISTS: Final = frozenset({"list", "Sequence", "Collection", "Iterable"})
_TABLES: Final = frozenset({"dict", "Mapping", "MutableMapping"})


def argument_problems(
    agent: Callable[..., object], args: Mapping[str, object], at: str, *, more_later: bool = False
) -> Iterator[Problem]:
    """Arguments that `agent` does not take or would miss. What has no signature (some built-ins) takes anything.

    `more_later`: what is missing may still come, as to children that are made from a template.
    """
    signature = _signature(agent)
    if signature is None:
        return
    parameters = signature.parameters.values()
    named = {each.name: each for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)}
    takes = f"{_name(agent)} takes {listed(map(_declared, named.values())) if named else 'no arguments'}"
    if not any(each.kind is each.VAR_KEYWORD for each in parameters):
        for name in args:
            if name not in named:
                yield Problem(f"{at}.{name}", repr(name), "is not an argument", guess(name, list(named)) or takes)
    for name, parameter in named.items():
        if parameter.default is parameter.empty and name not in args and not more_later:
            yield Problem(at, repr(name), "is missing", f"{_name(agent)} takes {_declared(parameter)}")
    for parameter in parameters:
        if parameter.kind is parameter.POSITIONAL_ONLY and parameter.default is parameter.empty:
            yield Problem(at, repr(parameter.name), "cannot be given by name", f"take the / out of {_name(agent)}")


def type_problems(agent: Callable[..., object], args: Mapping[str, object], at: str) -> Iterator[Problem]:
    """Arguments of another type than the agent's annotations name, as far as TOML's own types go.

    An annotation that is not made of `str`, `bool`, `int`, `float`, lists, tables, `Literal` and `None` fits anything.
    Also those of the right type with which the agent says that none can be made (see `Purse.__refuses__`).
    """
    signature = _signature(agent)
    try:
        hints = typing.get_type_hints(agent.__init__ if isinstance(agent, type) else agent)
    except (NameError, TypeError):  # names that exist only for type checkers, or nothing to ask
        return
    refuses = _refuses(agent)
    for name, value in args.items():
        parameter = None if signature is None else signature.parameters.get(name)
        if parameter is None:
            continue
        if name in hints and not _fits(value, hints[name]):
            remedy = f"{_name(agent)} takes {_declared(parameter)}"
            yield Problem(f"{at}.{name}", shown(value), "has the wrong type", remedy)
        elif refuses is not None and (remedy := refuses(value)):
            yield Problem(f"{at}.{name}", shown(value), f"is not what {_name(agent)} can be made with", remedy)


def _refuses(agent: Callable[..., object]) -> Callable[[object], str] | None:
    """What the class says of the values that its own `__init__` gets, if it says anything."""
    maker = next((each for each in getattr(agent, "__mro__", ()) if "__init__" in vars(each)), None)
    return getattr(maker, "__refuses__", None) if maker is not None and "__refuses__" in vars(maker) else None


def _signature(agent: Callable[..., object]) -> inspect.Signature | None:
    if isinstance(agent, type) and _is_made_plainly(agent):
        return inspect.Signature()  # as below, which parses a text for it
    try:
        return inspect.signature(agent)
    except (ValueError, TypeError):
        return None


def _is_made_plainly(kind: type) -> bool:
    made_by = (type(kind).__call__, kind.__new__, kind.__init__)
    return made_by == (type.__call__, object.__new__, object.__init__) and "__signature__" not in vars(kind)


def _name(agent: object) -> str:
    return getattr(agent, "__qualname__", None) or repr(agent)


def _declared(parameter: inspect.Parameter) -> str:
    """The parameter as in its `def`: `timeout: float = 5`."""
    hint, default = parameter.annotation, parameter.default
    text = hint if isinstance(hint, str) else inspect.formatannotation(hint)
    return (
        parameter.name
        + (f": {text}" if hint is not parameter.empty else "")
        + (f" = {default!r}" if default is not parameter.empty else "")
    )


def _fits(value: object, hint: Any) -> bool:
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return any(type(value) is type(part) and value == part for part in parts)
    if origin in (Union, types.UnionType):
        return any(_fits(value, part) for part in parts)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (str, bool, type(None)):
        return isinstance(value, hint)
    name = getattr(origin or hint, "__name__", "")
    if name in _LISTS:
        each = parts[0] if parts else Any
        return isinstance(value, list) and all(_fits(item, each) for item in cast("list[object]", value))
    if name in _TABLES:
        each = parts[1] if len(parts) == 2 else Any
        return isinstance(value, dict) and all(_fits(item, each) for item in cast("dict[str, object]", value).values())
    return True
