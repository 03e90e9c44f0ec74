"""What is read of a file that somebody has written: no more than a file of that kind can have."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
import trio

from treewarden.supervisor.written_file import content_of, lines_of
from treewarden.topologies import open_tree, tree
from treewarden.topologies.cli import main

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
def test_what_is_too_large_is_refused_and_so_is_what_never_ends(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in ("/dev/zero", str(sparse(tmp_path / "large.toml", MOST + 1))):
        assert main([each.format(file) for each in words]) == 2
        assert "it has more than 16 million bytes" in capsys.readouterr().err


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Of a tree that has ended."""

    async def main() -> None:
        async with open_tree(tree(), journal=tmp_path / "tree.db"):
            pass

    trio.run(main)
    return tmp_path / "tree.db"


BESIDE = (
    ("journal", "verify", "{journal}", "--head", "{head}", "--key", "{}"),
    ("journal", "verify", "{journal}", "--head", "{head}", "--public-key", "{}"),
    ("journal", "verify", "{journal}", "--head", "{}"),
    ("journal", "export", "{journal}", "/", "-o", "{head}", "--secrets", "{}"),
    ("label", "{journal}", "--from", "{}"),
)


@pytest.mark.parametrize("words", BESIDE, ids=lambda words: " ".join(words[:2] + words[-2:]))
def test_so_is_what_is_named_beside_a_journal(
    words: tuple[str, ...], journal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"journal": str(journal), "head": str(tmp_path / "head.jsonl")}
    assert main([each.format("/dev/zero", **names) for each in words]) != 0
    told = capsys.readouterr().err
    assert "/dev/zero cannot be read: " in told
    assert "it has more than 16 million bytes" in told


def test_the_lines_of_a_file_may_be_many_and_those_of_a_pipe_are_read(tmp_path: Path) -> None:
    file, pipe = tmp_path / "lines", tmp_path / "pipe"
    file.write_text("a line\n" * (MOST // 7 + 1))
    assert sum(1 for _ in lines_of(file)) == MOST // 7 + 1
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"one\ntwo",))
    writer.start()
    assert list(lines_of(pipe)) == ["one\n", "two"]
    writer.join()
    with pytest.raises(OSError, match="more than 16 million bytes"):
        next(lines_of("/dev/zero"))


def test_a_file_that_is_included_is_no_larger_either(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "desk.toml").write_text("children = [{ id = 'a', file = '/dev/zero' }]")
    assert main(["check", str(tmp_path / "desk.toml")]) == 2
    assert "desk.children[0].file: '/dev/zero' cannot be read: it has more than 16" in capsys.readouterr().err


def test_what_a_shell_hands_over_by_a_pipe_is_read(tmp_path: Path) -> None:
    """As by `treewarden check <(sed ... desk.toml)`."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"children = []",))
    writer.start()
    assert content_of(pipe) == b"children = []"
    writer.join()


def test_the_largest_that_is_read(tmp_path: Path) -> None:
    assert len(content_of(sparse(tmp_path / "large", MOST))) == MOST
    with pytest.raises(IsADirectoryError):
        content_of(tmp_path)
