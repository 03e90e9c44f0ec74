"""What every word that lists something prints with `--json`: one object, which names its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest
import trio

from treewarden.topologies.cli import main

from ..journals import DESK, on_disk, settle

LISTS: Final = {
    "tree": "slots",
    "why": "incidents",
    "label": "incidents",
    "effects": "effects",
    "waits": "waits",
    "dead-letters": "dead_letters",
    "checkpoint list": "checkpoints",
    "checkpoint search": "checkpoints",
    "checkpoint diff": "changes",
    "journal check-code": "unread",
    "journal verify": "rows",
}
MORE: Final = {
    "why": ("/",),
    "checkpoint list": ("/",),
    "checkpoint search": ("x",),
    "checkpoint diff": (DESK, "current"),
}


@pytest.fixture
def file(tmp_path: Path) -> str:
    async def write() -> None:
        async with on_disk(tmp_path / "tree.db") as journal:
            await journal.commit(settle(1))

    trio.run(write)
    return str(tmp_path / "tree.db")


@pytest.mark.parametrize("word", LISTS)
def test_a_list_stands_in_an_object_that_names_its_file(
    word: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    more = [str(each) for each in MORE.get(word, ())]
    main([*word.split(), file, *more, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["file"] == file
    assert isinstance(found[LISTS[word]], (list, dict))
