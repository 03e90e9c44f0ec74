"""pytest's side: many seeds in one test, a failure made small, with the command that shows it again."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Final

import pytest

from treewarden.agents.errors import ConfigurationError
from treewarden.topologies.chaos import chaos, pytest_plugin

pytest_plugins = "pytester"

HERE: Final = Path(__file__).parent
FORGETS: Final = """
from treewarden.agents.core.durability import VOLATILE
from treewarden.topologies.chaos import chaos, crash, kill, slow
from shop import Booked, sell, shop


@chaos(seeds=9, faults=[crash(rate=1.0), kill(), slow()], within=5.0)
async def test_till(world):
    await world.start(shop(world, {durability}))
    told = await sell(world)
    await world.calm()
    booked = await world.ask("till", Booked())
    world.sometimes("a process died", world.process.crashes > 0)
    assert set(told) <= set(booked), "orders were forgotten"
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.syspathinsert(HERE)
    pytester.plugins.append(pytest_plugin)  # as its entry point does, where that is installed
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    return pytester


def run(project: pytest.Pytester, *args: str) -> pytest.RunResult:
    return project.runpytest_inprocess("-p", "no:cacheprovider", *args)


def test_a_failing_seed_is_told_small_kept_and_replayed(project: pytest.Pytester) -> None:
    project.makepyfile(test_shop=FORGETS.format(durability="VOLATILE"))
    first = run(project)
    first.assert_outcomes(failed=1)
    text = first.stdout.str()
    assert "AssertionError: orders were forgotten" in text
    assert re.search(r"1 of \d+ faults are needed, as \d+ more runs have shown:\n\s+crash \* at", text)
    command = next(line.strip() for line in text.splitlines() if "--chaos-replay" in line)
    kept = json.loads((project.path / ".chaos.json").read_text("utf-8"))
    assert list(kept) == ["test_shop.py::test_till"]
    replayed = run(project, *shlex.split(command)[1:])
    replayed.assert_outcomes(failed=1)
    assert "(replayed)" in replayed.stdout.str()
    again = run(project)
    assert "(it has failed before)" in again.stdout.str()


def test_what_holds_is_counted(project: pytest.Pytester) -> None:
    project.makepyfile(test_shop=FORGETS.format(durability="None"))
    result = run(project, "--chaos-seeds", "12")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["chaos: test_shop.py::test_till: 0 of 12, at most 22 % at 95 % failed; *"])
    assert not (project.path / ".chaos.json").exists()


def test_what_was_never_reached_fails(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_shop="""
        from treewarden.topologies.chaos import chaos

        @chaos(seeds=3)
        async def test_nothing(world):
            world.sometimes("it rained", False)
        """
    )
    result = run(project)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*in 3 runs never reached: it rained"])
    run(project, "--chaos-seeds", "1").assert_outcomes(passed=1)


def test_what_escapes_has_no_replay_line(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_shop="""
        import trio
        from treewarden.topologies.chaos import chaos

        @chaos(seeds=3)
        async def test_thread(world):
            await trio.to_thread.run_sync(int)
            assert world.seed < 1
        """
    )
    text = run(project).stdout.str()
    assert "not replayable: a worker thread was used" in text
    assert "--chaos-replay" not in text


def test_fixtures_parameters_and_classes_work(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_shop="""
        import pytest
        from treewarden.topologies.chaos import chaos

        class TestIt:
            @pytest.mark.parametrize("number", [1, 2])
            @chaos(seeds=2)
            async def test_it(self, world, number, tmp_path):
                assert number in (1, 2) and tmp_path.is_dir() and world.seed < 2
        """
    )
    run(project).assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("option", "said"), [("tw1:rubbish", "is no run to replay, or not all of it"), ("7", "is no run to replay")]
)
def test_a_bad_replay_is_refused(project: pytest.Pytester, option: str, said: str) -> None:
    project.makepyfile(test_shop=FORGETS.format(durability="None"))
    assert said in run(project, "--chaos-replay", option).stdout.str()


def test_who_does_not_use_it_does_not_load_it(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_plain="""
        import subprocess, sys

        def test_plain():
            program = "import treewarden.topologies.chaos.pytest_plugin, sys; print(*sys.modules)"
            loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
            assert "treewarden.topologies.chaos.arena" not in loaded and "sqlite3" not in loaded
        """
    )
    result = run(project)
    result.assert_outcomes(passed=1)
    assert "chaos:" not in result.stdout.str()


def test_what_is_no_test_of_a_world_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="async"):
        chaos()(lambda world: None)  # type: ignore[arg-type]

    async def without() -> None: ...

    with pytest.raises(ConfigurationError, match="takes it as `world`"):
        chaos()(without)
    with pytest.raises(ConfigurationError, match="seeds is 0"):
        chaos(seeds=0)
