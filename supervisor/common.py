"""What all supervisors of one tree share: time, chance, the journal, the addresses."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Final, cast

import trio
from attrs import Factory, field

from treewarden.agents.agent import Agent, is_agent_class
from treewarden.agents.core.diagnosis import Diagnosis
from treewarden.agents.core.message import MessageId
from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.core.values import define
from treewarden.agents.errors import NoSuchSlot
from treewarden.agents.ports import Clock
from treewarden.agents.slice import Rounds
from treewarden.agents.slot import Slot
from treewarden.agents.stopwatch import stopwatch

from .core.event import ApprovalNoted, ChildEnded, Event, Recorded, RolledBack, WaitNoted
from .core.history import Pace
from .core.later import Account
from .core.spec import ChildSpec
from .hibernation import Hibernation
from .journal.port import Commit, Journal, Seq
from .journal.quiet import dated_later, facts, told_later
from .outage import Outage
from .registry import Registry
from .relay import Relay
from .replies import Replies
from .timers import Timers

if TYPE_CHECKING:
    from .at_once import Manners
    from .core.challenger import Challenger
    from .core.counting import Counting
    from .core.event import QuestionAsked
    from .core.first_crash import FirstCrash
    from .core.lineage import Past
    from .core.outcomes import Outcomes
    from .dependencies import Dependencies
    from .fence import AgentLife
    from .gauges import Gauges
    from .journal.codec import Codec, Encoded
    from .leftovers import Leftovers
    from .roster import Roster
    from .stranded import Stranded
    from .supervisor import Supervisor

__all__ = ["OF_WAITS", "Common", "LoopClock"]

OF_WAITS: Final = frozenset({WaitNoted, ApprovalNoted})
_BACKS: Final = 100
"""Times that a slot went back that are remembered."""


class LoopClock:
    """trio's clock, and wall time from the function that is passed in (`time.time`, or a fixed start in tests).

    Of the loop in which it is made. Raises `RuntimeError` outside of one.
    """

    def __init__(self, wall: Callable[[], float]) -> None:
        self.wall = wall
        self.now = trio.lowlevel.current_clock().current_time


@define(eq=False)
class Common:
    """Made once by `open_tree`, handed to every supervisor."""

    clock: Clock
    timers: Timers
    registry: Registry
    journal: Journal
    random: random.Random
    stopwatch: Callable[[], float] = field(default=Factory(lambda common: stopwatch(common.clock.now), takes_self=True))
    """For how long something takes or waits."""
    rounds: Rounds = field(default=Factory(lambda common: Rounds(common.stopwatch), takes_self=True))
    """How busy agents share the loop."""
    rows: Iterator[int] = field(factory=lambda: itertools.count(1))
    incidents: Iterator[int] = field(factory=lambda: itertools.count(1))
    serials: Iterator[int] = field(factory=lambda: itertools.count(1))
    supervisors: dict[Path, Supervisor] = field(factory=dict[Path, "Supervisor"])
    """Those that run, by path."""
    watched: dict[AgentLife, None] = field(factory=dict["AgentLife", None])
    """Lives with a progress limit and a task, in the order in which they woke: a set's order is another one in each
    process."""
    shortest_limit: float = math.inf
    """The shortest progress limit that anybody has had so far."""
    queues: dict[AgentLife, None] = field(factory=dict["AgentLife", None])
    """Lives whose mailbox is looked at for overload."""
    intakes: dict[AgentLife, None] = field(factory=dict["AgentLife", None])
    """Lives whose mailbox admits as many as it can serve in time."""
    hibernation: Hibernation = field(default=Factory(lambda own: Hibernation(own.timers, own.clock), takes_self=True))
    """Lives with a task that may be idle."""
    zombies: list[AgentLife] = field(factory=list["AgentLife"])
    """Lives that were fenced off; those that have ended since are dropped when somebody looks."""
    left: dict[Path, Roster] = field(factory=dict[Path, "Roster"])
    """The children of each supervisor that has ended: its successor goes on counting their lives."""
    draining: list[Callable[[Slot], None]] = field(factory=list[Callable[[Slot], None]])
    """What is to be told of slots that are made while some are drained."""
    deployed: dict[Path, float] = field(factory=dict[Path, float])
    """When the code at or below a path was changed last, in the clock of the loop."""
    diagnoses: dict[Path, Diagnosis] = field(factory=dict[Path, Diagnosis])
    """Of slots that were rolled back in an earlier process, and had not been stable since."""
    went_back: dict[Path, list[tuple[Seq, RolledBack]]] = field(factory=dict[Path, "list[tuple[Seq, RolledBack]]"])
    """How often a slot has gone back lately, and to what, with the place of that in the journal: the oldest first."""
    left_by_old_code: set[Path] = field(factory=set[Path])
    """Those of them that last did so in an earlier process in which the tree had other code."""
    read_from: Seq = 0
    """That of earlier events is not in it until somebody asks for it."""
    pasts: Mapping[str, Past] = field(factory=dict[str, "Past"])
    """What led to what before that, of slots of which the journal has given up an event that says so."""
    questions: dict[Path, QuestionAsked] = field(factory=dict[Path, "QuestionAsked"])
    """Of earlier processes, to people, which nobody has answered, and about slots that have not been started yet."""
    replies: Replies = field(factory=Replies)
    makers: dict[object, type[Agent[Any]]] = field(factory=dict[object, type[Agent[Any]]])
    """The class of the agents that a function makes."""
    codecs: dict[object, Codec] = field(factory=dict[object, "Codec"])
    relay: Relay = field(factory=Relay)
    context: Context = field(factory=copy_context)
    """With the variables of whoever opened the tree: each agent begins with a copy."""
    pace: Pace = field(factory=Pace)
    has_broken: bool = field(default=False, init=False)
    """A dependency was broken: from then on first crashes too are looked at for one that is."""
    over: bool = field(default=False, init=False)
    """The tree has ended: messages that are on disk by now are for the next process."""
    leftovers: Leftovers | None = field(default=None, init=False)
    """Messages that are to be given up, once there have been any."""
    outage: Outage = field(init=False)
    _epoch: int = field(default=0, init=False)
    manners: Manners | None = field(default=None, init=False)
    """Of the policy that was looked at last: most supervisors of a tree have the same."""
    _dependencies: Dependencies | None = field(default=None, init=False)
    _gauges: Gauges | None = field(default=None, init=False)
    _stranded: Stranded | None = field(default=None, init=False)
    _outcomes: Outcomes | None = field(default=None, init=False)
    _counting: Counting | None = field(default=None, init=False)
    """What the outcomes have become since, where that is not None."""
    _challenger: Challenger | None = field(default=None, init=False)
    _gathered: list[tuple[float, Any]] | None = field(default=None, init=False)
    """What is noted for one commit: each an event, or an account of some."""
    _accounts: bool = field(default=False, init=False)
    """Some of that is worked out when somebody reads it."""

    def __attrs_post_init__(self) -> None:
        self.outage = Outage(self.journal, self.clock, self.timers, self.registry, self.replies)

    @property
    def dependencies(self) -> Dependencies:
        """Those that are broken."""
        if self._dependencies is None:
            from .dependencies import Dependencies  # here and below: with the first failure

            self._dependencies = Dependencies(self)
        return self._dependencies

    @property
    def any_broken(self) -> bool:
        """Whether a dependency is broken."""
        return self._dependencies is not None and self._dependencies.any_broken

    @property
    def gauges(self) -> Gauges:
        """What is measured of lives that have limits."""
        if self._gauges is None:
            from .gauges import Gauges

            self._gauges = Gauges(self.clock.now)
        return self._gauges

    @property
    def measures(self) -> bool:
        """Whether anything is, or was."""
        return self._gauges is not None

    @property
    def outcomes(self) -> Outcomes:
        """What decisions came to."""
        if self._counting is not None:
            return self._counting.outcomes
        if self._outcomes is None:
            from .core.outcomes import Outcomes

            self._outcomes = Outcomes()
        return self._outcomes

    @outcomes.setter
    def outcomes(self, outcomes: Outcomes) -> None:
        self._outcomes, self._counting = outcomes, None

    @property
    def counting(self) -> Counting:
        """The same, to be counted on in place."""
        found = self._counting
        if found is None or found.full:
            from .core.counting import Counting

            found = self._counting = Counting(self.outcomes)
        return found

    @property
    def challenger(self) -> Challenger:
        """What labels have taught."""
        if self._challenger is None:
            from .core.challenger import Challenger

            self._challenger = Challenger()
        return self._challenger

    @challenger.setter
    def challenger(self, challenger: Challenger) -> None:
        self._challenger = challenger

    def changed_at(self, path: Path, itself: float | None = None) -> float | None:
        """When the code of a slot was changed last, by itself (`itself`) or with everything above it."""
        if not self.deployed:
            return itself
        times = [at for changed, at in self.deployed.items() if path.is_within(changed)]
        return max(times if itself is None else [*times, itself], default=None)

    @property
    def stranded(self) -> Stranded:
        """Whose handlers wait for somebody who was stopped."""
        if self._stranded is None:
            from .stranded import Stranded  # with the first who is stopped: a start does without it

            self._stranded = Stranded()
        return self._stranded

    def nowhere(self, path: Path, besides: str = "") -> NoSuchSlot:
        """What to raise about a path at which there is no slot, with what is near."""
        near = self.registry.near(path, (each for each in self.supervisors if each != ROOT))
        if path == ROOT:
            return NoSuchSlot(f"/ is the whole tree, and no slot of it{near}", path=path, retry_safe=True)
        return NoSuchSlot(f"{path}: the tree has no such slot{besides}{near}", path=path, retry_safe=True)

    def codec_for(self, spec: ChildSpec) -> Codec:
        """The codec of an agent's state and messages. Raises `ConfigurationError` for types that cannot be stored."""
        key: Any = spec.agent
        if not is_agent_class(key):
            from .codecs import class_made_by

            key = class_made_by(spec, self.makers)
        if key not in self.codecs:
            from .codecs import codec_of_class  # most of the import time of a tree, and a volatile one needs none

            self.codecs[key] = codec_of_class(key)
        return self.codecs[key]

    def codec_of(self, fact: type) -> Codec:
        """The codec of a fact that agents record."""
        if fact not in self.codecs:
            from .journal.codec import Codec

            self.codecs[fact] = Codec((fact,))
        return self.codecs[fact]

    def recorded(self, path: Path, fact: object, message: MessageId = "", made: Encoded | None = None) -> Event:
        """A fact of an agent's own as an event. Raises `ConfigurationError` for one that cannot be stored."""
        if type(fact) in OF_WAITS:  # how one has ended with its message
            return cast("Event", fact)
        kind, _, body, large = made or self.codec_of(type(fact)).encode_row(fact)
        return Recorded(path=path, kind=kind, facts=json.loads(body) if large is None else large.data, message=message)

    def has_limit(self, progress_within: float) -> None:
        """Somebody has begun whose progress is limited."""
        self.shortest_limit = min(self.shortest_limit, progress_within)

    def next_row(self) -> int:
        return next(self.rows)

    def message_id(self, row: int) -> MessageId:
        return f"{self.journal.opened.tree}-{row}"

    def incident_id(self) -> str:
        if not self._epoch:
            self._epoch = self.journal.opened.epoch
        return f"{self._epoch}.{next(self.incidents)}"

    def has_gone_back(self, place: Seq, event: RolledBack) -> None:
        """A slot has the state of a checkpoint again, or the one that its class declares."""
        known = self.went_back.setdefault(event.path, [])
        known.append((place, event))
        del known[:-_BACKS]

    def note(self, *events: Event) -> None:
        """Append events; they become facts with the next group commit, in this order."""
        wall, gathered = self.clock.wall(), self._gathered
        if gathered is not None:
            for event in events:
                gathered.append((wall, event))
        elif events:
            self.outage.submit(facts(tuple([(wall, event) for event in events])))

    def note_later(self, account: Account, wall: float | None = None) -> bool:
        """`note` what is to be journaled of a crash or a report, as of now if `wall` does not say when; that may still
        grow until `write_gathered`. Whether it has begun to `gather` for that, so that the caller has to end it."""
        gathered, begins = self._gathered, False
        if gathered is None:
            gathered = self._gathered = []
            begins = True
        gathered.append((self.clock.wall() if wall is None else wall, account))
        self._accounts = True
        return begins

    def begins_anew(self, ended: ChildEnded | FirstCrash | None, incarnation: int, attempt: int) -> bool:
        """Note that the next life has begun together with how the last one `ended`, if that was noted right before."""
        gathered = self._gathered
        if not gathered or gathered[-1][1] is not ended or ended is None or isinstance(ended, ChildEnded):
            return False
        ended.next, ended.attempt = incarnation, attempt
        return True

    def gather(self) -> None:
        """Make one commit of all that is noted until `write_gathered`; nothing may be waited for in between."""
        self._gathered = []

    def write_gathered(self) -> None:
        """The end of `gather`."""
        gathered, self._gathered = self._gathered, None
        accounts, self._accounts = self._accounts, False
        if not gathered:
            return
        if not accounts:
            self.outage.submit(facts(tuple(gathered)))
        elif len(gathered) == 1:
            self.outage.submit(told_later(*gathered[0]))
        else:
            self.outage.submit(dated_later(_Gathered(gathered)))

    def submit(self, commit: Commit, then: Callable[[], None] | None = None) -> None:
        """Append a commit of the tree's own (see `Outage.submit`)."""
        if self._gathered:
            self.write_gathered()
            self.gather()
        self.outage.submit(commit, then)

    def keep_reply(self, ask: MessageId, reply: object) -> None:
        """Keep the reply to a handler's ask, which is on disk, unless that handler has settled without it."""
        settled = self.replies.keep(ask, reply)
        if settled is not None:
            self._forget_stored(settled)

    def forget_replies(self, asking: MessageId) -> None:
        """A message of another tree has settled, or was given up, whose handler has asked somebody of this one."""
        self.replies.forget(asking)
        self._forget_stored(asking)

    def _forget_stored(self, asking: MessageId) -> None:
        if not self.over:
            self.submit(Commit(forget_replies=(f"{asking}>",)))

    def heard(self, error: BaseException | None) -> None:
        """A commit has ended."""
        self.outage.heard(error)

    @property
    def living_zombies(self) -> list[AgentLife]:
        """Incarnations that were fenced off and have not ended yet."""
        self.zombies = [life for life in self.zombies if not life.gone]
        return self.zombies

    def forget(self, path: Path) -> None:
        """A slot is gone for good: what the journal holds of it goes too, except its events."""
        self.registry.remove(path)
        self.submit(Commit(forget=(path,)))


class _Gathered:
    """What was noted for one commit, some of it to be worked out."""

    def __init__(self, noted: list[tuple[float, Event | Account]]) -> None:
        self._noted = noted
        self.count = sum([each.count if isinstance(each, Account) else 1 for _, each in noted])

    @property
    def events(self) -> tuple[tuple[float, Event], ...]:
        return tuple([(at, fact) for at, each in self._noted for fact in _facts_of(each)])


def _facts_of(noted: Event | Account) -> Sequence[Event]:
    return noted.facts if isinstance(noted, Account) else (noted,)
