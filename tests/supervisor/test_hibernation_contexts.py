"""What is kept of the context variables of agents without a task."""

from __future__ import annotations

import contextvars

from treewarden.agents.agent import Agent
from treewarden.agents.core.durability import MailboxSpec
from treewarden.agents.core.path import Path
from treewarden.agents.slot import Slot, Turn, current_turn
from treewarden.agents.testing import ManualClock
from treewarden.supervisor.hibernation import Hibernation

MARK: contextvars.ContextVar[str] = contextvars.ContextVar("mark", default="")


class Plain(Agent[None]): ...


def test_agents_with_the_same_context_variables_share_what_is_kept_of_them() -> None:
    clock = ManualClock()
    hibernation = Hibernation(clock, clock)
    empty, marked, turned = contextvars.Context(), contextvars.Context(), contextvars.Context()
    marked.run(MARK.set, "a")
    turned.run(MARK.set, "a")
    turned.run(current_turn.set, Turn(Slot(Path("a"), MailboxSpec(), clock.now, None), Plain()))
    kept = hibernation.context_like(turned)
    assert (kept.get(MARK), kept.get(current_turn)) == ("a", None), "it holds on to nobody"
    assert hibernation.context_like(marked) is kept
    assert MARK not in hibernation.context_like(empty)
    for n in range(20):
        marked.run(MARK.set, str(n))
        assert hibernation.context_like(marked).get(MARK) == str(n)
