"""reached(): for a rule of a user's table a whole case in which it answers, to be tried and not only read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Final, TypeAlias

from attrs import evolve, frozen

from .action import Action, Restart, action_name
from .case import Case
from .context import risks_of
from .grid import grid, pressed
from .guards import forbids, forced
from .named import NamedAction
from .outcomes import BANDS, Outcomes, Tally
from .rule_table import ANY, Ground, Rule, answers, witnesses
from .signal import Signal
from .symptom import Kind, Risk, kind_of

__all__ = ["CONTEXTS", "GROUND", "PERFORM", "WITH_WORD", "Made", "Reached", "counted_as", "possible", "reached"]

Made: TypeAlias = Callable[[Rule, Case], Action]
"""The action of a rule, in a case."""

PERFORM: Final = "perform:"
"""What stands before the name of an action that is registered."""
WITH_WORD: Final = (Kind.REPORTED, Kind.ACTION_FAILED)
CONTEXTS: Final = tuple(str(kind) for kind in Kind if kind not in (Kind.RECOVERED, Kind.OPERATOR, Kind.UNANSWERED))
"""What rules may be about; two of them may be followed by a colon and a word."""
_MANY: Final = 1e9
_TRIED: Final = 400
_WORDS: Final = ("other", "another", "whatever")


def counted_as(action: str) -> str:
    """The name under which outcomes of a rule's action are counted."""
    return action_name(Restart) if action.startswith("restart") else action.removeprefix(PERFORM)


def _risks(context: str) -> Sequence[Risk]:
    return risks_of(Kind(context.partition(":")[0]))


GROUND: Final = Ground(CONTEXTS, _risks, counted_as)
"""What a supervisor can be asked about."""


@frozen
class Reached:
    """A case in which one rule of a table answers. Nothing but the rule's own action helps in it."""

    rule: int
    case: Case
    confidence: float
    """The least that the rule asks for."""

    @property
    def context(self) -> str:
        return self.case.context.label

    @property
    def risk(self) -> Risk:
        return self.case.context.risk

    def __str__(self) -> str:
        sure = f", confidence {self.confidence:g}" if self.confidence else ""
        return f"{self.context}, risk {self.risk}{sure}"


async def _nothing(_occasion: object) -> None:
    """Stands for an action that is registered where the rules are used."""


_ANY_ACTION: Final = NamedAction(_nothing)


def reached(rules: Sequence[Rule], index: int, made: Made) -> Reached | None:
    """A case in which the rule at `index` is the first that fits and no hard rule forbids its action; None if there is
    none among some thousand for each kind of trouble."""
    rule, registered = rules[index], _registered(rules)
    for witness in witnesses(rules, index, GROUND):
        kind, word = _label(rules, witness.context)
        outcomes = _sure_of(rule, rules, kind)
        for case in _cases(kind, word):
            if case.context.risk < rule.risk:
                continue
            tried = evolve(case, outcomes=outcomes, registered=registered)
            if _answers(rules, index, tried, made):
                return Reached(index, tried, rule.min_confidence)
    return None


def possible(context: str, actions: Sequence[str], made: Made) -> list[str]:
    """Those of the actions that hard rules may admit after such trouble."""
    kinds = [Kind(each) for each in (CONTEXTS if context == ANY else [context.partition(":")[0]])]
    found: list[str] = []
    for action in actions:
        rule = Rule(context, action)
        cases = chain.from_iterable(islice(_cases(kind, ""), _TRIED) for kind in kinds)
        if any(not forbids(case, made(rule, case)) for case in cases):
            found.append(action)
    return found


def _answers(rules: Sequence[Rule], index: int, case: Case, made: Made) -> bool:
    context = case.context

    def sure(action: str) -> float:
        return case.stated(counted_as(action)).value

    first = next(answers(rules, context.label, context.risk, sure), None)
    if first is None or first[0] != index or forced(case, escalates=True) is not None:
        return False
    return not forbids(case, made(rules[index], case))


def _cases(kind: Kind, word: str) -> Iterator[Case]:
    def wanted(signal: Signal) -> bool:
        return kind_of(signal) is kind

    word = word or _WORDS[0]
    return chain(pressed(wanted, word), grid(wanted, word))


def _label(rules: Sequence[Rule], context: str) -> tuple[Kind, str]:
    """The kind of trouble, with a word for one that has them: that of the context, or one of which no rule speaks."""
    head, _, word = context.partition(":")
    kind = Kind(head)
    if kind in WITH_WORD and not word:
        named = {rule.context for rule in rules}
        word = next(each for each in _new_words() if f"{head}:{each}" not in named)
    return kind, word


def _new_words() -> Iterator[str]:
    yield from _WORDS
    number = 0
    while True:
        number += 1
        yield f"other_{number}"


def _sure_of(rule: Rule, rules: Sequence[Rule], kind: Kind) -> Outcomes:
    """What would have been observed if the rule's action had always helped against such trouble, and no other one."""
    own = counted_as(rule.action)
    cells: Mapping[tuple[str, str, int], Tally] = {
        (name, str(kind), band): Tally(_MANY, _MANY * (name == own))
        for name in {counted_as(each.action) for each in rules}
        for band in range(BANDS)
    }
    return Outcomes(cells=cells)


def _registered(rules: Sequence[Rule]) -> Mapping[str, NamedAction]:
    names = [rule.action.removeprefix(PERFORM) for rule in rules if rule.action.startswith(PERFORM)]
    return dict.fromkeys(names, _ANY_ACTION)
