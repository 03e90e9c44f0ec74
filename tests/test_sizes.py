"""No file longer than a reader can hold: aim at 100 to 250 lines, look for the split at 400, never over 500."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
FOLDERS: Final = ("agents", "supervisor", "topologies", "tests", "examples", "benchmarks", "tools")
MOST: Final = 500


def too_long(root: Path) -> list[str]:
    lengths = {
        file.relative_to(root).as_posix(): len(file.read_text("utf-8").splitlines())
        for folder in FOLDERS
        for file in sorted((root / folder).rglob("*.py"))
    }
    return [f"{file}: {lines} lines" for file, lines in lengths.items() if lines > MOST]


def test_no_file_is_too_long() -> None:
    assert not too_long(ROOT)


def test_a_long_file_is_noticed(tmp_path: Path) -> None:
    package = tmp_path / "agents" / "core"
    package.mkdir(parents=True)
    (package / "just.py").write_text("x = 1\n" * MOST)
    (package / "over.py").write_text("x = 1\n" * (MOST + 1))
    assert too_long(tmp_path) == ["agents/core/over.py: 501 lines"]
