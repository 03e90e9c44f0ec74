"""Incidents, by histories written out."""

from __future__ import annotations

from hypothesis import given

from treewarden.agents.core.path import Path
from treewarden.supervisor.core.event import (
    ChildStarted,
    DeadLettered,
    Decided,
    IncidentClosed,
    IncidentOpened,
    OutcomeObserved,
    SupervisorEnded,
    TreeClosed,
    TreeOpened,
    TreeReloaded,
)
from treewarden.supervisor.journal.port import Record
from treewarden.supervisor.views.incidents import Incidents, fold

from .histories import decided, histories, records

WRITER, OUTBOX = Path("desk/writer"), Path("desk/outbox")
OPENED = IncidentOpened(path=WRITER, incident="1.1", kind="crash", text="crashed: ValueError")
RESTART = decided(WRITER, "restart")
FIXED = OutcomeObserved(path=WRITER, incident="1.1", action="restart", kind="crash", outcome="fixed")
CLOSED = IncidentClosed(path=WRITER, incident="1.1", outcome="fixed")


def test_a_story_from_its_beginning_to_its_end() -> None:
    story = fold(Incidents(), records(OPENED, RESTART, FIXED, CLOSED)).stories["1.1"]
    assert (story.path, story.kind, story.text, story.opened_at) == (WRITER, "crash", "crashed: ValueError", 100.0)
    assert [(line.seq, line.at, line.event) for line in story.lines] == [(2, 101.0, RESTART), (3, 102.0, FIXED)]
    assert (story.closed_at, story.outcome, story.open) == (103.0, "fixed", False)


def test_a_story_goes_on_until_it_is_closed() -> None:
    story = fold(Incidents(), records(OPENED, RESTART)).stories["1.1"]
    assert (story.open, story.closed_at, story.outcome) == (True, None, "")


def test_what_happens_to_the_slot_meanwhile_belongs_to_it() -> None:
    dead = DeadLettered(path=WRITER, message="m", kind="Add", reason="given up")
    elsewhere = DeadLettered(path=OUTBOX, message="m", kind="Add", reason="given up")
    again = ChildStarted(path=WRITER, incarnation=2)
    told = fold(Incidents(), records(dead, OPENED, elsewhere, again, dead, CLOSED, dead))
    assert [line.seq for line in told.stories["1.1"].lines] == [5]


def test_the_end_of_the_process_cuts_a_story() -> None:
    told = fold(Incidents(), records(OPENED, RESTART, TreeOpened(epoch=2, holder="h", version="1")))
    assert (told.stories["1.1"].cut, told.stories["1.1"].open, dict(told.current)) == (True, False, {})


def test_the_end_of_a_part_of_the_tree_cuts_the_stories_of_who_lived_there() -> None:
    desk, other = Path("desk"), IncidentOpened(path=Path("other"), incident="1.2", kind="crash")
    above = IncidentOpened(path=desk, incident="1.3", kind="gave_up")
    again = IncidentOpened(path=WRITER, incident="1.4", kind="crash")
    for end in (SupervisorEnded(path=desk, incarnation=1, reason="killed"), TreeReloaded(removed=(WRITER,))):
        told = fold(Incidents(), records(OPENED, RESTART, other, above, end, again))
        assert {id: story.open for id, story in told.stories.items()} == {
            "1.1": False, "1.2": True, "1.3": True, "1.4": True,
        }  # fmt: skip
        assert told.stories["1.1"].cut_with == (desk if isinstance(end, SupervisorEnded) else WRITER)
        assert fold(fold(Incidents(), records(OPENED, RESTART)), records(end)).current == {}


def test_a_story_whose_beginning_is_missing_is_told_all_the_same() -> None:
    story = fold(Incidents(), records(RESTART, FIXED, CLOSED)).stories["1.1"]
    assert (story.path, story.kind, len(story.lines), story.outcome) == (WRITER, "", 2, "fixed")


def test_the_oldest_stories_are_forgotten() -> None:
    opened = [IncidentOpened(path=WRITER, incident=f"1.{n}", kind="crash") for n in range(5)]
    told = fold(Incidents(keep=2), records(*opened))
    assert (list(told.stories), told.forgotten) == (["1.3", "1.4"], 3)


def test_an_open_story_is_forgotten_last() -> None:
    opened = [IncidentOpened(path=Path(f"desk/{n}"), incident=f"1.{n}", kind="crash") for n in range(4)]
    closed = [IncidentClosed(path=Path(f"desk/{n}"), incident=f"1.{n}", outcome="fixed") for n in (1, 2)]
    told = fold(Incidents(keep=3), records(*opened[:3], *closed, opened[3]))
    assert list(told.stories) == ["1.0", "1.2", "1.3"]
    assert fold(Incidents(keep=1), records(*opened)).forgotten == 3


def test_a_long_story_keeps_its_latest_lines() -> None:
    story = fold(Incidents(), records(OPENED, *[RESTART] * 250)).stories["1.1"]
    assert (len(story.lines), story.skipped, story.lines[-1].seq) == (200, 50, 251)


def test_as_many_lines_are_kept_as_are_asked_for() -> None:
    told = [*records(OPENED, *[RESTART] * 250)]
    everything = fold(fold(Incidents(lines=1000), told[:100]), told[100:]).stories["1.1"]
    assert (len(everything.lines), everything.skipped, len(everything.told), everything.untold) == (250, 0, 250, 0)
    few = fold(fold(Incidents(lines=7), told[:100]), told[100:]).stories["1.1"]
    assert (few.lines, few.skipped) == (everything.lines[-7:], 243)
    assert (few.told, few.untold) == (everything.told[-7:], 243)


def test_an_incident_that_a_damaged_file_gives_to_two_slots_is_forgotten_by_both() -> None:
    opened = [
        IncidentOpened(path=Path(path), incident=id, kind="crash") for path, id in (("a", "1"), ("b", "1"), ("c", "2"))
    ]
    told = fold(Incidents(keep=1), records(*opened, TreeClosed(reason="stopped in order")))
    assert set(told.stories) == {"2"}
    assert not told.current


@given(histories)
def test_it_stays_within_its_bound(history: list[Record]) -> None:
    told = fold(Incidents(keep=2), history)
    assert len(told.stories) <= 2
    assert set(told.current.values()) <= set(told.stories)


@given(histories)
def test_no_decision_of_an_incident_is_left_out(history: list[Record]) -> None:
    history = [record for record in history if not isinstance(record.event, IncidentOpened)]  # ids do not come twice
    told = fold(Incidents(), history)
    decisions = {record.seq for record in history if isinstance(record.event, Decided) and record.event.incident}
    assert decisions <= {line.seq for story in told.stories.values() for line in story.lines}
