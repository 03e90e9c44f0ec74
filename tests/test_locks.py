"""The locks name every dependency of pyproject.toml, by version and hash, and no place to get it from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parent.parent
PIN: Final = re.compile(r"^([a-z0-9-]+)(?:\[[a-z0-9,-]+\])?==([^ ;]+)")


def pins(lock: str) -> dict[str, str]:
    """Name -> version. A requirement without a version or without a hash is refused by name."""
    found: dict[str, str] = {}
    for line in lock.replace(" \\\n", " ").splitlines():
        if not line.startswith("#"):
            pin = PIN.match(line)
            assert pin, f"no version: {line}"
            assert "--hash=sha256:" in line, f"no hash: {line.split()[0]}"
            found[pin[1]] = pin[2]
    return found


def read(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.lock").read_text("utf-8")


def named(requirements: list[Any]) -> set[str]:
    """The distributions in a list of requirements; groups that it includes are left to their own list."""
    return {re.split(r"[\[><=~! ]", text)[0] for text in requirements if isinstance(text, str)}


def test_every_direct_dependency_is_locked() -> None:
    file = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    project = file["project"]
    extras = set[str]().union(*map(named, project["optional-dependencies"].values()))
    groups = set[str]().union(*map(named, file["dependency-groups"].values()))
    run = named(project["dependencies"]) | extras
    assert run <= pins(read("run")).keys(), "run `make lock`"
    assert run | groups <= pins(read("dev")).keys(), "run `make lock`"


def test_one_environment_serves_both_locks() -> None:
    assert pins(read("run")).items() <= pins(read("dev")).items()


@pytest.mark.parametrize("name", ["run", "dev"])
def test_a_lock_names_no_index(name: str) -> None:
    assert "://" not in read(name)
    assert "--index" not in read(name)


@pytest.mark.parametrize("line", ["trio>=0.32", "trio==0.35.0", "trio==0.35.0 ; python_version > '3'"])
def test_a_loose_line_is_noticed(line: str) -> None:
    with pytest.raises(AssertionError, match=r"no (version|hash): trio"):
        pins(line)
