"""One child of a supervisor: its place in the table, and what all lives of children have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import trio
from attrs import field

from treewarden.agents.core.exit import Exit, Failure
from treewarden.agents.core.lifecycle import NEXT, SlotEvent, SlotState, advance
from treewarden.agents.core.message import Envelope
from treewarden.agents.core.path import Path
from treewarden.agents.core.values import define
from treewarden.agents.errors import Ignore
from treewarden.agents.ports import Alarm
from treewarden.agents.slot import Slot

from .common import Common
from .core.event import ChildEnded
from .core.history import NO_RESTARTS, RestartHistory
from .core.signal import RestartFailed, Unanswered
from .core.spec import ChildSpec, Spec

if TYPE_CHECKING:
    from treewarden.agents.core.limiter import Limiter

    from .core.decision import Decision, Policy
    from .core.first_crash import FirstCrash
    from .core.incident import Incident
    from .core.incident_events import QuestionAsked
    from .core.let_live import LetLive
    from .core.named import NamedAction
    from .fence import AgentLife
    from .supervisor import Supervisor

__all__ = ["BY_HAND", "BY_HAND_DOWN", "KILL_WITHIN", "NOTHING", "NOT_STARTED", "Child", "Incarnation", "Parent"]

NOTHING: Final = frozenset[str]()
"""No limit is, by the gauge."""
BY_HAND: Final = "operator:hold"
"""As `label_of` calls it."""
BY_HAND_DOWN: Final = "operator:hold, down"
"""Of a supervisor that was down when a person held it, and stays so; one that lived goes on living."""
KILL_WITHIN: Final = 1.0
"""Seconds that a cancelled incarnation has to end before it is fenced off as a zombie."""
NOT_STARTED: Final = Failure("NotStarted", "it was killed while it started", fingerprint="killed")


class Parent(Protocol):
    """The supervisor as one of its children's lives sees it."""

    common: Common
    nursery: trio.Nursery
    policy: Policy | None
    actions: Mapping[str, NamedAction]
    """Those that may be performed by their names below it."""
    closing: bool
    """Its nursery closes, or has closed: nobody can begin there any more."""

    @property
    def exit(self) -> Exit | None:
        """How it ended, if it has."""
        ...

    def post(self, item: object) -> None:
        """Queue something for the supervisor's loop. Never blocks."""
        ...


@define(eq=False)
class Child:
    """One entry in a supervisor's table."""

    spec: Spec
    path: Path
    args: Mapping[str, Any] = field(factory=dict[str, Any])
    """What a dynamic child was given besides its template's arguments."""
    turned: bool = False
    """Its spec has turned from an agent into a supervisor, or back, and nobody has started by it yet."""
    state: SlotState = SlotState.DOWN
    lives: int = 0
    """Incarnations so far in this process; the current one's number."""
    current: AgentLife | Supervisor | None = None
    last: int = 0
    """The serial number of the current life, or of the last one."""
    slot: Slot | None = None
    slot_for: Spec | None = None
    """The spec by which the slot was made, or looked at last."""
    ended: ChildEnded | FirstCrash | None = None
    """How its last life ended; see `last_end`."""
    incident: Incident | None = None
    """Its trouble, but for the latest decision."""
    decision: Decision | FirstCrash | LetLive | None = None
    """What was decided last in the incident, until somebody looks at how that went."""
    history: RestartHistory = NO_RESTARTS
    attempt: int = 0
    """Restarts since it was last stable: what the backoff grows with."""
    token: int = 0
    """Raised whenever a pending restart becomes void."""
    alarm: Alarm | None = None
    """A restart that is due later."""
    calm: Alarm | None = None
    """The end of the incident, if nothing happens until then."""
    throttled: Alarm | None = None
    """The end of a throttle."""
    throttled_until: float = 0.0
    """When that is, in the clock of the loop."""
    throttled_over: frozenset[str] = NOTHING
    """The troubles over which it is throttled, each as `label_of` calls it."""
    held_over: frozenset[str] = NOTHING
    """Those over which it is held, while it lives."""
    limiter: Limiter | None = None
    """How many messages may wait for it, where its spec has an `intake`."""
    overloaded: bool = False
    """Its mailbox was overloaded when it was last looked at."""
    changed_at: float | None = None
    """When a reload gave it another spec: another version of what lives there."""
    note: str = ""
    """What an operator should know: why it is held, until when it is throttled."""
    question: QuestionAsked | None = None
    """What a person has been asked about it, and has not answered; the journal says so to the next process."""
    exceeded: frozenset[str] = NOTHING
    """What its last life had reported of limits that were exceeded to the end, each as it is called."""
    error: BaseException | None = None
    """The exception that ended the last life, or kept it from beginning."""
    bad_from: tuple[int, int] | None = None
    """How many messages had been settled, and the journal's head, when the incident's first rollback was decided:
    earlier states may be good."""
    left: int | None = None
    """The checkpoint of the state that was left then."""
    away_over: str = ""
    """The trouble, as `trouble_in` calls it, over which the slot has an earlier state; empty: it has its own."""

    @property
    def last_end(self) -> ChildEnded | None:
        """How its last life ended."""
        ended = self.ended
        return ended if ended is None or isinstance(ended, ChildEnded) else ended.ended

    @property
    def uses(self) -> tuple[str, ...]:
        """The dependencies that it declares; a supervisor declares none."""
        return self.spec.uses if isinstance(self.spec, ChildSpec) else ()

    @property
    def in_trouble(self) -> bool:
        """Whether it has an incident that is not over."""
        return self.incident is not None or self.decision is not None

    @property
    def is_held_by_hand(self) -> bool:
        """It is a supervisor, and a person holds it: that lasts over its lives."""
        return self.slot is None and BY_HAND in self.held_over

    def waits_for(self, signal: RestartFailed | Unanswered) -> bool:
        """Whether this, which came behind all that had waited already, is still to be decided about."""
        if isinstance(signal, Unanswered):
            return self.current is not None or self.state is SlotState.HELD
        return self.state is SlotState.RESTARTING and self.alarm is None

    def move(self, event: SlotEvent) -> None:
        state = NEXT.get((self.state, event))
        self.state = advance(self.state, event) if state is None else state

    def says(self, note: str) -> None:
        """What an operator should know, unless that is still the question over which it is held."""
        if not self.held_over and self.state is not SlotState.HELD:
            self.note = note

    def lift(self) -> None:
        """A new life is about to begin, or none is to: it is not held, and intake is closed only as long as somebody
        will open it."""
        self.held_over = NOTHING
        if self.slot is not None and self.slot.paused:
            self.slot.resume("held")
            if self.throttled is None:
                self.slot.resume("throttled")

    def leave(self) -> None:
        """Its supervisor has it no more: what its throttle would open then is another child's."""
        if self.throttled is not None:
            self.throttled.cancel()
            self.throttled = None

    def void(self) -> None:
        """Forget a pending restart."""
        self.token += 1
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None


class Incarnation:
    """One life of a child. It ends once; the parent acts on the posted end, not on the end of the task."""

    __slots__ = (
        "_begun",
        "_outcome",
        "_waiter",
        "child",
        "error",
        "exit",
        "info",
        "lost",
        "number",
        "parent",
        "serial",
        "started_at",
    )

    def __init__(self, child: Child, parent: Parent, number: int, serial: int = 0) -> None:
        self.child = child
        self.parent = parent
        self.number = number
        self.serial = serial or next(parent.common.serials)
        """No other life of the tree has the same: what fences an old incarnation off from a new one."""
        self.exit: Exit | None = None
        self.error: BaseException | None = None
        """The exception behind a `Failed`, for the group that ends the tree."""
        self.info: Any = None
        """What its `on_start` returned."""
        self.started_at = parent.common.clock.now()
        self.lost: object = None
        """The told message that it died on, as it is: one without an envelope has not been handed out before."""
        self._begun: trio.Event | None = None
        self._outcome: Failure | Ignore | None = NOT_STARTED
        self._waiter: trio.Event | None = None

    @property
    def slot(self) -> Slot | None:
        """Where it takes its messages from; a supervisor has none."""
        return None

    @property
    def in_hand(self) -> Envelope | None:
        """`lost`, in its envelope."""
        lost = self.lost
        if lost is not None and type(lost) is not Envelope:
            lost = self.lost = Envelope(lost)
        return lost

    @in_hand.setter
    def in_hand(self, message: Envelope | None) -> None:
        self.lost = message

    @property
    def settled(self) -> int:
        """Messages that this life has settled."""
        raise NotImplementedError

    @property
    def redelivers(self) -> bool:
        """Whether a told message that it died on is handled again."""
        return False

    # -- beginning

    async def start(self) -> Failure | Ignore | None:
        """Bring it to life in the parent's nursery; returns when it has begun, or with why it has not.

        Cancelled: it goes on by itself, and whoever owns the nursery ends it.
        """
        begun = self._begun = trio.Event()
        self.parent.nursery.start_soon(self._live, name=self.child.path)
        await begun.wait()
        return self._outcome

    @property
    def is_starting(self) -> bool:
        """Somebody waits for it to begin."""
        return self._begun is not None

    async def _live(self) -> None:
        raise NotImplementedError

    @trio.lowlevel.enable_ki_protection
    def _begin(self, outcome: Failure | Ignore | None) -> None:
        """Say whether it has begun. Only the first word counts."""
        if self._begun is not None:
            self._outcome = outcome
            self._begun.set()
            self._begun = None

    # -- ending

    async def wait_ended(self) -> None:
        """Wait for the exit. The task may still be around: a zombie."""
        if self.exit is None:
            if self._waiter is None:
                self._waiter = trio.Event()
            await self._waiter.wait()

    async def wait_emptied(self) -> None:
        """Wait until nobody lives below it any more."""
        await self.wait_ended()

    def order_stop(self, reason: str, *, drain: bool = False) -> None:
        """Ask it to end in order."""
        raise NotImplementedError

    def kill(self, failure: Failure | None = None) -> None:
        """End it without asking; it has ended soon. `failure` says why, if it is more than having been killed."""
        raise NotImplementedError

    def conclude(self, exit: Exit, *, tell: bool = True) -> None:
        """Make `exit` a fact for the parent. Only the first one counts."""
        if self.exit is not None:
            return
        self._note(exit)
        if tell:
            self.parent.post(self)

    @trio.lowlevel.enable_ki_protection
    def _note(self, exit: Exit) -> None:
        """Ctrl-C waits meanwhile, or nobody would ever wake who waits for this end."""
        self.exit = exit
        if self._waiter is not None:
            self._waiter.set()
