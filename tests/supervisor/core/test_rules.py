"""The linter of rule tables: our own ladder passes, and tables that are broken in each way do not."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
from attrs import evolve, frozen

from treewarden.supervisor.core.action import (
    Action,
    Break,
    Escalate,
    Hold,
    Recycle,
    Restart,
    Resume,
    RollBack,
    Scope,
    SetAside,
    Stop,
    Throttle,
)
from treewarden.supervisor.core.case import Case
from treewarden.supervisor.core.context import Context
from treewarden.supervisor.core.grid import grid
from treewarden.supervisor.core.guards import forbids, forced
from treewarden.supervisor.core.incident import Incident
from treewarden.supervisor.core.ladder import ROWS
from treewarden.supervisor.core.rules import Row, check_rules, declined, options, strength
from treewarden.supervisor.core.signal import Recovered
from treewarden.supervisor.core.symptom import Kind, Risk

from .cases import PATH, case


@cache
def whole_grid() -> tuple[Case, ...]:
    """Made with the first test that asks: each process that only collects this file would make it as well."""
    return tuple(grid())


def few() -> tuple[Case, ...]:
    return whole_grid()[::37]


def always(_context: Context, _incident: Incident) -> bool:
    return True


def row(
    action: Action,
    *kinds: Kind,
    when: Callable[[Context, Incident], bool] = always,
    name: str = "row",
) -> Row:
    def then(_case: Case, _context: Context) -> Action:
        return action

    return Row(name, frozenset(kinds), when, "something", type(action), then, "does", "reason", "next")


@frozen
class AtRisk:
    """A row's condition: exactly this risk, which is how tables come to answer a higher one with less."""

    risks: tuple[Risk, ...]

    def __call__(self, context: Context, _incident: Incident) -> bool:
        return context.risk in self.risks


def test_the_ladder_is_sound() -> None:
    assert check_rules(ROWS, whole_grid()) == ()


@pytest.mark.parametrize("index", range(len(ROWS)))
def test_a_row_below_one_that_takes_all_is_found(index: int) -> None:
    """Each row of the ladder, moved behind a row that answers everything of its kinds."""
    shadow = evolve(ROWS[index], when=always, name="shadow")
    broken = (*ROWS[:index], shadow, *ROWS[index:])
    assert any(f"row {index + 1} ({ROWS[index].name}) answers nothing" in found for found in check_rules(broken, few()))


def test_a_row_that_hard_rules_never_let_through_is_found() -> None:
    broken = (row(Resume(), Kind.CRASH), row(Throttle(1.0), Kind.RATE_LIMITED))
    (found,) = check_rules(broken, few())
    assert found.startswith("row 0 (row) answers nothing")
    over = Recovered(path=PATH, at=1.0, kind="slow")
    (found,) = check_rules((row(Resume(), Kind.RECOVERED),), [case(over)])
    assert found.startswith("row 0 (row) answers nothing")


def test_a_higher_risk_that_gets_less_is_found() -> None:
    broken = (
        row(Break("api", 5.0), Kind.REPORTED, when=AtRisk((Risk.HIGH,)), name="high"),
        row(Resume(), Kind.REPORTED, name="any"),
    )
    (found,) = check_rules(broken, few())
    assert found == "row 1 (any) answers reported:slow at risk critical with less than row 0 (high) at risk high"


def test_a_higher_risk_that_gets_nothing_is_found() -> None:
    broken = (row(Restart(), Kind.STALLED, when=AtRisk((Risk.LOW, Risk.MEDIUM))),)
    (found,) = check_rules(broken, few())
    assert found == "row 0 (row) answers stalled at risk medium, and no row does at the next higher risk"


def test_a_table_that_grows_with_risk_is_sound() -> None:
    sound = (
        row(Restart(Scope.ALL), Kind.STALLED, when=AtRisk((Risk.CRITICAL,))),
        row(Restart(), Kind.STALLED, when=AtRisk((Risk.MEDIUM, Risk.HIGH))),
        row(Resume(), Kind.STALLED),
    )
    assert check_rules(sound, few()) == ()


def test_how_far_actions_go() -> None:
    weakest_first: list[Action] = [
        Resume(),
        Throttle(1.0),
        Recycle(),
        Restart(),
        Restart(Scope.REST),
        Restart(Scope.ALL),
        SetAside("m"),
        RollBack(),
        Break("api", 1.0),
        Hold("?"),
        Stop(),
        Escalate(),
    ]
    assert sorted(weakest_first, key=strength) == weakest_first
    assert len({strength(action) for action in weakest_first}) == len(weakest_first)


def test_the_grid_holds_what_rows_look_at() -> None:
    given_cases = whole_grid()
    assert 1_000 < len(given_cases) < 50_000
    assert {given.context.kind for given in given_cases} == set(Kind) - {Kind.RECOVERED, Kind.OPERATOR, Kind.UNANSWERED}
    assert {given.context.risk for given in given_cases} == set(Risk)
    assert all(given.incident.signals >= 1 and given.signal.path == given.incident.path for given in given_cases)


def test_the_rows_of_the_ladder_make_what_they_say() -> None:
    for given in few():
        if forced(given, escalates=True) is None and given.context.kind is not Kind.ACTION_FAILED:
            fit = options(ROWS, given)
            assert fit
            assert any(not forbids(given, option.action) for option in fit)
            names = {each.name: each for each in ROWS}
            assert all(type(option.action) is names[option.rule].act for option in fit)


def test_what_does_not_fit_says_what_it_needs() -> None:
    table = (
        row(Hold("?"), Kind.CRASH, when=lambda context, incident: context.failed > 3, name="ask"),
        row(Stop(), Kind.STALLED, name="other"),
        row(Restart(), Kind.CRASH),
    )
    assert [option.rule for option in options(table, case())] == ["row"]
    assert [(other.action, other.why) for other in declined(table, case())] == [("hold", "needs something")]
