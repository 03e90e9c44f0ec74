"""A folder in which there is a journal, and its bundle, to be copied."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .copies import write_originals


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copies")
    write_originals(folder)
    return folder


@pytest.fixture
def originals_here(originals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the current folder, for this test alone."""
    for each in originals.iterdir():
        shutil.copy(each, tmp_path)
    monkeypatch.chdir(tmp_path)
