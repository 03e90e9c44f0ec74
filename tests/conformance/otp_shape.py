"""What is wrong with a vector that cannot be played or compared: where it is, what stands there, what should.

Specs that are wrong on purpose are none of that: whether a `restart` or a `strategy` is one is for the product to say.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

__all__ = ["briefly", "fault_of"]

Shape: TypeAlias = Callable[[str, Any], str]
"""Says what is wrong with the value at a place; nothing if that is none."""

_ABSENT: Final = object()
_OUTCOMES: Final = ("ok", "ok_info", "ignore", "error", "crash", "already_started", "gate")
_STOPS: Final = ("exit", "ignore", "hold")


def fault_of(name: Any, tags: Any, scenario: Any, trace: Any) -> str:
    """Why this is no vector; nothing if it is one."""
    try:
        found = _text("name", name) or _list("tags", tags) or _scenario("scenario", scenario)
        return _said(found or _each(_record)("trace", trace))
    except RecursionError:
        return "it is nested too deeply to be played"


def briefly(value: Any) -> str:
    """A value in a message."""
    if value is _ABSENT or value is None:
        return "missing"
    try:
        text = json.dumps(value)
    except RecursionError:
        return "nested too deeply to be shown"
    return text if len(text) < 80 else f"{text[:77]}..."


def _said(found: str) -> str:
    return found and f"its {found}"


# -- shapes


def _wrong(where: str, value: Any, wanted: str) -> str:
    return f"{where} is {briefly(value)}; it must be {wanted}"


def _of(kinds: type | tuple[type, ...], words: str) -> Shape:
    return lambda where, value: "" if isinstance(value, kinds) else _wrong(where, value, words)


_text: Final = _of(str, "a text")
_list: Final = _of(list, "a list")
_object: Final = _of(dict, "an object")
_reason: Final = _of((str, list), 'a reason: a text, or a list such as ["shutdown", "x"]')


def _anything(where: str, value: Any) -> str:
    return _wrong(where, value, "given") if value is _ABSENT else ""


def _duration(where: str, value: Any) -> str:
    known = isinstance(value, (int, float)) and not isinstance(value, bool)
    return (
        ""
        if known and 0 <= value <= 1e12 and not math.isnan(value)
        else _wrong(where, value, "milliseconds, 0 or more")
    )


def _one_of(*known: str) -> Shape:
    words = f"one of {', '.join(known)}"
    return lambda where, value: "" if isinstance(value, str) and value in known else _wrong(where, value, words)


def _each(shape: Shape) -> Shape:
    def check(where: str, value: Any) -> str:
        if not isinstance(value, list):
            return _list(where, value)
        found = (shape(f"{where}[{place}]", each) for place, each in enumerate(cast("list[Any]", value)))
        return next(filter(None, found), "")

    return check


def _fields(where: str, value: dict[str, Any], wanted: dict[str, Shape], given: dict[str, Shape] | None = None) -> str:
    """Look at the fields that have to be there, and at those that may."""
    for key, shape in wanted.items():
        if found := shape(f"{where}.{key}", value.get(key, _ABSENT)):
            return found
    for key, shape in (given or {}).items():
        if key in value and (found := shape(f"{where}.{key}", value[key])):
            return found
    return ""


# -- a scenario


def _scenario(where: str, value: Any) -> str:
    return _object(where, value) or _fields(where, value, {"tree": _tree, "steps": _each(_step)})


def _tree(where: str, value: Any) -> str:
    return _object(where, value) or _node(where, value)


def _node(where: str, value: Any) -> str:
    """What the runner itself reads in a node; one that is no object is a spec that is wrong on purpose."""
    if not isinstance(value, dict):
        return ""
    node = cast("dict[str, Any]", value)
    flags = node.get("flags")
    dynamic = isinstance(flags, dict) and cast("dict[str, Any]", flags).get("strategy") == "simple_one_for_one"
    below = {"by_tag": _by_tag, "children": _each(_tree if dynamic else _node)}
    return _fields(where, node, {}, {**_SCRIPT, **below})


def _by_tag(where: str, value: Any) -> str:
    if not isinstance(value, dict):
        return _object(where, value)
    nodes = cast("dict[str, Any]", value).items()
    return next(filter(None, (_tree(f"{where}.{tag}", node) for tag, node in nodes)), "")


def _on_stop(where: str, value: Any) -> str:
    if isinstance(value, dict):
        return _fields(where, cast("dict[str, Any]", value), {}, {"delay_ms": _duration, "reason": _reason})
    words = f'one of {", ".join(_STOPS)}, or an object with "delay_ms" and "reason"'
    return "" if isinstance(value, str) and value in _STOPS else _wrong(where, value, words)


_SCRIPT: Final[dict[str, Shape]] = {
    "starts": _each(_one_of(*_OUTCOMES)),
    "then": _one_of(*_OUTCOMES),
    "on_stop": _on_stop,
}


# -- its steps


def _target(where: str, value: Any) -> str:
    pair = cast("list[Any]", value) if isinstance(value, list) else []
    if len(pair) != 2 or not isinstance(pair[0], str) or not isinstance(pair[1], (str, list)):
        return _wrong(where, value, "a pair of a path and a reason")
    return ""


def _targets(where: str, value: Any) -> str:
    return _each(_target)(where, value) or ("" if value else _wrong(where, value, "a list with at least one pair"))


def _args(where: str, value: Any) -> str:
    tags = cast("list[Any]", value) if isinstance(value, list) else []
    return "" if len(tags) == 1 and isinstance(tags[0], str) else _wrong(where, value, "a list of one tag")


def _either(one: str, other: str, shapes: dict[str, Shape]) -> Shape:
    def check(where: str, value: Any) -> str:
        found = _fields(where, value, {}, shapes)
        if found or one in value or other in value:
            return found
        return _wrong(where, value, f"an object with {one!r} or {other!r}")

    return check


def _with(**wanted: Shape) -> Shape:
    return lambda where, value: _fields(where, value, wanted)


_NAMED: Final = _either("id", "pid_of", {"id": _text, "pid_of": _text})
_CALLS: Final[dict[str, Shape]] = {
    "start_child": _either("spec", "args", {"spec": _node, "args": _args}),
    "terminate_child": _NAMED,
    "get_childspec": _NAMED,
    "restart_child": _NAMED,
    "delete_child": _NAMED,
    "which_children": _with(),
    "count_children": _with(),
}


def _call(where: str, value: Any) -> str:
    found = _fields(where, value, {"sup": _text, "fn": _one_of(*_CALLS)})
    return found or _CALLS[value["fn"]](where, value)


def _code_change(where: str, value: Any) -> str:
    return _fields(where, value, {"sup": _text}, {"children": _each(_node)})


_STEPS: Final[dict[str, Shape]] = {
    "start": _with(),
    "stop": _with(),
    "exit": _with(target=_text, reason=_reason),
    "exit_many": _with(targets=_targets),
    "stop_sup": _with(target=_text, reason=_reason),
    "sleep": _with(ms=_duration),
    "release": _with(target=_text, outcome=_reason),
    "call": _call,
    "check_childspecs": _with(specs=_anything),
    "code_change": _code_change,
}


def _step(where: str, value: Any) -> str:
    found = _object(where, value) or _fields(where, value, {"op": _one_of(*_STEPS)})
    return found or _STEPS[value["op"]](where, value)


# -- its trace


def _strand(where: str, value: Any) -> str:
    """Events one after the other, and what happened at once."""
    return _each(_event)(where, value)


def _event(where: str, value: Any) -> str:
    if isinstance(value, dict):
        return _fields(where, cast("dict[str, Any]", value), {"par": _each(_strand)})
    parts = cast("list[Any]", value) if isinstance(value, list) else []
    known = len(parts) > 1 and isinstance(parts[0], str) and isinstance(parts[1], str)
    return "" if known else _wrong(where, value, 'an event such as ["start", "root/a", 1], or {"par": [...]}')


def _record(where: str, value: Any) -> str:
    optional: dict[str, Shape] = {"events": _strand, "completed": _list, "async": _each(_strand), "reports": _reports}
    return _object(where, value) or _fields(where, value, {"state": _object}, optional)


def _reports(where: str, value: Any) -> str:
    if not isinstance(value, dict):
        return _object(where, value)
    reports = cast("dict[str, Any]", value).items()
    return next(filter(None, (_list(f"{where}.{path}", each) for path, each in reports)), "")
