"""Every vector against the real supervisor, and proof that the comparison notices what it should."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from attrs import evolve
from otp_driver import run
from otpvec import Vector, blurred, canonical, compare, load
from run_vectors import differences, main

if TYPE_CHECKING:
    from collections.abc import Callable

FILE = Path(__file__).parent / "vectors-public.json"
RECORDED = FILE.with_name("vectors-recorded.json")
VECTORS = {vector.name: vector for file in (FILE, RECORDED) for vector in load(file)}


@pytest.mark.parametrize("name", VECTORS)
def test_the_supervisor_does_what_otp_does(name: str) -> None:
    assert not "\n".join(differences(VECTORS[name]))


def test_no_vector_is_missing() -> None:
    public = load(FILE)
    suite = [vector for vector in public if "suite" in vector.tags]
    chance = [vector for vector in public if "random" in vector.tags]
    assert (len(public), len(suite), len(chance)) == (434, 137, 200)
    assert len(VECTORS) == len(public) + len(load(RECORDED))


# -- the runner itself


def test_it_closes_with_the_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = json.loads(FILE.read_text("utf-8"))
    content["vectors"] = content["vectors"][:3]
    content["vectors"][1]["trace"][0]["result"] = ["ok", "root#2"]
    file = tmp_path / "three.json"
    file.write_text(json.dumps(content), "utf-8")
    assert main([str(file)]) == 1
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == "2 passed, 1 failed"
    assert f"FAILED {content['vectors'][1]['name']}" in said
    assert 'expected ["ok", "root#2"]' in said
    assert main([str(file), "--only", content["vectors"][0]["name"], "--verbose"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 passed, 0 failed"


def test_it_refuses_a_file_of_another_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "old.json"
    file.write_text('{"format": 2, "vectors": []}', "utf-8")
    with pytest.raises(SystemExit):
        main([str(file)])
    assert "its format is not 1" in capsys.readouterr().err


def test_no_vectors_is_no_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(FILE), "--only", "nobody"]) == 1
    said = capsys.readouterr()
    assert said.out == "0 passed, 0 failed\n"
    assert said.err == "no vector is called nobody\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "it is no JSON"),
        ("[" * 100_000, "it is no JSON"),
        ("[]", "its format is not 1"),
        ('{"format": 1}', "vectors is missing; it must be a list"),
        ('{"format": 1, "vectors": {"a": 1}}', 'vectors is {"a": 1}; it must be a list'),
    ],
)
def test_it_refuses_what_is_no_file_of_vectors(
    text: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.json"
    file.write_text(text, "utf-8")
    with pytest.raises(SystemExit) as ended:
        main([str(file)])
    assert ended.value.code == 2
    assert f"{file}: {why}" in capsys.readouterr().err


GOOD: dict[str, Any] = {"name": "good", "scenario": {"tree": {"id": "root"}, "steps": [{"op": "stop"}]}}
GOOD["trace"] = [{"events": [], "result": "not_running", "state": {}}]
STEPS: list[tuple[Any, str]] = [
    ({}, ".op is missing; it must be one of start, stop, exit,"),
    ({"op": "jump"}, '.op is "jump"; it must be one of start, stop, exit,'),
    ({"op": "exit"}, ".target is missing; it must be a text"),
    ({"op": "exit", "target": "root/a"}, ".reason is missing; it must be a reason: a text, or a list"),
    ({"op": "sleep", "ms": math.nan}, ".ms is NaN; it must be milliseconds, 0 or more"),
    ({"op": "exit_many", "targets": []}, ".targets is []; it must be a list with at least one pair"),
    ({"op": "exit_many", "targets": [["root/a"]]}, '.targets[0] is ["root/a"]; it must be a pair of a path'),
    ({"op": "call", "sup": "root"}, ".fn is missing; it must be one of start_child, terminate_child,"),
    ({"op": "call", "sup": "root", "fn": "delete_child", "id": [1]}, ".id is [1]; it must be a text"),
    ({"op": "call", "sup": "root", "fn": "get_childspec"}, ' is {"op": "call", "sup": "root",'),
    (
        {"op": "call", "sup": "root", "fn": "start_child", "args": []},
        ".args is []; it must be a list of one tag",
    ),
    ({"op": "code_change", "sup": "root", "children": 5}, ".children is 5; it must be a list"),
]
TREES: list[tuple[Any, str]] = [
    ({"children": 5}, " is 5; it must be a list"),
    (
        {"children": [{"id": "a", "starts": ["ok", "no"]}]},
        '[0].starts[1] is "no"; it must be one of ok, ok_info,',
    ),
    ({"children": [{"on_stop": {"delay_ms": "5"}}]}, '[0].on_stop.delay_ms is "5"; it must be milliseconds'),
    ({"children": [{"on_stop": "wait"}]}, '[0].on_stop is "wait"; it must be one of exit, ignore, hold, or'),
    ({"flags": {"strategy": "simple_one_for_one"}, "children": ["x"]}, '[0] is "x"; it must be an object'),
    ({"children": [{"by_tag": {"t": {"then": 1}}}]}, "[0].by_tag.t.then is 1; it must be one of ok,"),
]
BROKEN: list[tuple[Any, str]] = [
    ("text", 'vectors[0] []\n  it is "text"; it must be an object'),
    ({**GOOD, "name": 7}, "vectors[0] []\n  its name is 7; it must be a text"),
    ({**GOOD, "trace": None}, "its trace is missing; it must be a list"),
    ({**GOOD, "tags": "suite"}, 'its tags is "suite"; it must be a list'),
    ({**GOOD, "scenario": {"steps": []}}, "its scenario.tree is missing; it must be an object"),
    ({**GOOD, "trace": [3]}, "its trace[0] is 3; it must be an object"),
    ({**GOOD, "trace": [{"events": []}]}, "its trace[0].state is missing; it must be an object"),
    ({**GOOD, "trace": [{"state": {}, "async": [5]}]}, "its trace[0].async[0] is 5; it must be a list"),
    ({**GOOD, "trace": [{"state": {}, "events": [["start"]]}]}, 'is ["start"]; it must be an event such as'),
    ({**GOOD, "trace": [{"state": {}, "reports": {"root": 1}}]}, "its trace[0].reports.root is 1; it must be a list"),
    *(
        ({**GOOD, "scenario": {"tree": {}, "steps": [step]}}, f"good []\n  its scenario.steps[0]{why}")
        for step, why in STEPS
    ),
    *(({**GOOD, "scenario": {"tree": tree, "steps": []}}, f"its scenario.tree.children{why}") for tree, why in TREES),
]


@pytest.mark.parametrize(("vector", "why"), BROKEN, ids=[why for _, why in BROKEN])
def test_a_vector_that_is_none_has_failed(
    vector: Any, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "some.json"
    file.write_text(json.dumps({"format": 1, "vectors": [vector, GOOD]}), "utf-8")
    assert main([str(file)]) == 1
    said = capsys.readouterr().out
    assert why in said
    assert "Traceback" not in said
    assert said.splitlines()[-1] == "1 passed, 1 failed"


def test_a_run_that_breaks_down_is_told_in_a_line_or_with_its_traceback() -> None:
    vector = Vector("made up", (), {"tree": {}, "steps": [{"op": "jump"}]}, [])
    (line,) = differences(vector, traced=False)
    assert line == (
        'the run broke down in step 0 {"op": "jump"}: ValueError: no step is called \'jump\'; --verbose shows where'
    )
    (text,) = differences(vector)
    assert "Traceback" in text


@pytest.mark.parametrize(
    "below",
    [
        {"children": [{"id": "x"}, {"id": "x"}]},
        {"children": [{"id": "x", "type": "bogus"}]},
        {"children": [{"id": "x", "restart": "permanent", "significant": True}]},
        {"flags": {"intensity": -1}},
        {"flags": {"strategy": "simple_one_for_one"}, "children": []},
        {"children": [{"id": "t", "type": "supervisor", "flags": "none"}]},
    ],
)
def test_what_is_wrong_far_down_is_found_when_that_supervisor_starts(below: dict[str, Any]) -> None:
    child = {"id": "s", "type": "supervisor", **below}
    scenario = {"tree": {"id": "root", "type": "supervisor", "children": [{"id": "a"}, child]}}
    (step,) = run(Vector("made up", (), {**scenario, "steps": [{"op": "start"}]}, []))
    assert step["events"][0] == ["start", "root/a", 1]
    assert step["events"][-2:] == [["exit", "root/a", 1, "shutdown"], ["start_error", "root", step["result"][1]]]
    assert step["result"][1][1][:2] == ["failed_to_start_child", "s"]


def test_the_root_is_a_supervisor_also_if_nobody_says_so() -> None:
    template = {"id": "x", "starts": ["error"], "by_tag": {"t1": {"starts": ["ok"]}}}
    tree = {"flags": {"strategy": "simple_one_for_one"}, "children": [template]}
    call = {"op": "call", "sup": "root", "fn": "start_child", "args": ["t1"]}
    _, step = run(Vector("made up", (), {"tree": tree, "steps": [{"op": "start"}, call]}, []))
    assert step["result"] == ["ok", "root/t1#1"]


# -- what the comparison notices

Change: TypeAlias = "Callable[[list[dict[str, Any]]], object]"

EXAMPLE = VECTORS["x_one_for_all_revives_manually_terminated_child"]
CHANGES: dict[str, Change] = {
    "order": lambda trace: trace[2]["events"].reverse(),
    "an event": lambda trace: trace[2]["events"].pop(),
    "a report": lambda trace: trace[2].pop("reports"),
    "a result": lambda trace: trace[1].update(result="pending"),
    "a late result": lambda trace: trace[1].update(completed=[[0, "ok"]]),
    "a count": lambda trace: trace[1]["state"]["root"]["counts"].reverse(),
    "a step": lambda trace: trace.pop(),
}


def changed(change: Change) -> Vector:
    trace = copy.deepcopy(EXAMPLE.trace)
    change(trace)
    return evolve(EXAMPLE, trace=trace)


@pytest.mark.parametrize("what", CHANGES)
def test_a_difference_is_noticed(what: str) -> None:
    flat = run(EXAMPLE)
    assert not compare(EXAMPLE, flat)
    assert compare(changed(CHANGES[what]), flat)


def test_what_a_busy_supervisor_shows_does_not_count() -> None:
    flat = run(EXAMPLE)
    assert not compare(changed(lambda trace: trace[1].update(state={"root": "busy"})), flat)


def test_what_is_reported_below_a_killed_supervisor_has_no_order_but_has_to_be_there() -> None:
    """OTP's successor is at work beside the old life; ours comes after it."""
    old, new = ["root/s", "shutdown_error", "a", "crash"], ["root/s", "start_error", "a", "start_failed"]
    below = {"id": "s", "type": "supervisor", "children": [{"id": "a"}]}
    scenario: dict[str, Any] = {"tree": {"children": [below]}, "steps": [{"op": "start"}]}
    lives = [["start", path, 1] for path in ("root/s/a", "root/s", "root")]
    ends = [["exit", "root", 1, "killed"], ["exit", "root/s/a", 1, "crash"], ["exit", "root/s", 1, "killed"]]
    step: dict[str, Any] = {"events": [*lives, *ends], "result": "ok", "state": {}}
    vector = Vector("made up", (), scenario, canonical(scenario, [{**step, "reports": [new, old]}]))
    assert not compare(vector, [{**step, "reports": [old, new]}])
    assert compare(vector, [{**step, "reports": [old]}])
    calm = {**step, "events": lives}
    vector = evolve(vector, trace=canonical(scenario, [{**calm, "reports": [new, old]}]))
    assert compare(vector, [{**calm, "reports": [old, new]}])


def test_ends_by_a_killed_supervisor_stand_apart() -> None:
    scenario: dict[str, Any] = {
        "tree": {"children": [{"id": "s", "type": "supervisor", "children": [{"id": "b"}, {"id": "a"}]}, {"id": "c"}]},
        "steps": [{"op": "start"}],
    }
    started = [["start", path, 1] for path in ("root/s/b", "root/s/a", "root/s", "root/c", "root")]
    ended = [
        ["exit", "root/s", 1, "killed"],
        ["exit", "root/s/b", 1, "killed"],
        ["start", "root/s/b", 2],
        ["exit", "root/s/a", 1, "killed"],
        ["start", "root/s/a", 2],
        ["start", "root/s", 2],
    ]
    (step,) = canonical(scenario, [{"events": [*started, *ended], "result": "ok", "state": {}}])
    assert step["async"] == [[["exit", "root/s/a", 1, "killed"]], [["exit", "root/s/b", 1, "killed"]]]
    assert step["events"][5:] == [event for event in ended if event[0] == "start" or event[1] == "root/s"]


def test_what_a_dynamic_supervisor_stops_at_once_is_a_set_of_strands() -> None:
    scenario: dict[str, Any] = {
        "tree": {"flags": {"strategy": "simple_one_for_one"}, "children": [{"id": "x"}]},
        "steps": [{"op": "start"}],
    }
    started = [["start", path, 1] for path in ("root", "root/t1", "root/t2")]
    ends = [["exit", "root/t1", 1, "shutdown"], ["exit", "root/t2", 1, "shutdown"]]
    last = ["exit", "root", 1, "shutdown"]
    one, other = (
        canonical(scenario, [{"events": [*started, *order, last], "result": "ok", "state": {}}])
        for order in (ends, ends[::-1])
    )
    assert one == other
    assert one[0]["events"][3:] == [{"par": [[ends[0]], [ends[1]]]}, last]


@pytest.mark.parametrize(
    ("theirs", "same"),
    [
        (["error", "missing_id"], True),
        (["error", ["start_spec", ["duplicate_child_name", "a"]]], True),
        (["error", ["error", ["bad_children_count", 2]]], True),
        (["error", "not_found"], False),
        (["error", ["already_started", "root/a#1"]], False),
        (["ok", "root/missing_id#1"], False),
    ],
)
def test_every_error_about_a_spec_is_the_same(theirs: Any, same: bool) -> None:
    assert (blurred(theirs) == blurred(["error", "invalid"])) is same
    late = [[3, "ok"], [4, theirs]]
    assert (blurred(late) == blurred([[3, "ok"], [4, ["error", "invalid"]]])) is same


LATE: dict[str, Any] = {
    "tree": {"children": [{"id": "a", "starts": ["ok", "gate"]}]},
    "steps": [
        {"op": "start"},
        {"op": "exit", "target": "root/a", "reason": "crash"},
        {"op": "call", "sup": "root", "fn": "start_child", "spec": {"id": "b", "significant": True}},
        {"op": "release", "target": "root/a", "outcome": "ok"},
    ],
}


def test_a_malformed_spec_may_wait_for_its_refusal() -> None:
    """The call is answered in a later step than its own, and the refusal is the same as if it had been at once."""
    vector = Vector("made up", (), LATE, canonical(LATE, run(Vector("made up", (), LATE, []))))
    told = copy.deepcopy(vector.trace)
    told[3]["completed"] = [[2, ["error", ["bad_combination", [["auto_shutdown", "never"], ["significant", True]]]]]]
    assert not compare(evolve(vector, trace=told), run(vector))
