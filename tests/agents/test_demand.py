"""Names on demand, in programs of their own: what is imported first decides what stands under a name."""

from __future__ import annotations

import subprocess
import sys

import pytest


def _prints(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("first", ["", "import treewarden.topologies.tree, treewarden.topologies.child"])
def test_a_function_with_the_name_of_its_module_is_what_the_package_has(first: str) -> None:
    program = f"{first}\nfrom treewarden import topologies\nprint(topologies.tree.__name__, callable(topologies.child))"
    assert _prints(program) == "tree True"


def test_the_module_is_found_by_its_full_name() -> None:
    assert (
        _prints("from treewarden.topologies.tree import tree; print(tree.__module__)") == "treewarden.topologies.tree"
    )


def test_a_name_that_nobody_exports_is_an_attribute_error() -> None:
    program = "import treewarden.agents\ntry: treewarden.agents.nothing\nexcept AttributeError as error: print(error)"
    assert _prints(program) == "module 'treewarden.agents' has no attribute 'nothing'"


def test_the_command_imports_what_its_word_needs() -> None:
    program = (
        "import sys; from treewarden.topologies.cli import main; main(['--version'])\n"
        "print(sorted({'trio', 'sqlite3', 'cattrs', 'asyncio', 'email'} & set(sys.modules)))"
    )
    assert _prints(program).splitlines()[1] == "[]"
