"""A user's rule table: (context, risk, minimum confidence) -> action, and the proof that it is sound."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise, product
from typing import Any, Final

from attrs import Attribute, field, frozen

from treewarden.agents.core.said import is_number, shown

from .symptom import Risk

__all__ = ["ANY", "ANYWHERE", "Fault", "Ground", "Rule", "Witness", "answers", "faults", "reached_by", "witnesses"]

ANY: Final = "any"
"""The context of a rule that is about all of them."""
_OTHER: Final = "anything else"
"""Stands for every context that no rule names."""
_RISKS: Final = tuple(Risk)
_MOST: Final = 20_000
"""Combinations of confidences that are looked at for one context."""


def _name(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{attribute.name} is {value!r}; it must be a name")


def _risk(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not isinstance(value, Risk):
        raise ValueError(f"{attribute.name} is {value!r}; use Risk.LOW, Risk.MEDIUM, Risk.HIGH or Risk.CRITICAL")


def _share(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not is_number(value) or not 0 <= value < 1:
        raise ValueError(f"{attribute.name} is {shown(value)}; it must be a number from 0 up to, but not including, 1")


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


def _any_risk(_context: str) -> Sequence[Risk]:
    return _RISKS


def _itself(action: str) -> str:
    return action


@frozen
class Ground:
    """What circumstances can be like where a table is asked."""

    contexts: tuple[str, ...] = ()
    """All that there are, where their number is known; without any, whatever somebody may call one."""
    risks: Callable[[str], Sequence[Risk]] = _any_risk
    """The risks that a context can come with, the lowest first."""
    counted_as: Callable[[str], str] = _itself
    """The name under which the confidence in an action is kept: two that share one are always equally sure."""


ANYWHERE: Final = Ground()
"""Every context, at every risk, with every combination of confidences."""


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


def reached_by(rules: Sequence[Rule], index: int, ground: Ground = ANYWHERE) -> Witness | None:
    """Circumstances in which the rule at `index` answers; None if there are none.

    Exact: with the lowest risk and confidence that the rule takes, and no confidence in anything else, fewer of the
    rules before it fit than anywhere else where it fits itself.
    """
    return next(witnesses(rules, index, ground), None)


def witnesses(rules: Sequence[Rule], index: int, ground: Ground = ANYWHERE) -> Iterator[Witness]:
    """`reached_by` for each context that the rule is about and answers in."""
    return (found for found, first in _at_its_least(rules, index, ground) if first == index)


def faults(rules: Sequence[Rule], strength: Mapping[str, Any], ground: Ground = ANYWHERE) -> tuple[Fault, ...]:
    """Everything that is wrong with a table: rules that nothing reaches, and those that answer a higher risk with less.

    `strength` says how far each action goes, in values that can be compared. Proven for every context, risk and
    combination of confidences that the `ground` knows; of two contexts that differ in risk only, the confidences are
    the same.
    """
    found = [
        Fault(index, f"has the action {rule.action!r}, of which nobody says how far it goes")
        for index, rule in enumerate(rules)
        if rule.action not in strength
    ]
    if found:
        return tuple(found)
    for index, rule in enumerate(rules):
        if reached_by(rules, index, ground) is None:
            why = _hidden_by(rules, index, ground)
            found.append(Fault(index, f"({rule.context} -> {rule.action}) is never reached: {why}"))
    for context in _different(rules, ground):
        found += _weaker(rules, context, strength, ground)
    return tuple(dict.fromkeys(found))


def _contexts(rules: Sequence[Rule], ground: Ground) -> list[str]:
    """One of each: those that rules name, and all others."""
    named = dict.fromkeys(rule.context for rule in rules if rule.context != ANY)
    return [*dict.fromkeys((*named, *(ground.contexts or (_OTHER,))))]


def _different(rules: Sequence[Rule], ground: Ground) -> list[str]:
    """`_contexts`, of those that no rule names one for each range of risks."""
    named = {rule.context for rule in rules}
    found = {
        (context if context in named else "", *ground.risks(context)): context for context in _contexts(rules, ground)
    }
    return list(found.values())


def _at_its_least(rules: Sequence[Rule], index: int, ground: Ground) -> Iterator[tuple[Witness, int]]:
    """For each context of the rule at `index`, the circumstances in which the fewest rules fit beside it, and which
    rule answers there."""
    rule = rules[index]
    for context in _contexts(rules, ground) if rule.context == ANY else [rule.context]:
        risk = next((risk for risk in ground.risks(context) if risk >= rule.risk), None)
        if risk is not None:
            first, _ = next(answers(rules, context, risk, _only(rule, ground)))
            yield Witness(context, risk, rule.min_confidence), first


def _only(rule: Rule, ground: Ground) -> Callable[[str], float]:
    own = ground.counted_as(rule.action)

    def confidence(action: str) -> float:
        return rule.min_confidence if ground.counted_as(action) == own else 0.0

    return confidence


def _hidden_by(rules: Sequence[Rule], index: int, ground: Ground) -> str:
    rule = rules[index]
    before = {first for _, first in _at_its_least(rules, index, ground)}
    if not before:
        contexts = _contexts(rules, ground) if rule.context == ANY else [rule.context]
        highest = max(risk for context in contexts for risk in ground.risks(context))
        return f"{rule.context} comes with risk {highest} at most; lower its risk, or leave it out"
    listed = ", ".join(str(each) for each in sorted(before))
    answer = f"rule{'s' if len(before) > 1 else ''} {listed} before it answer{'' if len(before) > 1 else 's'} all of it"
    return f"{answer}; put it before {'them' if len(before) > 1 else 'that'}, or leave it out"


def _weaker(rules: Sequence[Rule], context: str, strength: Mapping[str, Any], ground: Ground) -> Iterator[Fault]:
    """Rules that answer in this context, at a higher risk, with less than another one does at a lower risk."""
    thresholds: dict[str, set[float]] = {}
    for rule in rules:
        if rule.is_about(context) and rule.min_confidence:
            thresholds.setdefault(ground.counted_as(rule.action), {0.0}).add(rule.min_confidence)
    if math.prod(len(levels) for levels in thresholds.values()) > _MOST:
        last = max(index for index, rule in enumerate(rules) if rule.is_about(context))
        yield Fault(last, f"makes too many minimum confidences for {context} to be proven sound; merge some")
        return
    risks = ground.risks(context)
    for levels in product(*thresholds.values()):
        known = dict(zip(thresholds, levels, strict=True))

        def sure(action: str, known: Mapping[str, float] = known) -> float:
            return known.get(ground.counted_as(action), 0.0)

        given = [next(answers(rules, context, risk, sure), None) for risk in risks]
        for (lower_risk, lower), (risk, higher) in pairwise(zip(risks, given, strict=True)):
            if lower is None or higher is None or strength[higher[1].action] >= strength[lower[1].action]:
                continue
            yield Fault(
                higher[0],
                f"answers {context} at risk {risk} with {higher[1].action}, which is less than the {lower[1].action}"
                f" of rule {lower[0]} at risk {lower_risk}; answer the higher risk with as much, or the lower one with"
                " less",
            )
