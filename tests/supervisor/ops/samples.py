"""One of each event, and a short history, for the tests of how they are shown."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from treewarden.agents.core.diagnosis import Diagnosis
from treewarden.agents.core.exit import Failure
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.path import ROOT, Path
from treewarden.supervisor.core.event import (
    ActionPerformed,
    ApprovalNoted,
    ChaosBegan,
    ChaosEnded,
    CheckpointKept,
    ChildEnded,
    ChildIgnored,
    ChildStarted,
    ChildStartFailed,
    CommandAnswered,
    DeadLettered,
    Decided,
    DependencyChanged,
    EffectNoted,
    Event,
    EventsPruned,
    FaultInjected,
    IncidentClosed,
    IncidentLabelled,
    IncidentOpened,
    IntakeChanged,
    JournalFailed,
    JournalRecovered,
    MessageReplayed,
    MessageReturned,
    OutcomeObserved,
    QuestionAnswered,
    QuestionAsked,
    Recorded,
    RejectedOption,
    RolledBack,
    SignalNoted,
    SlotMoved,
    Spent,
    SupervisorEnded,
    SupervisorStarted,
    TreeClosed,
    TreeForked,
    TreeOpened,
    TreeReloaded,
    WaitNoted,
)
from treewarden.supervisor.journal.port import Record
from treewarden.supervisor.ops.wording import local

WRITER = Path("desk/writer")
NIGHT = 1_795_219_200.0
"""2026-11-21 00:00:00 UTC."""
UNLUCKY = Failure("ValueError", "unlucky", where="desk.py:41 in add", message="t-7", message_kind="Add")

RESTART = Decided(
    path=WRITER,
    incident="1.1",
    action="restart",
    details={"scope": "one", "after": 0.4},
    confidence=0.82,
    evidence=11.0,
    model=0.8,
    policy="ladder",
    rule="crash",
    signal="crashed: ValueError: unlucky (desk.py:41 in add), handling Add",
    because=("most crashes pass with a fresh start", "no sibling fails in the same way"),
    symptoms=("crash",),
    risk="low",
    pressure=0.27,
    causes={"transient": 0.76, "leak": 0.13},
    rejected=(RejectedOption(action="roll_back", confidence=0.55, why="needs 2 lives in a row that settled nothing"),),
    next="restart after twice the time",
)
OPENED = TreeOpened(epoch=3, holder="process 7 on h", version="0.1.0", after_crash=True)
STARTED = ChildStarted(path=WRITER, incarnation=1)
AGAIN = ChildStarted(path=WRITER, incarnation=2, restored=12, attempt=2)
CRASHED = ChildEnded(path=WRITER, incarnation=1, exit="failed", failure=UNLUCKY, uptime=12.0)
INCIDENT = IncidentOpened(path=WRITER, incident="1.1", kind="crash", text="crashed: ValueError: unlucky")
FIXED = OutcomeObserved(path=WRITER, incident="1.1", action="restart", kind="crash", outcome="fixed", after=10.0)
CLOSED = IncidentClosed(path=WRITER, incident="1.1", outcome="fixed", after=10.4)

TEXTS: tuple[tuple[Event, str], ...] = (
    (OPENED, "opened by process 7 on h, epoch 3, treewarden 0.1.0, after a process that did not close it"),
    (TreeClosed(reason="stopped in order"), "closed: stopped in order"),
    (TreeClosed(reason="the root gave up", failed=True), "failed: the root gave up"),
    (TreeReloaded(added=(Path("a"), Path("b")), changed=(Path("c"),)), "added a, b; changed c"),
    (TreeReloaded(), "nothing changed"),
    (SupervisorStarted(path=ROOT, incarnation=1, strategy="one_for_one", children=1), "one_for_one, 1 child"),
    (SupervisorEnded(path=ROOT, incarnation=1, reason="it ended (intensity)"), "it ended (intensity)"),
    (STARTED, "life 1"),
    (AGAIN, "life 2, with its state of event 12, attempt 2"),
    (ChildStartFailed(path=WRITER, failure=UNLUCKY), "ValueError: unlucky (desk.py:41 in add), handling Add"),
    (ChildIgnored(path=WRITER), "its on_start asked to be left out"),
    (CRASHED, "life 1 failed: ValueError: unlucky (desk.py:41 in add), handling Add, after 12 s"),
    (
        ChildEnded(path=WRITER, incarnation=2, exit="stopped", reason="shutdown", expected=True, uptime=3.0),
        "life 2 stopped: shutdown, after 3 s, as asked",
    ),
    (ChildEnded(path=WRITER, incarnation=2, exit="finished", uptime=0.5), "life 2 finished, after 0.5 s"),
    (
        SignalNoted(path=WRITER, kind="slow", severity=0.6, text="2 s", facts={"limit": 1.5}),
        "slow 0.60: 2 s limit=1.5",
    ),
    (INCIDENT, "incident 1.1, crash: crashed: ValueError: unlucky"),
    (RESTART, "restart in 0.4 s, 0.82 (confidence not calibrated), ladder: crash (incident 1.1)"),
    (
        ActionPerformed(path=WRITER, action="warm_up", outcome="timed_out", after=3.0, text="too long", incident="1.1"),
        "warm_up timed out after 3 s (incident 1.1): too long",
    ),
    (
        ActionPerformed(path=WRITER, action="warm_up", outcome="succeeded", after=0.5, by="ada"),
        "warm_up succeeded after 0.5 s (by ada)",
    ),
    (Spent(path=WRITER, amount=0.4), "0.4 spent"),
    (
        DependencyChanged(
            path=WRITER, dependency="api", passage="half_open", users=(WRITER,), seconds=5.0, why="one user tries"
        ),
        "api is half-open for 1 user, 5 s: one user tries",
    ),
    (
        DependencyChanged(
            path=WRITER, dependency="api", passage="waits", users=(WRITER,), seconds=4.2, why="crashed: OSError: gone"
        ),
        "waits for api, 4.2 s: crashed: OSError: gone",
    ),
    (
        IntakeChanged(path=WRITER, admits=8, of=16, oldest=2.5, why="messages wait too long"),
        "8 of 16 messages may wait, the oldest has waited 2.5 s: messages wait too long",
    ),
    (
        QuestionAsked(slot=WRITER, question="Start it?", incident="1.1", since=NIGHT, over=("reported:budget",)),
        f"{WRITER}: Start it? (incident 1.1)",
    ),
    (QuestionAnswered(slot=WRITER, how="ada asked for resume"), f"{WRITER}: ada asked for resume"),
    (FIXED, "restart: fixed after 10 s (incident 1.1)"),
    (CLOSED, "incident 1.1: fixed after 10 s"),
    (
        IncidentLabelled(path=WRITER, incident="1.1", cause="poison_message", by="ada"),
        "incident 1.1 was poison message, says ada",
    ),
    (
        MessageReturned(path=WRITER, message="t-7", kind="Add", deliveries=1, after=2.0),
        "Add t-7, 1 attempt so far, not before 2 s have passed",
    ),
    (DeadLettered(path=WRITER, message="t-7", kind="Add", reason="given up"), "Add t-7: given up"),
    (MessageReplayed(path=WRITER, message="t-7", kind="Add", replayed_as="t-9"), "Add t-7, as t-9"),
    (
        EffectNoted(path=WRITER, message="t-7", effect="charge", key="00ff", what="in doubt", text="OSError: gone"),
        "charge of t-7 in doubt (key 00ff): OSError: gone",
    ),
    (
        EffectNoted(path=WRITER, message="t-7", effect="charge", key="00ff", what="done", by="ada"),
        "charge of t-7 done, says ada (key 00ff)",
    ),
    (
        WaitNoted(path=WRITER, message="t-7", wait="three_days", what="begun", kind="time", until=0.0),
        f"three_days of t-7 (time until {local(0.0)}) begun",
    ),
    (
        WaitNoted(
            path=WRITER, message="t-7", wait="paid", what="over", kind="event", about="paid", by="ada", text="yes"
        ),
        "paid of t-7 (event paid) over, says ada: yes",
    ),
    (
        ApprovalNoted(
            path=WRITER,
            message="t-7",
            approval="pay",
            key="00ff",
            what="asked",
            subject="ada",
            digest="ab" * 32,
            about={"desk:Pay": {"cents": 5}},
            until=NIGHT,
        ),
        'pay of ada for t-7 asked (key 00ff): desk:Pay {"cents":5}',
    ),
    (
        ApprovalNoted(path=WRITER, message="t-7", approval="pay", key="00ff", what="refused", by="ada", text="no"),
        "pay for t-7 refused, says ada (key 00ff): no",
    ),
    (
        ApprovalNoted(path=WRITER, message="t-7", approval="pay", key="00ff", what="superseded", by="t-8"),
        "pay for t-7 superseded by t-8 (key 00ff)",
    ),
    (
        ApprovalNoted(path=WRITER, message="t-7", approval="pay", key="00ff", what="superseded", by="t-7"),
        "pay for t-7 superseded by what its handler shows now (key 00ff)",
    ),
    (CheckpointKept(path=WRITER, name="before the move"), "before the move"),
    (
        EventsPruned(tree="1f2e3d4c", through=41, hash="cd" * 32, count=20, until=NIGHT, by="ada"),
        "events up to 41 (cdcdcdcdcdcd) were pruned, 20 this time, by ada",
    ),
    (TreeForked(tree="1f2e3d4c", seq=41, hash="ab" * 32), "a fork of 1f2e3d4c at event 41 (abababababab)"),
    (
        RolledBack(path=WRITER, to=41, diagnosis=Diagnosis(undone=1)),
        "to the checkpoint of event 41, 1 settled message undone",
    ),
    (
        SlotMoved(path=WRITER, old=Path("shop"), new=WRITER, by="ada", states=1, messages=3, dead_letters=2),
        "moved from shop, by ada: 1 state, 3 messages, 2 dead letters",
    ),
    (
        SlotMoved(path=Path("shop"), old=Path("shop"), new=WRITER, checkpoints=1, timers=1),
        f"moved to {WRITER}: 1 checkpoint, 1 timer",
    ),
    (RolledBack(path=WRITER, to=None), "to the state that its class declares"),
    (
        RolledBack(path=WRITER, to=41, checkpoint=7, name="before the move", by="ada"),
        "to checkpoint 7 (before the move), of event 41, by ada",
    ),
    (
        CommandAnswered(path=WRITER, command="c1", what="roll_back", by="ada", applied=True, text="it is back"),
        "roll back c1 by ada: it is back",
    ),
    (
        CommandAnswered(path=WRITER, command="c2", what="tell", by="ada", applied=False, text="no such slot"),
        "tell c2 by ada: refused: no such slot",
    ),
    (CheckpointKept(path=WRITER, checkpoint=7, tags=("good", "v2")), "checkpoint 7 [good, v2]"),
    (Recorded(path=WRITER, kind="Checked", facts={"ms": 12, "ok": True}), "Checked ms=12 ok=True"),
    (ChaosBegan(order="seed=7,kill=0.1/s", by="ada"), "seed=7,kill=0.1/s, by ada"),
    (FaultInjected(path=WRITER, fault="kill", pid=77), "kill, process 77"),
    (FaultInjected(path=WRITER, fault="hang", seconds=4.0), "hang for 4 s"),
    (ChaosEnded(reason="ada asked for it", faults=1, skipped=2), "ada asked for it; 1 fault, 2 found nobody"),
    (JournalFailed(error="disk full", since=1.0), "disk full"),
    (JournalRecovered(after=4.0, lost_events=2), "after 4 s, 2 events lost"),
)


def history(*events: Event, first: int = 1, step: float = 1.0) -> list[Record]:
    """Events `step` seconds apart, from midnight."""
    return [Record(first + n, NIGHT + n * step, event, 3) for n, event in enumerate(events)]


@frozen
class Slot:
    """A slot as a running tree shows it."""

    path: Path
    depth: int = 0
    state: SlotState = SlotState.UP
    supervisor: bool = False
    incarnation: int = 1
    restarts: int = 0
    mailbox: int = 0
    handled: int = 7
    parked: int = 0
    events: int = 0
    zombie: bool = False
    note: str = ""


def slot(path: str, state: SlotState = SlotState.UP, *, restarts: int = 0, **more: Any) -> Slot:
    """The slot at `path`."""
    return Slot(Path(path), path.count("/"), state, incarnation=restarts + 1, restarts=restarts, **more)
