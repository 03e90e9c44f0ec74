"""The hard rules. No policy can override them: they answer some signals alone, and they check every answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import evolve

from treewarden.agents.core.exit import Failed, Failure
from treewarden.agents.core.path import Path
from treewarden.agents.core.said import LARGEST, listed, plural, shown
from treewarden.agents.core.values import frozen

from .action import (
    Action,
    Break,
    Escalate,
    FallBack,
    Hold,
    Perform,
    Recycle,
    Restart,
    Resume,
    RollBack,
    Scope,
    SetAside,
    Stop,
    Throttle,
    scope_of,
)
from .case import Case
from .exits import IN_DOUBT, cannot_read, is_damaged, is_in_doubt, must_restart, not_kept
from .history import delay
from .signal import ActionFailed, ChildExited, OperatorAsked, RateLimitReached, Recovered, RestartFailed, Unanswered
from .spec import Backoff, ChildSpec, RestartPolicy, SupervisorSpec
from .symptom import Kind, failure_in, message_in, one_line

__all__ = ["LONGEST_WAIT", "Declined", "Option", "forbids", "forced", "held_up", "lifted", "retry_after", "unproven"]

LONGEST_WAIT: Final = 86400.0
"""Seconds that a Retry-After is obeyed at most; the other side may then ask again."""


@frozen
class Option:
    """An action that a rule proposes, with its reason."""

    action: Action
    rule: str
    reason: str
    next: str = ""
    """What would follow if it does not help."""
    certain: bool = False
    """Nothing is left to be fixed after it, so its confidence is 1."""


@frozen
class Declined:
    """An action that was considered and is not taken, by its name, and why."""

    action: str
    why: str


_NOT_RESTARTED: Final = {
    RestartPolicy.TRANSIENT: Option(
        Stop(), "not restarted", "it ended in order, and a transient child then stays down", certain=True
    ),
    RestartPolicy.TEMPORARY: Option(Stop(), "not restarted", "a temporary child is never restarted", certain=True),
}
_UNTIL_IT_WORKS: Final = Backoff(first=0.5, factor=2.0, most=10.0, jitter=0.25)
"""How long an agent waits whose settle was not kept."""
_RECOVERED: Final = Option(Resume(), "recovered", "what was reported is over", certain=True)


def forced(case: Case, *, escalates: bool) -> Option | None:
    """The answer that the hard rules give by themselves; None leaves it to the policy.

    A child's own limit (`restarts` of its spec) parks that child and asks a person: its siblings have done nothing,
    so they are not stopped. The supervisor's limit escalates; with `escalates` False (a policy that knows no such
    limit) it does not bind.
    """
    signal, spec = case.signal, case.spec
    if isinstance(signal, ChildExited):
        if not_kept(signal.exit):  # also a temporary child: it has not failed
            return Option(
                Restart(scope_of(case.strategy), delay(_UNTIL_IT_WORKS, case.incident.failed + 1, case.spread)),
                "journal fails",
                "its settle was not kept, which is no fault of its own: it begins again from what is on disk",
                "again, until the journal works",
            )
        if isinstance(signal.exit, Failed) and is_in_doubt(signal.exit.failure):
            return _in_doubt(signal.path, signal.exit.failure)
        if not must_restart(spec.restart, signal.exit):
            return _NOT_RESTARTED[spec.restart]
    elif isinstance(signal, RestartFailed):
        if is_damaged(signal.failure):
            return Option(
                Hold(f"what {signal.path} has stored is damaged: {signal.failure.text}. Start it?"),
                "damaged",
                f"{signal.failure.text}; nobody else is concerned",
                "it stays down until what is stored is mended, or is gone back from",
            )
        if cannot_read(signal.failure):
            return Option(
                Hold(f"{signal.path} has stored what this code cannot read: {signal.failure.text}. Start it?"),
                "unknown version",
                f"{signal.failure.text}; its state and its messages stay as they are",
                "it stays down until other code is loaded, or the process starts with it",
            )
        if signal.undone:
            return Option(
                RollBack(signal.undone),
                "decided before",
                "an earlier process had decided this, and ended before it was done",
                "what the policy says then",
            )
    elif isinstance(signal, Recovered):
        return _RECOVERED
    elif isinstance(signal, OperatorAsked):
        return _asked(case, signal)
    elif isinstance(signal, Unanswered):
        return Option(
            Hold(signal.question),
            "asked before",
            f"it was asked {signal.ago:.3g} s ago, in an earlier process, and nobody has answered",
            _waits_for(signal.over),
        )
    else:
        return None
    own = spec.restarts if isinstance(spec, ChildSpec) else None
    if own is not None and case.child_history.exceeded(own):
        had, allowed = plural(case.child_history.count, "restart"), plural(own.max_restarts, "restart")
        return Option(
            Hold(f"{signal.path} has used up its own {allowed} in {own.within:g} s. Start it?"),
            "own intensity",
            f"{had} within {own.within:g} s, and its spec allows {own.max_restarts}",
            "it stays down until a person decides",
        )
    return _escalation(case) if escalates and case.history.exceeded(case.intensity) else None


def _in_doubt(path: Path, failure: Failure) -> Option:
    """Also for a child that is never restarted: it has not failed, and what it had in hand waits for the answer."""
    failure = next((part for part in failure.parts if part.type == IN_DOUBT), failure)
    return Option(
        Hold(f"{path}: {failure.text}. Was it done?"),
        "in doubt",
        f"{failure.text}; it is not run a second time before a person has said what came of it",
        "it waits until a person says: done, and with which result; not done; or given up (`treewarden answer`)",
    )


def _escalation(case: Case) -> Option:
    limit = case.intensity
    return Option(
        Escalate(),
        "intensity",
        f"{plural(case.history.count, 'restart')} within {limit.within:g} s, and the limit is {limit.max_restarts}",
        "the supervisor above decides",
    )


def _waits_for(over: Sequence[str]) -> str:
    """What a question waits for. It ends also when all of `over` is, but nobody reports that of a person's wish."""
    person = "it waits until a person decides"
    if not over or any(label.startswith(f"{Kind.OPERATOR}:") for label in over):
        return person
    return f"{person}, or {listed(over)} {'is' if len(over) == 1 else 'are'} over"


def _asked(case: Case, signal: OperatorAsked) -> Option:
    reason = f"{signal.by} asked for it"
    match signal.what:
        case "resume" | "release" if signal.lives and isinstance(case.spec, SupervisorSpec):
            action: Action = Resume()  # to begin anew would end all that live below it, who have done nothing
        case "restart" | "resume" | "release":
            action = Restart(scope_of(case.strategy))
        case "roll_back" if case.states and case.journal_ok:
            action = RollBack(1)
        case "stop":
            action = Stop()
        case "hold":
            why = f": {one_line(signal.text)}" if signal.text else ""
            ended = isinstance(case.spec, ChildSpec) or not signal.lives  # a supervisor that lives goes on
            action = Hold(f"{signal.by} holds {case.signal.path}{why}. {'Start it?' if ended else 'Let it go on?'}")
        case "recycle":
            action = Recycle()
        case unknown:
            return Option(Resume(), "operator", f"{signal.by} asked for {unknown}, which cannot be done here")
    return Option(action, "operator", reason)


def retry_after(case: Case) -> float:
    """Seconds that the other side asked to wait; 0 where it did not, or said something that is no waiting time."""
    signal = case.signal
    asked = signal.after if isinstance(signal, RateLimitReached) else None
    if asked is None:
        failure = failure_in(signal)
        asked = failure.after if failure is not None else None
    if asked is None or not 0.0 < asked <= LARGEST:
        return 0.0
    return min(asked, LONGEST_WAIT)


def forbids(case: Case, action: Action) -> str:
    """Why this action may not be taken in this case; empty if it may."""
    spec = case.spec
    match action:
        case Restart(after=after):
            return _not_limited(case) or _waits(after)
        case Resume() | Recycle():
            return _not_down(case) or _not_limited(case)
        case Throttle(seconds=seconds):
            return _waits(seconds)
        case Break(dependency=dependency, seconds=seconds):
            return _waits(seconds) if dependency else "it names no dependency"
        case RollBack(steps=steps, after=after):
            if not 1 <= steps <= case.states:
                return "no earlier state is left" if steps >= 1 else "a rollback goes back at least one step"
            return _not_limited(case) or _waits(after) or _commits(case)
        case FallBack(variant=variant, after=after):
            if not isinstance(spec, ChildSpec) or variant not in spec.variants:
                return "no such variant is declared" if variant else "no variant is left"
            return _not_limited(case) or _waits(after)
        case Perform(name=name, after=after):
            if name not in case.actions:
                return "no action of this name is registered here"
            if isinstance(case.signal, ActionFailed) and case.incident.tried(name):
                return "it has been performed in this incident, and one action follows another only once"
            return _not_limited(case) or _waits(after) or unproven(case, name)
        case SetAside(message=message, after=after):
            if not message or message != message_in(case.signal):
                return "that message was not in hand" if message else "no message was in hand"
            return _waits(after) or _commits(case)
        case Hold() | Stop() | Escalate():
            return ""


def lifted(case: Case, action: Action) -> Action:
    """The action with what the hard rules add: it waits at least as long as the other side asked, and a restart until
    the tree's bucket has room for it; its scope is at least the declared one, and at most one level wider for each
    attempt that failed."""
    wait = retry_after(case)
    if case.turn > wait and isinstance(action, (Restart, RollBack, SetAside, FallBack)):
        wait = case.turn
    match action:
        case Restart(scope=scope, after=after):
            declared = scope_of(case.strategy)
            if scope is not declared:
                scope = Scope(max(declared, min(scope, declared + case.incident.failed, Scope.ALL)))
            return action if scope is action.scope and after >= wait else Restart(scope, max(after, wait))
        case RollBack(after=after) | SetAside(after=after) | FallBack(after=after) | Perform(after=after):
            return action if after >= wait else evolve(action, after=wait)
        case Throttle(seconds=seconds) | Break(seconds=seconds):
            return action if seconds >= wait else evolve(action, seconds=wait)
        case _:
            return action


def held_up(case: Case, action: Action) -> str:
    """Why this action, which was `lifted`, begins no sooner, if that is the tree's bucket; empty if it is not."""
    if not case.turn or case.bucket is None or getattr(action, "after", None) != case.turn:
        return ""
    return f"{case.bucket.describe()}: its turn comes in {case.turn:.3g} s"


def _not_down(case: Case) -> str:
    return "it has ended, so there is nothing to let live" if case.down else ""


def _not_limited(case: Case) -> str:
    limited = isinstance(case.signal, RateLimitReached)
    return "the other side asked for fewer calls; it is neither broken nor to be asked at once" if limited else ""


def _waits(seconds: float) -> str:
    return "" if 0.0 <= seconds <= LARGEST else f"{shown(seconds)} is no waiting time"


def unproven(case: Case, name: str) -> str:
    """Why an action that cannot be taken back is left to people; empty if it may be performed."""
    needs = case.actions[name].needs
    if not needs:
        return ""
    stated = case.stated(name)
    if not stated.calibrated:
        return f"it cannot be taken back and needs p {needs:g}; confidence is not calibrated here"
    if needs >= 1.0 or stated.value < needs:
        return f"it cannot be taken back and needs p {needs:g}; it has {stated.value:.2f}"
    return ""


def _commits(case: Case) -> str:
    return "" if case.journal_ok else "the journal cannot commit it"
