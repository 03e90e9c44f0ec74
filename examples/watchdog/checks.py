"""What an answer is worth: one observation of an endpoint judged by what was expected of it. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Final, TypeAlias, cast

from attrs import field, frozen

from treewarden.agents.core.retry_after import retry_after
from treewarden.agents.errors import ConfigurationError

__all__ = ["ANYTHING", "Difference", "Expectation", "Finding", "Kind", "Observation", "differences", "judge", "leaves"]

Json: TypeAlias = Any


class Kind(StrEnum):
    """What was found. Each is a signal of its own; `ok` is none."""

    OK = "ok"
    SLOW = "slow"
    """The right answer, later than it should have come."""
    DOWN = "down"
    """No answer: refused, cut off, or not within the limit."""
    SERVER_ERROR = "server_error"
    WRONG_STATUS = "wrong_status"
    RATE_LIMITED = "rate_limited"
    WRONG_HEADER = "wrong_header"
    NOT_JSON = "not_json"
    """Text where JSON was expected."""
    WRONG_SHAPE = "wrong_shape"
    """JSON of another type altogether: `[]` or `false` where an object was expected."""
    WRONG_BODY = "wrong_body"
    """A field is missing or has another value."""


class _Anything:
    def __repr__(self) -> str:
        return "ANYTHING"


ANYTHING: Final = _Anything()
"""No JSON is expected; the body is not parsed."""


@frozen(kw_only=True)
class Expectation:
    """What a good answer looks like. Whatever it does not name may be anything."""

    status: int = 200
    json: Json = ANYTHING
    """A subset: fields that it does not name are fine, an array begins with what is listed. `{}` is any object."""
    text: str | None = None
    """What the body contains."""
    headers: Mapping[str, str] = field(factory=dict[str, str])
    """What each of these headers contains; names without regard to case."""
    slow_over: float | None = None
    """Seconds. None: no answer within the limit is too slow."""

    @classmethod
    def parse(cls, table: Mapping[str, Any], *, slow_over: float | None = None) -> Expectation:
        """Read the `expect` table of a child. Raises `ConfigurationError` naming the key, its value and the remedy."""
        known = ("status", "json", "text", "headers")
        for key in table:
            if key not in known:
                raise ConfigurationError(f"expect: there is no {key!r}; it knows {', '.join(known)}")
        status: Any = table.get("status", 200)
        if isinstance(status, bool) or not isinstance(status, int) or not 100 <= status <= 599:
            raise ConfigurationError(f"expect.status is {status!r}; give an HTTP status such as 200")
        text: Any = table.get("text")
        if text is not None and not isinstance(text, str):
            raise ConfigurationError(f"expect.text is {text!r}; give the text that the body contains")
        headers: Any = table.get("headers", {})
        if not isinstance(headers, Mapping) or not all(
            isinstance(value, str) for value in cast("Mapping[str, Any]", headers).values()
        ):
            raise ConfigurationError(f"expect.headers is {headers!r}; give a table of texts")
        wanted: Any = table.get("json", ANYTHING)
        if wanted is not ANYTHING:
            _only_json(wanted, "expect.json")
        if slow_over is not None and not 0 < slow_over < math.inf:
            raise ConfigurationError(f"slow_over is {slow_over!r}; give a positive number of seconds")
        return cls(
            status=status, json=wanted, text=text, headers=dict(cast("Mapping[str, str]", headers)), slow_over=slow_over
        )


@frozen(kw_only=True)
class Observation:
    """What one request showed. `status` is None when no answer came, and then `error` says why."""

    latency: float
    """Seconds from the request to the last byte, or to the moment at which it was given up."""
    status: int | None = None
    body: str = ""
    headers: Mapping[str, str] = field(factory=dict[str, str])
    """With names in lower case."""
    error: str = ""


@frozen(kw_only=True)
class Finding:
    """What an observation means."""

    kind: Kind
    severity: float = 0.0
    """From 0 to 1, measured: how late, how much of what was expected is wrong, how far from an answer."""
    text: str = ""
    facts: Mapping[str, Any] = field(factory=dict[str, Any])
    after: float | None = None
    """Seconds to wait, where the other side asked for it."""


@frozen
class Difference:
    """One place where a body is not what was expected."""

    path: str
    expected: str
    actual: str

    def __str__(self) -> str:
        return f"{self.path} is {self.actual}, not {self.expected}"


def judge(expectation: Expectation, seen: Observation) -> Finding:
    """What `seen` means. The first that applies: no answer, 429, status, headers, body, latency.

    The severities are this example's own scale: 0.9 nothing came, 0.8 the server failed, 0.7 it answered something
    else altogether, 0.3 to 0.7 by the share of expected fields that are wrong, and for a right answer that came late
    the share of the waiting time that was too much.
    """
    if seen.status is None:
        return Finding(kind=Kind.DOWN, severity=0.9, text=seen.error or "no answer", facts={"error": seen.error})
    if seen.status != expectation.status:
        return _wrong_status(expectation.status, seen, seen.status)
    return _wrong_headers(expectation, seen) or _wrong_body(expectation, seen) or _pace(expectation, seen)


def differences(expected: Json, actual: Json, path: str = "$") -> Iterator[Difference]:
    """Where `actual` does not have what `expected` names, by JSON path, in the order of `expected`.

    Fields and items beyond the expected ones are fine. A boolean is no number; 1 and 1.0 are the same number.
    """
    if _type(expected) != _type(actual):
        yield Difference(path, _show(expected), _show(actual))
    elif isinstance(expected, Mapping):
        fields = cast("Mapping[str, Json]", expected)
        for key, value in fields.items():
            place = f"{path}.{key}" if key.isidentifier() else f"{path}[{json.dumps(key)}]"
            if key in actual:
                yield from differences(value, actual[key], place)
            else:
                yield Difference(place, _show(value), "missing")
    elif isinstance(expected, list):
        items = cast("list[Json]", expected)
        for index, value in enumerate(items):
            if index < len(actual):
                yield from differences(value, actual[index], f"{path}[{index}]")
            else:
                yield Difference(f"{path}[{index}]", _show(value), "missing")
    elif expected != actual:
        yield Difference(path, _show(expected), _show(actual))


def leaves(expected: Json) -> int:
    """How many values `expected` names; an empty object or array counts as one. No subset has more differences."""
    if isinstance(expected, Mapping) and expected:
        return sum(leaves(value) for value in cast("Mapping[str, Json]", expected).values())
    if isinstance(expected, list) and expected:
        return sum(map(leaves, cast("list[Json]", expected)))
    return 1


def _wrong_status(expected: int, seen: Observation, status: int) -> Finding:
    facts = {"status": status, "expected": expected}
    if status == 429:
        after = retry_after(seen.headers)
        wait = "" if after is None else f", retry after {after:g} s"
        severity = 0.2 + 0.4 * min(1.0, (after or 0.0) / 60)
        return Finding(
            kind=Kind.RATE_LIMITED, severity=severity, text=f"status 429{wait}", facts={**facts, "after": after},
            after=after,
        )  # fmt: skip
    text = f"status {status}, not {expected}"
    if status >= 500:
        return Finding(kind=Kind.SERVER_ERROR, severity=0.8, text=text, facts=facts)
    severity = 0.6 if status >= 400 else 0.4 if status >= 300 else 0.3
    return Finding(kind=Kind.WRONG_STATUS, severity=severity, text=text, facts=facts)


def _wrong_headers(expectation: Expectation, seen: Observation) -> Finding | None:
    wrong = {
        name: seen.headers.get(name.lower())
        for name, value in expectation.headers.items()
        if value.lower() not in seen.headers.get(name.lower(), "").lower() or name.lower() not in seen.headers
    }
    if not wrong:
        return None
    name, actual = next(iter(wrong.items()))
    text = f"header {name} is {_show(actual) if actual is not None else 'missing'}, not {expectation.headers[name]!r}"
    severity = 0.2 + 0.3 * len(wrong) / len(expectation.headers)
    return Finding(kind=Kind.WRONG_HEADER, severity=severity, text=text, facts={"header": name, "wrong": len(wrong)})


def _wrong_body(expectation: Expectation, seen: Observation) -> Finding | None:
    if expectation.text is not None and expectation.text not in seen.body:
        text = f"the body does not contain {expectation.text!r} but {_cut(seen.body)!r}"
        return Finding(kind=Kind.WRONG_BODY, severity=0.7, text=text, facts={"expected": expectation.text})
    if expectation.json is ANYTHING:
        return None
    try:
        actual: Json = json.loads(seen.body)
    except (ValueError, RecursionError):
        text = f"not JSON: {_cut(seen.body)!r}" if seen.body else "an empty body, not JSON"
        return Finding(kind=Kind.NOT_JSON, severity=0.7, text=text, facts={"length": len(seen.body)})
    wrong = list(differences(expectation.json, actual))
    if not wrong:
        return None
    first, count = wrong[0], leaves(expectation.json)
    facts = {"path": first.path, "expected": first.expected, "actual": first.actual, "wrong": len(wrong), "of": count}
    if first.path == "$" and (shape := _type(expectation.json)) in ("object", "array"):
        text = f"{_show(actual)}, not an {shape}"
        return Finding(kind=Kind.WRONG_SHAPE, severity=0.7, text=text, facts=facts)
    more = f" ({len(wrong)} of {count} are wrong)" if len(wrong) > 1 else ""
    severity = 0.3 + 0.4 * len(wrong) / count
    return Finding(kind=Kind.WRONG_BODY, severity=severity, text=f"{first}{more}", facts=facts)


def _pace(expectation: Expectation, seen: Observation) -> Finding:
    limit = expectation.slow_over
    if limit is None or seen.latency <= limit:
        return Finding(kind=Kind.OK)
    text = f"{seen.latency:.3g} s, limit {limit:g} s"
    return Finding(kind=Kind.SLOW, severity=1 - limit / seen.latency, text=text, facts={"limit": limit})


def _type(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _only_json(value: Any, where: str) -> None:
    match value:
        case None | bool() | int() | str():
            return
        case float() if math.isfinite(value):
            return
        case Mapping():
            for key, inner in cast("Mapping[str, Any]", value).items():
                _only_json(inner, f"{where}.{key}")
        case list():
            for index, inner in enumerate(cast("list[Any]", value)):
                _only_json(inner, f"{where}[{index}]")
        case _:
            raise ConfigurationError(f"{where} is {value!r}, which is no JSON; give texts, numbers, tables or lists")


def _show(value: Json) -> str:
    return _cut(json.dumps(value, ensure_ascii=False))


def _cut(text: str, most: int = 60) -> str:
    line = " ".join(text[: 4 * most].split())
    return line if len(line) <= most and len(text) <= 4 * most else line[: most - 1] + "…"
