"""Building the wheel and looking at what an installation changed, for tests/test_wheel.py and tests/network."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
FOLDERS: Final = ("agents", "supervisor", "topologies")
SOURCE: Final = ("benchmarks", "docs", "examples", "requirements", "tests", "tools")


def run(*command: str | Path, cwd: Path, path: str = "", offline: bool = True) -> str:
    """The output of a command that must succeed, away from the checkout and from this process's environment."""
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    if offline:
        environment["PIP_NO_INDEX"] = "1"
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(folder: Path) -> Path:
    """The wheel, built from the source distribution, as a release is; from a copy, so that no older build leaks in."""
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(ROOT / name, folder)
    run(sys.executable, "-m", "build", "--no-isolation", folder, cwd=folder)
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


def build_source(folder: Path) -> tuple[set[str], set[str]]:
    """What a copy of the checkout holds, and what its source distribution holds of that."""
    passed = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.db*", ".*")
    for name in (*FOLDERS, *SOURCE):
        shutil.copytree(ROOT / name, folder / name, ignore=passed)
    for name in (
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "MANIFEST.in",
        "Makefile",
        "README.md",
        "pyproject.toml",
    ):
        shutil.copy(ROOT / name, folder)
    held = set(hashes(folder))
    run(sys.executable, "-m", "build", "--no-isolation", "--sdist", folder, cwd=folder)
    (source,) = (folder / "dist").glob("*.tar.gz")
    with tarfile.open(source) as archive:
        return held, {member.name.partition("/")[2] for member in archive if member.isfile()}


def files_of(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def hashes(folder: Path) -> dict[str, str]:
    """Every file below a folder with its SHA-256, compiled ones left out."""
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def site_packages(python: Path) -> Path:
    return Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=Path("/")).strip())
