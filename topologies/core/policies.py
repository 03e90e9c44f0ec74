"""A policy in a TOML file: a name, or rules of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from treewarden.supervisor.core.believer import belief
from treewarden.supervisor.core.decision import Policy
from treewarden.supervisor.core.ladder import ladder
from treewarden.supervisor.core.policies import akka, kubernetes, otp
from treewarden.supervisor.core.rule_table import Rule
from treewarden.supervisor.core.symptom import Risk
from treewarden.supervisor.core.table import table

from .node import REFUSED, Node, Problems, Reader, Refused, choice, number, read_fields, text
from .problems import guess

__all__ = ["POLICIES", "read_policy", "read_rules"]

POLICIES: Final[Mapping[str, Policy]] = {
    "otp": otp(),
    "kubernetes": kubernetes(),
    "akka": akka(),
    "belief": belief(),
    "ladder": ladder(),
}
"""The policies that have a name."""

_named: Final = choice(POLICIES.items(), "a policy")
_RULE: Final[Mapping[str, Reader]] = {
    "context": text,
    "action": text,
    "risk": choice([(str(risk), risk) for risk in Risk], "a risk"),
    "min_confidence": number(0, most=0.999),
    "reason": text,
}
_NEEDED: Final = ("context", "action")
_REMEDY: Final = "write { rules = [{ context = 'crash', risk = 'high', action = 'hold' }, ...] }, or a policy's name"


def read_policy(node: Node, problems: Problems) -> Policy | Refused:
    """`"ladder"`, or `{ rules = [...], otherwise = "ladder" }`."""
    if node.table is None:
        if isinstance(node.value, str):
            return _named(node, problems)
        return problems.refuse(node, "is no policy", _REMEDY)
    before = len(problems)
    given = read_fields(node, {"rules": read_rules, "otherwise": _named}, "a policy", problems)
    if "rules" not in node.table and not guess("rules", list(node.table)):
        return problems.refuse(node, "is no policy", _REMEDY)
    if len(problems) > before:
        return REFUSED
    try:
        return table(given["rules"], given.get("otherwise"))
    except ValueError as error:
        return problems.refuse(node.table["rules"], "cannot decide", str(error))


def read_rules(node: Node, problems: Problems) -> tuple[Rule, ...] | Refused:
    """The rules of a table, in their order."""
    if not node.array:
        return problems.refuse(node, "is no list of rules", "write [{ context = ..., action = ... }, ...]")
    rules = [_rule(each, problems) for each in node.array]
    found = tuple(rule for rule in rules if isinstance(rule, Rule))
    return found if len(found) == len(rules) else REFUSED


def _rule(node: Node, problems: Problems) -> Rule | Refused:
    before = len(problems)
    given = read_fields(node, _RULE, "a rule", problems)
    missing = [key for key in _NEEDED if node.table is not None and key not in node.table]
    if missing:
        problems.refuse(node, f"lacks {' and '.join(missing)}", "write { context = ..., action = ... }")
    return Rule(**given) if len(problems) == before else REFUSED
