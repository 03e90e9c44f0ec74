"""A whole run as plain lines and as JSON Lines, from its header to its summary."""

from __future__ import annotations

import json
import math
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.path import Path
from treewarden.supervisor.core.event import Event, Recorded
from treewarden.supervisor.ops.console import Opening, PlainView
from treewarden.supervisor.ops.jsonlines import JsonView, event_line, plain_data
from treewarden.supervisor.ops.summary_text import Ending, summary_lines
from treewarden.supervisor.views.summary import Summary, fold

from .samples import (
    AGAIN,
    CLOSED,
    CRASHED,
    FIXED,
    INCIDENT,
    NIGHT,
    OPENED,
    RESTART,
    STARTED,
    TEXTS,
    UNLUCKY,
    WRITER,
    history,
    slot,
)

RUN = history(OPENED, STARTED, CRASHED, INCIDENT, RESTART, AGAIN, FIXED, CLOSED)
OPENING = Opening(
    name="desk", file="desk.toml", journal="my desk.db", version="0.1.0", at=NIGHT, pid=7, epoch=3, head=12,
    after_crash=True,
)  # fmt: skip
ENDING = Ending(
    name="desk", journal="my desk.db", sentence="ended in order (SIGINT)", seconds=75.3, handled=41, head=20,
    summary=fold(Summary(), RUN),
)  # fmt: skip
SLOTS = (slot("desk", supervisor=True), slot("desk/writer", SlotState.RESTARTING, restarts=1))


def test_plain_lines_from_the_first_to_the_last() -> None:
    view = PlainView()
    text = view.opened(OPENING, SLOTS) + view.frame(SLOTS) + view.told(RUN[:2]) + view.notice("a\tb\nc") + view.told([])
    assert text.splitlines() == [
        "2026-11-21 00:00:00  desk runs; journal my desk.db, goes on after 12 events, after a process that did "
        "not close it",
        "slot      state       life  restarts  mailbox  handled",
        "desk      up",
        "  writer  restarting     2         1        0        7",
        "Ctrl-C stops it in order; a second one forces.",
        "a b",
        "c",
    ]
    assert view.told(RUN[2:]).splitlines()[0] == "2026-11-21 00:00:04  desk/writer  incident 1.1"
    assert view.closed(ENDING).splitlines() == [
        "desk ran 1 min 15 s: ended in order (SIGINT)",
        "  lives       2, 1 restart, 1 failure",
        "  incidents   1 opened; over: fixed 1",
        "  decisions   restart 1",
        "  outcomes    fixed 1",
        "  messages    41 handled, 0 returned, 0 dead letters",
        "  journal     my desk.db, 20 events",
        "  look at it  treewarden tree 'my desk.db' · treewarden why 'my desk.db' desk/writer",
    ]


def test_a_tree_that_did_not_begin_has_no_table() -> None:
    text = PlainView().opened(evolve(OPENING, head=0, after_crash=False), ())
    assert text == "2026-11-21 00:00:00  desk runs; journal my desk.db, new\n"


def test_a_summary_says_what_is_unusual() -> None:
    summary = Summary(
        decisions={"roll_back": 2},
        gave_up=1,
        rolled_back=2,
        reloads=3,
        returned=1,
        dead={WRITER: 2},
        recorded={"Checked": 5},
        incidents={WRITER: 1, Path("desk/outbox"): 4},
    )
    text = "\n".join(summary_lines(evolve(ENDING, summary=summary, exit_code=1)))
    for part in (
        "gave up     1 supervisor",
        "rollbacks   2",
        "decisions   roll back 2",
        "reloads     3",
        "41 handled, 1 returned, 2 dead letters (desk/writer 2)",
        "recorded    Checked 5",
        "incidents   5 opened",
        "why 'my desk.db' desk/outbox",
    ):
        assert part in text
    assert "incidents   none" in "\n".join(summary_lines(evolve(ENDING, summary=Summary())))


def test_json_lines_from_the_header_to_the_summary() -> None:
    view = JsonView()
    text = view.opened(OPENING, SLOTS) + view.told(RUN) + view.notice("read again") + view.closed(ENDING)
    first, *events, notice, last = [json.loads(line) for line in text.splitlines()]
    assert first == {
        "type": "header",
        "format": 1,
        "treewarden": "0.1.0",
        "tree": "desk",
        "file": "desk.toml",
        "journal": "my desk.db",
        "at": NIGHT,
        "pid": 7,
        "epoch": 3,
        "head": 12,
        "after_crash": True,
        "slots": ["desk", "desk/writer"],
    }
    assert [(each["type"], each["seq"], each["kind"]) for each in events] == [
        ("event", record.seq, type(record.event).__name__) for record in RUN
    ]
    assert notice == {"type": "notice", "text": "read again"}
    assert (last["type"], last["exit"], last["lives"], last["handled"]) == ("summary", 0, 2, 41)
    assert (last["decisions"], last["incidents_by_slot"]) == ({"restart": 1}, {"desk/writer": 1})
    assert view.frame(SLOTS) == ""


@pytest.mark.parametrize("event", [event for event, _ in TEXTS])
def test_every_event_is_one_line_with_the_same_keys(event: Event) -> None:
    (record,) = history(event)
    line = event_line(record)
    assert line.endswith("\n")
    assert "\n" not in line[:-1]
    read = json.loads(line)
    assert list(read) == ["type", "seq", "at", "epoch", "kind", "path", "data"]
    assert read["path"] == getattr(event, "path", None)
    assert "path" not in read["data"]


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (math.inf, None),
        (math.nan, None),
        (1.5, 1.5),
        (True, True),
        ((1, [2]), [1, [2]]),
        ({1: {"a"}}, {"1": ["a"]}),
        (SlotState.UP, "up"),
        (timedelta(seconds=1), "0:00:01"),
        ("\ud800", "?"),
        (UNLUCKY, {"type": "ValueError", "text": "unlucky", "fingerprint": "", "where": "desk.py:41 in add",
                   "message": "t-7", "message_kind": "Add", "trace": "", "after": None, "unborn": False, "parts": []}),
    ],
)  # fmt: skip
def test_whatever_there_is_has_a_form_in_json(value: Any, plain: Any) -> None:
    assert plain_data(value) == plain


def test_what_a_user_recorded_goes_through() -> None:
    (record,) = history(Recorded(path=WRITER, kind="Checked", facts={"ms": 12, "body": "\u2028é\n"}))
    assert json.loads(event_line(record))["data"]["facts"] == {"ms": 12, "body": "\u2028é\n"}
