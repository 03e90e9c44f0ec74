"""A decision whose grounds are worked out when somebody looks at them."""

from __future__ import annotations

import copy
from operator import attrgetter

import attrs
import pytest

from treewarden.agents.core.path import Path
from treewarden.supervisor.core.event import Decided
from treewarden.supervisor.journal.event_codec import decode_event, encode_event

DECIDED = Decided(path=Path("a"), incident="1.1", action="restart", confidence=0.5, policy="otp", rule="restart")


class Work:
    """Says how often it was asked."""

    def __init__(self, *faults: Exception) -> None:
        self.done = 0
        self.faults = list(faults)

    def __call__(self, of: str) -> Decided:
        assert of == "what it is about"
        self.done += 1
        if self.faults:
            raise self.faults.pop(0)
        return DECIDED


def later_of(work: Work) -> Decided:
    return Decided.later(work, "what it is about")


@pytest.mark.parametrize("event", [DECIDED, later_of(Work())], ids=["made", "later"])
def test_what_it_does_not_have_is_said_as_python_says_it(event: Decided) -> None:
    """It was `AttributeError: decision`, from a file that nobody knows."""
    with pytest.raises(AttributeError) as caught:
        attrgetter("decision")(event)
    assert str(caught.value) == "'Decided' object has no attribute 'decision'"


def test_it_is_worked_out_once_when_somebody_looks() -> None:
    work = Work()
    later = later_of(work)
    assert type(later) is Decided
    assert work.done == 0
    assert later.path == "a"
    assert later == DECIDED
    assert (repr(later), attrs.asdict(later)) == (repr(DECIDED), attrs.asdict(DECIDED))
    assert work.done == 1


def test_it_is_a_value_like_any_other() -> None:
    assert later_of(Work()) == DECIDED
    assert attrs.evolve(later_of(Work()), rule="another").rule == "another"
    assert copy.copy(later_of(Work())) == DECIDED
    kind, version, body = encode_event(later_of(Work()))
    assert decode_event(kind, version, body) == DECIDED


def test_it_has_no_fields_that_it_should_not_have() -> None:
    later = later_of(Work())
    assert getattr(later, "unknown", None) is None
    with pytest.raises(AttributeError):
        _ = later.unknown  # type: ignore[attr-defined]
    assert later == DECIDED


def test_a_fault_of_the_work_comes_out_where_somebody_looks_and_hides_nothing() -> None:
    later = later_of(Work(LookupError("a bug in the policy")))
    with pytest.raises(LookupError):
        later.work_out()
    assert later.action == "restart"
