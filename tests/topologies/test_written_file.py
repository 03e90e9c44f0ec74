"""What is read of a file that somebody has written: no more than a file of that kind can have."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from treewarden.topologies.cli import main
from treewarden.topologies.written_file import content_of

MOST = 16_000_000


def sparse(file: Path, size: int) -> Path:
    with file.open("wb") as opened:
        opened.truncate(size)
    return file


WORDS = (
    ("check", "{}"),
    ("policy", "check", "{}"),
    ("recovery", "--worlds", "{}"),
)


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_a_device_and_what_is_too_large_are_refused(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file, why in (
        (os.devnull, "it is no regular file"),
        (str(sparse(tmp_path / "large.toml", MOST + 1)), "it has more than 16 million bytes"),
    ):
        assert main([each.format(file) for each in words]) == 2
        assert why in capsys.readouterr().err


def test_a_file_that_is_included_is_no_device_either(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "desk.toml").write_text(f"children = [{{ id = 'a', file = {json.dumps(os.devnull)} }}]")
    assert main(["check", str(tmp_path / "desk.toml")]) == 2
    assert "desk.children[0].file: '/dev/null' cannot be read: it is no regular file" in capsys.readouterr().err


def test_the_largest_that_is_read(tmp_path: Path) -> None:
    assert len(content_of(sparse(tmp_path / "large", MOST))) == MOST
    with pytest.raises(IsADirectoryError):
        content_of(tmp_path)
