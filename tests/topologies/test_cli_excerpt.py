"""A state that is long is printed as an excerpt, with a word on how to see the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from attrs import evolve

from treewarden.supervisor.core.event import Recorded
from treewarden.supervisor.journal.port import Commit
from treewarden.topologies.cli import main
from treewarden.topologies.commands.excerpt import brief, excerpt

from ..journals import DESK, checkpoint, on_disk

STATES: tuple[Any, ...] = (
    {"text": "ä" * 90_000, "numbers": list(range(5_000)), "names": {f"name {n}": n for n in range(2_000)}},
    {"text": "b" * 90_000, "numbers": list(range(1, 5_001)), "names": {}},
    {"lists": [[n, {"deep": [[[[[[[[[[[[n]]]]]]]]]]]]}] for n in range(2_000)]},
)


def text(state: Any) -> str:
    return json.dumps(state, ensure_ascii=False, separators=(",", ":"))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A journal with three long states, the checkpoints 3, 5 and 7."""
    path = tmp_path_factory.mktemp("long") / "tree.db"

    async def write() -> None:
        async with on_disk(path) as journal:
            rows = (evolve(checkpoint(n), body=text(state)) for n, state in enumerate(STATES, 1))
            fact = Recorded(path=DESK, kind="str", facts={"text": "f" * 90_000})
            await journal.commit(Commit(checkpoints=tuple(rows), events=((0.0, fact),)))

    trio.run(write)
    return str(path)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


@pytest.mark.parametrize("number", [3, 5, 7])
def test_a_long_state_is_shown_as_an_excerpt(file: str, number: int, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "checkpoint", "show", file, "desk", str(number)).splitlines()
    assert lines[-1] == f"this is an excerpt of {len(text(STATES[(number - 3) // 2]))} B; --all prints everything"
    assert "more" in "".join(lines)
    assert len(lines) < 500
    assert max(map(len, lines)) < 1000


@pytest.mark.parametrize("number", [3, 7])
def test_all_of_it_is_printed_for_who_asks(file: str, number: int, capsys: pytest.CaptureFixture[str]) -> None:
    state = STATES[(number - 3) // 2]
    whole = printed(capsys, "checkpoint", "show", file, "desk", str(number), "--all")
    assert json.loads(whole[whole.index("{") :]) == state
    assert json.loads(printed(capsys, "checkpoint", "show", file, "desk", str(number), "--json"))["state"] == state


def test_a_diff_of_long_states_is_one_of_excerpts(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    few = printed(capsys, "checkpoint", "diff", file, "desk", "5", "7").splitlines()
    assert few[-1] == "these are excerpts; --all prints everything"
    assert max(map(len, few)) < 2100
    many = printed(capsys, "checkpoint", "diff", file, "desk", "3", "5").splitlines()
    assert many[-1].endswith(" more differences; --all prints everything")
    assert len(many) < 210
    assert max(map(len, many)) < 2100
    every = printed(capsys, "checkpoint", "diff", file, "desk", "3", "5", "--all")
    assert "ä" * 90_000 in every
    assert "--all" not in every
    assert every.count("- /names/name") == 2_000


def test_a_long_event_is_shown_as_an_excerpt(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = printed(capsys, "journal", "show", file, "--kind", "Recorded").splitlines()
    assert len(line) < 4100
    assert line.endswith(" characters); --json prints everything")
    assert "f" * 90_000 in printed(capsys, "journal", "show", file, "--kind", "Recorded", "--json")


def test_what_is_short_is_printed_as_it_is() -> None:
    data: dict[str, Any] = {"a": [1, 2.5, None, True, "ä\n"], "b": {"c": {}, "d": []}}
    assert brief(data) == json.dumps(data, ensure_ascii=False)
    assert excerpt(data) == json.dumps(data, ensure_ascii=False, indent=2).splitlines()


@pytest.mark.parametrize("data", ["x" * 10**5, [[[["x" * 500] * 99] * 99] * 99], {"k" * 10**5: 1}, [0] * 10**5])
def test_no_part_of_it_is_long(data: Any) -> None:
    assert len(brief(data)) < 2100
    lines = excerpt(data)
    assert len(lines) < 500
    assert max(map(len, lines)) < 900
