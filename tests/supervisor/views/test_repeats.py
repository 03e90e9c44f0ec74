"""Reports that come again and again, as lines that count."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.core.path import Path
from treewarden.supervisor.core.event import Decided, IncidentOpened, OutcomeObserved, SignalNoted
from treewarden.supervisor.ops.telling import story_lines
from treewarden.supervisor.views.incidents import Incidents, Story, fold
from treewarden.supervisor.views.repeats import Repeats, StoryLine

from .histories import records

WRITER = Path("writer")
OPENED = IncidentOpened(path=WRITER, incident="1.1", kind="reported:slow")
VAIN = OutcomeObserved(path=WRITER, incident="1.1", action="resume", kind="reported:slow", outcome="failed")


def noted(kind: str = "slow", severity: float = 0.1, text: str = "") -> SignalNoted:
    return SignalNoted(path=WRITER, kind=kind, severity=severity, text=text)


def decided(action: str = "resume", rule: str = "report", confidence: float = 0.5) -> Decided:
    return Decided(
        path=WRITER, incident="1.1", action=action, rule=rule, policy="ladder", confidence=confidence, signal="said"
    )


def told(*events: IncidentOpened | OutcomeObserved | SignalNoted | Decided) -> Story:
    return fold(Incidents(), records(OPENED, *events)).stories["1.1"]


def shape(story: Story) -> list[str]:
    """A letter for each line: a report, a decision, an outcome, and how often it came again."""
    letters = {"SignalNoted": "n", "Decided": "d", "OutcomeObserved": "o"}
    return [str(line.count) if isinstance(line, Repeats) else letters[type(line.event).__name__] for line in story.told]


def test_a_report_that_comes_again_is_counted_from_the_second_one_on() -> None:
    story = told(
        noted(), decided(), VAIN, noted(severity=0.3), decided(), VAIN, noted(severity=0.2, text="late"),
        decided(confidence=0.1),
    )  # fmt: skip
    assert shape(story) == ["n", "d", "2"]
    assert story_lines(story)[-1].endswith(
        "again: slow 0.20 to 0.30, 2 times more until 1970-01-01 00:01:47, the last: late "
        "-> resume, 0.50 to 0.10 (confidence not calibrated)"
    )
    assert len(story.lines) == 8  # nothing is left out of what programs read


def test_two_that_alternate_are_counted_each() -> None:
    slow, grumpy = (noted(), decided()), (noted("grumpy"), decided())
    assert shape(told(*slow, *grumpy, VAIN, *slow, *grumpy, VAIN, *slow)) == ["n", "d", "n", "d", "2", "1"]


def test_what_is_answered_in_another_way_is_told_and_ends_the_count() -> None:
    mild = (noted(), decided())
    story = told(*mild, VAIN, *mild, VAIN, noted(), decided("throttle"), *mild, *mild, noted(), decided(rule="other"))
    assert shape(story) == ["n", "d", "1", "o", "n", "d", "n", "d", "1", "n", "d"]


def test_an_outcome_that_says_more_is_told() -> None:
    fixed = OutcomeObserved(path=WRITER, incident="1.1", action="resume", kind="reported:slow", outcome="fixed")
    assert shape(told(noted(), decided(), fixed, noted(), decided())) == ["n", "d", "o", "n", "d"]


def test_reports_about_which_nothing_is_decided_are_counted_too() -> None:
    story = told(noted(), decided("hold"), *[noted(text=str(n)) for n in range(5)])
    assert shape(story) == ["n", "d", "n", "3", "n"]
    assert " again: slow 0.10, 3 times more until 1970-01-01 00:01:46, the last: 3" in story_lines(story)[-2]


def test_a_thousand_of_them_push_nothing_out() -> None:
    story = told(noted(), decided(), *(VAIN, noted(), decided()) * 1000)
    assert (shape(story), story.untold) == (["n", "d", "1000"], 0)
    assert (len(story.lines), story.skipped) == (200, 2802)


@given(
    st.lists(
        st.sampled_from((noted(), noted("grumpy"), decided(), decided("restart"), decided(rule="other"), VAIN)),
        max_size=30,
    )
)
def test_no_report_and_no_decision_is_lost(events: list[SignalNoted | Decided | OutcomeObserved]) -> None:
    story = told(*events)
    repeats = [line for line in story.told if isinstance(line, Repeats)]
    lines = [line.event for line in story.told if isinstance(line, StoryLine)]
    reports = sum(isinstance(event, SignalNoted) for event in lines) + sum(line.count for line in repeats)
    decisions = sum(isinstance(event, Decided) for event in lines) + sum(
        line.count for line in repeats if line.decided is not None
    )
    assert reports == sum(isinstance(event, SignalNoted) for event in events)
    assert decisions == sum(isinstance(event, Decided) for event in events)
    assert [event for event in lines if isinstance(event, Decided) and event.action != "resume"] == [
        event for event in events if isinstance(event, Decided) and event.action != "resume"
    ]
