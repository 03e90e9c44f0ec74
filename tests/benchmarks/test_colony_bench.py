"""The colony: the same fate for everybody, counts that are right, and contenders that end their jobs."""

from __future__ import annotations

import sys
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Final
from xml.etree import ElementTree

import pytest
import trio
from attrs import evolve
from colony import CONTENDERS, LIMIT, Contender, run_once
from colony_fate import HORIZON, JOBS, PLACES, PROFILES, Fate, Loss, fate
from colony_measure import Run, measured, notes
from colony_report import Row, as_svg, as_text

WORKER: Final = Path(__file__).parents[2] / "benchmarks" / "colony_worker.py"
LOG = """\
10.0 begun 0 100 7 setup
12.0 done 0 100 7 setup
12.0 begun 0 100 7 data_load
13.0 begun 1 101 8 setup
15.0 begun 2 102 7 data_load
16.0 done 2 102 7 data_load
17.0 begun 2 102 8 setup
18.0 done 2 102 8 setup
18.0 begun 3 103 8 setup
19.0 done 3 103 8 setup
19.5 begun 3 103 9 setup
"""


def test_a_worker_ends_quietly_when_nobody_reads_what_it_says(tmp_path: Path) -> None:
    with Popen([sys.executable, "-I", "-S", WORKER, "0", tmp_path], stdin=PIPE, stdout=PIPE, stderr=PIPE) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        assert worker.stderr is not None
        assert worker.stdout.readline() == b"ready\n"
        worker.stdout.close()
        worker.stdin.write(b"7 setup 0\n")
        worker.stdin.flush()
        assert (worker.stderr.read(), worker.wait(30)) == (b"", 0)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_seed_is_a_fate(profile: str) -> None:
    found = fate(profile, 3)
    assert found == fate(profile, 3) != fate(profile, 4)
    assert [loss.at for loss in found.losses] == sorted(loss.at for loss in found.losses)
    assert all(0 <= loss.at < HORIZON and 0 <= loss.place < PLACES for loss in found.losses)
    assert 0.2 * 128 <= found.controller_dies <= 0.8 * 128
    mean = sum(len(fate(profile, seed).losses) for seed in range(200)) / 200
    assert mean == pytest.approx(PROFILES[profile] * HORIZON, rel=0.1)


def test_what_the_workers_noted_is_counted() -> None:
    run = measured(
        notes(LOG), completed=2, killed={100: 14.0}, began=9.0, ended=21.0, speed=10.0, controller_died=13.5
    )  # fmt: skip
    # 100: 2 s of setup and 2 s until it was killed; 101: half a second until its controller died; 102: 2; 103: 1 and,
    # begun after the controller had died and not done, until the end.
    assert run.cost == pytest.approx(10.0 * (2 + 2 + 0.5 + 2 + 1 + 1.5) / 3600 * 1.20)
    assert run.wall == pytest.approx(120.0)
    assert run.recoveries == 2  # data_load of 7 and setup of 8
    assert run.duplicated == 1  # setup of 8 was done twice
    assert run.repeated == 3
    assert (run.completed, run.hits) == (2, 1)


@pytest.mark.parametrize("contender", [CONTENDERS[0], CONTENDERS[1]], ids=lambda each: each.name)
async def test_jobs_end_though_workers_and_controllers_are_killed(contender: Contender, tmp_path: Path) -> None:
    # Losses go on for as long as a run may take: where processes start slowly, no worker is there for the first ones.
    losses = tuple(Loss(at, int(at) % 3) for at in range(20, int(LIMIT), 35))
    doom = Fate(losses, controller_dies=45.0)
    with trio.fail_after(2 * LIMIT / 20.0):
        run = await run_once(Contender(contender.name, contender.program, 1_000), doom, tmp_path, speed=20.0)
    assert run.completed == JOBS
    assert run.hits >= 1
    assert run.wall >= 128.0
    done = [line for line in (tmp_path / "work.log").read_text().splitlines() if " done " in line]
    assert len(done) == 100 + run.duplicated


async def test_a_controller_that_cannot_live_is_not_started_for_ever(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="10 lives of its controller"):
        await run_once(Contender("broken", "no_such_program.py", 0), Fate((), 0.0), tmp_path, speed=20.0)


def test_the_table_and_the_drawing_say_who_is_better() -> None:
    good = Run(20, 0.2, 130.0, 3, 0, 4, 5)
    ours = tuple(evolve(good, wall=130.0 + seed) for seed in range(5))
    theirs = tuple(evolve(good, completed=18, wall=120.0 + seed, duplicated=2) for seed in range(5))
    found = [Row("calm", "treewarden", ours), Row("calm", "naive", theirs)]
    text = as_text(found, 5, 20.0)
    assert "100 of 100, at least 97 % at 95 %" in text
    assert "90 of 100, 82 % to 95 % at 95 %" in text
    assert text.splitlines()[-1] == "calm: naive is better in wall by 10 (10 to 10)"
    assert text.count("better") == 1
    drawing = ElementTree.fromstring(as_svg(found))
    assert drawing.tag.endswith("svg")
    alone = as_text([Row("calm", "treewarden", (good,))], 1, 20.0)
    assert "of 5 stages, 1 seed, 20 s" in alone
    assert "of 5 stages, 5 seeds, 20 s" in text
    assert alone.endswith("Nobody is better than treewarden in anything by more than chance.")
