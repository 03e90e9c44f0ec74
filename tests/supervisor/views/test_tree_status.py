"""The tree's status, by histories written out."""

from __future__ import annotations

import pytest
from hypothesis import given

from treewarden.agents.core.exit import Failure
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.path import ROOT, Path
from treewarden.supervisor.core.event import (
    ChildEnded,
    ChildIgnored,
    ChildStarted,
    ChildStartFailed,
    DeadLettered,
    Event,
    IncidentClosed,
    IncidentOpened,
    MessageReturned,
    QuestionAnswered,
    RolledBack,
    SupervisorEnded,
    SupervisorStarted,
    TreeClosed,
    TreeOpened,
    TreeReloaded,
)
from treewarden.supervisor.journal.port import Record
from treewarden.supervisor.views.tree_status import SlotView, TreeStatus, fold

from .histories import decided, histories, records

WRITER, OUTBOX, DESK = Path("desk/writer"), Path("desk/outbox"), Path("desk")
UNLUCKY = Failure("ValueError", "unlucky")
OPENED = TreeOpened(epoch=1, holder="process 7 on h", version="0.1.0")


def started(path: Path, life: int = 1) -> ChildStarted:
    return ChildStarted(path=path, incarnation=life)


def crashed(path: Path, life: int = 1, *, expected: bool = False) -> ChildEnded:
    return ChildEnded(path=path, incarnation=life, exit="failed", failure=UNLUCKY, expected=expected)


def stopped(path: Path, life: int = 1) -> ChildEnded:
    return ChildEnded(path=path, incarnation=life, exit="stopped", reason="shutdown", expected=True)


def seen(*events: Event) -> SlotView:
    """The writer after these events."""
    return fold(TreeStatus(), records(OPENED, started(WRITER), *events)).slots[WRITER]


@pytest.mark.parametrize(
    ("events", "state", "note"),
    [
        ((), SlotState.UP, ""),
        ((crashed(WRITER),), SlotState.DOWN, ""),
        ((crashed(WRITER), decided(WRITER, "restart", after=0.5)), SlotState.RESTARTING, "restart"),
        ((crashed(WRITER), decided(WRITER, "roll_back", after=0.0)), SlotState.RESTARTING, "roll back"),
        ((crashed(WRITER), decided(WRITER, "restart"), started(WRITER, 2)), SlotState.UP, ""),
        ((decided(WRITER, "restart"),), SlotState.UP, "restart"),  # a hang: it lives until it is ended
        ((decided(WRITER, "restart"), crashed(WRITER, expected=True)), SlotState.RESTARTING, "restart"),
        ((crashed(WRITER), decided(WRITER, "hold", question="Start it?")), SlotState.HELD, "held: Start it?"),
        ((crashed(WRITER), decided(WRITER, "break", dependency="db", seconds=5)), SlotState.RESTARTING, "waits for db"),
        ((decided(WRITER, "break", dependency="db", seconds=5),), SlotState.UP, "waits for db"),
        ((decided(WRITER, "throttle", seconds=12.0),), SlotState.UP, "throttled"),
        ((decided(WRITER, "stop"), stopped(WRITER)), SlotState.DOWN, "stopped for good"),
        ((crashed(WRITER), decided(WRITER, "escalate", reason="intensity")), SlotState.DOWN, "handed up: intensity"),
        ((decided(WRITER, "resume"),), SlotState.UP, ""),
        ((ChildEnded(path=WRITER, incarnation=1, exit="finished"),), SlotState.DOWN, "finished"),
        ((ChildIgnored(path=WRITER),), SlotState.DOWN, "ignored its start"),
        ((ChildStartFailed(path=WRITER, failure=UNLUCKY),), SlotState.DOWN, ""),
        ((TreeClosed(reason="shutdown"),), SlotState.DOWN, ""),
        ((decided(WRITER, "throttle", seconds=12.0), TreeClosed(reason="shutdown")), SlotState.DOWN, ""),
        ((RolledBack(path=WRITER, to=41), started(WRITER, 2)), SlotState.UP, "rolled back to checkpoint 41"),
        ((RolledBack(path=WRITER, to=None), started(WRITER, 2)), SlotState.UP, "rolled back to its first state"),
    ],
)
def test_state_and_note(events: tuple[Event, ...], state: SlotState, note: str) -> None:
    slot = seen(*events)
    assert (slot.state, slot.note) == (state, note)


HELD = decided(WRITER, "hold", question="Start it?")
ANSWERED = QuestionAnswered(slot=WRITER, how="it was terminated")


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ((HELD, ANSWERED), SlotState.UP),
        ((HELD, decided(WRITER, "resume"), ANSWERED), SlotState.UP),  # recovered
        ((HELD, HELD, ANSWERED), SlotState.UP),
        ((HELD, decided(WRITER, "throttle", seconds=2), ANSWERED), SlotState.UP),
        ((HELD, decided(WRITER, "break", dependency="db", seconds=2), ANSWERED), SlotState.UP),
        ((HELD, decided(WRITER, "cache_warmup", name="cache_warmup"), ANSWERED), SlotState.UP),
        ((HELD, stopped(WRITER), ANSWERED), SlotState.DOWN),
        ((crashed(WRITER), HELD, ANSWERED), SlotState.DOWN),
        ((crashed(WRITER), HELD, decided(WRITER, "restart", after=2), ANSWERED), SlotState.RESTARTING),
    ],
)
def test_nobody_is_held_over_a_question_that_was_answered(events: tuple[Event, ...], state: SlotState) -> None:
    slot = seen(*events)
    assert (slot.state, "held" in slot.note) == (state, False)


def test_a_question_stays_open_when_its_tree_ends() -> None:
    slot = seen(HELD, stopped(WRITER), TreeClosed(reason="stopped"))
    assert (slot.state, slot.note) == (SlotState.HELD, "held: Start it?")


def test_who_is_stopped_waits_for_no_dependency() -> None:
    slot = seen(decided(WRITER, "break", dependency="db", seconds=5), stopped(WRITER))
    assert (slot.state, slot.note) == (SlotState.DOWN, "")


def test_a_note_says_until_when_it_holds() -> None:
    assert seen(decided(WRITER, "throttle", seconds=12.0)).until == 102.0 + 12.0
    assert seen(crashed(WRITER), decided(WRITER, "restart", after=0.5)).until == 103.5
    assert seen(crashed(WRITER), decided(WRITER, "restart", after=0.0)).until is None


def test_lives_go_on_over_processes_and_restarts_do_not_count_them() -> None:
    again = (started(WRITER), crashed(WRITER), decided(WRITER, "restart"), started(WRITER, 2))
    status = fold(TreeStatus(), records(OPENED, *again, TreeOpened(epoch=2, holder="h", version="1"), *again))
    slot = status.slots[WRITER]
    assert (slot.lives, slot.restarts, slot.starts, slot.incarnation) == (4, 2, 2, 2)
    assert (slot.failure, slot.failed_at) == ("ValueError: unlucky", 107.0)


def test_a_process_that_died_leaves_nobody_alive_and_no_incident_open() -> None:
    opened = IncidentOpened(path=WRITER, incident="1.1", kind="crash")
    crash = TreeOpened(epoch=2, holder="process 8 on h", version="0.1.0", after_crash=True)
    status = fold(TreeStatus(), records(OPENED, started(WRITER), opened, crash))
    slot = status.slots[WRITER]
    assert (slot.state, slot.incident, slot.trouble, slot.starts) == (SlotState.DOWN, "", "", 0)
    assert (status.epoch, status.processes, status.crashes) == (2, 2, 1)
    assert (status.holder, status.opened_at, status.closed_at) == ("process 8 on h", 103.0, None)


def test_the_end_is_told() -> None:
    status = fold(TreeStatus(), records(OPENED, TreeClosed(reason="intensity", failed=True)))
    assert (status.closed_at, status.ending, status.failed) == (101.0, "intensity", True)
    assert fold(status, records(OPENED, at=200.0)).closed_at is None


def test_an_incident_is_shown_until_it_is_over() -> None:
    opened = IncidentOpened(path=WRITER, incident="1.1", kind="crash")
    throttled = decided(WRITER, "throttle", seconds=500.0)
    assert (seen(opened).incident, seen(opened).trouble) == ("1.1", "crash")
    over = seen(opened, throttled, IncidentClosed(path=WRITER, incident="1.1", outcome="fixed"))
    assert (over.incident, over.trouble, over.note, over.until) == ("", "", "", None)
    other = seen(opened, IncidentClosed(path=WRITER, incident="1.0", outcome="fixed"))
    assert other.incident == "1.1"


def test_messages_are_counted() -> None:
    returned = MessageReturned(path=WRITER, message="m", kind="Add", deliveries=1)
    dead = DeadLettered(path=WRITER, message="m", kind="Add", reason="given up")
    slot = seen(returned, returned, dead)
    assert (slot.returned, slot.dead) == (2, 1)


def test_a_supervisor_counts_one_life_though_it_is_told_twice() -> None:
    mine = SupervisorStarted(path=DESK, incarnation=1, strategy="one_for_all", children=1)
    once = records(OPENED, started(WRITER), mine, started(DESK))
    desk = fold(TreeStatus(), once).slots[DESK]
    assert (desk.supervisor, desk.strategy, desk.lives, desk.restarts) == (True, "one_for_all", 1, 0)
    ended = SupervisorEnded(path=DESK, incarnation=1, reason="it ended (intensity)")
    again = fold(TreeStatus(), [*once, *records(ended, stopped(DESK), mine, started(DESK), at=200.0)]).slots[DESK]
    assert (again.lives, again.restarts, again.state) == (2, 1, SlotState.UP)


def test_nobody_below_outlives_a_supervisor() -> None:
    mine = SupervisorStarted(path=DESK, incarnation=1, strategy="one_for_one", children=2)
    tree = (OPENED, started(WRITER), started(OUTBOX), started(Path("deskside")), mine, started(DESK))
    for end in (SupervisorEnded(path=DESK, incarnation=1, reason="killed"), crashed(DESK)):
        slots = fold(TreeStatus(), records(*tree, end)).slots
        states = {path: slots[path].state for path in (WRITER, OUTBOX, Path("deskside"))}
        assert states == {WRITER: SlotState.DOWN, OUTBOX: SlotState.DOWN, Path("deskside"): SlotState.UP}


def test_nor_does_an_incident_of_somebody_below() -> None:
    mine = SupervisorStarted(path=DESK, incarnation=1, strategy="one_for_one", children=2)
    trouble = [IncidentOpened(path=path, incident=f"1.{path}", kind="crash") for path in (WRITER, OUTBOX, DESK)]
    end = SupervisorEnded(path=DESK, incarnation=1, reason="killed")
    told = records(OPENED, started(WRITER), started(OUTBOX), mine, *trouble, crashed(OUTBOX), end, started(WRITER))
    slots = fold(TreeStatus(), told).slots
    assert {path: slots[path].incident for path in (WRITER, OUTBOX, DESK)} == {WRITER: "", OUTBOX: "", DESK: "1.desk"}


def test_what_a_reload_removes_is_gone() -> None:
    status = fold(TreeStatus(), records(OPENED, started(WRITER), started(OUTBOX), TreeReloaded(removed=(WRITER,))))
    assert (set(status.slots), status.reloads) == ({OUTBOX}, 1)


def test_the_order_is_that_of_the_tree() -> None:
    paths = ("desk/writer/1", "desk/writer/2", "desk/outbox", "intake")
    status = fold(TreeStatus(), records(OPENED, *(started(Path(path)) for path in paths)))
    assert [(depth, str(slot.path), slot.supervisor) for depth, slot in status.depth_first()] == [
        (0, "/", True),
        (1, "desk", True),
        (2, "desk/writer", True),
        (3, "desk/writer/1", False),
        (3, "desk/writer/2", False),
        (2, "desk/outbox", False),
        (1, "intake", False),
    ]


def test_an_empty_journal_has_no_tree() -> None:
    assert list(fold(TreeStatus(), ()).depth_first()) == []


@given(histories)
def test_every_slot_is_listed_once_below_the_one_above_it(history: list[Record]) -> None:
    status = fold(TreeStatus(), history)
    listed = [slot.path for _, slot in status.depth_first()]
    assert len(listed) == len(set(listed))
    assert set(status.slots) <= set(listed)
    for depth, slot in status.depth_first():
        assert slot.path == ROOT or slot.path.parent in listed[: listed.index(slot.path)]
        assert depth == (0 if slot.path == ROOT else slot.path.count("/") + 1)


@given(histories)
def test_counts_never_contradict_each_other(history: list[Record]) -> None:
    for slot in fold(TreeStatus(), history).slots.values():
        assert 0 <= slot.restarts <= slot.lives
        assert slot.starts <= slot.lives
        assert (slot.incident == "") == (slot.trouble == "")
