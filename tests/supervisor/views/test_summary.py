"""The summary of a run, by a history written out."""

from __future__ import annotations

from hypothesis import given

from treewarden.agents.core.exit import Failure
from treewarden.agents.core.path import Path
from treewarden.supervisor.core.event import (
    CheckpointKept,
    ChildEnded,
    ChildStarted,
    ChildStartFailed,
    DeadLettered,
    IncidentClosed,
    IncidentOpened,
    JournalFailed,
    MessageReturned,
    OutcomeObserved,
    Recorded,
    RolledBack,
    SupervisorEnded,
    SupervisorStarted,
    TreeClosed,
    TreeOpened,
    TreeReloaded,
)
from treewarden.supervisor.journal.port import Record
from treewarden.supervisor.views.summary import Summary, fold

from .histories import decided, histories, records

WRITER, OUTBOX, DESK = Path("desk/writer"), Path("desk/outbox"), Path("desk")
UNLUCKY = Failure("ValueError", "unlucky")
OPENED = TreeOpened(epoch=1, holder="h", version="1")

HISTORY = records(
    OPENED,
    ChildStarted(path=WRITER, incarnation=1),
    ChildStarted(path=OUTBOX, incarnation=1),
    SupervisorStarted(path=DESK, incarnation=1, strategy="one_for_one", children=2),
    ChildStarted(path=DESK, incarnation=1),
    ChildEnded(path=WRITER, incarnation=1, exit="failed", failure=UNLUCKY),
    IncidentOpened(path=WRITER, incident="1.1", kind="crash"),
    decided(WRITER, "restart"),
    MessageReturned(path=WRITER, message="m", kind="Add", deliveries=1),
    ChildStartFailed(path=WRITER, failure=UNLUCKY),
    decided(WRITER, "roll_back"),
    RolledBack(path=WRITER, to=2),
    ChildStarted(path=WRITER, incarnation=2),
    DeadLettered(path=WRITER, message="m", kind="Add", reason="given up"),
    CheckpointKept(path=WRITER),
    Recorded(path=OUTBOX, kind="Sent", facts={}),
    OutcomeObserved(path=WRITER, incident="1.1", action="roll_back", kind="crash", outcome="fixed"),
    IncidentClosed(path=WRITER, incident="1.1", outcome="fixed"),
    TreeReloaded(),
    JournalFailed(error="disk full", since=1.0),
    SupervisorEnded(path=DESK, incarnation=1, reason="it ended (intensity)"),
    ChildEnded(path=DESK, incarnation=1, exit="stopped", reason="intensity"),
    TreeClosed(reason="intensity", failed=True),
)


def test_everything_is_counted() -> None:
    found = fold(Summary(), HISTORY)
    assert (found.events, found.since, found.until, found.seconds) == (23, 100.0, 122.0, 22.0)
    assert (found.lives, found.restarts, found.failures, found.gave_up) == (3, 1, 2, 1)
    assert (found.incidents, found.closed) == ({WRITER: 1}, {"fixed": 1})
    assert (found.decisions, found.outcomes) == ({"restart": 1, "roll_back": 1}, {"fixed": 1})
    assert (found.dead, found.dead_letters, found.returned, found.rolled_back) == ({WRITER: 1}, 1, 1, 1)
    assert (found.checkpoints, found.recorded, found.reloads, found.journal_failures) == (1, {"Sent": 1}, 1, 1)
    assert (found.ending, found.failed) == ("intensity", True)


def test_a_new_process_restarts_nobody() -> None:
    first = ChildStarted(path=WRITER, incarnation=1)
    found = fold(Summary(), records(OPENED, first, OPENED, first))
    assert (found.lives, found.restarts) == (2, 0)


def test_nothing_took_no_time() -> None:
    assert fold(Summary(), ()).seconds == 0.0


@given(histories)
def test_nothing_is_counted_twice(history: list[Record]) -> None:
    found = fold(Summary(), history)
    assert found.events == len(history)
    assert 0 <= found.restarts <= found.lives
    tallies = (found.incidents, found.closed, found.decisions, found.outcomes, found.dead, found.recorded)
    assert sum(sum(tally.values()) for tally in tallies) <= found.events
