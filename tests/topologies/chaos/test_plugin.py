"""pytest's side: many seeds in one test, a failure made small, with the command that shows it again."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any, Final

import pytest

from treewarden.agents.errors import ConfigurationError
from treewarden.topologies.chaos import chaos, kill, pytest_plugin
from treewarden.topologies.chaos.arena import Arenas
from treewarden.topologies.chaos.replaying import Replay

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
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTHONHASHSEED", "0")  # else each failure asks three more processes
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
    replayed = run(project, *shlex.split(command)[2:])
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
        """,
        test_once="""
        from treewarden.topologies.chaos import chaos

        @chaos(seeds=1)
        async def test_nothing(world):
            world.sometimes("it snowed", False)
        """,
    )
    result = run(project)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines_random(["*in 3 runs never reached: it rained", "*in 1 run never reached: it snowed"])
    (project.path / "test_once.py").unlink()
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
    with pytest.raises(ConfigurationError, match=r"without: chaos takes its options by name; write `@chaos\(seeds"):
        chaos(without)  # type: ignore[arg-type]
    one: Any = kill()
    with pytest.raises(ConfigurationError, match=r"faults is Fault.*; give a list of faults"):
        chaos(faults=one)
    with pytest.raises(ConfigurationError, match=r"faults has 'kill' in it; give what kill\(\), "):
        chaos(faults=["kill"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"target is 3; give a pattern of paths"):
        kill(target=3)  # type: ignore[arg-type]


def test_a_test_without_a_mark_is_told_so(project: pytest.Pytester) -> None:
    project.makepyfile("def test_plain(world):\n    world.start(None)\n")
    result = run(project)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*AttributeError: 'start': only a test that is marked gets a world as `world`; put `@*"]
    )


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--chaos-seeds", "0"], "*'0' is no number of seeds; give a whole number, 1 or more"),
        (["--chaos-seeds", "-3"], "*'-3' is no number of seeds*"),
        (["--chaos-seeds", "many"], "*'many' is no number of seeds*"),
        (["-o", "chaos_seeds=-2"], "*chaos_seeds: '-2' is no number of seeds*"),
        (["--chaos-replay", "nonsense"], "*--chaos-replay: 'nonsense' is no run to replay: it begins with tw1:"),
        (["--chaos-replay", "tw1:abc"], "*--chaos-replay: 'tw1:abc' is no run to replay, or not all of it: *"),
    ],
)
def test_bad_options_are_refused_before_anything_runs(project: pytest.Pytester, args: list[str], sentence: str) -> None:
    project.makepyfile(test_shop=FORGETS.format(durability="VOLATILE"))
    result = run(project, *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([sentence])
    assert "test_shop" not in result.stdout.str()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"a": 3', "Expecting*"),
        ("[1, 2]", "it has to be an object of tests"),
        ('{"test_shop.py::test_till": "tw1:"}', "'test_shop.py::test_till' has to have a list of texts"),
    ],
)
def test_a_file_of_failing_runs_that_is_none_is_named(project: pytest.Pytester, text: str, sentence: str) -> None:
    project.makepyfile(test_shop=FORGETS.format(durability="VOLATILE"))
    (project.path / ".chaos.json").write_text(text, "utf-8")
    result = run(project)
    result.stdout.fnmatch_lines([f"*.chaos.json: it holds no failing runs ({sentence}*); mend or remove it"])
    assert (project.path / ".chaos.json").read_text("utf-8") == text


def test_the_file_may_lie_in_a_folder_that_is_made_or_cannot_be(project: pytest.Pytester) -> None:
    project.makepyfile(test_shop=FORGETS.format(durability="VOLATILE"))
    run(project, "-o", "chaos_file=kept/here.json").assert_outcomes(failed=1)
    assert (project.path / "kept" / "here.json").exists()
    result = run(project, "-o", "chaos_file=test_shop.py/here.json")
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    assert "orders were forgotten" in text or "it cannot be read" in text


def test_the_command_is_for_the_folder_in_which_one_stands(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.makepyfile(test_shop=FORGETS.format(durability="VOLATILE"))
    below = project.mkdir("below")
    monkeypatch.chdir(below)
    result = run(project, "--rootdir", str(project.path), "../test_shop.py")
    result.assert_outcomes(failed=1)
    (command,) = {line.strip() for line in result.stdout.lines if "--chaos-replay" in line}
    assert command.startswith("PYTHONHASHSEED=0 pytest ../test_shop.py::test_till --chaos-replay tw1:")
    run(project, "--rootdir", str(project.path), *shlex.split(command)[2:]).assert_outcomes(failed=1)


def test_what_several_processes_keep_at_once_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "kept.json"
    for number in range(3):
        arenas = Arenas(None, None, file, tmp_path, str)
        assert arenas.save(Replay(test="a", seed=number, within=1.0)) == ""
        assert arenas.save(Replay(test="b", seed=number, within=1.0)) == ""
    assert [len(runs) for runs in json.loads(file.read_text("utf-8")).values()] == [3, 3]


def test_what_was_come_to_is_in_the_report_of_the_test(project: pytest.Pytester) -> None:
    """So it reaches the terminal from other processes too, and files of results."""
    project.makepyfile(test_shop=FORGETS.format(durability="MESSAGE").replace("VOLATILE", "MESSAGE"))
    result = run(project, "--junitxml=results.xml", "--chaos-seeds", "2")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["chaos: test_shop.py::test_till: 0 of 2, at most * failed; * faults struck"])
    assert 'name="chaos" value="0 of 2, at most' in (project.path / "results.xml").read_text("utf-8")


SETS: Final = """
import trio
from treewarden.agents import Agent
from treewarden.topologies import child, tree
from treewarden.topologies.chaos import chaos


class Idle(Agent[None]):
    pass


@chaos(seeds=1, within=1.0)
async def test_order(world):
    await world.start(tree(child(Idle)))
    texts = {{"one", "two", "three", "four", "five", "six", "seven"}}
    world.fail("the order", " ".join({order}))
"""


def test_the_order_of_sets_is_told_apart_and_said_in_the_command(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    project.makepyfile(test_shop=SETS.format(order="texts"))
    text = run(project).stdout.str()
    assert (
        "outside of the seed: the order of a set of texts decides too; sort it, or say which with PYTHONHASHSEED"
        in text
    )
    assert re.search(r"^E? *PYTHONHASHSEED=0 pytest test_shop.py::test_order --chaos-replay tw1:", text, re.MULTILINE)
    project.makepyfile(test_shop=SETS.format(order="sorted(texts)"))
    (project.path / ".chaos.json").unlink()
    text = run(project).stdout.str()
    assert "set of texts" not in text
    assert re.search(r"^E? *pytest test_shop.py::test_order --chaos-replay tw1:", text, re.MULTILINE)


def test_one_that_fails_in_no_other_order_has_no_line_to_replay(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    project.makepyfile(
        test_shop=SETS.format(order="texts")
        + "    world.breaches.clear() if __import__('os').environ.get('PYTHONHASHSEED') else None\n"
    )
    text = run(project).stdout.str()
    assert "the order of a set of texts decides too" in text
    assert "--chaos-replay" not in text
