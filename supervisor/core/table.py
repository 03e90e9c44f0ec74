"""table(): a policy from a user's own rules, checked as a whole when it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Any, Final, TypeAlias

from attrs import Attribute, evolve, field, frozen

from .action import Action, Escalate, Hold, Perform, Recycle, Restart, Scope, Stop, action_name, scope_of
from .case import Case
from .decision import Policy, backoff_of, looks_back
from .guards import Declined, Option
from .history import delay
from .ladder import ROWS, ladder
from .reached import CONTEXTS, GROUND, PERFORM, WITH_WORD, Reached, counted_as, possible, reached
from .rule_table import ANY, Rule, answers, faults
from .signal import Signal
from .symptom import describe, one_line

__all__ = ["ACTIONS", "Table", "table"]

_Make: TypeAlias = Callable[[Rule, Case], Action]

_ROW: Final = {row.name: row.then for row in ROWS}


def _wider(_rule: Rule, case: Case) -> Action:
    restart = _ROW["crash"](case, case.context)
    assert isinstance(restart, Restart)
    return evolve(restart, scope=max(Scope.REST, scope_of(case.strategy)))


def _all(_rule: Rule, case: Case) -> Action:
    restart = _ROW["crash"](case, case.context)
    assert isinstance(restart, Restart)
    return evolve(restart, scope=Scope.ALL)


def _as(name: str) -> _Make:
    """The action that a row of the ladder orders."""
    then = _ROW[name]
    return lambda _rule, case: then(case, case.context)


def _hold(rule: Rule, case: Case) -> Action:
    """Asks with what the rule's author and the agent have said: whoever answers may see nothing but the question."""
    why = f": {one_line(rule.reason).rstrip('.')}" if rule.reason else ""
    said = f"{one_line(describe(case.signal), 300).rstrip('.')}, at risk {case.context.risk}{why}"
    return Hold(f"{case.signal.path}: {said}. Start it again, change it, or stop it?")


_MAKERS: Final[Mapping[str, _Make]] = {
    "resume": _as("report"),
    "throttle": _as("drowning"),
    "recycle": lambda _rule, _case: Recycle(),
    "restart": _as("crash"),
    "restart_rest": _wider,
    "restart_all": _all,
    "set_aside": _as("poison message"),
    "roll_back": _as("dies on its state"),
    "fall_back": _as("new code"),
    "break": _as("siblings alike"),
    "hold": _hold,
    "stop": lambda _rule, _case: Stop(),
    "escalate": lambda _rule, _case: Escalate("its policy says so"),
}
ACTIONS: Final = tuple(_MAKERS)
"""What a rule may do, the mildest first. Waiting times, scopes and steps are worked out as in the ladder."""


def _sound(_instance: Any, _attribute: Attribute[Any], rules: tuple[Rule, ...]) -> None:
    found = [*_unknown(rules)]
    if not found:
        unsound = faults(rules, _strengths(rules), GROUND)
        found += [str(fault) for fault in unsound]
        found += _impossible(rules, {fault.index for fault in unsound})
    if found:
        raise ValueError(f"the rules are refused: {'; '.join(found)}")


def performed(rule: Rule) -> str:
    """The name of the registered action that a rule is about; empty for any other rule."""
    return rule.action.removeprefix(PERFORM) if rule.action.startswith(PERFORM) else ""


def _strengths(rules: Sequence[Rule]) -> dict[str, float]:
    """How far each action goes; one that is registered just a little further than letting live."""
    above_resume = {rule.action: 0.5 for rule in rules if performed(rule)}
    return {**above_resume, **{action: float(n) for n, action in enumerate(ACTIONS)}}


def _made(rule: Rule, case: Case) -> Action:
    name = performed(rule)
    if not name:
        return _MAKERS[rule.action](rule, case)
    return Perform(name, delay(backoff_of(case.spec), case.incident.failed + 1, case.spread) if case.down else 0.0)


def _unknown(rules: Sequence[Rule]) -> list[str]:
    """Rules that speak of what no supervisor knows."""
    found: list[str] = []
    for index, rule in enumerate(rules):
        if rule.action not in _MAKERS and not performed(rule):
            known = f"{', '.join(ACTIONS)} or {PERFORM}<name>"
            found.append(f"rule {index} has the action {rule.action!r}; use {known}")
        head, colon, word = rule.context.partition(":")
        if rule.context != ANY and (head not in CONTEXTS or (colon and (head not in WITH_WORD or not word))):
            known = f"{', '.join(CONTEXTS)}, reported:<kind>, action_failed:<name> or {ANY}"
            found.append(f"rule {index} has the context {rule.context!r}; use {known}")
    return found


def _impossible(rules: Sequence[Rule], but: Set[int]) -> Iterator[str]:
    """Rules whose action no case in which they answer admits: hard rules come first."""
    for index, rule in enumerate(rules):
        if index not in but and reached(rules, index, _made) is None:
            admitted = ", ".join(possible(rule.context, ACTIONS, _made))
            yield f"rule {index} can never {rule.action} after {rule.context}: hard rules forbid it; use {admitted}"


@frozen
class Table:
    """Rules of a user's as a policy: the first that fits answers, and where none does, `otherwise`.

    Raises `ValueError`, naming rules by their index, for a table in which one is never reached, answers a higher risk
    with less than another a lower one, or has an action that cannot be taken after what it is about.
    """

    rules: tuple[Rule, ...] = field(validator=_sound)
    otherwise: Policy = field(factory=ladder)
    name: str = "table"
    counts_alike: bool = True
    escalates: bool = True
    stable_after: float | None = None

    @property
    def performs(self) -> frozenset[str]:
        """The names of the registered actions that its rules are about."""
        return frozenset(name for rule in self.rules if (name := performed(rule)))

    def reached_by(self, index: int) -> Reached:
        """A case in which the rule at `index` answers: `decide(table, case)` does so by that rule."""
        found = reached(self.rules, index, _made)
        assert found is not None, "a table with a rule that nothing reaches cannot be made"
        return found

    def propose(self, case: Case) -> tuple[Option, ...]:
        context = case.context
        own = [
            Option(
                _made(rule, case),
                f"rule {index}",
                rule.reason or f"{context.label} at risk {context.risk}",
                "the next rule that fits",
            )
            for index, rule in answers(self.rules, context.label, context.risk, lambda action: _p(case, action))
        ]
        return (*own, *self.otherwise.propose(case))

    def looks_back(self, signal: Signal) -> bool:
        return any(rule.action == "roll_back" for rule in self.rules) or looks_back(self.otherwise, signal)

    def declined(self, case: Case) -> tuple[Declined, ...]:
        context = case.context
        fits = {index for index, _ in answers(self.rules, context.label, context.risk, lambda name: _p(case, name))}
        own = tuple(
            Declined(action_name(_made(rule, case)), _why_not(rule, case))
            for index, rule in enumerate(self.rules)
            if rule.is_about(context.label) and index not in fits
        )
        return (*own, *self.otherwise.declined(case))


def _p(case: Case, action: str) -> float:
    """P(an action of this name closes the case's incident), as it would be stated."""
    return case.stated(counted_as(action)).value


def _why_not(rule: Rule, case: Case) -> str:
    if case.context.risk < rule.risk:
        return f"needs risk {rule.risk}, it is {case.context.risk}"
    return f"needs confidence {rule.min_confidence:g}, it is {_p(case, rule.action):.2f}"


def table(rules: Sequence[Rule], otherwise: Policy | None = None) -> Table:
    """A policy from rules: `table([Rule("crash", "roll_back", Risk.HIGH, min_confidence=0.4)])`.

    A rule's context is a kind of trouble (`crash`, `stalled`, `rate_limited`, …), a report's word (`reported:slow`) or
    `any`; its risk is the lowest that it answers. `perform:cache_warmup` is an action that the tree or the child
    registers under that name, `action_failed:cache_warmup` that it did not succeed. Hard rules come before all of it: a
    429 is a throttle, and intensity escalates. `otherwise` is the ladder unless given.

    Raises `ValueError` for a table that is not sound (see `Table`).
    """
    return Table(tuple(rules), otherwise if otherwise is not None else ladder())
