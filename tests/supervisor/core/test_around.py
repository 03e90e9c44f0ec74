"""A policy around another one decides as that one does, and says all of it that others ask about."""

from __future__ import annotations

from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from treewarden.supervisor.core.around import Around
from treewarden.supervisor.core.believer import belief
from treewarden.supervisor.core.case import Case
from treewarden.supervisor.core.decision import Policy, decide, is_paced, looks_back, to_event
from treewarden.supervisor.core.ladder import ladder
from treewarden.supervisor.core.policies import akka, kubernetes, otp

from .cases import Wants, cases


@frozen
class Beside(Around):
    policy: Policy


policies: st.SearchStrategy[Policy] = st.sampled_from([otp(), kubernetes(), akka(), ladder(), belief(), Wants(())])


@given(policies, cases())
def test_it_decides_and_explains_as_the_one_inside_does(policy: Policy, case: Case) -> None:
    assert to_event(decide(Beside(policy), case)) == to_event(decide(policy, case))


@given(policies, cases())
def test_it_says_all_that_the_one_inside_says(policy: Policy, case: Case) -> None:
    around = Beside(policy)
    says = ("name", "counts_alike", "escalates", "stable_after")
    assert [getattr(around, each) for each in says] == [getattr(policy, each) for each in says]
    assert is_paced(around) == is_paced(policy)
    assert looks_back(around, case.signal) == looks_back(policy, case.signal)
    assert around.declined(case) == policy.declined(case)
