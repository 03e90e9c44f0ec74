"""`treewarden checkpoint`: what it prints of the states that a journal keeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import evolve

from treewarden.agents.core.label import Label
from treewarden.agents.core.path import Path as Slot
from treewarden.supervisor.journal.port import Commit
from treewarden.topologies.cli import main

from ..journals import DESK, checkpoint, on_disk, settle

SHOP = Slot("shop")


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A journal in which two of the desk's states and one of the shop's are kept."""

    async def write() -> None:
        async with on_disk(tmp_path / "tree.db") as journal:
            good = evolve(checkpoint(1), label=Label("good", "before the move", ("v1", "night")), pinned=True)
            rows = (good, checkpoint(2), checkpoint(3, "shop's own", SHOP))
            await journal.commit(Commit(checkpoints=rows))
            await journal.commit(settle(5))

    trio.run(write)
    return str(tmp_path / "tree.db")


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["checkpoint", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out.splitlines()


def parsed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    return json.loads("\n".join(printed(capsys, *arguments, "--json")))


def test_a_list_is_of_a_slot_or_of_all(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    newest, oldest = printed(capsys, "list", file, "desk")
    assert oldest.split()[:2] == ["3", "desk"]
    assert oldest.endswith("1 settled  11 B  good  [v1, night]  before the move")
    assert newest.split()[:2] == ["5", "desk"]
    assert [each["checkpoint"] for each in parsed(capsys, "list", file, "/")["checkpoints"]] == [8, 5, 3]
    assert len(printed(capsys, "list", file, "/", "--last", "1")) == 1
    for words in (("list", file, "desks"), ("search", file, "o", "--path", "desks")):
        assert main(["checkpoint", *words]) == 2
        assert "no slot desks was ever in this tree" in capsys.readouterr().err


def test_a_search_finds_by_what_they_are_called(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    def found(*arguments: str) -> list[int]:
        return [each["checkpoint"] for each in parsed(capsys, "search", file, *arguments)["checkpoints"]]

    assert found("MOVE") == [3]
    assert found("--tag", "v1", "--tag", "night") == [3]
    assert found("--tag", "v1", "--tag", "day") == []
    assert found("--name", "good") == [3]
    assert found("o", "--path", "shop") == [8]
    assert found("--since", "1") == [8, 5, 3]  # these clocks are ahead
    assert printed(capsys, "search", file, "nothing") == ["no checkpoint fits that"]


def test_a_state_is_shown_by_number_by_name_and_as_it_is(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    by_name = printed(capsys, "show", file, "desk", "good")
    assert by_name[0].startswith("desk: checkpoint 3 (good), kept ")
    assert by_name[1:] == [
        "  before the move",
        "  desk:Tally version 1, after 1 settle",
        "  {",
        '    "total": 1',
        "  }",
    ]
    assert printed(capsys, "show", file, "desk", "3") == by_name
    assert printed(capsys, "show", file, "desk", "current")[-2] == '    "total": 5'
    shown = parsed(capsys, "show", file, "desk", "good")
    assert (shown["state"], shown["tags"], shown["pinned"]) == ({"total": 1}, ["v1", "night"], True)
    assert parsed(capsys, "show", file, "desk", "current")["settled"] == 5


def test_a_diff_is_between_two_or_with_the_current_state(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "diff", file, "desk", "good", "5") == ["- /total  1", "+ /total  2"]
    assert printed(capsys, "diff", file, "desk", "good") == ["- /total  1", "+ /total  5"]
    assert printed(capsys, "diff", file, "desk", "5", "5") == ["they are the same"]
    found = parsed(capsys, "diff", file, "desk", "good")
    assert found == {"file": file, "path": "desk", "changes": [{"at": "/total", "before": 1, "after": 5}]}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("show", "desk", "bad"), "desk: there is no checkpoint 'bad'; see treewarden checkpoint list "),
        (("show", "desk", "8"), "desk: there is no checkpoint '8'"),
        (("show", "desk", "9" * 40), "desk: there is no checkpoint"),
        (("diff", "shop", "8"), "shop: the journal holds no state of it"),
    ],
)
def test_what_is_not_there(
    file: str, arguments: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    deed, *rest = arguments
    assert main(["checkpoint", deed, file, *rest]) == 2
    assert complaint in capsys.readouterr().err


async def _named(file: Path, *names: str) -> list[int]:
    async with on_disk(file) as journal:
        for nth, name in enumerate(names, 1):
            kept = evolve(checkpoint(journal.opened.last_row + nth), label=Label(name), pinned=True)
            await journal.commit(Commit(checkpoints=(kept,)))
        return [each.number for each in await journal.checkpoints(DESK, 99)]


def test_going_back_takes_the_words_that_show_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also a name that is a number, as a day is; a number that one of its checkpoints has comes first."""
    file = tmp_path / "tree.db"
    shown = dict.fromkeys(("20261123", "2", "good", "7"), 0)
    trio.run(_named, file, *shown)
    for name in shown:
        shown[name] = parsed(capsys, "show", str(file), "desk", name)["checkpoint"]
    for name, number in shown.items():
        assert main(["roll-back", str(file), "desk", "--to", name]) == 0
        assert f"desk is back at checkpoint {number}, " in capsys.readouterr().out
