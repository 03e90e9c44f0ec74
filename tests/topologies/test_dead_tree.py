"""What can be done to the file of a process that was killed: the next one still learns that it died."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio

from treewarden.agents.core.label import Label
from treewarden.supervisor.at_rest import roll_back_at_rest
from treewarden.supervisor.core.event import RolledBack
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.journal.port import Commit, KeepRow
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.topologies.cli import main

from ..journals import DESK, WALL, WallClock, checkpoint, message, on_disk, settle, state
from .cli_desk import begin, desk


@pytest.fixture(scope="module")
def dead(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tree whose process was killed; one state of its agent is kept as `good`."""
    folder = tmp_path_factory.mktemp("dead")
    desk(folder, '{ id = "steady", agent = "cli_agents:Steady" }')
    with begin("run", "desk.toml", "--json", cwd=folder) as process:
        process.event("Recorded")
        assert main(["checkpoint", "keep", str(folder / "desk.db"), "steady", "--name", "good"]) == 0
        process.event("CommandAnswered")
        for _ in range(3):
            process.event("Recorded")
        process.signal(signal.SIGKILL)
        process.end()
    return folder


@pytest.fixture
def file(dead: Path, tmp_path: Path) -> str:
    copy = shutil.copytree(dead, tmp_path / "copy")
    assert died(str(copy / "desk.db"))
    return str(copy / "desk.db")


def died(file: str) -> bool:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT released FROM owner").fetchall() == [(0,)]


@pytest.mark.parametrize(
    "words",
    ["journal compact", "journal blobs {} gc", "journal prune {} --keep-events 3", "roll-back {} steady --to good"],
)
async def test_the_next_owner_learns_that_the_one_before_the_visit_died(words: str, file: str) -> None:
    given = [word.format(file) for word in (words if "{}" in words else words + " {}").split()]
    for _ in range(2):  # a visitor after a visitor, too
        assert await trio.to_thread.run_sync(main, given) == 0
        assert died(file)
    assert await trio.to_thread.run_sync(main, ["journal", "verify", file]) == 0
    async with on_disk(Path(file)) as journal:
        assert journal.opened.after_crash
        assert journal.opened.epoch == 4
    async with on_disk(Path(file)) as journal:
        assert not journal.opened.after_crash


def test_the_next_process_begins_with_the_state_that_was_gone_back_to(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with JournalFile.open(file) as journal:
        (good,) = [each for each in journal.checkpoints(DESK.parse("steady"), 99) if each.name == "good"]
    n = shown(capsys, file, "good")
    left = shown(capsys, file, "current")
    assert n < left
    assert main(["roll-back", file, "steady", "--to", "good"]) == 0
    assert capsys.readouterr().out == f"applied: steady is back at checkpoint {good.number}, from the next start on\n"
    assert shown(capsys, file, "current") == n
    assert shown(capsys, file, "before rolling back") == left
    with begin("run", "desk.toml", "--json", cwd=Path(file).parent) as process:
        assert process.event("TreeOpened")["data"]["after_crash"] is True
        assert process.event("Recorded")["data"]["facts"] == {"n": n + 1}
        process.signal(signal.SIGINT)
        assert process.end() == 0
    assert main(["journal", "verify", file]) == 0


def shown(capsys: pytest.CaptureFixture[str], file: str, which: str) -> int:
    assert main(["checkpoint", "show", file, "steady", which, "--json"]) == 0
    return json.loads(capsys.readouterr().out)["state"]["n"]


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        ("--to better", 1, "refused: steady: there is no checkpoint 'better' of it\n"),
        ("--to 99999", 1, "refused: steady: there is no checkpoint 99999 of it\n"),
        ("--declared", 2, "which has died): start it first"),
        ("--to good --id mine", 2, "which has died): start it first"),
    ],
)
def test_where_nobody_can_go_back(
    words: str, code: int, complaint: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """1, as where a tree that runs refuses it; 2 where a tree has to run."""
    assert main(["roll-back", file, "steady", *words.split()]) == code
    printed = capsys.readouterr()
    assert complaint in (printed.out if code == 1 else printed.err)
    assert died(file)


def test_no_journal_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["roll-back", str(tmp_path / "none.db"), "steady", "--to", "good"]) == 2
    assert "there is no journal" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


async def test_what_is_left_is_kept_and_what_waits_stays() -> None:
    clock = WallClock()
    async with MemoryJournal() as journal:
        for number in range(1, 4):
            await journal.commit(settle(number))
        await journal.commit(Commit(keeps=(KeepRow(DESK, 20, WALL, Label("good"), pinned=True),)))
        await journal.commit(settle(4))
        await journal.commit(Commit(accepted=(message(50),)))
        back = await roll_back_at_rest(journal, clock, DESK, "good", "ada")
        held = await journal.recover(DESK)
        assert held.state is not None
        assert (held.state.body, held.state.settled) == (state(3).body, 4)
        assert held.messages == (message(50),)
        (record,) = await journal.read()
        assert isinstance(record.event, RolledBack)
        told = record.event.diagnosis
        assert told is not None
        assert (told.by, told.to, told.name, told.undone) == ("ada", back.number, "good", 1)


async def test_a_slot_that_has_no_state_any_more_gets_one() -> None:
    async with MemoryJournal() as journal:
        await journal.commit(Commit(checkpoints=(checkpoint(2, "good"),)))
        await roll_back_at_rest(journal, WallClock(), DESK, 5, "ada")
        held = await journal.recover(DESK)
        assert held.state == state(2)
