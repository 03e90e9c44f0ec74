"""Every code block of the README and of docs/ is run as its reader would run it, and prints what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from .docs_blocks import Block, blocks_of

ROOT: Final = Path(__file__).parent.parent
DOCUMENTS: Final = sorted(
    document.relative_to(ROOT).as_posix() for document in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
)
IN_FULL: Final = "docs/chaos.md"
"""It runs hundreds of seeds, and tests/topologies/chaos/test_tutorial.py compares each line that they print."""
RUNNABLE: Final = {"python", "toml", "console", "sh", "text", "json", "jsonl"}


def run(command: str, folder: Path) -> str:
    """Run a line of a console block in `folder`, with this environment's commands first on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PATH": path, "NO_COLOR": "1", "COLUMNS": "100"},
    )
    return done.stdout + done.stderr


def matches(expected: str, printed: str) -> bool:
    """Whether `printed` is `expected`, where `...` stands for anything, also for lines."""
    pattern = ".*".join(re.escape(part) for part in expected.strip().split("..."))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


def sessions(block: Block) -> list[tuple[str, str]]:
    """The commands of a console block, each with the output that stands below it."""
    found: list[tuple[str, str]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], ""))
        elif found:
            command, output = found[-1]
            found[-1] = (command, f"{output}{line}\n")
    return found


@pytest.mark.parametrize("document", [each for each in DOCUMENTS if each != IN_FULL])
def test_every_block_runs(document: str, tmp_path: Path) -> None:
    for block in blocks_of(ROOT / document):
        where = f"{document}:{block.line}"
        assert block.language in RUNNABLE, f"{where}: nobody runs a block of {block.language!r}"
        if block.name:
            (tmp_path / block.name).write_text(block.text, "utf-8")
        if block.language == "console":
            for command, expected in sessions(block):
                printed = run(command, tmp_path)
                assert matches(expected, printed), f"{where}: {command}\nprinted\n{printed}\nand not\n{expected}"
        elif block.language in ("python", "toml"):
            assert block.name, f"{where}: a block that nobody saves is never run; name its file"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_is_used(document: str, tmp_path: Path) -> None:
    """A Python block that no command mentions is run on its own; one that fails is wrong."""
    blocks = blocks_of(ROOT / document)
    commands = " ".join(block.text for block in blocks if block.language in ("console", "toml"))
    for block in blocks:
        if block.language == "python":
            (tmp_path / block.name).write_text(block.text, "utf-8")
            if block.name not in commands:
                assert run(f"python {block.name} && echo done", tmp_path).strip().endswith("done"), block.name


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_word_of_make_exists(document: str) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for block in blocks_of(ROOT / document):
        if block.language == "sh":
            for word in re.findall(r"^make ([a-z-]+)", block.text, re.MULTILINE):
                assert re.search(rf"^{word}:", makefile, re.MULTILINE), f"{document}:{block.line}: make {word}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_somewhere(document: str) -> None:
    content = (ROOT / document).read_text("utf-8")
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", content):
        if "://" not in target:
            assert ((ROOT / document).parent / target).exists(), f"{document}: {target} does not exist"


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [("5", "5\n", True), ("5", "6", False), ("a...z", "a\nb\nz", True), ("a...z", "b\nz", False), ("", "x", False)],
)
def test_a_difference_is_noticed(expected: str, printed: str, same: bool) -> None:
    assert matches(expected, printed) is same
