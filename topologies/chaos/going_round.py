"""An agent that goes round in circles: a few calls again and again, with the same arguments and results."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import Any, Final

import trio

from treewarden.agents.agent import Agent

from ..core.faults import Knob
from .gate import Gate

__all__ = ["go_round"]

_ROUND: Final = (("search", {"query": "where was I"}, "see page 1"), ("read", {"page": 1}, "search for it"))


async def go_round(agent: Agent[Any], knobs: Mapping[str, Knob], gate: Gate) -> None:
    """Call the same tools in turn for `seconds`, one `every` so many, each time as busy as somebody who gets somewhere.

    Only whoever compares what was called and what came of it (`loops` of the child's spec) can tell. Ends when
    everybody is let go on. Cancelled: at the call at hand.
    """
    with trio.move_on_after(float(knobs["seconds"])):
        for tool, arguments, result in cycle(_ROUND):
            await trio.sleep(float(knobs["every"]))
            if gate.lifted.is_set():
                return
            agent.called(tool, arguments, result)
            agent.progress(tool)
