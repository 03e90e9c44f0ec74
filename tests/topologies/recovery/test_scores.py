"""The numbers: intervals, skill and calibration error, and how they are told."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

from treewarden.topologies.cli import main
from treewarden.topologies.recovery.race import Incident, Outcome, Race
from treewarden.topologies.recovery.score import bins, score


def race(*costs: float, outcomes: Sequence[Outcome] = (), pages: int = 0) -> Race:
    incidents = tuple(
        Incident(
            place=place, cause="hang", down=cost / 2, debt=0.0, cost=cost, actions=("restart",), by="restart",
            pages=pages, wasted=1, wrong_rollbacks=0,
        )
        for place, cost in enumerate(costs)
    )  # fmt: skip
    return Race(incidents=incidents, outcomes=tuple(outcomes), seconds=1000.0, violations=0)


def test_costs_are_compared_under_the_same_seeds() -> None:
    mine, theirs = [race(10, 20), race(30, 40)], [race(11, 21), race(31, 41)]
    row = score("mine", mine, ("theirs", theirs))
    assert row.cost == 25
    assert row.versus is not None
    assert row.versus.mean == -1
    assert row.versus.ci == (-1, -1), "the difference is the same under each seed, however different the seeds are"
    assert row.cost_ci is not None
    assert row.cost_ci[0] < 0 < 50 < row.cost_ci[1], "two seeds say little"
    assert row.mttr == 12.5
    assert row.availability == 1 - 50 / 2000
    assert row.wasted_restarts == 100


def test_one_seed_has_no_interval() -> None:
    row = score("mine", [race(1, 2)], ("theirs", [race(2, 3)]))
    assert row.cost_ci is None
    assert row.versus is not None
    assert row.versus.ci is None


def test_always_stating_the_base_rate_has_no_skill() -> None:
    outcomes = [Outcome("restart", 0.25, n % 4 == 0) for n in range(400)]
    row = score("flat", [race(1, outcomes=outcomes)])
    assert row.brier_skill == pytest.approx(0)
    assert row.ece == pytest.approx(0)
    assert row.ece_debiased == 0


def test_a_source_that_is_right_shows_no_error_once_chance_is_taken_out() -> None:
    rng = random.Random(1)
    outcomes = [Outcome("restart", p, rng.random() < p) for p in (rng.random() for _ in range(2000))]
    row = score("honest", [race(1, outcomes=outcomes)])
    assert row.brier_skill > 0.25
    assert row.ece > 0.005
    assert row.ece_debiased < 0.02
    sure = [Outcome("restart", min(1.0, outcome.stated + 0.2), outcome.fixed) for outcome in outcomes]
    assert score("boastful", [race(1, outcomes=sure)]).ece_debiased > 0.12


def test_bins_hold_every_outcome_once() -> None:
    outcomes = [Outcome("restart", n / 100, n % 2 == 0) for n in range(101)]
    found = bins(outcomes)
    assert sum(each.count for each in found) == 101
    assert [each.count for each in found] == [10] * 9 + [11]


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["recovery", "--seeds", "0,1", "--world", "few_incidents", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def test_the_command_prints_the_same_bytes_for_the_same_seeds(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    plot = tmp_path / "reliability.svg"
    first = printed(capsys, "--json", "--plot", str(plot), "--policies", "otp,ladder")
    drawn = plot.read_bytes()
    assert first == printed(capsys, "--json", "--plot", str(plot), "--policies", "otp,ladder")
    assert drawn == plot.read_bytes()
    assert ElementTree.fromstring(drawn).tag.endswith("svg")

    data = json.loads(first)
    (world,) = data["worlds"]
    otp, ladder = world["policies"]
    assert (otp["policy"], ladder["policy"]) == ("otp", "ladder")
    assert otp["cost"] > ladder["cost"]
    assert otp["versus"]["to"] == "ladder"
    assert ladder["versus"] is None
    for row in (otp, ladder):
        assert {"cost", "cost_ci", "mttr", "mttr_p95", "brier_skill", "ece", "ece_debiased", "pages"} <= row.keys()
        assert row["violations"] == 0
        assert "latency" not in row


def test_a_table_tells_the_cheapest_first_and_how_long_decisions_took(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "--policies", "otp,ladder", "--timing").splitlines()
    assert lines[0].startswith("2 seeds; ")
    assert [line.split()[0] for line in lines if line.startswith("  ")] == ["policy", "ladder", "otp"]
    assert sum("at the 99th percentile" in line for line in lines) == 2


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("--policies dice", "no policy 'dice' races; there is otp"),
        ("--world moon", "there is no world 'moon'; there is as_modelled"),
        ("--worlds nowhere.toml", "nowhere.toml: No such file"),
        ("--seeds 3-1", "is no range"),
        ("--seeds x", "is no list of seeds; write 0-29"),
        ("--seeds 0-", "'0-' is no list of seeds; write 0-29"),
        ("--seeds 0-9999,10000-19999", "is too many seeds; there are 10000 at most"),
        ("--jobs 0", "0 is too few; give 1 or more"),
        ("--policies ,", "',' names nobody; write a,b"),
        ("--plot moon/reliability.svg", "there is no folder moon; make it, or give another name"),
        ("--plot reliability.png", "the diagram is an SVG; give a name that ends in .svg"),
    ],
)
def test_what_cannot_be_raced_is_refused(arguments: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recovery", *arguments.split()]) == 2
    assert complaint in capsys.readouterr().err
