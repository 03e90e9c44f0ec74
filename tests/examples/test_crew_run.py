"""The crew as it is run: articles ordered by the command, a process that is killed, a topic that leads nowhere."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

CREW = Path(__file__).parents[2] / "examples" / "crew"
COMMAND = (sys.executable, "-c", "import sys; from treewarden.topologies.cli import main; sys.exit(main())")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(CREW, tmp_path / "crew", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "crew"


@pytest.fixture
def begin(folder: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    begun: list[subprocess.Popen[str]] = []

    def run() -> subprocess.Popen[str]:
        line = [*COMMAND, "run", "crew.toml", "--json"]
        begun.append(subprocess.Popen(line, cwd=folder, stdout=subprocess.PIPE, text=True))
        out = begun[-1].stdout
        assert out is not None
        assert out.readline(), "the tree is open"
        return begun[-1]

    yield run
    for process in begun:
        process.kill()
        assert process.stdout is not None
        process.stdout.close()
        process.wait(timeout=30)


def treewarden(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [*COMMAND, *words], cwd=folder, capture_output=True, text=True, timeout=60, env={**os.environ, "NO_COLOR": "1"}
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


def order(folder: Path, topic: str, *parts: str) -> None:
    article = json.dumps({"topic": topic, "parts": parts})
    assert treewarden(folder, "send", "crew.db", "crew/editor", "Article", article) == (
        "applied: crew/editor was told Article\n"
    )


def published(folder: Path, count: int) -> list[str]:
    """The articles, once there are so many."""
    shelf, end = folder / "articles.txt", time.monotonic() + 60
    while len(lines := shelf.read_text().splitlines() if shelf.exists() else []) < count:
        assert time.monotonic() < end, lines
        time.sleep(0.01)
    return sorted(line.partition(" ")[2] for line in lines)


def test_no_part_is_lost_and_no_article_published_twice(
    folder: Path, begin: Callable[[], subprocess.Popen[str]]
) -> None:
    first = begin()
    order(folder, "tea", "history", "taste")
    order(folder, "tea", "history", "taste")
    published(folder, 1)
    order(folder, "salt", "history", "price")
    order(folder, "rum", *(f"chapter {number}" for number in range(40)))
    first.send_signal(signal.SIGKILL)
    assert first.wait(timeout=30) == -signal.SIGKILL

    begin()
    rum, salt, tea = published(folder, 3)
    assert rum.startswith("'chapter 0: all about the chapter 0 of rum\\nchapter 1: ")
    assert salt == r"'history: all about the history of salt\nprice: all about the price of salt'"
    assert tea == r"'history: all about the history of tea\ntaste: all about the taste of tea'"

    order(folder, "recursion", "history")
    end = time.monotonic() + 60
    while "no message was given up" in (lost := treewarden(folder, "dead-letters", "crew.db")):
        assert time.monotonic() < end
    assert "crew/writers  Part " in lost
    assert "its handler failed 9 times" in lost  # the last time perhaps over an answer that was none, as one in six is
    ends = treewarden(folder, "journal", "show", "crew.db", "--kind", "ChildEnded", "--json")
    assert "goes round in circles: search, 3 times with the same arguments and results" in ends
    treewarden(folder, "stop", "crew.db")
    assert len(published(folder, 3)) == 3
    assert "sound" in treewarden(folder, "journal", "verify", "crew.db")


def test_the_test_that_comes_with_it(folder: Path) -> None:
    line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_crew.py", "--chaos-seeds", "5"]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    assert "chaos: test_crew.py::test_crew: 0 of 5, " in done.stdout
