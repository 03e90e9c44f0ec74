"""docs/chaos.md, as a reader goes through it: every block is saved or run, and what it shows is what comes."""

from __future__ import annotations

import fnmatch
import shlex
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.docs_blocks import blocks_of
from treewarden.topologies.chaos import pytest_plugin
from treewarden.topologies.cli import main

pytest_plugins = "pytester"

DOCUMENT: Final = Path(__file__).parents[3] / "docs" / "chaos.md"


def test_every_block_of_the_tutorial(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("shop", "test_shop"):  # other tests here have a module of that name
        monkeypatch.setitem(sys.modules, name, sys)  # so that whatever is imported is taken back
        del sys.modules[name]
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)  # a failure is told with it, and a reader has none
    monkeypatch.setattr("sys.dont_write_bytecode", True)  # files are written anew within one tick of the file system
    pytester.syspathinsert()
    pytester.plugins.append(pytest_plugin)
    output = ""
    for block in blocks_of(DOCUMENT):
        match block.language:
            case "python":
                (pytester.path / block.name).write_text(block.text, "utf-8")
            case "console":
                program, *arguments = shlex.split(block.text.splitlines()[0].removeprefix("$ "))
                if program == "pytest":
                    output = pytester.runpytest_inprocess("-p", "no:cacheprovider", *arguments).stdout.str()
                else:
                    capsys.readouterr()
                    assert main(arguments) == 0
                    output = capsys.readouterr().out
            case _:
                for line in block.text.splitlines():
                    found = fnmatch.filter(output.splitlines(), line.strip()) or fnmatch.filter(
                        output.splitlines(), f"*{line}*"
                    )
                    assert found, f"{DOCUMENT}:{block.line}: {line!r} is not in\n{output}"
