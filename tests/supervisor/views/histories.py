"""Histories of trees for the tests of views: random ones, and a way to write one down."""

from __future__ import annotations

from hypothesis import strategies as st

from treewarden.agents.core.exit import Failure
from treewarden.agents.core.path import ROOT, Path
from treewarden.supervisor.core.event import (
    CheckpointKept,
    ChildEnded,
    ChildIgnored,
    ChildStarted,
    ChildStartFailed,
    DeadLettered,
    Decided,
    Event,
    IncidentClosed,
    IncidentLabelled,
    IncidentOpened,
    JournalFailed,
    MessageReturned,
    OutcomeObserved,
    Recorded,
    RolledBack,
    SignalNoted,
    SlotMoved,
    SupervisorEnded,
    SupervisorStarted,
    TreeClosed,
    TreeOpened,
    TreeReloaded,
)
from treewarden.supervisor.journal.port import Record

ACTIONS = ("restart", "roll_back", "throttle", "break", "set_aside", "recycle", "hold", "stop", "escalate", "resume")
PATHS = tuple(map(Path, ("desk", "desk/writer", "desk/writer/1", "desk/writer/2", "desk/outbox", "intake")))


def decided(path: Path, action: str, incident: str = "1.1", **details: object) -> Decided:
    return Decided(
        path=path, incident=incident, action=action, details=details, confidence=0.5, policy="ladder", rule="a rule",
        signal="crashed: ValueError: unlucky",
    )  # fmt: skip


def records(*events: Event, at: float = 100.0, step: float = 1.0, epoch: int = 1) -> list[Record]:
    """Events one after the other, `step` seconds apart, numbered from 1."""
    return [Record(n + 1, at + n * step, event, epoch) for n, event in enumerate(events)]


_paths = st.sampled_from(PATHS)
_NEW = Path("new")
_numbers = st.integers(1, 3)
_incidents = st.sampled_from(("1.1", "1.2", "2.1", ""))
_failures = st.builds(Failure, type=st.sampled_from(("ValueError", "OSError")))

events: st.SearchStrategy[Event] = st.one_of(
    st.builds(TreeOpened, epoch=_numbers, holder=st.just("h"), version=st.just("1"), after_crash=st.booleans()),
    st.builds(TreeClosed, reason=st.just("shutdown"), failed=st.booleans()),
    st.builds(TreeReloaded, removed=st.lists(_paths, max_size=1).map(tuple)),
    st.builds(
        SupervisorStarted,
        path=st.sampled_from((ROOT, *PATHS[:2])),
        incarnation=_numbers,
        strategy=st.just("one_for_one"),
        children=st.just(2),
    ),
    st.builds(SupervisorEnded, path=_paths, incarnation=_numbers, reason=st.sampled_from(("shutdown", "intensity"))),
    st.builds(ChildStarted, path=_paths, incarnation=_numbers),
    st.builds(ChildStartFailed, path=_paths, failure=_failures),
    st.builds(ChildIgnored, path=_paths),
    st.builds(
        ChildEnded,
        path=_paths,
        incarnation=_numbers,
        exit=st.sampled_from(("failed", "finished", "stopped")),
        failure=st.none() | _failures,
        expected=st.booleans(),
    ),
    st.builds(SignalNoted, path=_paths, kind=st.just("slow")),
    st.builds(IncidentOpened, path=_paths, incident=_incidents.filter(bool), kind=st.just("crash")),
    st.builds(
        decided,
        path=_paths,
        action=st.sampled_from(ACTIONS),
        incident=_incidents,
        dependency=st.sampled_from(("", "db")),
    ),
    st.builds(
        decided,
        path=_paths,
        action=st.sampled_from(ACTIONS),
        after=st.none() | st.floats(0, 9),
        seconds=st.floats(0, 9),
    ),
    st.builds(
        OutcomeObserved,
        path=_paths,
        incident=_incidents,
        action=st.sampled_from(ACTIONS),
        kind=st.just("crash"),
        outcome=st.sampled_from(("fixed", "failed", "unobserved")),
    ),
    st.builds(
        IncidentClosed, path=_paths, incident=_incidents, outcome=st.sampled_from(("fixed", "failed", "unobserved"))
    ),
    st.builds(IncidentLabelled, path=_paths, incident=_incidents, cause=st.just("leak"), by=st.just("ada")),
    st.builds(MessageReturned, path=_paths, message=st.just("m"), kind=st.just("Add"), deliveries=_numbers),
    st.builds(DeadLettered, path=_paths, message=st.just("m"), kind=st.just("Add"), reason=st.just("given up")),
    st.builds(CheckpointKept, path=_paths),
    st.builds(RolledBack, path=_paths, to=st.none() | _numbers),
    st.builds(SlotMoved, path=st.just(_NEW), old=_paths, new=st.just(_NEW)),
    st.builds(Recorded, path=_paths, kind=st.sampled_from(("Checked", "Sent")), facts=st.just({})),
    st.builds(JournalFailed, error=st.just("disk full"), since=st.just(1.0)),
)

histories: st.SearchStrategy[list[Record]] = st.lists(events, max_size=40).map(lambda found: records(*found))
