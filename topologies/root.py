"""What the root supervisor has for a parent: it takes its end, says whether the tree failed, and finds who is below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import trio

from treewarden.agents.core.exit import Exit, Failed, Failure, Finished, Stopped, grouped, is_clean, leaves
from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.errors import AgentStopped, Ignore, NoSuchSlot, TreeFailed
from treewarden.supervisor.address import starts
from treewarden.supervisor.child import Child, Incarnation
from treewarden.supervisor.common import Common
from treewarden.supervisor.core.named import NO_ACTIONS, NamedAction
from treewarden.supervisor.core.spec import SupervisorSpec
from treewarden.supervisor.supervisor import Supervisor

if TYPE_CHECKING:
    from treewarden.supervisor.core.decision import Policy

__all__ = ["Root"]


class Root:
    """What the root supervisor has for a parent."""

    def __init__(self, common: Common, nursery: trio.Nursery, policy: Policy | None, spec: SupervisorSpec) -> None:
        self.common = common
        self.nursery = nursery
        self.policy = policy
        self.actions: Mapping[str, NamedAction] = NO_ACTIONS
        self.closing = False
        self.child = Child(spec, ROOT)
        self.child.lives = 1
        self.supervisor = Supervisor(self.child, self, 1)
        self.ended = trio.Event()
        self.asked = False
        """Somebody has asked it to end."""
        self.forced = False
        """Somebody would not wait for that."""
        self.given_up = False
        """It was told to end before it had begun."""

    async def start(self) -> Failure | Ignore | None:
        """Start the tree. Until it has started, whoever has begun and tells or asks somebody who comes later waits for
        that one. Returns why it has not started."""
        with starts(self.supervisor, self.supervisor.spec, whole=True):
            return await self.supervisor.start()

    def post(self, item: object) -> None:
        """The root supervisor posts its own end; nothing else comes up here."""
        if isinstance(item, Incarnation):
            self.ended.set()

    @property
    def exit(self) -> Exit | None:
        return self.supervisor.exit

    @property
    def ending(self) -> str:
        """How a tree that has not failed came to its end."""
        if self.forced:
            return "ended by force"
        if self.given_up:
            return "stopped while it opened"
        return "stopped in order" if self.exit is not None and is_clean(self.exit) else "cancelled from outside"

    def supervisor_of(self, path: Path) -> Supervisor:
        """Who has `path` among its children. Raises `NoSuchSlot`, or `AgentStopped` where the tree has ended."""
        supervisor = self.common.supervisors.get(path.parent)
        if supervisor is None or supervisor.children.get(path.name) is None:
            if self.ended.is_set() and self.common.registry.has(path):
                raise AgentStopped(f"{path}: the tree has ended", path=path, retry_safe=True)
            if supervisor is None and self.common.registry.has(path):
                above = path.parent
                text = f"{path}: its supervisor {above} does not run, so nobody sees to it; start {above}, or wait"
                raise NoSuchSlot(text, path=path, retry_safe=True)
            raise self.common.nowhere(path)
        return supervisor

    def failure(self) -> TreeFailed | None:
        """Why the tree is lost, if it is: the root gave up or was killed, and nobody had asked it to end."""
        exit = self.exit
        if exit is None or self.forced or self.given_up or isinstance(exit, Finished):
            return None
        error = self.supervisor.error
        group = grouped("what led to it", leaves(error)) if error is not None else None
        match exit:
            case Failed(failure):
                return TreeFailed(f"the root did not last: {failure}", group)
            case Stopped("auto_shutdown"):
                return None
            case Stopped(reason) if self.supervisor.gave_up and not self.asked:
                text = (
                    f"the root gave up ({reason}) over {self.supervisor.gave_up}; raise `restarts`, or mend what failed"
                )
                return TreeFailed(text, group)
            case _:
                return None
