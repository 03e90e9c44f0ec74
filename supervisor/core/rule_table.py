"""A user's rule table: (context, risk, minimum confidence) -> action, and the proof that it is sound."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise, product
from typing import Any, Final

from attrs import Attribute, field, frozen

from .symptom import Risk

__all__ = ["ANY", "Fault", "Rule", "Witness", "answers", "faults", "reached_by"]

ANY: Final = "any"
"""The context of a rule that is about all of them."""
_OTHER: Final = "anything else"
"""Stands for every context that no rule names."""
_MOST: Final = 20_000
"""Combinations of confidences that are looked at for one context."""


def _name(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{attribute.name} is {value!r}; it must be a name")


def _risk(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not isinstance(value, Risk):
        raise ValueError(f"{attribute.name} is {value!r}; use Risk.LOW, Risk.MEDIUM, Risk.HIGH or Risk.CRITICAL")


def _share(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise ValueError(f"{attribute.name} is {value!r}; it must be a number from 0 up to, but not including, 1")


@frozen
class Rule:
    """One line of a table. The first that fits answers."""

    context: str = field(validator=_name)
    """What happened, in the word that the table's user has for it; `any` for whatever happened.

    A word stands for those that begin with it and a colon as well: `reported` for `reported:slow`.
    """
    action: str = field(validator=_name)
    risk: Risk = field(default=Risk.LOW, validator=_risk)
    """From this risk on: a rule that answers a risk is there for every higher one too."""
    min_confidence: float = field(default=0.0, validator=_share)
    """P(the action closes the incident) that is needed for it."""
    reason: str = ""

    def is_about(self, context: str) -> bool:
        """Whether it is a rule for this context."""
        return self.context in (ANY, context) or context.startswith(self.context + ":")


@frozen
class Witness:
    """Circumstances in which one rule answers: proof that it is of use."""

    context: str
    risk: Risk
    confidence: float
    """Of the rule's own action; that of every other action is 0 here."""

    def __str__(self) -> str:
        sure = f", confidence {self.confidence:g}" if self.confidence else ""
        return f"{self.context}, risk {self.risk}{sure}"


@frozen
class Fault:
    """What is wrong with one rule."""

    index: int
    """From 0, in the order of the table."""
    text: str

    def __str__(self) -> str:
        return f"rule {self.index} {self.text}"


def answers(
    rules: Sequence[Rule], context: str, risk: Risk, confidence: Callable[[str], float]
) -> Iterator[tuple[int, Rule]]:
    """The rules that fit, with their indexes, in order: the first is the answer.

    `confidence` gives P(fix) of an action; it is asked only where a rule has a minimum.
    """
    for index, rule in enumerate(rules):
        if not rule.is_about(context) or risk < rule.risk:
            continue
        if rule.min_confidence == 0 or confidence(rule.action) >= rule.min_confidence:
            yield index, rule


def reached_by(rules: Sequence[Rule], index: int) -> Witness | None:
    """Circumstances in which the rule at `index` answers; None if there are none.

    Exact: with the lowest risk and confidence that the rule takes, and no confidence in anything else, fewer of the
    rules before it fit than anywhere else where it fits itself.
    """
    rule = rules[index]
    for context in _contexts(rules) if rule.context == ANY else [rule.context]:
        first = next(answers(rules, context, rule.risk, _only(rule)), None)
        if first is not None and first[0] == index:
            return Witness(context, rule.risk, rule.min_confidence)
    return None


def faults(rules: Sequence[Rule], strength: Mapping[str, Any]) -> tuple[Fault, ...]:
    """Everything that is wrong with a table: rules that nothing reaches, and those that answer a higher risk with less.

    `strength` says how far each action goes, in values that can be compared. Proven for every context, risk and
    combination of confidences; of two contexts that differ in risk only, the confidences are the same.
    """
    found = [
        Fault(index, f"has the action {rule.action!r}, of which nobody says how far it goes")
        for index, rule in enumerate(rules)
        if rule.action not in strength
    ]
    if found:
        return tuple(found)
    for index, rule in enumerate(rules):
        if reached_by(rules, index) is None:
            found.append(
                Fault(index, f"({rule.context} -> {rule.action}) is never reached: {_hidden_by(rules, index)}")
            )
    for context in _contexts(rules):
        found += _weaker(rules, context, strength)
    return tuple(dict.fromkeys(found))


def _contexts(rules: Sequence[Rule]) -> list[str]:
    """One of each: those that rules name, and all others."""
    return [*dict.fromkeys(rule.context for rule in rules if rule.context != ANY), _OTHER]


def _only(rule: Rule) -> Callable[[str], float]:
    def confidence(action: str) -> float:
        return rule.min_confidence if action == rule.action else 0.0

    return confidence


def _hidden_by(rules: Sequence[Rule], index: int) -> str:
    rule = rules[index]
    contexts = _contexts(rules) if rule.context == ANY else [rule.context]
    before = {next(answers(rules, context, rule.risk, _only(rule)))[0] for context in contexts}
    listed = ", ".join(str(each) for each in sorted(before))
    return f"rule{'s' if len(before) > 1 else ''} {listed} before it answer{'' if len(before) > 1 else 's'} all of it"


def _weaker(rules: Sequence[Rule], context: str, strength: Mapping[str, Any]) -> Iterator[Fault]:
    """Rules that answer in this context, at a higher risk, with less than another one does at a lower risk."""
    thresholds: dict[str, set[float]] = {}
    for rule in rules:
        if rule.is_about(context) and rule.min_confidence:
            thresholds.setdefault(rule.action, {0.0}).add(rule.min_confidence)
    if math.prod(len(levels) for levels in thresholds.values()) > _MOST:
        last = max(index for index, rule in enumerate(rules) if rule.is_about(context))
        yield Fault(last, f"makes too many minimum confidences for {context} to be proven sound; merge some")
        return
    for levels in product(*thresholds.values()):
        known = dict(zip(thresholds, levels, strict=True))
        given = [next(answers(rules, context, risk, lambda action: known.get(action, 0.0)), None) for risk in Risk]  # noqa: B023
        for (lower_risk, lower), (risk, higher) in pairwise(zip(Risk, given, strict=True)):
            if lower is None or higher is None or strength[higher[1].action] >= strength[lower[1].action]:
                continue
            yield Fault(
                higher[0],
                f"answers {context} at risk {risk} with {higher[1].action}, which is less than the {lower[1].action}"
                f" of rule {lower[0]} at risk {lower_risk}",
            )
