"""`treewarden journal move`: what it says, and that all other words find what was moved."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
import trio
from attrs import evolve

from treewarden.supervisor.core.event import CheckpointKept, ChildStarted, DeadLettered, IncidentClosed, IncidentOpened
from treewarden.supervisor.journal.port import Commit
from treewarden.topologies.cli import main

from ..journals import DESK, WALL, checkpoint, dead, message, on_disk, settle, timer

TILL = DESK / "till"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of a desk and its till, and of their past."""
    monkeypatch.chdir(tmp_path)
    trio.run(_made)
    return "desk.db"


async def _made() -> None:
    async with on_disk(Path("desk.db")) as journal:
        for number in range(1, 4):
            kept = (checkpoint(number, "good" if number == 1 else ""),)
            told = CheckpointKept(path=DESK, name="good", checkpoint=3)
            await journal.commit(evolve(settle(number, events=[told]), checkpoints=kept))
        facts = (
            IncidentOpened(path=DESK, incident="1.1", kind="crash", text="it raised"),
            IncidentClosed(path=DESK, incident="1.1", outcome="fixed", after=2.0),
            DeadLettered(path=DESK, message="t-9", kind="desk:Add", reason="poison"),
            ChildStarted(path=TILL, incarnation=1),
        )
        await journal.commit(
            Commit(
                states=(evolve(settle(1, TILL).states[0]),),
                accepted=(message(50),),
                dead=(evolve(dead(9), row=None),),
                timers=(timer("tick", WALL),),
                events=tuple((WALL, each) for each in facts),
                last_row=50,
            )
        )


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main(words) == code, words
    printed = capsys.readouterr()
    return printed.out if code == 0 else printed.err


def test_it_says_what_it_has_moved(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "journal", "move", file, "desk", "front/desk")
    assert text == (
        "desk.db: desk is front/desk from now on: 2 states, 3 checkpoints, 1 message, 1 dead letter, 1 timer\n"
    )
    again = said(capsys, "journal", "move", file, "desk", "front/desk", code=2)
    assert "nothing is stored at desk or below it: event 8 moved desk to front/desk; `treewarden tree" in again
    back = json.loads(said(capsys, "journal", "move", file, "front/desk", "desk", "--json"))
    assert back.pop("by")
    assert back == {
        "file": file, "dry_run": False, "old": "front/desk", "new": "desk",
        "states": 2, "checkpoints": 3, "messages": 1, "dead_letters": 1, "timers": 1,
    }  # fmt: skip


def test_a_dry_run_says_what_would_go(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "journal", "move", file, "desk", "front/desk", "--dry-run") == (
        "desk.db: desk would be front/desk from then on: 2 states, 3 checkpoints, 1 message, 1 dead letter, 1 timer\n"
    )
    told = json.loads(said(capsys, "journal", "move", file, "desk", "front/desk", "--dry-run", "--json"))
    assert (told["dry_run"], told["states"]) == (True, 2)
    assert "did you mean desk?" in said(capsys, "journal", "move", file, "dask", "front", "--dry-run", code=2)


@pytest.mark.parametrize(
    ("words", "code", "match"),
    [
        (["desk", "desk/till"], 2, "one lies within the other"),
        (["desk", "no path!"], 2, "cannot name a slot"),
        (["dask", "front"], 2, "did you mean desk?"),
    ],
)
def test_what_it_refuses(
    words: Sequence[str], code: int, match: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert match in said(capsys, "journal", "move", file, *words, code=code)


def test_a_file_that_is_none_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no journal" in said(capsys, "journal", "move", str(tmp_path / "no.db"), "a", "b", code=2)
    assert not list(tmp_path.iterdir())


async def test_whoever_has_the_file_has_to_end_first(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with on_disk(Path(file)):
        assert "is owned by process" in said(capsys, "journal", "move", file, "desk", "front", code=3)


def test_the_other_words_find_it(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "journal", "move", file, "desk", "front/desk")
    assert "is sound" in said(capsys, "journal", "verify", file)
    for place in ("front/desk", "desk"):
        text = said(capsys, "journal", "show", file, "--path", place)
        assert f"moved {'from desk' if place == 'front/desk' else 'to front/desk'}, by " in text
        line = "(event 8 moved desk to front/desk: what was told before stands at desk, as in `treewarden why"
        why = said(capsys, "why", file, place)
        assert line in why
        assert ("no incidents" in why) is (place == "front/desk")
    (told,) = json.loads(said(capsys, "why", file, "front/desk/till", "--json"))["moved"]
    assert told == {"seq": 8, "old": "desk", "new": "front/desk"}
    slots = json.loads(said(capsys, "tree", file, "--json"))["slots"]
    (desk,) = [each for each in slots if each["path"] == "front/desk"]
    assert (desk["settled"], desk["dead"], desk["mailbox"]) == (3, 1, 1)
    assert not [each for each in slots if each["path"] == "desk"]
    kept = json.loads(said(capsys, "checkpoint", "list", file, "front/desk", "--json"))["checkpoints"]
    assert [(each["path"], each["settled"], each["name"]) for each in kept][-1] == ("front/desk", 1, "good")
    assert said(capsys, "checkpoint", "list", file, "front/desk/till").strip()
    assert "/total  1" in said(capsys, "checkpoint", "diff", file, "front/desk", "good")
    said(capsys, "roll-back", file, "front/desk", "--to", "good")
    assert json.loads(said(capsys, "checkpoint", "show", file, "front/desk", "current", "--json"))["state"] == {
        "total": 1
    }
    (letter,) = json.loads(said(capsys, "dead-letters", file, "front", "--json"))["dead_letters"]
    assert letter["path"] == "front/desk"
    said(capsys, "journal", "export", file, "-o", "all.jsonl")
    said(capsys, "journal", "import", "all.jsonl", "copy.db")
    assert "is sound" in said(capsys, "journal", "verify", "copy.db")
    assert [each["path"] for each in json.loads(said(capsys, "tree", "copy.db", "--json"))["slots"]][
        -1
    ] == "front/desk/till"
    with closing(sqlite3.connect("copy.db")) as copy:
        assert {path for (path,) in copy.execute("SELECT path FROM states")} == {"front/desk", "front/desk/till"}
