"""What would change a decision: applied, each change does change it, and one that is smaller does not."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from treewarden.supervisor.core.believer import belief
from treewarden.supervisor.core.confidence import Belief
from treewarden.supervisor.core.decision import decide, to_event
from treewarden.supervisor.core.ladder import ladder
from treewarden.supervisor.core.likelihoods import CAUSES, SHIPPED
from treewarden.supervisor.core.outcomes import Bin, Outcomes
from treewarden.supervisor.core.sway import Question, Turn, question_of, turned, turns
from treewarden.supervisor.core.symptom import Symptom

from .cases import case, exited, failed

ACTIONS = ("restart", "roll_back", "set_aside", "fall_back", "throttle", "break", "hold")
questions = st.builds(
    Question,
    st.lists(st.floats(0.001, 1.0), min_size=len(CAUSES), max_size=len(CAUSES)).map(lambda each: Belief(tuple(each))),
    st.lists(st.sampled_from(list(SHIPPED.comes_with)), max_size=3, unique=True).map(tuple),
    st.just(ACTIONS),
    st.dictionaries(st.sampled_from(ACTIONS), st.integers(1, 3), max_size=2),
    st.booleans(),
)


@settings(max_examples=25)
@given(questions)
def test_each_change_changes_the_decision(question: Question) -> None:
    was = question.answer()
    found = turns(question)
    assert len({turn.kind for turn in found}) == len(found)
    for turn in found:
        assert turned(question, turn).answer() == turn.action != was
    for turn in found:
        if turn.kind == "cost":
            less = evolve(turn, now=turn.was + 0.99 * (turn.now - turn.was))
            assert turned(question, less).answer() == was


def test_what_would_have_to_be_so_for_another_answer() -> None:
    decided = to_event(decide(belief(), case(exited(failed("TypeError")), exited(failed("TypeError")))))
    question = question_of(decided, {"restart": 1})
    assert question is not None
    assert question.symptoms[0] is Symptom.CODE_ERROR
    found = {turn.kind: turn for turn in turns(question)}
    assert found.keys() == {"symptom", "cost", "belief"}
    assert all(turn.action != decided.action for turn in found.values())
    assert found["belief"].now > found["belief"].was


@settings(max_examples=25)
@given(questions)
def test_what_could_not_be_seen_yet_would_change_nothing(question: Question) -> None:
    found = {turn.name for turn in turns(evolve(question, symptoms=(), first=True)) if turn.kind == "symptom"}
    assert not found & {"refail_fast", "nothing_settled"}


def test_a_symptom_that_goes_comes_back() -> None:
    question = Question(Belief(), (Symptom.REFAIL_FAST,), ACTIONS)
    turn = Turn("symptom", "refail_fast", 1.0, 0.0, "", 0.0)
    gone = turned(question, turn)
    assert gone.symptoms == ()
    back = turned(gone, turn)
    assert back.symptoms == question.symptoms
    pairs = zip(back.belief.causes.items(), question.belief.causes.items(), strict=True)
    assert all(abs(one - other) < 1e-9 for (_, one), (_, other) in pairs)


def test_of_a_table_nothing_is_computed() -> None:
    assert question_of(to_event(decide(ladder(), case()))) is None


def test_the_bin_of_a_number() -> None:
    assert Outcomes().bin(0.5) == Bin(0.5, 0.6, 0.0, 0.0)
    assert Outcomes().bin(1.0).low == 0.9
    assert Outcomes().bin(0.5).rate == 0.0
