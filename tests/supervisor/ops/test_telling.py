"""A run as it is told, and an incident as it is told afterwards."""

from __future__ import annotations

from attrs import evolve

from treewarden.agents.core.path import Path
from treewarden.supervisor.core.event import (
    DeadLettered,
    IncidentClosed,
    Recorded,
    RolledBack,
    SignalNoted,
    TreeClosed,
    TreeOpened,
)
from treewarden.supervisor.ops.telling import Teller, decision_lines, story_lines
from treewarden.supervisor.ops.wording import Paint, cells
from treewarden.supervisor.views.incidents import Incidents, fold

from .samples import AGAIN, CLOSED, CRASHED, FIXED, INCIDENT, OPENED, RESTART, STARTED, WRITER, history

CHAIN = [
    "  signal      crashed: ValueError: unlucky (desk.py:41 in add), handling Add",
    "  context     crash",
    "              risk low, pressure 0.27",
    "  confidence  0.82 that this ends the incident (confidence not calibrated; 11 cases observed, 0.80 before them)",
    "              probably transient 0.76, leak 0.13",
    "  decision    restart(scope=one, after=0.4)  by 'crash' of ladder",
    "  because     most crashes pass with a fresh start",
    "              no sibling fails in the same way",
    "  not         roll_back 0.55: needs 2 lives in a row that settled nothing",
    "  next        restart after twice the time",
]
RUN = history(OPENED, STARTED, CRASHED, INCIDENT, RESTART, AGAIN, FIXED, CLOSED)


def test_an_incident_from_its_signal_to_its_outcome() -> None:
    assert Teller().tell(RUN) == [
        "2026-11-21 00:00:04  desk/writer  incident 1.1",
        *CHAIN,
        "2026-11-21 00:00:05  desk/writer  up again: life 2, with its state of event 12, attempt 2",
        "2026-11-21 00:00:06  desk/writer  outcome: restart: fixed after 10 s (incident 1.1)",
    ]


def test_it_is_told_the_same_in_parts() -> None:
    teller = Teller()
    assert [line for record in RUN for line in teller.tell([record])] == Teller().tell(RUN)


def test_a_decision_that_repeats_itself_takes_one_line() -> None:
    later = evolve(RESTART, details={"scope": "one", "after": 0.8}, confidence=0.7)
    other = evolve(RESTART, signal="crashed: OSError")
    lines = Teller().tell(history(RESTART, later, other))
    assert lines[len(CHAIN) + 1] == (
        "2026-11-21 00:00:01  desk/writer  incident 1.1  again: restart in 0.8 s, 0.70 (confidence not calibrated)"
    )
    assert len(lines) == 2 * (len(CHAIN) + 1) + 1


def test_an_incident_that_closes_otherwise_than_its_last_decision_says_so() -> None:
    (line,) = Teller().tell(history(IncidentClosed(path=WRITER, incident="1.1", outcome="unobserved", after=3.0)))
    assert line == "2026-11-21 00:00:00  desk/writer  over: incident 1.1: unobserved after 3 s"


def test_what_users_record_and_first_lives_are_not_told() -> None:
    quiet = (
        OPENED,
        STARTED,
        CRASHED,
        INCIDENT,
        Recorded(path=WRITER, kind="Checked", facts={}),
        SignalNoted(path=WRITER, kind="slow"),
        TreeClosed(reason="shutdown"),
        TreeOpened(epoch=4, holder="h", version="1"),
        STARTED,
    )
    assert Teller().tell(history(*quiet)) == []


def test_what_is_lost_or_taken_back_is_told() -> None:
    dead = DeadLettered(path=WRITER, message="t-7", kind="Add", reason="given up")
    assert Teller().tell(history(dead, RolledBack(path=WRITER, to=None))) == [
        "2026-11-21 00:00:00  desk/writer  dead letter: Add t-7: given up",
        "2026-11-21 00:00:01  desk/writer  rolled back: to the state that its class declares",
    ]


def test_a_storm_is_counted() -> None:
    storm = [evolve(RESTART, path=Path(f"desk/{n}"), incident=f"1.{n}") for n in range(50)]
    lines = Teller().tell(history(*storm, step=0.0))
    assert sum("incident" in line for line in lines if line.startswith("2026")) == 12
    assert lines[-1] == "and 38 more decisions at that moment: restart 38"


def test_no_line_is_wider_than_the_terminal() -> None:
    long = evolve(RESTART, because=("because of " * 30,), signal="漢字" * 60, next="x" * 300)
    for width in (30, 60, 100):
        lines = [*Teller().tell(history(long, AGAIN, FIXED), width), *decision_lines(long, width)]
        assert max(map(cells, lines)) <= width


def test_folded_lines_keep_their_column() -> None:
    lines = decision_lines(evolve(RESTART, because=("word " * 40,)), 60)
    begin = lines.index(next(line for line in lines if line.startswith("  because")))
    assert lines[begin + 1].startswith(" " * 14 + "word")


def test_a_text_from_outside_commands_nothing() -> None:
    lines = decision_lines(evolve(RESTART, because=("\x1b[2Jgone\nand more",), next="\x9b31m"), 200)
    assert all(line.isprintable() for line in lines)


def test_a_story_told_afterwards() -> None:
    (story,) = fold(Incidents(), RUN).stories.values()
    assert story_lines(story) == [
        "2026-11-21 00:00:03  desk/writer  incident 1.1  crash: fixed after 4 s",
        "  2026-11-21 00:00:04",
        *CHAIN,
        "  2026-11-21 00:00:06  outcome  restart: fixed after 10 s (incident 1.1)",
    ]


def test_a_story_without_its_end() -> None:
    (story,) = fold(Incidents(), RUN[:5]).stories.values()
    assert story_lines(story)[0].endswith("crash: open")
    (story,) = fold(Incidents(), [*RUN[:5], *history(OPENED)]).stories.values()
    assert story_lines(story)[0].endswith("crash: the tree ended before its outcome was seen")
    assert "3 earlier lines" in story_lines(evolve(story, untold=3))[1]


def test_a_story_that_repeats_itself() -> None:
    (story,) = fold(Incidents(), history(INCIDENT, RESTART, RESTART)).stories.values()
    assert story_lines(story)[-1] == "  2026-11-21 00:00:02  again: restart in 0.4 s, 0.82 (confidence not calibrated)"


def test_colours_change_nothing_else() -> None:
    painted = "\n".join(Teller(Paint(True)).tell(RUN))
    for code in ("\x1b[33m", "\x1b[32m", "\x1b[1m", "\x1b[2m", "\x1b[0m"):
        assert code in painted
        painted = painted.replace(code, "")
    assert painted.split("\n") == Teller().tell(RUN)
