"""Every event as a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from treewarden.agents.core.path import ROOT
from treewarden.supervisor.core.event import EVENTS, Event, OutcomeObserved, Recorded, TreeOpened
from treewarden.supervisor.ops.event_text import action_text, event_style, event_text, path_of
from treewarden.supervisor.ops.wording import Paint

from .samples import CRASHED, FIXED, OPENED, TEXTS, WRITER


@pytest.mark.parametrize(("event", "text"), TEXTS)
def test_an_event_in_words(event: Event, text: str) -> None:
    assert event_text(event) == text


def test_there_are_words_for_every_event() -> None:
    assert {type(event) for event, _ in TEXTS} == set(EVENTS.values())


def test_a_text_from_outside_commands_nothing() -> None:
    assert event_text(Recorded(path=WRITER, kind="Checked", facts={"body": "\x1b]0;owned\x07\n"})).isprintable()


def test_what_an_event_is_about() -> None:
    assert (path_of(CRASHED), path_of(OPENED)) == (WRITER, ROOT)


@pytest.mark.parametrize(
    ("action", "details", "text"),
    [
        ("restart", {"scope": "one", "after": 0.0}, "restart at once"),
        ("restart", {"scope": "rest", "after": 2.0}, "restart with those started after it in 2 s"),
        ("restart", {"scope": "all", "after": 2.0}, "restart with all its siblings in 2 s"),
        ("roll_back", {"steps": 2, "after": 0.5}, "roll back 2 checkpoints in 0.5 s"),
        ("throttle", {"seconds": 12.0}, "throttle for 12 s"),
        ("break", {"dependency": "db", "seconds": 30.0}, "leave db alone for 30 s"),
        ("set_aside", {"message": "t-7", "after": 0.0}, "set t-7 aside, restart at once"),
        ("hold", {"question": "Start it?"}, "hold and ask: Start it?"),
        ("escalate", {"reason": "intensity"}, "escalate: intensity"),
        ("recycle", {}, "recycle"),
        ("page_somebody", {"who": "me"}, "page somebody"),
        ("restart", {}, "restart"),
    ],
)
def test_an_action_in_words(action: str, details: Mapping[str, Any], text: str) -> None:
    assert action_text(action, details) == text


def test_every_event_has_a_colour_that_there_is() -> None:
    for event, _ in TEXTS:
        Paint(True)("x", event_style(event))
    assert event_style(CRASHED) == "bad"
    assert (event_style(FIXED), event_style(TreeOpened(epoch=1, holder="", version=""))) == ("good", "good")
    unknown = OutcomeObserved(path=WRITER, incident="1", action="restart", kind="crash", outcome="unobserved")
    assert event_style(unknown) == ""
