"""The supervisor against a model of OTP, in scenarios that nobody has recorded; the model against the recorded ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import otp_model
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from otp_driver import run
from otpvec import Vector, canonical, compare, load

VECTORS = {
    vector.name: vector
    for file in ("vectors-public.json", "vectors-recorded.json")
    for vector in load(Path(__file__).parent / file)
    if "validation" not in vector.tags and not vector.name.startswith("significant_simple")
}


@pytest.mark.parametrize("name", VECTORS)
def test_the_model_does_what_otp_does(name: str) -> None:
    assert not compare(VECTORS[name], otp_model.run(VECTORS[name].scenario))


# -- scenarios

IDS = ("a", "b", "c", "d")
TAGS = ("t1", "t2", "t3")
ADDED = ("n1", "n2")
REASONS: list[Any] = ["normal", "shutdown", ["shutdown", "x"], "crash", "other"]
STRATEGIES = ("one_for_one", "one_for_all", "rest_for_one", "simple_one_for_one")

outcomes = st.sampled_from(("ok", "ok", "ok", "ok_info", "error", "crash", "ignore", "already_started"))
restarts = st.sampled_from(("permanent", "permanent", "transient", "temporary"))
reasons = st.sampled_from(REASONS)


def starts(*more: str) -> st.SearchStrategy[list[str]]:
    """The first start mostly works: otherwise nothing happens at all."""
    first = st.sampled_from(("ok", "ok", "ok", "ok", "ok", "ok", "ok", "error", "ignore"))
    rest = st.lists(st.one_of(outcomes, st.sampled_from(("ok", *more))), max_size=4)
    return st.tuples(first, rest).map(lambda drawn: [drawn[0], *drawn[1]])


@st.composite
def workers(draw: st.DrawFn, id: str, *, gated: bool = False, significant: bool = False) -> dict[str, Any]:
    node: dict[str, Any] = {"id": id, "restart": draw(restarts), "starts": draw(starts(*(["gate"] * 4 * gated)))}
    if draw(st.booleans()):
        node["shutdown"] = draw(st.sampled_from(("brutal_kill", 40, 60, "infinity")))
    slow = st.fixed_dictionaries({"delay_ms": st.sampled_from((0, 5, 20)), "reason": reasons})
    reactions: list[st.SearchStrategy[Any]] = [st.just("exit"), st.just("exit"), slow]
    if isinstance(node.get("shutdown"), int):
        reactions.append(st.just("ignore"))
    if gated and node.get("shutdown") == "infinity":
        reactions.append(st.just("hold"))
    node["on_stop"] = draw(st.one_of(reactions))
    if significant and node["restart"] != "permanent":
        node["significant"] = draw(st.booleans())
    return node


@st.composite
def supervisors(draw: st.DrawFn, id: str, depth: int, *, gated: bool = False) -> dict[str, Any]:
    """A supervisor; with gates none that could be killed, for what hangs below it then is ours to end."""
    strategy = draw(st.sampled_from(STRATEGIES))
    flags: dict[str, Any] = {"strategy": strategy, "intensity": draw(st.integers(0, 3)), "period": 3600}
    dynamic = strategy == "simple_one_for_one"
    if not dynamic:
        flags["auto_shutdown"] = draw(st.sampled_from(("never", "never", "any_significant", "all_significant")))
    significant = flags.get("auto_shutdown", "never") != "never"
    ids = ["x"] if dynamic else draw(st.lists(st.sampled_from(IDS), unique=True, max_size=4 if depth else 3))
    node: dict[str, Any] = {"id": id, "type": "supervisor", "flags": flags, "restart": draw(restarts)}
    node["children"] = [draw(_child(each, depth, gated, significant)) for each in ids]
    if not gated:
        node["starts"] = draw(starts())
        limit = (31, 57, 83)[depth]  # never at the moment at which something below is over: multiples of 5, and sums
        node["shutdown"] = draw(st.sampled_from(("infinity", "infinity", "brutal_kill", limit)))
    if dynamic:
        node["children"][0]["by_tag"] = draw(
            st.dictionaries(st.sampled_from(TAGS), st.fixed_dictionaries({"starts": starts()}), max_size=2)
        )
    return node


def _child(id: str, depth: int, gated: bool, significant: bool) -> st.SearchStrategy[dict[str, Any]]:
    leaf = workers(id, gated=gated, significant=significant)
    return st.one_of(leaf, leaf, supervisors(id, depth - 1, gated=gated)) if depth else leaf


@st.composite
def steps(draw: st.DrawFn, tree: dict[str, Any], *, gated: bool) -> list[dict[str, Any]]:
    paths, above = _paths(tree)
    made: list[dict[str, Any]] = [{"op": "start"}]
    kinds = ["exit", "exit", "exit", "exit_many", "start", "start", "named", "named", "look", "stop_sup", "change"]
    kinds += ["release", "release", "release"] if gated else ["kill"]
    made += [draw(_step(kind, paths, above, gated)) for kind in draw(st.lists(st.sampled_from(kinds), max_size=12))]
    if draw(st.booleans()):
        made.append({"op": "stop"})
        if gated:
            made += [{"op": "release", "target": path, "outcome": "shutdown"} for path in sorted(paths)]
    return made


def _paths(tree: dict[str, Any]) -> tuple[list[str], dict[str, bool]]:
    """Workers that there may be, and supervisors with whether they are dynamic."""
    workers: list[str] = []
    above: dict[str, bool] = {}

    def visit(node: dict[str, Any], path: str) -> None:
        if node.get("type") != "supervisor":
            workers.append(path)
            return
        above[path] = node["flags"]["strategy"] == "simple_one_for_one"
        for child in node["children"]:
            for id in TAGS if above[path] else (child["id"],):
                visit(child, f"{path}/{id}")
        if not above[path]:
            workers.extend(f"{path}/{id}" for id in ADDED)

    visit(tree, "root")
    return workers or ["root/nobody"], above


@st.composite
def _step(draw: st.DrawFn, kind: str, paths: list[str], above: dict[str, bool], gated: bool) -> dict[str, Any]:
    sup = draw(st.sampled_from(sorted(above)))
    ways = [*REASONS, "kill"]
    match kind:
        case "exit":
            return {"op": "exit", "target": draw(st.sampled_from(paths)), "reason": draw(st.sampled_from(ways))}
        case "exit_many":
            siblings = [path for path in (paths if gated else [*paths, *above]) if path.rpartition("/")[0] == sup]
            targets = draw(st.lists(st.sampled_from(siblings or [f"{sup}/x"]), min_size=1, max_size=3, unique=True))
            reasons_of = [[path, "kill" if path in above else draw(st.sampled_from(ways))] for path in targets]
            return {"op": "exit_many", "targets": reasons_of}
        case "kill":
            return {"op": "exit", "target": sup, "reason": "kill"}
        case "stop_sup":
            return {"op": "stop_sup", "target": sup, "reason": draw(reasons)}
        case "release":
            outcome = draw(st.sampled_from(("ok", "ok", "error", "ignore", "crash")))
            return {"op": "release", "target": draw(st.sampled_from(paths)), "outcome": outcome}
        case "start" if above[sup]:
            return {"op": "call", "sup": sup, "fn": "start_child", "args": [draw(st.sampled_from(TAGS))]}
        case "start":
            id = draw(st.sampled_from((*IDS, *ADDED)))
            spec = draw(_child(id, 1, gated, significant=draw(st.booleans())))
            return {"op": "call", "sup": sup, "fn": "start_child", "spec": spec}
        case "change":
            node = draw(supervisors("changed", 0, gated=gated))
            while (node["flags"]["strategy"] == "simple_one_for_one") is not above[sup]:
                node = draw(supervisors("changed", 0, gated=gated))
            for child in node["children"]:  # whoever lives there may be one that waits for its limit
                child["shutdown"] = draw(st.sampled_from(("brutal_kill", 37, 58)))
            return {"op": "code_change", "sup": sup, "flags": node["flags"], "children": node["children"]}
        case "named":
            fn = draw(st.sampled_from(("terminate_child", "restart_child", "delete_child", "get_childspec")))
            if above[sup] and fn in ("terminate_child", "get_childspec"):
                return {"op": "call", "sup": sup, "fn": fn, "pid_of": f"{sup}/{draw(st.sampled_from(TAGS))}"}
            return {"op": "call", "sup": sup, "fn": fn, "id": draw(st.sampled_from((*IDS, *ADDED, "x")))}
        case _:
            return {"op": "call", "sup": sup, "fn": draw(st.sampled_from(("which_children", "count_children")))}


@st.composite
def scenarios(draw: st.DrawFn, *, gated: bool) -> dict[str, Any]:
    tree = draw(supervisors("root", 2, gated=gated))
    tree.pop("restart")
    return {"tree": tree, "steps": draw(steps(tree, gated=gated))}


def _one_tag_twice(scenario: dict[str, Any], flat: list[dict[str, Any]]) -> bool:
    """Whether two children of the same tag may live at the same time, which is no scenario of this format."""
    for step, before in zip(scenario["steps"][1:], flat, strict=False):
        if step.get("fn") == "start_child" and "args" in step:
            state = before["state"].get(step["sup"])
            if state == "busy" or (state and any(child[0] in (None, *step["args"]) for child in state["children"])):
                return True
    return False


def _agree(scenario: dict[str, Any]) -> None:
    wanted = otp_model.run(scenario)
    if _one_tag_twice(scenario, wanted):
        event("two of one tag")
        return
    vector = Vector("made up", (), scenario, canonical(scenario, wanted))
    differences = compare(vector, run(vector))
    assert not differences, "\n".join([json.dumps(scenario), *differences])


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(scenarios(gated=False))
def test_kills_and_delays(scenario: dict[str, Any]) -> None:
    _agree(scenario)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(scenarios(gated=True))
def test_starts_and_stops_that_wait(scenario: dict[str, Any]) -> None:
    _agree(scenario)
