"""Every bad file in `bad_toml` is refused whole, with exactly the message beside it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import pytest

from treewarden.agents.errors import ConfigurationError
from treewarden.topologies.errors import BlueprintError
from treewarden.topologies.toml import load, loads

FOLDER: Final = Path(__file__).parent / "bad_toml"
GOOD: Final[frozenset[str]] = frozenset({"broken_inline"} if sys.version_info >= (3, 15) else ())
"""What TOML 1.1 allows, which this Python reads."""
FILES: Final = sorted(file for file in FOLDER.glob("*.toml") if file.stem not in GOOD)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_is_refused_with_the_message_beside_it(file: Path) -> None:
    path = list(sys.path)
    with pytest.raises(BlueprintError) as refused:
        load(file)
    assert str(refused.value) == file.with_suffix(".txt").read_text("utf-8").rstrip("\n")
    assert sys.path == path


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_names_place_value_and_remedy(file: Path) -> None:
    with pytest.raises(BlueprintError) as refused:
        load(file)
    names = (file.stem, *(part.relative_to(FOLDER).with_suffix("").as_posix() for part in FOLDER.glob("parts/*.toml")))
    for problem in refused.value.problems:
        assert problem.path.startswith(names)
        assert problem.value
        assert problem.fault
        assert problem.remedy
    assert len(set(refused.value.problems)) == len(refused.value.problems)


def test_the_error_is_one_of_configuration() -> None:
    with pytest.raises(ConfigurationError, match=r"equal_ids\.toml is refused, 2 problems"):
        load(FOLDER / "equal_ids.toml")


def test_no_message_is_left_over() -> None:
    assert [file.stem for file in sorted(FOLDER.glob("*.txt"))] == sorted([*GOOD, *(file.stem for file in FILES)])


def test_a_number_of_thousands_of_digits_is_refused_too() -> None:
    """Python itself does not read it."""
    with pytest.raises(BlueprintError, match=r"tree: a whole number cannot be read: Exceeds the limit .*smaller one"):
        loads(f"restarts = {{ within = 1{'0' * 5000} }}")
