"""What a signal is a sign of: its kind, the symptoms it shows, and how it reads in a sentence."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from functools import lru_cache
from typing import Final

from treewarden.agents.core.exit import Failed, Failure, Finished
from treewarden.agents.core.message import MessageId

from .signal import (
    ActionFailed,
    ChildExited,
    OperatorAsked,
    Overloaded,
    RateLimitReached,
    Recovered,
    Reported,
    RestartFailed,
    Signal,
    Stalled,
    Unanswered,
)

__all__ = [
    "SEVERE",
    "Kind",
    "Risk",
    "Symptom",
    "about",
    "classify",
    "describe",
    "failure_in",
    "is_outside",
    "kind_of",
    "label_of",
    "message_in",
    "one_line",
    "tick_in",
    "trouble_in",
]

SEVERE: Final = 0.6
"""A report from this severity on is a high one; siblings are compared by those only."""


class Kind(StrEnum):
    """What happened, in one word. Outcomes are counted by it."""

    CRASH = "crash"
    KILLED = "killed"
    FINISHED = "finished"
    """It returned; for a permanent child that is not the end."""
    STOPPED = "stopped"
    """It chose to end, in order."""
    GAVE_UP = "gave_up"
    """A supervisor below exceeded its restart intensity."""
    START_FAILED = "start_failed"
    RATE_LIMITED = "rate_limited"
    STALLED = "stalled"
    OVERLOADED = "overloaded"
    REPORTED = "reported"
    RECOVERED = "recovered"
    OPERATOR = "operator"
    ACTION_FAILED = "action_failed"
    """An action that is registered under a name was performed, and did not succeed."""
    UNANSWERED = "unanswered"
    """What a person was asked in an earlier process is open still."""


class Symptom(StrEnum):
    """What a context may show. The first block is the nature of the trouble: a signal shows exactly one of these."""

    CRASH = "crash"
    """An exception whose type says nothing more."""
    CODE_ERROR = "code_error"
    """`TypeError`, `AttributeError` and the like: the code does not fit what it was given."""
    BAD_STATE = "bad_state"
    """Something could not be decoded or validated."""
    CONNECTION = "connection"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    STALLED = "stalled"
    KILLED = "killed"
    ENDED = "ended"
    """It ended in order, and its spec wants it back."""
    GAVE_UP = "gave_up"
    REPORTED = "reported"
    """`reported:<kind>` with its severity: what an agent, a probe or the application said."""
    ACTION_FAILED = "action_failed"

    START_FAILED = "start_failed"
    """It did not get beyond `on_start`."""
    REFAIL_FAST = "refail_fast"
    """Died again soon after its start."""
    NOTHING_SETTLED = "nothing_settled_since_restore"
    """So many lives in a row settled nothing."""
    SAME_MESSAGE = "same_message"
    """The message in hand has used up its deliveries."""
    SIBLINGS_ALIKE = "siblings_alike"
    """So many of its siblings show the same within the window."""
    CODE_CHANGED = "code_changed_recently"
    MEMORY_GROWS = "memory_grows"
    """Lately it was reported that its memory grows, or is nearly used up."""
    QUEUE_GROWS = "queue_grows"
    """Lately its mailbox was nearly full, or it was reported that its queue grows."""


class Risk(IntEnum):
    """What is at stake, from the pressure: below 0.35, 0.60, 0.85, and above."""

    LOW = 0
    MEDIUM = 1
    HIGH = 2
    CRITICAL = 3

    @classmethod
    def of(cls, pressure: float) -> Risk:
        return _STEPS[(pressure >= 0.35) + (pressure >= 0.6) + (pressure >= 0.85)]

    def __str__(self) -> str:
        return self.name.lower()


_STEPS: Final = tuple(Risk)


def kind_of(signal: Signal) -> Kind:
    if not isinstance(signal, ChildExited):
        return _KINDS[type(signal)]
    exit = signal.exit
    if isinstance(exit, Failed):
        return Kind.KILLED if exit.failure.type == "Killed" else Kind.CRASH
    if isinstance(exit, Finished):
        return Kind.FINISHED
    return Kind.GAVE_UP if exit.reason == "intensity" else Kind.STOPPED


_KINDS: Final[dict[type[Signal], Kind]] = {
    RestartFailed: Kind.START_FAILED,
    RateLimitReached: Kind.RATE_LIMITED,
    Stalled: Kind.STALLED,
    Overloaded: Kind.OVERLOADED,
    Reported: Kind.REPORTED,
    Recovered: Kind.RECOVERED,
    OperatorAsked: Kind.OPERATOR,
    ActionFailed: Kind.ACTION_FAILED,
    Unanswered: Kind.UNANSWERED,
}


def about(signal: Signal) -> str:
    """What is said to be wrong, over, or wanted, in the word of who said it; empty for what was seen."""
    match signal:
        case Reported(kind=kind) | Recovered(kind=kind):
            return kind
        case OperatorAsked(what=what):
            return what
        case ActionFailed(action=action):
            return action
        case _:
            return ""


def label_of(signal: Signal) -> str:
    """The kind with the reporter's own word, `reported:slow`."""
    if isinstance(signal, Reported):
        return "reported:" + signal.kind
    word = about(signal)
    return f"{kind_of(signal)}:{word}" if word else str(kind_of(signal))


def failure_in(signal: Signal) -> Failure | None:
    if isinstance(signal, ChildExited):
        return signal.exit.failure if isinstance(signal.exit, Failed) else None
    return signal.failure if isinstance(signal, (RestartFailed, RateLimitReached)) else None


def tick_in(handling: str) -> str:
    """The name of the method that was in hand, if what is said to have been is an `@every` or `@at` method."""
    word, _, name = handling.partition(":")
    return name if word in _TICKS else ""


def message_in(signal: Signal) -> MessageId | None:
    """The message that was in hand."""
    if isinstance(signal, RateLimitReached):
        return signal.message
    failure = failure_in(signal)
    return failure.message if failure is not None else None


def trouble_in(signal: Signal) -> str:
    """What siblings in the same trouble have in common: a fingerprint, or a name; empty where that says nothing."""
    match kind_of(signal):
        case Kind.CRASH | Kind.START_FAILED:
            failure = failure_in(signal)
            return (failure.fingerprint or failure.type) if failure is not None else ""
        case Kind.REPORTED:
            return label_of(signal) if isinstance(signal, Reported) and signal.severity >= SEVERE else ""
        case Kind.RATE_LIMITED | Kind.STALLED | Kind.OVERLOADED:
            return label_of(signal)
        case _:
            return ""


def is_outside(signal: Signal) -> bool:
    """Whether it went wrong at something that the child talks to: then only who talks to the same can be in it too."""
    kind = kind_of(signal)
    if kind is Kind.RATE_LIMITED:
        return True
    failure = failure_in(signal) if kind in (Kind.CRASH, Kind.START_FAILED) else None
    return failure is not None and classify(failure) in _OUTSIDE


_TICKS: Final = ("every", "at")
_OUTSIDE: Final = (Symptom.CONNECTION, Symptom.TIMEOUT, Symptom.RATE_LIMITED)

_CODE: Final = frozenset({
    "TypeError", "AttributeError", "NameError", "UnboundLocalError", "ImportError", "ModuleNotFoundError",
    "NotImplementedError", "AssertionError", "IndexError", "KeyError", "LookupError", "SyntaxError", "RecursionError",
})  # fmt: skip
# Parts of class names, in lower case and in this order: `ConnectTimeout` is a timeout, `ReadError` a connection.
_NAMED: Final[tuple[tuple[Symptom, tuple[str, ...]], ...]] = (
    (Symptom.RATE_LIMITED, ("ratelimit", "toomanyrequests")),
    (Symptom.TIMEOUT, ("timeout", "timedout", "tooslow", "deadline")),
    (Symptom.OUT_OF_MEMORY, ("memory",)),
    (Symptom.OVERLOADED, ("overload", "mailboxfull", "unavailable", "limiterror")),
    (Symptom.BAD_STATE, ("validation", "decode", "parseerror", "corrupt", "unpickling", "checksum", "unknownkind")),
    (Symptom.CONNECTION, ("connect", "brokenpipe", "brokenresource", "network", "gaierror", "unreachable",
                          "protocolerror", "readerror", "writeerror", "sslerror")),
)  # fmt: skip


def classify(failure: Failure) -> Symptom:
    """The nature of a failure, from the name of its type; of a mixed group, that of its first telling part."""
    found = _named(failure.type)
    if found is Symptom.CRASH:
        for part in failure.parts:
            if (found := classify(part)) is not Symptom.CRASH:
                break
    return found


@lru_cache(1024)
def _named(type: str) -> Symptom:
    name = type.rpartition(".")[2]
    if name in _CODE:
        return Symptom.CODE_ERROR
    lower = name.lower()
    for symptom, words in _NAMED:
        for word in words:
            if word in lower:
                return symptom
    return Symptom.CRASH


def describe(signal: Signal) -> str:
    """What was noticed, in one line."""
    match signal:
        case ChildExited(exit=Failed(failure=failure)):
            handling = f", handling {failure.message_kind}" if failure.message_kind else ""
            return (
                f"crashed: {one_line(str(failure))}{handling}" if failure.type != "Killed" else one_line(failure.text)
            )
        case ChildExited(exit=Finished()):
            return "returned"
        case ChildExited(exit=ended):
            return f"stopped: {one_line(getattr(ended, 'reason', '') or 'in order')}"
        case RestartFailed(failure=failure):
            return f"did not start: {one_line(str(failure))}"
        case RateLimitReached(after=after):
            return "was asked to make fewer calls" + (f" for {after:g} s" if after is not None else "")
        case Stalled(cycle=cycle, times=times, doing=doing) if cycle:
            turns = " -> ".join(cycle)
            again = f"goes round in circles: {turns}, {times} times with the same arguments and results"
            return again + (f", handling {doing}" if doing else "")
        case Stalled(idle=idle, limit=limit, doing=doing):
            return f"nothing new for {idle:.3g} s (limit {limit:g} s)" + (f", handling {doing}" if doing else "")
        case Overloaded(depth=depth, capacity=capacity, oldest=oldest):
            return f"{depth} of {capacity} messages wait, the oldest for {oldest:.3g} s"
        case Reported(kind=kind, severity=severity, text=text):
            return f"reported {kind} {severity:.2f}" + (f": {one_line(text)}" if text else "")
        case Recovered(kind=kind, text=text):
            return f"recovered from {kind}" + (f": {one_line(text)}" if text else "")
        case OperatorAsked(what=what, by=by):
            return f"{by} asked for {what}"
        case ActionFailed(action=action, text=text):
            return f"{action} did not succeed" + (f": {one_line(text)}" if text else "")
        case Unanswered(question=question):
            return f"nobody has answered: {one_line(question)}"


def one_line(text: str, most: int = 160) -> str:
    """`text` as part of a sentence, in at most so many characters."""
    first = " ".join(text.split())
    return first if len(first) <= most else first[: most - 1] + "…"
