"""Actions that are registered under a name: run beside the supervisor's loop, in tasks that the supervisor owns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio
from attrs import field

from treewarden.agents.core.exit import Failure, describe, storable
from treewarden.agents.core.lifecycle import SlotEvent, SlotState
from treewarden.agents.core.path import Path
from treewarden.agents.core.values import define, frozen
from treewarden.agents.errors import CommitFailed, NoSuchAction
from treewarden.agents.ref import Ref

from .child import Child
from .core.action import Perform, Scope
from .core.event import ActionPerformed
from .core.named import NamedAction
from .core.signal import ActionFailed, Signal
from .core.symptom import describe as in_words
from .fence import AgentLife
from .journal.port import Commit
from .orders import Performed
from .warden import let_above

if TYPE_CHECKING:
    from .common import Common
    from .orders import Rest
    from .registry import Registry
    from .supervisor import Supervisor

__all__ = ["Occasion", "Performing", "UnderWay"]

SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"
TIMED_OUT: Final = "timed_out"
CANCELLED: Final = "cancelled"
_TOLD: Final = 2000
"""Characters of what an action returns that are journaled, as many as of an exception."""


@frozen
class Occasion:
    """What a registered action is called with: for which slot it runs, and why."""

    path: Path
    action: str
    reason: str
    """What was noticed, or who asked."""
    incident: str
    """Empty if somebody asked for it."""
    down: bool
    """The slot has no incarnation, and will have none before this returns: messages to it wait."""
    _registry: Registry = field(repr=False, alias="registry")

    def ref(self, path: str = ".") -> Ref:
        """A reference to the slot, or to another one as seen from there (`../db`). Raises `ValueError` for no path."""
        return self._registry.ref(self.path.resolve(path))


@define(eq=False)
class UnderWay:
    """An action that runs, or has run."""

    child: Child
    occasion: Occasion
    named: NamedAction
    by: str = ""
    token: int | None = None
    """Of the child whose next life waits for it; void if the child's has moved on."""
    after: float = 0.0
    scope: trio.CancelScope = field(factory=trio.CancelScope)
    done: trio.Event = field(factory=trio.Event)
    fact: ActionPerformed | None = None
    """What came of it."""

    async def wait(self) -> ActionPerformed:
        """Wait until it has ended. Cancelled: it goes on."""
        await self.done.wait()
        assert self.fact is not None
        return self.fact


class Performing:
    """What one supervisor has under way for its children. Of one child and name only one runs at a time."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._common = supervisor.common
        self._running: dict[tuple[Path, str], UnderWay] = {}

    def begin(self, child: Child, signal: Signal, action: Perform) -> None:
        """Begin what the policy wants; a child that is down waits for its end."""
        incident = child.incident.id if child.incident is not None else ""
        running = self._start(child, action.name, in_words(signal), incident=incident)
        if child.current is None:
            child.void()
            child.move(SlotEvent.DELAY)
            child.note = f"waits for {action.name}"
            running.token, running.after = child.token, action.after

    def ask(self, child: Child, name: str, by: str) -> UnderWay:
        """Begin what somebody asked for; nothing is decided by what comes of it. Raises `NoSuchAction`."""
        return self._start(child, name, f"{by} asked for it", by=by)

    def runs_for(self, child: Child) -> bool:
        """Whether a remedy for this child is under way."""
        return any(each.child is child and not each.by for each in self._running.values())

    def cancel_all(self) -> None:
        """The supervisor has ended."""
        for running in self._running.values():
            running.scope.cancel()

    def ended(self, running: UnderWay) -> Rest:
        """Go on with a child for which something was performed. Returns what is left to wait for."""
        child, fact = running.child, running.fact
        assert fact is not None
        if self._supervisor.children.get(child.spec.id) is not child or running.by:
            return None
        waits = running.token is not None
        if waits and (running.token != child.token or child.state is not SlotState.RESTARTING):
            return None
        if fact.outcome != SUCCEEDED:
            if child.current is None and not waits:
                return None
            at = self._common.clock.now()
            failed = ActionFailed(path=child.path, at=at, action=fact.action, down=waits, text=fact.text)
            return self._supervisor.acting.decide(child, failed)
        child.note = "" if waits else child.note
        if waits:
            return self._supervisor.restarts.begin(child, Scope.ONE, running.after)
        if isinstance(child.current, AgentLife):
            child.current.look_again()
        self._supervisor.acting.watch(child)
        return None

    def _start(self, child: Child, name: str, reason: str, *, incident: str = "", by: str = "") -> UnderWay:
        before = self._running.get((child.path, name))
        if before is not None:
            if not by:
                before.by = ""
            return before
        known = {**self._supervisor.actions, **child.spec.actions}
        if name not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise NoSuchAction(f"{child.path}: no action is called {name!r}; there is {listed}", path=child.path)
        occasion = Occasion(child.path, name, reason, incident, child.current is None, self._common.registry)
        running = self._running[child.path, name] = UnderWay(child, occasion, known[name], by)
        self._supervisor.nursery.start_soon(self._run, running, name=f"{child.path} {name}")
        return running

    async def _run(self, running: UnderWay) -> None:
        begun = self._common.clock.now()
        outcome, text, failure = CANCELLED, "its supervisor ended", None
        try:
            with running.scope:
                outcome, text = await _within(running, self._common)
        except BaseException as error:
            let_above(error)
            failure = describe(error)
            outcome, text = FAILED, str(failure)
        finally:
            self._conclude(running, outcome, text, failure, self._common.clock.now() - begun)

    def _conclude(self, running: UnderWay, outcome: str, text: str, failure: Failure | None, after: float) -> None:
        occasion = running.occasion
        running.fact = ActionPerformed(
            path=occasion.path,
            action=occasion.action,
            outcome=outcome,
            after=after,
            text=text,
            incident=occasion.incident,
            by=running.by,
            failure=failure,
        )
        del self._running[occasion.path, occasion.action]
        self._common.note(running.fact)
        running.done.set()
        self._supervisor.post(Performed(running))


async def _within(running: UnderWay, common: Common) -> tuple[str, str]:
    limit = running.named.within
    with trio.move_on_after(limit) as late:
        await _decided(running.named, common)
        result = await running.named.run(running.occasion)
        return SUCCEEDED, storable(result[:_TOLD]) if isinstance(result, str) else ""
    assert late.cancelled_caught
    return TIMED_OUT, f"it took longer than {limit:g} s"


async def _decided(named: NamedAction, common: Common) -> None:
    """Wait until the decision is on disk: what it does outside must not be all that a killed process leaves of it.

    While the journal cannot commit, decisions are executed from memory, but what cannot be taken back waits.
    """
    while True:
        if named.needs:
            await common.outage.over()
        elif common.outage.since is not None:
            return
        try:
            await common.journal.commit(Commit())
        except CommitFailed as error:
            common.heard(error)
            if common.outage.since is not None:
                continue
        return
