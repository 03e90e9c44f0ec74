"""What a supervisor has only once something has failed: it is most of what a process would import at its start."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, cast

from treewarden.agents.core.path import ROOT

from .child import Child, Incarnation, Parent
from .core.incident_events import Outcome
from .core.spec import SupervisorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .acting import Acting
    from .core.decision import Policy
    from .core.named import NamedAction
    from .judge import Judge
    from .performing import Performing
    from .remedies import Remedies
    from .restarts import Restarts
    from .supervisor import Supervisor
    from .troubles import Troubles

__all__ = ["AtNeed"]


class AtNeed(Incarnation):
    """The part of a `Supervisor` that judges failures, and what it does about them."""

    def __init__(self, child: Child, parent: Parent, number: int) -> None:
        super().__init__(child, parent, number)
        assert isinstance(child.spec, SupervisorSpec)
        self.spec: SupervisorSpec = child.spec
        self.common = parent.common
        self._set_pace()
        self.policy: Policy | None = self.spec.policy or parent.policy
        self.actions: Mapping[str, NamedAction] = {**parent.actions, **self.spec.actions}
        self._judge: Judge | None = None
        self._performing: Performing | None = None
        self._acting: Acting | None = None
        self._remedies: Remedies | None = None
        self._troubles: Troubles | None = None
        self._restarts: Restarts | None = None

    @property
    def judge(self) -> Judge:
        """Made, and imported, when it is first needed."""
        if self._judge is None:
            self._judge = _judges()(self.spec, self.policy, self.actions, self.common)
        return self._judge

    @property
    def performing(self) -> Performing:
        """As `judge`."""
        if self._performing is None:
            from .performing import Performing

            self._performing = Performing(cast("Supervisor", self))
        return self._performing

    @property
    def acting(self) -> Acting:
        """As `judge`, and those below."""
        if self._acting is None:
            from .acting import Acting

            self._acting = Acting(cast("Supervisor", self))
        return self._acting

    @property
    def remedies(self) -> Remedies:
        if self._remedies is None:
            from .remedies import Remedies

            self._remedies = Remedies(cast("Supervisor", self))
        return self._remedies

    @property
    def troubles(self) -> Troubles:
        if self._troubles is None:
            from .troubles import Troubles

            self._troubles = Troubles(cast("Supervisor", self))
        return self._troubles

    @property
    def has_troubles(self) -> bool:
        """Whether there have ever been any."""
        return self._troubles is not None

    @property
    def restarts(self) -> Restarts:
        if self._restarts is None:
            self._restarts = _restarting()(self)
        return self._restarts

    def abandon_decision(self) -> None:
        """It was killed: nothing more is decided."""
        if self._acting is not None:
            self._acting.abandon()

    def runs_for(self, child: Child) -> bool:
        """Whether an action that may help this child is under way."""
        return self._performing is not None and self._performing.runs_for(child)

    def cancel_actions(self) -> None:
        """It has ended."""
        if self._performing is not None:
            self._performing.cancel_all()

    def close_incident(self, child: Child, outcome: Outcome) -> None:
        """The incident of this child is over, if it has one, or one from an earlier process."""
        if self._judge is not None or (child.slot is not None and child.slot.diagnosis is not None):
            self.common.note(*self.judge.close(child, outcome))

    def _set_pace(self) -> None:
        """The whole tree goes by the restart bucket of its root."""
        if self.child.path == ROOT:
            self.common.pace.bucket = self.spec.restart_bucket

    def adopt(self, spec: SupervisorSpec) -> None:
        """Go by new flags from now on; the specs of the children are the table's business."""
        self.spec = spec
        self._set_pace()
        self.policy = spec.policy or self.parent.policy
        self.actions = {**self.parent.actions, **spec.actions}
        if self._judge is not None:
            self._judge.adopt(spec, self.policy, self.actions)


@cache
def _judges() -> type[Judge]:
    """An import inside of a function takes long, also of what has been imported before."""
    from .judge import Judge

    return Judge


@cache
def _restarting() -> Callable[[AtNeed], Restarts]:
    from .restarts import Restarts

    return cast("Callable[[AtNeed], Restarts]", Restarts)
