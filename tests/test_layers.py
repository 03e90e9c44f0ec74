"""The direction of every import: `topologies -> supervisor -> agents`, and in each a `core` that knows no outside.

An `ast` walk over the sources, so that an import inside a function or under `TYPE_CHECKING` counts as well. Below the
rules stand small sources that break each of them and some that do not.
"""

from __future__ import annotations

import ast
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest
from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

ROOT = Path(__file__).parent.parent
LAYERS = ("agents", "supervisor", "topologies")  # from the lowest to the highest
OUTSIDE = ("tests", "examples", "benchmarks")

# Standard modules that a pure function has no use for: clocks, chance, threads, files, sockets, other processes, logs.
NOT_IN_CORE = frozenset({
    "asyncio", "concurrent", "contextvars", "ctypes", "fcntl", "glob", "http", "importlib", "io", "logging", "mmap",
    "multiprocessing", "os", "pathlib", "pickle", "platform", "queue", "random", "resource", "sched", "secrets",
    "select", "selectors", "shelve", "shutil", "signal", "smtplib", "socket", "socketserver", "sqlite3", "ssl",
    "subprocess", "sys", "tempfile", "termios", "threading", "time", "urllib", "uuid", "warnings",
})  # fmt: skip
CLOCKS = {"datetime": {"now", "utcnow", "today"}, "date": {"today"}}

# Surfaces at the edge: nothing but the command, tests, examples and other leaves may depend on them.
LEAVES = (
    "treewarden.agents.llm",
    "treewarden.agents.workflow",
    "treewarden.agents.testing",
    "treewarden.supervisor.ops",
    "treewarden.supervisor.testing",
    "treewarden.topologies.chaos",
    "treewarden.topologies.commands",
    "treewarden.topologies.readiness",
    "treewarden.topologies.recovery",
)
ENTRY_POINTS = ("treewarden.topologies.cli", "treewarden.topologies.chaos.pytest_plugin")
IMPLEMENTATIONS = ("treewarden.supervisor.journal.sqlite", "treewarden.supervisor.journal.memory")


@frozen
class Import:
    target: str  # the module, or the package when the name imported is not a module of it
    line: int
    relative: bool
    for_types_only: bool


@frozen
class Module:
    name: str  # as installed: treewarden.agents.core.path; tests and examples after their path
    file: str
    imports: tuple[Import, ...]
    touched: tuple[tuple[int, str], ...]  # of the outside, without an import: the line, and what it does there

    @property
    def layer(self) -> int | None:
        return layer(self.name)

    def at(self, line: int, what: str) -> str:
        return f"{self.file}:{line}: {what}"


Modules: TypeAlias = "Mapping[str, Module]"
Rule: TypeAlias = "Callable[[Modules], Iterator[str]]"


def layer(name: str) -> int | None:
    for position, folder in enumerate(LAYERS):
        if inside(name, f"treewarden.{folder}"):
            return position
    return None


def inside(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def in_core(name: str) -> bool:
    return layer(name) is not None and name.split(".")[2:3] == ["core"]


def module_name(file: str) -> str:
    parts = file.removesuffix(".py").split("/")
    if parts[0] in LAYERS:
        parts.insert(0, "treewarden")
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def load(sources: Mapping[str, str]) -> Modules:
    """The modules of a tree given as path -> source, by name."""
    names = {module_name(file) for file in sources}
    modules: dict[str, Module] = {}
    for file, source in sources.items():
        name = module_name(file)
        tree = ast.parse(source, file)
        package = name.split(".") if file.endswith("__init__.py") else name.split(".")[:-1]
        nodes = list(ast.walk(tree))
        typing_only = {
            id(inner)
            for node in nodes
            if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
            for statement in node.body
            for inner in ast.walk(statement)
        }
        imports: list[Import] = []
        for node in nodes:
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
                level = 0
            elif isinstance(node, ast.ImportFrom):
                level = node.level
                above = package[: len(package) - level + 1] if level else []
                base = ".".join([*above, *([node.module] if node.module else [])])
                found = (f"{base}.{alias.name}" for alias in node.names)
                targets = sorted({name if name in names else base for name in found})
            else:
                continue
            imports += (Import(target, node.lineno, level > 0, id(node) in typing_only) for target in targets)
        # Its tree is not kept: a thousand of them are more than the collector can pass over in a second.
        modules[name] = Module(name, file, tuple(imports), tuple(touching(nodes)))
    return modules


def touching(nodes: Iterable[ast.AST]) -> Iterator[tuple[int, str]]:
    for node in nodes:
        match node:
            case ast.Attribute(value=ast.Name(id=owner) | ast.Attribute(attr=owner), attr=attribute) if (
                attribute in CLOCKS.get(owner, ())
            ):
                yield node.lineno, f"{owner}.{attribute} reads a clock: take the time as an argument"
            case ast.Call(func=ast.Name(id="open" | "print" | "input" as name)):
                yield node.lineno, f"{name}() touches the outside"
            case _:
                pass


@cache
def the_tree() -> Modules:
    folders = [ROOT / folder for folder in (*LAYERS, *OUTSIDE)]
    files = sorted(file for folder in folders for file in folder.rglob("*.py"))
    return load({file.relative_to(ROOT).as_posix(): file.read_text("utf-8") for file in files})


def never_up(modules: Modules) -> Iterator[str]:
    for module in modules.values():
        for use in module.imports:
            above = layer(use.target)
            if module.layer is not None and above is not None and above > module.layer:
                yield module.at(use.line, f"{LAYERS[module.layer]} must not know {use.target}, a layer above it")


def own_names_only(modules: Modules) -> Iterator[str]:
    """Relative inside a folder, `treewarden.*` across; the bare folder names nowhere."""
    for module in modules.values():
        own = None if module.layer is None else f"treewarden.{LAYERS[module.layer]}"
        for use in module.imports:
            if use.target.split(".")[0] in LAYERS:
                yield module.at(use.line, f"import treewarden.{use.target}: {use.target} alone is a second copy of it")
            elif own and not use.relative and inside(use.target, own):
                yield module.at(use.line, f"import {use.target} relatively: it is in the same folder")
            elif own and use.relative and not inside(use.target, own):
                yield module.at(use.line, f"a relative import leaves the folder {LAYERS[module.layer or 0]}")


def pure(modules: Modules, module: Module, *, allowed: Callable[[str], bool]) -> Iterator[str]:
    for use in module.imports:
        top = use.target.split(".")[0]
        if top == "treewarden":
            if not allowed(use.target):
                yield module.at(use.line, f"imports {use.target}, which is not core")
        elif top != "attrs" and (top not in sys.stdlib_module_names or top in NOT_IN_CORE):
            yield module.at(
                use.line, f"imports {use.target}: pure code takes time, chance and the outside as arguments"
            )
    for line, what in module.touched:
        yield module.at(line, what)


def core_is_pure(modules: Modules) -> Iterator[str]:
    for module in modules.values():
        if in_core(module.name):
            yield from pure(modules, module, allowed=in_core)


def views_are_folds(modules: Modules) -> Iterator[str]:
    views = "treewarden.supervisor.views"
    for module in modules.values():
        if inside(module.name, views):
            yield from pure(modules, module, allowed=lambda name: in_core(name) or inside(name, views))


def without_cycles(modules: Modules) -> Iterator[str]:
    """No module needs itself to be imported, also not from inside a function; two may name each other's types."""
    graph: dict[str, set[str]] = {}
    for module in modules.values():
        if module.layer is not None:
            needed = {use.target for use in module.imports if not use.for_types_only}
            graph[module.name] = needed & modules.keys()
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1][::-1]  # graphlib lists each module before the one that imports it
        name, imported = next(pairwise(cycle))
        line = next(use.line for use in modules[name].imports if use.target == imported and not use.for_types_only)
        yield modules[name].at(line, f"a cycle: {' -> '.join(cycle)}")


def leaves_stay_leaves(modules: Modules) -> Iterator[str]:
    for module in modules.values():
        if module.layer is None or inside(module.name, *LEAVES, *ENTRY_POINTS):
            continue  # a leaf of a lower layer that imports one above breaks `never_up`
        for use in module.imports:
            if inside(use.target, *LEAVES):
                yield module.at(use.line, f"{use.target} is a leaf: only tests, examples, cli.py and leaves import it")


def trio_util_behind_one_module(modules: Modules) -> Iterator[str]:
    for module in modules.values():
        for use in module.imports:
            if inside(use.target, "trio_util") and module.name != "treewarden.agents.waiting":
                yield module.at(use.line, "only agents/waiting.py imports trio_util: take it from there")


COMPOSITION_ROOTS = ("treewarden.topologies.open", "treewarden.supervisor.advisor", "treewarden.supervisor.testing")


def one_place_chooses(modules: Modules) -> Iterator[str]:
    for module in modules.values():
        if module.layer is None or inside(module.name, *COMPOSITION_ROOTS):
            continue
        for use in module.imports:
            if inside(use.target, *IMPLEMENTATIONS) and not inside(module.name, *IMPLEMENTATIONS):
                yield module.at(use.line, f"only topologies/open.py chooses {use.target}: depend on journal/port.py")


RULES: tuple[Rule, ...] = (
    never_up,
    own_names_only,
    core_is_pure,
    views_are_folds,
    without_cycles,
    leaves_stay_leaves,
    trio_util_behind_one_module,
    one_place_chooses,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_tree_keeps(rule: Rule) -> None:
    broken = list(rule(the_tree()))
    assert not broken, "\n".join(broken)


def test_the_walk_sees_the_whole_tree() -> None:
    seen = the_tree()
    assert {"treewarden.agents", "treewarden.agents.core", "treewarden.topologies.core", "tests.test_layers"} <= set(
        seen
    )


BROKEN: tuple[tuple[Rule, dict[str, str]], ...] = (
    (never_up, {"agents/ref.py": "from treewarden.supervisor.bus import Bus"}),
    (never_up, {"supervisor/core/spec.py": "def f():\n    import treewarden.topologies"}),
    (own_names_only, {"tests/agents/test_ref.py": "from agents.ref import Ref"}),
    (own_names_only, {"agents/ref.py": "from treewarden.agents.mailbox import Mailbox"}),
    (own_names_only, {"agents/ref.py": "from ..supervisor.bus import Bus"}),
    (own_names_only, {"agents/__init__.py": "from .. import supervisor"}),
    (core_is_pure, {"agents/core/path.py": "import trio"}),
    (core_is_pure, {"agents/core/path.py": "import cattrs.strategies"}),
    (core_is_pure, {"agents/core/path.py": "from time import monotonic"}),
    (core_is_pure, {"agents/core/path.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import sqlite3"}),
    (core_is_pure, {"agents/core/path.py": "from ..ref import Ref", "agents/ref.py": ""}),
    (core_is_pure, {"supervisor/core/spec.py": "from treewarden.agents import Path", "agents/__init__.py": ""}),
    (core_is_pure, {"supervisor/core/spec.py": "from datetime import datetime\nat = datetime.now()"}),
    (core_is_pure, {"supervisor/core/spec.py": "import datetime as d\nat = d.date.today()"}),
    (core_is_pure, {"topologies/core/blueprint.py": "text = open('tree.toml').read()"}),
    (views_are_folds, {"supervisor/views/costs.py": "from ..journal.port import Record"}),
    (views_are_folds, {"supervisor/views/costs.py": "import trio"}),
    (without_cycles, {"agents/ref.py": "from .mailbox import M", "agents/mailbox.py": "from .ref import Ref"}),
    (without_cycles, {"agents/__init__.py": "from .ref import Ref", "agents/ref.py": "from . import Agent"}),
    (without_cycles, {"agents/a.py": "def f():\n    from .b import B", "agents/b.py": "from .a import A"}),
    (without_cycles, {"agents/core/a.py": "from .b import B", "agents/core/b.py": "from .a import A"}),
    (leaves_stay_leaves, {"agents/__init__.py": "from .testing import run_handler"}),
    (leaves_stay_leaves, {"supervisor/supervisor.py": "from .ops import console"}),
    (leaves_stay_leaves, {"topologies/open.py": "from treewarden.supervisor.ops.console import Console"}),
    (trio_util_behind_one_module, {"supervisor/bus.py": "from trio_util import AsyncValue"}),
    (trio_util_behind_one_module, {"tests/test_bus.py": "import trio_util"}),
    (one_place_chooses, {"supervisor/bus.py": "from .journal.sqlite import SqliteJournal"}),
    (one_place_chooses, {"supervisor/journal/__init__.py": "from .memory import MemoryJournal"}),
    (one_place_chooses, {"topologies/cli.py": "from treewarden.supervisor.journal import x, sqlite",
                         "supervisor/journal/sqlite.py": ""}),
)  # fmt: skip

KEPT: dict[str, str] = {
    "agents/core/path.py": "import re\nfrom datetime import datetime\nfrom attrs import frozen\nfrom . import exit",
    "agents/core/exit.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .path import Path",
    "agents/ref.py": "import trio\nfrom .core.path import Path\nfrom .waiting import wait_any",
    "agents/waiting.py": "from trio_util import wait_any\nif TYPE_CHECKING:\n    from .ref import Ref",
    "agents/testing.py": "from .ref import Ref",
    "agents/__init__.py": "from .ref import Ref",
    "supervisor/core/spec.py": "from treewarden.agents.core.path import Path\nat = datetime.fromisoformat(iso)",
    "supervisor/views/costs.py": "from ..core.spec import ChildSpec\nfrom .metrics import Metrics",
    "supervisor/views/metrics.py": "",
    "supervisor/journal/sqlite.py": "import sqlite3\nfrom .port import Journal",
    "supervisor/journal/port.py": "",
    "supervisor/testing.py": "from treewarden.agents.testing import ManualClock",
    "supervisor/ops/console.py": "import rich\nfrom ..views.costs import Costs",
    "topologies/open.py": "from treewarden.supervisor.journal.sqlite import SqliteJournal",
    "topologies/cli.py": "from treewarden.supervisor.ops.console import Console\nfrom .open import open_tree",
    "topologies/chaos/runner.py": "from treewarden.supervisor.testing import record_events",
    "tests/agents/test_ref.py": "from treewarden.agents.testing import run_handler\nfrom .helpers import Counter",
    "tests/agents/helpers.py": "import time",
    "examples/chaos.py": "from treewarden.topologies.chaos.runner import run",
}


@pytest.mark.parametrize(("rule", "sources"), BROKEN, ids=lambda value: getattr(value, "__name__", None))
def test_the_rule_notices(rule: Rule, sources: dict[str, str]) -> None:
    (found,) = rule(load(sources))
    assert found.split(":")[0] in sources


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_lets_pass(rule: Rule) -> None:
    assert list(rule(load(KEPT))) == []
