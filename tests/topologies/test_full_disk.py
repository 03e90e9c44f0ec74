"""Copies of a journal on a disk that has no room for them: one sentence, and nothing is left lying there."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from treewarden.supervisor.journal.port import Commit
from treewarden.topologies.cli import main

from ..journals import WALL, fact, on_disk
from ..limits import no_file_grows_beyond


@pytest.fixture
def file(tmp_path: Path) -> str:
    async def write() -> None:
        async with on_disk(tmp_path / "tree.db") as journal:
            await journal.commit(Commit(events=tuple((WALL, fact(number)) for number in range(500))))

    trio.run(write)
    assert main(["journal", "export", str(tmp_path / "tree.db"), "-o", str(tmp_path / "tree.jsonl")]) == 0
    return str(tmp_path / "tree.db")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("fork {} {}.new", ".db.new cannot be made from "),
        ("export {} -o {}.new", ".db.new cannot be written: File too large; nothing is left of it"),
        ("import {}l {}.new", ".db.new cannot be made: disk I/O error; nothing was imported"),
    ],
)
def test_nothing_is_left_of_it(words: str, said: str, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = [word.replace("{}l", file.replace(".db", ".jsonl")).replace("{}", file) for word in words.split()]
    capsys.readouterr()
    with no_file_grows_beyond(50_000):
        assert main(["journal", *given]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert sorted(each.name for each in Path(file).parent.iterdir()) == ["tree.db", "tree.jsonl"]
    assert main(["journal", *given]) == 0
