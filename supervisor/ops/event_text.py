"""One committed event as one line for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from treewarden.agents.core.exit import Failure
from treewarden.agents.core.path import ROOT, Path

from ..core.event import (
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
from ..journal.canonical import dump
from .wording import clean, duration, local, number, plural

__all__ = ["action_text", "event_style", "event_text", "failure_text", "moved_text", "path_of", "stated"]


def path_of(event: Event) -> Path:
    """The slot that an event is about; what is about the whole tree is about its root."""
    return getattr(event, "path", ROOT)


def stated(decided: Decided, was: float | None = None) -> str:
    """The confidence of a decision, and that it is none that has proven right, where that is so; `was` it before."""
    said = number(decided.confidence)
    said = said if was is None or number(was) == said else f"{number(was)} to {said}"
    return f"confidence {said}" if decided.calibrated else f"{said} (confidence not calibrated)"


def event_text(event: Event) -> str:
    """What happened, without its time and path, on one line."""
    return clean(_text(event))


def _text(event: Event) -> str:
    match event:
        case TreeOpened():
            crash = ", after a process that did not close it" if event.after_crash else ""
            return f"opened by {event.holder}, epoch {event.epoch}, treewarden {event.version}{crash}"
        case TreeClosed():
            return f"{'failed' if event.failed else 'closed'}: {event.reason}"
        case TreeForked():
            return f"a fork of {event.tree} at event {event.seq} ({event.hash[:12]})"
        case EventsPruned(through=0):
            return f"{plural(event.count, 'event')} were pruned before this journal was made of a part of another"
        case EventsPruned():
            return (
                f"events up to {event.through} ({event.hash[:12]}) were pruned, {event.count} this time, by {event.by}"
            )
        case TreeReloaded():
            parts = (
                f"{word} {', '.join(paths)}"
                for word, paths in (("added", event.added), ("removed", event.removed), ("changed", event.changed))
                if paths
            )
            return "; ".join(parts) or "nothing changed"
        case SupervisorStarted():
            return f"{event.strategy}, {plural(event.children, 'child', 'children')}"
        case SupervisorEnded():
            return event.reason
        case ChildStarted():
            restored = "" if event.restored is None else f", with its state of event {event.restored}"
            again = f", attempt {event.attempt}" if event.attempt > 1 else ""
            return f"life {event.incarnation}{restored}{again}"
        case ChildStartFailed():
            return failure_text(event.failure)
        case ChildIgnored():
            return "its on_start asked to be left out"
        case ChildEnded():
            return _end_text(event)
        case SignalNoted():
            return f"{event.kind} {number(event.severity)}" + _after(event.text) + _facts(event.facts)
        case IncidentOpened():
            return f"incident {event.incident}, {event.kind}" + _after(event.text)
        case Decided():
            return (
                f"{action_text(event.action, event.details)}, {stated(event)}, "
                f"{event.policy}: {event.rule} (incident {event.incident})"
            )
        case QuestionAsked():
            return f"{event.slot}: {event.question} (incident {event.incident})"
        case QuestionAnswered():
            return f"{event.slot}: {event.how}"
        case DependencyChanged(passage="waits"):
            lasts = f", {duration(event.seconds)}" if event.seconds else ""
            return f"waits for {event.dependency}{lasts}" + _after(event.why)
        case DependencyChanged():
            whom = f" for {plural(len(event.users), 'user')}"
            lasts = f", {duration(event.seconds)}" if event.seconds else ""
            return f"{event.dependency} is {event.passage.replace('_', '-')}{whom}{lasts}" + _after(event.why)
        case IntakeChanged():
            waited = f", the oldest has waited {duration(event.oldest)}" if event.oldest else ""
            return f"{event.admits} of {event.of} messages may wait{waited}" + _after(event.why)
        case Spent(amount=amount):
            return f"{amount:.4g} spent"
        case ActionPerformed():
            whose = f"by {event.by}" if event.by else f"incident {event.incident}"
            word = event.outcome.replace("_", " ")
            return f"{event.action} {word} after {duration(event.after)} ({whose})" + _after(event.text)
        case OutcomeObserved():
            return (
                f"{event.action.replace('_', ' ')}: {event.outcome} after {duration(event.after)} "
                f"(incident {event.incident})"
            )
        case IncidentClosed():
            return f"incident {event.incident}: {event.outcome} after {duration(event.after)}"
        case IncidentLabelled():
            return f"incident {event.incident} was {event.cause.replace('_', ' ')}, says {event.by}"
        case MessageReturned():
            later = f", not before {duration(event.after)} have passed" if event.after else ""
            return f"{event.kind} {event.message}, {plural(event.deliveries, 'attempt')} so far{later}"
        case DeadLettered():
            return f"{event.kind} {event.message}: {event.reason}"
        case MessageReplayed():
            return f"{event.kind} {event.message}, as {event.replayed_as}"
        case EffectNoted():
            by = f", says {event.by}" if event.by else ""
            return f"{event.effect} of {event.message} {event.what}{by} (key {event.key})" + _after(event.text)
        case WaitNoted():
            until = "" if event.until is None else f" until {local(event.until)}"
            of = f"{event.kind} {event.about}".rstrip()
            by = f", says {event.by}" if event.by else ""
            return f"{event.wait} of {event.message} ({of}{until}) {event.what}{by}" + _after(event.text)
        case ApprovalNoted():
            by = f" by {event.by}" if event.by else ""
            if event.what in ("approved", "refused", "answered"):
                by = f", says {event.by}"
            elif event.by == event.message:
                by = "" if event.text else " by what its handler shows now"
            of = f" of {event.subject}" if event.subject else ""
            about = "".join(f": {kind} {dump(value)}" for kind, value in event.about.items())
            return f"{event.approval}{of} for {event.message} {event.what}{by} (key {event.key}){about}" + _after(
                event.text
            )
        case CommandAnswered():
            word = event.what.replace("_", " ")
            return f"{word} {event.command} by {event.by}: {'' if event.applied else 'refused: '}{event.text}"
        case CheckpointKept():
            kept = f"checkpoint {event.checkpoint}" if event.checkpoint else ""
            tags = f"[{', '.join(event.tags)}]" if event.tags else ""
            return " ".join(filter(None, (kept, event.name, tags)))
        case RolledBack():
            to = "the state that its class declares" if event.to is None else f"the checkpoint of event {event.to}"
            if event.checkpoint is not None:
                to = f"checkpoint {event.checkpoint}{f' ({event.name})' if event.name else ''}, of event {event.to}"
            to += f", by {event.by}" if event.by else ""
            undone = 0 if event.diagnosis is None else event.diagnosis.undone
            return f"to {to}" + (f", {plural(undone, 'settled message')} undone" if undone else "")
        case SlotMoved():
            where = f"from {event.old}" if event.path == event.new else f"to {event.new}"
            by = f", by {event.by}" if event.by else ""
            return f"moved {where}{by}: {moved_text(event)}"
        case Recorded():
            return event.kind + _facts(event.facts)
        case ChaosBegan():
            return event.order + (f", by {event.by}" if event.by else "")
        case FaultInjected():
            lasts = f" for {duration(event.seconds)}" if event.seconds else ""
            return f"{event.fault}{lasts}" + (f", process {event.pid}" if event.pid is not None else "")
        case ChaosEnded():
            skipped = f", {event.skipped} found nobody" if event.skipped else ""
            return f"{event.reason}; {plural(event.faults, 'fault')}{skipped}"
        case JournalFailed():
            return event.error
        case JournalRecovered():
            late = f", {plural(event.late_events, 'event')} late" if event.late_events else ""
            lost = f", {plural(event.lost_events, 'event')} lost" if event.lost_events else ""
            return f"after {duration(event.after)}{late}{lost}"


def moved_text(moved: SlotMoved) -> str:
    """`1 state, 3 checkpoints`: how much of each there was."""
    counts = {
        "state": moved.states, "checkpoint": moved.checkpoints, "message": moved.messages,
        "dead letter": moved.dead_letters, "timer": moved.timers,
    }  # fmt: skip
    return ", ".join(plural(count, what) for what, count in counts.items() if count)


def _after(text: str) -> str:
    return f": {text}" if text else ""


def _facts(facts: Mapping[str, Any]) -> str:
    return "".join(f" {name}={value}" for name, value in facts.items())


def _end_text(event: ChildEnded) -> str:
    how = failure_text(event.failure) if event.failure is not None else event.reason
    how = f"{event.exit}: {how}" if how and how != event.exit else event.exit
    return f"life {event.incarnation} {how}, after {duration(event.uptime)}{', as asked' if event.expected else ''}"


def failure_text(failure: Failure) -> str:
    """A failure on one line, with the message that was in hand."""
    handling = f", handling {failure.message_kind}" if failure.message_kind else ""
    return clean(f"{failure}{handling}")


def action_text(action: str, details: Mapping[str, Any]) -> str:
    """`restart in 0.4 s`, `throttle for 12 s`, `roll back 1 checkpoint`."""
    match action, details:
        case "restart", {"scope": scope, "after": after}:
            whom = {"rest": " with those started after it", "all": " with all its siblings"}.get(str(scope), "")
            return f"restart{whom}{_in(after)}"
        case "roll_back", {"steps": steps, "after": after}:
            return f"roll back {plural(int(steps), 'checkpoint')}{_in(after)}"
        case "throttle", {"seconds": seconds}:
            return f"throttle for {duration(seconds)}"
        case "break", {"dependency": dependency, "seconds": seconds}:
            return f"leave {dependency} alone for {duration(seconds)}"
        case "set_aside", {"message": message, "after": after}:
            return f"set {message} aside, restart{_in(after)}"
        case "fall_back", {"variant": variant, "after": after}:
            return f"fall back to {variant}{_in(after)}"
        case _, {"name": name, "after": after}:
            return f"perform {name}" + (f", then restart{_in(after)}" if after else "")
        case "hold", {"question": question}:
            return f"hold and ask: {question}"
        case "escalate", {"reason": reason}:
            return f"escalate: {reason}"
        case _:
            return action.replace("_", " ")


def _in(after: float) -> str:
    return f" in {duration(after)}" if after else " at once"


_STYLES: Final[Mapping[type[Event], str]] = {
    ChildStartFailed: "bad",
    DeadLettered: "bad",
    JournalFailed: "bad",
    SupervisorEnded: "warn",
    IncidentOpened: "warn",
    QuestionAsked: "warn",
    QuestionAnswered: "good",
    DependencyChanged: "warn",
    IntakeChanged: "warn",
    Decided: "warn",
    IncidentLabelled: "good",
    MessageReplayed: "good",
    EffectNoted: "dim",
    WaitNoted: "dim",
    ApprovalNoted: "warn",
    MessageReturned: "warn",
    RolledBack: "warn",
    SlotMoved: "warn",
    ChaosBegan: "warn",
    FaultInjected: "warn",
    JournalRecovered: "good",
    ChildStarted: "good",
    TreeOpened: "good",
    Recorded: "dim",
    CheckpointKept: "dim",
    EventsPruned: "dim",
}


def event_style(event: Event) -> str:
    """The colour of an event, as `Paint` names it."""
    match event:
        case ChildEnded(failure=failure):
            return "bad" if failure is not None else ""
        case ActionPerformed(outcome=outcome):
            return "good" if outcome == "succeeded" else "bad"
        case TreeClosed(failed=failed):
            return "bad" if failed else ""
        case ChaosEnded(broken=broken):
            return "bad" if broken else "good"
        case CommandAnswered(applied=applied):
            return "good" if applied else "warn"
        case OutcomeObserved(outcome=outcome) | IncidentClosed(outcome=outcome):
            return {"fixed": "good", "failed": "bad"}.get(outcome, "")
        case _:
            return _STYLES.get(type(event), "")
