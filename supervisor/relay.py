"""How the task of a life that has ended brings the next life of its slot."""

from __future__ import annotations

from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Final

from trio.lowlevel import cancel_shielded_checkpoint, current_task

from treewarden.agents.slot import current_turn

if TYPE_CHECKING:
    from .child import Child
    from .fence import AgentLife

__all__ = ["Relay", "is_alike", "live_on"]

_AT_A_TIME: Final = 16
"""Lives that may follow one another before others get a turn: a slice of the loop is about as long."""
_ABSENT: Final = object()


class Relay:
    """One per tree: the child whose life ends at this moment in a task that could go on with the next one.

    Nothing is waited for between `offer` and `heir`. A task that ends and one that begins are two turns of the
    scheduler more, which cost more than all that a supervisor decides about an end.
    """

    __slots__ = ("_child", "_heir")

    def __init__(self) -> None:
        self._child: Child | None = None
        self._heir: AgentLife | None = None

    def offer(self, child: Child) -> None:
        """The life that ends in this task is this child's."""
        self._child = child
        self._heir = None

    def take(self, life: AgentLife) -> bool:
        """Whether the task that runs goes on with `life`, so that it needs none of its own.

        Not if handlers have set context variables there: those end with the life that set them.
        """
        if self._child is not life.child or not is_alike(current_task().context, copy_context()):
            return False
        self._child = None
        self._heir = life
        return True

    def heir(self) -> AgentLife | None:
        """Who goes on in this task, if anybody does. The offer is over."""
        heir, self._heir, self._child = self._heir, None, None
        return heir


async def live_on(life: AgentLife | None) -> None:
    """The task of an agent that waits for nothing but messages: one life, and those that follow it without a pause."""
    lives = 0
    while life is not None:
        life = await life.live_again()
        lives += 1
        if life is not None and lives % _AT_A_TIME == 0:
            await cancel_shielded_checkpoint()


def is_alike(context: Context, fresh: Context) -> bool:
    """Whether a context says what `fresh` says, but for the turn of the agent."""
    if len(context) - (current_turn in context) != len(fresh) - (current_turn in fresh):
        return False
    for variable, value in fresh.items():
        if variable is not current_turn and context.get(variable, _ABSENT) is not value:
            return False
    return True
