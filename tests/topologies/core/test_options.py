"""The keys of a TOML file against the specs that they become: both know the same limits and the same defaults."""

from __future__ import annotations

import math
from typing import Any

import pytest
from attrs import fields
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.core.durability import Checkpointed, MailboxSpec
from treewarden.supervisor.core.spec import Backoff, ChildSpec, Intensity, SupervisorSpec
from treewarden.topologies.core.node import REFUSED, Problems, Reader, located, read_fields
from treewarden.topologies.core.options import AGENT, SUPERVISOR

numbers = st.sampled_from([-1, -0.5, 0, 0.5, 1, 1.5, 2, 30, math.inf, -math.inf, math.nan, True, "1"]) | st.floats()


def read(reader: Reader, value: object) -> Any:
    """What the reader makes of `value`; REFUSED only with a problem, and a problem only with REFUSED."""
    problems = Problems()
    found = reader(located(value, "at"), problems)
    assert (found is REFUSED) == (len(problems) > 0)
    return found


def makes(make: type, field: str, value: object) -> bool:
    try:
        make(**{field: value})
    except (ValueError, TypeError):
        return False
    return True


LIMITS = [
    ("restarts", Intensity, "max_restarts"),
    ("restarts", Intensity, "within"),
    ("backoff", Backoff, "first"),
    ("backoff", Backoff, "factor"),
    ("backoff", Backoff, "most"),
    ("backoff", Backoff, "jitter"),
]


@pytest.mark.parametrize(("key", "make", "field"), LIMITS)
@given(value=numbers)
def test_both_have_the_same_limits(key: str, make: type, field: str, value: object) -> None:
    found = read(AGENT[key], {field: value})
    assert (found is not REFUSED) == makes(make, field, value)
    if found is not REFUSED:
        assert found == make(**{field: value})


@pytest.mark.parametrize("key", ["start_within", "progress_within", "stable_after"])
@given(value=numbers)
def test_an_agent_has_the_same_limits(key: str, value: Any) -> None:
    found = read(AGENT[key], value)
    try:
        ChildSpec(id="a", agent=dict, **{key: value})
    except ValueError:
        assert found is REFUSED
    else:
        assert found == value


@pytest.mark.parametrize("field", ["capacity", "deliveries"])
@given(value=st.integers(-3, 3))
def test_a_mailbox_has_the_same_limits(field: str, value: int) -> None:
    assert (read(AGENT["mailbox"], {field: value}) is not REFUSED) == makes(MailboxSpec, field, value)


@given(st.dictionaries(st.sampled_from(["messages", "seconds"]), numbers))
def test_a_durability_that_is_read_can_be_made(interval: dict[str, Any]) -> None:
    found = read(AGENT["mailbox"], {"durability": interval})
    if found is not REFUSED:
        assert found == MailboxSpec(durability=Checkpointed(**interval))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5), below, max_size=3),
    max_leaves=5,
)


@given(anything, st.sampled_from([*AGENT.values(), *SUPERVISOR.values()]))
def test_no_value_makes_a_reader_fail(value: object, reader: Reader) -> None:
    read(reader, value)


@given(st.dictionaries(st.sampled_from([*AGENT, *SUPERVISOR, "colour", "resart"]), anything))
def test_a_problem_stands_where_its_value_does(table: dict[str, object]) -> None:
    problems = Problems()
    given = read_fields(located(table, "at"), {**AGENT, **SUPERVISOR}, "a thing", problems)
    for key in table:
        said = [
            problem
            for problem in problems
            if problem.path.startswith((f"at.{key}.", f"at.{key}[")) or problem.path == f"at.{key}"
        ]
        assert bool(said) == (key not in given)


def test_every_field_can_be_said() -> None:
    not_in_toml = {"id", "agent", "args", "variants", "actions", "outlet", "children", "router", "entry", "topic"}
    assert {each.name for each in fields(ChildSpec)} - not_in_toml == set(AGENT)
    as_child = {"restart", "shutdown", "significant", "stable_after"}
    in_python = {"on_start", "start_within"}  # a function of the program, and its limit
    assert {each.name for each in fields(SupervisorSpec)} - not_in_toml - as_child - in_python == set(SUPERVISOR)
    for key, make in (("mailbox", MailboxSpec), ("backoff", Backoff), ("restarts", Intensity)):
        for each in fields(make):
            assert read(AGENT[key], {each.name: object()}) is REFUSED
        assert read(AGENT[key], {}) == make()


def test_no_default_is_said_twice() -> None:
    assert read_fields(located({}, "at"), {**AGENT, **SUPERVISOR}, "a thing", Problems()) == {}
