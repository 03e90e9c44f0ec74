"""The journal under power cuts, and the explorer under journals that are wrong; `make crash STATES=n` does more."""

from __future__ import annotations

import io
import random
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import pytest
from attrs import evolve

from .explorer.adapter import Connection
from .explorer.explore import Explorer
from .explorer.images import Assumed, Choice, Names, Point, choices, image, points, space
from .explorer.mutants import MUTANTS, Mutant
from .explorer.orders import orders
from .explorer.payments import payments
from .explorer.run import catch, main
from .explorer.scribe import workloads
from .explorer.vfs import Create, Op, Sync, SyncFolder, Truncate, Unlink, Vfs, Write, mounted
from .explorer.workload import record
from .explorer.world import Expected


@pytest.fixture
def vfs() -> Iterator[Vfs]:
    with mounted() as vfs:
        yield vfs


def test_no_power_cut_loses_or_doubles_anything(vfs: Vfs) -> None:
    outcome = Explorer(vfs, 0, cases=[*workloads(0), *payments(0)]).run(1000)
    assert not outcome.seen, "\n".join(map(str, outcome.seen))
    assert (outcome.states, outcome.violations) == (1000, 0)
    assert outcome.sites > 600
    assert outcome.reopened >= outcome.sites


def test_no_power_cut_does_an_effect_twice_or_forgets_one(vfs: Vfs) -> None:
    outcome = Explorer(vfs, 1, cases=payments(1)).run(400)
    assert not outcome.seen, "\n".join(map(str, outcome.seen))
    assert outcome.reopened >= outcome.sites > 200


def test_no_power_cut_loses_or_doubles_what_ends_a_wait(vfs: Vfs) -> None:
    outcome = Explorer(vfs, 1, cases=orders(1)).run(60)
    assert not outcome.seen, "\n".join(map(str, outcome.seen))
    assert outcome.reopened >= outcome.sites == 60


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_journal_that_is_wrong_is_caught(vfs: Vfs, mutant: Mutant) -> None:
    outcome = catch(vfs, mutant, 0)
    assert mutant.breaks in outcome.kinds, f"{mutant.name}: {outcome}"


def test_the_same_seed_gives_the_same_states(vfs: Vfs) -> None:
    first, same, other = (Explorer(vfs, seed).run(40).trace for seed in (5, 5, 6))
    assert first == same
    assert first != other


@pytest.mark.parametrize("names", Names)
def test_a_lucky_power_cut_leaves_what_the_process_saw(vfs: Vfs, names: Names) -> None:
    for workload in workloads(3):
        recording = record(workload, vfs)
        *_, last = points(recording.log, Assumed(names))
        assert image(last, everything(last)) == vfs.disk.files
        assert recording.worlds[-1].events, "a workload that does something"


def everything(point: Point) -> Choice:
    """The choice that leaves nothing out: it and its opposite come first."""
    return max(islice(choices(point, random.Random(0)), 2))


# Images


def images(log: list[Op], assumed: Assumed | None = None, at: int = -1) -> list[dict[str, bytes]]:
    """All that can be found after a power cut at a moment of `log`: its end, if not told otherwise."""
    point = list(points(log, assumed or Assumed()))[at]
    found = [image(point, choice) for choice in choices(point, random.Random(0))]
    assert len(found) == space(point)
    return [files for number, files in enumerate(found) if files not in found[:number]]


NEW: list[Op] = [Create("a", 1), Sync(1, folder=True)]


def test_what_is_synced_is_there_and_the_rest_may_be() -> None:
    log = [*NEW, Write(1, 0, b"one"), Sync(1), Write(1, 3, b"two")]
    assert {files["a"] for files in images(log)} == {b"one", b"onetwo"}
    assert {files["a"] for files in images([*log, Sync(1)])} == {b"onetwo"}
    assert {files["a"] for files in images([*log, Sync(1, lie=True)])} == {b"one", b"onetwo"}


def test_writes_are_torn_and_reordered() -> None:
    a, b, c = (letter * 512 for letter in (b"a", b"b", b"c"))
    log = [*NEW, Write(1, 0, a + b), Write(1, 1024, c)]
    nothing = bytes(512)
    assert {files["a"] for files in images(log)} == {
        b"", a, a + b, nothing + b, nothing * 2 + c, a + nothing + c, nothing + b + c, a + b + c,
    }  # fmt: skip


def test_a_file_is_cut_or_not() -> None:
    log = [*NEW, Write(1, 0, b"123456"), Sync(1), Truncate(1, 3)]
    assert {files["a"] for files in images(log)} == {b"123456", b"123"}


def test_names_follow_the_folder() -> None:
    log: list[Op] = [*NEW, Unlink("a"), Create("b", 2), Sync(2)]
    assert sorted(map(sorted, images(log))) == [[], ["a"], ["a", "b"], ["b"]]
    assert images([*log, SyncFolder()]) == [{"b": b""}]
    assert images([*log, Sync(2, folder=True)]) == [{"b": b""}]
    # Where a file's sync says nothing about its folder, the other name may still be there.
    own = Assumed(Names.OWN)
    assert sorted(map(sorted, images([*log, Sync(2, folder=True)], own))) == [["a", "b"], ["b"]]


def test_a_moment_before_each_sync_and_where_less_is_expected() -> None:
    first, second = Expected((0,)), Expected((0, 1))
    log: list[Op] = [first, *NEW, Write(1, 0, b"x"), second, Write(1, 1, b"y"), Sync(1), evolve(second, closed=True)]
    found = list(points(log, Assumed()))
    assert [(point.index, point.expected.worlds) for point in found] == [(2, (0,)), (4, (0,)), (6, (0, 1)), (8, (0, 1))]
    assert found[-1].expected.closed


# The command


NORMAL = next(mutant for mutant in MUTANTS if mutant.name == "synchronous NORMAL")
HARMLESS = evolve(NORMAL, name="nothing wrong", connection=Connection)


def run(*arguments: str, mutants: Sequence[Mutant], **more: Any) -> tuple[int, list[str]]:
    out = io.StringIO()
    code = main(arguments, out=out, mutants=mutants, **more)
    slow = re.compile(r"\d+ of \d+ states, .+/s, ")  # how far it is, which only a busy machine has the time to say
    return code, [line for line in out.getvalue().splitlines() if not slow.match(line)]


def test_the_command_counts_states_and_mutants() -> None:
    code, lines = run("--states", "150", mutants=[NORMAL])
    assert code == 0
    assert lines[-2:] == ["150 states, 0 violations", "1 of 1 mutants caught"]


def test_the_command_fails_when_the_journal_does() -> None:
    code, lines = run("--states", "60", wrong=NORMAL.connection, mutants=[NORMAL])
    assert code == 1
    where = lines[0].partition(": ")[0]
    assert re.fullmatch(r".+ at \d+", where)
    told = [each.removeprefix(f"{where}: ") for each in lines if each.startswith(f"{where}: ")]
    assert any(re.fullmatch(r"lost: .+ was acknowledged|unreadable: .+ malformed", each) for each in told)
    assert re.fullmatch(r"60 states, [1-9]\d* violations", lines[-2])


def test_the_command_fails_when_a_mutant_is_not_caught() -> None:
    code, lines = run("--states", "5", mutants=[HARMLESS, NORMAL], patience=50)
    assert code == 1
    assert lines[0] == "NOT caught in 50 states: nothing wrong (lost)"
    assert lines[-2:] == ["5 states, 0 violations", "1 of 2 mutants caught"]


@pytest.mark.parametrize("arguments", [["--states", "0"], ["--states", "many"]], ids=" ".join)
def test_the_command_refuses_numbers_that_mean_nothing(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "--states" in capsys.readouterr().err
