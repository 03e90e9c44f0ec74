"""ladder(): the default policy, a table from symptoms to actions that can be read from top to bottom."""

from __future__ import annotations

from typing import Final

from attrs import field

from treewarden.agents.core.exit import Failure
from treewarden.agents.core.said import plural
from treewarden.agents.core.values import frozen

from .action import (
    Action,
    Break,
    FallBack,
    Hold,
    Restart,
    Resume,
    RollBack,
    Scope,
    SetAside,
    Throttle,
    scope_of,
)
from .case import Case
from .context import PATIENCE, Context
from .decision import FirstRestart, backoff_of
from .guards import Declined, Option, retry_after
from .history import delay
from .incident import Incident
from .rules import Row, declined, options
from .signal import Reported, Signal
from .spec import Backoff, ChildSpec, Strategy
from .symptom import SEVERE, Kind, Risk, Symptom, classify, kind_of, message_in

__all__ = ["ROWS", "Ladder", "ladder", "rows"]

LONG: Final = 4
"""Throttles after which a rate limit is more than a moment's."""
WIDEN: Final = 3
"""Failed attempts after which the restart takes more children along."""
QUIET: Final = Backoff(first=5.0, factor=2.0, most=300.0, jitter=0.2)
"""How long a dependency is left alone."""
SLOWER: Final = Backoff(first=1.0, factor=2.0, most=120.0, jitter=0.2)
"""How long a throttle lasts where nobody said."""

_ENDS: Final = frozenset({Kind.CRASH, Kind.FINISHED, Kind.STOPPED, Kind.GAVE_UP})
_DOWN: Final = _ENDS | {Kind.START_FAILED}
_CRASHED: Final = frozenset({Kind.CRASH})
_FAILED: Final = frozenset({Kind.CRASH, Kind.START_FAILED})
_OUTSIDE: Final = (Symptom.CONNECTION, Symptom.TIMEOUT, Symptom.RATE_LIMITED, Symptom.OVERLOADED)
_NO_FAULT_OF_STATE: Final = (*_OUTSIDE, Symptom.OUT_OF_MEMORY)


_RESTARTED_FIRST: Final = frozenset({
    Symptom.CRASH, Symptom.CODE_ERROR, Symptom.BAD_STATE, Symptom.CONNECTION, Symptom.TIMEOUT, Symptom.OUT_OF_MEMORY,
    Symptom.RATE_LIMITED,
})  # fmt: skip
"""Failures of a healthy child that `ROWS` answer with a restart after the backoff if nothing else is to be seen."""


# When ------------------------------------------------------------------------------------------------------------


def _always(_context: Context, _incident: Incident) -> bool:
    return True


def _limited_still(context: Context, incident: Incident) -> bool:
    return incident.tried("throttle") >= LONG


def _limited_for_ever(context: Context, incident: Incident) -> bool:
    return _limited_still(context, incident) and incident.tried("break") >= WIDEN


def _new_code(context: Context, incident: Incident) -> bool:
    """Most new code is good, so one more restart comes first, unless the failure is one that code makes."""
    suspect = context.shows(Symptom.CODE_ERROR) or context.failed > 0
    new = context.shows(Symptom.CODE_CHANGED) and not context.shows(Symptom.SAME_MESSAGE)
    return new and suspect and incident.tried("fall_back") < 2


def _outside(context: Context, _incident: Incident) -> bool:
    return context.shows(*_OUTSIDE)


def _outside_at_limit(context: Context, incident: Incident) -> bool:
    """Not where it would be left alone for longer than any outage is."""
    return 0.0 < context.room_in <= QUIET.most and _outside(context, incident)


def _drowned(context: Context, incident: Incident) -> bool:
    """It died of too much to do: who starts it again as it was asks the same of it. Where no restart is left, not even
    one with its intake closed is."""
    if _outside_at_limit(context, incident):
        return False
    slow = context.shows(Symptom.TIMEOUT) and (context.shows(Symptom.QUEUE_GROWS) or context.failed > 0)
    return (slow or context.shows(Symptom.OVERLOADED)) and incident.tried("throttle") < WIDEN


def _alike(context: Context, incident: Incident) -> bool:
    """Not for ever, unless it is connections that fail: where breaking has not helped, it is something else. A message
    that has used up its deliveries is given up all the same, and those behind it need not follow."""
    for_ever = context.shows(Symptom.CONNECTION)
    return context.shows(Symptom.SIBLINGS_ALIKE) and (for_ever or incident.tried("break") < WIDEN)


def _code_again(context: Context, incident: Incident) -> bool:
    return context.shows(Symptom.CODE_ERROR) and context.failed >= WIDEN and not incident.tried("fall_back")


def _used_up(context: Context, _incident: Incident) -> bool:
    return context.shows(Symptom.SAME_MESSAGE)


def _dies_on_state(context: Context, _incident: Incident) -> bool:
    return context.lives >= 2 and not context.one_message and not context.shows(*_NO_FAULT_OF_STATE)


def _state_left(context: Context, incident: Incident) -> bool:
    """The declared state forgets everything, so it needs more: a rollback that did not help, or four lives."""
    enough = context.states > 1 or incident.rolled_back > 0 or context.lives >= 4
    return _dies_on_state(context, incident) and context.states > 0 and enough


def _rolled_back_to_the_end(context: Context, incident: Incident) -> bool:
    return _dies_on_state(context, incident) and context.states == 0 and incident.rolled_back > 0


def _outside_again(context: Context, incident: Incident) -> bool:
    still = context.shows(Symptom.CONNECTION) or incident.tried("break") < WIDEN
    return _outside(context, incident) and context.failed >= WIDEN and still


def _patience_over(context: Context, _incident: Incident) -> bool:
    return context.failed >= PATIENCE


def _wider(context: Context, _incident: Incident) -> bool:
    return context.failed >= WIDEN and not context.one_message and not context.shows(Symptom.OUT_OF_MEMORY)


def _no_memory(context: Context, _incident: Incident) -> bool:
    return context.shows(Symptom.OUT_OF_MEMORY)


def _stalls_again(context: Context, _incident: Incident) -> bool:
    return context.failed >= 2


def _stalls_and_state_left(context: Context, incident: Incident) -> bool:
    """The declared state is no answer to a hang, unless a checkpoint was one that did not help."""
    return _stalls_again(context, incident) and context.states > (incident.rolled_back == 0)


def _drowning(context: Context, incident: Incident) -> bool:
    return context.risk >= Risk.HIGH or incident.tried("resume", "throttle") >= 2


def _severe(context: Context, _incident: Incident) -> bool:
    return context.severity >= SEVERE


def _severe_and_alike(context: Context, incident: Incident) -> bool:
    return _severe(context, incident) and context.shows(Symptom.SIBLINGS_ALIKE)


# Then ------------------------------------------------------------------------------------------------------------


def _wait(case: Case) -> float:
    return delay(backoff_of(case.spec), case.incident.failed + 1, case.spread)


def _restart(case: Case, _context: Context) -> Action:
    return Restart(scope_of(case.strategy), _wait(case))


def _restart_at_once(case: Case, _context: Context) -> Action:
    return Restart(scope_of(case.strategy), 0.0)


def _restart_more(case: Case, context: Context) -> Action:
    widened = Scope(min(scope_of(case.strategy) + context.failed // WIDEN, Scope.ALL))
    return Restart(widened, _wait(case))


def _roll_back(case: Case, _context: Context) -> Action:
    return RollBack(case.incident.rolled_back + 1, _wait(case))


def _set_aside(case: Case, _context: Context) -> Action:
    return SetAside(message_in(case.signal) or "", _wait(case))


def _fall_back(case: Case, _context: Context) -> Action:
    return FallBack(case.variant, _wait(case))


def _break(case: Case, context: Context) -> Action:
    """Until whoever tries it next may be restarted, should it fail."""
    seconds = delay(QUIET, case.incident.tried("break") + 1, case.spread)
    return Break(context.suspect, max(seconds, context.room_in) if context.room_in <= QUIET.most else seconds)


def _throttle(case: Case, _context: Context) -> Action:
    asked = retry_after(case)
    return Throttle(asked or delay(SLOWER, case.incident.tried("throttle") + 1, case.spread))


def _resume(_case: Case, _context: Context) -> Action:
    return Resume()


def _ask(case: Case, context: Context) -> Action:
    tried = f"{plural(context.failed, 'attempt')} did not help"
    back = case.incident.rolled_back
    undone = f", going back {plural(back, 'checkpoint')} among them" if back else ""
    return Hold(f"{case.signal.path}: {tried}{undone}. Start it again, change it, or stop it?")


# The table -------------------------------------------------------------------------------------------------------

ROWS: Final = (
    Row("limited for ever", frozenset({Kind.RATE_LIMITED}), _limited_for_ever, "4 throttles and 3 breaks",
        Hold, _ask, "hold and ask a person",
        "it has waited long and is still asked for fewer calls", "it stays down until a person decides"),
    Row("limited still", frozenset({Kind.RATE_LIMITED}), _limited_still, "4 throttles in this incident",
        Break, _break, "break the dependency for 5 s, 10 s, … up to 300 s",
        "fewer calls have not been few enough", "a longer break, then ask"),
    Row("rate limited", frozenset({Kind.RATE_LIMITED}), _always, "a rate limit",
        Throttle, _throttle, "throttle for Retry-After, or 1 s, 2 s, … up to 120 s",
        "the other side asked for fewer calls: the agent works", "a longer throttle"),
    Row("killed", frozenset({Kind.KILLED}), _always, "killed from outside",
        Restart, _restart_at_once, "restart at once",
        "it was killed from outside: nothing is known to be wrong with it", "restart, while the intensity allows"),
    Row("new code", _FAILED, _new_code,
        "code changed in the last ten minutes and a code error or a failed attempt; a variant",
        FallBack, _fall_back, "fall back to the next variant",
        "its code is new, and it fails as new code does", "roll back, then ask"),
    Row("drowned", _FAILED, _drowned,
        "an overload, or a timeout with a growing queue or a failed attempt",
        Throttle, _throttle, "start it with its intake closed for 1 s, 2 s, … up to 120 s",
        "it died of too much to do, and what waits would kill it again", "a longer throttle, then break"),
    Row("siblings alike", _FAILED, _alike,
        "ten siblings, or three and half of all, failing in the same way",
        Break, _break, "break the dependency they share for 5 s, 10 s, … up to 300 s",
        "so many failing alike are one trouble: what they share is down, not each of them", "a longer break"),
    Row("outside at the limit", _FAILED, _outside_at_limit,
        "connection or timeout failures, and the last restart that the limit allows",
        Break, _break, "break the dependency for 5 s, 10 s, … up to 300 s",
        "what it talks to is down, and with one more restart its supervisor would give up", "a longer break"),
    Row("poison message", _CRASHED, _used_up, "a message that has used up its deliveries",
        SetAside, _set_aside, "set the message aside and restart without it",
        "this message ended its agent each time it was tried", "restart, then roll back"),
    Row("dies on its state", _FAILED, _state_left,
        "2 lives or starts in a row that settled nothing, not by one message; a checkpoint (4 lives without)",
        RollBack, _roll_back, "roll back one checkpoint, then further, at last to the declared state",
        "it dies right after each restore, and not by one message: the state is the suspect",
        "roll back one further; without an earlier state, ask"),
    Row("no state left", _FAILED, _rolled_back_to_the_end, "every earlier state tried",
        Hold, _ask, "hold and ask a person",
        "it dies on every earlier state and on the declared one too", "it stays down until a person decides"),
    Row("outside again", _FAILED, _outside_again, "connection or timeout failures, and 3 failed attempts",
        Break, _break, "break the dependency for 5 s, 10 s, … up to 300 s",
        "what it talks to is down; more restarts would only ask it more often", "a longer break"),
    Row("outside", _FAILED, _outside, "a connection or timeout failure",
        Restart, _restart, "restart after its backoff",
        "what it talks to failed; most of these pass", "restart after twice the time, then break the dependency"),
    Row("older code", _FAILED, _code_again, "a code error and 3 failed attempts; a variant",
        FallBack, _fall_back, "fall back to the next variant",
        "it fails in its code whatever it starts from", "ask a person after 6 attempts"),
    Row("out of patience", _DOWN, _patience_over, "6 failed attempts in this incident",
        Hold, _ask, "hold and ask a person",
        "six attempts did not help", "it stays down until a person decides"),
    Row("wider", _DOWN, _wider, "3 failed attempts in this incident",
        Restart, _restart_more, "restart after its backoff, with the children after it",
        "restarting it alone did not help: what it works with may be the cause", "ask a person after 6 attempts"),
    Row("out of memory", _FAILED, _no_memory, "a memory error",
        Restart, _restart, "restart after its backoff",
        "a fresh incarnation gives the memory back", "restart after twice the time, then ask"),
    Row("start failed", frozenset({Kind.START_FAILED}), _always, "a start that failed",
        Restart, _restart, "restart after its backoff",
        "it did not start; the next attempt may", "restart after twice the time, then roll back"),
    Row("supervisor gave up", frozenset({Kind.GAVE_UP}), _always, "a supervisor that gave up",
        Restart, _restart, "restart the supervisor below after its backoff",
        "everything below it starts afresh", "restart after twice the time"),
    Row("ended", frozenset({Kind.FINISHED, Kind.STOPPED}), _always, "an end in order",
        Restart, _restart, "restart after its backoff",
        "it ended in order, and its spec wants it back", "restart after twice the time"),
    Row("crash", _CRASHED, _always, "a crash",
        Restart, _restart, "restart after its backoff",
        "most crashes pass with a fresh start", "restart after twice the time, then with its neighbours, then ask"),
    Row("stalls on its state", frozenset({Kind.STALLED}), _stalls_and_state_left,
        "2 failed attempts, and a checkpoint",
        RollBack, _roll_back, "roll back one checkpoint, then further",
        "it hangs again after each restart: its state may lead it there", "roll back one further, then ask"),
    Row("stalls for ever", frozenset({Kind.STALLED}), _stalls_again, "2 failed attempts, and every earlier state tried",
        Hold, _ask, "hold and ask a person",
        "it hangs whatever it starts from", "it stays down until a person decides"),
    Row("stalled", frozenset({Kind.STALLED}), _always, "no progress within its limit",
        Restart, _restart, "restart after its backoff",
        "nothing new has come of the work in hand: it hangs", "restart again, then roll back"),
    Row("drowning", frozenset({Kind.OVERLOADED}), _drowning, "high risk, or the third time in this incident",
        Throttle, _throttle, "throttle for 1 s, 2 s, … up to 120 s",
        "its mailbox fills faster than it works", "a longer throttle"),
    Row("overloaded", frozenset({Kind.OVERLOADED}), _always, "a mailbox nearly full",
        Resume, _resume, "let it live",
        "its mailbox is bounded, so those who send to it already wait", "throttle it"),
    Row("all report it", frozenset({Kind.REPORTED}), _severe_and_alike, "a high report, and siblings that report it",
        Break, _break, "break the dependency they share for 5 s, 10 s, … up to 300 s",
        "so many reporting the same are one trouble: what they share is down", "a longer break"),
    Row("severe report", frozenset({Kind.REPORTED}), _severe, "severity 0.6 or more",
        Resume, _resume, "let it live, visibly",
        "nothing to restart: the agent works, what it watches does not", "break once siblings report it too"),
    Row("report", frozenset({Kind.REPORTED}), _always, "a report",
        Resume, _resume, "let it live",
        "good to know, and no reason to act", "wait and see"),
)  # fmt: skip


@frozen
class Ladder:
    """The table as a policy: the first row that fits answers."""

    rows: tuple[Row, ...] = ROWS
    name: str = "ladder"
    counts_alike: bool = True
    escalates: bool = True
    stable_after: float | None = None
    _by_kind: dict[Kind, tuple[Row, ...]] = field(init=False, repr=False, eq=False)
    _looking_back: frozenset[Kind] = field(init=False, repr=False, eq=False)
    _mild: tuple[Option, ...] = field(init=False, repr=False, eq=False)
    """What it proposes for a report that is not severe, if that is the same in all circumstances; empty if not."""

    def __attrs_post_init__(self) -> None:
        by_kind = {kind: tuple(row for row in self.rows if kind in row.on) for kind in Kind}
        object.__setattr__(self, "_by_kind", by_kind)
        back = frozenset(kind for kind, rows in by_kind.items() if any(map(_may_look_back, rows)))
        object.__setattr__(self, "_looking_back", back)
        object.__setattr__(self, "_mild", _always_proposed(by_kind[Kind.REPORTED]))

    def propose(self, case: Case) -> tuple[Option, ...]:
        signal = case.signal
        if self._mild and isinstance(signal, Reported) and signal.severity < SEVERE:
            return self._mild
        return options(self._by_kind[case.context.kind], case)

    @property
    def lets_live(self) -> bool:
        """Whether a report that is not severe changes nothing, whatever else is to be seen."""
        return bool(self._mild)

    def looks_back(self, signal: Signal) -> bool:
        return kind_of(signal) in self._looking_back

    def declined(self, case: Case) -> tuple[Declined, ...]:
        return declined(self._by_kind[case.context.kind], case)

    def first(self, failure: Failure) -> FirstRestart | None:
        return _first_restart if self.rows is ROWS and classify(failure) in _RESTARTED_FIRST else None


def _first_restart(spec: ChildSpec, strategy: Strategy, spread: float) -> Restart:
    if not spec.backoff.first:
        return _AT_ONCE[strategy]
    return Restart(scope_of(strategy), delay(spec.backoff, 1, spread))


_AT_ONCE: Final = {strategy: Restart(scope_of(strategy)) for strategy in Strategy}


def _may_look_back(row: Row) -> bool:
    """Whether a row's answer may depend on earlier states: of those above, it does where one rolls back."""
    return row.act is RollBack or not any(row is shipped for shipped in ROWS)


def _always_proposed(rows: tuple[Row, ...]) -> tuple[Option, ...]:
    """The proposals about mild reports, if these rows look at nothing but how severe one is."""
    if not all(row.when in (_always, _severe, _severe_and_alike) for row in rows):
        return ()
    fit = [row for row in rows if row.when is _always]
    if not all(row.then is _resume for row in fit):
        return ()
    return tuple([Option(Resume(), row.name, row.reason, row.next) for row in fit])


def ladder() -> Ladder:
    """The default policy: a static table, so that the same circumstances always get the same answer."""
    return Ladder()


def rows(table: tuple[Row, ...] = ROWS) -> tuple[tuple[str, str, str, str, str], ...]:
    """The table for printing: name, when, action, reason, what next. The first row that fits answers."""
    return tuple((row.name, row.needs, row.does, row.reason, row.next) for row in table)
