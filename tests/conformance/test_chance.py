"""The supervisor against the model of OTP in scenarios by chance, a few of the many that `otp_chance.py` can run."""

from __future__ import annotations

from collections import Counter
from typing import Any

import otp_model
import pytest
from otp_chance import disagreements, main, scenario
from otp_driver import run
from otpvec import Vector, canonical, compare

SEEDS = 240


@pytest.mark.parametrize("first", range(0, SEEDS, 20))
def test_the_supervisor_does_what_the_model_does(first: int) -> None:
    assert not [text for seed in range(first, first + 20) for text in disagreements(seed) or ()]


def test_the_sample_goes_everywhere() -> None:
    """Every step, outcome, reaction and flag of FORMAT.md is in it, and few of it are undecided."""
    seen = Counter[str]()
    for seed in range(SEEDS):
        tree, steps = scenario(seed)[0].values()
        _count(tree, seen)
        for step in steps:
            seen[step.get("fn", step["op"])] += 1
    missing = {
        *("start", "stop", "exit", "exit_many", "stop_sup", "sleep", "release", "code_change", "start_child"),
        *("terminate_child", "restart_child", "delete_child", "get_childspec", "which_children", "count_children"),
        *("ok", "ok_info", "error", "crash", "ignore", "already_started", "gate", "hold", "delay_ms", "brutal_kill"),
        *("infinity", "permanent", "transient", "temporary", "significant", "any_significant", "all_significant"),
        *("one_for_one", "one_for_all", "rest_for_one", "simple_one_for_one", "by_tag", "then", "on_stop"),
    } - set(seen)
    assert not missing
    assert sum(disagreements(seed) is None for seed in range(60)) < 6


def _count(value: Any, seen: Counter[str]) -> None:
    match value:
        case dict():
            for key, below in value.items():  # pyright: ignore[reportUnknownVariableType]
                seen[str(key)] += 1  # pyright: ignore[reportUnknownArgumentType]
                _count(below, seen)
        case list():
            for below in value:  # pyright: ignore[reportUnknownVariableType]
                _count(below, seen)
        case _:
            seen[str(value)] += 1


def test_who_is_left_below_a_killed_one_uses_up_nobody_s_grace() -> None:
    assert disagreements(5749) == []


def test_what_otp_leaves_open_is_left_undecided() -> None:
    """A successor that is done beside one that is blocked; and who of those that are asked at once is heard first."""
    assert disagreements(71305223) is None
    assert disagreements(880004234) is None


def test_who_is_blocked_below_a_killed_one_is_known_beside_its_successor() -> None:
    """That has the path of the killed one, and waits at a gate of its own: OTP starts it, and here it is held up."""
    assert disagreements(3975) is None


def test_who_has_mail_goes_on_while_somebody_below_a_killed_one_takes_time() -> None:
    """OTP starts the successor beside them before it looks at that mail, and ours after (docs/decisions/0007)."""
    assert disagreements(7004987) is None


def test_the_command_closes_with_the_count(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["0", "5"]) == 0
    assert capsys.readouterr().out == "5 agree, 0 differ\n"


SUPERVISOR = {"type": "supervisor", "flags": {"intensity": 5, "period": 3600}}

WRITTEN: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "a start function that hangs is gone with the supervisor that called it": (
        {
            "id": "s",
            **SUPERVISOR,
            "children": [
                {"id": "a"},
                {
                    "id": "b",
                    **SUPERVISOR,
                    "shutdown": 20,
                    "children": [{"id": "x", **SUPERVISOR, "starts": ["ok", "gate"]}],
                },
            ],
        },
        [
            {"op": "exit", "target": "root/s/b/x", "reason": "kill"},
            {"op": "exit", "target": "root", "reason": "kill"},
            {"op": "release", "target": "root/s/b/x", "outcome": "ok"},
        ],
    ),
    "a process is meant as it was when the call was made": (
        {
            "id": "s",
            "type": "supervisor",
            "flags": {"strategy": "simple_one_for_one", "intensity": 5, "period": 3600},
            "children": [{"id": "x", "starts": ["ok", "gate"]}],
        },
        [
            {"op": "call", "sup": "root/s", "fn": "start_child", "args": ["t1"]},
            {"op": "exit", "target": "root/s/t1", "reason": "crash"},
            {"op": "call", "sup": "root/s", "fn": "terminate_child", "pid_of": "root/s/t1"},
            {"op": "release", "target": "root/s/t1", "outcome": "ok"},
        ],
    ),
    "a start function of a supervisor that waits has made none yet": (
        {"id": "s", **SUPERVISOR, "starts": ["gate"], "children": [{"id": "x"}]},
        [
            {"op": "stop_sup", "target": "root/s", "reason": "normal"},
            {"op": "release", "target": "root/s", "outcome": "ok"},
        ],
    ),
    "a code change of who is not there": (
        {"id": "s", **SUPERVISOR, "restart": "temporary", "children": []},
        [
            {"op": "exit", "target": "root/s", "reason": "kill"},
            {"op": "code_change", "sup": "root/s", "returns": "ignore"},
        ],
    ),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_chance_has_found(name: str) -> None:
    child, steps = WRITTEN[name]
    tree = {"id": "root", **SUPERVISOR, "children": [child]}
    made = {"tree": tree, "steps": [{"op": "start"}, *steps]}
    vector = Vector(name, (), made, canonical(made, otp_model.run(made)))
    assert not compare(vector, run(vector))
