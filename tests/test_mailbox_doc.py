"""`docs/mailbox.md` names a test for every rule, and they are all there."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
NAMED: Final = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`(?: \((\d+) seeds\))?")


def rows() -> list[str]:
    """Those of the tables that stand for a rule or a trap."""
    lines = (ROOT / "docs/mailbox.md").read_text().splitlines()
    return [line for line in lines if line.startswith("| **")]


def functions(file: str) -> dict[str, str]:
    """The tests of a file by name, each with its decorators."""
    tree = ast.parse((ROOT / file).read_text())
    return {
        node.name: " ".join(ast.unparse(decorator) for decorator in node.decorator_list)
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }


def test_every_rule_and_every_trap_has_tests_that_are_there() -> None:
    assert len(rows()) == 8 + 3
    for row in rows():
        named = NAMED.findall(row)
        assert named, row
        assert row.count("`tests/") == len(named), f"a name that is none: {row}"
        for file, test, seeds in named:
            known = functions(file)
            assert test in known, f"{file} has no {test}"
            if seeds:
                assert re.search(rf"'seed', (SEEDS|range\({seeds}\))", known[test]), f"{test} has not {seeds} seeds"


def test_every_rule_and_every_trap_is_tried_with_a_hundred_seeds() -> None:
    assert all("(100 seeds)" in row for row in rows())
