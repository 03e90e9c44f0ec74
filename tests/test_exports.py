"""An `__init__.py` is a list of names: what it imports, at once or on demand, is what it exports; it holds no code."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
PACKAGES: Final = sorted(
    file.parent.relative_to(ROOT).as_posix()
    for folder in ("agents", "supervisor", "topologies")
    for file in (ROOT / folder).rglob("__init__.py")
)


def order(name: str) -> tuple[int, str]:
    """Constants, classes, functions, each by the alphabet: the order that ruff's RUF022 gives `__all__`."""
    return (0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2, name)


def faults(source: str) -> list[str]:
    """What makes an `__init__.py` more, or less, than a list of names."""
    found: list[str] = []
    imported: list[str] = []
    exported: list[str] = []
    declared: set[tuple[str, str]] = set()
    demanded: set[tuple[str, str]] = set()
    for position, node in enumerate(ast.parse(source).body):
        match node:
            case ast.Expr(value=ast.Constant(value=str())) if position == 0:
                pass
            case ast.ImportFrom(module="__future__" | "typing"):
                pass
            case ast.ImportFrom(module="treewarden.agents.demand" | "demand", names=[ast.alias(name="on_demand")]):
                pass
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), body=body):
                for each in body:
                    assert isinstance(each, ast.ImportFrom)
                    declared |= {(each.module or "", alias.name) for alias in each.names}
            case ast.Assign(
                targets=[ast.Name(id="__getattr__")],
                value=ast.Call(func=ast.Name(id="on_demand"), keywords=words),
            ):
                for word in words:
                    home, names = (word.arg or "").replace("__", "."), str(ast.literal_eval(word.value))
                    demanded |= {(home, name) for name in names.split()}
            case ast.ImportFrom():
                imported += (alias.asname or alias.name for alias in node.names)
            case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List() | ast.Tuple()):
                exported += ast.literal_eval(node.value)
            case _:
                found.append(f"line {node.lineno} is code: {ast.unparse(node).splitlines()[0]}")
    imported += (name for _, name in demanded)
    if declared != demanded:
        found.append(f"declared for type checkers and on demand differ in {sorted(declared ^ demanded)}")
    if exported != sorted(set(exported), key=order):
        found.append(f"__all__ is not in order: {sorted(set(exported), key=order)}")
    if set(imported) != set(exported):
        found.append(f"imported and exported differ in {sorted(set(imported) ^ set(exported))}")
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_a_list_of_names(package: str) -> None:
    assert not faults((ROOT / package / "__init__.py").read_text("utf-8"))


@pytest.mark.parametrize("package", ["agents", "supervisor", "topologies", "topologies.chaos"])
def test_every_name_stands_on_some_page(package: str) -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    words = {word for page in pages for word in re.findall(r"\w+", page.read_text("utf-8"))}
    assert [name for name in importlib.import_module(f"treewarden.{package}").__all__ if name not in words] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_can_be_imported(package: str) -> None:
    module = importlib.import_module(f"treewarden.{package.replace('/', '.')}")
    assert [name for name in getattr(module, "__all__", ()) if not hasattr(module, name)] == []


def test_a_name_that_nobody_has_used_yet_is_completed_and_proposed() -> None:
    program = (
        "import treewarden.agents as a, treewarden.supervisor as s, treewarden.topologies as t\n"
        "assert not [name for each in (a, s, t) for name in each.__all__ if name not in dir(each)]\n"
        "assert 'Agent' not in vars(a), 'looking costs nothing'\n"
        "t.open_tre"
    )
    asked = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd="/")
    said = asked.stderr.splitlines()[-1]  # 3.15 proposes '.open_tree' instead of '.open_tre'
    assert "has no attribute 'open_tre'. Did you mean" in said
    assert "open_tree'" in said


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("from .ref import Ref\n__all__ = ['Ref']\nREFS = {}", "line 3 is code"),
        ("def start(): ...", "line 1 is code"),
        ("import trio", "line 1 is code"),
        ("from .ref import Ref, ask\n__all__ = ['ask', 'Ref']", "not in order"),
        ("from .ref import Ref\n__all__ = ['Ref', 'Ref']", "not in order"),
        ("from .ref import Ref", "differ in ['Ref']"),
        ("__all__ = ['Ref']", "differ in ['Ref']"),
        ("__all__ = ['Ref']\n__getattr__ = on_demand(__name__, ref='Ref')", "differ in [('ref', 'Ref')]"),
    ],
)
def test_a_fault_is_noticed(source: str, fault: str) -> None:
    (found,) = faults(source)
    assert fault in found


def test_a_list_of_names_is_none() -> None:
    assert not faults('"""One actor."""\n\nfrom .spec import LIMIT, Ref, ask\n\n__all__ = ["LIMIT", "Ref", "ask"]')


def test_importing_loads_the_core_dependencies_only() -> None:
    """The extras are imported where they are used, so that an installation without them works and starts quickly."""
    program = (
        "import sys; before = set(sys.modules)\n"
        "import treewarden.agents, treewarden.supervisor, treewarden.topologies\n"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd="/")
    core = {"attr", "attrs", "cattr", "cattrs", "trio", "trio_util"}
    below = {"idna", "outcome", "sniffio", "sortedcontainers", "typing_extensions"}  # what those bring themselves
    standard = sys.stdlib_module_names | {"__mp_main__"}
    assert set(loaded.stdout.split()) - standard - core - below == {"treewarden"}
