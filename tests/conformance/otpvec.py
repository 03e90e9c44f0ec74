"""Canonical traces: what of a recorded run OTP defines, and how two such traces differ (FORMAT.md, part 5).

A *flat* trace is a list of steps, each with its events in the order in which they happened. The canonical one keeps
only that order which the semantics promise: what dies by itself after its supervisor was killed stands apart, and what
a dynamic supervisor stops at the same time is a set of strands.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

from attrs import define, field, frozen
from otp_shape import briefly, fault_of

__all__ = ["Json", "Nodes", "Vector", "canonical", "compare", "load", "parent_of"]

Json: TypeAlias = dict[str, Any]
Event: TypeAlias = list[Any]
Item: TypeAlias = "Event | dict[str, Any]"
Life: TypeAlias = tuple[str, int]
"""A path and the number of an incarnation there."""


@frozen
class Vector:
    """A scenario and the trace that OTP left of it."""

    name: str
    tags: tuple[str, ...]
    scenario: Json
    trace: list[Json]
    fault: str = ""
    """Why it cannot be run."""


def load(file: Path) -> list[Vector]:
    """The vectors of a file. Raises `ValueError` for another format, `OSError`.

    What is wrong in one vector does not stop the others: that one has `fault`, and no scenario to run.
    """
    try:
        content: Any = json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file}: it is no JSON: {error}") from error
    if not isinstance(content, dict) or cast("Json", content).get("format") != 1:
        raise ValueError(f'{file}: its format is not 1; a vector file begins {{"format": 1, "vectors": [...]}}')
    vectors: Any = cast("Json", content).get("vectors")
    if not isinstance(vectors, list):
        raise ValueError(f"{file}: vectors is {briefly(vectors)}; it must be a list")
    return [_vector(number, each) for number, each in enumerate(cast("list[Any]", vectors))]


def _vector(number: int, each: Any) -> Vector:
    if not isinstance(each, dict):
        return Vector(f"vectors[{number}]", (), {}, [], f"it is {briefly(each)}; it must be an object")
    given = cast("Json", each)
    name, tags = given.get("name"), given.get("tags", [])
    scenario, trace = given.get("scenario"), given.get("trace")
    known = name if isinstance(name, str) else f"vectors[{number}]"
    fault = fault_of(name, tags, scenario, trace)
    return (
        Vector(known, (), {}, [], fault) if fault else Vector(known, tuple(tags), cast("Json", scenario), trace or [])
    )


def parent_of(path: str) -> str | None:
    """The path of the supervisor above; None for the root."""
    return path.rpartition("/")[0] or None


# -- what stands where


def is_supervisor(node: Mapping[str, Any]) -> bool:
    return node.get("type", "worker") == "supervisor"


def is_dynamic(node: Mapping[str, Any]) -> bool:
    flags = node.get("flags")
    return (
        is_supervisor(node)
        and isinstance(flags, Mapping)
        and cast("Json", flags).get("strategy") == "simple_one_for_one"
    )


@define
class Nodes:
    """The nodes of a scenario by path, also those that calls and code changes add; the first of a path counts."""

    _known: dict[str, Json] = field(factory=dict[str, Json])

    @classmethod
    def of(cls, scenario: Json) -> Nodes:
        nodes = cls()
        nodes._add("root", {**scenario["tree"], "type": "supervisor"})
        for step in scenario["steps"]:
            added = [step.get("spec")] if step["op"] == "call" else []
            if step["op"] == "code_change":
                added = step.get("children", [])
            for node in added:
                if isinstance(node, dict) and "id" in node:
                    nodes._add(f"{step['sup']}/{node['id']}", cast("Json", node))
        return nodes

    def dynamic(self, path: str) -> bool:
        """Whether a dynamic supervisor stands at `path`."""
        node = self.at(path)
        return node is not None and is_dynamic(node)

    def at(self, path: str) -> Json | None:
        """The node at `path`; for a dynamic child, what its template says of it."""
        if path in self._known:
            return self._known[path]
        above, _, id = path.rpartition("/")
        parent = self.at(above) if above else None
        if parent is None:
            return None
        if is_dynamic(parent) and parent.get("children"):
            node = child_of_template(parent["children"][0], id)
        else:
            node = next((each for each in parent.get("children", []) if each.get("id") == id), None)
        if node is not None:
            self._known[path] = node
        return node

    def _add(self, path: str, node: Json) -> None:
        self._known.setdefault(path, node)
        if is_supervisor(node) and not is_dynamic(node):
            for child in node.get("children", []):
                if isinstance(child, dict) and "id" in child:
                    self._add(f"{path}/{child['id']}", cast("Json", child))


def child_of_template(template: Json, tag: str) -> Json:
    """What a template says of the child with this tag."""
    common = {key: value for key, value in template.items() if key != "by_tag"}
    return {**common, **template.get("by_tag", {}).get(tag, {})}


# -- the order that counts


@define
class _Lineage:
    """Which incarnation belongs to which, followed through the starts and exits of a run."""

    current: dict[str, int] = field(factory=dict[str, int])
    newest: dict[str, int] = field(factory=dict[str, int])
    owner: dict[Life, Life | None] = field(factory=dict[Life, "Life | None"])
    dead: set[Life] = field(factory=set[Life])

    def begin(self, life: Life) -> None:
        path, number = life
        self.owner[life] = self._owner(parent_of(path))
        self.current[path] = self.newest[path] = number

    def _owner(self, parent: str | None) -> Life | None:
        if parent is None:
            return None
        number = self.current.get(parent)
        if number is not None and self.strand((parent, number)) is None:
            return parent, number
        return parent, self.newest.get(parent, 0) + 1  # one that is still starting

    def end(self, life: Life) -> None:
        path, number = life
        self.dead.add(life)
        if self.current.get(path) == number:
            del self.current[path]

    def line(self, life: Life) -> Iterator[tuple[Life, Life]]:
        """The life and whose child it is, then that one and its owner, and so on up to the root."""
        owner = self.owner.get(life)
        while owner is not None:
            yield life, owner
            life, owner = owner, self.owner.get(owner)

    def strand(self, life: Life) -> Life | None:
        """The child of the nearest dead ancestor through which this life descends; None if all of them live."""
        return next((child for child, owner in self.line(life) if owner in self.dead), None)

    def branch(self, life: Life, supervisor: Life) -> Life | None:
        """The child of `supervisor` that this life is or descends from."""
        return next((child for child, owner in self.line(life) if owner == supervisor), None)


_STOPPING: Final = ("exit", "stop_gate")


def _with_strands(events: Sequence[Event], lineage: _Lineage, dynamic: Callable[[str], bool]) -> list[Item]:
    """The events, with what a dynamic supervisor stopped at once before its own exit as one item of strands."""
    items: list[Item] = []
    rest = list(events)
    while rest:
        event = rest.pop()
        items.append(event)
        if event[0] != "exit" or not dynamic(event[1]):
            continue
        strands: dict[Life, list[Event]] = {}
        while rest and rest[-1][0] in _STOPPING:
            kind, path, *more = rest[-1]
            number = more[0] if kind == "exit" else lineage.newest.get(path, 0)
            branch = lineage.branch((path, number), (event[1], event[2]))
            if branch is None:
                break
            strands.setdefault(branch, []).insert(0, rest.pop())
        ordered = [_with_strands(strand, lineage, dynamic) for _, strand in sorted(strands.items())]
        if len(ordered) == 1:
            items.extend(reversed(ordered[0]))
        elif ordered:
            items.append({"par": ordered})
    items.reverse()
    return items


def _canonical_events(
    events: Sequence[Event], lineage: _Lineage, dynamic: Callable[[str], bool]
) -> tuple[list[Item], list[list[Item]]]:
    main: list[Event] = []
    apart: dict[Life, list[Event]] = {}
    for event in events:
        strand: Life | None = None
        if event[0] == "start":
            lineage.begin((event[1], event[2]))
        elif event[0] == "exit":
            strand = lineage.strand((event[1], event[2]))
            lineage.end((event[1], event[2]))
        (main if strand is None else apart.setdefault(strand, [])).append(event)
    items = _with_strands(main, lineage, dynamic)
    return items, [_with_strands(strand, lineage, dynamic) for _, strand in sorted(apart.items())]


def _canonical_reports(reports: Sequence[Event], dynamic: Callable[[str], bool]) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = {}
    for supervisor, *report in reports:
        found.setdefault(supervisor, []).append(report)
    for supervisor in filter(dynamic, found):
        late = sorted((each for each in found[supervisor] if each[0] == "shutdown_error"), key=json.dumps)
        found[supervisor] = [each for each in found[supervisor] if each[0] != "shutdown_error"] + late
    return found


def canonical(scenario: Json, flat: Sequence[Json]) -> list[Json]:
    """A flat trace in the form in which traces are compared."""
    dynamic, lineage = Nodes.of(scenario).dynamic, _Lineage()
    steps: list[Json] = []
    for step in flat:
        events, apart = _canonical_events(step["events"], lineage, dynamic)
        made: Json = {"events": events, "result": step["result"], "state": step["state"]}
        if apart:
            made["async"] = apart
        if step.get("completed"):
            made["completed"] = sorted(step["completed"], key=lambda each: each[0])
        if reports := _canonical_reports(step.get("reports", ()), dynamic):
            made["reports"] = reports
        steps.append(made)
    return steps


# -- comparing

_ABSENT: Final[dict[str, Any]] = {"events": [], "async": [], "result": None, "completed": [], "reports": {}}


def compare(vector: Vector, flat: Sequence[Json]) -> list[str]:
    """What is different in this run, as text; nothing if it is what OTP did."""
    wanted, found = vector.trace, canonical(vector.scenario, flat)
    differences: list[str] = []
    if len(wanted) != len(found):
        differences.append(f"{len(wanted)} steps were expected, there are {len(found)}")
    for number, (want, got) in enumerate(zip(wanted, found, strict=False)):
        pairs = {what: (want.get(what, absent), got.get(what, absent)) for what, absent in _ABSENT.items()}
        busy = {path for path, state in want["state"].items() if state == "busy"}
        pairs["state"] = (_without(want["state"], busy), _without(got["state"], busy))
        two = _below_killed(want) | _below_killed(got)
        pairs["reports"] = (_unordered(pairs["reports"][0], two), _unordered(pairs["reports"][1], two))
        for what, (expected, actual) in pairs.items():
            if blurred(expected) != blurred(actual):
                differences.append(
                    f"step {number} {json.dumps(vector.scenario['steps'][number])}: {what}\n"
                    f"    expected {json.dumps(expected, sort_keys=True)}\n"
                    f"    got      {json.dumps(actual, sort_keys=True)}"
                )
    return differences


def _below_killed(step: Json) -> set[str]:
    """Supervisors whose old life ended below a killed one: OTP's new life may have reported in between, or before."""
    ends: list[Any] = list(step.get("async", []))
    found: set[str] = set()
    while ends:
        each = ends.pop()
        if isinstance(each, dict):
            ends += cast("Json", each)["par"]
        elif each and isinstance(each[0], str):
            found.add(each[1])
        else:
            ends += each
    return found


def _unordered(reports: Json, paths: set[str]) -> Json:
    return {path: sorted(each, key=json.dumps) if path in paths else each for path, each in reports.items()}


def _without(state: Json, busy: set[str]) -> Json:
    return {path: each for path, each in state.items() if path not in busy}


_INVALID: Final = frozenset({"missing_id", "missing_start", "faulty_return", "invalid"})
"""What OTP says of a spec without more to it; `invalid` is all that we say (`otp_terms.INVALID`)."""
_INVALID_BECAUSE: Final = frozenset({
    "badarg", "bad_children_count", "bad_combination", "bad_flags", "bad_start_spec", "duplicate_child_name",
    "invalid_auto_shutdown", "invalid_child_spec", "invalid_child_type", "invalid_intensity", "invalid_mfa",
    "invalid_module", "invalid_modules", "invalid_period", "invalid_restart_type", "invalid_shutdown",
    "invalid_significant", "invalid_strategy", "invalid_type",
})  # fmt: skip
_WRAPPED: Final = frozenset({"start_spec", "supervisor_data", "error"})


def blurred(term: Any) -> Any:
    """`term` with every error about a malformed spec made the same: ours say more than OTP's, in other words."""
    if isinstance(term, dict):
        return {key: blurred(value) for key, value in cast("Json", term).items()}
    if not isinstance(term, list):
        return term
    parts = cast("list[Any]", term)
    if parts and _is_invalid(parts[-1]):
        return [*map(blurred, parts[:-1]), "invalid"]
    return [blurred(part) for part in parts]


def _is_invalid(term: Any) -> bool:
    if isinstance(term, str):
        return term in _INVALID
    if not isinstance(term, list) or not term:
        return False
    head, *rest = cast("list[Any]", term)
    if not isinstance(head, str):
        return False
    return head in _INVALID_BECAUSE or (head in _WRAPPED and len(rest) == 1 and _is_invalid(rest[0]))
