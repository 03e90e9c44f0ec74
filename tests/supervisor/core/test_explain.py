"""A decision in words, from the journal's fact alone."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given

from treewarden.supervisor.core.case import Case
from treewarden.supervisor.core.decision import decide, to_event
from treewarden.supervisor.core.event import Decided, OutcomeObserved
from treewarden.supervisor.core.explain import explain, sentence
from treewarden.supervisor.core.ladder import ladder
from treewarden.supervisor.core.outcomes import Outcomes, learn
from treewarden.supervisor.core.policies import otp

from .cases import PATH, case, cases, exited, failed

POISONED = [exited(failed(message="m7"), deliveries=n) for n in (1, 2)]

CHAIN = """\
desk/a  incident i1
  signal      crashed: ValueError: unlucky (desk.py:12 in add), handling Add
  context     crash, refail_fast, same_message 2/2, nothing_settled_since_restore x2
              risk low, pressure 0.34
  confidence  0.68 that this ends the incident (confidence not calibrated; 0 cases observed)
              probably poison_message 0.67, bad_state 0.27, bad_version 0.03
  decision    set_aside(message=m7, after=2)  by 'poison message' of ladder
  because     this message ended its agent each time it was tried
              1 attempt of this incident did not help
              no sibling fails in the same way
              the message in hand has used up 2 of 2 deliveries
              2 lives in a row settled nothing, always with the same message
  not         restart 0.34: 'poison message' comes first
              fall_back 0.47: needs code changed in the last ten minutes and a code error or a failed attempt; a variant
              throttle 0.34: needs an overload, or a timeout with a growing queue or a failed attempt
              break 0.45: needs ten siblings, or three and half of all, failing in the same way
              roll_back 0.49: needs 2 lives or starts in a row that settled nothing, not by one message;\
 a checkpoint (4 lives without)
              hold 0.83: needs every earlier state tried
  next        restart, then roll back"""


def outcome(result: str) -> OutcomeObserved:
    return OutcomeObserved(
        path=PATH, incident="i0", action="restart", kind="crash", outcome=result, confidence=0.7, model=0.7
    )


def test_the_whole_chain_of_one_decision() -> None:
    assert explain(to_event(decide(ladder(), case(*POISONED)))) == CHAIN


def test_it_says_how_many_cases_a_number_rests_on() -> None:
    outcomes = Outcomes()
    for at, result in enumerate(("fixed", "failed", "failed", "failed")):
        outcomes = learn(outcomes, outcome(result), 100.0 * at)
    text = explain(to_event(decide(otp(), case(outcomes=outcomes))))
    assert "0.52 that this ends the incident (confidence not calibrated; 4 cases observed, 0.72 before them)" in text
    one = learn(Outcomes(), outcome("fixed"), 0.0)
    assert "1 case observed, 0.72 before it)" in explain(to_event(decide(otp(), case(outcomes=one))))


def test_it_says_when_a_number_has_been_earned() -> None:
    fact = evolve(to_event(decide(otp(), case())), calibrated=True, evidence=41.2)
    assert "(calibrated; 41.2 cases observed, 0.72 before them)" in explain(fact)


def test_one_line_for_a_log() -> None:
    line = sentence(to_event(decide(ladder(), case(*POISONED))))
    assert line == (
        "desk/a crashed: ValueError: unlucky (desk.py:12 in add), handling Add -> set_aside(message=m7, after=2): "
        "this message ended its agent each time it was tried"
    )


def test_the_barest_fact() -> None:
    fact = Decided(path=PATH, incident="", action="stop", confidence=1.0, policy="otp", rule="not restarted")
    assert explain(fact) == (
        "desk/a\n"
        "  context     nothing in particular\n"
        "              risk low, pressure 0.00\n"
        "  confidence  1.00 that this ends the incident (confidence not calibrated; 0 cases observed)\n"
        "  decision    stop  by 'not restarted' of otp"
    )
    assert sentence(fact) == "desk/a  -> stop: not restarted"


@given(cases())
def test_any_decision_can_be_read(given: Case) -> None:
    lines = explain(to_event(decide(ladder(), given))).split("\n")
    words = [line[2:14].strip() for line in lines[1:]]
    assert [word for word in words if word] == [
        word for word in ("signal", "context", "confidence", "decision", "because", "not", "next") if word in words
    ]
    assert {"signal", "context", "confidence", "decision", "because"} <= set(words)
    assert all(line == line.rstrip() for line in lines)
