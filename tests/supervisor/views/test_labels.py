"""Labels of incidents: what is taken along to be learned from."""

from __future__ import annotations

import pytest
from attrs import evolve

from treewarden.agents.core.path import Path
from treewarden.supervisor.core.event import IncidentLabelled, IncidentOpened, OutcomeObserved, Tried
from treewarden.supervisor.views.incidents import Incidents, fold
from treewarden.supervisor.views.labels import label_of_story, problem, unlabelled

from .histories import decided, records

WRITER = Path("desk/writer")
OPENED = IncidentOpened(path=WRITER, incident="1.1", kind="crash")
SEEN = evolve(decided(WRITER, "restart"), symptoms=("code_error", "siblings_alike 12/50"))
AGAIN = evolve(decided(WRITER, "roll_back"), symptoms=("reported:slow 0.55", "nothing_settled_since_restore x3"))
FAILED = OutcomeObserved(path=WRITER, incident="1.1", action="restart", kind="crash", outcome="failed")
FIXED = OutcomeObserved(path=WRITER, incident="1.1", action="roll_back", kind="reported:slow", outcome="fixed")
UNSEEN = OutcomeObserved(path=WRITER, incident="1.1", action="restart", kind="crash", outcome="unobserved")


def test_a_label_takes_along_what_was_seen_and_tried() -> None:
    story = fold(Incidents(), records(OPENED, SEEN, UNSEEN, FAILED, AGAIN, FIXED)).stories["1.1"]
    assert label_of_story(story, "bad_state", "ada") == IncidentLabelled(
        path=WRITER,
        incident="1.1",
        cause="bad_state",
        by="ada",
        symptoms=(("code_error", "siblings_alike"), ("reported", "nothing_settled_since_restore")),
        tried=(Tried("restart", "crash", fixed=False), Tried("roll_back", "reported:slow", fixed=True)),
    )
    assert problem(label_of_story(story, "bad_state", "ada")) == ""


def test_the_last_label_counts_and_who_has_one_is_not_asked_for() -> None:
    leak = IncidentLabelled(path=WRITER, incident="1.1", cause="leak", by="ada")
    hang = evolve(leak, cause="hang")
    undecided = IncidentOpened(path=WRITER, incident="1.2", kind="crash")
    told = fold(Incidents(), records(OPENED, SEEN, undecided))
    assert [story.id for story in unlabelled(told)] == ["1.1"]
    told = fold(told, records(leak, hang))
    assert told.stories["1.1"].label == hang
    assert unlabelled(told) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"cause": "rain"}, "there is no cause 'rain'; there is transient, overload, bad_state, "),
        ({"by": ""}, "by is ''; it must be one line"),
        ({"incident": "a\nb"}, "incident is 'a\\nb'; it must be one line"),
        ({"symptoms": (("crash", "rain"),)}, "there is no symptom 'rain'; there is action_failed, bad_state, "),
    ],
)
def test_what_is_no_label_is_refused(changes: dict[str, str], sentence: str) -> None:
    good = IncidentLabelled(path=WRITER, incident="1.1", cause="leak", by="ada", symptoms=(("crash",),))
    assert problem(good) == ""
    assert problem(evolve(good, **changes)).startswith(sentence)
