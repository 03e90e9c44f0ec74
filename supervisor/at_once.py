"""What a supervisor answers before the grounds are worked out: first crashes, and mild reports."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from treewarden.agents.core.exit import Failed, Failure
from treewarden.agents.core.message import Envelope
from treewarden.agents.core.path import Path

from .child import Child
from .common import Common
from .core import incident as incidents
from .core.action import action_name
from .core.decision import Decision, Policy, attempt_of, is_paced
from .core.fallback import checked, is_foreign, lets_live
from .core.first_crash import FirstCrash, folded
from .core.history import EMPTY, NO_RESTARTS
from .core.ladder import Ladder, ladder
from .core.let_live import LetLive, Surroundings, stated
from .core.named import NamedAction
from .core.outcomes import learn_failed
from .core.policies import Otp
from .core.signal import Recovered, Reported
from .core.spec import ChildSpec, RestartPolicy, SupervisorSpec
from .core.symptom import SEVERE
from .core.window import NOTHING_SEEN

if TYPE_CHECKING:
    from .fence import AgentLife

__all__ = ["AtOnce", "Manners"]

_UNFOLDED: Final = 8
"""First crashes that wait to be sorted into what is remembered; each holds on to those before it."""
_TEMPORARY: Final = RestartPolicy.TEMPORARY
_NO_CRASH: Final = frozenset({"Killed", "CommitFailed"})
"""Types of failures that no code of an agent's has raised."""


class AtOnce:
    """The part of a `Judge` that answers at once, with what both of its parts remember."""

    def __init__(
        self, spec: SupervisorSpec, policy: Policy | None, actions: Mapping[str, NamedAction], common: Common
    ) -> None:
        """Where nobody has named a policy, `ladder()` decides."""
        self._history = NO_RESTARTS
        self._window = NOTHING_SEEN
        self._crashes: FirstCrash | None = None
        """The last one that neither of the two knows yet; it leads to those before it."""
        self._common = common
        self._reported: dict[Path, set[str]] | None = None
        self._go_by(spec, policy, actions)

    def adopt(self, spec: SupervisorSpec, policy: Policy | None, actions: Mapping[str, NamedAction]) -> None:
        """Go by new flags from now on."""
        self._fold()  # by the old ones
        self._go_by(spec, policy, actions)

    def _go_by(self, spec: SupervisorSpec, policy: Policy | None, actions: Mapping[str, NamedAction]) -> None:
        self.spec = spec
        self.actions = actions
        """Those that are registered for all its children, here or above."""
        self._around: Surroundings | None = None
        self._rests_until = -math.inf
        """The policy was so slow that it is not asked before then."""
        common = self._common
        known = common.manners
        if known is None or known.of is not policy:
            known = Manners(policy)
            if not is_foreign(known.policy):  # ours are values: what one of them says does not change
                common.manners = known
        self._manners = known
        self.policy = known.policy

    @property
    def is_paced(self) -> bool:
        """Whether restarts wait for the tree's bucket."""
        return self._manners.is_paced

    def _fold(self) -> None:
        if self._crashes is not None:
            self._history, self._window = folded(self._history, self._window, self._crashes.chain)
            self._crashes = None

    def first_crash(self, child: Child, life: AgentLife, siblings: tuple[str, ...]) -> FirstCrash | None:
        """The end of this life, answered and remembered, if it is the crash of a healthy child, and nothing else is to
        be seen; a restart at once has its turn. None: `decide` has to look at it, and nothing was done."""
        common, exit, spec, lost, slot = self._common, life.exit, child.spec, life.lost, child.slot
        manners, last, intensity, history = self._manners, self._crashes, self.spec.restarts, self._history
        first, unfolded = manners.first, 0 if last is None else last.number
        if (
            first is None
            or type(exit) is not Failed
            or type(spec) is not ChildSpec
            or slot is None
            or child.incident is not None
            or child.decision is not None
            or unfolded >= _UNFOLDED
            or (0 if history is NO_RESTARTS else history.count) + unfolded + 1 >= intensity.max_restarts
            or spec.restarts is not None
            or spec.restart is _TEMPORARY
            or common.deployed
            or child.changed_at is not None
            or common.outage.since is not None
            or (type(lost) is Envelope and lost.id)
        ):
            return None
        failure = exit.failure
        if failure.message or failure.after is not None or failure.parts or failure.type in _NO_CRASH:
            return None
        restart = first.first(failure)
        if restart is None:
            return None
        now = common.clock.now()
        wait = common.pace.wait(now)
        if wait and manners.is_paced:
            return None
        if (unfolded or self._window is not NOTHING_SEEN) and self._seen_lately(failure, child, now):
            return None
        uptime = now - life.started_at
        spread, strategy = common.random.random(), self.spec.strategy
        answer = restart(spec, strategy, spread)
        if answer.after <= 0 and not wait:
            common.pace.begin(now)
        crash = FirstCrash(
            child.path,
            now,
            life.number,
            exit,
            uptime if uptime > 0.0 else 0.0,
            life.settled,
            0 if lost is None else lost.deliveries + 1 if type(lost) is Envelope else 1,
            common.incident_id(),
            spec,
            strategy,
            siblings,
            self.policy,
            intensity,
            self.actions,
            history,
            self._window,
            last,
            unfolded + 1,
            common.outcomes,
            common.challenger,
            spread,
            answer,
            slot.worked,
            slot.ticks and slot.ticks.copy(),
            len(slot.handles),
            None if lost is None else type(lost.body if type(lost) is Envelope else lost).__qualname__,
        )
        self._crashes = crash
        child.decision = crash
        return crash

    def _seen_lately(self, failed: Failure, child: Child, now: float) -> bool:
        """Whether somebody else was in this trouble within the window."""
        trouble = failed.fingerprint or failed.type
        for crash in () if self._crashes is None else self._crashes.chain:
            failure = crash.exit.failure
            if (failure.fingerprint or failure.type) == trouble and crash.path != child.path:
                return True
        return bool(self._window.alike(trouble, now).keys() - {child.spec.id})

    def let_live(self, child: Child, signal: Reported, siblings: tuple[str, ...]) -> tuple[LetLive, float] | None:
        """A mild report in an incident that is open: answered, remembered and learned from, if the policy lets the
        child live whatever else is to be seen; and the wall time of that. None: `decide` has to look at it, and nothing
        was done."""
        latest, common = child.decision, self._common
        if not self._manners.lets_live or latest is None or signal.severity >= SEVERE:
            return None
        if type(latest) is LetLive:
            incident, ended = latest.followed_by(signal)
        else:
            decision = latest if isinstance(latest, Decision) else latest.decision
            if isinstance(decision.case.signal, Recovered):
                return None
            tried = attempt_of(decision, decision.case.signal.at)
            incident, ended = incidents.met(decision.case.incident, tried, signal)
        wall, counting = common.clock.wall(), common.counting
        if ended is not None:
            failed = incident.failures - 1
            if type(latest) is LetLive:
                counting.failed(ended.confidence, ended.model, wall, failed)
            else:
                before, action = common.outcomes, action_name(ended.action)
                common.outcomes = learn_failed(
                    before, action, ended.kind, ended.confidence, ended.model, wall, failed, ended.symptom
                )
                counting = common.counting
        self._report_is_open(signal.path, signal.kind)
        around, spec = self._surroundings(siblings), child.spec
        changed_at = common.changed_at(signal.path, child.changed_at)
        child.incident = incident
        child.decision = answer = LetLive(
            signal,
            incident,
            around,
            spec,
            child.history,
            counting,
            counting.count,
            common.random.random(),
            common.pace.wait(common.clock.now()) if self._manners.is_paced and common.pace.due != EMPTY else 0.0,
            changed_at,
            0,
            ended,
            stated(incident, counting, around, spec, changed_at),
        )
        return answer, wall

    def _report_is_open(self, path: Path, kind: str) -> None:
        """Something of this kind has been reported, and is not over."""
        if self._reported is None:
            self._reported = {}
        kinds = self._reported.get(path)
        if kinds is None:
            self._reported[path] = {kind}
        else:
            kinds.add(kind)

    def _surroundings(self, siblings: tuple[str, ...]) -> Surroundings:
        """Those of now; the same value as long as nothing of it has changed."""
        self._fold()
        common, found = self._common, self._around
        journal_ok, bucket = common.outage.since is None, common.pace.bucket if self._manners.is_paced else None
        if (
            found is None
            or found.window is not self._window
            or found.history is not self._history
            or found.siblings is not siblings
            or found.challenger is not common.challenger
            or found.bucket is not bucket
            or found.journal_ok is not journal_ok
        ):
            found = self._around = Surroundings(
                self.policy,
                self.spec.strategy,
                siblings,
                self._window,
                self._history,
                self.spec.restarts,
                bucket,
                common.challenger,
                journal_ok,
                self.actions,
            )
        return found


class Manners:
    """What a supervisor has to know of its policy for each decision, found out once."""

    __slots__ = ("first", "is_paced", "lets_live", "of", "policy")

    def __init__(self, policy: Policy | None) -> None:
        """Where nobody has named a policy, `ladder()` decides."""
        self.of = policy
        self.policy = checked(ladder() if policy is None else policy)
        self.first = _first_of(self.policy)
        """The policy, if it answers first crashes without a look at the whole case."""
        self.lets_live = lets_live(self.policy)
        self.is_paced = _says(self.policy)
        """Whether restarts wait for the tree's bucket."""


def _first_of(policy: Policy) -> Ladder | Otp | None:
    """The policy, if it answers first crashes without a look at the whole case."""
    return policy if type(policy) is Ladder or type(policy) is Otp else None  # not of classes made from these


def _says(policy: Policy) -> bool:
    """Whether a policy obeys the tree's bucket. One that cannot say does."""
    try:
        return is_paced(policy)
    except Exception:
        return True
