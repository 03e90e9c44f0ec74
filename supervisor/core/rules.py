"""Rule tables: rows from circumstances to an action, and the proof that a table is sound."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Final, TypeAlias

from attrs import evolve

from treewarden.agents.core.values import frozen

from .action import (
    Action,
    Break,
    Escalate,
    FallBack,
    Hold,
    Perform,
    Recycle,
    Restart,
    Resume,
    RollBack,
    SetAside,
    Stop,
    Throttle,
    action_name,
)
from .case import Case
from .context import Context
from .guards import Declined, Option, forbids, forced
from .incident import Incident
from .symptom import Kind, Risk

__all__ = ["Row", "answer", "check_rules", "declined", "options", "strength"]

When: TypeAlias = Callable[[Context, Incident], bool]
Then: TypeAlias = Callable[[Case, Context], Action]


@frozen
class Row:
    """One line of a table. The first row that fits answers."""

    name: str
    on: frozenset[Kind]
    """The kinds of trouble that it is about."""
    when: When
    """What else has to be so."""
    needs: str
    """The same in words: what a case lacks for which it does not fit."""
    act: type[Action]
    then: Then
    """Makes the action, always of type `act`."""
    does: str
    """The action in words, for the printed table."""
    reason: str
    next: str
    """What follows if it does not help."""


def options(rows: Sequence[Row], case: Case) -> tuple[Option, ...]:
    """What a table proposes: the rows that fit, in their order."""
    context, incident = case.context, case.incident
    return tuple([
        Option(row.then(case, context), row.name, row.reason, row.next)
        for row in rows
        if context.kind in row.on and row.when(context, incident)
    ])  # fmt: skip


def declined(rows: Sequence[Row], case: Case) -> tuple[Declined, ...]:
    """What a table has for this kind of trouble and does not propose: for each action, what its first row needs."""
    context, incident = case.context, case.incident
    needs: dict[type[Action], str] = {}
    for row in rows:
        if context.kind in row.on and row.act not in needs and not row.when(context, incident):
            needs[row.act] = row.needs
    return tuple([Declined(action_name(act), f"needs {what}") for act, what in needs.items()])


def answer(rows: Sequence[Row], context: Context, incident: Incident) -> int | None:
    """The index of the row that answers; None if none does."""
    for index, row in enumerate(rows):
        if context.kind in row.on and row.when(context, incident):
            return index
    return None


_STRENGTH: Final[tuple[type[Action], ...]] = (
    Resume, Perform, Throttle, Recycle, Restart, SetAside, RollBack, FallBack, Break, Hold, Stop, Escalate,
)  # fmt: skip


def strength(action: Action) -> tuple[int, int]:
    """How far an action goes, for comparing two: from letting it live to ending the supervisor."""
    scope = int(action.scope) if isinstance(action, Restart) else 0
    return _STRENGTH.index(type(action)), scope


def check_rules(rows: Sequence[Row], cases: Iterable[Case]) -> tuple[str, ...]:
    """What is wrong with a table, as sentences that name the row by its index; empty if nothing is.

    Over `cases` (`grid()` enumerates some thousand) and all four risks of each: every row must answer somewhere
    where no hard rule answers before it or forbids its action, and of two contexts that differ in risk only, the
    one of higher risk must not get the weaker answer. Proven for those cases, not for all that can be thought of.
    """
    reached: set[int] = set()
    weaker: dict[tuple[int, int], str] = {}
    for case in cases:
        if forced(case, escalates=True) is not None:
            continue
        given = [_answered(rows, case, risk) for risk in Risk]
        reached |= {one.row for one in given if one is not None and not forbids(case, one.action)}
        for lower, higher in pairwise(given):
            if lower is not None and (higher is None or strength(higher.action) < strength(lower.action)):
                weaker.setdefault((lower.row, higher.row if higher else -1), _text(rows, lower, higher))
    unreached = (
        f"row {index} ({row.name}) answers nothing: rows before it, or hard rules, answer all of its cases"
        for index, row in enumerate(rows)
        if index not in reached
    )
    return (*unreached, *weaker.values())


@frozen
class _Answered:
    row: int
    action: Action
    label: str
    risk: Risk


def _answered(rows: Sequence[Row], case: Case, risk: Risk) -> _Answered | None:
    context = evolve(case.context, risk=risk)
    index = answer(rows, context, case.incident)
    return None if index is None else _Answered(index, rows[index].then(case, context), context.label, risk)


def _text(rows: Sequence[Row], lower: _Answered, higher: _Answered | None) -> str:
    first = f"row {lower.row} ({rows[lower.row].name})"
    if higher is None:
        return f"{first} answers {lower.label} at risk {lower.risk}, and no row does at the next higher risk"
    second = f"row {higher.row} ({rows[higher.row].name})"
    return f"{second} answers {lower.label} at risk {higher.risk} with less than {first} at risk {lower.risk}"
