"""Every word of `treewarden journal` on files of every schema that was released, before and after a start."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from treewarden.supervisor.journal.reading import JournalFile
from treewarden.topologies.cli import main

from ..journals import DESK, on_disk, settle, state
from ..supervisor.journal.test_stored import STORED, unpacked

FORK_NEEDS_A_START = "start its tree once with this treewarden, then fork it"


@pytest.fixture(params=STORED, ids=lambda file: file.name)
def stored(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture
def file(stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return unpacked(stored, tmp_path)


async def start(file: Path) -> None:
    async with on_disk(file):
        pass


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    capsys.readouterr()
    code = main([str(each) for each in arguments])
    told = capsys.readouterr()
    return code, told.out + told.err


@pytest.mark.parametrize("started", [False, True])
def test_it_is_read_and_copied(started: bool, stored: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if started:
        trio.run(start, file)
    assert said(capsys, "journal", "verify", file)[0] == 0
    assert said(capsys, "journal", "export", file, "-o", "all.jsonl")[0] == 0
    assert said(capsys, "journal", "export", file, "desk", "-o", "desk.jsonl")[0] == 0
    for bundle in ("all", "desk"):
        assert said(capsys, "journal", "import", f"{bundle}.jsonl", f"{bundle}.db")[0] == 0
        assert said(capsys, "journal", "verify", f"{bundle}.db")[0] == 0
    code, text = said(capsys, "journal", "check-code", file)
    assert (code, "No module named 'desk'" in text) == (1, True)
    code, text = said(capsys, "journal", "fork", file, "fork.db")
    if started or stored == STORED[-1]:
        assert code == 0, text
        assert said(capsys, "journal", "verify", "fork.db")[0] == 0
    else:
        assert code == 2
        assert FORK_NEEDS_A_START in text
    for word in ("blobs", "show"):
        assert said(capsys, "journal", word, file)[0] == 0
    for words in (("tree", file), ("why", file, "desk"), ("checkpoint", "search", file)):
        assert said(capsys, *words)[0] == 0, words


@pytest.mark.parametrize(
    "words",
    [
        ("journal", "compact"),
        ("journal", "prune", "--keep-events", 1),
        ("journal", "blobs", "gc"),
        ("roll-back", "desk", "--to", "good"),
    ],
)
def test_it_is_changed_where_it_lies(words: tuple[str, ...], file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = 1 if words[0] == "roll-back" else 2
    code, text = said(capsys, *words[:at], file, *words[at:])
    assert code == 0, text
    assert said(capsys, "journal", "verify", file)[0] == 0
    with JournalFile.open(file) as reading:
        kept = reading.state(DESK)
        assert kept is not None
        assert (kept.body == state(1).body) is (words[0] == "roll-back")

    async def go_on() -> None:
        async with on_disk(file) as journal:
            await journal.commit(settle(3))

    trio.run(go_on)
    assert said(capsys, "journal", "verify", file)[0] == 0
