"""`treewarden policy check`: whether the rules of a file are sound, and an input that reaches each of them."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from attrs import frozen

from treewarden.agents.core.path import ROOT, Path
from treewarden.supervisor.core.reached import Reached
from treewarden.supervisor.core.rule_table import Rule
from treewarden.supervisor.core.spec import SupervisorSpec
from treewarden.supervisor.core.symptom import describe
from treewarden.supervisor.core.table import Table
from treewarden.supervisor.ops.wording import clean, columns, plural

from ..core.blueprint import walk
from ..errors import BlueprintError
from ..own_policy import names_own, policy_of
from ..toml import load, load_policy
from .exits import ExitCode
from .stdout import Stdout

__all__ = ["policy"]


@frozen
class _Checked:
    """A supervisor with rules of its own."""

    path: Path
    table: Table

    def rows(self) -> Iterator[tuple[int, Rule, Reached]]:
        for index, rule in enumerate(self.table.rules):
            yield index, rule, self.table.reached_by(index)


def policy(arguments: Namespace) -> int:
    """Print for each rule of a topology, or of a file of rules, an input that reaches it; or why they are refused."""
    out = Stdout.here()
    try:
        found = _tables(arguments.file)
    except BlueprintError as error:
        if not arguments.json:
            raise
        out.json({"file": arguments.file, "sound": False, "problems": error.as_data()})
        return ExitCode.REFUSED
    if arguments.json:
        out.json({"file": arguments.file, "sound": True, "tables": [_object(each) for each in found]})
    else:
        out.lines(_lines(arguments.file, found, out))
    return ExitCode.ORDERLY


def _tables(file: str) -> list[_Checked]:
    """The tables of a topology's supervisors; or the one of a file that holds nothing but rules, or of Python."""
    alone = load_policy(file) if file.endswith(".toml") or not names_own(file) else policy_of(file)
    if alone is not None:
        return [_Checked(ROOT, alone)] if isinstance(alone, Table) else []
    return [
        _Checked(path, spec.policy)
        for path, spec in walk(load(file).blueprint)
        if isinstance(spec, SupervisorSpec) and isinstance(spec.policy, Table)
    ]


def _lines(file: str, found: list[_Checked], out: Stdout) -> list[str]:
    if not found:
        return [clean(f"{file} has no rules of its own: every supervisor's policy is one that comes with treewarden")]
    count = sum(len(each.table.rules) for each in found)
    lines = [out.paint(clean(f"{file}: {plural(count, 'rule')}, all sound; the first that fits answers"), "good")]
    for each in found:
        heading = ("rule", "context", "risk from", "confidence from", "action", "is reached by")
        rows = [
            (
                str(index),
                rule.context,
                str(rule.risk),
                f"{rule.min_confidence:g}",
                rule.action,
                str(witness),
            )
            for index, rule, witness in each.rows()
        ]
        table = columns([heading, *rows], width=out.width)
        lines += ["", clean(f"{each.path}, otherwise {each.table.otherwise.name}"), out.paint(table[0], "dim")]
        lines += table[1:]
    return lines


def _object(found: _Checked) -> dict[str, Any]:
    return {
        "path": found.path,
        "otherwise": found.table.otherwise.name,
        "rules": [
            {
                "rule": index,
                "context": rule.context,
                "risk": str(rule.risk),
                "min_confidence": rule.min_confidence,
                "action": rule.action,
                "reason": rule.reason,
                "reached_by": {
                    "context": witness.context,
                    "risk": str(witness.risk),
                    "confidence": witness.confidence,
                    "signal": describe(witness.case.signal),
                    "because": list(witness.case.context.because),
                },
            }
            for index, rule, witness in found.rows()
        ],
    }
