"""What a decision rested on: the observed cases behind its number, and what would have changed it."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.core.path import Path
from treewarden.supervisor.core.event import Decided, OutcomeObserved, RejectedOption
from treewarden.supervisor.core.outcomes import Bin
from treewarden.supervisor.core.plan import COSTS
from treewarden.supervisor.journal.port import Record
from treewarden.supervisor.views.grounds import Ground, Grounds, as_data, fold, ground_lines

from .histories import decided, histories, records

WRITER = Path("desk/writer")
WEIGHED = evolve(
    decided(WRITER, "throttle"),
    rule="expected cost",
    model=0.7,
    symptoms=("connection",),
    causes={"transient": 0.75, "dependency_down": 0.2, "overload": 0.05},
    rejected=tuple(RejectedOption(action=name, confidence=0.1, why="dearer") for name in ("restart", "break", "hold")),
)


def outcome(result: str, incident: str = "1.1") -> OutcomeObserved:
    return OutcomeObserved(
        path=WRITER, incident=incident, action="restart", kind="crash", outcome=result, confidence=0.7, model=0.7
    )


def ground(*events: Decided | OutcomeObserved) -> Ground:
    return fold(Grounds(), records(*events)).last["1.1"]


def test_the_bin_is_of_what_was_known_then() -> None:
    before = [outcome("fixed", "1.0"), outcome("failed", "1.0"), outcome("unobserved", "1.0")]
    found = ground(*before, WEIGHED, outcome("fixed"))
    assert (found.seq, round(found.bin.cases, 3), round(found.bin.rate, 3)) == (4, 2.0, 0.5)
    assert ground_lines(found)[0] == (
        "bin", "of numbers from 0.70 to 0.80 before calibration: 2 cases, 0.50 of them fixed",
    )  # fmt: skip
    assert "calibration: 1 case, 1.00 of them" in ground_lines(ground(before[0], WEIGHED))[0][1]
    assert ground(WEIGHED).bin == Bin(0.7, 0.8, 0.0, 0.0)
    assert ground_lines(ground(WEIGHED))[0][1].endswith("no case observed")


def test_what_would_change_it_is_computed_and_told() -> None:
    found = ground(WEIGHED)
    assert {turn.kind for turn in found.turns} == {"symptom", "cost", "belief"}
    label, *others = [label for label, _ in ground_lines(found)[1:]]
    assert (label, others) == ("otherwise", ["", ""])
    told = as_data(found)
    assert [each["kind"] for each in told["would_change"]] == ["symptom", "cost", "belief"]
    cost = told["would_change"][1]
    assert cost["was"] == COSTS[cost["name"]]


def test_what_failed_before_belongs_to_the_question() -> None:
    again = fold(Grounds(), records(WEIGHED, outcome("failed"), WEIGHED, outcome("failed", "1.9"))).last["1.1"]
    assert again.failed == {"restart": 1}


@given(histories, st.integers(0, 40), st.integers(1, 3))
def test_folding_in_two_parts_is_folding_at_once(history: list[Record], cut: int, keep: int) -> None:
    grounds = Grounds(keep=keep)
    assert fold(fold(grounds, history[:cut]), history[cut:]) == fold(grounds, history)
    assert len(fold(grounds, history).last) <= keep
