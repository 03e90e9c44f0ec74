"""The agent that the good file beside this names."""

from __future__ import annotations

from treewarden.agents.agent import Agent


class Clerk(Agent[int]):
    state = 0
